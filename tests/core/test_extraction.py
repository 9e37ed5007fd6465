"""Extraction: every layer in one pass, cached by all that determines it."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pretask import Budget, PretaskError, Task, Vocabulary, extraction
from pretask.extraction import extract, fingerprint_of, iterate_layers, write_layers
from pretask.hashing import weights_key
from pretask.mapped import map_file
from pretask.pooling import pool

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins/evaluators/probes"))

from planted import Planted, task
from sentences import sentences, sentences_task


def counted(made: Task) -> list[int]:
    """How many batches the encoder has been shown."""
    calls: list[int] = []
    made.model.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_every_layer_comes_in_order_whatever_the_batch(tmp_path: Path) -> None:
    data = Planted()("train")
    one, two = (extract(task(), data, Budget(batch=size)) for size in (7, 600))
    assert list(one) == ["layer1.mean", "layer2.mean"]
    assert torch.equal(one["layer2.mean"], data.data.view(-1, 16))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_what_was_extracted_is_not_extracted_again(tmp_path: Path) -> None:
    made, data, budget = task(), Planted()("train"), Budget(cache=str(tmp_path))
    calls = counted(made)
    first = extract(made, data, budget)
    passes = len(calls)
    second = extract(made, data, budget)
    assert len(calls) == passes > 0
    assert list(first) == list(second) == ["layer1.mean", "layer2.mean"]
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_all_poolings_come_of_one_pass_and_only_those_that_are_read_are_opened(tmp_path: Path) -> None:
    made, data, budget = sentences_task(), sentences("train", "last"), Budget(cache=str(tmp_path))
    calls = counted(made)
    assert list(extract(made, data, budget, ("mean",))) == ["layer1.mean", "layer2.mean"]
    passes = len(calls)
    assert {name.partition(".")[2] for name in extract(made, data, budget)} == {"mean", "last", "mean-max"}
    assert len(calls) == passes > 0
    for path in tmp_path.rglob("layer2.last.npy"):
        path.write_bytes(path.read_bytes()[:-4] + b"none")
    extract(made, data, budget, ("mean", "mean-max"))
    assert len(calls) == passes
    whole = extract(made, data, Budget())["layer2.last"]
    assert torch.equal(extract(made, data, budget, ("last",))["layer2.last"], whole)


def test_what_has_to_be_named_is_an_entry_of_its_own(tmp_path: Path) -> None:
    made, data, budget = sentences_task(), sentences("train", "last"), Budget(cache=str(tmp_path))
    assert "layer2.segments" not in extract(made, data, budget)
    found = extract(made, data, budget, ("mean", "segments"))
    assert list(found) == ["layer1.mean", "layer1.segments", "layer2.mean", "layer2.segments"]
    assert found["layer2.segments"].shape[1] == 4 * 4
    assert torch.equal(found["layer2.mean"], extract(made, data, budget, ("mean",))["layer2.mean"])


def test_layers_of_other_widths_are_pooled_side_by_side() -> None:
    found = extract(sentences_task(), sentences("train", "own"), Budget())
    widths = {name: layer.shape[1] for name, layer in found.items()}
    assert widths["layer1.mean"] == widths["layer1.last"] == 3
    assert widths["layer2.own"] == widths["layer2.mean"] == 4
    assert widths["layer2.mean-max"] == 8
    assert "layer1.own" not in widths


def test_no_features_change_with_what_stands_at_end_tokens_and_padding() -> None:
    data = sentences("train", "mean")
    quiet, loud = (extract(sentences_task(beyond), data, Budget()) for beyond in (0.0, 1e3))
    assert all(torch.equal(quiet[name], loud[name]) for name in quiet)


def test_other_special_tokens_or_another_way_to_pool_are_extracted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, data, budget = sentences_task(), sentences("train", "last"), Budget(cache=str(tmp_path))
    first = extract(made, data, budget)["layer2.last"]
    calls = counted(made)
    bare = replace(data, observed=replace(data.observed, vocabulary=Vocabulary(1000)))
    assert not torch.equal(extract(made, bare, budget)["layer2.last"], first)
    monkeypatch.setattr(extraction, "POOLED", "otherwise")
    extract(made, data, budget)
    assert len(calls) == 2 * len(list(data.batches(256, made.device)))


def test_other_weights_or_other_data_are_extracted_anew(tmp_path: Path) -> None:
    budget = Budget(cache=str(tmp_path))
    first = extract(task(), Planted()("train"), budget)["layer2.mean"]
    assert not torch.equal(first, extract(task(shift=1.0), Planted()("train"), budget)["layer2.mean"])
    assert not torch.equal(first, extract(task(), Planted(signal=1.0)("train"), budget)["layer2.mean"])


def test_a_damaged_entry_is_extracted_again(tmp_path: Path) -> None:
    data, budget = Planted()("train"), Budget(cache=str(tmp_path))
    first = {name: layer.clone() for name, layer in extract(task(), data, budget).items()}
    for path in tmp_path.rglob("layer2.mean.npy"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 255
        path.write_bytes(bytes(content))
    again = extract(task(), data, budget)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_statistics_of_the_encoder_are_left_alone() -> None:
    made = task()
    before = weights_key(made.model)
    extract(made, Planted()("train"), Budget())
    assert weights_key(made.model) == before


def test_the_key_of_weights_survives_saving_and_sees_every_change() -> None:
    one, two = task().model, task().model
    two.load_state_dict(one.state_dict())
    assert weights_key(one) == weights_key(two)
    with torch.no_grad():
        two.norm.running_mean += 1e-3
    assert weights_key(one) != weights_key(two)


@dataclass(frozen=True)
class Fitted:
    side: int = 3
    centres: torch.Tensor | None = None


def test_the_fingerprint_of_a_split_sees_options_and_what_was_fitted() -> None:
    fitted = Fitted(centres=torch.zeros(2))
    assert fingerprint_of(fitted) == fingerprint_of(replace(fitted, centres=torch.zeros(2)))
    others = [Fitted(), replace(fitted, side=4), replace(fitted, centres=torch.ones(2))]
    assert len({fingerprint_of(split) for split in [fitted, *others]}) == 4


def test_the_fingerprint_sees_what_lies_deep_inside_and_no_address() -> None:
    @dataclass(frozen=True)
    class Nested:
        tables: object

    class Plain:
        def __init__(self, size: int) -> None:
            self.size = size

    large = torch.zeros(5000)  # longer than its text shows
    changed = large.clone()
    changed[2500] = 1
    tables = [
        large,
        changed,
        (large,),
        {"a": large},
        {"a": changed},
        {"b": large},
        Plain(1),
        Plain(2),
        large.numpy(),
        counted,
        task,
    ]
    prints = [fingerprint_of(Nested(table)) for table in tables]
    assert len(set(prints)) == len(tables) - 1  # an array counts as the tensor of its numbers
    assert prints == [fingerprint_of(Nested(table)) for table in [large.clone(), *tables[1:6], Plain(1), *tables[7:]]]


def test_data_without_a_fingerprint_is_never_taken_from_the_cache(tmp_path: Path) -> None:
    made, budget = task(), Budget(cache=str(tmp_path))
    one, two = (replace(Planted(signal=signal)("train"), fingerprint="") for signal in (1.0, 2.0))
    assert not torch.equal(extract(made, one, budget)["layer2.mean"], extract(made, two, budget)["layer2.mean"])


def test_features_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match="256 of 256 samples of a batch without, in layer 1"):
        extract(task(shift=float("nan")), Planted()("train"), Budget(cache=str(tmp_path)))
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize("batch", [1, 64])
def test_modes_are_restored(batch: int) -> None:
    made = task()
    made.model.train()
    extract(made, Planted(train=8)("train"), Budget(batch=batch))
    assert made.model.training


def test_features_go_to_their_files_batch_by_batch(tmp_path: Path) -> None:
    data = Planted()("train")

    def batches() -> Iterator[dict[str, torch.Tensor]]:
        layers = iterate_layers(task(), data, Budget(batch=200), lambda layer, *_: {".mean": pool(layer)["mean"]})
        for number, batch in enumerate(layers):
            written = sum(path.stat().st_size for path in tmp_path.iterdir())
            assert written >= number * 200 * 16 * 4 - 2 * 8192  # but for what Python's file buffers hold
            yield dict(batch)

    write_layers(tmp_path, batches(), len(data))
    assert np.array_equal(map_file(tmp_path / "layer2.mean.npy"), data.data.view(-1, 16).numpy())
    with pytest.raises(ValueError, match="601 rows expected, 600 came"):
        write_layers(tmp_path, batches(), len(data) + 1)
