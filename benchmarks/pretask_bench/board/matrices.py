"""Matrices: which splits, objectives and models fit each other, one table for each modality.

A cell of a table is the number of models that fit a split with an objective, of all that were tried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pretask_bench.records.ids import short_name

Fits = Sequence[Mapping[str, Any]]  # modality, split, objective, model, fits


@dataclass(frozen=True)
class FittingModels:
    """The models that fit a split with an objective.

    Args:
        models: Names of those that fit.
        tried: How many there are.
    """

    models: tuple[str, ...]
    tried: int

    @property
    def kind(self) -> str:
        """Whether all models fit, some, or none."""
        return "none" if not self.models else "all" if len(self.models) == self.tried else "some"


@dataclass(frozen=True)
class Matrix:
    """Which models fit each split and objective of one modality.

    Args:
        modality: Modality of the data.
        objectives: Full ids, the columns.
        rows: Full id of a split, and its cells.
    """

    modality: str
    objectives: tuple[str, ...]
    rows: tuple[tuple[str, tuple[FittingModels, ...]], ...]


def matrices(fits: Fits) -> list[Matrix]:
    """Return a matrix for every modality, without splits and objectives that fit nothing."""
    return [matrix([fit for fit in fits if fit["modality"] == name], name) for name in part_names(fits, "modality")]


def matrix(fits: Fits, modality: str) -> Matrix:
    """Return the matrix of one modality."""
    fitting = [fit for fit in fits if fit["fits"]]
    objectives = part_names(fitting, "objective")
    by_pair: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for fit in fits:
        by_pair.setdefault((fit["split"], fit["objective"]), []).append(fit)
    rows = tuple(
        (split, tuple(fitting_models(by_pair.get((split, objective), [])) for objective in objectives))
        for split in part_names(fitting, "split")
    )
    return Matrix(modality, objectives, rows)


def fitting_models(fits: Fits) -> FittingModels:
    """Return the cell of one split and one objective."""
    return FittingModels(tuple(sorted(short_name(fit["model"]) for fit in fits if fit["fits"])), len(fits))


def part_names(fits: Fits, part: str) -> tuple[str, ...]:
    """Return every id of a part, sorted."""
    return tuple(sorted({fit[part] for fit in fits}))
