"""Sound data, and what goes wrong in them."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pretask import Batch, Draws, Labels, Observed, PretaskError, Samples
from pretask.cache import fingerprint
from torch import Tensor

FIRST = {"train": 0, "test": 1_000}


class Telling(Samples):
    """Samples whose batches hold their labels."""

    def batch(self, index: Tensor, device: torch.device, partners: Tensor | None = None) -> Batch:
        batch = super().batch(index, device, partners)
        object.__setattr__(batch, "labels", self.labels["kind"].value[index])
        return batch


@dataclass(frozen=True)
class Dots:
    """Grey noise of two kinds, light and dark."""

    fault: str = ""

    def __call__(self, part: str, /) -> Samples:
        if part not in FIRST:
            if self.fault == "any-part-given":
                part = "test"
            else:
                raise PretaskError("dots", "the part train or test", part, "Choose one of them.")
        first = 0 if self.fault == "parts-overlap" and part == "test" else FIRST[part]
        draws = Draws(torch.arange(first, first + 16))
        label = draws.integers("kind", 0, 2)
        data = (draws.uniform("grain", 3, 32, 32, high=100.0) + 100 * label.view(-1, 1, 1, 1)).byte()
        if self.fault == "made-by-chance":
            data = torch.randint(0, 255, data.shape).byte()
        if self.fault == "ambient-moved":
            torch.rand(3)
        return self.spoiled(Samples(Observed("image", (3, 32, 32), samples=16), data, {"kind": self.labels(label)}))

    def labels(self, label: Tensor) -> Labels:
        return Labels(label + (2 if self.fault == "labels-out-of-range" else 0), ("dark", "light"))

    def spoiled(self, samples: Samples) -> Samples:
        held = str(time.time_ns()) if self.fault == "fingerprint-of-the-moment" else fingerprint(samples.data.numpy())
        samples = replace(samples, fingerprint=held)
        if self.fault == "floats-for-bytes":
            samples = replace(samples, data=samples.data.float())
        if self.fault == "fewer-than-announced":
            samples = replace(samples, observed=replace(samples.observed, samples=20))
        return Telling(**vars(samples)) if self.fault == "labels-in-the-batch" else samples


@dataclass(frozen=True)
class Table:
    """Rows of bytes of a text file, as images of one line."""

    root: Path
    fault: str = ""

    @staticmethod
    def write_example(folder: Path, /) -> dict[str, Any]:
        for part, first in FIRST.items():
            lines = (" ".join(str((first + row * column) % 251) for column in range(1, 9)) for row in range(4))
            (folder / f"{part}.txt").write_text("\n".join(lines))
        return {"root": folder}

    def __call__(self, part: str, /) -> Samples:
        path = self.root / f"{part}.txt"
        if not path.exists():
            raise PretaskError("table", f"a file for the part {part}", f"no {path}", "Put one there.")
        rows = [list(map(int, line.split())) for line in path.read_text().splitlines()]
        data = torch.tensor(rows, dtype=torch.uint8).view(len(rows), 1, 1, 8)
        known = fingerprint(data.numpy(), names=[str(self.root)] if self.fault == "known-by-its-path" else [])
        return Samples(Observed("image", (1, 1, 8), samples=len(rows)), data, {}, None, known)


class Leaking(Samples):
    """Samples whose label shows in what a batch holds."""

    def batch(self, index: Tensor, device: torch.device, partners: Tensor | None = None) -> Batch:
        batch = super().batch(index, device, partners)
        return replace(batch, data=batch.data + 0.1 * self.labels["kind"].value[index][:, None])


@dataclass(frozen=True)
class Smells:
    """Eight numbers each, the last four of which follow from the first."""

    fault: str = ""

    def __call__(self, part: str, /) -> Samples:
        draws = Draws(torch.arange(FIRST[part], FIRST[part] + 32))
        half = draws.normal("smell", 4)
        label = draws.integers("kind", 0, 2)
        data = torch.cat([half, half.flip(1)], 1)
        kind = Leaking if self.fault == "label-leak" else Samples
        modality = "stench" if self.fault == "label-leak" else "smell"
        seen = Observed(modality, (8,), "float32", samples=32)
        return kind(seen, data, {"kind": Labels(label, ("sweet", "sour"))}, None, fingerprint(data.numpy()))
