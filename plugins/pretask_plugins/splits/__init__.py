"""Generic splits: a mask generator says which part of t is hidden, one split hides and predicts it; and the identity.

Source: LeCun's "predict any part from any other part" as taught by Hu, DSC190 lecture 5 (2021); any-from-any after He
et al. 2022 (masked autoencoders), occluded-from-visible after Pathak et al. 2016 (context encoders).
Differs: what is hidden stays in its place in x, erased (gray, silence, the mask token), with `visible` saying so; a
model may skip it. Losses are the objective's business: no adversary, no overlap weighted more.
Axes: see the modules.

In the order of the data: masked_splits.py has the options, mask_generators.py draws masks, patches.py cuts t into
patches, masking.py hides and predicts; trivial_predictors.py, with fill.py and ridge.py, is what models must beat.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pretask import Component, hookimpl, split

FOLDER = "pretask_plugins.splits"
SOURCE = "Hu 2021, after LeCun"
KINDS = {"image": {"values"}, "video": {"values"}, "audio": {"values"}, "text": {"categories"}}
IN_TIME = {modality: kinds for modality, kinds in KINDS.items() if modality != "image"}
IN_SPACE = {modality: KINDS[modality] for modality in ("image", "video")}
SMALL: Mapping[str, Any] = {"patch": 8, "frame": 250}


def declare_masked(
    name: str, kinds: Mapping[str, set[str]], summary: str, source: str = SOURCE, cites: str | tuple[str, ...] = ()
) -> Component:
    """Return the declaration of a masked split, whose function has its name."""
    return split(
        name,
        f"{FOLDER}.masked_splits:{name.replace('-', '_')}",
        modality=tuple(kinds),
        targets=kinds,
        views=None,
        summary=summary,
        source=source,
        cites=cites,
        small=SMALL,
    )


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the identity and the six masked splits."""
    yield split(
        "whole",
        f"{FOLDER}.whole:Whole",
        modality=tuple(KINDS),
        targets=KINDS,
        views=None,
        hidden=False,
        summary="Identity: reconstruct the whole input through a bottleneck.",
        source="Kingma and Welling 2014",
        cites="kingma2014auto",
        small={"frame": 250},
    )
    yield declare_masked(
        "any-from-any",
        KINDS,
        "Masked autoencoding: predict random patches from the rest (He 2022).",
        "He et al. 2022",
        "he2022masked",
    )
    yield declare_masked("future-from-past", IN_TIME, "Prediction: all that comes after a boundary from all before it.")
    yield declare_masked(
        "future-from-recent-past", IN_TIME, "Prediction: a window after a boundary, from a window before it."
    )
    yield declare_masked(
        "past-from-present", IN_TIME, "Retrodiction: a window before a boundary, from a window after it."
    )
    yield declare_masked("top-from-bottom", IN_SPACE, "Completion: predict one half of an image from the other half.")
    yield declare_masked(
        "occluded-from-visible",
        KINDS,
        "Inpainting: predict a hidden block from what is around it (Pathak 2016).",
        "Pathak et al. 2016",
        "pathak2016context",
    )
