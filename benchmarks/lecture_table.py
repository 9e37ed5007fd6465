"""The table of lectures on pretrained language models, small: systems in rows, six tasks of texts in columns.

    python benchmarks/lecture_table.py DATA runs/lecture benchmarks/results/lecture-table
    pretask results benchmarks/results/lecture-table --systems

DATA holds gutenberg, sst2, trec6, rte, ud_english_ewt, wnut17 and xquad_en; the second folder takes excerpts of them,
runs and the records of the search; the third takes the records of the table. Every system learns from books, once
for every seed, and is then measured on all tasks: by a probe of frozen features, and by fine-tuning where there is a
network to tune. The rates of fine-tuning are searched on seed 0, for masked-lm and for its network from scratch; where
these choose different ones, every network of the table chooses between the two.

Running it again goes on where it stopped: what is recorded is not computed again. `--tiny` tries all of it in minutes.
"""

import argparse
import gzip
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pretask
from pretask_plugins.data.text.text import Text

BOOKS, TOKENIZER = "gutenberg", "tokenizer.json"
LENGTH, VOCABULARY, WIDTH = 64, 2048, 64
HELD_OUT_CHARACTERS = 80_000  # of the book that the pretext task is scored on
SEARCHED = (1e-3, 3e-3)  # rates
UNSEARCHED = (1e-3,)  # of tasks too small to choose on
HEAD_RATE = (1e-2,)  # of a head on frozen features
NETWORK = {  # one for both, but for what it sees; with learned positions a masked one needs ten times the rows
    "model": "transformer",
    "model.width": WIDTH,
    "model.depth": 2,
    "model.heads": 4,
    "model.dropout": 0.0,
    "recipe.lr": 4e-3,
}
MASKED = NETWORK | {"split.mask_ratio": 0.3}
PAIRS = {"split.pieces": "given", "data.document": "paragraph", "data.random_next": "half"}
EMBEDDING = {"model.width": WIDTH, "split.min_count": 5, "split.subsample": 1e-3}
RECURRENT = {"model.width": WIDTH, "model.hidden_size": WIDTH, "recipe.lr": 1e-2, "recipe.batch": 32}
GLOVE = {"model.width": WIDTH, "data.tokenizer": "bpe"}


@dataclass(frozen=True)
class System:
    """What learns from books.

    Args:
        task: Name of the task.
        samples: Rows of books that it sees: about as many as a minute and a half of one core allow.
        options: Of its parts.
        preset: Of the task.
        split: Instead of the preset's.
        data: What the books are: one stream, or pairs of spans of sentences.
        is_tuned: Whether it is fine-tuned as well.
        from_scratch: Whether its network is fine-tuned from random initialization as well.
        is_reference: Whether frozen features of that, and the input without a network, are rows; rates are searched on
            it.
    """

    task: str
    samples: int
    options: Mapping[str, Any] = field(default_factory=dict)
    preset: str = "small"
    split: str | None = None
    data: str = "text"
    is_tuned: bool = True
    from_scratch: bool = False
    is_reference: bool = False


@dataclass(frozen=True)
class Transfer:
    """Data of one kind, on which systems are measured.

    Args:
        data: Name of the loader.
        folders: The data sets.
        options: Of the loader.
        probe: Evaluator of frozen features.
        tuner: Evaluator that trains further.
        epochs: Of the head, and of fine-tuning.
        tuner_options: Further ones.
        searched: Data sets on which rates are searched; the others take those of the last one of them.
    """

    data: str
    folders: tuple[str, ...]
    options: Mapping[str, Any]
    probe: str
    tuner: str
    epochs: int
    tuner_options: Mapping[str, Any] = field(default_factory=dict)
    searched: tuple[str, ...] = ()


SYSTEMS = (
    System("masked-lm", 64_000, MASKED, split="mask-tokens", from_scratch=True, is_reference=True),
    System("causal-lm", 32_000, NETWORK | {"model.causal": True}, from_scratch=True),
    System("masked-lm", 64_000, MASKED | PAIRS, split="mask-tokens-pair", data="sentence-pairs"),
    System("elmo", 20_000, RECURRENT, is_tuned=False),
    System("word2vec", 96_000, EMBEDDING, is_tuned=False),
    System("glove", 230_000, GLOVE, preset="books", is_tuned=False),
)
ALONE = {"lm_weight": 0.0}  # no loss of the language model beside that of the classes, which would double the time
TRANSFERS = (
    Transfer(
        "text", ("sst2", "trec6"), {"length": 48}, "linear", "classification", 3, ALONE, searched=("sst2", "trec6")
    ),
    Transfer(
        "text",
        ("ud_english_ewt", "wnut17"),
        {"length": 48},
        "token-classification",
        "token-classification",
        3,
        searched=("ud_english_ewt",),
    ),
    Transfer("pairs", ("rte",), {"length": 96}, "linear", "pair-classification", 1, ALONE),
    Transfer(
        "questions",
        ("xquad_en",),
        {"length": 192, "max_question": 32, "stride": 96},
        "question-answering",
        "question-answering",
        1,
    ),
)
TRAINED_ON = {"sst2": 1000, "trec6": 1000, "ud_english_ewt": 1000, "wnut17": 1000}  # texts; of the others all
TESTED_ON = {"rte": 800}
MIN_TEXTS = {"\n": 300, "\n\n": 1000}  # of an excerpt, so that it has all classes; by what is between texts


@dataclass(frozen=True)
class Workspace:
    """Where all lies.

    Args:
        excerpts: The folder of data.
        runs: The folder of runs.
        scale: By which budgets are multiplied.
    """

    excerpts: Path
    runs: Path
    scale: float = 1.0

    def measure(
        self, system: System, transfer: Transfer, seed: int, evaluators: Mapping[str, Mapping[str, Any]], baselines: str
    ) -> Any:
        """Train a system, or find it trained, and measure it on data sets; return the run."""
        common = {**transfer.options, "vocab_size": VOCABULARY, "learn_from": self.excerpts / BOOKS}
        options: dict[str, Any] = {f"on.{name}": value for name, value in common.items()}
        options |= {f"on.{at}.root": self.excerpts / name for at, name in enumerate(transfer.folders, start=1)}
        options |= {"data.root": self.excerpts / BOOKS, "data.length": LENGTH, "data.vocab_size": VOCABULARY}
        if system.data != "text":  # whose documents are other ones, and would teach another tokenizer
            options["data.learn_from"] = self.excerpts / TOKENIZER
        options |= {f"{name}.{option}": value for name, of in evaluators.items() for option, value in of.items()}
        return pretask.run(
            system.task,
            preset=system.preset,
            data=system.data,
            split=system.split,
            on=[transfer.data] * len(transfer.folders),
            evaluate=tuple(evaluators),
            baselines=baselines,
            samples=round(system.samples * self.scale),
            seed=seed,
            out=self.runs,
            device="cpu",
            threads=1,
            pictures=False,
            **system.options,
            **options,
        )


def tuning_options(transfer: Transfer, rates: Sequence[float]) -> dict[str, Any]:
    """Return the options of fine-tuning."""
    return {**transfer.tuner_options, "rates": tuple(rates), "epochs": (transfer.epochs,)}


def search_rates(workspace: Workspace, transfer: Transfer) -> dict[str, tuple[float, ...]]:
    """Return for every data set the rates that the pretrained network or the one from scratch chose on seed 0."""
    rates = dict.fromkeys(transfer.folders, UNSEARCHED)
    if transfer.searched:
        system = next(system for system in SYSTEMS if system.is_reference)
        tuning = {transfer.tuner: tuning_options(transfer, SEARCHED)}
        run = workspace.measure(system, replace(transfer, folders=transfer.searched), 0, tuning, "random-init")
        chosen = [sorted({float(result.chosen["rate"]) for result in record.results}) for record in run.records]
        rates = dict.fromkeys(transfer.folders, tuple(chosen[-1]))
        rates |= {folder: tuple(found) for folder, found in zip(transfer.searched, chosen, strict=True)}
    return rates


def measure_all(workspace: Workspace, seeds: Sequence[int]) -> Iterator[Path]:
    """Measure every system on all of them, and yield the records, seed by seed."""
    rates = {folder: found for transfer in TRANSFERS for folder, found in search_rates(workspace, transfer).items()}
    shown, unclaimed = ([of for of in TRANSFERS if bool(of.searched) == claims] for claims in (True, False))
    for transfers in (shown, unclaimed):  # what is too small for a claim comes last
        for seed in seeds:
            for system in SYSTEMS:
                for transfer in transfers:
                    yield from measure_both(workspace, system, transfer, seed, rates)


def measure_both(
    workspace: Workspace, system: System, transfer: Transfer, seed: int, rates: Mapping[str, tuple[float, ...]]
) -> Iterator[Path]:
    """Measure a system frozen, and fine-tuned where it has a network to tune; yield the records."""
    head = {"rates": HEAD_RATE, "epochs": (transfer.epochs,), "frozen": True}
    probing = {transfer.probe: head if transfer.probe == transfer.tuner else {}}
    references = ["random-init", "raw-input"] if system.is_reference else []
    if transfer.probe == transfer.tuner or seed:
        references = references[:1]  # a line on tokens says what their tags do, and the same for all seeds
    runs = [workspace.measure(system, transfer, seed, probing, ",".join(references))]
    for folder in transfer.folders if system.is_tuned else ():
        tuning = {transfer.tuner: tuning_options(transfer, rates[folder])}
        alone = replace(transfer, folders=(folder,))
        runs.append(workspace.measure(system, alone, seed, tuning, "random-init" if system.from_scratch else ""))
    yield from (stored.path for run in runs for stored in run.stored)


def write_excerpts(source: Path, target: Path, scale: float) -> None:
    """Write what the table is about: whole books to learn from, and some of the texts of every task."""
    books = target / BOOKS
    books.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / BOOKS / "train.txt.gz", books / "train.txt.gz")
    held_out = read(source / BOOKS / "test.txt.gz")[:HELD_OUT_CHARACTERS]
    (books / "test.txt").write_text(held_out, encoding="utf-8")
    (target / TOKENIZER).write_text(Text(books, vocab_size=VOCABULARY).tokenizer_json, encoding="utf-8")
    for transfer in TRANSFERS:
        for name in transfer.folders:
            (target / name).mkdir(exist_ok=True)
            for path in sorted((source / name).iterdir()):
                part = next(part for part in ("train", "dev", "test") if part in path.name)
                if part == "dev" and name != "xquad_en":
                    continue
                size = {"train": TRAINED_ON, "test": TESTED_ON}.get(part, {}).get(name)
                (target / name / path.name.removesuffix(".gz")).write_text(
                    excerpt(read(path), path, size, scale), encoding="utf-8"
                )


def read(path: Path) -> str:
    """Return the text of a file, also of a compressed one."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")


def excerpt(text: str, path: Path, size: int | None, scale: float) -> str:
    """Return texts that stand at equal distances in a file, as many as wanted; all of them for None."""
    between = "\n\n" if ".conll" in path.name else "\n"
    texts = [part for part in text.split(between) if part.strip()]
    if path.suffix == ".json" or (size is None and scale == 1):
        return text
    wanted = min(len(texts), max(MIN_TEXTS[between], round((size or len(texts)) * scale)))
    return between.join(texts[at * len(texts) // wanted] for at in range(wanted)) + between


def main() -> None:
    """Write the records of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("records", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a twentieth of all budgets and texts")
    options = parser.parse_args()
    scale = 0.05 if options.tiny else 1.0
    if not (options.work / "excerpts").is_dir():
        write_excerpts(options.data, options.work / "part", scale)
        (options.work / "part").rename(options.work / "excerpts")
    options.records.mkdir(parents=True, exist_ok=True)
    workspace = Workspace((options.work / "excerpts").resolve(), options.work / "runs", scale)
    for path in measure_all(workspace, range(options.seeds)):
        shutil.copyfile(path, options.records / path.name)


if __name__ == "__main__":
    main()
