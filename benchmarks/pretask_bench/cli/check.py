"""The verb `pretask check`: hold a plugin, or one component, against what all of its kind promise."""

from pathlib import Path

import click

from pretask_bench.cli.completion import complete_names
from pretask_bench.cli.main import registry

EPILOG = """A failure says what must hold, what came instead and what it often comes from; what torch says itself is
shown under -v. Several checks that fail by the same fault are one failure. docs/guides.md says what each kind must do.

What you know to fail, your light module says: EXPECTED_FAILURES = {"split cut": {"compiles": "the reason"}}, by kind
and name, then check. It counts as an expected failure, with its reason beside the count; once it passes, it fails
until it is taken out.

A check that could not be made for want of something is skipped, with the reason; --require-all takes it for a failure.
One that asks nothing of such a component is inapplicable."""


@click.command("check", epilog=EPILOG)
@click.argument("name", metavar="NAMESPACE|ID", shell_complete=complete_names())
@click.option("--kind", help="Only components of this kind.")
@click.option("--only", multiple=True, metavar="CHECK", help="Only this check; may be repeated.")
@click.option("--seed", default=0, help="Of whatever is drawn.")
@click.option("--require-all", is_flag=True, help="A skipped check counts as failed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit's XML as well.")
@click.option("--update-golden", is_flag=True, help="First keep the outputs of versions of which none are kept yet.")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of what was raised, with torch's own text.")
@click.pass_context
def command(
    context: click.Context,
    name: str,
    kind: str | None,
    only: tuple[str, ...],
    seed: int,
    require_all: bool,
    as_json: bool,
    junit: Path | None,
    update_golden: bool,
    verbose: bool,
) -> None:
    """Check what NAMESPACE, or a name or ID, offers; exit code 1 where something fails, 3 where a plugin is broken."""
    from pretask_registry import conformance

    if update_golden:
        written = conformance.update_golden(registry(), name, kind=kind)
        click.echo(f"{written} new fingerprints were written.", err=True)
    verbose = verbose or bool((context.obj or {}).get("verbose"))
    outcomes = []
    for outcome in conformance.run(registry(), name, kind=kind, only=only, seed=seed):
        outcomes.append(outcome)
        is_shown = (outcome.state != "passed" or outcome.number) and not outcome.is_blocked
        if is_shown and not as_json:
            click.echo(conformance.format_outcome(outcome, verbose))
    for line in conformance.format_blocked(outcomes) if not as_json else ():
        click.echo(line)
    click.echo(conformance.as_json(outcomes) if as_json else conformance.format_count(outcomes))
    if junit is not None:
        junit.write_text(conformance.as_junit(outcomes), encoding="utf-8")
    if not conformance.has_succeeded(outcomes, require_all):
        raise SystemExit(1)
