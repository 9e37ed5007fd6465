"""What a pretext score says of how much it rests on."""

import json
import math

import numpy as np
import pytest
from pretask import Metric
from pretask.scores import HeldOutScore, MetricScore, ReferenceScores
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.measured import Pretext
from pretask_bench.records.metrics import DeclaredMetrics
from pretask_bench.records.record import parse_record
from pretask_bench.results.pretext import interval_over_samples, pretext_fields, ratio_variance

SHARE = Metric("fraction", higher_is_better=True)
METRICS = {"order": Metric("nats", higher_is_better=False), "order.accuracy": SHARE}


def part(blocks: list[tuple[float, float]], count: int | None = None) -> MetricScore:
    total, weight = (sum(column) for column in zip(*blocks, strict=True))
    return MetricScore(total / weight, int(weight) if count is None else count, tuple(blocks))


def test_one_draw_of_twenty_answers_has_wilsons_interval_of_twenty() -> None:
    low, high = interval_over_samples(part([(1.0, 1.0)] * 17 + [(0.0, 1.0)] * 3), SHARE, 20) or (0, 0)
    assert (low, high) == pytest.approx((0.640, 0.948), abs=0.03)  # Wilson's with z is (0.640, 0.948); with t wider
    assert low < 0.640 < 0.948 < high


def test_answers_that_are_repeated_make_no_interval_narrower() -> None:
    once = [(1.0, 1.0)] * 17 + [(0.0, 1.0)] * 3
    often = [(16 * total, 16 * weight) for total, weight in once]  # every draw gives the same answers
    assert interval_over_samples(part(often), SHARE, 20) == pytest.approx(interval_over_samples(part(once), SHARE, 20))


def test_a_perfect_score_of_twenty_samples_is_not_certain_however_often_they_were_drawn() -> None:
    low, high = interval_over_samples(part([(16.0, 16.0)] * 20), SHARE, 20) or (0, 0)
    assert (low, high) == (pytest.approx(0.82, abs=0.02), 1.0)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(("samples", "answers"), [(20, 4), (64, 1), (400, 3)])
def test_intervals_over_clustered_answers_cover(name: str, samples: int, answers: int) -> None:
    random = np.random.default_rng(0)
    covered = 0
    trials = 400
    for _ in range(trials):
        chance = random.beta(4, 2, samples)  # of each sample: its answers are alike
        if name == "order":
            values = chance + random.normal(0, 0.3, (answers, samples))
        else:
            values = (random.random((answers, samples)) < chance).astype(float)
        groups = np.array_split(values.sum(0), min(samples, 64))
        blocks = [(float(group.sum()), float(len(group) * answers)) for group in groups]
        low, high = interval_over_samples(part(blocks), METRICS[name], samples) or (math.nan, math.nan)
        covered += low <= 4 / 6 <= high
    assert 0.92 <= covered / trials <= 0.985  # 0.95 within 2.8 standard errors of 400 trials, a little more above


def test_the_variance_of_a_ratio_is_that_of_its_blocks() -> None:
    values = [0.2, 0.5, 0.9, 0.4]
    expected = np.var(values, ddof=1) / 4
    assert ratio_variance([(value, 1.0) for value in values]) == pytest.approx(expected)
    assert ratio_variance([(1.0, 2.0)]) is None


def test_the_fields_of_a_record_say_how_much_every_number_rests_on() -> None:
    own = HeldOutScore({"order": part([(0.5, 1.0), (0.7, 1.0)]), "order.accuracy": part([(1.0, 1.0)] * 2)}, 4, 2)
    other = HeldOutScore({"order": MetricScore(math.nan, 0, ((0.0, 0.0),))}, 4, 2)
    found = Pretext.model_validate_json(
        json_of(
            pretext_fields(
                own, ReferenceScores({"blind": other}, {"order": 0.7, "else": 0.1}), 30, DeclaredMetrics(METRICS)
            )
        )
    )
    assert found.trained == "order"
    assert found.chance == {"order": 0.7}  # of parts that the loss has
    assert (found.draws, found.samples, found.seen) == (4, 2, 30)
    assert found.count == {"order": 2, "order.accuracy": 2, "blind: order": 0}
    assert set(found.interval) == {"order", "order.accuracy"}
    assert found.missing == {"blind: order": "nan"}


def test_a_record_of_before_keeps_its_bytes_and_its_name(text: str) -> None:
    old = canonical_bytes(json.loads(text))
    assert canonical_bytes(parse_record(old)) == old


def test_a_count_of_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="numbers that are not there"):
        Pretext(metrics={"order": 1.0}, count={"other": 3})


def json_of(fields: object) -> str:
    return json.dumps(fields)
