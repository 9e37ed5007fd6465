"""`--fit-with RUN`: a second round, whose targets are clusters of the features of the first round's encoder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugin_files import plugin_file
from pretask_bench.cli.main import invoke

Capture = pytest.CaptureFixture[str]
SOURCE = """
from dataclasses import dataclass, replace

import pretask
import torch
from pretask import Categories, Inputs, InputSpec, Momentum, Target
from pretask_plugins.objectives.cross_entropy import CrossEntropy


class Taught(CrossEntropy):
    teacher_momentum = Momentum(0.9)

    def forward(self, features, targets, draws, encode, /):
        encode.teacher(encode.inputs)
        return super().forward(features, targets, draws)


@dataclass(frozen=True)
class Clusters:
    axis: torch.Tensor | None = None
    middle: float = 0.0

    def fit_with(self, observed, batches, encoder, /):
        found = torch.cat([encoder(batch).layers[-1].pooled["all"].mean(1) for batch in batches])
        assert not found.requires_grad
        axis = found.std(0).argmax()
        return replace(self, axis=torch.cat([found[:, axis], found.mean(0)]), middle=float(found[:, axis].median()))

    def spec(self, images, /):
        return InputSpec("image", images.shape), {"cluster": Categories(2)}

    def whole_spec(self, images, /):
        return InputSpec("image", images.shape)

    def __call__(self, batch, draws, /):
        return self.whole(batch), {"cluster": Target((self.axis[batch.index] > self.middle).long())}

    def whole(self, batch, /):
        return Inputs(batch.data[:, None] / 255)


@dataclass(frozen=True)
class Flip:
    def spec(self, images, /):
        return InputSpec("image", images.shape), {"flipped": Categories(2)}

    def whole_spec(self, images, /):
        return InputSpec("image", images.shape)

    def __call__(self, batch, draws, /):
        flipped = draws.bernoulli("flip", 0.5)
        data = torch.where(flipped[:, None, None, None], batch.data.flip(2), batch.data)
        return Inputs(data[:, None] / 255), {"flipped": Target(flipped.long())}

    def whole(self, batch, /):
        return Inputs(batch.data[:, None] / 255)


components = [
    pretask.split("clusters", Clusters, modality="image", targets={"categories"}),
    pretask.split("flip", Flip, modality="image", targets={"categories"}),
    pretask.objective("taught", Taught, targets={"categories"}, state={"teacher"}),
]
"""
BRIEF = ["--set", "recipe.batch=32", "--samples", "64", "--device", "cpu", "--baselines", "", "--json"]
SMALL = ["--data", "shapes", "--objective", "cross-entropy", "--model", "convnet"]
for option in ("data.size=64", "data.test_size=32", "data.image_size=16", "model.width=4", "model.depth=1"):
    SMALL += ["--set", option]
FIRST, SECOND = ["--split", "flip"], ["--split", "clusters"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with plugin_file(tmp_path_factory.mktemp("rounds"), "rounds", SOURCE) as path:
        yield path


def run(file: Path, capsys: Any, *words: str) -> Any:
    """The record, with its file, of a small run."""
    measured = ["--evaluate", "knn", "--set", "knn.k=1"]
    assert invoke(["run", *SMALL, *BRIEF, *measured, "--plugin", str(file), *words]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    return record


def refused(capsys: Any, *words: str) -> str:
    """What a run says that is refused for its usage."""
    assert invoke(["run", *SMALL, *BRIEF, *words]) == 2
    return str(capsys.readouterr().err)


def test_a_second_round_is_fitted_with_the_encoder_that_its_cell_names(file: Path, capsys: Capture) -> None:
    first, other = run(file, capsys, *FIRST), run(file, capsys, *FIRST, "--seed", "1")
    folder = next(path for path in Path("runs").glob("flip-*") if path.name.split("-")[-2] in find(first))
    by_folder = run(file, capsys, *SECOND, "--fit-with", str(folder))
    by_record = run(file, capsys, *SECOND, "--fit-with", first["file"])
    elsewhere = run(file, capsys, *SECOND, "--fit-with", other["file"])
    third = run(file, capsys, *SECOND, "--fit-with", by_folder["file"])
    assert by_folder["cell"]["fitted_with"] == first["weights"]
    assert by_record["file"] == by_folder["file"]  # already recorded
    assert elsewhere["cell"]["fitted_with"] == other["weights"] != first["weights"]
    assert elsewhere["cell"]["artifact"] != by_folder["cell"]["artifact"]
    assert third["cell"]["fitted_with"] == by_folder["weights"]  # whose own split was fitted with the first one
    assert "fitted_with" not in first["cell"]


def test_a_second_round_is_fitted_with_a_network_that_had_a_teacher(file: Path, capsys: Capture) -> None:
    first = run(file, capsys, *FIRST, "--objective", "taught")
    second = run(file, capsys, *SECOND, "--fit-with", first["file"])
    assert second["cell"]["fitted_with"] == first["weights"]


def find(record: Any) -> str:
    """The beginning of the training key of a record, which is in the name of its run's folder."""
    from pretask_bench.records.cell import cell_key
    from pretask_bench.records.store import read

    return cell_key(read(Path(record["file"])).cell, without={"evaluators", "evaluated_on"})[:12]


def test_a_rerun_wants_the_same_encoder_and_is_exact_with_it(file: Path, capsys: Capture) -> None:
    first = run(file, capsys, *FIRST)
    second = run(file, capsys, *SECOND, "--fit-with", first["file"])
    again = ["rerun", second["file"], "--plugin", str(file), "--device", "cpu"]
    assert invoke(again) == 1
    assert "rerun needs the run with whose encoder the split was fitted" in capsys.readouterr().err
    assert invoke([*again, "--fit-with", first["file"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "exact"


def test_what_cannot_be_fitted_so_is_refused_before_anything_is_trained(file: Path, capsys: Capture) -> None:
    plugin, empty = ["--plugin", str(file)], file.parent / "empty"
    empty.mkdir()
    none = refused(capsys, *SECOND, *plugin)
    assert none.startswith("the split clusters needs a trained encoder to be fitted with; got none. Name the run")
    unable = refused(capsys, *FIRST, *plugin, "--fit-with", str(empty))
    assert "the split flip, which has none. Leave --fit-with out" in unable
    for place in (empty, file.parent / "nowhere"):
        assert "--fit-with needs a run with a trained encoder; got no sound checkpoint" in refused(
            capsys, *SECOND, *plugin, "--fit-with", str(place)
        )


def test_parts_that_need_an_encoder_are_tried_with_one_that_stands_in(file: Path, capsys: Capture) -> None:
    why = ["compat", "--why", "--split", "clusters", "--objective", "cross-entropy", "--model", "convnet"]
    assert invoke([*why, "--plugin", str(file)]) == 0
    assert capsys.readouterr().out == "clusters + cross-entropy + convnet fit.\n"
