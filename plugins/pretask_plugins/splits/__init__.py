"""Generic splits: a mask law says which part of t is hidden, one engine hides it and asks for it; and the identity.

Source: LeCun's "predict any part from any other part" as taught by Hu, DSC190 lecture 5 (2021); any-from-any after He
et al. 2022 (masked autoencoders), occluded-from-visible after Pathak et al. 2016 (context encoders).
Differs: what is hidden stays in its place in x, erased (grey, silence, the mask token), with `visible` saying so; a
model may skip it. Losses are the objective's business: no adversary, no overlap weighted more.
Axes: see the modules.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pretask import Component, hookimpl, split

HERE = "pretask_plugins.splits"
SOURCE = "Hu 2021, after LeCun"
KINDS = {"image": {"values"}, "video": {"values"}, "audio": {"values"}, "text": {"categories"}}
IN_TIME = {modality: kinds for modality, kinds in KINDS.items() if modality != "image"}
IN_ROWS = {modality: KINDS[modality] for modality in ("image", "video")}
SMALL: Mapping[str, Any] = {"patch": 8, "frame": 250}


def hiding(name: str, law: str, kinds: Mapping[str, set[str]], summary: str, source: str = SOURCE) -> Component:
    """The declaration of one mask law."""
    return split(
        name,
        f"{HERE}.mask_generators:{law}",
        modality=tuple(kinds),
        targets=kinds,
        views=None,
        summary=summary,
        source=source,
        small=SMALL,
    )


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the identity and the six."""
    yield split(
        "whole",
        f"{HERE}.whole:Whole",
        modality=tuple(KINDS),
        targets=KINDS,
        views=None,
        hidden=False,
        summary="Can t be told from what little passes a bottleneck? Nothing is hidden.",
        source="Kingma and Welling 2014",
        small={"frame": 250},
    )
    yield hiding("any-from-any", "AnyFromAny", KINDS, "What was in the pieces that are missing?", "He et al. 2022")
    yield hiding("future-from-past", "FutureFromPast", IN_TIME, "What comes next, given all that came before?")
    yield hiding(
        "future-from-recent-past", "FutureFromRecentPast", IN_TIME, "What comes next, given only what came just before?"
    )
    yield hiding("past-from-present", "PastFromPresent", IN_TIME, "What came just before this?")
    yield hiding("top-from-bottom", "TopFromBottom", IN_ROWS, "What is above the lower half?")
    yield hiding(
        "occluded-from-visible", "Occluded", KINDS, "What is behind the block in the way?", "Pathak et al. 2016"
    )
