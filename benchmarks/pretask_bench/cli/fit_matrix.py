"""Fit matrix: which parts fit, by what they declare, then by a step of training on tiny canned data."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pretask import Incompatible, Unknown
from pretask_registry import Registered, Registry, Row, build_matrix, explain_misfit, explain_trial
from pretask_registry.fit import Block, iterate_blocks

from pretask_bench.results.tables import show_json

NONE = "·"  # where nothing fits


def fitting_rows(
    registry: Registry, split: str | None, objective: str | None, model: str | None, *, exact: bool = True
) -> list[dict[str, Any]]:
    """Return the matrix as plain rows, with the reason of every refusal: for `--json` and the board's page.

    Args:
        registry: Where the parts are.
        split: Only this one.
        objective: Only this one.
        model: Only this one.
        exact: Whether what may fit by what it declares is tried on tiny data; that imports torch and the parts.
    """
    return [row_json(row, exact) for row in build_matrix(registry, split, objective, model)]


def row_json(row: Row, exact: bool = True) -> dict[str, Any]:
    """Return one row of the matrix, decided by a trial where that is wanted and declarations allow it."""
    fill_options = exact and not row.reason
    reason = explain_trial(row.modality, row.split, row.objective, row.model) if fill_options else row.reason
    return {
        "modality": row.modality,
        "split": row.split.id,
        "objective": row.objective.id,
        "model": row.model.id,
        "fits": not reason,
        "reason": reason or "",
    }


@dataclass(frozen=True)
class Table:
    """The matrix of one modality by what parts declare.

    Args:
        title: Names the modality and counts.
        columns: `split`, then the objectives that fit something.
        cells: A row for each split that fits something: with how many of all models it and the objective fit.
    """

    title: str
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]


def modality_tables(registry: Registry) -> list[Table]:
    """Return one table for every modality, in alphabetical order."""
    found: dict[str, list[Block]] = {}
    for block in iterate_blocks(registry):
        found.setdefault(block.modality, []).append(block)
    return [modality_table(modality, found[modality], registry) for modality in sorted(found)]


def modality_table(modality: str, blocks: list[Block], registry: Registry) -> Table:
    """Return the table of the blocks of one modality."""
    shown = [block for block in blocks if block.fitting]
    objectives = list(dict.fromkeys(objective.id for block in shown for objective in select_fitting(block.objectives)))
    names = {objective.id: registry.shortest_name(objective) for block in shown for objective, _ in block.objectives}
    cells = tuple((registry.shortest_name(block.split), *count_models(block, objectives)) for block in shown)
    total = sum(len(block.objectives) * len(block.models) for block in blocks)
    title = f"{modality}: {sum(block.fitting for block in blocks)} of {total} combinations fit, by what they declare"
    return Table(title, ("split", *(names[objective] for objective in objectives)), cells)


def count_models(block: Block, objectives: Iterable[str]) -> list[str]:
    """Return for every objective with how many of all models the split and it fit."""
    scored = {objective.id for objective in select_fitting(block.objectives)}
    read = f"{len(select_fitting(block.models))}/{len(block.models)}"
    return [read if objective in scored else NONE for objective in objectives]


def select_fitting(pairs: Iterable[tuple[Registered, str]]) -> list[Registered]:
    """Return the components without a reason against them."""
    return [component for component, reason in pairs if not reason]


def explain(registry: Registry, split: str | None, objective: str | None, model: str | None, as_json: bool) -> None:
    """Print whether three parts fit, the reason if not, and the nearest that do; raises Incompatible if not."""
    if not (split and objective and model):
        raise Unknown("--why needs --split, --objective and --model.")
    parts = registry.find("split", split), registry.find("objective", objective), registry.find("model", model)
    modalities = sorted(parts[0].component.traits["modality"])
    reasons = {
        modality: explain_misfit(registry, *parts, modality) or explain_trial(modality, *parts)
        for modality in modalities
    }
    if as_json:
        show_json({"fits": None in reasons.values(), "reasons": reasons})
    elif None in reasons.values():
        print(f"{split} + {objective} + {model} fit.")
    if None not in reasons.values():
        raise Incompatible("\n".join(str(reason) for reason in reasons.values()))
