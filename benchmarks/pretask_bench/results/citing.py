"""Citing: BibTeX of exactly what records are of, which `pretask cite`, the card for a hub and the board show."""

from collections.abc import Iterable
from dataclasses import replace

from pretask.errors import PretaskError
from pretask.printable import escape_invisible
from pretask_registry import Registered, Registry
from pretask_registry.citations import Citation, collect_citations

from pretask_bench.records.cell import Cell


def cite_cells(registry: Registry, cells: Iterable[Cell]) -> Citation:
    """Return what is to be cited for cells; what is not installed here is among what is missing."""
    found: list[Registered] = []
    absent: list[str] = []
    for kind, name in dict.fromkeys(named for cell in cells for named in name_components(cell)):
        try:
            found.append(registry.find(kind, name))
        except PretaskError:
            absent.append(f"{kind} {name}: not installed here")
    citation = collect_citations(found)
    return replace(citation, missing=(*citation.missing, *absent))


def name_components(cell: Cell) -> list[tuple[str, str]]:
    """Return kind and id of what a cell is made of, in the order of data, split, model, objective and evaluators."""
    named = [("task", cell.task)] if cell.task else []
    named += [(kind, getattr(cell, kind).id) for kind in ("data", "split", "model", "objective")]
    named += [("data", cell.evaluated_on.id)] if cell.evaluated_on else []
    return [*named, *(("evaluator", evaluator) for evaluator in cell.evaluators)]


def write_bibtex(citation: Citation) -> str:
    """Return the entries as a BibTeX file, each below what it is of."""
    blocks = [f"% {', '.join(citation.used_by[key])}\n{entry}\n" for key, entry in citation.entries.items()]
    return "\n".join("\n".join(map(escape_invisible, block.split("\n"))) for block in blocks)
