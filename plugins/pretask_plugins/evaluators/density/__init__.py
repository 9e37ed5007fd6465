"""Latent variable models: bounds and importance-weighted log p(x), what codes tell, and what lies between them.

Source: Burda, Grosse and Salakhutdinov, ICLR 2016; Cremer, Li and Duvenaud, ICML 2018; Hoffman and Johnson 2016; Bowman
et al., CoNLL 2016.
Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, evaluator, hookimpl
from pretask.metrics import FRACTION

HERE = "pretask_plugins.evaluators.density"
LOG_DENSITY = Metric("nats", higher_is_better=True)
GAP = Metric("nats", higher_is_better=False)
DISTANCE = Metric("squared distance", higher_is_better=False)


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the evaluators."""
    yield evaluator(
        "density",
        f"{HERE}.density:Density",
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
    yield evaluator(
        "posterior",
        f"{HERE}.posterior:PosteriorEvaluator",
        needs="objective",
        metrics={
            "mutual_information": LOG_DENSITY,
            "kl": Metric("nats"),
            "aggregate_kl": GAP,
            "active_units": Metric(),
            "permutation_cost": LOG_DENSITY,
            "log_size": Metric("nats"),
        },
        headline="mutual_information",
        summary="Posterior: what codes tell of data, active units, distance to the prior (Hoffman 2016).",
        source="Hoffman and Johnson 2016; He et al. 2019",
        cites=("hoffman2016elbo", "he2019lagging"),
        small={"test_size": 32},
    )
    yield evaluator(
        "interpolation",
        f"{HERE}.interpolation:Interpolation",
        needs="objective",
        modality="text",
        metrics={
            "similarity": Metric(FRACTION, higher_is_better=True),
            "neighbor_distance": Metric("tokens"),
            "end_distance": Metric("tokens"),
            "distinct": Metric(FRACTION),
            "grammatical": Metric(FRACTION, higher_is_better=True),
        },
        headline="similarity",
        summary="Interpolation: sentences between the codes of two, and from the prior (Bowman 2016).",
        source="Bowman et al. 2016",
        cites="bowman2016generating",
        small={"num_paths": 3, "num_points": 3, "num_samples": 5},
    )
    yield evaluator(
        "image-generation",
        f"{HERE}.image_generation:ImageGeneration",
        needs="objective",
        modality="image",
        metrics={
            "frechet": DISTANCE,
            "kernel": DISTANCE,
            "nearest": Metric("rms"),  # near is good, but nearer than test images are is a copy
        },
        headline="frechet",
        summary="Image generation: Frechet and kernel distances of samples, nearest images (Heusel 2017).",
        source="Heusel et al. 2017; Binkowski et al. 2018",
        cites=("heusel2017gans", "binkowski2018demystifying"),
        small={"num_samples": 16, "search_size": 16},
    )
    yield evaluator(
        "latent-linear",
        f"{HERE}.latent_linear:LatentLinear",
        needs="objective",
        metrics={
            "accuracy": Metric(FRACTION, higher_is_better=True),
            "balanced_accuracy": Metric(FRACTION, higher_is_better=True),
            "majority": Metric(FRACTION, trivial_for="accuracy", title="most frequent class"),
        },
        headline="accuracy",
        summary="Latent linear: linear probe on means of codes, beside as many principal components.",
        source="Kornblith, Shlens and Le 2019",
        cites="kornblith2019better",
    )
