"""Latent variables: objectives that decode a target from a code, Gaussian or one of a codebook's entries.

Source: Kingma and Welling, ICLR 2014 (the bound, reparameterisation); Ranganath, Gerrish and Blei, AISTATS 2014 (score
function); Roeder, Wu and Duvenaud, NIPS 2017 (path derivative); Kingma et al., NIPS 2016 (free bits); Burda, Grosse and
Salakhutdinov, ICLR 2016 (K samples).
Differs: the bound is of one sample, a mean over the batch, where the paper writes (N / M) times a sum. Where x is not
all of t (a split that hides something), the code is made from x and the bound is one on log p(y), not on log p(y | x).
Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, Metric, hookimpl, objective
from pretask.metrics import FRACTION, LOSS

HERE = "pretask_plugins.objectives.vae"
NATS = Metric("nats", higher_is_better=False)
METRICS = {
    LOSS: NATS,  # of each of several targets: -log p(y | z)
    "negative_elbo": NATS,
    "reconstruction": NATS,
    "kl": Metric("nats"),  # what the code tells of x: neither much nor little is good by itself
    "active_units": Metric(),
    "accuracy": Metric(FRACTION, higher_is_better=True),
    "r2": Metric(higher_is_better=True),
}
QUANTIZED = {
    LOSS: NATS,
    "negative_elbo": NATS,
    "reconstruction": NATS,
    "kl": Metric("nats"),
    "commitment": Metric("error", higher_is_better=False),
    "perplexity": Metric("entries"),
    "accuracy": Metric(FRACTION, higher_is_better=True),
    "r2": Metric(higher_is_better=True),
}
SMALL = {"latent_dim": 3, "hidden": (16,)}


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the objectives."""
    yield objective(
        "elbo",
        f"{HERE}.elbo:Elbo",
        targets={"categories", "values"},
        bottleneck=True,
        metrics=METRICS,
        summary="ELBO: decode the target from a Gaussian code of x (Kingma and Welling 2014).",
        source="Kingma and Welling 2014",
        cites="kingma2014auto",
        small=SMALL,
    )
    yield objective(
        "iwae",
        f"{HERE}.iwae:Iwae",
        targets={"categories", "values"},
        bottleneck=True,
        metrics={**METRICS, "negative_iwae": NATS},
        summary="IWAE: importance-weighted bound on log p(y) with K codes (Burda 2016).",
        source="Burda, Grosse and Salakhutdinov 2016",
        cites="burda2016importance",
        small={**SMALL, "num_latents": 3},
    )
    yield objective(
        "vector-quantization",
        f"{HERE}.vector_quantization:VectorQuantization",
        targets={"categories", "values"},
        bottleneck=True,
        state={f"quantizers.{level}.{name}" for level in range(2) for name in ("codebook", "usage", "sums")},
        metrics=QUANTIZED,
        summary="Vector quantization: decode the target from entries of a codebook (van den Oord 2017).",
        source="van den Oord, Vinyals and Kavukcuoglu 2017; Razavi, van den Oord and Vinyals 2019",
        cites=("oord2017neural", "razavi2019generating"),
        small={"levels": 2, "codebook_size": 8, "code_dim": 4, "channels": 32},
    )
    yield objective(
        "black-box",
        f"{HERE}.black_box:BlackBox",
        targets={"categories", "values"},
        bottleneck=True,
        metrics={
            LOSS: NATS,
            "negative_elbo": NATS,
            "energy": NATS,
            "entropy": Metric("nats"),
        },
        summary="Black-box VI: fit q(z | x) to your own log p(y, z) by the score function (Ranganath 2014).",
        source="Ranganath, Gerrish and Blei 2014",
        cites="ranganath2014black",
        small={"latent_dim": 2, "num_latents": 3},
    )
