"""Whatever task.json says, the encoder is built or it is refused with one line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pretask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pretask import PretaskError
from pretask.encoder import Encoder

Place = tuple[str | int, ...]
WORDS = ["pretask/mlp@1", "text"]
Json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["pretask/mlp@1", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def iterate_places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the way to every value within a value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield (*place, key)
        yield from iterate_places(inner, (*place, key))


def put(content: Any, place: Place, value: Any) -> None:
    """Set one value."""
    for key in place[:-1]:
        content = content[key]
    content[place[-1]] = value


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0), value=Json)
def test_whatever_task_json_says_the_encoder_is_built_or_refused_with_one_line(
    copied: Path, number: int, value: Any
) -> None:
    path = copied / "task.json"
    sound = path.read_text()
    content = json.loads(sound)
    places = list(iterate_places(content))
    put(content, places[number % len(places)], value)
    path.write_text(json.dumps(content))
    told = ""
    try:
        assert isinstance(pretask.load(copied), Encoder)
    except PretaskError as error:
        told = str(error)
    finally:
        path.write_text(sound)
    assert told.isprintable()
    assert len(told) < 800
