"""Site: write a board as index.html, board.json, board.md and board.csv.

The page needs nothing else: its rules and its script are in it, and its policy allows these two by their hashes,
pictures that are in it, and nothing from anywhere.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pretask.errors import PretaskError
from pretask.files import write_whole
from pretask_registry import Registry

from pretask_bench.board.board_csv import board_csv
from pretask_bench.board.board_json import (
    SCORE,
    Json,
    board_as_json,
    json_text,
    markdown_text,
    unranked_entries,
    unranked_text,
)
from pretask_bench.board.details import describe_entry
from pretask_bench.board.entries import Entry, SortedRecords, sort_records
from pretask_bench.board.figures import GALLERY_ENTRIES, GALLERY_FIGURES, Album, Shown
from pretask_bench.board.keeper import Keeper
from pretask_bench.board.layers import draw_first_layers
from pretask_bench.board.matrices import Fits, matrices
from pretask_bench.board.notices import page_notices
from pretask_bench.board.pictures import COSTS, MAX_RANKS, cost_picture, rank_picture
from pretask_bench.board.rows import (
    PARTS,
    FilterChoices,
    anchor_key,
    assign_anchors,
    column_heads,
    ranked_rows,
    unranked_rows,
)
from pretask_bench.board.standings import Ranking, rank_competition
from pretask_bench.board.trust import RecordsByHash
from pretask_bench.records.canonical import json_text as canonical_text
from pretask_bench.records.encoders import column_label, shown_encoders
from pretask_bench.runs.suites import Suite

MAX_DETAILS = 200  # entries of which the page tells more
MAX_REASONS = 20
MAX_TABLES = 10  # of a division: each has other data, and the fullest come first
MAX_SHOWN_ROWS = 500  # rows of a table, until a reader asks for all
FILES = ("index.html", "board.json", "board.md", "board.csv")


def write_board(
    suite: Suite,
    records: RecordsByHash,
    out: Path,
    folders: Sequence[Path] | None = (),
    fits: Fits = (),
    keeper: Keeper | None = None,
    registry: Registry | None = None,
) -> list[Path]:
    """Write the files of a board, each whole or not at all.

    Args:
        suite: The suite that the board is of.
        records: Records by their hash.
        out: Folder to write to.
        folders: Where the figures of records lie; None shows none.
        fits: Which parts fit each other, as `compat.fitting_rows` gives it; the page shows it where there is some.
        keeper: Which records are withdrawn, and who may raise a dispute.
        registry: Where parts are looked up, to check the options that records declare, and for what is to be cited.

    Raises:
        PretaskError: A file cannot be written.
    """
    page, board, markdown = render_board(suite, records, folders, fits, keeper, registry)
    texts = (page, board, markdown, board_csv(json.loads(board)))
    return [write_text(out / name, text) for name, text in zip(FILES, texts, strict=True)]


def render_board(
    suite: Suite,
    records: RecordsByHash,
    folders: Sequence[Path] | None = (),
    fits: Fits = (),
    keeper: Keeper | None = None,
    registry: Registry | None = None,
) -> tuple[str, str, str]:
    """Return HTML, JSON and Markdown of a board."""
    sorted_records = sort_records(suite, records, keeper, registry)
    rankings = [rank_competition(competition) for competition in sorted_records.competitions]
    content = board_as_json(suite, sorted_records, rankings)
    page = render_page(suite, sorted_records, rankings, folders, fits, page_notices(content), registry)
    return page, json_text(content), markdown_text(content)


def render_page(
    suite: Suite,
    sorted_records: SortedRecords,
    rankings: Sequence[Ranking],
    folders: Sequence[Path] | None,
    fits: Fits,
    notices: Json,
    registry: Registry | None = None,
) -> str:
    """Return the text of index.html."""
    environment = Environment(
        loader=PackageLoader("pretask_bench", "board"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = first_rankings(rankings)
    album, choices, anchors = (
        Album(folders or (), shown=folders is not None),
        FilterChoices(),
        assign_anchors(shown, MAX_DETAILS),
    )
    figures = {
        key: album.figures(entry)
        for ranking in shown
        for entry in list_entries(ranking)
        if (key := anchor_key(ranking, entry)) in anchors
    }
    sections = [section_fields(suite, ranking, choices, anchors, figures) for ranking in shown]
    rules, script = read_own_text("board.css"), read_own_text("board.js")
    return environment.get_template("board.html").render(
        suite=suite,
        sorted_records=sorted_records,
        sections=sections,
        details=describe_entries(shown, anchors, figures, registry),
        album=album,
        filters=[(part, choices.sorted_ids(part)) for part in PARTS],
        evaluators=list(
            dict.fromkeys(measure.evaluator for division in suite.file.division for measure in division.measures)
        ),
        given="".join(
            f" --set {name}=…"
            for name in sorted({setting for division in suite.file.division for setting in division.given_settings})
        ),
        reasons=list(sorted_records.outside.items())[:MAX_REASONS],
        more_reasons=max(0, len(sorted_records.outside) - MAX_REASONS),
        entries=sum(len(ranking.ranked_entries) + len(unranked_entries(ranking)) for ranking in rankings),
        ranked=sum(len(ranking.ranked_entries) for ranking in rankings),
        more_tables=len(rankings) - len(shown),
        score_sentence=SCORE,
        most_shown=MAX_SHOWN_ROWS,
        most_ranks=MAX_RANKS,
        most_details=MAX_DETAILS,
        matrices=matrices(fits),
        notices=notices,
        rules=Markup(rules),
        script=Markup(script),
        rules_hash=policy_hash(rules),
        script_hash=policy_hash(script),
    )


def first_rankings(rankings: Sequence[Ranking]) -> list[Ranking]:
    """Return the first rankings of every division."""
    grouped = groupby(rankings, key=lambda ranking: ranking.competition.division.name)
    return [ranking for _, group in grouped for ranking in islice(group, MAX_TABLES)]


def section_fields(
    suite: Suite,
    ranking: Ranking,
    choices: FilterChoices,
    anchors: Mapping[str, str],
    figures: Mapping[str, Sequence[Shown]],
) -> dict[str, Any]:
    """Return what the template shows of a ranking."""
    division = ranking.competition.division
    pictures = [(name, cost_picture(ranking, name)) for name in COSTS] if ranking.ranked_entries else []
    fixed = suite.fixed[division.name]
    return {
        "division": division,
        "data": ranking.competition.first.cell.data,
        "fingerprints": sorted(ranking.competition.fingerprints.items()),
        "fixed": [(name, canonical_text(dict(options))) for name, options in fixed.options_by_id.items()],
        "heads": column_heads(ranking),
        "measures": division.measures,
        "encoders": [column_label(encoder) for encoder in shown_encoders(ranking.competition.shown)],
        "fault": unranked_text(ranking.unranked_reason),
        "rows": ranked_rows(ranking, choices, anchors),
        "unranked": unranked_rows(ranking, choices, anchors),
        "gallery": choose_gallery(ranking, anchors, figures),
        "costs": [(name, drawing) for name, drawing in pictures if drawing is not None],
        **dict(zip(("layers_of", "layers"), draw_first_layers(ranking), strict=True)),
        "ranks": rank_picture(ranking) if len(ranking.ranked_entries) > 1 else None,
    }


def list_entries(ranking: Ranking) -> list[Entry]:
    """Return the entries of a table, in its order."""
    return [*(ranked.entry for ranked in ranking.ranked_entries), *unranked_entries(ranking)]


def choose_gallery(
    ranking: Ranking, anchors: Mapping[str, str], figures: Mapping[str, Sequence[Shown]]
) -> list[tuple[str, str, Sequence[Shown]]]:
    """Return title, anchor and figures of the first entries of a table that have some."""
    found = [
        (entry.title, anchors[key], figures[key][:GALLERY_FIGURES])
        for entry in list_entries(ranking)
        if figures.get(key := anchor_key(ranking, entry))
    ]
    return found[:GALLERY_ENTRIES]


def describe_entries(
    rankings: Sequence[Ranking],
    anchors: Mapping[str, str],
    figures: Mapping[str, Sequence[Shown]],
    registry: Registry | None,
) -> list[dict[str, Any]]:
    """Return what the template shows of single entries, in the order of the tables."""
    return [
        describe_entry(ranking, entry, anchors[key], figures[key], registry)
        for ranking in rankings
        for entry in list_entries(ranking)
        if (key := anchor_key(ranking, entry)) in anchors
    ]


def read_own_text(name: str) -> str:
    """Return the text of a file next to this module."""
    return files("pretask_bench.board").joinpath(name).read_text(encoding="utf-8")


def policy_hash(text: str) -> Markup:
    """Return the hash by which a Content-Security-Policy allows a text."""
    return Markup(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'")


def write_text(path: Path, text: str) -> Path:
    """Write a file whole, by one rename; raises PretaskError where that cannot be done."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise PretaskError("the board", f"to write {path}", str(error), "Name another folder with --out.") from error
    return path
