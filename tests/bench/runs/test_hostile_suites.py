"""Files of suites that are none are refused with one line each."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pretask_bench.runs.suites import SuiteFile, parse_suite_file

SUITE = b"""summary = "Small images."
seeds = 2
baselines = ["random-init"]
[[division]]
name = "digits"
modality = "image"
data = "digits"
samples = 256
measures = [{evaluator = "linear", metric = "accuracy", chance = "majority"}]
[division.settings]
"linear.val_fraction" = 0.1
"""
HOSTILE = {
    "nothing": (b"", "summary: Field required"),
    "no text": (b"\xff\xfe", "decode"),
    "json": (b"{}", "Invalid statement"),
    "deep lists": (b"x = " + b"[" * 100_000, "nested too deep"),
    "deep tables": (b"x" + b".x" * 100_000 + b" = 1", "nested too deep"),
    "a megabyte": (b"#" * (1 << 20) + SUITE, "more than 262144"),
    "a number of many digits": (b"seeds = " + b"9" * 100_000, ""),
    "no division": (b'summary = "x"\nseeds = 1\ndivision = []', "division"),
    "an unknown field": (b"evil = 1\n" + SUITE, "evil: Extra inputs"),
    "a field that steers a terminal": (b'"\\u001b[2J" = 1\n' + SUITE, "\\x1b[2J: Extra inputs"),
    "a field twice": (b"seeds = 1\n" + SUITE, "overwrite"),
    "no seeds": (SUITE.replace(b"seeds = 2", b"seeds = 0"), "seeds"),
    "seeds that are text": (SUITE.replace(b"seeds = 2", b'seeds = "many"'), "seeds"),
    "negative samples": (SUITE.replace(b"256", b"-256"), "division.0.samples"),
    "samples without end": (SUITE.replace(b"256", b"inf"), "division.0.samples"),
    "no measures": (SUITE.replace(b"measures", b"measure"), "division.0.measure"),
    "an unknown baseline": (SUITE.replace(b"random-init", b"best"), "baselines.0"),
    "half of it": (SUITE[: len(SUITE) // 2], ""),
}


def check_content(content: bytes) -> str | None:
    """Return the one line with which it is refused; None if it is a suite."""
    try:
        assert isinstance(parse_suite_file(content), SuiteFile)
    except ValueError as error:
        return str(error)
    return None


def test_the_suite_that_is_changed_here_is_one() -> None:
    assert check_content(SUITE) is None


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_is_no_suite_is_refused_with_one_line(kind: str) -> None:
    content, told = HOSTILE[kind]
    reason = check_content(content)
    assert reason is not None
    assert told in reason
    assert reason.isprintable()
    assert len(reason) < 500


Toml = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8).map(json.dumps),
    lambda inner: st.lists(inner.map(str), max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(
    line=st.integers(0, 10),
    value=Toml,
    cut=st.tuples(st.floats(0, 1), st.integers(0, 5), st.binary(max_size=5)),
    cuts=st.booleans(),
)
def test_whatever_a_file_says_it_is_a_suite_or_refused(
    line: int, value: Any, cut: tuple[float, int, bytes], cuts: bool
) -> None:
    lines = SUITE.decode().splitlines()
    lines[line] = f"{lines[line].partition(' = ')[0]} = {value}"
    content = "\n".join(lines).encode(errors="surrogatepass")
    if cuts:
        start = int(cut[0] * len(content))
        content = content[:start] + cut[2] + content[start + cut[1] :]
    reason = check_content(content)
    assert reason is None or len(reason) < 2000
