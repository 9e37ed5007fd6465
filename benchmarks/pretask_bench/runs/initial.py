"""Init: the weights that a run begins with: of another run, of a file or of timm; its record names them by a hash."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretask import Incompatible, PretaskError
from pretask.checkpoint_content import Unsound, read_tensors
from pretask.exporting import OffersExport
from pretask.hashing import hash_weights
from pretask.initial import InitialWeights
from pretask.stopping import raise_again
from torch import Tensor

from pretask_bench.artifacts.load import find_folder
from pretask_bench.artifacts.task_file import RECORD, read_task
from pretask_bench.records.record import parse_record

TIMM = "timm"
SUFFIX = ".safetensors"


def read_initial(place: str, encoder: Any, option: str = "--init") -> InitialWeights:
    """Return the weights that an option names.

    Args:
        place: A run's folder or record, a file of safetensors, or `timm`.
        encoder: The model that gets them, on any device.
        option: The option, for errors.

    Raises:
        PretaskError: They are not there, or damaged.
    """
    if place == TIMM:
        return read_timm(encoder, option)
    return read_file(Path(place), option) if place.endswith(SUFFIX) else read_run(Path(place), option)


def read_run(place: Path, option: str) -> InitialWeights:
    """Return the weights of a run's encoder."""
    folder = find_folder(place)
    weights = read(folder / read_task(folder).weights, option)
    return InitialWeights(folder.name, read_origin(folder / RECORD, weights), weights, option)


def read_origin(record: Path, weights: Mapping[str, Tensor]) -> str:
    """Return what names the weights of a run: the hash that its record has of all that was trained, else their own."""
    origin = parse_record(record.read_bytes()).weights if record.is_file() else None
    return origin or hash_weights(weights)


def read_file(path: Path, option: str) -> InitialWeights:
    """Return the weights of a file."""
    weights = read(path, option)
    return InitialWeights(path.name, hash_weights(weights), weights, option)


def read(path: Path, option: str) -> dict[str, Any]:
    """Read a file of weights; raise PretaskError where it is none."""
    try:
        return read_tensors(path)
    except Unsound as error:
        do = f"Name a run's folder, a {SUFFIX} file, or timm."
        raise PretaskError(option, "weights that can be read", str(error), do, exit_code=2) from error


def read_timm(encoder: Any, option: str) -> InitialWeights:
    """Return timm's pretrained weights of the model's architecture, from this machine's cache or the network."""
    import timm

    who = f"{option} timm"
    network = encoder.export(TIMM) if isinstance(encoder, OffersExport) else None
    if network is None:
        raise Incompatible(
            who, "an architecture of timm", type(encoder).__name__, "Choose --model timm and model.name."
        )
    try:
        weights = timm.create_model(**network.config, pretrained=True).state_dict()
    except Exception as error:  # whatever the library and the network raise
        raise_again(error)
        got = f"none here ({str(error).splitlines()[0][:120] if str(error) else type(error).__name__})"
        do = f"Fetch them where there is a network, or name a file: {option} FILE.safetensors."
        name = network.config["model_name"]
        raise PretaskError(who, f"pretrained weights of {name}", got, do) from error
    return InitialWeights(f"timm {network.config['model_name']}", hash_weights(weights), weights, option)
