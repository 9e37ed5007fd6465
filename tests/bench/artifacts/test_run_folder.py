"""A run folder is an artifact: its encoder loads elsewhere, without the data, and gives what the training gave."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pretask
import pytest
import torch
from plugin_files import plugin_file
from pretask import PretaskError
from pretask.pretext_score import evaluation_mode
from pretask_bench.artifacts.task_file import read_task
from pretask_bench.cli.main import invoke, load_registry
from pretask_bench.records.store import read
from processes import run_python
from small_runs import SMALL, Finished, take_tasks

Make = Callable[[str], Finished]

SCRIPT = """
import pickle, pretask, torch
inputs = pickle.load(open("inputs.pickle", "rb"))
torch.save(pretask.load({folder!r})({words}), "features.pt")
"""

PLUGIN = """
from dataclasses import dataclass, field, replace

import pretask
import torch
from pretask import Categories, Features, FeatureSpec, Inputs, InputSpec, Target
from torch import nn


@dataclass(frozen=True)
class Levels:
    lowest: float = 0.0
    mean: torch.Tensor = field(default_factory=lambda: torch.zeros(1))


@dataclass(frozen=True)
class Centered:
    scale: float = 2.0
    levels: Levels | None = None

    def fit(self, observed, batches, /):
        images = torch.cat([batch.data for batch in batches]) / 255
        return replace(self, levels=Levels(float(images.min()), images.mean((0, 2, 3))))

    def spec(self, images, /):
        return self.whole_spec(images), {"turn": Categories(2)}

    def whole_spec(self, images, /):
        return InputSpec("image", images.shape)

    def __call__(self, batch, draws, /):
        turn = draws.integers("turn", 0, 2)
        shown = self.whole(batch).data
        flipped = shown.flip(3).where(turn[:, None, None, None, None] == 1, shown)
        return Inputs(flipped), {"turn": Target(turn)}

    def whole(self, batch, /):
        return Inputs((batch.data / 255 - self.levels.mean[:, None, None])[:, None] * self.scale)


class Shallow(nn.Module):
    def __init__(self, spec, whole_spec, /, *, width: int = 8):
        super().__init__()
        self.patches = nn.Conv2d(spec.shape[0], width, 8, 8)
        self.norm = nn.BatchNorm2d(width)
        self.width = width

    def features(self, spec, /):
        return FeatureSpec(self.width, (spec.shape[1] // 8, spec.shape[2] // 8), spec.views)

    def forward(self, inputs, /, layers=False):
        maps = self.norm(self.patches(inputs.data.flatten(0, 1)))
        tokens = maps.flatten(2).transpose(1, 2)[:, None]
        features = Features({"all": tokens}, {"all": tokens.mean(2)}, tuple(maps.shape[2:]))
        return replace(features, layers=(features,)) if layers else features


components = [
    pretask.split("centered", Centered, modality="image", targets={"categories"}),
    pretask.model("shallow", Shallow, modality="image"),
]
"""


@pytest.mark.parametrize("modality", SMALL)
def test_three_lines_elsewhere_give_what_the_training_process_gives(
    finished: Make, modality: str, tmp_path: Path
) -> None:
    made = finished(modality)
    (tmp_path / "inputs.pickle").write_bytes(pickle.dumps(made.inputs))
    script = SCRIPT.format(folder=str(made.run.folder), words=made.words)
    run_python("-c", script, folder=tmp_path, environment={"PRETASK_CACHE": str(tmp_path / "cache")})
    assert torch.equal(torch.load(tmp_path / "features.pt"), made.features)
    assert not (tmp_path / "cache").exists()  # nothing was looked up of the data
    for number, one in enumerate(made.inputs):
        alone = made.run.encoder([one], rate=made.rate)
        torch.testing.assert_close(alone[0], made.features[number], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("modality", SMALL)
def test_inputs_of_a_user_become_the_samples_that_the_data_set_gives(finished: Make, modality: str) -> None:
    made = finished(modality)
    prepared = made.run.encoder.prepare(made.inputs, made.rate)
    torch.testing.assert_close(prepared.data, made.batch.data)
    assert (prepared.present is None) == (made.batch.present is None)
    if prepared.present is not None and made.batch.present is not None:
        assert torch.equal(prepared.present, made.batch.present)


def test_a_folder_holds_the_record_of_the_store_and_no_data(finished: Make) -> None:
    run = finished("text").run
    names = {path.name for path in run.folder.iterdir() if path.is_file() and path.name[0] != "."}
    assert names == {"task.json", "weights.safetensors", "objective.safetensors", "tokenizer.json", "record.json"}
    assert (run.folder / "record.json").read_bytes() == run.path.read_bytes()
    assert read(run.path) == run.record
    task = read_task(run.folder)
    assert task.parts["split"].id == "pretask/mask-tokens@1"
    assert task.fitted["vocabulary"]["fields"]["size"] == task.observed.vocabulary.size  # type: ignore[union-attr]
    assert (task.output.layer, task.output.pooling, task.output.width) == (
        "layer3",
        None,
        8,
    )  # a mean of the end token, too


def test_an_encoder_is_found_by_its_record_and_by_the_record_in_the_store(finished: Make) -> None:
    made = finished("image")
    for place in (made.run.path, made.run.folder / "record.json", str(made.run.folder)):
        assert torch.equal(pretask.load(place)(made.inputs), made.features)


def test_a_damaged_folder_beside_hides_no_other(finished: Make) -> None:
    made = finished("image")
    damaged = made.run.folder.parent / f"a-{made.run.folder.name.split('-')[-2]}-damaged"
    damaged.mkdir()
    (damaged / "record.json").write_text("{")
    try:
        assert torch.equal(pretask.load(made.run.path)(made.inputs), made.features)
    finally:
        shutil.rmtree(damaged)


def test_results_take_the_folder_of_a_run_with_or_without_its_store(
    finished: Make, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished("image").run.folder
    for places in ([folder], [copied], [folder, copied]):
        assert invoke(["results", *map(str, places), "--json"]) == 0
        captured = capsys.readouterr()
        assert len(json.loads(captured.out)) == 1
        assert captured.err == ""


def test_layers_poolings_and_positions_are_those_that_probes_read(finished: Make) -> None:
    made = finished("image")
    encoder = made.run.encoder
    assert (encoder.width, encoder.device.type, encoder.training) == (8, "cpu", False)
    positions = encoder.positions(made.inputs)
    torch.testing.assert_close(positions.flatten(1, 2).mean(1), encoder(made.inputs))
    by_name = encoder(made.inputs, layer="layer2", pooling="mean")
    torch.testing.assert_close(encoder(made.inputs, layer=2), by_name)
    assert encoder(made.inputs, layer=1, pooling="mean-max").shape == (3, 8)
    for words in ({"layer": 3}, {"layer": "last"}, {"pooling": "last"}):
        with pytest.raises(pretask.Unknown, match="has"):
            encoder(made.inputs, **words)  # type: ignore[arg-type]


def test_a_plugin_of_somebody_else_is_needed_and_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with plugin_file(tmp_path, "stranger", PLUGIN) as file, take_tasks() as tasks:
        sizes = {"data.size": 32, "data.test_size": 8, "data.image_size": 16, "recipe.batch": 16}
        parts = {"split": "centered", "model": "shallow", "objective": "cross-entropy", "data": "shapes"}
        run = pretask.run(
            **parts, samples=32, evaluate=(), baselines=(), plugin=file, device="cpu", pictures=False, **sizes
        )
        images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
        with evaluation_mode(tasks[0]), torch.no_grad():
            expected = tasks[0].encode(pretask.Batch(images)).pooled["all"].flatten(1)
        load_registry.cache_clear()
        assert torch.equal(pretask.load(run.folder, plugin=file)(images), expected)
        with pytest.raises(PretaskError, match=r"the model local/shallow@1 of stranger\.py .*plugin='stranger\.py'"):
            pretask.load(run.folder)


def test_another_version_of_a_plugin_is_named_with_the_way_out(copied: Path) -> None:
    change(copied, lambda task: task["parts"]["model"].update(id="acme/net@2", distribution="acme", version="0.3.0"))
    with pytest.raises(PretaskError, match=r"the model acme/net@2 of acme 0\.3\.0; .* pip install acme==0\.3\.0"):
        pretask.load(copied)
    change(copied, lambda task: task["parts"]["model"].update(id="pretask/convnet@1", options={"width": 5}))
    with pytest.raises(PretaskError, match="the weights of pretask/convnet@1, made by acme"):
        pretask.load(copied)


def change(folder: Path, how: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    """Change a folder's task.json."""
    path = folder / "task.json"
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (shutil.rmtree, "got no such folder. Name the folder of a finished run"),
        (lambda folder: (folder / "task.json").unlink(), "got checkpoints of a run that has not ended. Run the same"),
        (lambda folder: (folder / "task.json").write_text("{"), "needs JSON"),
        (lambda folder: change(folder, lambda task: task.update(version=2)), "got version 2. Install the pretask that"),
        (lambda folder: change(folder, lambda task: task.pop("observed")), "got observed: Field required"),
        (lambda folder: change(folder, lambda task: task["files"].update({"../x": "0"})), "files"),
        (
            lambda folder: change(folder, lambda task: task["observed"].update(shape=[1, 10**7, 10**7])),
            "at most 2,147,",
        ),
        (
            lambda folder: change(folder, lambda task: task["whole"].update(shape=[1, -8, -8])),
            "samples of at least one",
        ),
        (lambda folder: change(folder, lambda task: task["whole"].update(views=10**9)), "to show views 1000000000, as"),
        (
            lambda folder: change(folder, lambda task: task.update(name="a\x1b[31m")),
            "got name: Value error, one line of",
        ),
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"1234"), "of 4 bytes, cut off or changed"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "the file weights.safetensors that its task.json"),
    ],
)
def test_what_is_no_run_folder_is_an_error_with_the_way_out(
    copied: Path, break_it: Callable[[Path], None], told: str
) -> None:
    break_it(copied)
    with pytest.raises(PretaskError) as error:
        pretask.load(copied)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("weights.safetensors", "got a file. Name the folder of the run: "),
        ("step-000000002", "got a folder within that of a run, copied. Name the folder of the run: "),
    ],
)
def test_what_lies_in_a_run_folder_is_told_from_it(copied: Path, place: str, told: str) -> None:
    with pytest.raises(PretaskError) as error:
        pretask.load(copied / place)
    assert told in str(error.value)


def test_a_device_that_is_not_here_is_named(copied: Path) -> None:
    with pytest.raises(PretaskError, match=r"pretask\.load needs a device of this machine; got nonsense"):
        pretask.load(copied, device="nonsense")


def test_a_kill_between_record_and_folder_is_mended_by_the_same_command(finished: Make, tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = ["run", "relative-position", "--preset", "demo", "--data", "shapes", "--samples", "16", "--evaluate", ""]
    for option in ("data.size=16", "data.test_size=8", "recipe.batch=8", "model.width=8", "model.depth=1"):
        words += ["--set", option]
    words += ["--baselines", "", "--out", str(home), "--device", "cpu", "--no-pictures"]
    assert invoke(words) == 0
    (task,) = home.glob("*/task.json")
    before = {path.name: path.read_bytes() for path in task.parent.iterdir() if path.is_file()}
    for name in ("task.json", "weights.safetensors", "record.json"):
        (task.parent / name).unlink()
    assert invoke(words) == 0
    assert {path.name: path.read_bytes() for path in task.parent.iterdir() if path.is_file()} == before
