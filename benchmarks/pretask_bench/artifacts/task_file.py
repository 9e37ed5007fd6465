"""The file task.json of a run folder: all that an encoder is built from, but for its weights.

Version 1. Files beside it are named with their hashes, and it is written last, so that a folder which has one is whole.
"""

import json
from hashlib import file_digest
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pretask import InputSpec, Observed, PretaskError
from pretask.printable import escape_invisible
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

VERSION = 1
TASK = "task.json"
WEIGHTS = "weights.safetensors"
FITTED = "fitted.safetensors"
OBJECTIVE = "objective.safetensors"
TOKENIZER = "tokenizer.json"
RECORD = "record.json"
PICTURES = "pictures"
MAX_BYTES = 1 << 26  # of task.json
MAX_LINE_CHARACTERS = 400
MAX_NUMBERS = 1 << 31  # of one sample, to whose form an encoder brings whatever it is given
AGAIN = "Copy the folder again from where it came, or run the same command again."

FileName = Literal[
    "weights.safetensors", "model.safetensors", "fitted.safetensors", "objective.safetensors", "tokenizer.json"
]
BESIDE = (FITTED, OBJECTIVE, TOKENIZER)  # the weights
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def check_line(text: str) -> str:
    """Return a text, if it is one line that a terminal may show: errors and cards repeat it."""
    if len(text) > MAX_LINE_CHARACTERS or not text.isprintable():
        raise ValueError(f"one line of at most {MAX_LINE_CHARACTERS} characters, none of them invisible")
    return text


Line = Annotated[str, AfterValidator(check_line)]


class Part(BaseModel):
    """A component, with what offers it.

    Args:
        id: Full id.
        options: All of them, defaults included.
        distribution: Of the plugin.
        version: Of the distribution.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Line
    options: dict[str, Any] = {}
    distribution: Line
    version: Line


class Output(BaseModel):
    """What the encoder gives by itself.

    Args:
        layer: The name of its last layer.
        pooling: The way of pooling that is the model's own; None where it is none of pretask.pooling.
        width: Of the vector.
        sees: What its streams have seen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: Line
    pooling: Line | None
    width: int
    sees: tuple[str, ...]


class TaskFile(BaseModel):
    """What task.json holds.

    Args:
        version: Of this format.
        name: Of the run, for people.
        task: Full id of the task; None for a free combination.
        parts: Data, split, objective and model.
        seed: Of the run.
        observed: What a sample is.
        input: Spec of x, which the model was built from.
        whole: Spec of the undivided sample, likewise.
        padded: Whether the samples said where they are padding.
        fitted: What the split learned of its data, see fitted.py; its tensors are in fitted.safetensors.
        unkept: What of it could not be written; None where all was.
        output: What the encoder gives by itself.
        files: SHA-256 of every file beside, but for the record and pictures; objective.safetensors has the weights with
            which the task predicts.
        release: Version of pretask.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    name: Line
    task: Line | None = None
    parts: dict[Literal["data", "split", "objective", "model"], Part]
    seed: int
    observed: Observed
    input: InputSpec
    whole: InputSpec
    padded: bool = False
    fitted: dict[str, Any] = {}
    unkept: Line | None = None
    output: Output
    files: dict[FileName, Hash]
    release: Line

    @model_validator(mode="after")
    def _has_what_an_encoder_needs(self) -> "TaskFile":
        if len(self.files.keys() - {*BESIDE}) != 1:
            raise ValueError("one file of weights is named")
        if not self.parts.keys() >= {"model", "split"}:
            raise ValueError("a model and a split are named")
        return self

    @model_validator(mode="after")
    def _samples_have_a_size(self) -> "TaskFile":
        for shape in (self.observed.shape, self.input.shape, self.whole.shape):
            if min(shape, default=1) < 1 or prod(shape) > MAX_NUMBERS:
                raise ValueError(f"samples of at least one and at most {MAX_NUMBERS:,} numbers")
        return self

    @property
    def weights(self) -> str:
        """The name of the file of weights."""
        return next(name for name in self.files if name not in BESIDE)


def write_text(task: TaskFile) -> bytes:
    """Return the bytes of a task.json."""
    return (json.dumps(task.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def read_task(folder: Path) -> TaskFile:
    """Read the task.json of a folder.

    Raises:
        PretaskError: There is none, it is of a later version, or it says what none says.
    """
    path = folder / TASK
    if not path.is_file():
        raise PretaskError(str(folder), f"a file {TASK}", describe_folder(folder), find_way(folder), exit_code=2)
    try:
        content = json.loads(path.read_bytes()[:MAX_BYTES])
        version = content.get("version") if isinstance(content, dict) else None
    except (ValueError, RecursionError) as error:
        raise PretaskError(str(path), "JSON", f"none ({error})", AGAIN) from error
    if version != VERSION:
        later = isinstance(version, int) and version > VERSION
        do = "Install the pretask that wrote it, or a later one." if later else AGAIN
        raise PretaskError(str(path), f"version {VERSION} of its format", f"version {version}", do)
    try:
        task = TaskFile.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = escape_invisible(".".join(map(str, first["loc"])))[:80]
        raise PretaskError(str(path), "what pretask wrote", f"{place}: {first['msg']}"[:200], AGAIN) from error
    check_files(folder, task)
    return task


def describe_folder(folder: Path) -> str:
    """Return what is there instead of a run folder."""
    if not folder.exists():
        return "no such folder"
    if folder.is_file():
        return "a file"
    if (folder.parent / TASK).is_file():
        return f"a folder within that of a run, {folder.parent.name}"
    if any(folder.glob("step-*")):
        return "checkpoints of a run that has not ended"
    if any(folder.glob("*/" + TASK)):
        return f"a folder of runs, such as {next(folder.glob('*/' + TASK)).parent.name}"
    return "a folder without one"


def find_way(folder: Path) -> str:
    """Return what to do about a folder without a task.json."""
    if folder.is_dir() and any(folder.glob("step-*")):
        return "Run the same command again: it goes on, and ends with an encoder."
    if (folder.parent / TASK).is_file():
        return f"Name the folder of the run: {folder.parent}."
    return "Name the folder of a finished run, which pretask run prints, or its record.json."


def check_files(folder: Path, task: TaskFile) -> None:
    """Raise PretaskError where a file is missing or is not what was written."""
    for name, expected in task.files.items():
        path = folder / name
        if not path.is_file():
            raise PretaskError(str(folder), f"the file {name} that its {TASK} names", "none", AGAIN)
        if hash_file(path) != expected:
            got = f"another file, of {path.stat().st_size} bytes, cut off or changed"
            raise PretaskError(str(path), f"the content that {TASK} names", got, AGAIN)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, read piece by piece."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
