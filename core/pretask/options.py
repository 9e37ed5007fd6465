"""Options: the range of a number is declared once, beside its type, and checked before any data is read.

A range is an annotation in the standard way, `patch: Annotated[int, Interval(ge=1)] = 96`, with the markers of
annotated_types; the usual ones have names here, `patch: PositiveInt = 96`. The registry checks what is set of a
component; `require_range` checks a dataclass that is built in Python.
"""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from functools import cache, lru_cache
from inspect import get_annotations
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt
from annotated_types import Interval as Interval  # also for plugins

from pretask.errors import PretaskError

MAX_SIZE = 1 << 20  # of one axis of a tensor, or of what a network has many of
MAX_IMAGE_SIZE = 1 << 14  # pixels a side
MAX_SECONDS = 86_400  # of a recording: a day
MAX_SAMPLES = 1 << 31  # of a data set that is made here, or of a batch

AnyInt = Annotated[int, Interval()]  # declared to have no range, such as a seed
NonNegativeInt = Annotated[int, Interval(ge=0)]
PositiveInt = Annotated[int, Interval(ge=1)]
Size = Annotated[int, Interval(ge=1, le=MAX_SIZE)]  # a width, depth, length or side: it costs memory
SizeOrZero = Annotated[int, Interval(ge=0, le=MAX_SIZE)]
Depth = Annotated[int, Interval(ge=1, le=10_000)]  # layers
DepthOrZero = Annotated[int, Interval(ge=0, le=10_000)]
ImageSize = Annotated[int, Interval(ge=1, le=MAX_IMAGE_SIZE)]  # side, pixels
SampleCount = Annotated[int, Interval(ge=1, le=MAX_SAMPLES)]
AnyFloat = Annotated[float, Interval()]
NonNegativeFloat = Annotated[float, Interval(ge=0)]
PositiveFloat = Annotated[float, Interval(gt=0)]
Temperature = Annotated[float, Interval(gt=0, le=1e6)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
FractionBelowOne = Annotated[float, Interval(ge=0, lt=1)]
FractionAboveZero = Annotated[float, Interval(gt=0, le=1)]
InnerFraction = Annotated[float, Interval(gt=0, lt=1)]
Seconds = Annotated[float, Interval(gt=0, le=MAX_SECONDS)]

MAX_VALUE_LENGTH = 80  # characters of a value that an error repeats
FINITE = "to be a finite number"  # what is needed where any number will do
BOUNDS: Mapping[type, str] = {Gt: "gt", Ge: "ge", Lt: "lt", Le: "le"}


def require_range(who: str, prefix: str, part: Any, **ranges: Interval) -> None:
    """Raise PretaskError for the first option that lies outside the range that its annotation declares.

    Of an option with several values each must lie there. What is no finite number never does. The message names the
    default.

    Args:
        who: The component, for the error.
        prefix: What the option is set under: `split`, `model`, `recipe`.
        part: A dataclass whose fields are the options.
        ranges: Those that depend on other options, by the name of the option.

    >>> from pretask.recipe import Recipe
    >>> require_range("a test", "recipe", Recipe(batch=0))
    Traceback (most recent call last):
    pretask.errors.PretaskError: a recipe needs recipe.batch of 1 or more; got 0. Set recipe.batch to 1 or more; \
it is 256 if left out.
    """
    defaults = {field.name: field.default for field in fields(part)}
    declared = list_ranged(type(part))  # type: ignore[arg-type] # of Any, mypy knows no hash
    dependent = [(name, Annotated[Any, interval]) for name, interval in ranges.items()]
    # What others depend on comes first; a range that depends on others tells more than the declared one.
    others = [entry for entry in declared if entry[0] in ranges]
    order = [*(entry for entry in declared if entry[0] not in ranges), *dependent, *others]
    for name, annotation in order:
        check_range(who, f"{prefix}.{name}", getattr(part, name), annotation, defaults[name])


@cache
def list_ranged(cls: type) -> list[tuple[str, Any]]:
    """Return the fields of a dataclass whose annotations declare a range at any depth, and these."""
    annotations = read_annotations(cls)
    named = [(field.name, annotations[field.name]) for field in fields(cls)]
    return [(name, one) for name, one in named if any(map(read_interval, iterate_number_types(one)))]


@cache
def read_annotations(cls: type) -> Mapping[str, Any]:
    """Return the annotations of a class and of those that it inherits from, evaluated where they are text.

    One that names what only a type checker imports counts as Any.
    """
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        module = sys.modules.get(owner.__module__)
        names = {**(vars(module) if module else {}), **vars(owner)}
        for name, annotation in get_annotations(owner).items():
            try:
                found[name] = eval(annotation, names) if isinstance(annotation, str) else annotation
            except (NameError, AttributeError, TypeError):
                found[name] = Any
    return found


def check_range(who: str, option: str, value: object, annotation: Any, default: object = MISSING) -> None:
    """Raise PretaskError (exit code 2) unless the numbers of a value lie in the ranges that an annotation declares.

    Args:
        who: The component, for the error.
        option: What the user sets, such as `split.patch`.
        value: A value of the annotated type.
        annotation: May hold ranges at any depth: `tuple[PositiveInt, ...] | None`.
        default: What the option is if left out, for the advice.
    """
    outside = find_outside(value, annotation)
    if outside is not None:
        number, interval = outside
        do = advice(option, number, interval, default if find_outside(default, annotation) is None else MISSING)
        got = f"{value}"
        if len(got) > MAX_VALUE_LENGTH:
            got = f"{number} among its values"
        raise PretaskError(who, f"{option} {describe_range(interval, number) or FINITE}", got, do, exit_code=2)


def find_outside(value: object, annotation: Any) -> tuple[Any, Interval] | None:
    """Return the first number of a value that is outside its declared range, with that range; None if there is none."""
    interval, origin, members = read_form(annotation)
    if interval is not None:
        numbers = value if isinstance(value, tuple | list) else (value,)
        return next(((number, interval) for number in numbers if not is_within(number, interval)), None)
    if origin is Annotated:
        return find_outside(value, members[0])
    if origin in (Union, UnionType):
        found = [find_outside(value, member) for member in members if may_be(value, member)]
        return None if None in found or not found else found[0]
    if origin is tuple and isinstance(value, tuple | list):
        pairs = zip(value, members[:1] * len(value) if members[-1:] == (...,) else members, strict=False)
        found = [find_outside(item, member) for item, member in pairs]
        return next((outside for outside in found if outside is not None), None)
    return None


def may_be(value: object, member: Any) -> bool:
    """Return whether a value is of a member of a union, as far as its type tells."""
    bare = get_args(member)[0] if get_origin(member) is Annotated else member
    if get_origin(bare) is Literal:
        return value in get_args(bare)
    if get_origin(bare) is tuple:
        return isinstance(value, tuple | list)
    if bare is float:
        return isinstance(value, int | float)
    return (bare is NoneType and value is None) or not isinstance(bare, type) or isinstance(value, bare)


def read_interval(annotation: Any) -> Interval | None:
    """Return the range that an annotation declares itself, rather than a member of it; None if it declares none.

    >>> read_interval(Fraction), read_interval(int)
    (Interval(gt=None, ge=0, lt=None, le=1), None)
    """
    return read_form(annotation)[0]


def read_form(annotation: Any) -> tuple[Interval | None, Any, tuple[Any, ...]]:
    """Return the range that an annotation declares itself, what it is a form of, and its members."""
    try:
        return find_form(annotation)
    except TypeError:  # of marks without a hash
        return find_form.__wrapped__(annotation)


@lru_cache(maxsize=1024)
def find_form(annotation: Any) -> tuple[Interval | None, Any, tuple[Any, ...]]:
    """Return the same of annotations that have a hash: plans of thousands of runs ask for the same few."""
    origin, members = get_origin(annotation), get_args(annotation)
    return (join_marks(members[1:]) if origin is Annotated else None), origin, members


def join_marks(marks: tuple[Any, ...]) -> Interval | None:
    """Return the range that the marks of an annotation declare; None if they declare none."""
    bounds = [bound for mark in marks for bound in expand(mark)]
    found = {BOUNDS[type(bound)]: getattr(bound, BOUNDS[type(bound)]) for bound in bounds if type(bound) in BOUNDS}
    return Interval(**found) if found or any(isinstance(mark, Interval) for mark in marks) else None


def expand(mark: Any) -> Iterable[Any]:
    """Return the marks that a mark stands for: an interval for its bounds, any other for itself."""
    if type(mark) in BOUNDS:
        return (mark,)
    is_group = isinstance(mark, Interval | GroupedMetadata)  # in this order: a protocol is asked slowly
    return mark if is_group else (mark,)


def iterate_number_types(annotation: Any) -> Iterator[Any]:
    """Yield the types of numbers that an annotation is made of, with their ranges where they declare one.

    >>> [read_interval(kind) is not None for kind in iterate_number_types(tuple[Size, float] | int | bool | None)]
    [True, False, False]
    """
    origin, members = get_origin(annotation), get_args(annotation)
    if annotation in (int, float) or read_interval(annotation) is not None:
        yield annotation
    elif origin is Annotated:
        yield from iterate_number_types(members[0])
    elif origin in (Union, UnionType, tuple, list):
        for member in members:
            yield from iterate_number_types(member)


def is_within(value: object, interval: Interval) -> bool:
    """Return whether a value is a finite number in a range."""
    if not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        return False
    return not is_below(value, interval) and not is_above(value, interval)


def is_below(number: Any, interval: Interval) -> bool:
    """Return whether a number is less than a range allows."""
    too_low = interval.gt is not None and number <= interval.gt
    return too_low or (interval.ge is not None and number < interval.ge)


def is_above(number: Any, interval: Interval) -> bool:
    """Return whether a number is more than a range allows."""
    too_high = interval.lt is not None and number >= interval.lt
    return too_high or (interval.le is not None and number > interval.le)


def describe_range(interval: Interval, number: float = 0) -> str:
    """Return a range in words, as they go on after "a number"; empty where every number is in it.

    An upper bound that only keeps memory in bounds is told to those who cross it.

    Args:
        interval: The range.
        number: What lies outside of it.

    >>> describe_range(Interval(ge=1)), describe_range(Interval(ge=0, lt=1)), describe_range(Interval(gt=0, lt=1))
    ('of 1 or more', 'from 0 to below 1', 'above 0 and below 1')
    >>> describe_range(read_interval(Size)), describe_range(read_interval(Size), 1 << 40)
    ('of 1 or more', 'from 1 to 1048576')
    """
    least, most = interval.ge, interval.le if interval.le is not None else interval.lt
    if isinstance(most, int) and most >= MAX_SIZE and not is_above(number, interval):
        most = None
    below = "below " if interval.le is None else ""
    if interval.gt is not None:
        highest = "" if most is None else f" and {below or 'up to '}{format_number(most)}"
        return f"above {format_number(interval.gt)}{highest}"
    if least is not None:
        highest = " or more" if most is None else f" to {below}{format_number(most)}"
        return f"{'of' if most is None else 'from'} {format_number(least)}{highest}"
    if most is not None:
        return f"below {format_number(most)}" if below else f"of {format_number(most)} or less"
    return ""


def advice(option: str, number: float, interval: Interval, default: object) -> str:
    """Return what can be done about an option of which a number is out of its range."""
    is_told = isinstance(default, int | float) or (isinstance(default, tuple) and default)
    usual = f"; it is {format_default(default)} if left out" if is_told else ""
    if is_above(number, interval) and interval.le is not None and interval.gt is None and math.isfinite(number):
        return f"Set {option} to {format_number(interval.le)} or less{usual}."
    if interval.gt is not None or interval.lt is not None or interval.ge is None:
        return f"Set {option} {describe_range(interval, number) or 'to a finite number'}{usual}."
    return f"Set {option} to {format_number(interval.ge)} or more{usual}."


def format_number(number: Any) -> str:
    """Return a bound as a user would write it."""
    return str(number) if isinstance(number, int) else f"{number:g}"


def format_default(default: object) -> str:
    """Return a default as a user would write it."""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
