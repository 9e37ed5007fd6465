"""The verb `pretask verify`: whether records hold what they claim, as far as can be checked without a rerun."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pretask_bench.cli.collection import uncollected
from pretask_bench.cli.main import json_option, registry
from pretask_bench.cli.terminal import escape_invisible
from pretask_bench.results.tables import draw_table, show_json
from pretask_bench.runs.plan import parse_setting

if TYPE_CHECKING:
    from pretask_bench.records.verify import Verification

MAX_SHOWN = 50  # faults, and notes, that are printed
WIDTH = 120

EPILOG = """Example: pretask verify runs/records --recompute-data --set folder.root=photos

Exit code 1 where anything is wrong. What no record can prove of itself is counted and named; rerun can tell."""


@click.command("verify", epilog=EPILOG)
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RECORDS...")
@click.option(
    "--recompute-data",
    is_flag=True,
    help="Also make the data again with what is installed here, as its options say and without a network: hold its "
    "fingerprint against the records, and count test samples that occur in training.",
)
@click.option("--set", "settings", multiple=True, metavar="DATA.OPTION=PLACE", help="Where data lies here.")
@json_option
@uncollected()
def command(places: tuple[Path, ...], recompute_data: bool, settings: tuple[str, ...], as_json: bool) -> None:
    """Check RECORDS, files or folders: hashes, numbers from items, options, times, seeds, pictures, data."""
    from pretask_bench.records.store import require_places
    from pretask_bench.records.verify import group_by_data_set, verify

    require_places("verify", places)
    verification = verify(places, registry())
    if recompute_data or settings:
        from pretask_bench.records.recompute import check_data

        check_data(verification, registry(), dict(map(parse_setting, settings)))
    else:
        verification.unchecked["data sets (--recompute-data makes those that can be made here)"] += len(
            group_by_data_set(verification)
        )
    show_json(verification_json(verification)) if as_json else show(verification)
    if verification.faults or not verification.records:
        click.get_current_context().exit(1)


def verification_json(verification: "Verification") -> dict[str, Any]:
    """Return a verification as JSON holds it."""
    faults = dict.fromkeys(verification.checked, 0)
    for fault in verification.faults:
        faults[fault.check] += 1
    return {
        "records": len(verification.records),
        "checks": [{"check": check, "checked": n, "wrong": faults[check]} for check, n in verification.checked.items()],
        "findings": [
            {"file": str(finding.path), "check": finding.check, "message": finding.message, "fault": finding.fault}
            for finding in verification.findings
        ],
        "unchecked": dict(verification.unchecked),
    }


def show(verification: "Verification") -> None:
    """Print what was checked, what is wrong, what is worth knowing, and what nobody could check."""
    counts = verification_json(verification)["checks"]
    rows = [(check["check"], str(check["checked"]), str(check["wrong"])) for check in counts]
    draw_table(("check", "checked", "wrong"), rows, f"{len(verification.records)} records", width=WIDTH)
    for title, findings in (
        ("wrong", verification.faults),
        ("worth knowing", [finding for finding in verification.findings if not finding.fault]),
    ):
        for finding in findings[:MAX_SHOWN]:
            click.echo(f"{title}: {escape_invisible(str(finding.path))}: {escape_invisible(finding.message)}")
        if len(findings) > MAX_SHOWN:
            click.echo(f"{title}: {len(findings) - MAX_SHOWN} more; --json has all.")
    for reason, count in verification.unchecked.items():
        if count:
            click.echo(f"not checked: {count} {escape_invisible(reason)}")
