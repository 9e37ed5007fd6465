"""GloVe's plain loop over the cells of a corpus, compiled from C, by x_max: what to expect of so much text.

    python -m benchmarks.speed.glove_loop FOLDER --iterations 25

FOLDER is that of word_vectors, prepared. Every iteration visits all cells that are not 0, in one shuffled order, as the
released code does. Of each x_max: J (equation 8), and what `word_vectors compare` says of vectors.
Axes: C words, D width, M cells.
"""

import argparse
import ctypes
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pretask_plugins.methods.glove.split import PairWithNeighbor
from tokenizers import Tokenizer

from benchmarks.speed.glove_reference import ALPHA, RATE, compute_loss, list_cells
from benchmarks.speed.word_vectors import CPU, WIDTH, open_corpus, score

X_MAX = (10.0, 100.0)


def compile_loop(folder: Path) -> Any:
    """Return the function, compiled into a folder."""
    library = folder / "glove_loop.so"
    source = Path(__file__).with_suffix(".c")
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, str(source), "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library)).pass_over_cells


def learn(loop: Any, split: PairWithNeighbor, x_max: float, iterations: int, seed: int) -> np.ndarray:
    """Return the table after some iterations."""
    drawn = np.random.default_rng(seed)
    rows, columns, counts = list_cells(split)
    order = drawn.permutation(len(rows))
    words = split.fitted_cells.size
    table = ((drawn.random((2 * words, WIDTH + 1)) - 0.5) / WIDTH).astype(np.float32)
    squares = np.ones_like(table)
    cells = [rows[order].astype(np.int32), columns[order].astype(np.int32), counts[order].astype(np.float32)]
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (*cells, table, squares)]
    sizes = [ctypes.c_int64(number) for number in (len(rows), words, WIDTH)]
    numbers = [ctypes.c_float(number) for number in (RATE, x_max, ALPHA)]
    for _ in range(iterations):
        loop(sizes[0], *pointers[:3], *sizes[1:], *pointers[3:], *numbers)
    return table


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--iterations", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = open_corpus(options.folder)
    samples = data("train")
    split = PairWithNeighbor().fit(samples.observed, samples.batches(512, CPU))
    counts = split.fitted_words
    tokens = [token for token in counts.argsort(descending=True, stable=True).tolist() if counts[token] > 0]
    tokenizer = Tokenizer.from_str(data.tokenizer_json)
    words = [str(tokenizer.id_to_token(token)) for token in tokens]
    with tempfile.TemporaryDirectory() as name:
        loop = compile_loop(Path(name))
        for x_max in X_MAX:
            for seed in range(options.seeds):
                started = time.process_time()
                table = learn(loop, split, x_max, options.iterations, seed)
                found: dict[str, Any] = {"x_max": x_max, "iterations": options.iterations, "seed": seed}
                found["cpu_seconds"] = time.process_time() - started
                found["J"] = compute_loss(split, table.astype(np.float64), x_max)
                sums = torch.from_numpy((table[: counts.numel()] + table[counts.numel() :])[tokens, :-1]).double()
                found |= score(options.folder, words, torch.nn.functional.normalize(sums, dim=1))
                print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
