"""Exports: each read back by the library that it is for, which gives the same features; and what cannot be exported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pretask
import pytest
import torch
from pretask import InputSpec
from pretask_bench.cli.main import invoke
from pretask_plugins.models.image.convnet import Convnet
from processes import run_python
from small_runs import Finished, take_tasks
from torch import Tensor

Make = Callable[[str], Finished]
TEXTS = [
    "the old clerk pays the bill",
    "a tree",
    "some otters near the road sleep early and late and nobody has ever seen them",
]
SMALL = {"recipe.batch": 8}


@pytest.fixture(scope="module")
def trained(finished: Make, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Train a small network and return the folder of its run."""
    out = tmp_path_factory.mktemp("exported")

    def make(task: str, data: str, model: str, evaluate: str = "", **options: Any) -> Path:
        with take_tasks():
            run = pretask.run(
                task,
                preset="small",
                data=data,
                model=model,
                samples=16,
                evaluate=evaluate,
                baselines="random-init",
                out=out,
                device="cpu",
                pictures=False,
                **{**SMALL, **options},
            )
        return run.folder

    return make


def export(folder: Path, to: str, out: Path) -> Path:
    """Export by the command."""
    assert invoke(["export", str(folder), "--to", to, "--out", str(out)]) == 0
    return out


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_timm_makes_the_same_network_of_the_exported_weights(
    trained: Callable[..., Path], name: str, tmp_path: Path
) -> None:
    import timm

    sizes = {"data.size": 64, "data.test_size": 32, "data.image_size": 32, "model.name": name}
    folder = trained("vae", "shapes", "timm", **sizes)
    out = export(folder, "timm", tmp_path)
    told = json.loads((out / "config.json").read_text())
    arguments = {name: told[name] for name in ("in_chans", "num_classes", "img_size") if name in told}
    model = timm.create_model(told["model_name"], checkpoint_path=str(out / "model.safetensors"), **arguments).eval()
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        found = model((images / 255 - told["mean"]) / told["std"])
        assert (told["features"], told["input"]) == ("model(x)", "RGB pixels / 255, then (x - mean) / std")
        assert_close(found, pretask.load(folder)(images))


def test_a_network_that_saw_one_channel_at_a_time_is_exported_and_its_versions_averaged(
    trained: Callable[..., Path], tmp_path: Path
) -> None:
    import timm

    sizes = {"data.size": 64, "data.test_size": 32, "data.image_size": 32, "model.name": "test_resnet"}
    patches = {"split.patch": 8, "split.gap": 2, "split.jitter": 1, "split.color": "drop"}
    folder = trained("relative-position", "shapes", "timm", **sizes, **patches)
    told = json.loads((export(folder, "timm", tmp_path) / "config.json").read_text())
    assert "each of 3 versions" in told["input"]
    model = timm.create_model(told["model_name"], num_classes=0, checkpoint_path=str(tmp_path / "model.safetensors"))
    encoder, images = pretask.load(folder), torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert encoder.width == encoder(images).shape[1] == model.num_features
    with torch.no_grad():
        versions = encoder.split.whole(encoder.prepare(images)).data
        scaled = (versions.flatten(0, 1) - torch.tensor(told["mean"])) / torch.tensor(told["std"])
        assert_close(model.eval()(scaled).view(2, 3, -1).mean(1), encoder(images))


@pytest.mark.parametrize(("task", "model", "token"), [("masked-lm", "bert", 0), ("causal-lm", "gpt2", None)])
def test_transformers_load_the_same_network_and_tokenizer(
    trained: Callable[..., Path], task: str, model: str, token: int | None, tmp_path: Path
) -> None:
    from transformers import AutoModel, AutoTokenizer

    sizes = {"model.width": 16, "model.depth": 2, "model.heads": 2, "data.size": 64, "data.test_size": 32}
    folder = trained(task, "toy-grammar", model, **sizes)
    out = export(folder, "transformers", tmp_path)
    tokenizer, network = AutoTokenizer.from_pretrained(out), AutoModel.from_pretrained(out).eval()
    inputs = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        vectors = network(**inputs).last_hidden_state
        last = inputs["attention_mask"].sum(1) - 1
        found = vectors[:, token] if token is not None else vectors[torch.arange(len(TEXTS)), last]
        assert_close(found, pretask.load(folder)(TEXTS))


def test_torch_reads_the_state_dict_of_the_model(finished: Make, tmp_path: Path) -> None:
    made = finished("image")
    state = torch.load(export(made.run.folder, "torch", tmp_path) / "encoder.pt", weights_only=True)
    model = Convnet(InputSpec("image", (1, 32, 32)), InputSpec("image", (1, 32, 32)), width=4, depth=1)
    model.load_state_dict(state)
    assert torch.equal(pretask.load(made.run.folder, model=model)(made.inputs), made.features)


def test_a_folder_for_the_hub_loads_and_its_card_has_the_records_numbers(
    trained: Callable[..., Path], tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    sizes = {"data.size": 64, "data.test_size": 32, "data.image_size": 16, "split.patch": 4, "split.gap": 1}
    folder = trained(
        "relative-position", "shapes", "convnet", "knn", **sizes, **{"split.jitter": 1, "model.depth": 1, "knn.k": "1"}
    )
    out = export(folder, "hub", tmp_path / "hub")
    record = json.loads((folder / "record.json").read_text())
    (trained_row,) = (row for row in record["results"] if row["encoder"] == "trained")
    (random_row,) = (row for row in record["results"] if row["encoder"] == "random-init")
    card = ModelCard.load(out / "README.md")
    assert (card.data.library_name, card.data.tags[:2]) == ("pretask", ["self-supervised", "image"])
    told = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert told["pretask/knn@1 accuracy ↑"] == trained_row["metrics"]["accuracy"]
    (line,) = (line for line in card.text.splitlines() if line.startswith("| pretask/knn@1 accuracy"))
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[1] == f"{100 * trained_row['metrics']['accuracy']:.1f} %"
    assert cells[3] == f"{100 * random_row['metrics']['accuracy']:.1f} %"
    assert " to " in cells[2]
    for cited in (card.text.partition("## Citation")[2], (out / "references.bib").read_text()):
        assert "@inproceedings{doersch2015unsupervised," in cited
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(pretask.load(out)(images), pretask.load(folder)(images))


@pytest.mark.exhaustive
@pytest.mark.parametrize("modality", ["image", "text", "video", "audio"])
def test_onnxruntime_gives_the_same_features(finished: Make, modality: str, tmp_path: Path) -> None:
    import onnxruntime

    made = finished(modality)
    # In a process of its own: annotations that are checked would tie the exported network to one batch size.
    run_python("-m", "pretask_bench", "export", str(made.run.folder), "--to", "onnx", "--out", str(tmp_path))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    inputs = {"samples": made.batch.data, "present": made.batch.present}
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items() if value is not None})
    near = 1e-4 if modality == "audio" else 1e-5  # the logarithm of a spectrum widens how Fourier transforms round
    torch.testing.assert_close(torch.from_numpy(found), made.features, rtol=near, atol=near)


@pytest.mark.parametrize(
    ("modality", "to", "got"),
    [
        ("image", "timm", "a model that is an architecture of timm; got pretask/convnet@1"),
        ("image", "transformers", "a model that is an architecture of transformers; got pretask/convnet@1"),
        ("text", "timm", "a model that is an architecture of timm; got pretask/transformer@1"),
    ],
)
def test_what_is_no_architecture_of_a_library_is_refused_with_the_ways_out(
    finished: Make, modality: str, to: str, got: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert invoke(["export", str(finished(modality).run.folder), "--to", to, "--out", str(tmp_path)]) == 4
    assert f"{got}. Export it --to torch or --to hub" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
