"""Training: what it promises of seeds, stops, kills, resumes and bad numbers."""

import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretask import PretaskError, Recipe, Task, order
from pretask.accelerator import divide_evenly, use_channels_last
from pretask.order import epoch_order, positions, shown_samples, window_order
from pretask.pretext_score import held_out_loss
from pretask.training import train
from processes import run_python, run_ranks, start_python, wait_until

sys.path.insert(0, str(Path(__file__).parent))

from tiny import RECIPE, samples, task, weights

SCRIPT = str(Path(__file__).with_name("tiny.py"))


def trained(recipe: Recipe = RECIPE, **how: object) -> Task:
    made = task(recipe)
    train(made, samples(), seed=7, **how)  # type: ignore[arg-type]
    return made


def same(one: Task, two: Task) -> bool:
    return all(torch.equal(value, weights(two)[name]) for name, value in weights(one).items())


def accuracy(of: Task) -> float:
    return held_out_loss(of, samples(200))["brighter.accuracy"]


def test_a_learnable_task_is_learned() -> None:
    long = trained(replace(RECIPE, samples=12 * 200))
    assert accuracy(task()) < 0.8
    assert accuracy(long) > 0.95


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = trained(), trained(), task()
    train(other, samples(), seed=8)
    assert same(first, again)
    assert not same(first, other)


def test_ambient_randomness_is_as_it_was_before() -> None:
    before = torch.get_rng_state()
    trained()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "lars", "adagrad"])
def test_every_optimizer_goes_on_from_a_checkpoint_bit_for_bit(optimizer: str, tmp_path: Path) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, clip=1.0)
    whole = trained(recipe)
    stopped = task(recipe)
    stop_after(stopped, 17, tmp_path)
    resumed = trained(recipe, folder=tmp_path, key="k")
    assert same(whole, resumed)
    assert not same(whole, stopped)


def stop_after(made: Task, step: int, folder: Path) -> None:
    """Train, but press Ctrl-C after the given step."""
    plain = made.objective.after_step

    def press(model: torch.nn.Module, progress: float) -> None:
        plain(model, progress)
        if round(progress * made.recipe.steps) == step:
            signal.raise_signal(signal.SIGINT)

    made.objective.after_step = press
    ended = train(made, samples(), seed=7, folder=folder, key="k")
    assert ended.interrupted
    assert ended.steps == step


def test_a_checkpoint_of_another_run_is_left_alone(tmp_path: Path) -> None:
    stop_after(task(), 5, tmp_path)
    assert same(trained(folder=tmp_path, key="another"), trained())


@pytest.mark.slow
@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.exhaustive)])
def test_a_run_killed_in_the_middle_ends_with_the_weights_of_one_never_killed(kills: int, tmp_path: Path) -> None:
    steps = str(300 * kills)  # enough for a fast machine to be killed in
    calm = run_python(SCRIPT, str(tmp_path / "calm"), steps, "1000")
    often = (SCRIPT, str(tmp_path / "killed"), steps, "0.05")
    for _ in range(kills):
        run = start_python(*often)
        wait_for_checkpoint(tmp_path / "killed")
        run.send(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    last = run_python(SCRIPT, str(tmp_path / "killed"), steps, "1000")
    assert last.out == calm.out
    assert last.out.startswith(f"{steps} False")
    weights_file = f"step-{int(steps):09d}/weights.safetensors"
    assert (tmp_path / "calm" / weights_file).read_bytes() == (tmp_path / "killed" / weights_file).read_bytes()


def wait_for_checkpoint(folder: Path) -> None:
    """Wait until a checkpoint exists that did not when this was called."""
    known = set(folder.glob("step-*"))
    wait_until(lambda: bool(set(folder.glob("step-*")) - known))


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path: Path) -> None:
    made = task(replace(RECIPE, warmup=0.0))
    stop_after(made, 9, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    poisoned = task(replace(RECIPE, warmup=0.0))
    plain = poisoned.objective.after_step

    def poison(model: torch.nn.Module, progress: float) -> None:
        plain(model, progress)
        if round(progress * 40) == 20:
            with torch.no_grad():
                poisoned.objective.head.weight.fill_(float("nan"))

    poisoned.objective.after_step = poison
    with pytest.raises(PretaskError, match=r"none from step 21 of 40 on .*last good weights"):
        train(poisoned, samples(), seed=7, folder=tmp_path, key="k")
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*.safetensors")} == before


def test_accumulated_parts_give_the_step_of_the_whole_batch() -> None:
    no_dropout = [task(replace(RECIPE, accumulate=parts, optimizer="sgd")) for parts in (1, 3)]
    for made in no_dropout:
        made.model.dropout.p = 0.0
        train(made, samples(), seed=7)
    one, three = (weights(made) for made in no_dropout)
    assert all(torch.allclose(value, three[name], atol=1e-5) for name, value in one.items())


def test_kernels_of_images_have_channels_last_and_those_of_clips_are_left() -> None:
    flat, deep = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv3d(3, 4, 3)
    weight = flat.weight.detach().clone()
    use_channels_last([flat, deep])
    assert flat.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(flat.weight, weight)
    assert deep.weight.is_contiguous()


def test_progress_rises_to_one() -> None:
    progress = trained().objective.progress
    assert len(progress) == 40
    assert progress[0] == pytest.approx(1 / 40)
    assert progress[-1] == 1.0


def test_every_sample_is_seen_once_an_epoch_whatever_the_batch() -> None:
    index, epoch = positions(3, 0, 150, 50)
    assert torch.equal(torch.bincount(index * 3 + epoch), torch.ones(150).long())
    pieces = torch.cat([positions(3, start, 7, 50)[0] for start in range(0, 140, 7)])
    assert torch.equal(pieces, index[:140])


def test_epochs_have_orders_of_their_own() -> None:
    assert not torch.equal(epoch_order(0, 0, 50), epoch_order(0, 1, 50))
    assert torch.equal(epoch_order(0, 0, 50).sort().values, torch.arange(50))


@pytest.mark.parametrize("count", [48, 50, 51])
def test_the_order_of_more_samples_than_memory_holds_is_shuffled_window_by_window(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MAX_WHOLE", 20), ("BLOCK", 4), ("WINDOW", 3)):
        monkeypatch.setattr(order, name, value)
    window_order.cache_clear()
    index, epoch = positions(3, 0, 2 * count, count)
    for number in (0, 1):
        seen = index[epoch == number]
        assert torch.equal(seen.sort().values, torch.arange(count))
        assert not torch.equal(seen, torch.arange(count))
        windows = [*torch.split(seen, 12)] if count % 4 == 0 else [seen[:9]]
        assert all(len((window // 4).unique()) <= 3 for window in windows)
    assert not torch.equal(index[:count], index[count:])
    assert not torch.equal(index, positions(4, 0, 2 * count, count)[0])
    pieces = torch.cat([positions(3, start, 7, count)[0] for start in range(0, 2 * count - 7, 7)])
    assert torch.equal(pieces, index[: len(pieces)])
    shown = shown_samples(3, 30, count)
    assert shown is not None
    assert shown.tolist() == sorted(index[:30].tolist())
    window_order.cache_clear()


def test_samples_that_lie_together_are_shuffled_in_windows_of_their_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "WINDOW", 3)
    window_order.cache_clear()
    index, _ = positions(3, 0, 24, 24, block=4)
    assert torch.equal(index.sort().values, torch.arange(24))
    assert [len((window // 4).unique()) for window in torch.split(index, 12)] == [3, 3]
    assert not torch.equal(index, positions(3, 24, 24, 24, block=4)[0])
    assert torch.equal(torch.cat([positions(3, start, 8, 24, block=4)[0] for start in (0, 8, 16)]), index)
    shown = shown_samples(3, 10, 24, block=4)
    assert shown is not None
    assert shown.tolist() == sorted(index[:10].tolist())
    window_order.cache_clear()


def test_a_batch_of_a_billion_samples_needs_the_order_of_one_window() -> None:
    index, epoch = positions(0, 5 * 10**8, 64, 10**9)
    assert epoch == 0
    assert len(index.unique()) == 64
    assert 0 <= int(index.min()) <= int(index.max()) < 10**9
    assert len(window_order(0, 0, 10**9, 500, order.BLOCK)[1]) == order.BLOCK * order.WINDOW
    window_order.cache_clear()


def test_batches_that_do_not_divide_are_refused() -> None:
    with pytest.raises(PretaskError, match="multiple of 6"):
        divide_evenly(10, 2, 3)


def test_the_held_out_loss_is_the_mean_over_samples_and_changes_nothing() -> None:
    made = trained()
    before = weights(made)
    whole = held_out_loss(made, samples(50))
    bigger = replace(made, recipe=replace(RECIPE, batch=50))
    assert held_out_loss(bigger, samples(50))["brighter"] == pytest.approx(whole["brighter"], abs=1e-6)
    assert all(torch.equal(value, weights(made)[name]) for name, value in before.items())
    assert made.model.training


@pytest.mark.slow
def test_two_ranks_learn_what_one_learns(tmp_path: Path) -> None:
    one, two = (tmp_path / name for name in ("one", "two"))
    run_python(SCRIPT, str(one), "40", "1000")
    run_ranks(2, SCRIPT, str(two), "40", "1000")
    from safetensors.torch import load_file

    alone, together = (load_file(folder / "step-000000040/weights.safetensors") for folder in (one, two))
    # Dropout is ambient and differs between ranks; everything else is equal, so the weights stay close.
    assert all(torch.allclose(value, together[name], atol=0.15) for name, value in alone.items())


@pytest.mark.exhaustive
def test_a_compiled_step_trains_as_a_plain_one(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from dataclasses import replace\nimport torch\nfrom tiny import *\n"
        "made = [task(replace(RECIPE, samples=12 * 10, compile=flag)) for flag in (False, True)]\n"
        "for trainee in made:\n    trainee.model.dropout.p = 0.0\n    train(trainee, samples(), seed=7)\n"
        "one, two = map(weights, made)\n"
        "assert all(torch.allclose(value, two[name], atol=1e-4) for name, value in one.items())\n"
    )
    run_python("-c", program, folder=tmp_path)
