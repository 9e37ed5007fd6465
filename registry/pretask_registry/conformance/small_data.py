"""Small data: data as the kit tries them, with the options that they declare as small and the files that they write.

Files, and what is cached of them, are in folders of their own, which are gone when the samples are in memory.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pretask import Samples, WritesExample

from pretask_registry.conformance.check import Skip
from pretask_registry.registry import Registered
from pretask_registry.resolve import build, import_implementation

PARTS = ("train", "test")


@dataclass(frozen=True)
class SmallData:
    """Data at their small size.

    Args:
        origin: As they were built.
        parts: Both parts.
    """

    origin: Any
    parts: Mapping[str, Samples]

    def __call__(self, part: str, /) -> Samples:
        """Return one part."""
        return self.parts[part]

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "origin"), name)


def can_be_small(registered: Registered) -> bool:
    """Return whether data can be tried without anything of their user's."""
    return bool(registered.component.small) or isinstance(import_implementation(registered), WritesExample)


@contextmanager
def use_small_options(registered: Registered) -> Iterator[Mapping[str, Any]]:
    """Give the options under which a component is tried; the files that data write are there inside."""
    made_of = import_implementation(registered) if registered.kind == "data" else None
    if not isinstance(made_of, WritesExample):
        yield registered.component.small
        return
    with tempfile.TemporaryDirectory(prefix="pretask-example-") as folder:
        yield {**registered.component.small, **made_of.write_example(Path(folder))}


def read_small(registered: Registered, *, fresh: bool = False) -> SmallData:
    """Read data at their small size.

    Args:
        registered: Data.
        fresh: Whether an empty cache is used; of files that are written for this it always is.

    Raises:
        Skip: They need something of their user's.
    """
    if not can_be_small(registered):
        raise Skip("It is data of the user's: it declares no small options, and has no write_example.")
    written = isinstance(import_implementation(registered), WritesExample)
    with use_small_options(registered) as options:
        origin = build(registered, options)
        if not (fresh or written):
            return SmallData(origin, {part: origin(part) for part in PARTS})
        with use_fresh_cache():
            return SmallData(origin, {part: copy_samples(origin(part)) for part in PARTS})


def copy_samples(samples: Samples) -> Samples:
    """Return samples in memory that no file is behind."""
    labels = {name: replace(label, value=label.value.clone()) for name, label in samples.labels.items()}
    present = None if samples.present is None else samples.present.clone()
    return replace(samples, data=samples.data[:].clone(), labels=labels, present=present)


@contextmanager
def use_fresh_cache() -> Iterator[None]:
    """Use an empty cache inside, the user's own outside."""
    before = os.environ.get("PRETASK_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PRETASK_CACHE"] = folder
        try:
            yield
        finally:
            os.environ.pop("PRETASK_CACHE")
            if before is not None:
                os.environ["PRETASK_CACHE"] = before
