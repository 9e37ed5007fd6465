"""Tables: numbers are whole at any width, names wrap."""

import re

import pytest
from pretask_bench.results.tables import draw_table, share_room, show_rows

NUMBERS = ("4.903", "123456.123456", "38.2 % ± 1.0", "-0.0123456", "1.34e+05")
NAME = "perplexity (words of 57 tokens learned from toy-grammar)"
COLUMNS = ("", "trained", "random init", "difference", "raw input", "supervised")


@pytest.mark.parametrize("width", [200, 100, 40, 5])
def test_no_number_is_cut_or_broken_at_any_width(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    draw_table(COLUMNS, [(NAME, *NUMBERS), ("x" * 60, "1", "", "", "", "")], "A title", width=width)
    drawn = capsys.readouterr().out
    assert "…" not in drawn
    for number in ("4.903", "123456.123456", "38.2 %", "1.0", "-0.0123456", "1.34e+05"):
        assert number in drawn
    assert NAME.replace(" ", "") in joined_names(drawn)


def joined_names(drawn: str) -> str:
    """The first column, its pieces put together."""
    lines = [re.split(r"\s{2,}", line.strip())[0] for line in drawn.splitlines() if line.startswith("  ")]
    return "".join(lines).replace(" ", "")


def test_a_terminal_of_forty_columns_shows_whole_numbers_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show_rows(COLUMNS, [(NAME, *NUMBERS)])
    drawn = capsys.readouterr().out
    assert all(number in drawn for number in ("4.903", "123456.123456", "-0.0123456", "1.34e+05"))


def test_the_widest_columns_are_narrowed_first_and_none_below_what_it_needs() -> None:
    assert share_room([30, 20, 8], [12, 6, 8], 40) == [16, 16, 8]
    assert share_room([3, 2], [1, 1], 100) == [3, 2]
