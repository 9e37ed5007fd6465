"""Compat: which parts fit, first by what they declare, then by handing specs along on a tiny canned observation."""

from typing import Any

from pretask import Incompatible, PretaskError, Unknown
from pretask_registry import Registered, Registry, Row, build, exact_fit, matrix, why
from pretask_registry.canned import canned

from pretask_bench.tables import show_json


def fitting_rows(
    registry: Registry, split: str | None, objective: str | None, model: str | None
) -> list[dict[str, Any]]:
    """The matrix as plain rows, with the reason of every refusal."""
    return [described(row) for row in matrix(registry, split, objective, model)]


def described(row: Row) -> dict[str, Any]:
    """One row of the matrix, settled by the exact fit where declarations allow it."""
    reason = row.reason or exact_reason(row.modality, row.split, row.objective, row.model)
    return {
        "modality": row.modality,
        "split": row.split.id,
        "objective": row.objective.id,
        "model": row.model.id,
        "fits": not reason,
        "reason": reason or "",
    }


def exact_reason(modality: str, split: Registered, objective: Registered, model: Registered) -> str | None:
    """Why three parts do not fit a canned observation of the modality, at the small size that each declares."""
    try:
        parts = {part.kind: build(part, part.component.small) for part in (split, objective, model)}
        return exact_fit(parts["split"], parts["objective"], parts["model"], canned(modality))
    except PretaskError as error:
        return str(error)


def explain(registry: Registry, split: str | None, objective: str | None, model: str | None, as_json: bool) -> None:
    """Say whether three parts fit, the reason if not, and the nearest that do; raises Incompatible if not."""
    if not (split and objective and model):
        raise Unknown("--why needs --split, --objective and --model.")
    parts = registry.find("split", split), registry.find("objective", objective), registry.find("model", model)
    modalities = sorted(parts[0].component.traits["modality"])
    reasons = {each: why(registry, *parts, each) or exact_reason(each, *parts) for each in modalities}
    if as_json:
        show_json({"fits": None in reasons.values(), "reasons": reasons})
    elif None in reasons.values():
        print(f"{split} + {objective} + {model} fit.")
    if None not in reasons.values():
        raise Incompatible.because("\n".join(str(reason) for reason in reasons.values()))
