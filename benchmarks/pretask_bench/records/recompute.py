"""Recompute: the data of records, made again by what is installed here, on request only.

Ids are looked up among installed plugins and never imported by what a record says; of a place a record holds only the
name, so the user says where it lies; the libraries that could fetch something are told to stay offline.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretask.errors import PretaskError
from pretask_registry import Registered, Registry, build

from pretask_bench.records.record import DataPart
from pretask_bench.records.verify import Verification, data_sets
from pretask_bench.runs.plan import places_of

if TYPE_CHECKING:
    from pretask.samples import Samples

CONTENT = "data has the content that records name"
OVERLAP = "test samples that occur in training"
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


def check_data(found: Verification, registry: Registry, settings: Mapping[str, Any]) -> None:
    """Make every data set that the records name, once, and hold it against them.

    Args:
        found: Gains the findings.
        registry: Where ids are looked up.
        settings: Where data lies, such as {"folder.root": "photos"}.
    """
    found.checked[CONTENT] = 0
    for users in data_sets(found).values():
        check_one(found, registry, settings, users)


def check_one(
    found: Verification, registry: Registry, settings: Mapping[str, Any], users: list[tuple[Path, DataPart]]
) -> None:
    """Make one data set and hold it against all records that name it."""
    path, part = users[0]
    try:
        with offline():
            parts = make_data(registry, part, settings)
    except Exception as error:  # whatever a stranger's options do to a data set
        found.unchecked[f"data sets that cannot be made here: {part.id}: {str(error)[:300]}"] += 1
        return
    for user, recorded in users:
        found.ask(CONTENT, user, content_answers(recorded, parts))
    if "train" in parts and "test" in parts:
        count = count_overlap(parts["train"], parts["test"])
        found.note(OVERLAP, path, f"{count} of {len(parts['test'])} test samples of {part.id} occur in its train part")


def content_answers(part: DataPart, parts: "Mapping[str, Samples]") -> Iterator[str | None]:
    """Check for every part whether it has the fingerprint that a record names."""
    for name, recorded in part.fingerprints.items():
        if name in parts:
            actual = parts[name].fingerprint
            yield None if recorded == actual else f"{part.id} {name} should be {recorded}, made here it is {actual}"


def make_data(registry: Registry, part: DataPart, settings: Mapping[str, Any]) -> "dict[str, Samples]":
    """Return the train and test parts of a data set, where it can be made."""
    registered = registry.find("data", part.id)
    placed = with_places(registered, part.options, settings)
    if placed.get("download"):
        raise PretaskError(part.id, "no download", "download=true", "Fetch it yourself, and set it to false.")
    data = build(registered, placed)
    return {name: data(name) for name in ("train", "test") if name in part.fingerprints}


def with_places(registered: Registered, options: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a record's part, with the user's places instead of their names.

    Raises:
        PretaskError: A place was not given.
    """
    placed = dict(options)
    for name in places_of(registered):
        key = f"{registered.name}.{name}"
        if key in settings:
            placed[name] = settings[key]
        elif placed.get(name):
            raise PretaskError(
                registered.id, f"the place of {placed[name]!r}", "only its name", f"Say it: --set {key}=PLACE."
            )
    return placed


@contextmanager
def offline() -> Iterator[None]:
    """Keep the libraries that could fetch something offline."""
    before = {name: os.environ.get(name) for name in OFFLINE}
    os.environ.update(dict.fromkeys(OFFLINE, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def count_overlap(train: "Samples", test: "Samples") -> int:
    """Return how many test samples have the very content of a training sample."""
    known = set(hash_samples(train))
    return sum(content in known for content in hash_samples(test))


def hash_samples(samples: "Samples") -> Iterator[bytes]:
    """Yield the hash of every sample; what is padded does not count."""
    from pretask.hashing import tensor_bytes

    for index in range(len(samples)):
        sample = samples.data[index]
        if samples.present is not None and samples.present[index].shape == sample.shape:
            sample = sample[samples.present[index]]
        yield blake2b(tensor_bytes(sample), digest_size=16).digest()
