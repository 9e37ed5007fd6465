"""Baselines: raw input is what the encoder is shown; supervised learns from labels and from nothing else."""

from pathlib import Path

import pytest
import torch
from pretask import Draws, Features, Inputs, InputSpec, PretaskError, Vocabulary
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.plan import make_plan
from pretask_bench.runs.reference_encoders import (
    MAX_NUMBERS,
    RawInput,
    bag_of_tokens,
    choose_label,
    parse_references,
    pooled_shape,
    supervised_split,
)
from pretask_bench.runs.run import run
from pretask_plugins.data.image.digits import Digits
from pretask_plugins.data.video.sprites import Sprites
from pretask_plugins.splits.whole import Whole
from pretask_registry import Registry


def features_of(spec: InputSpec, data: torch.Tensor) -> Features:
    model = RawInput(spec)
    features = model(Inputs(data))
    assert features.pooled["all"].shape[1:] == (spec.views, model.features(spec).width)
    return features


def test_small_images_are_their_pixels() -> None:
    data = torch.rand(4, 2, 1, 8, 8)
    assert torch.equal(features_of(InputSpec("image", (1, 8, 8), views=2), data).pooled["all"], data.flatten(2))


def test_large_images_are_averaged_over_areas_and_keep_their_mean() -> None:
    data = torch.rand(2, 1, 3, 72, 72)
    vector = features_of(InputSpec("image", (3, 72, 72)), data).pooled["all"]
    assert vector.shape[-1] <= MAX_NUMBERS
    assert torch.allclose(vector.mean(-1), data.mean((2, 3, 4)), atol=1e-4)


@pytest.mark.parametrize(("shape", "views"), [((3, 500, 20), 1), ((3, 64, 64), 30), ((100_000,), 1), ((98, 80), 1)])
def test_any_shape_is_brought_to_a_thousand_numbers_and_not_far_below(shape: tuple[int, ...], views: int) -> None:
    count = views * torch.Size(pooled_shape(shape, views)).numel()
    assert MAX_NUMBERS / 4 < count <= MAX_NUMBERS


def test_tokens_are_counted_and_padding_is_not() -> None:
    tokens = torch.tensor([[[1, 1, 3, 0]]])
    present = torch.tensor([[[True, True, True, False]]])
    assert bag_of_tokens(tokens, present, 4).tolist() == [[[0, 2, 0, 1]]]
    assert features_of(InputSpec("text", (4,), vocabulary=Vocabulary(4)), tokens).pooled["all"].sum() == 4


def test_the_supervised_split_asks_for_the_label_of_the_very_sample() -> None:
    samples = Digits()("train")
    split = supervised_split(Whole(), samples, "class")
    batch = samples.batch(torch.tensor([5, 2, 9]), torch.device("cpu"))
    _, targets = split(batch, Draws(batch.index))
    assert targets["label"].value.tolist() == samples.labels["class"].value[[5, 2, 9]].tolist()


def test_supervision_without_labels_is_refused() -> None:
    from dataclasses import replace

    with pytest.raises(PretaskError, match="one class per sample"):
        choose_label(replace(Digits()("train"), labels={}), ["class"])


def test_supervision_is_told_the_labels_that_are_measured_where_they_are_a_class_per_sample() -> None:
    samples = Sprites(size=6, test_size=6, length=2, image_size=16)("train")
    assert choose_label(samples, ["", "course"]) == "course"
    assert choose_label(samples, ["masks", "words"]) == "class"


def test_baselines_that_do_not_exist_are_refused() -> None:
    assert parse_references("raw-input, random-init") == ("raw-input", "random-init")
    with pytest.raises(PretaskError, match="supervized"):
        parse_references("supervized")


def test_a_run_holds_the_encoder_against_all_three_and_the_supervised_one_learned_the_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    registry = Registry.load()
    plan = make_plan(
        registry,
        "vae",
        preset="small",
        settings={"recipe.samples": 12_000, "model.hidden": (32,), "objective.hidden": (32,)},
        evaluators=["knn"],
    )
    context = RunContext(tmp_path, torch.device("cpu"), references=("random-init", "raw-input", "supervised"))
    record, _ = run(registry, plan, context)
    accuracy = {row.encoder: row.metrics["accuracy"] for row in record.results}
    assert set(accuracy) == {"trained", "random-init", "raw-input", "supervised"}
    assert all(value is not None and value > 0.5 for value in accuracy.values())
    told = [line for line in capsys.readouterr().err.splitlines() if "label.accuracy" in line]
    assert float(told[-1].split("label.accuracy")[1].split()[0]) > 0.8
