"""Objectives that compare: what belongs together is drawn together, against all else in the batch.

Axes: see the modules.
"""

from collections.abc import Iterator

import pretask


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the objective."""
    yield pretask.objective(
        "info-nce",
        "pretask_plugins.contrastive.info_nce:InfoNce",
        targets={"agreement"},
        summary="Which of all views in the batch belongs to this one? Over all ranks, with any number of positives.",
        source="van den Oord, Li and Vinyals 2018; Chen, Kornblith, Norouzi and Hinton 2020; Khosla et al. 2020",
        small={"hidden": (16,), "dimensions": 8},
    )
