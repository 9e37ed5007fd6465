"""The verb `pretask cache`: list what is kept, remove what was not used for longest, recompute every checksum.

Nothing here is needed to run anything: what is removed or damaged is made again when it is asked for.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pretask import Unknown

from pretask_bench.cli.main import json_option
from pretask_bench.results.tables import show_json, show_rows

if TYPE_CHECKING:
    from pretask.pruning import CacheEntry

MAX_FACT_CHARACTERS = 72  # characters of an entry's facts
UNSEEN = dict.fromkeys((*range(32), 127), " ")  # a line break or a tab in a path would break the table


@click.group("cache")
def command() -> None:
    """The cache of decoded data and features: list, prune, verify."""


@command.command()
@json_option
def ls(as_json: bool) -> None:
    """List what is kept, the one that was not used for longest first."""
    from pretask.cache import cache_folder
    from pretask.pruning import list_entries

    root = cache_folder()
    rows = [entry_json(entry) for entry in list_entries(root)]
    if as_json:
        show_json({"folder": str(root), "bytes": sum(row["bytes"] for row in rows), "entries": rows})
        return
    show_rows(
        ("group", "key", "what", "size", "last used"),
        [(row["group"], row["key"][:12], row["what"], format_bytes(row["bytes"]), row["used"]) for row in rows],
    )
    click.echo(f"{len(rows)} entries, {format_bytes(sum(row['bytes'] for row in rows))} in {root}", err=True)


@command.command()
@click.option("--gb", type=click.FloatRange(min=0), help="GB that may stay; $PRETASK_CACHE_GB where not given.")
@json_option
def prune(gb: float | None, as_json: bool) -> None:
    """Remove unfinished leftovers, then what was not used for longest, until the rest takes at most so many GB.

    What another process is making stays; what is being read can be read on.
    """
    from pretask.cache import cache_folder
    from pretask.pruning import prune as remove
    from pretask.pruning import read_limit, to_bytes

    most = read_limit() if gb is None else to_bytes(gb)
    if most is None:
        raise Unknown("No bound was given. Say --gb N, or set PRETASK_CACHE_GB.")
    removed = remove(cache_folder(), most)
    if as_json:
        show_json([{"place": str(entry.folder), "bytes": entry.size} for entry in removed])
    else:
        show_rows(("removed", "size"), [(str(entry.folder), format_bytes(entry.size)) for entry in removed])
    click.echo(f"{len(removed)} removed, {format_bytes(sum(entry.size for entry in removed))}", err=True)


@command.command()
@json_option
def verify(as_json: bool) -> None:
    """Compare every byte with its checksum and name what is damaged; exit code 1 where anything is."""
    from pretask.cache import cache_folder, find_damage
    from pretask.pruning import list_entries

    entries = list_entries(cache_folder())
    damaged = {
        str(entry.folder): wrong for entry in entries if (wrong := find_damage(entry.folder)) and entry.folder.exists()
    }
    if as_json:
        show_json(damaged)
    else:
        show_rows(("damaged", "why"), list(damaged.items()))
    click.echo(f"{len(entries)} entries, {len(damaged)} damaged", err=True)
    if damaged:
        click.echo("Delete what is damaged: it is made again when it is asked for.", err=True)
        raise SystemExit(1)


def entry_json(entry: "CacheEntry") -> dict[str, Any]:
    """Return what `ls` shows of an entry."""
    return {
        "group": entry.folder.parent.name,
        "key": entry.folder.name,
        "what": short_text(read_facts(entry.folder)),
        "bytes": entry.size,
        "used": datetime.fromtimestamp(entry.used).isoformat(" ", "minutes"),
    }


def read_facts(place: Path) -> Mapping[str, Any]:
    """Return what determined an entry; {"damaged": True} where it cannot be read."""
    import json

    try:
        facts = json.loads((place / "entry.json").read_text(encoding="utf-8"))["about"]["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        return {"damaged": True}
    return facts if isinstance(facts, dict) else {}


def short_text(facts: Mapping[str, Any]) -> str:
    """Return facts on one line; long ones are cut.

    >>> short_text({"part": "train", "side": 64})
    'part=train side=64'
    """
    text = " ".join(f"{name}={value}" for name, value in facts.items()).translate(UNSEEN)
    return text if len(text) <= MAX_FACT_CHARACTERS else text[: MAX_FACT_CHARACTERS - 1] + "…"


def format_bytes(size: int) -> str:
    """Return a size with its unit, bytes to GB.

    >>> format_bytes(3_100_000)
    '3.1 MB'
    """
    power = min(3, (len(str(size)) - 1) // 3)
    unit = ("bytes", "kB", "MB", "GB")[power]
    return f"{size} {unit}" if not power else f"{size / 1000**power:.1f} {unit}"
