"""Options and building: text and typed values become the same, and whatever is wrong is told with what is right."""

import json
import math
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pretask import PretaskError, Unknown
from pretask_registry import (
    Registered,
    build,
    fill_options,
    import_implementation,
    read_component_options,
    read_options,
    resolve_options,
)
from pretask_registry.options import coerce, describe

CUT = """
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

@dataclass(frozen=True)
class Cut:
    patch: int = 96
    share: float = 0.5
    colour: Literal["keep", "drop"] = "keep"
    widths: tuple[int, ...] = (16, 32)
    names: tuple[str, ...] = ()
    flip: bool = False
    limit: float | None = None
    root: Path | None = None

class Net:
    def __init__(self, spec, whole, /, *, width: int = 8):
        self.made = (spec, whole, width)

class Sloppy:
    def __init__(self, spec, whole, *, width=8):
        self.made = (spec, whole, width)

@dataclass(frozen=True)
class Folder:
    root: Path

def score(task, data, budget, /, *, neighbours: int = 20):
    yield "accuracy", neighbours

def score_sloppily(task, data, budget, *, neighbours: int = 20):
    yield "accuracy", neighbours

class Whole:
    pass

WHOLE = Whole()

class Strange:
    def __init__(self, table: frozenset = frozenset({1})):
        self.table = table

raise_later = 1
"""

DECLARED = """
split("cut", "acme_impl:Cut", modality="image", targets=["categories"])
split("whole", "acme_impl:WHOLE", modality="image", targets=["values"])
split("gone", "acme_impl:Gone", modality="image", targets=["values"])
split("strange", "acme_impl:Strange", modality="image", targets=["values"])
split("lacking", "acme_lacking:Split", modality="image", targets=["values"])
model("net", "acme_impl:Net", modality="image")
model("sloppy", "acme_impl:Sloppy", modality="image")
data("folder", "acme_impl:Folder", modality="image")
evaluator("score", "acme_impl:score")
evaluator("sloppy-score", "acme_impl:score_sloppily")
task("all", split="cut", objective="o", model="net")
"""


@pytest.fixture
def find(shelf: Any) -> Any:
    shelf.offer("acme", DECLARED, version="0.3.0")
    (shelf.folder / "acme_impl.py").write_text(CUT)
    (shelf.folder / "acme_lacking.py").write_text("print('hello')\nimport module_of_nobody")
    return shelf.load().find


def refusal(registered: Registered, options: dict[str, Any]) -> str:
    with pytest.raises(Unknown) as caught:
        build(registered, options)
    return str(caught.value)


def test_nothing_is_imported_until_it_is_used(find: Any) -> None:
    cut = find("split", "cut")
    assert "acme_impl" not in sys.modules
    assert import_implementation(cut) is sys.modules["acme_impl"].Cut


def test_a_missing_attribute_of_an_implementation_is_a_plugin_problem(find: Any) -> None:
    with pytest.raises(PretaskError, match="acme/gone@1 needs its implementation acme_impl:Gone") as caught:
        import_implementation(find("split", "gone"))
    assert caught.value.exit_code == 3
    assert caught.value.got == "AttributeError: module 'acme_impl' has no attribute 'Gone'"


def test_an_implementation_that_cannot_be_imported_is_a_plugin_problem_and_prints_nothing(
    find: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PretaskError, match=r"pretask-acme 0.3.0.*No module named 'module_of_nobody'") as caught:
        build(find("split", "lacking"))
    assert caught.value.exit_code == 3
    assert capsys.readouterr().out == ""


def test_a_task_has_no_implementation(find: Any) -> None:
    with pytest.raises(Unknown, match="acme/all@1 is a task"):
        import_implementation(find("task", "all"))


def test_options_are_the_fields_of_a_dataclass_with_defaults_and_types(find: Any) -> None:
    options = read_component_options(find("split", "cut"))
    assert list(options) == ["patch", "share", "colour", "widths", "names", "flip", "limit", "root"]
    assert options["widths"] == ((16, 32), tuple[int, ...])


def test_options_of_a_model_are_what_comes_after_the_star(find: Any) -> None:
    assert read_component_options(find("model", "net")) == {"width": (8, int)}
    assert read_component_options(find("model", "sloppy")) == {"width": (8, int)}


@pytest.mark.parametrize("name", ["score", "sloppy-score"])
def test_options_of_an_evaluator_that_is_a_function_are_what_comes_after_the_star(find: Any, name: str) -> None:
    assert read_component_options(find("evaluator", name)) == {"neighbours": (20, int)}


def test_a_model_is_built_as_what_takes_the_specs(find: Any) -> None:
    assert build(find("model", "net"), {"width": "3"})("spec", "whole").made == ("spec", "whole", 3)
    assert build(find("model", "sloppy"))("spec", "whole").made == ("spec", "whole", 8)


def test_an_evaluator_that_is_a_function_keeps_its_options(find: Any) -> None:
    assert list(build(find("evaluator", "score"), {"neighbours": "5"})(1, 2, 3)) == [("accuracy", 5)]


def test_an_implementation_that_is_no_class_is_the_component_and_has_no_options(find: Any) -> None:
    whole = find("split", "whole")
    assert build(whole) is sys.modules["acme_impl"].WHOLE
    assert refusal(whole, {"patch": 1}) == "whole has no option split.patch. Its options: none."


def test_text_and_typed_values_build_the_same(find: Any) -> None:
    typed = {"patch": 8, "share": 1, "colour": "drop", "widths": [4], "names": ["a", "b"], "flip": True, "limit": 2}
    text = {"patch": "8", "share": "1", "colour": "drop", "widths": "4", "names": "a, b", "flip": "yes", "limit": "2"}
    cut = build(find("split", "cut"), typed | {"root": "~/x"})
    assert cut == build(find("split", "cut"), text | {"root": str(Path.home() / "x")})
    assert (cut.share, cut.names, cut.root) == (1.0, ("a", "b"), Path.home() / "x")


def test_an_unknown_option_is_answered_with_the_nearest_and_all(find: Any) -> None:
    assert refusal(find("split", "cut"), {"pach": 3}) == (
        "cut has no option split.pach. Did you mean 'patch'? "
        "Its options: patch, share, colour, widths, names, flip, limit, root."
    )


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("patch", "big", "cut needs split.patch to be a whole number; got 'big'. The default is 96."),
        ("patch", 1.5, "cut needs split.patch to be a whole number; got 1.5. The default is 96."),
        ("patch", True, "cut needs split.patch to be a whole number; got True. The default is 96."),
        ("colour", "red", "cut needs split.colour to be one of keep, drop; got 'red'. The default is 'keep'."),
        ("flip", "2", "cut needs split.flip to be true or false; got '2'. The default is False."),
        ("limit", "x", "cut needs split.limit to be a number or none; got 'x'. The default is None."),
        (
            "widths",
            [1, "x"],
            "cut needs split.widths to be values with commas between them, each a whole number; got 1,x. "
            "The default is 16,32.",
        ),
    ],
)
def test_a_wrong_value_is_told_with_what_is_needed(find: Any, option: str, value: Any, expected: str) -> None:
    assert refusal(find("split", "cut"), {option: value}) == expected


def test_an_option_without_default_must_be_set(find: Any) -> None:
    folder = find("data", "folder")
    assert refusal(folder, {}) == "folder needs data.root, a path; got nothing. Set it: it has no default."
    assert build(folder, {"root": "/photos"}).root == Path("/photos")


def test_resolved_options_hold_every_default_and_survive_json(find: Any) -> None:
    cut = find("split", "cut")
    resolved = resolve_options(cut, {"root": "/photos", "widths": "1,2"})
    assert resolved == {
        "patch": 96,
        "share": 0.5,
        "colour": "keep",
        "widths": [1, 2],
        "names": [],
        "flip": False,
        "limit": None,
        "root": "/photos",
    }
    assert resolve_options(cut, json.loads(json.dumps(resolved))) == resolved


def test_a_default_that_json_cannot_hold_is_a_plugin_problem(find: Any) -> None:
    with pytest.raises(PretaskError, match=r"split.table is none; got frozenset. Let pretask-acme") as caught:
        resolve_options(find("split", "strange"))
    assert caught.value.exit_code == 3


WORDS = st.integers(-(2**63) + 1, 2**63 - 1)


@given(st.lists(WORDS), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none() | WORDS)
def test_what_is_written_as_text_is_read_as_it_was(
    numbers: list[int], number: float, truth: bool, perhaps: int | None
) -> None:
    assert coerce(str(tuple(numbers)), tuple[int, ...]) == tuple(numbers)
    assert coerce(str(numbers), tuple[int, ...]) == tuple(numbers)
    assert coerce(str(number), float) == number
    assert coerce(str(truth), bool) is truth
    assert coerce(str(perhaps), int | None) == perhaps


@given(st.text())
def test_text_for_an_integer_is_a_whole_number_or_refused(text: str) -> None:
    try:
        expected = float(text)
    except ValueError:
        expected = float("nan")
    if expected.is_integer() and abs(expected) < 2**63:
        assert float(coerce(text, int)) == expected
    else:
        with pytest.raises((ValueError, OverflowError)):
            coerce(text, int)


@given(st.sampled_from([int, float, int | None, tuple[float, ...], tuple[int, int]]), st.text() | st.floats())
def test_whatever_is_given_becomes_finite_numbers_or_is_refused(annotation: Any, value: Any) -> None:
    try:
        read = coerce(value, annotation)
    except (ValueError, TypeError, OverflowError):
        return
    numbers = read if isinstance(read, tuple) else (read,)
    assert all(number is None or (math.isfinite(number)) for number in numbers)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", float("nan"), float("inf")])
def test_no_option_is_a_number_that_is_none(value: Any) -> None:
    for annotation in (float, int, float | None, tuple[float, ...]):
        with pytest.raises((ValueError, OverflowError)):
            coerce(value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("1e6", int, 1_000_000),
        (3.0, int, 3),
        ("5", int | str, 5),
        ("5", str | int, 5),
        ("five", int | str, "five"),
        (0.5, int | float, 0.5),
        (2, Literal[1, 2], 2),
        ("2", Literal[1, 2], 2),
        ("0.9,0.99", tuple[float, float], (0.9, 0.99)),
        ("a,", tuple[str, ...], ("a",)),
        ([[1, 2], [3, 4]], tuple[tuple[int, int], ...], ((1, 2), (3, 4))),
        ("", tuple[int, ...], ()),
        ("None", str | None, None),
        ({"a": 1}, dict[str, int], {"a": 1}),
    ],
)
def test_a_value_is_read_as_its_annotation_says(value: Any, annotation: Any, expected: Any) -> None:
    result = coerce(value, annotation)
    assert (type(result), result) == (type(expected), expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("1,2,3", tuple[float, float]),
        (7, tuple[int, ...]),
        (3, str),
        (True, float),
        (True, Literal[1, 2]),
        (None, int),
        (4, Path),
    ],
)
def test_a_value_of_another_type_is_refused(value: Any, annotation: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        coerce(value, annotation)


def test_an_annotation_that_only_the_type_checker_knows_falls_back_to_the_type_of_the_default() -> None:
    def make(*, width: "OnlyForTypeCheckers" = 8, other: "OnlyForTypeCheckers" = None) -> None: ...

    assert read_options(make) == {"width": (8, int), "other": (None, Any)}


def test_every_recipe_can_be_settled_from_text() -> None:
    from pretask import Recipe

    settled = fill_options(
        "recipe", "recipe", read_options(Recipe, by_keyword=False), {"betas": "0.9,0.95", "lr": "1e-3"}
    )
    assert Recipe(**settled) == Recipe(betas=(0.9, 0.95), lr=1e-3)


def test_a_pair_is_described_by_its_members() -> None:
    assert describe(tuple[float, int]) == "2 values with commas between them (a number, a whole number)"
