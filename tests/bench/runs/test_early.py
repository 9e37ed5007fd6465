"""What cannot be trained is said before: by compat, by a run before its data, and by training at its first report."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_files import plugin_file
from pretask_bench.cli.main import invoke
from pretask_bench.records.store import read_all

Capture = pytest.CaptureFixture[str]
SOURCE = """
import pretask
import torch
from pretask import Agreement, Features, FeatureSpec, Inputs, InputSpec, PretaskError, Target
from torch import nn


class Loners:
    def spec(self, images, /):
        return self.whole_spec(images), {"same": Agreement()}

    def whole_spec(self, images, /):
        return InputSpec("image", images.shape)

    def __call__(self, batch, draws, /):
        return self.whole(batch), {"same": Target(batch.index)}

    def whole(self, batch, /):
        return Inputs(batch.data[:, None] / 255)


class Crash(nn.Module):
    def __init__(self, features, targets, /):
        super().__init__()
        self.head = nn.Linear(features.width, 2)

    def forward(self, features, targets, draws, /):
        second = self.predict(features)["same"][:, 1]  # of a single view
        raise AssertionError(second)

    def predict(self, features, /):
        return {"same": self.head(features.pooled["all"])}


class Latents(nn.Module):
    unseen = "refused"

    def __init__(self, spec, whole_spec, /):
        super().__init__()

    def allocate(self, samples, /):
        self.table = nn.Embedding(samples, 4)

    def features(self, spec, /):
        return FeatureSpec(4, (), spec.views)

    def forward(self, inputs, /, layers=False):
        vectors = self.table(inputs.index)[:, None]
        return Features({"all": vectors[:, :, None]}, {"all": vectors})


def nowhere(part):
    raise PretaskError("nowhere", "never to be decoded", part, "Refuse it before.")


components = [
    pretask.split("loners", Loners, modality="image", targets={"agreement"}),
    pretask.objective("crash", Crash, targets={"agreement"}),
    pretask.model("latents", Latents, modality="image"),
    pretask.data("nowhere", nowhere, modality="image"),
]
"""
PARTS = ["--split", "loners", "--model", "convnet", "--set", "model.width=4", "--set", "model.depth=1"]
BRIEF = [
    "--set",
    "data.size=16",
    "--set",
    "data.test_size=8",
    "--samples",
    "16",
    "--set",
    "recipe.batch=4",
    "--device",
    "cpu",
]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[list[str]]:
    with plugin_file(tmp_path, "sketch", SOURCE) as path:
        yield ["--plugin", str(path)]


def test_what_crashes_in_its_first_step_is_refused_by_compat_and_by_a_run_before_its_data(
    file: list[str], capsys: Capture
) -> None:
    reason = "loners + crash + convnet fit and do not train: the objective failed in the first step with IndexError: "
    why = ["compat", "--why", "--split", "loners", "--objective", "crash", "--model", "convnet", *file]
    assert invoke(why) == 4
    assert capsys.readouterr().err.startswith(reason)
    assert invoke(["run", "--data", "nowhere", "--objective", "crash", *PARTS, *file]) == 4
    captured = capsys.readouterr()
    assert reason in captured.err
    assert "Traceback" not in captured.err


def test_what_gives_nothing_to_learn_from_is_refused_by_compat_and_ends_a_run_with_the_reason(
    file: list[str], tmp_path: Path, capsys: Capture
) -> None:
    why = ["compat", "--why", "--split", "loners", "--objective", "info-nce", "--model", "convnet", *file]
    assert invoke(why) == 4
    assert (
        "fit and do not train: training needs something to learn from; got a gradient of 0" in capsys.readouterr().err
    )
    assert invoke(["run", "--data", "shapes", "--objective", "info-nce", *PARTS, *BRIEF, *file]) == 1
    assert (
        "got a gradient of 0 of every parameter in all of the first 4 steps, at a loss of 0" in capsys.readouterr().err
    )
    (record,) = read_all([tmp_path / "runs" / "records"])[0]
    assert record.status == "failed"
    assert "views or samples of equal identity" in str(record.error)


def test_with_views_of_equal_identity_the_same_parts_train(file: list[str], tmp_path: Path, capsys: Capture) -> None:
    source = SOURCE.replace("Target(batch.index)", "Target(batch.index // 2)")
    (tmp_path / "sketch.py").write_text(source)
    why = ["compat", "--why", "--split", "loners", "--objective", "info-nce", "--model", "convnet", *file]
    assert invoke(why) == 0
    assert capsys.readouterr().out == "loners + info-nce + convnet fit.\n"


def test_a_model_that_refuses_samples_it_was_not_trained_on_trains_and_is_not_measured(
    file: list[str], tmp_path: Path, capsys: Capture
) -> None:
    source = SOURCE.replace("Target(batch.index)", "Target(batch.index // 2)")
    (tmp_path / "sketch.py").write_text(source)
    parts = ["--split", "loners", "--objective", "info-nce", "--model", "latents"]
    assert invoke(["compat", "--why", *parts, *file]) == 0
    assert invoke(["run", "--data", "shapes", *parts, *BRIEF, *file]) == 4
    assert "a model that encodes held-out samples" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("task", "evaluators", "reason"),
    [
        ("masked-lm", "lm", "lm needs a target that asks every position for the next token"),
        ("masked-lm", "generation", "generation needs a target that asks every position for the next token"),
        ("causal-lm", "lm,linear", "linear needs labeled data, one class per sample; got none. Set linear.label, "),
        ("causal-lm", "fine-tune", "fine-tune needs labeled data"),
        ("causal-lm", "tagging", "tagging needs labeled data, one class per position; got none"),
        ("vae", "code-prior", "code-prior needs an objective with a codebook"),
        ("vae", "multi-label", "multi-label needs labels of several classes for a sample"),
        ("vae", "tracking", "tracking needs clips of at least 3 frames with `masks`"),
        ("vae", "voc-detection", "voc-detection needs"),
        ("vae", "colorization", "the evaluator colorization needs a task that predicts color"),
        ("causal-lm", "token-classification", "token-classification needs labeled data, one class per position"),
        ("causal-lm", "regression", "regression needs labeled data"),
        ("causal-lm", "multiple-choice", "multiple-choice needs labeled data"),
        ("causal-lm", "question-answering", "question-answering needs data of questions about texts"),
        ("causal-lm", "senses", "senses needs labeled data, one class per position"),
        ("causal-lm", "edge-probe", "edge-probe needs"),
        ("causal-lm", "posterior", "posterior needs an objective with latent variables"),
        ("causal-lm", "interpolation", "interpolation needs an objective with latent variables"),
        ("causal-lm", "density", "density needs an objective with latent variables"),
    ],
)
def test_what_an_evaluator_will_not_measure_is_said_before_a_step_is_taken(
    task: str, evaluators: str, reason: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "texts.txt").write_text("Some otters swim at night.\n" * 200)
    data = (
        ["--data", "text", "--set", f"data.root={tmp_path / 'texts.txt'}", "--set", "data.length=16"]
        if task != "vae"
        else []
    )
    words = ["run", task, "--preset", "small", *data, "--evaluate", evaluators, "--device", "cpu", "--samples", "64"]
    assert invoke(words) == 1
    captured = capsys.readouterr()
    assert reason in captured.err
    assert "samples/s" not in captured.err
    assert not [*tmp_path.glob("runs/*/*.json"), *tmp_path.glob("runs/*/checkpoint*")]
