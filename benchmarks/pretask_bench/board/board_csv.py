"""CSV: the numbers of a board, a row for each entry, measure and encoder; for spreadsheets and data frames."""

from collections.abc import Iterator
from typing import Any

from pretask_bench.results.query import csv_text

Json = dict[str, Any]
NO_SCORE = {"value": None, "low": None, "high": None}


def board_csv(board: Json) -> str:
    """Return the text of board.csv for the content of board.json."""
    return csv_text([row for table in board["tables"] for row in table_rows(table)]) + "\n"


def table_rows(table: Json) -> Iterator[Json]:
    """Yield the rows of one table: its ranked entries, then the others, whose rank is empty."""
    for entry in (*table["ranking"], *table["unranked"]):
        first, last = entry.get("rank", (None, None))
        score = entry.get("score") or NO_SCORE
        shared = {
            "division": table["division"],
            "data": table["data"],
            "rank": first,
            "rank_to": last,
            "entry": entry["title"],
            "distinction": entry["distinction"],
            **entry["ids"],
            "seeds": len(entry["seeds"]),
            "score": score["value"],
            "score_low": score["low"],
            "score_high": score["high"],
        }
        for measure, encoders in entry["measures"].items():
            for encoder, number in encoders.items():
                numbers = {name: number[name] for name in ("mean", "low", "high")}
                yield {**shared, "measure": measure, "encoder": encoder, **numbers}
