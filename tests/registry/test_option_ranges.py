"""Ranges of options: what lies outside is refused by one line before anything is built, whatever the component."""

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from pretask import (
    AnyInt,
    Fraction,
    FractionBelowOne,
    InnerFraction,
    Interval,
    PositiveFloat,
    PositiveInt,
    PretaskError,
    Recipe,
    Size,
)
from pretask.options import describe_range, find_outside, iterate_number_types, read_interval
from pretask_bench.runs.plan import parse_setting
from pretask_registry import Registered, Registry, build, import_implementation, read_component_options, read_options
from pretask_registry.conformance.checks.options import fill_required, make_value
from pretask_registry.options import Option, coerce, describe, fill_options
from pretask_registry.resolve import fill_component_options, option_prefix

BUILT_INS = [
    registered
    for kind in ("data", "split", "model", "objective", "evaluator")
    for registered in Registry.load().current(kind)
]
EXTREMES = (-1, 0, 10**12, math.nan, math.inf, -math.inf)


def refuse(options: dict[str, Option], **given: Any) -> PretaskError:
    with pytest.raises(PretaskError) as caught:
        fill_options("cut", "split", options, given)
    assert caught.value.exit_code == 2
    return caught.value


def test_a_number_out_of_range_is_refused_with_its_default_wherever_it_stands() -> None:
    options = {
        "patch": Option(96, Size),
        "widths": Option((16, 32), tuple[PositiveInt, ...]),
        "limit": Option(None, PositiveFloat | None),
        "hidden": Option((), tuple[Size, ...]),
        "sides": Option((4, 4), tuple[Size, Size] | Literal["all"]),
    }
    assert str(refuse(options, patch="0")) == (
        "cut needs split.patch of 1 or more; got 0. Set split.patch to 1 or more; it is 96 if left out."
    )
    assert str(refuse(options, patch=1e12)) == (
        "cut needs split.patch from 1 to 1048576; got 1000000000000. Set split.patch to 1048576 or less; "
        "it is 96 if left out."
    )
    assert str(refuse(options, widths="8,-1")) == (
        "cut needs split.widths of 1 or more; got (8, -1). Set split.widths to 1 or more; it is 16,32 if left out."
    )
    assert str(refuse(options, hidden="0")).endswith("got (0,). Set split.hidden to 1 or more.")
    assert str(refuse(options, limit=0)) == "cut needs split.limit above 0; got 0.0. Set split.limit above 0."
    assert "got 0 among its values" in str(refuse(options, widths=(*range(1, 99), 0)))
    assert "got (0, 4)" in str(refuse(options, sides="0,4"))
    assert fill_options("cut", "split", options, {"limit": "none", "sides": "all", "widths": ""}) == {
        "patch": 96,
        "widths": (),
        "limit": None,
        "hidden": (),
        "sides": "all",
    }


@pytest.mark.parametrize(
    ("annotation", "inside", "outside", "words"),
    [
        (PositiveInt, (1, 10**15), (0, -1), "a whole number of 1 or more"),
        (AnyInt, (-(2**62), 2**62), (), "a whole number"),
        (Fraction, (0.0, 1.0), (-0.1, 1.1, math.nan), "a number from 0 to 1"),
        (FractionBelowOne, (0.0, 0.999), (1.0,), "a number from 0 to below 1"),
        (InnerFraction, (0.5,), (0.0, 1.0), "a number above 0 and below 1"),
        (PositiveFloat, (1e-300,), (0.0, math.inf), "a number above 0"),
        (Annotated[float, Interval(le=3)], (-9.0, 3), (3.5,), "a number of 3 or less"),
        (Size | None, (None, 1), (0,), "a whole number of 1 or more or none"),
        (Annotated[int, Interval(ge=2), Interval(le=4)], (2, 4), (1, 5), "a whole number from 2 to 4"),
    ],
)
def test_a_range_holds_its_ends_as_it_says(annotation: Any, inside: Any, outside: Any, words: str) -> None:
    assert [find_outside(value, annotation) for value in inside] == [None] * len(inside)
    assert all(find_outside(value, annotation) for value in outside)
    assert describe(annotation) == words
    assert coerce(inside[0], annotation) == inside[0]


def test_fields_of_the_recipe_are_checked_before_it_is_made() -> None:
    with pytest.raises(PretaskError, match=r"recipe\.momentum from 0 to below 1; got 1\.0\. .* 0\.9 if left out"):
        fill_options("the recipe", "recipe", read_options(Recipe, by_keyword=False), {"momentum": "1"})


@pytest.mark.parametrize("registered", BUILT_INS, ids=lambda registered: f"{registered.kind}-{registered.name}")
def test_every_number_of_ours_is_in_its_declared_range_or_refused_in_one_line(registered: Registered) -> None:
    options = read_component_options(registered)
    others = {**fill_required(options), **registered.component.small}
    implementation = import_implementation(registered)
    for name, option in options.items():
        intervals = [read_interval(kind) for kind in iterate_number_types(option.annotation)]
        assert None not in intervals, f"{registered.id} {name}"
        for number in EXTREMES if intervals else ():
            value = make_value(option.annotation, number)
            filled, refusal = attempt(fill_component_options, registered, implementation, {**others, name: value})
            if filled is None:
                assert re.fullmatch(rf"2: .*\b{option_prefix(registered)}\.{name} .*", refusal)
                continue
            assert find_outside(filled[name], option.annotation) is None
            assert accepts(intervals, number), f"{registered.id} {name} {number}"
            assert "\n" not in attempt(build, registered, {**others, name: value})[1]


def accepts(intervals: list[Any], number: float) -> bool:
    """Return whether every range has a number, told from its bounds alone."""
    return all(
        (span.ge is None or number >= span.ge)
        and (span.gt is None or number > span.gt)
        and (span.le is None or number <= span.le)
        and (span.lt is None or number < span.lt)
        for span in intervals
    )


def attempt(call: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """Return what a call gives, or its refusal with the exit code; anything else that it raises goes on."""
    try:
        return call(*arguments), ""
    except PretaskError as error:
        return None, f"{error.exit_code}: {error}"


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    some.sampled_from(BUILT_INS),
    some.randoms(use_true_random=False),
    some.one_of(
        some.text(max_size=20),
        some.integers().map(str),
        some.floats().map(str),
        some.lists(some.one_of(some.integers(), some.floats()), max_size=4).map(str),
        some.sampled_from(("none", "true", "()", "(,)", "1e400", "-0", "١٢", "1_000", "9" * 5000, "0x10", "[", "\x00")),
    ),
)
def test_any_text_for_any_option_is_a_value_or_one_line(registered: Registered, chance: Any, text: str) -> None:
    known = list(read_component_options(registered)) or ["no_option"]
    name = chance.choice([*known, text.replace("=", "") or "x"])
    setting, refusal = attempt(parse_setting, f"{registered.kind}.{name}={text}")
    filled = None
    if setting is not None:
        given = {setting[0].partition(".")[2]: setting[1]}
        filled, refusal = attempt(fill_component_options, registered, import_implementation(registered), given)
    if filled is None:
        assert re.fullmatch("2: .+", refusal)  # one line
        assert len(refusal) < 2000
        return
    annotation = read_component_options(registered)[name].annotation
    assert find_outside(filled[name], annotation) is None
    assert coerce(filled[name], annotation) == filled[name]


def test_a_range_is_said_in_the_words_that_fit_its_ends() -> None:
    spans = [Interval(ge=1), Interval(gt=0, lt=1), Interval(le=2), Interval(lt=2), Interval()]
    assert [describe_range(span) for span in spans] == [
        "of 1 or more",
        "above 0 and below 1",
        "of 2 or less",
        "below 2",
        "",
    ]
