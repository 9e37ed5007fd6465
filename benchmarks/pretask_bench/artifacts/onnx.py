"""ONNX: an encoder as a graph from samples to vectors, which onnxruntime must run with the same result."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pretask import Incompatible, PretaskError
from pretask.encoder import Encoder
from pretask.values import Batch
from torch import Tensor

from pretask_bench.artifacts.export import differ, draw_samples, is_same
from pretask_bench.artifacts.formats import Artifact
from pretask_bench.artifacts.task_file import read_task


def export_onnx(artifact: Artifact) -> Mapping[str, bytes]:
    """Return an ONNX file from samples, of any batch size, to vectors."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # by which torch exports
    except ImportError as error:
        raise PretaskError(
            "pretask export --to onnx",
            "onnx, onnxruntime and onnxscript",
            f"none ({error})",
            "pip install 'pretask[onnx]'",
        ) from error
    encoder = artifact.encoder
    samples, network = draw_samples(encoder), FromSamples(encoder).eval()
    batches = (samples, torch.cat([samples, samples[:1]]))  # of two sizes
    with torch.no_grad(), TemporaryDirectory() as place:
        expected = [network(shown) for shown in batches]  # before the exporter has been in it
        path = Path(place) / "model.onnx"
        shapes = {"samples": {0: torch.export.Dim("batch")}}
        named: dict[str, Any] = {"input_names": ["samples"], "output_names": ["features"], "dynamic_shapes": shapes}
        with warnings.catch_warnings():  # of the exporter's own libraries
            warnings.simplefilter("ignore")
            torch.onnx.export(network, (samples,), path, dynamo=True, external_data=False, verbose=False, **named)
        content = path.read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for shown, wanted in zip(batches, expected, strict=True):
        try:
            found = torch.from_numpy(session.run(None, {"samples": shown.numpy()})[0])
        except Exception as error:  # the library's own kinds
            got = f"{read_task(artifact.folder).parts['model'].id}, whose export refuses a batch of {len(shown)}"
            raise Incompatible(
                "pretask export --to onnx",
                "a network that torch exports for batches of any size",
                got,
                "Export it --to torch or --to hub.",
            ) from error
        if not is_same(found, wanted):
            raise differ("onnx", found, expected=wanted)
    return {"model.onnx": content}


class FromSamples(torch.nn.Module):
    """An encoder of tensors alone: of samples that have the encoder's own form, none of them padded."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, samples: Tensor) -> Tensor:
        """Return the vectors of samples."""
        vectors: Tensor = self.encoder(Batch(samples))
        return vectors
