"""Specs: values that can be compared, hashed and never changed, with kinds that plugins may add."""

import pickle
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from typing import ClassVar, get_args

import pytest
from pretask import Agreement, Categories, FeatureSpec, InputSpec, Observed, Reference, TargetSpec, Values, Vocabulary
from pretask.specs import SEES_AT_MOST, Sight

WORDS = Vocabulary(100, (("pad", 0), ("mask", 3)))
SPECS = [
    WORDS,
    Observed("text", (16,), "int64", 50, WORDS),
    InputSpec("text", (16,), vocabulary=WORDS, shown=4),
    Categories(3, grid=(16,), sees="past"),
    Values(2, views=3),
    Reference(5, grid=(4, 4)),
    Agreement(views=2, hidden=False),
    FeatureSpec(8, (4, 4), 2, ("past", "future")),
]
NAMES = [type(spec).__name__ for spec in SPECS]


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_a_spec_cannot_be_changed(spec: TargetSpec) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(spec, fields(spec)[0].name, None)


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_equal_specs_are_one_key_and_survive_another_process(spec: TargetSpec) -> None:
    again = pickle.loads(pickle.dumps(spec))
    assert again == spec
    assert {spec: 1}[again] == 1
    assert {spec: 1}[replace(spec)] == 1


def test_kinds_with_equal_fields_are_not_equal() -> None:
    assert len({Categories(3), Values(3), Reference(3), Agreement()}) == 4


def test_every_kind_has_a_name_of_its_own() -> None:
    kinds = [target.kind for target in (Categories, Values, Reference, Agreement)]
    assert kinds == ["categories", "values", "reference", "agreement"]


def test_what_every_target_has_is_named_and_never_counted_off() -> None:
    with pytest.raises(TypeError, match="positional"):
        Categories(3, (4, 4))  # type: ignore[call-arg]
    target = Categories(3)
    assert (target.grid, target.views, target.sees, target.hidden) == ((), None, "all", True)


def test_a_plugin_may_add_a_kind() -> None:
    @dataclass(frozen=True)
    class Ranking(TargetSpec):
        """An order of so many items."""

        kind: ClassVar[str] = "ranking"

        items: int

    target = Ranking(4, grid=(5,), sees="future")
    assert (target.kind, target.items, target.grid, target.sees) == ("ranking", 4, (5,), "future")


def test_special_tokens_are_found_by_role() -> None:
    assert [WORDS.id(role) for role in ("pad", "mask", "class")] == [0, 3, None]


@pytest.mark.parametrize(("grid", "positions"), [((), 1), ((7,), 7), ((3, 4), 12), ((2, 3, 4), 24)])
def test_positions_are_the_places_of_one_view(grid: tuple[int, ...], positions: int) -> None:
    assert FeatureSpec(8, grid, views=5).positions == positions


def test_sights_are_ordered_present_past_or_future_all() -> None:
    parts = {"present": {0}, "past": {-1, 0}, "future": {0, 1}, "all": {-1, 0, 1}}
    assert tuple(SEES_AT_MOST) == get_args(Sight)
    for sees, streams in SEES_AT_MOST.items():
        assert set(streams) == {sight for sight in parts if parts[sight] <= parts[sees]}
        assert streams[0] == sees
        assert [len(parts[sight]) for sight in streams] == sorted(
            (len(parts[sight]) for sight in streams), reverse=True
        )
