"""`pretask.run`: what the command does, from Python, with names or with parts of one's own."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pretask
import pytest
import torch
from pretask import Batch, Categories, Draws, Features, Inputs, InputSpec, Observed, PretaskError, Target, Targets
from pretask.specs import TargetSpecs
from pretask_bench.cli.main import invoke
from pretask_bench.verbs import Run
from pretask_plugins.models.image.convnet import Convnet
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_registry.identity import identify
from small_runs import take_tasks

IMAGES = torch.randint(0, 256, (60, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(60) % 3
AXIS = 2


@dataclass(frozen=True)
class UpsideDown:
    """Is the image upside down? What it is fitted to cannot be written down where `keep` says so."""

    offset: float = 0.0
    keep: bool = True
    mean: torch.Tensor | None = None
    shift: Callable[[torch.Tensor], torch.Tensor] | None = None

    def fit(self, observed: Observed, batches: Any, /) -> "UpsideDown":
        mean = torch.cat([batch.data for batch in batches]).float().mean((0, 2, 3)) / 255
        center = mean[:, None, None]
        return replace(self, mean=mean) if self.keep else replace(self, shift=lambda images: images - center)

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        return self.whole_spec(images), {"turned": Categories(classes=2)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        return InputSpec("image", images.shape)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        turned = draws.bernoulli("turned", 0.5)
        shown = torch.where(turned[:, None, None, None], batch.data.flip(AXIS), batch.data)
        return self.whole(Batch(shown, batch.index)), {"turned": Target(turned.long())}

    def whole(self, batch: Batch, /) -> Inputs:
        images = batch.data / 255 + self.offset
        if self.shift is not None:
            return Inputs(self.shift(images)[:, None])
        return Inputs((images if self.mean is None else images - self.mean[:, None, None])[:, None])


NETWORK = partial(Convnet, width=4, depth=1)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    with take_tasks():
        yield


def run(**words: Any) -> Run:
    """A small run of parts of one's own, some of them others."""
    parts: dict[str, Any] = {"split": UpsideDown(), "objective": "cross-entropy", "model": NETWORK}
    settings = {"samples": 32, "evaluate": "knn", "baselines": (), "device": "cpu", "recipe.batch": 16, "knn.k": "1"}
    found: Run = pretask.run(**{**parts, "data": (IMAGES, CLASSES), **settings, **words})  # type: ignore[assignment]
    return found


def test_python_and_the_command_make_the_same_run() -> None:
    words = {"split.patch": 4, "split.gap": 1, "split.jitter": 1, "model.depth": 1, "model.width": 8}
    words |= {"data.size": 64, "data.test_size": 32, "data.image_size": 16, "knn.k": "1"}
    sets = [word for name, value in words.items() for word in ("--set", f"{name}={value}")]
    command = ["run", "relative-position", "--preset", "demo", "--data", "shapes", "--samples", "16", *sets]
    assert invoke([*command, "--evaluate", "knn", "--baselines", "random-init", "--device", "cpu"]) == 0
    (path,) = Path("runs/records").glob("*.json")
    found: Run = pretask.run(  # type: ignore[assignment]
        "relative-position",
        preset="demo",
        data="shapes",
        samples=16,
        evaluate=["knn"],
        baselines=["random-init"],
        device="cpu",
        **words,
    )
    assert found.path == path  # already recorded
    assert json.loads(path.read_bytes()) == found.record.model_dump(mode="json")
    assert found.folder.parent == Path("runs").absolute()
    assert "pretask/knn@1: what is the encoder worth?" in found.table()
    chosen = found.encoder(IMAGES[:2], **found.probe_choice)  # type: ignore[arg-type]
    assert len(chosen) == 2


def test_parts_of_ones_own_train_and_are_found_again_by_what_they_are() -> None:
    first, again, other = run(), run(), run(split=UpsideDown(offset=0.5))
    cell = first.record.cell
    assert (cell.split.id, cell.model.id, cell.data.id) == (
        "local/upside-down@1",
        "local/convnet@1",
        "local/own-data@1",
    )
    assert again.path == first.path != other.path
    assert torch.equal(pretask.load(first.path, split=UpsideDown(), model=NETWORK)(IMAGES), first.encoder(IMAGES))
    with pytest.raises(PretaskError, match=r"of your own object .* Give the object itself: pretask.load\(…, split=…"):
        pretask.load(first.folder, model=NETWORK)


def test_a_class_has_its_options_and_an_objective_may_be_ones_own() -> None:
    found = run(split=UpsideDown, objective=CrossEntropy, **{"split.offset": 0.25, "objective.hidden": "8"})
    assert found.record.cell.split.options["offset"] == 0.25
    assert found.record.cell.objective.options["hidden"] == [8]
    assert torch.equal(pretask.load(found.folder, split=UpsideDown, model=NETWORK)(IMAGES), found.encoder(IMAGES))


def test_a_split_that_cannot_be_written_down_is_said_to_be_and_can_be_given() -> None:
    found = run(split=UpsideDown(keep=False))
    with pytest.raises(PretaskError, match="without: its split was fitted to a function"):
        pretask.load(found.folder, model=NETWORK)
    fitted = UpsideDown(keep=False).fit(Observed("image", (3, 16, 16)), [Batch(IMAGES)])
    assert pretask.load(found.folder, split=fitted, model=NETWORK)(IMAGES).shape == (60, 8)


def test_names_of_options_without_a_part_are_refused() -> None:
    with pytest.raises(pretask.Unknown, match=r"pretask.run has no option 'patch'"):
        run(patch=3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"seed": -1}, "pretask.run cannot take this seed: -1 is not in the range"),
        ({"threads": 0}, "pretask.run cannot take this threads: 0 is not in the range"),
        ({"probe_every": -1}, "pretask.run cannot take this probe_every: -1 is not in the range"),
        ({"checkpoint_seconds": float("nan")}, "pretask.run cannot take this checkpoint_seconds: 'nan' is no number"),
        ({"split": 3}, "split of pretask.run needs a name, or an object with spec, whole and a call; got int"),
        ({"model": 3}, "model of pretask.run needs a name, or what builds one; got int"),
        ({"on": [torch.zeros(3, 3, 3, 3, 3, 3)]}, "data needs uint8 images or clips"),
    ],
)
def test_what_no_run_can_take_is_refused_before_anything_is_done(words: dict[str, Any], told: str) -> None:
    with pytest.raises(PretaskError) as error:
        run(**words)
    assert told in str(error.value)


def make_function(value: int) -> Callable[[], int]:
    return lambda: value


def test_an_object_is_told_from_another_by_its_code_and_its_content() -> None:
    assert identify(UpsideDown()) == identify(UpsideDown()) != identify(UpsideDown(1.0))
    assert identify(partial(Convnet, width=4)) == identify(partial(Convnet, width=4)) != identify(NETWORK)
    assert identify(make_function(1)) == identify(make_function(1)) != identify(make_function(2))
    spaces = [{"__name__": "typed"}, {"__name__": "typed"}, {"__name__": "typed"}]
    bodies = ["def f(x): return x + A", "def f(x): return x + A", "def f(x): return x - A"]
    for space, body, constant in zip(spaces, bodies, (1, 2, 1), strict=True):
        exec(f"A = {constant}\n{body}", space)  # as in a prompt, without a source
    hashes = [identify(space["f"]) for space in spaces]
    assert len({*hashes}) == 3


def test_features_keep_their_gradient_for_who_goes_on_training() -> None:
    encoder = run().encoder
    encoder(IMAGES[:4]).sum().backward()
    assert all(weight.grad is not None for weight in encoder.parameters())
    assert isinstance(encoder.model(Inputs(IMAGES[:2, None] / 255)), Features)
