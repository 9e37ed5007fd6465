"""The front door: what a user types first. Each verb finds its implementation when it is called.

Core imports neither the registry nor the harness: the verbs that need them are looked up by name, in the one module of
the harness that implements them, so that `import pretask` stays light and the arrows stay as they are.
"""

from collections.abc import Iterable
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Protocol

    import torch

    from pretask.encoder import Encoder
    from pretask.protocols import Figure

    class Run(Protocol):
        """A finished run, as `pretask.run` gives it."""

        @property
        def record(self) -> Any:
            """All numbers, and how they came about: the record that the store has."""

        @property
        def records(self) -> "tuple[Any, ...]":
            """Such a record for every transfer set that `on` names, in that order."""

        @property
        def path(self) -> Path:
            """The record's file in the store."""

        @property
        def folder(self) -> Path | None:
            """The folder of the run, which `pretask.load` and `pretask export` take; None where it was removed."""

        @property
        def encoder(self) -> "Encoder":
            """The trained encoder."""

        @property
        def figures(self) -> "Mapping[str, Figure]":
            """Pictures by name, PNG with a caption."""

        @property
        def probe_choice(self) -> Mapping[str, str]:
            """The layer and the pooling that a probe chose: `run.encoder(images, **run.probe_choice)`."""

        def table(self) -> str:
            """Return what `pretask run` prints."""


VERBS = "pretask_bench.verbs"  # what implements them


def load(
    path: "str | PathLike[str]",
    *,
    device: "torch.device | str" = "cpu",
    plugin: "str | PathLike[str] | Iterable[str | PathLike[str]]" = (),
    split: Any = None,
    model: Any = None,
) -> "Encoder":
    """Return the trained encoder of a run, ready to encode.

    Args:
        path: The folder of a run, its record, or a folder that `pretask export --to hub` made.
        device: Where it shall live.
        plugin: Python files that declare components, as `--plugin` takes them.
        split: Your own object, where the run was made with one.
        model: Likewise, what builds the model of the specs of x and of the whole sample.

    Raises:
        PretaskError: There is no encoder, a file is damaged or of a later version, or a plugin is missing.
    """
    encoder: Encoder = import_module(VERBS).load(path, device=device, plugin=plugin, split=split, model=model)
    return encoder


def run(
    task: str | None = None,
    *,
    data: Any = None,
    split: Any = None,
    objective: Any = None,
    model: Any = None,
    on: Any = None,
    preset: str | None = None,
    evaluate: str | Iterable[str] = ("linear",),
    baselines: str | Iterable[str] = ("random-init", "raw-input"),
    samples: int | None = None,
    seed: int = 0,
    out: "str | PathLike[str]" = "runs",
    device: str = "auto",
    threads: int | None = None,
    fit_with: "str | PathLike[str] | None" = None,
    init: "str | PathLike[str] | None" = None,
    hold_out: float = 0.0,
    reference: "str | PathLike[str] | Iterable[str | PathLike[str]]" = (),
    plugin: "str | PathLike[str] | Iterable[str | PathLike[str]]" = (),
    checkpoint_seconds: float = 60.0,
    again: bool = False,
    pictures: bool = True,
    track: "str | Iterable[str]" = (),
    probe_every: int = 0,
    author: str | None = None,
    license: str | None = None,
    note: str | None = None,
    root: "str | PathLike[str] | None" = None,
    **options: Any,
) -> "Run":
    """Pretrain, measure and record, as the command `pretask run` does: the same plan, the same record, the same folder.

    Args:
        task: Name of a task; without one, all four parts must be given.
        data: What to learn from: a name, or your own data: a map-style data set, tensors, Samples (pretask.own_data).
        split: Instead of the task's: a name, or your own split.
        objective: Likewise: a name, or what builds an objective of the specs of features and targets.
        model: Likewise: a name, or what builds a model of the specs of x and of the whole sample.
        on: Other data to measure on, a name or your own; a list of several makes a record of each of one training.
        preset: Settings that the task offers besides the paper's.
        evaluate: Evaluators.
        baselines: What the encoder is held against.
        samples: The budget, samples seen.
        seed: Of weights, order and draws.
        out: Folder of runs and records.
        device: cpu, cuda, cuda:N, or auto: a GPU where there is one.
        threads: Of the processor; all if left out.
        fit_with: A run with whose encoder the split is fitted.
        init: A run, a file of safetensors or `timm`, with whose weights the model begins.
        hold_out: Share of the training part to measure on in the place of the test part, which is not read: to choose
            settings by, 0.1.
        reference: Encoders to measure as well: runs with their own model, or weights as of `init`.
        plugin: Python files that declare components.
        checkpoint_seconds: Between two checkpoints.
        again: Measure once more what is already recorded.
        pictures: Whether to keep pictures.
        track: Trackers, such as tensorboard, mlflow or wandb.
        probe_every: Steps between two measures of the encoder while it is trained; 0 for none.
        author: Who the record is by; it stands in it.
        license: Under which license the record may be used, such as CC-BY-4.0.
        note: What else there is to say in the record.
        root: Short for the option `data.root`.
        options: By dotted names, such as **{"split.patch": 24, "recipe.lr": 0.1}; of the second transfer set
            `on.2.root`.

    Returns:
        The run; under a launcher of several ranks None on all but the first.

    Raises:
        PretaskError: Data is missing, parts do not fit, or training failed.
    """
    finished: Run = import_module(VERBS).run(
        task,
        {"data": data, "split": split, "objective": objective, "model": model, "on": on},
        {**options, **({} if root is None else {"data.root": root})},
        plugin=plugin,
        planned={"preset": preset, "samples": samples, "fit_with": fit_with, "init": init, "hold_out": hold_out},
        seed=seed,
        out=out,
        evaluate=evaluate,
        baselines=baselines,
        track=track,
        signed=(author, license, note),
        context={
            "device": device,
            "threads": threads,
            "begun": init is not None,
            "given": [reference] if isinstance(reference, str | PathLike) else reference,
            "checkpoint_seconds": checkpoint_seconds,
            "again": again,
            "pictures": pictures,
            "probe_every": probe_every,
        },
    )
    return finished
