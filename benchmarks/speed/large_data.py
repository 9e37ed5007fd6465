"""Large data: what a step costs, and what memory a training takes, from a thousand to a million samples.

Every size is a process of its own, which opens its data, takes some steps with a small network, and says how long the
fetching of a batch and a whole step took, and how much memory it had at most: all of it, and without pages of files,
which the system takes back where it needs them. `images`, `texts` and `waves` are files as the cache has them, but
sparse: what lies in them costs nothing. `shards` are real tar files of pictures of 32 pixels, listed in a process of
their own first, whose time and memory are those of a first start. Steps of two sizes are compared in the same run.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from pretask import Observed, Samples, Vocabulary
from pretask.fitting import fit_split
from pretask.mapped import map_file
from pretask_bench.runs.plan import make_plan
from pretask_plugins.data.audio.waves import find_present
from pretask_plugins.data.image.webdataset import WebDataset
from pretask_plugins.shared.tiny_files import paint_picture
from pretask_registry import Registry
from pretask_registry.canned import ROLES

from benchmarks.speed.growth import time_call
from benchmarks.speed.workloads import ENDLESS, build_run

SIZES = (1_000, 10_000, 100_000, 1_000_000)
SIDE, LENGTH, WAVE = 32, 64, 4000  # pixels, tokens, samples of a waveform
SHARD = 10_000  # samples of a tar file
BATCH, STEPS, WARM = 64, 40, 10
LOOK_SECONDS = 0.02
MB = 1 << 20
KINDS = ("images", "texts", "waves", "shards")
TASKS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "images": ("vae", {"data": "digits"}),
    "shards": ("vae", {"data": "digits"}),
    "texts": ("causal-lm", {"data": "toy-grammar", "model.width": 32, "model.depth": 1, "model.heads": 2}),
    "waves": ("vae", {"data": "tones", "split.binarize": False, "objective.likelihood": "gaussian"}),
}


def measure_large_data(sizes: Sequence[int] = SIZES, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """Return the costs of each kind of data at each size, and the last step's over the first one's."""
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            for size in sizes:
                place = Path(folder) / f"{kind}{size}"
                WRITERS[kind](place, size)
                first = {} if kind != "shards" else {"first start": start_training(kind, size, place, steps=0)}
                measured[f"{kind}, {size}"] = found = {**start_training(kind, size, place, STEPS), **first}
                print(f"{kind:8}{size:>10,}  {json.dumps(found)}", flush=True)
                (shutil.rmtree if place.is_dir() else os.unlink)(place)
            first, last = (measured[f"{kind}, {size}"]["step ms"] for size in (sizes[0], sizes[-1]))
            measured[f"{kind}, a step of most over one of fewest samples"] = round(last / first, 2)
    return measured


def start_training(kind: str, size: int, place: Path, steps: int) -> dict[str, float]:
    """Return what a new process says of so many steps on some data."""
    command = [sys.executable, "-m", "benchmarks.speed.large_data", kind, str(size), str(place), str(steps)]
    surroundings = os.environ | {"OMP_NUM_THREADS": "1", "PRETASK_CACHE": str(place.parent / "cache")}
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, env=surroundings, stdout=subprocess.PIPE).stdout
    )
    return found


def write_sparse(path: Path, shape: tuple[int, ...], dtype: str) -> None:
    """Write an array of zeros of which the disk holds nothing but the header."""
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + int(np.prod(shape)) * np.dtype(dtype).itemsize)


def write_shards(root: Path, size: int) -> None:
    """Write tar files of pictures with a class beside each, all the same ones, and one to test on."""
    root.mkdir()
    first = root / "train-000000.tar"
    write_shard(first, min(SHARD, size))
    write_shard(root / "test-000000.tar", BATCH)
    for number in range(1, size // SHARD):
        shutil.copyfile(first, root / f"train-{number:06d}.tar")


def write_shard(path: Path, count: int) -> None:
    """Write one shard."""
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            pixels = io.BytesIO()
            Image.fromarray(paint_picture(number, SIDE)).save(pixels, "JPEG")
            for ending, content in (("jpg", pixels.getvalue()), ("cls", str(number % 10).encode())):
                about = tarfile.TarInfo(f"{number:07d}.{ending}")
                about.size = len(content)
                archive.addfile(about, io.BytesIO(content))


WRITERS: Mapping[str, Callable[[Path, int], None]] = {
    "images": lambda path, size: write_sparse(path, (size, 3, SIDE, SIDE), "uint8"),
    "texts": lambda path, size: write_sparse(path, (size, LENGTH), "int16"),
    "waves": lambda path, size: write_sparse(path, (size, WAVE), "float32"),
    "shards": write_shards,
}


def open_samples(kind: str, size: int, place: Path) -> Samples:
    """Open data as a loader gives them."""
    if kind == "shards":
        return WebDataset(place, SIDE)("train")
    data = torch.from_numpy(map_file(place))
    if kind == "images":
        return Samples(Observed("image", (3, SIDE, SIDE), "uint8", size), data)
    if kind == "texts":
        words = Vocabulary(256, tuple((role, number) for number, role in enumerate(ROLES)))
        return Samples(Observed("text", (LENGTH,), "int64", size, words), data)
    present = find_present(torch.full((size,), WAVE), WAVE)
    return Samples(Observed("audio", (WAVE,), "float32", size, rate=WAVE), data, present=present)


def take_steps(kind: str, size: int, place: Path, steps: int) -> dict[str, float]:
    """Train for some steps in this process, and return what they and their batches cost, and the memory at most."""
    torch.set_num_threads(1)
    bare, peak = read_memory("RssAnon"), PeakMemory()
    begin = time.process_time()
    samples = open_samples(kind, size, place)
    opened = time.process_time() - begin
    found = {"opening s": opened}
    if steps:
        found |= time_steps(kind, samples, steps)
    return {name: round(value, 3) for name, value in {**found, **peak.stop(), "before MB": bare}.items()}


def time_steps(kind: str, samples: Samples, steps: int) -> dict[str, float]:
    """Return CPU milliseconds of a step, of fetching its batch, and of fetching it again when its pages are there."""
    name, settings = TASKS[kind]
    plan = make_plan(
        Registry.load(), name, preset="small", settings={**settings, "recipe.batch": BATCH, "recipe.samples": ENDLESS}
    )
    split = fit_split(plan.build("split"), samples.observed, iter(()), None, name=name)
    run = build_run(samples, split, plan.build("model"), plan.build("objective"), plan.recipe, torch.device("cpu"))
    stride = max(1, len(samples) // BATCH // (steps + WARM))  # all over one epoch, whose order is drawn once
    steps_taken, taken = range(0, stride * (steps + WARM), stride), []
    for step in steps_taken:
        fetched = time.process_time()
        batches = run.fetch(step)
        stepped = time.process_time()
        run.take_step(run.make_micro_batches(batches))
        taken.append((1e3 * (stepped - fetched), 1e3 * (time.process_time() - fetched)))
    fetch, step = np.median(np.array(taken[WARM:]), 0).tolist()
    again = [1e3 * time_call(partial(run.fetch, step)) for step in steps_taken]
    return {"fetch ms": fetch, "again ms": median(again[WARM:]), "step ms": step}


class PeakMemory:
    """Looks at this process's memory every few milliseconds."""

    def __init__(self) -> None:
        self.peak, self.over = 0.0, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self) -> None:
        """Keep the most, without pages of files, until it is over."""
        while not self.over.wait(LOOK_SECONDS):
            self.peak = max(self.peak, read_memory("RssAnon"))

    def stop(self) -> dict[str, float]:
        """Return the most in megabytes: without pages of files, and with them."""
        self.over.set()
        self.thread.join()
        return {"peak MB": max(self.peak, read_memory("RssAnon")), "with files MB": read_memory("VmHWM")}


def read_memory(name: str) -> float:
    """Return a line of what Linux says of this process's memory, in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024 / MB


if __name__ == "__main__":
    print(json.dumps(take_steps(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))))
