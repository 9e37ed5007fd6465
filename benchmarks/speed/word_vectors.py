"""Word vectors beside gensim's: the same corpus, the same window, negatives and subsampling, one thread.

    python -m benchmarks.speed.word_vectors prepare FOLDER --corpus GUTENBERG --questions GENSIM_TEST_DATA
    python -m benchmarks.speed.gensim_vectors FOLDER            # in an environment with gensim
    python -m benchmarks.speed.word_vectors choose FOLDER
    python -m benchmarks.speed.word_vectors train FOLDER
    python -m benchmarks.speed.word_vectors compare FOLDER

The rates of skip-gram and CBOW are chosen by their loss on the end of the training part, before anything is compared;
GloVe has the paper's rate.
Scores of all vectors are computed by the evaluators' own functions over the same vocabulary; gensim's scores of its
vectors stand beside them, so that the two ways to score can be compared as well.
Axes: none.
"""

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pretask import Recipe
from pretask.composition import compose
from pretask.pretext_score import held_out_loss
from pretask.training import train
from pretask_plugins.data.text.text import Text
from pretask_plugins.evaluators.words.analogy import answer, read_questions
from pretask_plugins.evaluators.words.neighbors import find_neighbors
from pretask_plugins.evaluators.words.similarity import read_pairs
from pretask_plugins.methods.glove.objective import Glove
from pretask_plugins.methods.glove.split import PairWithNeighbor
from pretask_plugins.methods.word2vec.cbow import Cbow
from pretask_plugins.methods.word2vec.split import SkipGram
from pretask_plugins.models.text.bag_of_words import BagOfWords
from pretask_plugins.models.text.embedding import Embedding
from pretask_plugins.models.text.two_vectors import TwoVectors
from pretask_plugins.objectives.negative_sampling import NegativeSampling
from pretask_plugins.shared.correlation import spearman

WIDTH, LENGTH, VOCABULARY = 100, 128, 8192
CPU = torch.device("cpu")
FILES = ("wordsim353.tsv", "simlex999.txt", "questions-words.txt")
EPOCHS = {"skip-gram": 5, "cbow": 5, "glove": 25}
BATCH = {"skip-gram": 64, "cbow": 64, "glove": 256}  # rows
RATES = (3e-3, 1e-2, 3e-2, 1e-1)  # of Adam
CHOSEN_ON, CHOSEN_BY = 3000, 500  # rows at the beginning to learn from, and at the end to be scored on
GLOVE_PAIRS = 5.8 * LENGTH  # of a row, by their weight
GLOVE_RATE, X_MAX = 0.05, 10.0
PLAIN = {"weight_decay": 0.0, "warmup": 0.0, "clip": 0.0, "channels_last": False}
NEIGHBORS = 10
QUERIES = 2000  # most frequent words whose neighbors are compared


def open_corpus(folder: Path) -> Text:
    """Return the corpus that `prepare` named."""
    corpus = Path((folder / "corpus.txt").read_text(encoding="utf-8"))
    return Text(root=corpus, tokenizer="words", vocab_size=VOCABULARY, length=LENGTH)


def prepare(folder: Path, corpus: Path, questions: Path) -> None:
    """Write the rows of the training part as words, and copy the files of pairs and questions."""
    from tokenizers import Tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "corpus.txt").write_text(str(corpus), encoding="utf-8")
    data = open_corpus(folder)
    samples = data("train")
    special = {number for _, number in samples.observed.vocabulary.special} if samples.observed.vocabulary else set()
    tokenizer = Tokenizer.from_str(data.tokenizer_json)
    rows = [[tokenizer.id_to_token(token) for token in row if token not in special] for row in samples.data.tolist()]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    for file in FILES:
        shutil.copy(questions / file, folder / file)


def build(name: str, samples: Any, seed: int, lr: float = 0.0) -> tuple[Any, float]:
    """Return a task on the samples, and the seconds in which its split was fitted.

    Args:
        name: Of the method.
        samples: To learn from.
        seed: Of its weights.
        lr: Of Adam.
    """
    parts: Mapping[str, Any] = {
        "skip-gram": (SkipGram(contexts=6), Embedding, lambda *specs: NegativeSampling(*specs, negatives=0)),
        "cbow": (Cbow(), BagOfWords, lambda *specs: NegativeSampling(*specs, negatives=0)),
        "glove": (PairWithNeighbor(), TwoVectors, lambda *specs: Glove(*specs, x_max=X_MAX)),
    }
    split, model, objective = parts[name]
    started = time.process_time()
    fitted = split.fit(samples.observed, samples.batches(512, CPU))
    seconds = time.process_time() - started
    batch = BATCH[name]
    budget = {"batch": batch, "samples": EPOCHS[name] * len(samples), **PLAIN}
    recipe = (
        Recipe(
            optimizer="adagrad",
            lr=1.0,
            schedule="constant",
            initial_accumulator=(2 / (GLOVE_RATE * batch * GLOVE_PAIRS)) ** 2,
            **budget,
        )
        if name == "glove"
        else Recipe(optimizer="adam", lr=lr, schedule="linear", **budget)
    )
    made = compose(
        samples.observed, fitted, lambda *specs: model(*specs, width=WIDTH), objective, recipe, name=name, seed=seed
    )
    return made, seconds


def choose_rates(folder: Path) -> None:
    """Write the rate of the lowest loss on rows that were not learned from, of a part of the corpus with seed 0."""
    torch.set_num_threads(1)
    samples = open_corpus(folder)("train")
    learned = samples.some(torch.arange(CHOSEN_ON), "rows to learn from")
    held_out = samples.some(torch.arange(len(samples) - CHOSEN_BY, len(samples)), "rows to be scored on")
    losses: dict[str, dict[float, float]] = {"skip-gram": {}, "cbow": {}}
    for name, found in losses.items():
        for rate in RATES:
            task, _ = build(name, learned, 0, rate)
            train(task, learned)
            found[rate] = next(iter(held_out_loss(task, held_out).values()))
            print(name, rate, found[rate], flush=True)
    chosen = {name: min(found, key=lambda rate: found[rate]) for name, found in losses.items()}
    (folder / "rates.json").write_text(json.dumps({"chosen": chosen, "nats": losses}, indent=1), encoding="utf-8")


def train_all(folder: Path, seeds: int) -> None:
    """Train every method with every seed; write vectors and times."""
    torch.set_num_threads(1)
    data = open_corpus(folder)
    samples = data("train")
    rates = json.loads((folder / "rates.json").read_text(encoding="utf-8"))["chosen"]
    for seed in range(seeds):
        for name in EPOCHS:
            if (folder / f"ours-{name}-{seed}.json").is_file():
                continue
            task, fit_seconds = build(name, samples, seed, rates.get(name, 0.0))
            started = time.process_time()
            train(task, samples, seed=seed)
            seconds = time.process_time() - started
            tokens = EPOCHS[name] * int(samples.data.numel())
            about = {
                "tokens": tokens,
                "fit_tokens_per_second": samples.data.numel() / fit_seconds,
                "cpu_seconds": seconds,
                "tokens_per_second": tokens / seconds,
                "batch": task.recipe.batch,
                "lr": task.recipe.lr,
            }
            words, vectors = list_vectors(data, task)
            np.savez(folder / f"ours-{name}-{seed}.npz", words=np.array(words), vectors=vectors)
            (folder / f"ours-{name}-{seed}.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
            print(name, seed, json.dumps(about), flush=True)


def list_vectors(data: Text, task: Any) -> tuple[list[str], np.ndarray]:
    """Return the words that were trained, the most frequent first, and their vectors."""
    from tokenizers import Tokenizer

    counts = task.split.words if isinstance(task.split, PairWithNeighbor) else task.split.counts
    tokens = [token for token in counts.argsort(descending=True, stable=True).tolist() if counts[token] > 0]
    tokenizer = Tokenizer.from_str(data.tokenizer_json)
    model = task.model
    table = model.sum_tables() if isinstance(model, TwoVectors) else model.embedding.weight
    return [tokenizer.id_to_token(token) for token in tokens], table.detach()[tokens].numpy()


def compare(folder: Path) -> dict[str, Any]:
    """Return scores of all vectors, and how many of ten neighbors two of them share."""
    loaded = {path.stem: dict(np.load(path)) for path in sorted(folder.glob("*.npz"))}
    shared = set.intersection(*(set(one["words"].tolist()) for one in loaded.values()))
    common = [word for word in next(iter(loaded.values()))["words"].tolist() if word in shared]
    vectors = {name: take(one, common) for name, one in loaded.items()}
    found: dict[str, Any] = {"words": len(common), "scores": {}, "overlap": {}}
    for name, table in vectors.items():
        found["scores"][name] = score(folder, common, table)
    neighbors = {name: find_neighbors(table, NEIGHBORS)[1][:QUERIES] for name, table in vectors.items()}
    for name in ("skip-gram", "cbow"):
        ours, theirs = ([key for key in neighbors if key.startswith(f"{who}-{name}")] for who in ("ours", "gensim"))
        found["overlap"][name] = {
            "ours-gensim": mean_overlap(neighbors, [(one, other) for one in ours for other in theirs]),
            "gensim-gensim": mean_overlap(neighbors, list_pairs(theirs)),
            "ours-ours": mean_overlap(neighbors, list_pairs(ours)),
        }
    glove = [key for key in neighbors if key.startswith("ours-glove")]
    skip_gram = [key for key in neighbors if key.startswith("gensim-skip-gram")]
    found["overlap"]["glove"] = {
        "ours-ours": mean_overlap(neighbors, list_pairs(glove)),
        "with gensim's skip-gram": mean_overlap(neighbors, [(one, other) for one in glove for other in skip_gram]),
    }
    return found


def take(loaded: Mapping[str, Any], words: list[str]) -> torch.Tensor:
    """Return the vectors of some words, of length 1."""
    rows = {word: row for row, word in enumerate(loaded["words"])}
    table = torch.from_numpy(loaded["vectors"][[rows[word] for word in words]]).double()
    return torch.nn.functional.normalize(table, dim=1)


def list_pairs(names: list[str]) -> list[tuple[str, str]]:
    """List all pairs of different names."""
    return [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]


def mean_overlap(neighbors: Mapping[str, torch.Tensor], pairs: list[tuple[str, str]]) -> float | None:
    """Return how many of its neighbors a word has in both of two tables, as a mean over words and pairs of tables."""
    if not pairs:
        return None
    shared = [
        float((neighbors[one][:, :, None] == neighbors[other][:, None]).sum((1, 2)).double().mean())
        for one, other in pairs
    ]
    return statistics.mean(shared)


def score(folder: Path, words: list[str], vectors: torch.Tensor) -> dict[str, float]:
    """Return the correlation with ratings and the accuracy of analogies, with how much of the files is covered."""
    rows = {word: row for row, word in enumerate(words)}
    found: dict[str, float] = {}
    for file in FILES[:2]:
        pairs = read_pairs(folder / file)
        known = [pair for pair in pairs if pair.first.lower() in rows and pair.second.lower() in rows]
        one, other = ([rows[getattr(pair, which).lower()] for pair in known] for which in ("first", "second"))
        ratings = torch.tensor([pair.rating for pair in known])
        found[file] = spearman((vectors[one] * vectors[other]).sum(1).float(), ratings)
        found[f"{file} coverage"] = len(known) / len(pairs)
    questions = read_questions(folder / FILES[2])
    numbers = [[rows.get(word.lower(), -1) for word in question.words] for question in questions]
    known_rows = torch.tensor([words_of for words_of in numbers if min(words_of) >= 0])
    found[FILES[2]] = float((answer(vectors, known_rows[:, :3]) == known_rows[:, 3]).double().mean())
    found[f"{FILES[2]} coverage"] = len(known_rows) / len(questions)
    return found


def main() -> None:
    """Do what the first word says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("prepare", "choose", "train", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if options.what == "prepare":
        prepare(options.folder, options.corpus, options.questions)
    elif options.what == "choose":
        choose_rates(options.folder)
    elif options.what == "train":
        train_all(options.folder, options.seeds)
    else:
        found = compare(options.folder)
        found["rates"] = json.loads((options.folder / "rates.json").read_text(encoding="utf-8"))
        found["measured"] = {
            path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(options.folder.glob("*-[0-9].json"))
        }
        (options.folder / "compared.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
