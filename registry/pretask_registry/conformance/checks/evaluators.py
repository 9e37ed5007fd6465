"""What every evaluator promises: it measures and changes nothing, and learns from the training part alone.

Axes: N test samples.
"""

import math
from dataclasses import replace

import torch
from pretask import Choice, Component, Figure, Items
from pretask.metrics import find_metric

from pretask_registry.conformance import ambient
from pretask_registry.conformance.check import Inapplicable, Skip, check, require
from pretask_registry.conformance.evaluating import (
    Yielded,
    broadcast_rows,
    choices,
    items,
    numbers,
    plant_classes,
    poison_rows,
    relabel,
)
from pretask_registry.conformance.kinds import EvaluatorCase
from pretask_registry.conformance.tensors import copy_parameters, describe_difference

CLOSE = 1e-3  # of numbers around 1
ROUNDING = 1e-6  # of a mean in float32
ERRORS = 4.0  # standard errors that a score may lie above what chance gives
FOUND = 0.8  # of two classes on two sides of a line
NOISES = 3  # draws of noise labels that a headline is averaged over, since a few test samples say little
PNG = b"\x89PNG"


@check("evaluator")
def yields_names_with_numbers(case: EvaluatorCase) -> None:
    """Check that it yields pairs of name and finite number, items (a bool per tested thing), a choice or a figure.

    Items that share the name of a number are what it was counted from: it is their mean.
    """
    yielded = case.tried.yielded
    require(numbers(yielded), "An evaluator must yield at least one number; it yielded none.")
    for name, value in yielded:
        require(isinstance(name, str) and name, f"Every yielded name must be text; {name!r} came.")
        if isinstance(value, Items):
            fits = value.correct.dtype == torch.bool and value.correct.ndim == 1
            require(fits, f"The items of '{name}' must be bools in one line; they are {value.correct.dtype}.")
        elif isinstance(value, Figure):
            require(value.png.startswith(PNG) and value.caption, f"The figure '{name}' must be a PNG with a caption.")
        elif isinstance(value, Choice):
            require(isinstance(value.value, str) and value.value, f"The choice '{name}' must be a name; {value} came.")
        else:
            wanted = f"'{name}' must be a number, Items, a Choice or a Figure; {value!r} came."
            require(isinstance(value, int | float), wanted)
            require(math.isfinite(value), f"'{name}' must be finite; {value} came.")
    known = numbers(yielded)
    for name, correct in items(yielded).items():
        share = float(correct.double().mean())
        counted = name not in known or math.isclose(known[name], share, abs_tol=ROUNDING)
        require(counted, f"'{name}' must be the mean of its items, {share:.6g}; {known.get(name, math.nan):.6g} came.")


@check("evaluator")
def numbers_are_as_declared(case: EvaluatorCase) -> None:
    """Check that whoever declares metrics declares all of its numbers, and yields the headline, whose direction is."""
    declared, headline = case.component.traits["metrics"], case.component.traits["headline"]
    if not declared:
        raise Inapplicable("It declares no metrics: its numbers are shown, and none is called better than another.")
    yielded = numbers(case.tried.yielded)
    unknown = [name for name in yielded if find_metric(declared, name) is None]
    require(not unknown, f"Every number must be declared, so that its unit is known; {', '.join(unknown)} is not.")
    if headline:
        require(headline in yielded, f"The headline '{headline}' must be yielded; {', '.join(yielded)} came.")
        metric = find_metric(declared, headline)
        directed = metric is not None and metric.higher_is_better is not None
        require(directed, f"The headline '{headline}' must be declared as better when higher, or when lower.")


@check("evaluator")
def task_is_left_as_it_was(case: EvaluatorCase) -> None:
    """Check that weights, running statistics and training mode of the task and ambient generators stay as they were."""
    task = case.tried.task
    before = copy_parameters(*task.networks.values())
    moved = run_again(case)[1]
    change = describe_difference(before, copy_parameters(*task.networks.values()), 0.0)
    require(not change, f"An evaluator must leave the weights alone; afterwards, {change}.")
    require(task.model.training, "An evaluator must leave the training mode as it was; afterwards, it is off.")
    require(not moved, f"An evaluator must draw by its budget's seed; it moved the generator of {moved}.")


@check("evaluator")
def same_seed_same_numbers(case: EvaluatorCase) -> None:
    """Check that, measured again with the same seed, all numbers are the same, whatever the ambient seed."""
    ours, theirs = numbers(case.tried.yielded), numbers(run_again(case)[0])
    require(ours.keys() == theirs.keys(), f"The same numbers must come again; {sorted(ours.keys() ^ theirs.keys())}.")
    for name, value in ours.items():
        same = math.isclose(value, theirs[name], rel_tol=CLOSE, abs_tol=CLOSE)
        require(same, f"'{name}' must be the same again; {value:.6g} and {theirs[name]:.6g} came.")


def run_again(case: EvaluatorCase) -> tuple[Yielded, str]:
    """Measure the task once more, in training mode under another ambient seed, and name the generators that moved.

    It is remembered for the next check.
    """
    known: tuple[Yielded, str] | None = case.memory.get("second_run")
    if known is None:
        case.tried.task.model.train()
        ambient.seed_everything(5)
        before = ambient.read_states()
        known = case.memory["second_run"] = (case.tried.measure_again(), ambient.name_moved(before))
    return known


def find_correct(case: EvaluatorCase, yielded: Yielded) -> torch.Tensor:
    """Return what was correct, of every test sample or of every labeled position.

    Raises:
        Inapplicable: The evaluator yields nothing of that kind.
    """
    found = next(iter(items(yielded).values()), None)
    if found is None:
        raise Inapplicable(
            "It yields no items that are right or wrong: it fits nothing to labels that could be learned."
        )
    sizes = {int((labels.value >= 0).sum()) for labels in case.tried.data.test.labels.values()}
    if len(found) not in sizes:
        raise Inapplicable(f"Its {len(found)} items are neither the labeled test samples nor their labeled positions.")
    return found


def scores(case: EvaluatorCase, yielded: Yielded) -> dict[str, float]:
    """Return the accuracies that it yields, else the number that it declares as its headline.

    Raises:
        Skip: There is neither.
        Inapplicable: There is nothing to learn from.
    """
    every, headline = numbers(yielded), case.component.traits["headline"]
    found = {name: value for name, value in every.items() if "accuracy" in name}
    found = found or {name: value for name, value in every.items() if headline and name == headline}
    if not found:
        raise Skip("It yields no accuracy and no number of the name that it declares as its headline.")
    if not case.tried.data.test.labels:
        raise Inapplicable("What it measures has no labels.")
    return found


def score_headline(case: EvaluatorCase) -> tuple[float, float] | None:
    """Return its headline where labels are noise, and where features tell them; None for what yields accuracies.

    Classes are the same two in both, since nobody knows the chance level of a number that is no accuracy.

    Raises:
        Skip: It is declared neither as better when higher nor when lower.
        Inapplicable: Labels make no difference to it.
    """
    name, value = next(iter(scores(case, case.tried.yielded).items()))
    if "accuracy" in name:
        return None
    metric = find_metric(case.component.traits["metrics"], name)
    if metric is None or metric.higher_is_better is None:
        raise Skip(f"'{name}' is declared neither as better when higher nor when lower.")
    known = case.memory.get("headline")
    if known is None:
        clear = plant_classes(case.tried)
        noises = [
            replace(clear, train=relabel(clear.train, f"noise {number}"), test=relabel(clear.test, f"other {number}"))
            for number in range(NOISES)
        ]
        measured = [scores(case, case.tried.measure_again(data))[name] for data in (*noises, clear)]
        known = case.memory["headline"] = (sum(measured[:-1]) / NOISES, measured[-1])
    blind = math.isclose(known[0], known[1]) and math.isclose(known[0], value)
    if blind and not scores_labels(case):
        raise Inapplicable(f"'{name}' does not depend on the labels of samples or positions.")
    return (known[0], known[1]) if metric.higher_is_better else (-known[0], -known[1])


def is_of_encoders(component: Component) -> bool:
    """Return whether an evaluator measures the encoder, as those do that learn from labels."""
    return bool(component.traits["needs"] == "encoder")


@check("evaluator", when=is_of_encoders)
def test_part_teaches_nothing(case: EvaluatorCase) -> None:
    """Check that other content and labels in half of the test rows change no result of the other half, no choice."""
    data, ours = case.tried.data, case.tried.yielded
    one, rows = find_correct(case, ours), torch.arange(len(data.test)) % 2 > 0
    theirs = case.tried.measure_again(replace(data, test=poison_rows(data.test, rows)))
    other, kept = find_correct(case, theirs), find_untouched(case, rows, len(one))
    wrong = int((one[kept] != other[kept]).sum())
    require(not wrong, f"The test part must teach nothing; {wrong} of {int(kept.sum())} untouched items changed.")
    for name, value in choices(ours).items():
        same = choices(theirs).get(name) == value
        require(same, f"'{name}' must be chosen without the test part; other test rows changed it.")


def find_untouched(case: EvaluatorCase, rows: torch.Tensor, count: int) -> torch.Tensor:
    """Return which of so many items belong to rows that were left alone."""
    for labels in case.tried.data.test.labels.values():
        where = labels.value >= 0
        if int(where.sum()) == count:
            return ~broadcast_rows(rows, where).expand_as(where)[where]
    return ~rows


def scores_labels(case: EvaluatorCase) -> bool:
    """Return whether its items are the labelled test samples or positions, one for each."""
    sizes = {int((labels.value >= 0).sum()) for labels in case.tried.data.test.labels.values()}
    return any(len(correct) in sizes for correct in items(case.tried.yielded).values())


def check_read(case: EvaluatorCase, found: dict[str, float]) -> None:
    """Raise Inapplicable where labels make no difference to any accuracy, and these are not of labeled samples."""
    if not scores_labels(case) and found == scores(case, case.tried.yielded):
        raise Inapplicable("Its accuracies do not depend on the labels of samples or positions.")


@check("evaluator", when=is_of_encoders)
def noise_scores_at_chance(case: EvaluatorCase) -> None:
    """Check that where labels have nothing to do with the samples, no score is better than it may be."""
    data = case.tried.data
    if (headline := score_headline(case)) is not None:
        noise, clear = headline
        kept = f"Labels of noise must score worse than labels that features tell; {noise:.3g} and {clear:.3g} came."
        require(noise < clear, kept)
        return
    noise = replace(data, train=relabel(data.train, "noise"), test=relabel(data.test, "other noise"))
    chance = 1 / min(len(labels.names) for labels in data.train.labels.values())
    most = chance + ERRORS * math.sqrt(chance * (1 - chance) / len(data.test))
    found = scores(case, case.tried.measure_again(noise))
    check_read(case, found)
    for name, value in found.items():
        require(value <= most, f"Labels of noise must score at chance, {most:.2f} at most; '{name}' is {value:.2f}.")


@check("evaluator", when=is_of_encoders)
def clear_signal_is_found(case: EvaluatorCase) -> None:
    """Check that two classes that a line can tell apart in the encoder's features are told apart."""
    if (headline := score_headline(case)) is not None:
        check_headline(case, *headline)
        return
    found = scores(case, case.tried.measure_again(plant_classes(case.tried)))
    check_read(case, found)
    best = max(found.values())
    require(best >= FOUND, f"Classes on two sides of a line must be found, {FOUND} at least; {best:.2f} came.")


def check_headline(case: EvaluatorCase, noise: float, clear: float) -> None:
    """Raise Failure unless clear classes bring a fraction a third of the way from that of noise to its best."""
    metric = find_metric(case.component.traits["metrics"], case.component.traits["headline"])
    if metric is None or not metric.is_fraction:
        raise Inapplicable("Its headline is no fraction, so nothing says how much better clear classes must score.")
    best = 1.0 if metric.higher_is_better else 0.0
    came = f"{abs(clear):.2f} came, and {abs(noise):.2f} for labels of noise"
    require(clear - noise >= (best - noise) / 3, f"Classes on two sides of a line must be found; {came}.")
