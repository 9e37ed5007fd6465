"""Page: what the files of a board show of entries and pictures, and that a stranger's text stays text."""

import csv
import json
import re
import struct
import zlib
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from entrants import BASELINES, LINEAR, entrant, named, suite
from page_reader import Reader
from pretask import PretaskError
from pretask_bench.board.board_csv import board_csv
from pretask_bench.board.entries import Entry, find_watched, sort_records
from pretask_bench.board.figures import Album
from pretask_bench.board.matrices import matrices
from pretask_bench.board.probed import draw_probed
from pretask_bench.board.site import render_board, write_board
from pretask_bench.cli.main import invoke
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.record import Record, build_record
from pretask_bench.records.store import write, write_picture
from pretask_registry import Registry
from processes import run_python

Facts = dict[str, Any]
INJECTION = "<script>stolen=1</script><img src=x onerror=stolen=1>'"


def entry_of(record: Record) -> Entry:
    """The only entry of a board of one record."""
    (competition,) = sort_records(suite(), named(record)).competitions
    (entry,) = (*competition.complete, *competition.incomplete)
    return entry


def injected(facts: Facts) -> Record:
    """A record whose every free text is an attempt to run a script."""
    record = entrant(facts, task="evil/one@1", note=INJECTION, author=INJECTION, licence=INJECTION)
    evil = record.model_dump(mode="json")
    for part in ("split", "objective", "model"):
        evil["cell"][part]["options"] = {INJECTION: INJECTION}
    evil["cell"] |= {"precision": INJECTION, "recipe": {"samples": 640, INJECTION: [INJECTION]}}
    evil["pretext"] = {"metrics": {INJECTION: 0.5, f"{INJECTION}: {INJECTION}": 0.4}, "chance": {INJECTION: 0.1}}
    evil["provenance"] |= {"command": [INJECTION], "versions": {INJECTION: INJECTION}, "stages": {INJECTION: 1.0}}
    evil["provenance"]["hardware"] |= {"device": INJECTION, "platform": INJECTION}
    for row in evil["results"]:
        row["metrics"][INJECTION] = 0.5
        row["pictures"] = [{"name": INJECTION, "caption": INJECTION, "png": "ab" * 32}]
    return build_record(evil)


def test_what_a_stranger_writes_is_shown_as_text(facts: Facts) -> None:
    plain, evil = entrant(facts, task="evil/one@1"), injected(facts)
    html, _, markdown = render_board(suite(), named(plain, evil))  # of one title, so that options tell them apart
    reader = Reader(html)
    assert reader.tags.count("script") == Reader(render_board(suite(), named(plain))[0]).tags.count("script") == 1
    assert INJECTION in reader.text
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert "&lt;script&gt;" in markdown
    assert "<script" not in markdown


def test_the_page_names_no_other_place_and_its_policy_allows_none(facts: Facts) -> None:
    page = render_board(suite(), named(entrant(facts)))[0]
    reader = Reader(page)
    links = {value for name, value in reader.attributes if name in ("src", "href", "action")}
    assert all(link.startswith("#") or link in ("board.csv", "board.json", "board.md") for link in links)
    assert not re.findall(r"https?://|url\(|@import", page)
    (policy,) = (value for name, value in reader.attributes if name == "content" and "-src" in value)
    sources = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert (sources["default-src"], sources["img-src"], sources["form-action"]) == ("'none'", "data:", "'none'")
    assert re.fullmatch("'sha256-[^' ]*'", sources["script-src"])


def png(side: int = 1, filling: int = 0) -> bytes:
    """A square PNG of one colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1 + min(side, 9))))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"tEXt", bytes(filling)) + chunk(b"IEND", b"")


def test_figures_are_in_the_page_within_bounds_and_others_are_counted(tmp_path: Path, facts: Facts) -> None:
    hashes = [write_picture(tmp_path, picture) for picture in (png(), png(filling=300 << 10), png(side=60000))]
    pictured = entrant(facts).model_dump(mode="json")
    pictured["results"][0]["pictures"] = [
        {"name": "view", "caption": f"figure {number}", "png": digest}
        for number, digest in enumerate([*hashes, "0" * 64])
    ]
    (tmp_path / f"{hashes[0]}.png").read_bytes()
    page = render_board(suite(), named(build_record(pictured)), [tmp_path])[0]
    assert page.count("data:image/png;base64,") == 1
    assert "3 figures are not shown" in page
    without = render_board(suite(), named(build_record(pictured)), None)[0]
    assert "data:image/png" not in without
    assert "figures are not shown" not in without


def test_the_first_figures_of_an_entry_stand_below_its_table_and_the_others_with_its_details(
    tmp_path: Path, facts: Facts
) -> None:
    pictured = entrant(facts).model_dump(mode="json")
    pictured["results"][0]["pictures"] = [
        {"name": f"{number}", "caption": f"figure {number}", "png": write_picture(tmp_path, png(filling=number))}
        for number in range(1, 4)
    ]
    page = render_board(suite(), named(build_record(pictured)), [tmp_path])[0]
    gallery, details = page.split('id="details"')
    assert [f"figure {number}</figcaption>" in gallery for number in range(1, 4)] == [True, True, False]
    assert [f"figure {number}</figcaption>" in details for number in range(1, 4)] == [False, False, True]


def test_a_division_whose_raw_input_cannot_be_measured_needs_no_row_of_it(facts: Facts) -> None:
    asked = suite()
    (division,) = asked.file.division
    division = division.model_copy(update={"baselines": ("random-init", "supervised")})
    record = entrant(facts, beside={"random-init": 0.3, "supervised": 0.9})
    file = asked.file.model_copy(update={"division": (division,)})
    assert json.loads(render_board(asked, named(record))[1])["tables"][0]["ranking"] == []
    page, board, _ = render_board(replace(asked, file=file), named(record))
    assert len(json.loads(board)["tables"][0]["ranking"]) == 1
    assert 'data-l="raw input"' not in page


def test_a_figure_whose_bytes_do_not_fit_its_name_is_not_shown(tmp_path: Path, facts: Facts) -> None:
    name = write_picture(tmp_path, png())
    (tmp_path / f"{name}.png").write_bytes(png(side=2))
    assert Album([tmp_path]).read_bounded(tmp_path, name) is None


def test_a_cell_of_the_matrix_counts_the_models_that_fit() -> None:
    triples = [("cut", "guess", "one", True), ("cut", "guess", "two", False), ("cut", "score", "one", False)]
    rows = [
        {"modality": "image", "split": split, "objective": objective, "model": model, "fits": fits}
        for split, objective, model, fits in triples
    ]
    (matrix,) = matrices(rows)
    assert matrix.objectives == ("guess",)
    assert [(cell.models, cell.tried, cell.kind) for cell in matrix.rows[0][1]] == [(("one",), 2, "some")]


def test_an_entry_has_what_is_to_be_cited_and_its_curves_in_training(facts: Facts) -> None:
    probed = [{"step": step, "metrics": {"knn.accuracy": 0.1 * step, "rank.rankme": 5.0}} for step in (1, 2, 3)]
    record = entrant(facts, probed=probed, cell={"model": {"id": "pretask/convnet@1", "options": {}}})
    page = render_board(suite(), named(record), registry=Registry.load())[0]
    reader = Reader(page)
    assert "@inproceedings{he2016deep," in reader.text
    assert "knn.accuracy by optimizer step, in training" in [value for _, value in reader.attributes]
    assert "knn.accuracy in training, by step" in reader.text
    assert reader.tags.count("script") == 1
    agreeing = entrant(facts, cell={"model": {"id": "pretask/convnet@1", "options": {}}}, note="without curves")
    assert find_watched([agreeing, record]) == (record,)
    assert "knn.accuracy" in [name for name, _ in draw_probed(replace(entry_of(agreeing), watched=(record,)))]
    plain = Reader(render_board(suite(), named(entrant(facts)))[0]).text
    assert "in training, by step" not in plain
    assert "Cite" not in plain


def test_run_folders_are_records_of_a_board_as_well(
    tmp_path: Path, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pretask_bench.runs.suites.read_suite", lambda registry, name: suite())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        record = entrant(facts, task=f"acme/{name}@1")
        (tmp_path / name / "record.json").write_bytes(canonical_bytes(record))
    assert invoke(["board", "quick", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "site")]) == 0
    assert json.loads((tmp_path / "site" / "board.json").read_text())["records"] == 2


def test_the_command_writes_its_files_and_names_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, facts: Facts
) -> None:
    monkeypatch.setattr(
        "pretask_bench.runs.suites.read_suite", lambda registry, name: suite()
    )  # quick loads every part
    write(tmp_path / "records", entrant(facts))
    (tmp_path / "records" / f"{'0' * 64}.json").write_text("{}")
    assert invoke(["board", "quick", str(tmp_path / "records"), "--out", str(tmp_path / "site")]) == 0
    captured = capsys.readouterr()
    names = ("index.html", "board.json", "board.md", "board.csv")
    assert captured.out.split() == [str(tmp_path / "site" / name) for name in names]
    assert "left out" in captured.err


def test_the_table_for_spreadsheets_has_every_number_once_and_no_formula(facts: Facts) -> None:
    records = named(entrant(facts, 0.5, 0.25, task="acme/a@1"), entrant(facts, 0.4, 0.3, task="acme/b@1"))
    board = json.loads(render_board(suite(), records)[1])
    rows = list(csv.DictReader(StringIO(board_csv(board))))
    assert len(rows) == 2 * 2 * 4  # entries, measures, encoders
    found = {(row["task"], row["measure"], row["encoder"]): float(row["mean"]) for row in rows}
    assert found["acme/b@1", "knn accuracy", "trained"] == 0.3
    assert found["acme/a@1", "linear accuracy", "random-init"] == BASELINES["random-init"]
    assert {row["rank"] for row in rows} <= {"1", "2"}
    board["tables"][0]["ranking"][0]["title"] = "=1+1"
    assert ",'=1+1," in board_csv(board)


def test_a_suite_without_a_supervised_reference_has_no_column_for_it(facts: Facts) -> None:
    beside = {encoder: value for encoder, value in BASELINES.items() if encoder != "supervised"}
    record = entrant(facts, 0.5, 0.5, beside=beside)
    asked = suite(measures=({**LINEAR, "reference": 1.0},))
    file = asked.file.model_copy(update={"baselines": tuple(beside)})
    page, board, markdown = render_board(replace(asked, file=file), named(record))
    (entry,) = json.loads(board)["tables"][0]["ranking"]
    assert entry["score"]["value"] == pytest.approx((0.5 - 0.3) / (1 - 0.3), abs=1e-5)
    assert "supervised" not in markdown.split("## ")[1]
    assert page.count('data-l="random init"') == 1
    assert 'data-l="supervised"' not in page


def test_a_board_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path, facts: Facts) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(PretaskError, match="the board needs to write"):
        write_board(suite(), named(entrant(facts)), tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


MANY = """
import json, sys, time
sys.path[:0] = sys.argv[1:2]
from entrants import entrant, suite
from pretask_bench.board.site import render_board
record = entrant(json.loads(sys.argv[2]))
records = {}
for number in range(2000):
    recipe = {"samples": 640, "lr": 0.001 * (1 + number // 2)}
    cell = record.cell.model_copy(update={"seed": number % 2, "recipe": recipe})
    metrics = {**record.pretext.metrics, "order": 1 + number / 1e6}
    pretext = record.pretext.model_copy(update={"metrics": metrics})
    changed = {"cell": cell, "weights": f"{number:064x}", "pretext": pretext}
    records[f"{number:064x}"] = record.model_copy(update=changed)
begin = time.process_time()
page = render_board(suite(2), records)[0]
print(time.process_time() - begin, len(page))
"""


@pytest.mark.slow
def test_two_thousand_records_render_in_seconds_and_five_megabytes(facts: Facts) -> None:
    ran = run_python("-c", MANY, str(Path(__file__).parents[2]), json.dumps(facts))
    seconds, size = ran.out.split()
    assert float(seconds) < 20  # 3 on a slow core
    assert int(size) < 5e6
