"""Checkpoints: nothing half-written is ever trusted, and a full disk loses nothing."""

import resource
from pathlib import Path

import pytest
import torch
from pretask import PretaskError
from pretask.checkpoint import Progress, load, load_weights, save
from processes import run_python
from torch import nn
from two_networks import parts, stepped


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    before = parts()
    optimizer = stepped(before)
    save(tmp_path, before, optimizer, Progress("k", 5, 1.5, [(1, 0.5)]))
    after = parts()
    fresh = torch.optim.AdamW([parameter for part in after.values() for parameter in part.parameters()], lr=0.1)
    assert load(tmp_path, after, fresh, Progress("k")) == Progress("k", 5, 1.5, [(1, 0.5)])
    for name in before:
        for one, two in zip(before[name].state_dict().values(), after[name].state_dict().values(), strict=True):
            assert torch.equal(one, two)
    for one, two in zip(optimizer.state.values(), fresh.state.values(), strict=True):
        assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "drop"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, file: str, damage: str) -> None:
    modules = parts()
    optimizer = stepped(modules)
    save(tmp_path, modules, optimizer, Progress("k", 1))
    path = save(tmp_path, modules, optimizer, Progress("k", 2)) / file
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "flip":
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    elif damage == "cut":
        path.write_bytes(content[:middle])
    else:
        path.unlink()
    progress = load(tmp_path, modules, optimizer, Progress("k"))
    assert progress is not None
    assert progress.step == 1


def test_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    modules = parts()
    for step in range(1, 6):
        save(tmp_path, modules, stepped(modules), Progress("k", step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000004", "step-000000005"]


def test_a_full_disk_is_said_and_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    program = (
        "import resource, sys, signal; from pathlib import Path; import torch; from torch import nn\n"
        "from pretask import PretaskError; from pretask.checkpoint import Progress, load, save\n"
        "modules = {'model': nn.Linear(300, 300)}; folder = Path(sys.argv[1])\n"
        "optimizer = torch.optim.SGD(modules['model'].parameters(), lr=0.1)\n"
        "save(folder, modules, optimizer, Progress('k', 1))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    save(folder, modules, optimizer, Progress('k', 2))\n"
        "except PretaskError as error:\n    print(error)\n"
        "print(load(folder, modules, optimizer, Progress('k')).step, [path.name for path in folder.iterdir()])\n"
    )
    message, left = run_python("-c", program, str(tmp_path)).out.splitlines()
    assert "Free some space and run the same command again." in message
    assert left == "1 ['step-000000001']"


def test_encoder_weights_load_alone(tmp_path: Path) -> None:
    modules = parts()
    path = save(tmp_path, modules, stepped(modules), Progress("k", 1))
    model = nn.Linear(3, 2)
    load_weights(path, {"model": model})
    assert torch.equal(model.weight, modules["model"].weight)
    with pytest.raises(PretaskError, match="sound checkpoint"):
        load_weights(tmp_path, {"model": model})


def test_tied_weights_are_saved_and_stay_tied(tmp_path: Path) -> None:
    tied = nn.ModuleDict({"in": nn.Linear(3, 3), "out": nn.Linear(3, 3)})
    tied["out"].weight = tied["in"].weight
    optimizer = torch.optim.SGD(tied.parameters(), lr=0.1)
    save(tmp_path, {"model": tied}, optimizer, Progress("k", 1))
    expected = tied["in"].weight.detach().clone()
    with torch.no_grad():
        tied["in"].weight.zero_()
    load(tmp_path, {"model": tied}, optimizer, Progress("k"))
    assert torch.equal(tied["out"].weight, expected)
    assert tied["out"].weight is tied["in"].weight


def test_the_file_size_limit_of_this_process_is_untouched() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
