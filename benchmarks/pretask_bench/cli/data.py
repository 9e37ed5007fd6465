"""The verb `pretask data`: list data sets, say what one holds, and give the hash of its content."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pretask_bench.cli.completion import complete_names
from pretask_bench.cli.main import json_option, registry
from pretask_bench.results.tables import show_json, show_rows
from pretask_bench.runs.plan import parse_setting

if TYPE_CHECKING:
    from pretask import Samples

setting_option = click.option(
    "--set", "settings", multiple=True, metavar="data.OPTION=VALUE", help="Such as data.root=photos."
)


@click.group("data")
def command() -> None:
    """Data sets: list, describe, fingerprint."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the data sets that are installed."""
    rows = [
        (registered.id, registered.component.traits["modality"], registered.component.summary)
        for registered in registry().components("data")
    ]
    if as_json:
        show_json([dict(zip(("id", "modality", "summary"), row, strict=True)) for row in rows])
    else:
        show_rows(("id", "modality", "what"), rows)


@command.command()
@click.argument("name", shell_complete=complete_names("data"))
@setting_option
@json_option
def describe(name: str, settings: Sequence[str], as_json: bool) -> None:
    """Decode data set NAME, once, and say what it holds, and what of the test part is in that to train on."""
    from pretask_bench.runs.duplicates import find_duplicates

    parts = load_samples(name, settings)
    described = {part: describe_samples(samples) for part, samples in parts.items()}
    described["test"]["duplicates"] = find_duplicates(parts["train"], parts["test"]).describe()
    if as_json:
        show_json(described)
    else:
        show_rows(
            ("part", "", ""),
            [(part, key, str(value)) for part, values in described.items() for key, value in values.items()],
        )


@command.command()
@click.argument("name", shell_complete=complete_names("data"))
@setting_option
@json_option
def fingerprint(name: str, settings: Sequence[str], as_json: bool) -> None:
    """Print the content hash of every part of data set NAME."""
    hashes = {part: samples.fingerprint for part, samples in load_samples(name, settings).items()}
    if as_json:
        show_json(hashes)
    else:
        show_rows(("part", "fingerprint"), list(hashes.items()))


def load_samples(name: str, settings: Sequence[str]) -> "dict[str, Samples]":
    """Return the train and test samples of a data set with its options."""
    from pretask_registry import build

    registered = registry().find("data", name)
    options = {option.removeprefix("data."): value for option, value in map(parse_setting, settings)}
    data = build(registered, options)
    return {part: data(part) for part in ("train", "test")}


def describe_samples(samples: "Samples") -> dict[str, Any]:
    """Return size, shape, bytes, fingerprint and labels of some samples."""
    observed = samples.observed
    description: dict[str, Any] = {
        "samples": len(samples),
        "modality": observed.modality,
        "shape": list(observed.shape),
        "dtype": observed.dtype,
        "bytes": samples.data.nbytes,
        "fingerprint": samples.fingerprint,
    }
    for label, labels in samples.labels.items():
        count = labels.value[labels.value >= 0].bincount(minlength=len(labels.names)).tolist()
        description[f"label {label}"] = dict(zip(labels.names, count, strict=True))
    return description
