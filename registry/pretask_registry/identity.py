"""Identity: one hash of an object that a user made, of its source and of what it holds, for the cell of its runs.

The source is that of its class or function, and of what these use of the same module: a change of a line elsewhere in a
script, such as the seed, leaves it as it is. Without a source, as in a prompt, compiled code stands for it.
"""

import inspect
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from types import CodeType, FunctionType, MethodType
from typing import Any

FOREIGN = ("builtins", "typing", "abc", "torch", "numpy")  # packages whose releases a record names anyway
PLAIN = (bool, int, float, str, bytes, tuple, list, dict, type(None))


def identify(thing: Any) -> str:
    """Return the hash of an object: the same in every process, as long as neither code nor content changes."""
    digest = sha256()
    for piece in iterate_pieces(thing, set()):
        digest.update(len(piece).to_bytes(8, "big") + piece)
    return digest.hexdigest()


def iterate_pieces(thing: Any, seen: set[int]) -> Iterator[bytes]:
    """Yield what tells an object from another: its code, its content, and the code that it uses."""
    if isinstance(thing, partial):
        for part in (thing.func, *thing.args, *(pair for item in sorted(thing.keywords.items()) for pair in item)):
            yield from iterate_pieces(part, seen)
    elif isinstance(thing, type | FunctionType):
        yield from iterate_code(thing, seen)
    elif isinstance(thing, MethodType):
        yield from iterate_pieces(thing.__func__, seen)
        yield from iterate_pieces(thing.__self__, seen)
    elif isinstance(thing, PLAIN):
        yield repr(thing).encode()
    else:
        yield from iterate_code(type(thing), seen)
        yield hash_content(thing).encode()


def hash_content(thing: Any) -> str:
    """Return the hash of what an object holds."""
    from pretask.extraction import fingerprint_of  # needs torch

    return fingerprint_of(thing)


def iterate_code(thing: Any, seen: set[int]) -> Iterator[bytes]:
    """Yield the source of a class or function, once, and of what it uses of its own module."""
    if id(thing) in seen or is_foreign(thing):
        return
    seen.add(id(thing))
    yield read_source(thing)
    if isinstance(thing, type):
        for base in thing.__mro__[1:]:
            yield from iterate_code(base, seen)
        functions = [member for member in vars(thing).values() if isinstance(member, FunctionType)]
    else:
        functions = [thing]
        for cell in thing.__closure__ or ():
            yield from iterate_pieces(cell.cell_contents, seen)
    for function in functions:
        yield from iterate_used(function, seen)


def iterate_used(function: FunctionType, seen: set[int]) -> Iterator[bytes]:
    """Yield the code of the functions and classes, and the values of the constants, that one uses of its module."""
    for name in sorted(set(list_names(function.__code__))):
        used = function.__globals__.get(name)
        if isinstance(used, type | FunctionType) and used.__module__ == function.__module__:
            yield from iterate_code(used, seen)
        elif name in function.__globals__ and isinstance(used, PLAIN):
            yield f"{name}={used!r}".encode()


def list_names(code: CodeType) -> Iterator[str]:
    """Yield the names that a code looks up, and those inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from list_names(constant)


def is_foreign(thing: Any) -> bool:
    """Return whether a class or function belongs to a library whose version a record holds."""
    top = str(thing.__module__).partition(".")[0]
    return top in FOREIGN or top.startswith("pretask")


def read_source(thing: Any) -> bytes:
    """Return the source of a class or function, or what stands for it where there is none."""
    try:
        return inspect.getsource(thing).encode()
    except (OSError, TypeError):
        functions = vars(thing).values() if isinstance(thing, type) else [thing]
        codes = [function.__code__ for function in functions if isinstance(function, FunctionType)]
        return repr([(thing.__qualname__, [describe_code(code) for code in codes])]).encode()


def describe_code(code: CodeType) -> tuple[Any, ...]:
    """Return the instructions and constants of compiled code, without where it was compiled."""
    constants = [describe_code(value) if isinstance(value, CodeType) else repr(value) for value in code.co_consts]
    return code.co_name, code.co_code.hex(), code.co_names, code.co_varnames, tuple(constants)
