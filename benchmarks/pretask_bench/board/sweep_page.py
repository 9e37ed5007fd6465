"""The page of a sweep: small multiples of what each choice changes, one section for each measure, and the tables.

Like a leaderboard it needs nothing else, and the same records give the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pretask_registry import Registry

from pretask_bench.board.curves import draw_curves
from pretask_bench.board.effects import draw_panels
from pretask_bench.board.site import policy_hash, read_own_text, write_text
from pretask_bench.records.cell import key_of_fields
from pretask_bench.records.record import Record
from pretask_bench.results.ablation import Ablation, analyze
from pretask_bench.results.ablation_tables import describe, effects_table, measure_title
from pretask_bench.results.groups import SEEDLESS
from pretask_bench.results.means import COLUMNS, Mean, collect_means, mean_cells, means_table
from pretask_bench.results.query import format_table
from pretask_bench.sweeps.grid import read_grid
from pretask_bench.sweeps.ledger import Ledger
from pretask_bench.sweeps.planning import Planner

TABLES = ("csv", "json", "md", "tex")


def write_sweep_page(grid: Path, records: Mapping[str, Record], out: Path, registry: Registry) -> list[Path]:
    """Write the page of a sweep and its tables, each whole or not at all.

    Args:
        grid: Its file; records that are none of its cells are left out.
        records: Records by their hash.
        out: Folder to write to.
        registry: Where names are looked up.

    Raises:
        PretaskError: The grid cannot be read, or a file not written.
    """
    keys = find_keys(grid, out, registry)
    own = [record for _, record in sorted(records.items()) if find_key(record) in keys]
    complete = {find_key(record) for record in own if record.status == "complete"}
    ablations = analyze(own)
    means = [collect_means(own, ablation) for ablation in ablations]
    tables = {"effects": effects_table(ablations, whole=True), "means": means_table(ablations, means)}
    sections = make_sections(ablations, means, own)
    files = {"index.html": render_sweep(grid.stem, sections, len(complete), len(keys))}
    files |= {f"{name}.{form}": f"{format_table(form, tables[name])}\n" for name in tables for form in TABLES}
    return [write_text(out / name, text) for name, text in files.items()]


def find_keys(grid: Path, out: Path, registry: Registry) -> set[tuple[str, int]]:
    """Return the keys of a sweep's cells without seed, and the seeds; the data need not be there."""
    nothing = out / "no-records"
    cells: Iterable[Any] = Planner(registry, read_grid(grid), nothing, Ledger(nothing), reads=False).plan()
    return {(cell.described.key, cell.choices["seed"]) for cell in cells if cell.described is not None}


def find_key(record: Record) -> tuple[str, int]:
    """Return the same of a record: by the names and options of its data, and not by what was read of them."""
    fields = record.cell.model_dump(mode="json", exclude={*SEEDLESS, "modality"})
    for data in filter(None, (fields["data"], fields["evaluated_on"])):
        data["fingerprints"] = {}
    return key_of_fields(fields), record.cell.seed


def make_sections(
    ablations: Sequence[Ablation], means: Sequence[Sequence[Mean]], own: Sequence[Record]
) -> list[dict[str, Any]]:
    """Return what the page shows of each measure that something can be compared by."""
    return [
        {
            "title": measure_title(ablation),
            "line": line.partition(": ")[2],
            "pictures": [*draw_curves(ablation, found, own), *(panel for _, panel in draw_panels(ablation))],
            "means": [mean_cells(ablation, mean)[1:] for mean in found],
        }
        for ablation, found, line in zip(ablations, means, describe(ablations), strict=True)
        if ablation.main
    ]


def render_sweep(name: str, sections: Sequence[Mapping[str, Any]], records: int, cells: int) -> str:
    """Return the text of the page."""
    environment = Environment(
        loader=PackageLoader("pretask_bench", "board"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rules = read_own_text("board.css")
    return environment.get_template("sweep.html").render(
        name=name,
        records=records,
        cells=cells,
        sections=sections,
        columns=COLUMNS[1:],
        rules=Markup(rules),
        rules_hash=policy_hash(rules),
    )
