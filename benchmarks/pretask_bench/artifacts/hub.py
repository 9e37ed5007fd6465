"""Hub: a run folder in the layout of the Hugging Face hub: weights, what loads them, and a card with the numbers.

The card's numbers are those of the record, each with its interval and what it is held against; a model index holds them
for machines. Nothing is uploaded: `huggingface-cli upload NAME FOLDER` does that.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pretask import PretaskError
from pretask_registry.citations import Citation

from pretask_bench.artifacts.formats import Artifact
from pretask_bench.artifacts.save import name_pictures
from pretask_bench.artifacts.task_file import PICTURES, RECORD, TASK, TaskFile, hash_file, read_task, write_text
from pretask_bench.records.cell import describe_held_out
from pretask_bench.records.encoders import REFERENCE_ENCODERS, TRAINED, column_label
from pretask_bench.records.metrics import declared_metrics, direction, objective_metrics
from pretask_bench.records.record import Record
from pretask_bench.records.store import list_records, read
from pretask_bench.results.citing import cite_cells, write_bibtex
from pretask_bench.results.markdown import plain_text, row_text
from pretask_bench.results.pretext import estimate_pretext_metric
from pretask_bench.results.references import encoder_title, estimate_encoder, pretext_references, probe_references
from pretask_bench.results.report import format_number
from pretask_bench.results.statistics import Estimate

CARD, MODEL = "README.md", "model.safetensors"
PIPELINES = {"image": "image-feature-extraction", "text": "feature-extraction", "audio": "feature-extraction"}
HEADS = ("metric", "trained", "95 % interval", *map(column_label, REFERENCE_ENCODERS), "chance", "best trivial")
REFERENCES = "references.bib"
IMPORTS = {"image": "\nfrom PIL import Image"}
EXAMPLES = {
    "image": 'encoder([Image.open("photo.jpg")])',
    "video": "encoder(frames)  # uint8, (T, H, W, C)",
    "text": 'encoder(["A sentence.", "Another one."])',
    "audio": "encoder([wave], rate=44100)",
}


class Line(NamedTuple):
    """A number of the card, with what it is held against, as text; and for machines.

    Args:
        evaluator: Full id of what measured it, or `pretext`.
        name: Of the metric.
        value: The number.
        cells: By heading: those of HEADS, and of others that it is held against.
        data: Id of what it was measured on.
    """

    evaluator: str
    name: str
    value: float
    cells: Mapping[str, str]
    data: str


def export_hub(artifact: Artifact) -> dict[str, bytes]:
    """Return the files of a run folder as the hub lays them out.

    Raises:
        PretaskError: The folder has no record.
    """
    folder = artifact.folder
    task = read_task(folder)
    if not (folder / RECORD).is_file():
        raise PretaskError(
            "pretask export --to hub", f"a record of the run, {RECORD}", "none", "Run the command again."
        )
    places = list_records(folder)
    records = [read(path) for path in places]
    names = {name: MODEL if name == task.weights else name for name in task.files}
    moved = task.model_copy(update={"files": {names[name]: digest for name, digest in task.files.items()}})
    files = {names[name]: (folder / name).read_bytes() for name in task.files}
    files |= {str(path.relative_to(folder)): path.read_bytes() for path in places}
    for record in records:
        files |= read_pictures(folder, record, len(records) > 1)
    citation = cite_cells(artifact.registry, [record.cell for record in records])
    files[REFERENCES] = write_bibtex(citation).encode()
    pictures = [name for name in files if name.startswith(PICTURES)]
    files[CARD] = write_card(task, records, pictures, citation).encode()
    return {**files, TASK: write_text(moved)}


def read_pictures(folder: Path, record: Record, several: bool) -> dict[str, bytes]:
    """Return the pictures of a record that lie in the folder; nothing else that a stranger may have laid there."""
    found = {}
    for name, picture in name_pictures(record, several).items():
        path = folder / PICTURES / f"{name}.png"
        if path.is_file() and hash_file(path) == picture.png:
            found[f"{PICTURES}/{name}.png"] = path.read_bytes()
    return found


def write_card(task: TaskFile, records: Sequence[Record], pictures: list[str], citation: Citation) -> str:
    """Return the model card: what it is, how to use it, how it was trained, its numbers on every transfer set, and
    what is to be cited.
    """
    record = records[0]
    lines = [*pretext_lines(record), *(line for measured in records for line in evaluation_lines(measured))]
    modality, cell = task.observed.modality, record.cell
    shown = "\n".join(f"![{Path(name).stem}]({name})" for name in pictures)
    return f"""---
{json.dumps(describe_for_machines(task, record, lines), indent=1)}
---

# {task.name} on {cell.data.id}

An encoder of {modality} data, pretrained without labels by the task `{cell.task or cell.split.id}` with
pretask: split `{cell.split.id}`, objective `{cell.objective.id}`, model
`{cell.model.id}`, seed {cell.seed}, {record.provenance.samples:,} samples seen,
{record.provenance.parameters:,} parameters.

## Use

```python
import pretask{IMPORTS.get(modality, "")}

encoder = pretask.load("this-folder")
vectors = {EXAMPLES.get(modality, "encoder(samples)")}  # (B, {task.output.width})
```

It gives the output layer ({task.output.layer}), pooled as the model does ({task.output.pooling or "its own way"});
`encoder(x, layer=…, pooling=…)` gives any other, `encoder.positions(x)` the vectors in place.

## Numbers

{draw_table(lines)}

Every number is of the record `{RECORD}`. Intervals are over test items or held-out samples of this one seed; how it
came about (versions, machine, seconds, options) stands there as well. Compare encoders only on the same data.

{shown}

## Citation

Of exactly what it was made and measured with; also in `{REFERENCES}`.{"".join(map(list_missing, citation.missing))}

```bibtex
{write_bibtex(citation).replace("```", "")}```
"""


def list_missing(line: str) -> str:
    """Return a line on what has no BibTeX entry."""
    return f"\nWithout an entry: {plain_text(line)}."


def draw_table(lines: list[Line]) -> str:
    """Return the numbers as a Markdown table; what was measured of no other line has a column as well."""
    further = dict.fromkeys(head for line in lines for head in line.cells if head not in HEADS)
    heads = [*HEADS[:-2], *further, *HEADS[-2:]]
    rows = [[plain_text(line.cells.get(head, "")) for head in heads] for line in lines]
    return "\n".join(map(row_text, [map(plain_text, heads), ["---"] * len(heads), *rows]))


def pretext_lines(record: Record) -> Iterator[Line]:
    """Yield the numbers of the pretext task, but for those of trivial predictors."""
    metrics = objective_metrics(record)
    for name, value in (record.pretext.metrics if record.pretext is not None else {}).items():
        if value is None or ": " in name:
            continue
        metric, references = metrics.pretext_metric(name), pretext_references(record, name)
        best = references.best_trivial(metric)
        cells = {
            "metric": f"pretext {name} {direction(metric)}".strip(),
            "trained": format_number(value, metric),
            "95 % interval": format_interval(estimate_pretext_metric([record], name), metric),
            "chance": format_number(references.chance, metric),
            "best trivial": "" if best is None else f"{format_number(best.value, metric)} ({best.name})",
        }
        yield Line("pretext", name, value, cells, record.cell.data.id)


def evaluation_lines(record: Record) -> Iterator[Line]:
    """Yield the numbers of the evaluators on the trained encoder, but for those of single layers."""
    data, other = record.cell.evaluated_on or record.cell.data, record.cell.evaluated_on
    where = ("" if other is None else f" on {other.id}") + describe_held_out(record.cell)
    for result in record.results:
        if result.encoder != TRAINED:
            continue
        declared = declared_metrics(record, result.evaluator)
        for name, value in result.metrics.items():
            if value is None or "." in name:
                continue
            metric, references = declared.metric(name), probe_references([record], result.evaluator, name)
            cells = {
                "metric": f"{result.evaluator} {name} {direction(metric)}".strip() + where,
                "trained": format_number(value, metric),
                "95 % interval": format_interval(estimate_encoder([record], result.evaluator, TRAINED, name), metric),
                "chance": format_number(references.chance, metric),
            }
            for encoder, estimate in references.encoders.items():
                cells[encoder_title([record], encoder)] = format_number(estimate.value, metric)
            yield Line(result.evaluator, name, value, cells, data.id)


def format_interval(estimate: Estimate | None, metric: Any) -> str:
    """Return the ends of an interval, nothing where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"{format_number(estimate.low, metric)} to {format_number(estimate.high, metric)}"


def describe_for_machines(task: TaskFile, record: Record, lines: list[Line]) -> Mapping[str, Any]:
    """Return the metadata of the card: what it is, and its numbers as a model index."""
    modality = task.observed.modality
    results = [
        {
            "task": {"type": PIPELINES.get(modality, "feature-extraction"), "name": line.evaluator},
            "dataset": {"name": line.data, "type": line.data.partition("@")[0]},
            "metrics": [{"type": line.name, "value": line.value, "name": line.cells["metric"]}],
        }
        for line in lines
    ]
    described = {
        "library_name": "pretask",
        "pipeline_tag": PIPELINES.get(modality, "feature-extraction"),
        "tags": ["self-supervised", modality, task.parts["split"].id.partition("@")[0].rpartition("/")[2]],
        "model-index": [{"name": task.name, "results": results}],
    }
    return described if record.licence is None else {"license": record.licence, **described}
