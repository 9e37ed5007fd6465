"""Given encoders: others that a trained one is held against, as `--reference` names them, by the same evaluators.

One of a run folder is taken whole, with its own model and what its own split shows of a sample; weights of a file or of
timm are put into the model of the run. The record names each by the hash of its weights.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pretask import Incompatible, Observed, Task
from pretask.encoder import Encoder
from pretask.initial import InitialWeights, match_weights
from pretask_registry import Registry

from pretask_bench.artifacts.load import find_folder, load_with
from pretask_bench.artifacts.save import find_tokenizer
from pretask_bench.artifacts.task_file import RECORD
from pretask_bench.records.encoders import name_given
from pretask_bench.runs.initial import SUFFIX, TIMM, read_initial, read_origin
from pretask_bench.runs.prepare import PreparedRun, build_encoder_without_memory
from pretask_bench.runs.unseen import require_unseen

OPTION = "--reference"


@dataclass(frozen=True, eq=False)
class GivenEncoder:
    """An encoder that was trained elsewhere.

    Args:
        name: Where it is from, for people.
        weights: Hash of its weights: of a run as its record has it, else of themselves.
        encoder: Of a run; None of weights alone.
        initial: Weights for the model of the run that is held against it; None of a run.
    """

    name: str
    weights: str
    encoder: Encoder | None = None
    initial: InitialWeights | None = None

    @property
    def label(self) -> str:
        """Its name in the rows of a record."""
        return name_given(self.weights)

    def as_task(self, prepared: PreparedRun, device: torch.device) -> Task:
        """Return the task with this encoder, to be measured."""
        if self.encoder is None:
            return replace(prepared, initial=self.initial).compose(device, begun=True)
        task = prepared.compose(device)
        return replace(task, split=self.encoder.split, model=self.encoder.model.to(device))


def read_given(registry: Registry, places: Iterable[str], prepared: PreparedRun) -> tuple[GivenEncoder, ...]:
    """Return the encoders that a user names, each once.

    Args:
        registry: Where the parts of runs are looked up.
        places: Run folders, records, files of weights or `timm`.
        prepared: The run that is held against them.

    Raises:
        PretaskError: One is not there, damaged or of another model, or cannot read what is measured on.
    """
    found: dict[str, GivenEncoder] = {}
    for place in places:
        require_unseen(OPTION, place, prepared.plan.build("data"))
        given = read_weights(place, prepared) if place == TIMM or place.endswith(SUFFIX) else read_run(registry, place)
        found.setdefault(given.label, given)
    for given in found.values():
        require_reads(given, prepared)
    return tuple(found.values())


def read_weights(place: str, prepared: PreparedRun) -> GivenEncoder:
    """Return the encoder of the run's model with weights of a file or of timm."""
    model: Any = build_encoder_without_memory(prepared.split, prepared.build_model, prepared.train)
    initial = read_initial(place, model, OPTION)
    match_weights(model.state_dict(), initial)  # raises where they are not the model's
    return GivenEncoder(initial.name, initial.origin, initial=initial)


def read_run(registry: Registry, place: str) -> GivenEncoder:
    """Return the encoder of a run."""
    folder = find_folder(Path(place))
    encoder = load_with(registry, folder)
    return GivenEncoder(folder.name, read_origin(folder / RECORD, encoder.model.state_dict()), encoder)


def require_reads(given: GivenEncoder, prepared: PreparedRun) -> None:
    """Raise Incompatible where an encoder cannot read what the evaluators use as the one of the run can."""
    encoder = given.encoder
    if encoder is None:
        return
    shown = prepared.evaluation_data("test").observed
    differing = [name for name in ("modality", "dtype", "vocabulary", "rate") if differs(name, encoder.observed, shown)]
    own, other = encoder.preparation.tokenizer, find_tokenizer(prepared.plan)
    if differing or own != other:
        what = " and ".join(differing) or "tokenizer"
        raise Incompatible(
            f"{OPTION} {given.name}",
            f"samples like those that it learned from ({describe(encoder.observed)})",
            f"others ({describe(shown)}), of another {what}",
            "Leave it out, or measure on data that both can read.",
        )
    encoder.model.features(encoder.split.whole_spec(shown))  # type: ignore[operator]


def differs(name: str, one: Observed, other: Observed) -> bool:
    """Return whether two kinds of samples differ in a field."""
    return bool(getattr(one, name) != getattr(other, name))


def describe(observed: Observed) -> str:
    """Return what samples are, in a few words."""
    tokens = "" if observed.vocabulary is None else f" of {observed.vocabulary.size} tokens"
    rate = "" if observed.rate is None else f" at {observed.rate:g} Hz"
    return f"{observed.modality}, {observed.dtype}{tokens}{rate}"
