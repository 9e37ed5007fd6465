"""What a latent variable model is worth as a density: bounds, importance-weighted log p(x), active units, and pictures.

Source: Burda, Grosse and Salakhutdinov, ICLR 2016; Cremer, Li and Duvenaud, ICML 2018.
Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, evaluator, hookimpl


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluator."""
    yield evaluator(
        "density",
        "pretask_plugins.evaluators.density.density:Density",
        needs="objective",
        summary="ELBO, importance-weighted log p(x), active units, amortisation gap; samples, manifold, traversals.",
        source="Burda et al. 2016; Cremer, Li and Duvenaud 2018",
        small={"codes": 20, "items": 16},
    )
