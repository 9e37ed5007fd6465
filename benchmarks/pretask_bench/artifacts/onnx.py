"""ONNX: an encoder as a graph from samples to vectors, which onnxruntime must run with the same result.

Its input is `samples`, in the form that the encoder's data has, and where these are padded `present` too, which is
False at padding; its output is `features`. The batch may be of any size.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pretask import Incompatible, PretaskError
from pretask.encoder import Encoder
from pretask.stopping import raise_again
from pretask.values import Batch
from torch import Tensor

from pretask_bench.artifacts.export import differ, draw_samples, is_same
from pretask_bench.artifacts.formats import Artifact
from pretask_bench.artifacts.task_file import read_task

WHO = "pretask export --to onnx"
SAMPLES, PRESENT, FEATURES = "samples", "present", "features"


class FromTensors(torch.nn.Module):
    """An encoder of tensors alone: of samples that have the encoder's own form."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, samples: Tensor, present: Tensor | None = None) -> Tensor:
        """Return the vectors of samples; `present` is False at padding."""
        vectors: Tensor = self.encoder(Batch(samples, present=present))
        return vectors


def export_onnx(artifact: Artifact) -> Mapping[str, bytes]:
    """Return an ONNX file.

    Raises:
        Incompatible: Torch cannot export the network.
        PretaskError: A library is missing, or gives other features.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # by which torch exports
    except ImportError as error:
        needs, do = "onnx, onnxruntime and onnxscript", "pip install 'pretask[onnx]'"
        raise PretaskError(WHO, needs, f"none ({error})", do) from error
    network = FromTensors(artifact.encoder).eval()
    batches = list(draw_batches(artifact.encoder))
    with torch.no_grad():
        expected = [network(*batch.values()) for batch in batches]  # before the exporter has been in it
    try:
        content = export_network(network, batches[0])
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        found = [run_session(session, batch) for batch in batches]
    except Exception as error:  # the libraries' own kinds
        raise_again(error)
        first = (str(error).splitlines() or [""])[0][:120]
        got = f"{read_task(artifact.folder).parts['model'].id}, which is refused ({type(error).__name__}: {first})"
        needs, do = "a network that torch exports for batches of any size", "Export it --to torch or --to hub."
        raise Incompatible(WHO, needs, got, do) from error
    for vectors, wanted in zip(found, expected, strict=True):
        if not is_same(vectors, wanted):
            raise differ("onnx", vectors, expected=wanted)
    return {"model.onnx": content}


def draw_batches(encoder: Encoder) -> Iterator[dict[str, Tensor]]:
    """Yield batches of two sizes as the inputs of the graph, the last sample of each half padding where any may be."""
    samples = draw_samples(encoder)
    for count in (len(samples), len(samples) + 1):
        batch = {SAMPLES: samples[torch.arange(count) % len(samples)]}
        if encoder.preparation.padded:
            batch[PRESENT] = torch.ones(count, encoder.observed.shape[0], dtype=torch.bool)
            batch[PRESENT][-1, -(encoder.observed.shape[0] // 2) :] = False
        yield batch


def export_network(network: FromTensors, batch: Mapping[str, Tensor]) -> bytes:
    """Return the graph of a network that was tried on a batch, for batches of any size."""
    size = torch.export.Dim("batch")
    named: dict[str, Any] = {
        "input_names": [*batch],
        "output_names": [FEATURES],
        "dynamic_shapes": {name: {0: size} for name in batch} | ({} if PRESENT in batch else {PRESENT: None}),
    }
    with torch.no_grad(), TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own libraries
        path = Path(place) / "model.onnx"
        inputs = (batch[SAMPLES], batch.get(PRESENT))
        torch.onnx.export(network, inputs, path, dynamo=True, external_data=False, verbose=False, **named)
        return path.read_bytes()


def run_session(session: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the vectors that onnxruntime gives for a batch."""
    (vectors,) = session.run(None, {name: value.numpy() for name, value in batch.items()})
    return torch.from_numpy(vectors)
