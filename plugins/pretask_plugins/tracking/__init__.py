"""Following things through a clip: an objective that points at where a label comes from, and an evaluator that does so.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, evaluator, hookimpl, objective


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the objective and the evaluator."""
    yield objective(
        "pointer",
        "pretask_plugins.tracking.pointer:Pointer",
        targets={"reference"},
        summary="From where is the label? Points at given positions whose vectors are alike and copies theirs.",
        source="Vondrick et al. 2018; Vinyals, Fortunato and Jaitly 2015",
        small={"width": 8},
    )
    yield evaluator(
        "tracking",
        "pretask_plugins.tracking.tracking:Tracking",
        modality="video",
        summary="The first mask is given; how well do frozen features carry it through the clip? J and F of DAVIS.",
        version=2,  # 1 named the items of whole tracks after J&F
        source="Perazzi et al. 2016 (J and F); Jabri, Owens and Efros 2020 (propagation)",
    )
