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

from pretask_bench.records.cell import DataPart
from pretask_bench.records.verify import Verification, group_by_data_set
from pretask_bench.runs.plan import path_options

if TYPE_CHECKING:
    from pretask.samples import Samples

CONTENT = "data has the content that records name"
OVERLAP = "test samples that occur in training"
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


def check_data(verification: Verification, registry: Registry, settings: Mapping[str, Any]) -> None:
    """Make every data set that the records name, once, and compare it with them.

    Args:
        verification: Gains the findings.
        registry: Where ids are looked up.
        settings: Where data lies, such as {"folder.root": "photos"}.
    """
    verification.checked[CONTENT] = 0
    for users in group_by_data_set(verification).values():
        check_data_set(verification, registry, settings, users)


def check_data_set(
    verification: Verification,
    registry: Registry,
    settings: Mapping[str, Any],
    users: list[tuple[Path, DataPart, float | None]],
) -> None:
    """Make one data set and compare it with all records that name it."""
    path, part, hold_out = users[0]
    try:
        with offline():
            samples = make_data(registry, part, settings, hold_out)
    except Exception as error:  # whatever a stranger's options do to a data set
        verification.unchecked[f"data sets that cannot be made here: {part.id}: {str(error)[:300]}"] += 1
        return
    for user, recorded, _ in users:
        verification.add(CONTENT, user, check_fingerprints(recorded, samples))
    if "train" in samples and "test" in samples:
        count = count_overlap(samples["train"], samples["test"])
        verification.note(
            OVERLAP, path, f"{count} of {len(samples['test'])} test samples of {part.id} occur in its train part"
        )


def check_fingerprints(part: DataPart, samples: "Mapping[str, Samples]") -> Iterator[str | None]:
    """Check whether train and test samples have the fingerprints that a record names."""
    for name, recorded in part.fingerprints.items():
        if name in samples:
            actual = samples[name].fingerprint
            yield None if recorded == actual else f"{part.id} {name} should be {recorded}, made here it is {actual}"


def make_data(
    registry: Registry, part: DataPart, settings: Mapping[str, Any], hold_out: float | None
) -> "dict[str, Samples]":
    """Return the train and test samples of a data set, where it can be made, with some held out where that was so."""
    from pretask.hold_out import HoldOut

    registered = registry.find("data", part.id)
    options_here = with_paths(registered, part.options, settings)
    if options_here.get("download"):
        raise PretaskError(part.id, "no download", "download=true", "Fetch it yourself, and set it to false.")
    data = build(registered, options_here)
    data = data if hold_out is None else HoldOut(data, hold_out)
    return {name: data(name) for name in ("train", "test") if name in part.fingerprints}


def with_paths(registered: Registered, options: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a record's part, with the user's places instead of their names.

    Raises:
        PretaskError: A place was not given.
    """
    options_here = dict(options)
    for name in path_options(registered):
        key = f"{registered.name}.{name}"
        if key in settings:
            options_here[name] = settings[key]
        elif options_here.get(name):
            raise PretaskError(
                registered.id, f"the place of {options_here[name]!r}", "only its name", f"Say it: --set {key}=PLACE."
            )
    return options_here


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
        sample = samples.take(index)
        if samples.present is not None and samples.present[index].shape == sample.shape:
            sample = sample[samples.present[index]]
        yield blake2b(tensor_bytes(sample), digest_size=16).digest()
