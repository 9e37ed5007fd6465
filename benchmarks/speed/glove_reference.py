"""GloVe beside a plain reference: the released code's loop over shuffled cells, one AdaGrad update each, in numpy.

    python -m benchmarks.speed.glove_reference --seeds 3

Both learn the counts of the same sentences of toy-grammar from the same first weights, at the paper's rate: ours in as
many passes over the sentences as the reference makes over the cells, since the gradients of a pass have the same sum in
expectation. Of each: J (equation 8) at the end; and the correlation of the cosines of all pairs of words between the
two, beside that of two seeds of the reference.
Axes: C words, D width.
"""

import argparse
import json
import statistics
from itertools import combinations

import numpy as np
import torch
from pretask import Draws, Recipe
from pretask.composition import Task, compose
from pretask.training import train
from pretask_plugins.data.text.toy_grammar import ToyGrammar
from pretask_plugins.methods.glove.neighbors import draw_neighbors
from pretask_plugins.methods.glove.objective import Glove
from pretask_plugins.methods.glove.split import PairWithNeighbor
from pretask_plugins.models.text.two_vectors import TwoVectors
from pretask_plugins.shared.correlation import pearson

WIDTH, PASSES, RATE, X_MAX, ALPHA = 16, 50, 0.05, 100.0, 0.75
BATCH = 64
CELLS_AT_ONCE = 1 << 17


def make_task(samples: object, split: PairWithNeighbor, seed: int) -> Task:
    """Return the task with its first weights; it passes over the sentences as often as the reference over the cells."""
    data: ToyGrammar = samples  # type: ignore[assignment]
    train_part = data("train")
    present = train_part.present
    assert present is not None
    mass = float(draw_neighbors(Draws(torch.arange(len(present))), present, split.window)[1].sum()) / len(present)
    recipe = Recipe(
        optimizer="adagrad",
        lr=1.0,
        batch=BATCH,
        samples=PASSES * len(train_part),
        weight_decay=0.0,
        warmup=0.0,
        schedule="constant",
        clip=0.0,
        initial_accumulator=(2 / (RATE * BATCH * mass)) ** 2,
    )
    return compose(train_part.observed, split, lambda *specs: TwoVectors(*specs, width=WIDTH), Glove, recipe, seed=seed)


def list_cells(split: PairWithNeighbor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, columns and counts of all cells of the whole matrix."""
    cells = split.fitted_cells
    keys, counts = cells.keys[:-1].numpy(), cells.counts().numpy()
    rows, columns = keys // cells.size, keys % cells.size
    other = rows != columns
    return (
        np.concatenate([rows, columns[other]]),
        np.concatenate([columns, rows[other]]),
        np.concatenate([counts, counts[other]]),
    )


def train_reference(split: PairWithNeighbor, table: np.ndarray, seed: int) -> np.ndarray:
    """Return the table after PASSES loops over the cells: glove.c's update, squares summed with the rate in them."""
    table, squares = table.astype(np.float64).copy(), np.ones(table.shape)
    rows, columns, counts = list_cells(split)
    columns = columns + len(table) // 2
    order = np.random.default_rng(seed)
    for _ in range(PASSES):
        for cell in order.permutation(len(rows)):
            one, other = rows[cell], columns[cell]
            difference = table[one, :-1] @ table[other, :-1] + table[one, -1] + table[other, -1] - np.log(counts[cell])
            pull = RATE * min(1.0, (counts[cell] / X_MAX) ** ALPHA) * difference
            by_one, by_other = pull * np.append(table[other, :-1], 1), pull * np.append(table[one, :-1], 1)
            table[one] -= by_one / np.sqrt(squares[one])
            table[other] -= by_other / np.sqrt(squares[other])
            squares[one] += by_one**2
            squares[other] += by_other**2
    return table


def compute_loss(split: PairWithNeighbor, table: np.ndarray, x_max: float = X_MAX) -> float:
    """Return J."""
    total = 0.0
    rows, columns, counts = list_cells(split)
    for begin in range(0, len(rows), CELLS_AT_ONCE):
        some = slice(begin, begin + CELLS_AT_ONCE)
        one, other = table[rows[some]], table[columns[some] + len(table) // 2]
        difference = (one[:, :-1] * other[:, :-1]).sum(1) + one[:, -1] + other[:, -1] - np.log(counts[some])
        total += float((np.minimum(1, (counts[some] / x_max) ** ALPHA) * difference**2).sum())
    return total


def list_cosines(split: PairWithNeighbor, table: np.ndarray) -> torch.Tensor:
    """Return the cosines of all pairs of words, by the sums of their vectors."""
    half = len(table) // 2
    sums = torch.from_numpy(table[:half, :-1] + table[half:, :-1])[split.fitted_words > 0]
    unit = torch.nn.functional.normalize(sums, dim=1)
    place = torch.triu_indices(len(unit), len(unit), 1)
    return (unit @ unit.T)[place[0], place[1]]


def main() -> None:
    """Print what came of both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = ToyGrammar()
    samples = data("train")
    split = PairWithNeighbor(min_count=1).fit(samples.observed, samples.batches(512, torch.device("cpu")))
    losses: dict[str, list[float]] = {"first": [], "ours": [], "reference": []}
    ours, reference = [], []
    for seed in range(options.seeds):
        task = make_task(data, split, seed)
        first = task.model.table.detach().numpy().copy()
        train(task, samples, seed=seed)
        tables = {"first": first, "ours": task.model.table.detach().double().numpy()}
        tables["reference"] = train_reference(split, first, seed)
        for name, table in tables.items():
            losses[name].append(compute_loss(split, table))
        ours.append(list_cosines(split, tables["ours"]))
        reference.append(list_cosines(split, tables["reference"]))
    both = [pearson(one, other) for one, other in zip(ours, reference, strict=True)]
    between = [pearson(one, other) for one, other in combinations(reference, 2)]
    found = {
        "cells": len(list_cells(split)[0]),
        "J": losses,
        "correlation of cosines, ours and reference": both,
        "correlation of cosines, two seeds of the reference": between,
        "means": [statistics.mean(both), statistics.mean(between)] if between else [],
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
