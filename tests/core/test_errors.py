"""Errors: who needs what, what came, what to do, and an exit code that a script can tell apart."""

import inspect
import pickle

import pytest
from pretask import Incompatible, PretaskError, Unknown, errors


@pytest.mark.parametrize("kind", [PretaskError, Incompatible])
def test_an_error_says_who_needs_what_and_what_to_do(kind: type[PretaskError]) -> None:
    error = kind("cut", "images of at least 9 pixels", "8", "Use larger images.")
    assert str(error) == "cut needs images of at least 9 pixels; got 8. Use larger images."
    assert (error.who, error.needs, error.got, error.do) == (
        "cut",
        "images of at least 9 pixels",
        "8",
        "Use larger images.",
    )


def test_the_message_of_an_unknown_name_is_taken_as_it_is() -> None:
    assert str(Unknown("No split 'jigsow'. Did you mean 'jigsaw'?")) == "No split 'jigsow'. Did you mean 'jigsaw'?"


def test_a_reason_that_is_already_whole_is_taken_as_it_is() -> None:
    error = Incompatible("causal-lm + bert do not fit. Closest that fit: --model gpt2")
    assert str(error) == "causal-lm + bert do not fit. Closest that fit: --model gpt2"
    assert error.exit_code == 4


def test_exit_codes_tell_the_errors_apart() -> None:
    plain = PretaskError("a", "b", "c", "d.")
    assert [plain.exit_code, Incompatible("a", "b", "c", "d.").exit_code, Unknown("e").exit_code] == [1, 4, 2]
    assert PretaskError("a", "b", "c", "d.", exit_code=3).exit_code == 3
    assert PretaskError("a", "b", "c", "d.").exit_code == 1


def test_there_are_three_errors_and_one_catches_all() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    assert set(kinds) == {PretaskError, Incompatible, Unknown}
    assert all(issubclass(kind, PretaskError) for kind in kinds)


@pytest.mark.parametrize(
    "error",
    [
        PretaskError("cut", "9", "8", "Use others.", exit_code=3),
        Incompatible("cut", "9", "8", "Use others."),
        Incompatible("They do not fit."),
        Unknown("No split 'a'."),
        Unknown("--by", "a part", "Split", "Name one."),
    ],
)
def test_an_error_survives_the_way_back_from_a_worker(error: PretaskError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.exit_code, vars(again)) == (str(error), error.exit_code, vars(error))
