"""Initial weights: those of another run or library, with which an encoder begins instead of random ones."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pretask.checkpoint_content import Unsound, check_finite, describe
from pretask.composition import ModelFactory
from pretask.errors import PretaskError
from pretask.specs import InputSpec

MAX_PREFIXES = 32  # of the names of weights, that may be more or less than in a model


@dataclass(frozen=True)
class InitialWeights:
    """Weights to begin with.

    Args:
        name: Where they come from, for people.
        origin: Hash that names them in a record: that of the run that trained them, as its record has it, or their own.
        weights: By the names that they have there.
        option: By which a user names them, for errors.
    """

    name: str
    origin: str
    weights: Mapping[str, Tensor]
    option: str = "--init"


def begin_with(build_model: ModelFactory, initial: InitialWeights) -> ModelFactory:
    """Return what builds the same model with these weights; no random number is drawn less or more."""

    def build(spec: InputSpec, whole_spec: InputSpec, /) -> Any:
        network = build_model(spec, whole_spec)
        network.load_state_dict(match_weights(network.state_dict(), initial))
        return network

    return build


def match_weights(expected: Mapping[str, Tensor], initial: InitialWeights) -> dict[str, Tensor]:
    """Return the weights under a model's own names.

    Files name the same network as a whole or as part of another one: names may have a prefix, such as `module.`, that
    the model's have not, or lack one that these have. What the model has no place for, such as a classifier, is left.

    Raises:
        PretaskError: A weight of the model is missing, or has another shape.
    """
    best: set[str] = set(expected)
    for given in iterate_namings(expected, initial.weights):
        missing = expected.keys() - given.keys()
        if not missing:
            found = {name: given[name] for name in expected}
            check_shapes(expected, found, initial)
            return found
        best = min(best, missing, key=len)
    got = f"{len(best)} of {len(expected)} missing, such as {min(best)!r}" if best else "none"
    raise refuse("the weights of this model", got, initial)


def iterate_namings(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """Yield the given weights as they are named, and with one prefix less or more."""
    own = list_prefixes(expected)
    for less in ("", *list_prefixes(given)):
        taken = {name.removeprefix(less): value for name, value in given.items() if name.startswith(less)}
        for more in ("", *own):
            yield {more + name: value for name, value in taken.items()}


def list_prefixes(names: Iterable[str]) -> list[str]:
    """Return the first parts of names, the most frequent ones: a file may have as many as it has weights."""
    counts = Counter(name.partition(".")[0] + "." for name in names if "." in name)
    return sorted(prefix for prefix, _ in counts.most_common(MAX_PREFIXES))


def check_shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], initial: InitialWeights) -> None:
    """Raise PretaskError unless weights have the shapes of the model's, and are finite."""
    for key, value in found.items():
        if value.shape != expected[key].shape or value.is_floating_point() != expected[key].is_floating_point():
            raise refuse(f"{key} of {describe(expected[key])}", describe(value), initial)
        try:
            check_finite(key, value)
        except Unsound as error:
            raise refuse("finite weights", str(error), initial) from error


def refuse(needs: str, got: str, initial: InitialWeights) -> PretaskError:
    """Return the error of weights that are not the model's."""
    do = "Set the model and its options as they were there, such as --model and --set model.width."
    return PretaskError(f"{initial.option} {initial.name}", needs, got, do, exit_code=2)
