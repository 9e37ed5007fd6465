"""Writing: the task that a run folder holds predicts as the one that was trained, and the command writes with it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pretask
import pytest
import torch
from pretask import Draws, Task
from pretask.language.continuation import generate
from pretask_bench.artifacts.load_task import load_task
from pretask_bench.cli.main import invoke, load_registry
from pretask_plugins.data.text.toy_grammar import ToyGrammar
from small_runs import Finished, take_tasks

CPU = torch.device("cpu")
SIZES = {"data.size": 64, "data.test_size": 32, "model.width": 16, "model.depth": 1, "model.heads": 2}
PROMPT = "the old clerk"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Task]]:
    """The folder of a small run of causal-lm, and the task as it was in the process that trained it."""
    with take_tasks() as tasks:
        run = pretask.run(
            "causal-lm",
            preset="small",
            data="toy-grammar",
            model="transformer",
            samples=256,
            evaluate="",
            baselines="random-init",
            out=tmp_path_factory.mktemp("run"),
            device="cpu",
            pictures=False,
            **{**SIZES, "model.causal": True, "recipe.batch": 32},
        )
        yield run.folder, tasks[0]


def write(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    assert invoke(["generate", str(folder), *options, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_loaded_task_predicts_bit_for_bit_what_the_trained_one_does(trained: tuple[Path, Task]) -> None:
    folder, task = trained
    loaded = load_task(load_registry(()), folder, CPU)
    batch = ToyGrammar(size=64, test_size=32)("test").batch(torch.arange(8), CPU)
    task.model.eval()
    with torch.no_grad():
        one, other = (made.predict(batch, Draws(batch.index))["next"] for made in (task, loaded))
    assert torch.equal(one, other)


@pytest.mark.parametrize("modality", ["image", "text", "video", "audio"])
def test_the_task_of_every_modality_is_loaded_with_its_objective(finished: Any, modality: str) -> None:
    made: Finished = finished(modality)
    loaded = load_task(load_registry(()), made.run.folder, CPU)
    with torch.no_grad():
        prediction = loaded.predict(made.batch, Draws(made.batch.index))
    assert prediction
    assert all(bool(value.isfinite().any()) for value in prediction.values())


def test_the_likeliest_text_is_that_of_the_trained_task(
    trained: tuple[Path, Task], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, task = trained
    source = ToyGrammar(size=64, test_size=32)
    prompt = torch.tensor([source.encode(PROMPT)])
    ids = generate(task, prompt, max_new_tokens=5)[0, prompt.shape[1] :].tolist()
    (found,) = write(folder, capsys, "--prompt", PROMPT, "--temperature", "0", "--max-new-tokens", "5")
    assert found == {"prompt": PROMPT, "texts": [source.decode(ids)]}
    (searched,) = write(folder, capsys, "--prompt", PROMPT, "--beams", "1", "--max-new-tokens", "5")
    assert searched == found


def test_what_is_sampled_follows_the_seed_and_not_the_other_prompts(
    trained: tuple[Path, Task], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = trained
    file = tmp_path / "prompts.txt"
    file.write_text(f"{PROMPT}\na tree\n", encoding="utf-8-sig")
    settings = ("--max-new-tokens", "6", "--count", "3", "--temperature", "2")
    both = write(folder, capsys, "--prompts", str(file), *settings)
    assert [line["prompt"] for line in both] == [PROMPT, "a tree"]
    assert write(folder, capsys, "--prompt", PROMPT, *settings) == both[:1]
    assert write(folder, capsys, "--prompt", PROMPT, *settings, "--seed", "1") != both[:1]
    assert len(set(both[0]["texts"])) > 1


def test_a_text_ends_before_what_stops_it(trained: tuple[Path, Task], capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--prompt", PROMPT, "--max-new-tokens", "6", "--temperature", "0")
    (whole,) = write(trained[0], capsys, *settings)
    (text,) = whole["texts"]
    (stopped,) = write(trained[0], capsys, *settings, "--stop", text[-3:])
    assert stopped["texts"] == [text[: text.index(text[-3:])]]


def test_what_cannot_write_is_refused(
    trained: tuple[Path, Task], finished: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = Path(shutil.copytree(trained[0], tmp_path / "without"))
    (without / "objective.safetensors").unlink()
    (tmp_path / "empty.txt").touch()
    for command, complaint in (
        ([str(trained[0]), "--prompt", "the " * 40], "a prompt of at least 1 token, and at most"),
        ([str(trained[0]), "--beams", "2", "--count", "3"], "--beams of at least 3"),
        ([str(trained[0]), "--prompts", str(tmp_path / "empty.txt")], "at least one line"),
        ([str(finished("text").run.folder), "--prompt", "a"], "asks every position for the next token"),
        ([str(finished("image").run.folder), "--prompt", "a"], "a run on text"),
        ([str(without), "--prompt", "a"], "objective.safetensors"),
    ):
        assert invoke(["generate", *command]) in (1, 2, 4)
        assert complaint in capsys.readouterr().err
