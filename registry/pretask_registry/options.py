"""Options: what can be set of a component, read off its signature, and values converted to its types.

A value comes as text from a command line, or typed from a TOML file or a record; both end up the same. A number must
lie in the range that its annotation declares (core/pretask/options.py).
"""

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pretask import Unknown
from pretask.options import check_range, describe_range, read_interval

from pretask_registry.names import hint

REQUIRED = inspect.Parameter.empty  # the default of an option that has none
WORDS_FOR = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
WORDS_FOR_NONE = ("none", "null", "")
LONGEST = 80  # characters of a value that an error repeats


class Option(NamedTuple):
    """What an option is when nobody sets it, and its type."""

    default: Any
    annotation: Any


def read_options(implementation: Callable[..., Any], *, by_keyword: bool = True) -> dict[str, Option]:
    """Read the options of a callable, in the order of its signature.

    Args:
        implementation: A class, such as a dataclass, or a function.
        by_keyword: Whether only parameters after `*` count; else all that may be given by name, as in a dataclass.
    """
    kinds = {inspect.Parameter.KEYWORD_ONLY} | (set() if by_keyword else {inspect.Parameter.POSITIONAL_OR_KEYWORD})
    parameters = signature(implementation).parameters.values()
    return {
        parameter.name: Option(parameter.default, type_of_option(parameter))
        for parameter in parameters
        if parameter.kind in kinds
    }


def signature(implementation: Callable[..., Any]) -> inspect.Signature:
    """Return the signature with its annotations as types, or as they are written where they cannot be evaluated."""
    try:
        return inspect.signature(implementation, eval_str=True)
    except NameError:  # a name that only the type checker imports
        return inspect.signature(implementation)


def type_of_option(parameter: inspect.Parameter) -> Any:
    """Return the annotation, or the type of the default where there is none that can be used."""
    if parameter.annotation is not inspect.Parameter.empty and not isinstance(parameter.annotation, str):
        return parameter.annotation
    return Any if parameter.default is REQUIRED or parameter.default is None else type(parameter.default)


def fill_options(who: str, prefix: str, options: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every option with its value: what was given, converted to its type, else the default.

    Args:
        who: For errors, the component.
        prefix: For errors, what the user writes before the option: `split` of `split.patch`.
        options: What there is.
        given: What was set.

    Raises:
        Unknown: An option does not exist, a value is not of its type, or one that has no default was not set.
        PretaskError: A number is outside of the range that its annotation declares (exit code 2).
    """
    for name in given:
        if name not in options:
            listed = f"Its options: {', '.join(options) or 'none'}."
            suggestion = hint(name, options, "")
            title = shorten(f"{prefix}.{escape(name)}")
            raise Unknown(f"{who} has no option {title}. {suggestion}{' ' if suggestion else ''}{listed}")
    return {name: fill_option(who, f"{prefix}.{name}", option, given, name) for name, option in options.items()}


def fill_option(who: str, title: str, option: Option, given: Mapping[str, Any], name: str) -> Any:
    """Return the value of one option; `title` is what the user sets, such as split.patch."""
    needs = f"{who} needs {title}"
    if name not in given:
        if option.default is REQUIRED:
            raise Unknown(f"{needs}, {describe(option.annotation)}; got nothing. Set it: it has no default.")
        return option.default
    try:
        value = coerce(given[name], option.annotation)
    except (ValueError, TypeError, OverflowError):
        default = (
            "It has no default." if option.default is REQUIRED else f"The default is {format_value(option.default)}."
        )
        raise Unknown(
            f"{needs} to be {describe(option.annotation)}; got {format_value(given[name])}. {default}"
        ) from None
    check_range(who, title, value, option.annotation, option.default)
    return value


def format_value(value: Any) -> str:
    """Format a value as a user would write it, a long one cut."""
    if isinstance(value, tuple | list):
        return shorten(",".join(map(str, value)) or "an empty list")
    return shorten(repr(value) if isinstance(value, str) else str(value))


def escape(name: str) -> str:
    """Return a name as it is, or with what cannot be printed, such as a line's end, as Python writes it."""
    return name if name.isprintable() else repr(name)[1:-1]


def shorten(text: str) -> str:
    """Return a text as it is, or its beginning where it is longer than what anybody reads in an error."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def coerce(value: Any, annotation: Any) -> Any:
    """Convert the value to its annotation.

    >>> coerce("16,32", tuple[int, ...]), coerce("none", float | None), coerce("1e6", int)
    ((16, 32), None, 1000000)

    Raises:
        ValueError: It cannot be read so.
    """
    annotation = remove_range(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return coerce_union(value, tuple(map(remove_range, arguments)))
    if origin is Literal:
        return coerce_literal(value, arguments)
    if origin is tuple:
        return coerce_tuple(value, arguments)
    return PLAIN[annotation](value) if annotation in PLAIN else value


def remove_range(annotation: Any) -> Any:
    """Return the type of an annotation without what is declared of its values."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def coerce_union(value: Any, members: tuple[Any, ...]) -> Any:
    """Convert the value to the first member of a union that can read it; text is read as text last."""
    if NoneType in members and (value is None or (isinstance(value, str) and value.lower() in WORDS_FOR_NONE)):
        return None
    if not isinstance(value, str) and type(value) in members:
        return coerce(value, type(value))
    for member in sorted((member for member in members if member is not NoneType), key=lambda member: member is str):
        try:
            return coerce(value, member)
        except (ValueError, TypeError, OverflowError):
            continue
    raise ValueError(value)


def coerce_literal(value: Any, choices: tuple[Any, ...]) -> Any:
    """Return the choice that the value is, or spells."""
    for choice in choices:
        if (type(value), value) == (type(choice), choice) or value == str(choice):
            return choice
    raise ValueError(value)


def coerce_tuple(value: Any, members: tuple[Any, ...]) -> tuple[Any, ...]:
    """Read a tuple of as many members as its annotation says, from a list or from text with commas."""
    if isinstance(value, str):
        bare = value.strip().removeprefix("(").removeprefix("[").removesuffix(")").removesuffix("]")
        value = [item.strip() for item in bare.removesuffix(",").split(",")] if bare.strip() else []
    if not isinstance(value, list | tuple):
        raise ValueError(value)
    if members[-1:] == (...,):
        return tuple(coerce(item, members[0]) for item in value)
    return tuple(coerce(item, member) for item, member in zip(value, members, strict=True))


def coerce_bool(value: Any) -> bool:
    """Read true and false, and the usual words for them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in WORDS_FOR:
        return WORDS_FOR[value.lower()]
    raise ValueError(value)


def coerce_int(value: Any) -> int:
    """Read a whole number of 64 bits, also one that is written as 1e6."""
    if isinstance(value, bool):
        raise ValueError(value)
    number = value if isinstance(value, int) else read_whole_number(value)
    if abs(number) >= 1 << 63:
        raise OverflowError(value)
    return number


def read_whole_number(value: Any) -> int:
    """Read a whole number that is text or a float."""
    try:
        return int(value) if isinstance(value, str) else to_whole_number(value)
    except ValueError:
        return to_whole_number(float(value))


def to_whole_number(value: float) -> int:
    """Return the whole number that a float is."""
    if not isinstance(value, float) or not value.is_integer():
        raise ValueError(value)
    return int(value)


def coerce_float(value: Any) -> float:
    """Read a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def coerce_str(value: Any) -> str:
    """Read text."""
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def coerce_path(value: Any) -> Path:
    """Read a path, with `~` for the home folder."""
    return Path(value).expanduser()


PLAIN: Mapping[Any, Callable[[Any], Any]] = {
    bool: coerce_bool,
    int: coerce_int,
    float: coerce_float,
    str: coerce_str,
    Path: coerce_path,
}
PHRASES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    Any: "a value",
}


def describe(annotation: Any) -> str:
    """Describe the values of a type, in words.

    >>> describe(float | None), describe(tuple[int, ...])
    ('a number or none', 'values with commas between them, each a whole number')
    >>> from pretask.options import PositiveInt
    >>> describe(PositiveInt)
    'a whole number of 1 or more'
    """
    interval = read_interval(annotation)
    if interval is not None:
        return f"{describe(remove_range(annotation))} {describe_range(interval)}".strip()
    annotation = remove_range(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join("none" if member is NoneType else describe(member) for member in arguments)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple and arguments[-1:] == (...,):
        return f"values with commas between them, each {describe(arguments[0])}"
    if origin is tuple:
        return f"{len(arguments)} values with commas between them ({', '.join(map(describe, arguments))})"
    return PHRASES.get(annotation, getattr(annotation, "__name__", str(annotation)))
