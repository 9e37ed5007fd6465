"""What every component promises of its options that are numbers: a range, declared or kept by itself."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pretask import PretaskError
from pretask.options import describe_range, find_outside, iterate_number_types, read_interval

from pretask_registry.conformance.cases import Case
from pretask_registry.conformance.check import Failure, check, require
from pretask_registry.conformance.checks.declarations import PARTS
from pretask_registry.conformance.small_data import use_small_options
from pretask_registry.options import REQUIRED, Option, format_value
from pretask_registry.resolve import build, read_component_options

SENSELESS = -(10**12)  # below whatever a size, count, length, fraction or rate can be


@check(*PARTS, once=True)
def options_have_ranges(case: Case) -> None:
    """Check that every option that is a number declares its range, or refuses what makes no sense when it is built."""
    options = read_component_options(case.registered)
    with use_small_options(case.registered) as small:
        for name, option in options.items():
            check_default(case, name, option)
            if not all(read_interval(number) for number in iterate_number_types(option.annotation)):
                check_refusal(case, name, option, {**fill_required(options), **small})


def check_default(case: Case, name: str, option: Option) -> None:
    """Raise Failure where a default lies outside of the range that is declared beside it."""
    outside = None if option.default is REQUIRED else find_outside(option.default, option.annotation)
    if outside is not None:
        number, interval = outside
        raise Failure(
            f"{case.kind}.{name} of {case.id} must be {describe_range(interval, number)}; its default is {number}."
        )


def check_refusal(case: Case, name: str, option: Option, others: Mapping[str, Any]) -> None:
    """Raise Failure unless a component with a senseless number for an option refuses to be built."""
    value = make_value(option.annotation, SENSELESS)
    undeclared = f"{case.kind}.{name} of {case.id} must declare a range; it has none, and"
    try:
        build(case.registered, {**others, name: value})
    except PretaskError:
        return
    except Exception as error:
        raise Failure(f"{undeclared} {format_value(value)} ends in {type(error).__name__}: {error}") from error
    require(False, f"{undeclared} {format_value(value)} is taken.")


def fill_required(options: Mapping[str, Option]) -> dict[str, Any]:
    """Return something for every option that has no default, so that others can be tried."""
    return {name: make_value(option.annotation, 1) for name, option in options.items() if option.default is REQUIRED}


def make_value(annotation: Any, number: int) -> Any:
    """Return a value of an annotation in which every number is a certain one; of what holds no number, text."""
    if read_interval(annotation) is not None or annotation in (int, float):
        return number
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    members = [member for member in get_args(annotation) if member not in (NoneType, ...)]
    if get_origin(annotation) is tuple:
        return tuple(make_value(member, number) for member in members)
    numeric = [member for member in members if any(True for _ in iterate_number_types(member))]
    return make_value(numeric[0], number) if numeric else "x"
