"""What the measurements of speed compare is the same thing, and what they conclude follows from the times."""

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask import PretaskError
from pretask_bench.board.entries import sort_records
from pretask_bench.records.store import read
from pretask_bench.runs.suites import read_suite
from pretask_plugins.evaluators.tracking.propagation import Propagation
from pretask_plugins.methods.masked_speech.split import MaskFrames
from pretask_plugins.methods.relative_position.split import NEIGHBORS, CutPair
from pretask_registry import Registry

from benchmarks.speed import __main__ as speed
from benchmarks.speed import convolutions, gpu
from benchmarks.speed.gpu_networks import PARTS, Network
from benchmarks.speed.growth import MEASURED, SUITE, fit_growth
from benchmarks.speed.many_records import write_records
from benchmarks.speed.peers_images import crop_tensor, cut_pair
from benchmarks.speed.peers_speech import hide_spans
from benchmarks.speed.propagation import distance, make_frames, propagate_fully
from benchmarks.speed.race import judge, race_best, require_peer, summarize

CPU = torch.device("cpu")


def test_a_ratio_is_taken_within_a_round_and_the_median_round_counts() -> None:
    rounds = [[(1.0, 2.0), (4.0, 2.0), (1.0, 2.0)], [(2.0, 4.0), (20.0, 4.0), (2.0, 4.0)], [(9.0, 1.0), (9.0, 3.0)] * 2]
    found = summarize([times[:3] for times in rounds])
    assert (found["ratio"], found["lowest"], found["highest"]) == (4.0, 1.0, 10.0)
    assert (found["ratio_wall"], found["noise"], found["ours_ms"]) == (1.0, 1.0, 2000.0)
    assert summarize([times[:3] for times in rounds], way=1)["ratio"] == 1.0


def test_the_fastest_of_theirs_counts_and_a_goal_is_met_from_its_number_on() -> None:
    def work(products: int) -> Any:
        return lambda: [torch.ones(64, 64) @ torch.ones(64, 64) for _ in range(products)]

    found = race_best(work(1), {"slow": work(60), "fast": work(15)}, seconds=0.02, rounds=3)
    assert found["against"] == "fast"
    assert found["others"]["slow"] > found["ratio"] > 2
    assert judge({"ratio": 3.0}, 3)["met"] is True
    assert judge({"ratio": 2.99}, 3)["met"] is False


def test_what_a_convolution_does_is_seen_from_outside_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [(3, 5), (3, 1), (4, 5), (5, 5)]
    group = convolutions.Group("plain", 3, 2, "channels last", "bf16")
    assert convolutions.run_in_child(group, cases, True) == ["right", "refused", "right", "right"]

    def judge_by_channels(network: Any, group: Any, channels: int, side: int) -> bool:
        if channels == 4:
            os.abort()
        return channels == 3

    monkeypatch.setattr(convolutions, "has_right_gradients", judge_by_channels)
    monkeypatch.setattr(convolutions, "CHANNELS", (3, 4, 5))
    monkeypatch.setattr(convolutions, "SIDES", (5, 6))
    found = convolutions.examine_aside(group, guarded=False)
    assert found == {"right": 2, "ends the process": 2, "wrong": 2}


def test_a_missing_peer_is_named_with_what_installs_it() -> None:
    with pytest.raises(PretaskError, match=r"needs lightly==1\.6\.0; got no module no_such_peer.*pip install"):
        require_peer("no_such_peer", "lightly==1.6.0")


@pytest.mark.parametrize("color", ["keep", "drop"])
def test_patches_of_the_peer_are_standardized_as_ours_are(color: Any) -> None:
    split, image = CutPair(16, 4, 2, color=color), torch.randint(0, 256, (3, 70, 70), dtype=torch.uint8)
    patches, label = cut_pair(split, image, crop_tensor, 70)
    assert patches.shape == (2, 3, 16, 16)
    assert 0 <= label < len(NEIGHBORS)
    assert torch.allclose(patches.mean((1, 2, 3)), torch.tensor(0.5), atol=1e-5)
    assert torch.allclose(patches.std((1, 2, 3), correction=0), torch.tensor(0.25), atol=1e-5)


def test_the_peer_changes_frames_only_in_its_spans() -> None:
    frames = torch.randn(100, 4)
    shown, target, hidden = hide_spans(frames, MaskFrames())
    assert 7 <= int(hidden.sum()) <= 14
    assert torch.equal(shown[hidden == 0], frames[hidden == 0])
    assert torch.equal(target, frames)


def test_blocks_and_all_affinities_carry_on_the_same_labels() -> None:
    frame, context = make_frames(20, CPU)
    options = Propagation(radius=5)
    assert distance(options.propagate_labels(frame, context), propagate_fully(options, frame, context)) < 1e-5


def test_the_exponent_is_that_of_what_grows() -> None:
    quadratic = {size: 2.0 + 1e-6 * size**2 for size in (1000, 2000, 8000)}
    assert fit_growth(quadratic, start=2.0)["exponent"] == 2.0
    assert fit_growth({size: 3.0 * size for size in (10, 100)})["exponent"] == 1.0


def test_many_records_are_sound_and_differ_and_all_enter_the_board_that_is_timed(tmp_path: Path) -> None:
    write_records(tmp_path, MEASURED, 46)
    records = {path.stem: read(path) for path in tmp_path.glob("*.json")}
    assert len({record.weights for record in records.values()}) == 46
    registry = Registry.load()
    sorted_records = sort_records(read_suite(registry, SUITE), records, registry=registry)
    assert (sorted_records.outside, sorted_records.faulty, sorted_records.copies, sorted_records.spare) == (
        {},
        {},
        {},
        0,
    )


def test_a_measurement_that_fails_is_named_and_keeps_no_other_from_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError("no disk")

    monkeypatch.setattr(speed, "MEASUREMENTS", {"first": fail, "second": lambda _: {"ratio": 2.0}})
    assert speed.run_each(["first", "second"], Namespace(out=tmp_path)) == {"first": "RuntimeError: no disk"}
    assert json.loads((tmp_path / "second.json").read_text())["second"] == {"ratio": 2.0}
    assert not (tmp_path / "first.json").exists()


def test_a_dry_run_goes_the_way_of_a_gpu() -> None:
    options = ({"patch": 16}, {"width": 8}, {"hidden": (8,), "out_dim": 8})
    network = Network(("exemplar-pair", "convnet", "info-nce"), options, ({}, {}, {}), ((3, 40, 40),) * 2, (4, 4))
    found = gpu.measure_network(network, CPU, True, {"tflops": 1e-3})
    assert set(found) == {"fp32", "bf16 as a CUDA graph"}
    assert found["fp32"]["samples a second"] > 0
    assert found["fp32"]["of the ceiling"] == pytest.approx(found["fp32"]["tflops"] / 1e-3)
    assert found["bf16 as a CUDA graph"]["graph ms"] > 0


def test_the_networks_of_a_gpu_are_built_in() -> None:
    registry = Registry.load()
    for network in gpu.NETWORKS.values():
        assert [registry.find(kind, name).namespace for kind, name in zip(PARTS, network.names, strict=True)] == [
            "pretask"
        ] * 3


def test_a_part_that_fails_ends_no_other_and_one_without_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(gpu, "list_parts", lambda *_: {"first": fail, "second": lambda: 2})
    assert gpu.measure_gpu(dry=True)["first"] == {"failed": "RuntimeError: out of memory"}
    assert gpu.measure_gpu(dry=True)["second"] == 2
    late = gpu.measure_gpu(dry=True, seconds=-1.0)
    assert json.dumps(late["second"]) == '{"left out": "-1 seconds were over"}'
