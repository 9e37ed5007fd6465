"""Gensim's vectors of the rows that `word_vectors prepare` wrote, in an environment of gensim without ours.

    python -m benchmarks.speed.gensim_vectors FOLDER --epochs 10 --seeds 3

One worker; its time is CPU time of training alone, after the vocabulary was counted.
Axes: none.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from gensim.models import Word2Vec

SETTINGS = {"vector_size": 100, "window": 5, "negative": 5, "min_count": 5, "sample": 1e-3, "workers": 1}


def main() -> None:
    """Train skip-gram and CBOW with every seed; write vectors, times, and gensim's own scores."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows = json.loads((options.folder / "rows.json").read_text(encoding="utf-8"))
    for seed in range(options.seeds):
        for name, is_skip_gram in (("skip-gram", 1), ("cbow", 0)):
            train(options.folder, f"gensim-{name}-{seed}", rows, is_skip_gram, options.epochs, seed)


def train(folder: Path, name: str, rows: list[list[str]], is_skip_gram: int, epochs: int, seed: int) -> None:
    """Train one model and write what came of it."""
    model = Word2Vec(sg=is_skip_gram, epochs=epochs, seed=seed + 1, **SETTINGS)
    model.build_vocab(rows)
    started = time.process_time()
    model.train(rows, total_examples=model.corpus_count, epochs=epochs)
    seconds = time.process_time() - started
    tokens = epochs * sum(map(len, rows))
    own = {
        file: float(model.wv.evaluate_word_pairs(str(folder / file), case_insensitive=True)[1][0])
        for file in ("wordsim353.tsv", "simlex999.txt")
        if (folder / file).is_file()
    }
    if (folder / "questions-words.txt").is_file():
        own["questions-words.txt"] = float(
            model.wv.evaluate_word_analogies(str(folder / "questions-words.txt"), restrict_vocab=30_000)[0]
        )
    np.savez(folder / f"{name}.npz", words=np.array(model.wv.index_to_key), vectors=model.wv.vectors)
    about = {"tokens": tokens, "cpu_seconds": seconds, "tokens_per_second": tokens / seconds, "own": own}
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    print(name, json.dumps(about), flush=True)


if __name__ == "__main__":
    main()
