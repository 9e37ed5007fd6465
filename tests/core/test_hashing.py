"""Hashing and files: both hashes of weights are frozen, and a file appears whole or not at all."""

from hashlib import sha256
from pathlib import Path

import pytest
import torch
from pretask.files import write_whole
from pretask.hashing import hash_weights, weights_key
from torch import nn


def small_network() -> nn.Module:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    for number, parameter in enumerate(network.parameters()):
        parameter.data.copy_(torch.arange(parameter.numel()).view_as(parameter) + number)
    return network


def test_the_hash_of_records_is_of_names_and_bytes_in_the_order_of_the_names() -> None:
    weights = small_network().state_dict()
    content = b"".join(name.encode() + weights[name].numpy().tobytes() for name in sorted(weights))
    assert hash_weights(weights) == sha256(content).hexdigest()
    assert hash_weights(dict(reversed(weights.items()))) == hash_weights(weights)


def test_both_hashes_are_what_they_always_were() -> None:
    network = small_network()
    named = {f"model.{name}": value for name, value in network.state_dict().items()}
    assert hash_weights(named) == "af8d16ba7dc9a49c9bb9baf20788a84b4dffc442116f8ed734924ffcd9c2ba92"
    assert weights_key(network) == "f56f78ac3766c844924de38cc03fd340"


def test_tensors_of_any_type_and_layout_are_hashed_by_their_numbers() -> None:
    plain = torch.arange(6.0).view(2, 3)
    for value in (plain, plain.bfloat16(), plain > 2, torch.tensor(3)):
        assert hash_weights({"w": value}) == hash_weights({"w": value.mT.contiguous().mT if value.ndim else value})


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "taken", b"new")
    write_whole(tmp_path / "deep" / "file", b"new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "file", "taken"]
