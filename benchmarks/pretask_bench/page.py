"""Page: records as one HTML file that needs nothing else, with every number and picture.

Records may come from strangers: all text is escaped, pictures are bytes of PNG files that fit their names. The same
records give the same bytes.
"""

import os
import uuid
from base64 import b64encode
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from pretask.errors import PretaskError

from pretask_bench.records import Picture, record_hash
from pretask_bench.report import COLUMNS as EVALUATOR_COLUMNS
from pretask_bench.report import evaluator_rows, pretext_rows
from pretask_bench.results import COLUMNS, Group, summary_rows, title
from pretask_bench.store import read_picture

TEMPLATE = "page.html"


def write_page(groups: Sequence[Group], places: Iterable[Path], path: Path) -> None:
    """Write the page of these groups of records; whole, or not at all.

    Args:
        groups: As `results.grouped` gives them.
        places: Folders in which their pictures lie.
        path: The file.

    Raises:
        PretaskError: The file cannot be written.
    """
    content = page_of(groups, [place for place in places if place.is_dir()])
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(content, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise PretaskError("the page", f"to write {path}", str(error), "Name another file with --page.") from error


def page_of(groups: Sequence[Group], folders: Sequence[Path]) -> str:
    """The text of the page."""
    surroundings = Environment(
        loader=PackageLoader("pretask_bench", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = [section(group, folders) for group in groups]
    return surroundings.get_template(TEMPLATE).render(columns=COLUMNS, rows=summary_rows(groups), sections=sections)


def section(group: Group, folders: Sequence[Path]) -> dict[str, Any]:
    """What the page shows of one encoder."""
    first = group[0]
    evaluators = dict.fromkeys(row.evaluator for row in first.results)
    pictures = [(row.encoder, picture) for row in first.results for picture in row.pictures]
    return {
        "title": title(first),
        "data": first.cell.data.id,
        "seeds": ", ".join(str(record.cell.seed) for record in group),
        "pretext": pretext_rows(group),
        "columns": EVALUATOR_COLUMNS,
        "evaluators": [(evaluator, evaluator_rows(group, evaluator)) for evaluator in evaluators],
        "pictures": [
            (encoder, picture.caption, data)
            for encoder, picture in pictures
            if (data := embedded(picture, folders)) is not None
        ],
        "hardware": first.provenance.hardware.device,
        "seconds": round(sum(record.provenance.seconds for record in group)),
        "command": " ".join(first.provenance.command),
        "records": [record_hash(record) for record in group],
    }


def embedded(picture: Picture, folders: Sequence[Path]) -> str | None:
    """A picture as text that an image tag can hold; None where no folder has it."""
    for folder in folders:
        try:
            return b64encode(read_picture(folder, picture.png)).decode()
        except PretaskError:
            continue
    return None
