"""Edge layers: the tables and figures of records of edge probes, the mean over seeds with its interval.

python benchmarks/edge_layers.py benchmarks/results/edge-probe > tables.md

Figures are written beside the records, MODEL.png, as figure 2 of Tenney, Das and Pavlick (ACL 2019) has them.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pretask_bench.records.record import Record
from pretask_bench.records.store import read_all
from pretask_bench.results.statistics import mean_over_seeds
from pretask_plugins.evaluators.probes.edge_probing.figure import CAPTION, TaskLayers, draw_layers

PROBE, TAGGING = "pretask/edge-probe", "pretask/tagging"  # of any version
TRAINED, RANDOM = "trained", "random-init"
COLUMNS = (
    ("lexical_f1", "layer 0"),
    ("control_f1", "control task"),
    ("selectivity", "selectivity"),
    ("center_of_gravity", "center of gravity"),
    ("divergence", "K(s), bits"),
    ("gain", "gain over layer 0"),
    ("expected_layer", "expected layer"),
)
FRACTIONS = ("f1", "lexical_f1", "control_f1", "selectivity", "gain", "majority_f1", "accuracy", "weight", "lexical")

Numbers = dict[str, list[float]]  # of all seeds, by metric


def gather(records: Sequence[Record], evaluator: str) -> dict[tuple[str, str], Numbers]:
    """Return the numbers of all seeds, by the model's task and the encoder."""
    found: dict[tuple[str, str], Numbers] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for result in record.results:
            if result.evaluator.rpartition("@")[0] == evaluator:
                name = (record.cell.task or "").removeprefix("pretask/").rpartition("@")[0]
                for metric, value in result.metrics.items():
                    found[name, result.encoder][metric].append(value)
    return found


def count_seeds(numbers: Numbers, metric: str) -> int:
    """Return of how many seeds there are numbers of the edges of a metric, of `upos.gain` of upos; else of anything."""
    return len(numbers.get(f"{metric.partition('.')[0]}.f1", [])) or max(map(len, numbers.values()))


def show(numbers: Numbers, metric: str) -> str:
    """Return a mean with half of its 95 % interval, and of how many seeds where some have none."""
    values, seeds = numbers.get(metric, []), count_seeds(numbers, metric)
    if not values:
        return "undefined" if metric.endswith("expected_layer") else ""
    scale = 100 if metric.rpartition(".")[2] in FRACTIONS else 1
    estimate, digits = mean_over_seeds(values), 1 if scale > 1 else 2
    text = f"{scale * estimate.value:.{digits}f}"
    if estimate.low is not None and estimate.high is not None:
        text += f" ± {scale * (estimate.high - estimate.low) / 2:.{digits}f}"
    return text if len(values) == seeds else f"{text} in {len(values)} of {seeds} seeds, else undefined"


def name_tasks(numbers: Mapping[str, object]) -> list[str]:
    """Return the tasks in the numbers of an encoder."""
    return sorted({metric.partition(".")[0] for metric in numbers if metric.endswith(".majority_f1")})


def write_probe_table(found: Mapping[tuple[str, str], Numbers]) -> Iterator[str]:
    """Yield the lines of a table, a row for every encoder and task."""
    heads = ("encoder", "edges", "F1", "random encoder", "most frequent", *(head for _, head in COLUMNS))
    yield "| " + " | ".join(heads) + " |"
    yield "|" + " --- |" * len(heads)
    for (name, encoder), numbers in sorted(found.items()):
        if encoder == TRAINED:
            random = found.get((name, RANDOM), {})
            for task in name_tasks(numbers):
                cells = [show(numbers, f"{task}.f1"), show(random, f"{task}.f1") if random else ""]
                cells += [show(numbers, f"{task}.{metric}") for metric in ("majority_f1", *(key for key, _ in COLUMNS))]
                yield "| " + " | ".join([name, task, *cells]) + " |"


def write_layer_table(found: Mapping[tuple[str, str], Numbers]) -> Iterator[str]:
    """Yield the lines of a table of cumulative scores and mixing weights, layer by layer."""
    for (name, encoder), numbers in sorted(found.items()):
        for task in name_tasks(numbers):
            layers = [key for key in numbers if key.startswith(f"{task}.l") and key.endswith(".weight")]
            if layers:
                scores = [show(numbers, key.replace(".weight", ".f1")) for key in layers]
                yield f"| {name}, {encoder} | {task} | F1 of layers 0 … l | " + " | ".join(scores) + " |"
                weights = [show(numbers, key) for key in layers]
                yield f"| {name}, {encoder} | {task} | weight | " + " | ".join(weights) + " |"


def write_tagging_table(found: Mapping[tuple[str, str], Numbers]) -> Iterator[str]:
    """Yield the lines of a table of the linear probe on words, layer by layer and mixed."""
    metrics = ("accuracy", "layer1.accuracy", "layer2.accuracy", "layer3.accuracy", "lexical")
    weights = ("layer1.weight", "layer2.weight", "layer3.weight", "gamma")
    for (name, encoder), numbers in sorted(found.items()):
        cells = [show(numbers, metric) for metric in (*metrics, *weights)]
        yield "| " + " | ".join([f"{name}, {encoder}", *cells]) + " |"


def write_pretext_table(records: Sequence[Record]) -> Iterator[str]:
    """Yield the lines of a table of held-out losses, beside those of trivial predictors."""
    found: dict[str, Numbers] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for metric, value in record.pretext.metrics.items() if record.pretext is not None else ():
            found[(record.cell.task or "").removeprefix("pretask/").rpartition("@")[0]][metric].append(value)
    for name, numbers in sorted(found.items()):
        for metric in (key for key in numbers if ": " not in key and "." not in key):
            trivial = [
                f"{key.partition(': ')[0]} {show(numbers, key)}" for key in numbers if key.endswith(f": {metric}")
            ]
            yield f"| {name} | {metric} | {show(numbers, metric)} | {', '.join(trivial)} |"


def draw_model(numbers: Numbers, path: Path) -> None:
    """Draw the means over seeds."""
    mean = {metric: sum(values) / len(values) for metric, values in numbers.items()}
    tasks = []
    for task in name_tasks(numbers):
        own = {key.removeprefix(f"{task}."): value for key, value in mean.items() if key.startswith(f"{task}.")}
        if len(numbers.get(f"{task}.expected_layer", [])) < count_seeds(numbers, f"{task}.f1"):
            own.pop("expected_layer", None)
        if "center_of_gravity" in own:
            tasks.append(TaskLayers.of(task, {"expected_layer": None, **own}))
    if tasks:
        path.write_bytes(draw_layers(tasks, CAPTION).png)


def main(folder: Path) -> None:
    """Print the tables of a folder of records, and draw the figures."""
    records, _ = read_all([folder])
    found = gather(records, PROBE)
    for (name, encoder), numbers in found.items():
        if encoder == TRAINED:
            draw_model(numbers, folder / f"{name}.png")
    tagged = gather(records, TAGGING)
    for table in (
        write_pretext_table(records),
        write_probe_table(found),
        write_layer_table(found),
        write_tagging_table(tagged),
    ):
        print("\n".join(table), end="\n\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
