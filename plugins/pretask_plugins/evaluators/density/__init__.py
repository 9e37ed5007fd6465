"""Latent variable models as densities: bounds, importance-weighted log p(x), active units, and pictures.

Source: Burda, Grosse and Salakhutdinov, ICLR 2016; Cremer, Li and Duvenaud, ICML 2018.
Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, evaluator, hookimpl

LOG_DENSITY = Metric("nats", higher_is_better=True)
GAP = Metric("nats", higher_is_better=False)


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluator."""
    yield evaluator(
        "density",
        "pretask_plugins.evaluators.density.density:Density",
        needs="objective",
        metrics={
            "elbo": LOG_DENSITY,
            "iwae": LOG_DENSITY,
            "reconstruction_log_likelihood": LOG_DENSITY,
            "kl": Metric("nats"),  # what the code tells of x: neither much nor little is good by itself
            "amortization_gap": GAP,
            "approximation_gap": GAP,
            "active_units": Metric(),
            "test_size": Metric("samples"),
        },
        headline="elbo",
        summary="Density: ELBO, importance-weighted log p(x), active units, pictures (Burda 2016).",
        source="Burda et al. 2016; Cremer, Li and Duvenaud 2018",
        cites=("burda2016importance", "cremer2018inference"),
        small={"num_latents": 20, "test_size": 16, "gap_size": 4, "gap_steps": 2},
    )
