"""Notices: the records that a board does not rank for want of trust, and why; for board.json, board.md and the page."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from pretask_bench.board.entries import Dispute, SortedRecords, shorten
from pretask_bench.results.markdown import plain_text

MAX_CASES, MAX_SIDES, MAX_FAULTS = 50, 10, 5  # on the page and in Markdown; board.json has all
LISTS = ("disputed", "ignored", "faulty", "copies", "withdrawn")
MAX_AUTHOR_CHARACTERS = 60
Json = dict[str, Any]


def notices_json(records: SortedRecords) -> Json:
    """Return the records that are disputed, divergent but ignored, faulty, copies, withdrawn, or unchecked."""
    return {
        "disputed": [dispute_json(records, dispute) for dispute in records.disputes if not dispute.ranked],
        "ignored": [dispute_json(records, dispute) for dispute in records.disputes if dispute.ranked],
        "faulty": [{**record_json(records, name), "faults": list(faults)} for name, faults in records.faulty.items()],
        "copies": [{**record_json(records, name), "of": first} for name, first in records.copies.items()],
        "withdrawn": [{**record_json(records, name), "reason": reason} for name, reason in records.withdrawn.items()],
        "unchecked": dict(records.unchecked),
    }


def record_json(records: SortedRecords, name: str) -> Json:
    """Return the name of a record, its author, and the record that it ran again."""
    record = records.everything[name]
    return {"record": name, "author": record.author, "reruns": record.reruns}


def dispute_json(records: SortedRecords, dispute: Dispute) -> Json:
    """Return the sides of a dispute, with the first number in which each diverges from another."""
    sides = [{**record_json(records, name), **vars(conflict)} for name, conflict in sorted(dispute.conflicts.items())]
    return {
        "division": dispute.division,
        "title": dispute.title,
        "seed": dispute.seed,
        "sides": sides,
        "others": list(dispute.others),
    }


def page_notices(notices: Json) -> Json:
    """Return what there is room for on the page, with how much more board.json has."""
    shown = {name: list(islice(notices[name], MAX_CASES)) for name in LISTS}
    for name in ("disputed", "ignored"):
        shown[name] = [{**dispute, **limit("sides", dispute["sides"], MAX_SIDES)} for dispute in shown[name]]
    shown["faulty"] = [{**record, **limit("faults", record["faults"], MAX_FAULTS)} for record in shown["faulty"]]
    return {
        **shown,
        "more": {name: len(notices[name]) - len(shown[name]) for name in LISTS},
        **limit("unchecked", list(notices["unchecked"].items()), MAX_CASES),
    }


def limit(name: str, values: list[Any], most: int) -> Json:
    """Return the first of some values, and how many more there are."""
    return {name: values[:most], f"more_{name}": max(0, len(values) - most)}


def markdown_notices(notices: Json) -> list[str]:
    """Return the lines of board.md that tell the same, as much of it as the page has."""
    shown = page_notices(notices)
    lines = [
        *(f"- disputed, not ranked: {dispute_text(dispute)}" for dispute in shown["disputed"]),
        *(f"- diverges, ignored: {dispute_text(dispute)}" for dispute in shown["ignored"]),
        *(f"- faulty, not ranked: {name_text(record)}: {join_texts(record['faults'])}" for record in shown["faulty"]),
        *(
            f"- one result twice, counted once: {name_text(record)}: as {record['of'][:12]}"
            for record in shown["copies"]
        ),
        *(f"- withdrawn: {name_text(record)}: {plain_text(record['reason'])}" for record in shown["withdrawn"]),
        *(f"- not checked, {count} records: {plain_text(reason)}" for reason, count in shown["unchecked"]),
        *(f"- and {count} more {name}, in board.json" for name, count in shown["more"].items() if count),
    ]
    return [*lines, ""] if lines else []


def dispute_text(dispute: Mapping[str, Any]) -> str:
    """Write a dispute as one line."""
    sides = "; ".join(
        f"{name_text(side)} has {plain_text(side['own'])}, {side['other'][:12]} has {plain_text(side['others'])} "
        f"({plain_text(side['number'])})"
        for side in dispute["sides"]
    )
    count = dispute["more_sides"] + len(dispute["others"])
    more = f"; and {count} more" if count else ""
    return f"{plain_text(dispute['title'])}, seed {dispute['seed']}, {dispute['division']}: {sides}{more}"


def name_text(record: Mapping[str, Any]) -> str:
    """Write the beginning of a record's name, and its author."""
    author = f" ({plain_text(shorten(record['author'], MAX_AUTHOR_CHARACTERS))})" if record["author"] else ""
    return f"{record['record'][:12]}{author}"


def join_texts(values: Iterable[str]) -> str:
    """Write some sentences as one."""
    return "; ".join(map(plain_text, values))
