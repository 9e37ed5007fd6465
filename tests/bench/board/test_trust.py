"""Trust: attacks on the board, each of which changes nothing but what the page says of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from entrants import ITEMS, entrant, named, suite
from pretask import PretaskError
from pretask_bench.board.entries import sort_records
from pretask_bench.board.keeper import Keeper, read_authors, read_withdrawn
from pretask_bench.board.site import render_board
from pretask_bench.board.trust import find_duplicate_results
from pretask_bench.cli.main import invoke
from pretask_bench.records.cells import OptionChecker
from pretask_bench.records.measured import pack_items
from pretask_bench.records.record import Record, build_record, record_hash
from pretask_bench.records.store import write
from pretask_registry import Registry

Facts = dict[str, Any]
Change = Callable[[Facts], object]


def changed(record: Record, *changes: Change) -> Record:
    copied = record.model_dump(mode="json")
    for change in changes:
        change(copied)
    return build_record(copied)


def better(value: float) -> Change:
    """Other answers to the items of the trained encoder, and the accuracy that they make."""

    def change(facts: Facts) -> None:
        for row in facts["results"]:
            if row["encoder"] == "trained":
                right = pack_items([item < value * ITEMS for item in range(ITEMS)], "b" * 32)
                row["metrics"]["accuracy"] = value
                row["items"]["accuracy"] = right.model_dump(mode="json")
        facts["weights"] = "e" * 64

    return change


def board(*records: Record, seeds: int = 1, keeper: Keeper | None = None, registry: Registry | None = None) -> Any:
    """What board.json holds."""
    return json.loads(render_board(suite(seeds), named(*records), keeper=keeper, registry=registry)[1])


def ranked(found: Any) -> list[str]:
    """Names of the records that are ranked."""
    return [name for table in found["tables"] for entry in table["ranking"] for name in entry["records"]]


def sides(found: Any, kind: str = "disputed") -> list[set[str]]:
    """Names of the records of each dispute."""
    return [{side["record"] for side in dispute["sides"]} for dispute in found[kind]]


def test_a_copy_that_ended_in_9999_is_faulted_and_the_honest_record_counts(facts: Facts) -> None:
    honest = entrant(facts)
    copy = changed(honest, lambda f: f["provenance"].update(ended="9999-01-01T00:00:00Z"))
    found = board(honest, copy)
    assert ranked(found) == [record_hash(honest)]
    assert [record["record"] for record in found["faulty"]] == [record_hash(copy)]


@pytest.mark.parametrize("ended", ["2026-03-01T12:01:01Z", "2026-02-28T18:00:00Z", "2026-03-02T11:00:00Z"])
def test_no_time_that_a_clock_may_have_told_decides_which_of_two_records_counts(facts: Facts, ended: str) -> None:
    low, high = entrant(facts, 0.50), changed(entrant(facts, 0.50), better(0.51))
    timed = changed(high, lambda f: f["provenance"].update(ended=ended))
    found = board(low, timed)
    assert (found["faulty"], ranked(found)) == ([], [record_hash(low)])


def test_better_numbers_for_somebody_elses_cell_are_disputed_and_neither_is_ranked(facts: Facts) -> None:
    honest, other = entrant(facts, 0.5), entrant(facts, 0.6, task="acme/other@1")
    found = board(honest, changed(honest, better(0.9)), other)
    assert ranked(found) == [record_hash(other)]
    (dispute,) = found["disputed"]
    assert {(side["own"], side["others"]) for side in dispute["sides"]} == {
        ("50.0 %", "90.0 %"),
        ("90.0 %", "50.0 %"),
    }


def test_last_digits_of_another_machine_are_no_dispute_and_confirm(facts: Facts) -> None:
    honest = entrant(facts, 0.5)
    order = honest.pretext.metrics["order"] if honest.pretext is not None else None
    assert order is not None
    found = board(honest, changed(honest, better(0.51), lambda f: f["pretext"]["metrics"].update(order=order * 1.01)))
    assert found["disputed"] == []
    (entry,) = found["tables"][0]["ranking"]
    assert len(entry["confirming"]) == 1


@pytest.mark.parametrize("shares", [(0.48, 0.5, 0.51), (0.5, 0.51)])
def test_of_records_that_agree_the_median_counts_whatever_their_hashes(facts: Facts, shares: tuple[float, ...]) -> None:
    for note in ("a", "b", "c", "d"):  # other hashes, in another order
        records = [changed(entrant(facts, note=note), better(share)) for share in shares]
        (entry,) = board(*records)["tables"][0]["ranking"]
        assert entry["measures"]["linear accuracy"]["trained"]["mean"] == 0.5


def test_a_disputed_seed_is_missing_and_the_other_seeds_alone_are_not_enough(facts: Facts) -> None:
    seeds = [entrant(facts, seed=seed) for seed in (0, 1, 2)]
    forged = changed(seeds[1], better(0.9))
    assert board(*seeds, forged, seeds=2)["tables"][0]["ranking"][0]["seeds"] == [0, 2]
    (entry,) = board(*seeds, forged, seeds=3)["tables"][0]["unranked"]
    assert entry["missing"] == ["2 of 3 seeds", "seed 1, which is disputed"]


JUNK: dict[str, Change] = {
    "a recipe's option that nobody knows": lambda f: f["cell"]["recipe"].update(junk=1),
    "a text for a number": lambda f: f["cell"]["recipe"].update(lr="0.1"),
    "a number for true": lambda f: f["cell"]["recipe"].update(compile=0),
    "a recipe that cannot be": lambda f: f["cell"]["recipe"].update(warmup=7),
    "a precision that nobody knows": lambda f: f["cell"].update(precision="fp32 "),
    "another precision than the recipe's": lambda f: f["cell"].update(precision="bf16"),
    "a precision that no recipe has": lambda f: f["cell"].update(
        precision="fp8", recipe={**f["cell"]["recipe"], "precision": "fp8"}
    ),
}


@pytest.mark.parametrize("what", JUNK)
def test_junk_in_a_recipe_or_precision_is_faulted_and_makes_no_further_row(facts: Facts, what: str) -> None:
    honest = entrant(facts)
    found = board(honest, changed(honest, JUNK[what]))
    assert ranked(found) == [record_hash(honest)]
    assert len(found["faulty"]) == 1


def test_what_is_left_out_or_a_default_or_only_a_label_is_the_same_cell(facts: Facts) -> None:
    honest = entrant(facts, cell={"recipe": {"samples": 640}})
    labels: list[Change] = [
        lambda f: f["cell"]["recipe"].update(lr=0.001),
        lambda f: f["cell"]["recipe"].update(precision="fp32"),
        lambda f: f["cell"].update(task="evil/mine@1"),
        lambda f: f["cell"].update(task=None),
        lambda f: f["cell"].update(modality="smell"),
        lambda f: f["cell"].update(artifact="f" * 32),
        lambda f: f["cell"]["evaluators"].update({"evil/more@1": {}}),
    ]
    found = board(honest, *(changed(honest, label) for label in labels))
    (entry,) = found["tables"][0]["ranking"]
    assert len(entry["confirming"]) == len(labels)
    assert entry["title"] == "jigsaw + cross-entropy + convnet"  # for the tasks disagree


def test_options_that_an_installed_part_does_not_have_are_faulted_and_others_said_to_be_unchecked(
    facts: Facts,
) -> None:
    split = {"id": "pretask/relative-position@2", "options": {"patch": 24, "jitter": 2}}
    sound = {"split": split, "model": {"id": "acme/deep@1", "options": {"anything": 1}}}
    honest = entrant(facts, cell={**sound, "objective": {"id": "pretask/cross-entropy@1", "options": {}}})
    junk: list[Change] = [
        lambda f: f["cell"]["split"]["options"].update(junk=1),
        lambda f: f["cell"]["split"]["options"].update(patch="24"),
    ]
    found = board(honest, *(changed(honest, change) for change in junk), registry=Registry.load())
    assert ranked(found) == [record_hash(honest)]
    assert len(found["faulty"]) == 2
    assert found["unchecked"] == {"acme/deep@1 is not installed here, so its options were not checked": 1}


LIES: dict[str, Change] = {
    "an accuracy that its items do not say": lambda f: f["results"][0]["metrics"].update(accuracy=0.99),
    "a share above one": lambda f: f["pretext"]["metrics"].update({"order.accuracy": 1.5}),
    "items of other data": lambda f: f["results"][0]["items"]["accuracy"].update(test="f" * 32),
    "a year of seconds within a minute": lambda f: f["provenance"].update(seconds=3e7),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_verify_faults_is_not_ranked_and_the_page_says_why(facts: Facts, lie: str) -> None:
    liar, honest = changed(entrant(facts), LIES[lie]), entrant(facts, task="acme/other@1")
    page, board_json, markdown = render_board(suite(), named(liar, honest))
    found = json.loads(board_json)
    assert ranked(found) == [record_hash(honest)]
    (fault,) = found["faulty"][0]["faults"]
    assert record_hash(liar) in page
    assert "Faulty: not ranked" in page
    assert f"faulty, not ranked: {record_hash(liar)[:12]}" in markdown
    assert fault


def test_a_faulty_record_disputes_nothing(facts: Facts) -> None:
    honest = entrant(facts)
    forged = changed(honest, better(0.9), JUNK["another precision than the recipe's"])
    assert ranked(board(honest, forged)) == [record_hash(honest)]


def test_one_result_under_many_cells_makes_one_row(facts: Facts) -> None:
    seeds = [entrant(facts, seed=seed) for seed in (0, 1, 2)]
    copies = [
        changed(record, lambda f, n=n: f["cell"]["recipe"].update(lr=0.1 + n)) for n in range(1, 6) for record in seeds
    ]
    disguised = [changed(copy, lambda f, n=n: f.update(weights=f"{n}" * 64)) for n, copy in enumerate(copies[:3])]
    found = board(*seeds, *copies, *disguised, seeds=3)
    (entry,) = found["tables"][0]["ranking"]
    assert entry["seeds"] == [0, 1, 2]
    assert len(found["copies"]) + len(entry["confirming"]) == 5 * 3 + 3
    assert {record["record"] for record in found["copies"]}.isdisjoint(entry["records"])


def test_one_network_that_is_measured_on_two_data_sets_has_two_results(facts: Facts) -> None:
    """Half of the entries of two divisions that one training enters were taken for copies of the other half."""
    both = entrant(facts)
    elsewhere = {"id": "pretask/shapes@1", "options": {}, "fingerprints": {"train": "c" * 64, "test": "d" * 64}}
    first = changed(both, lambda f: keep_rows(f, "pretask/linear@1"))
    second = changed(both, lambda f: (keep_rows(f, "pretask/knn@1"), f["cell"].update(evaluated_on=elsewhere)))
    same = changed(first, lambda f: f["cell"].update(evaluated_on=elsewhere))
    other_training = changed(second, lambda f: f["cell"]["recipe"].update(lr=0.7))
    assert find_copies(first, second) == 0
    assert find_copies(first, same) == 1  # the same numbers of other data
    assert find_copies(first, other_training) == 1


def keep_rows(facts: Facts, evaluator: str) -> None:
    """Leave what one evaluator measured."""
    facts["results"] = [row for row in facts["results"] if row["evaluator"] == evaluator]


def find_copies(*records: Record) -> int:
    """How many of these records are taken for copies of another cell."""
    by_name = named(*records)
    checker = OptionChecker(None)
    own = {name: json.dumps(record.cell.data.fingerprints).encode() for name, record in by_name.items()}
    trainings = {name: own[name] + checker.choice(record.cell) for name, record in by_name.items()}
    choices = {name: trainings[name] + repr(record.cell.evaluated_on).encode() for name, record in by_name.items()}
    return len(find_duplicate_results(by_name, choices, trainings, Keeper()))


def test_a_copy_that_leaves_out_its_weights_and_losses_is_one_too(facts: Facts) -> None:
    honest = entrant(facts)
    bare = [
        changed(honest, lambda f, n=n: (f.update(weights=None, pretext=None), f["cell"]["recipe"].update(lr=0.1 + n)))
        for n in range(1, 6)
    ]
    found = board(honest, *bare)
    assert (ranked(found), len(found["copies"])) == ([record_hash(honest)], 5)


def test_two_encoders_that_answer_everything_rightly_are_two_results(facts: Facts) -> None:
    best = [entrant(facts, 1.0, 1.0, task=f"acme/{name}@1") for name in ("one", "two")]
    assert len(ranked(board(*best))) == 2


def test_one_seed_under_the_names_of_others_is_one_seed(facts: Facts) -> None:
    first = entrant(facts)
    found = board(first, *(changed(first, lambda f, n=n: f["cell"].update(seed=n)) for n in (1, 2)), seeds=3)
    assert found["tables"][0]["unranked"][0]["missing"] == ["1 of 3 seeds"]
    assert len(found["copies"]) == 2


def test_somebody_elses_weights_with_other_numbers_take_nothing_off_the_board(facts: Facts) -> None:
    honest, thief = entrant(facts), entrant(facts, 0.9, 0.9, task="acme/thief@1")
    stolen = changed(thief, lambda f: f.update(weights=honest.weights))
    assert {*ranked(board(honest, stolen))} == {record_hash(honest), record_hash(stolen)}


def by(author: str | None, reruns: Record | None = None) -> Change:
    """Signed, and perhaps as a rerun."""
    return lambda f: f.update(author=author, reruns=record_hash(reruns) if reruns is not None else None)


ANNA = Keeper(authors=frozenset({"Anna"}))


def test_with_strict_authors_a_strangers_divergent_record_is_shown_and_ignored(facts: Facts) -> None:
    honest = changed(entrant(facts), by("Anna"))
    strange = changed(honest, better(0.9), by("stranger", honest))
    assert ranked(board(honest, strange)) == []
    found = board(honest, strange, keeper=ANNA)
    assert ranked(found) == [record_hash(honest)]
    assert (found["disputed"], sides(found, "ignored")) == ([], [{record_hash(strange)}])


def test_with_strict_authors_a_named_skeptic_disputes_what_he_ran_again(facts: Facts) -> None:
    unnamed = changed(entrant(facts), by("somebody"))
    rerun = changed(unnamed, better(0.3), by("Anna", unnamed))
    found = board(unnamed, rerun, keeper=ANNA)
    assert (ranked(found), sides(found)) == ([], [{record_hash(unnamed), record_hash(rerun)}])
    assert next(side for side in found["disputed"][0]["sides"] if side["author"] == "Anna")["reruns"] == record_hash(
        unnamed
    )


def test_with_strict_authors_two_named_ones_dispute_and_strangers_without_one_settle_nothing(facts: Facts) -> None:
    one, two = entrant(facts), changed(entrant(facts), better(0.9))
    both = Keeper(authors=frozenset({"Anna", "Ben"}))
    assert ranked(board(changed(one, by("Anna")), changed(two, by("Ben")), keeper=both)) == []
    assert len(sides(board(one, two, keeper=both))) == 1


def test_a_filed_rerun_confirms_or_disputes_and_the_page_says_of_what(facts: Facts) -> None:
    honest = entrant(facts)
    agreeing = changed(honest, better(0.51), by("Ada", honest))
    assert board(honest, agreeing)["tables"][0]["ranking"][0]["authors"] == ["Ada"]
    page = render_board(suite(), named(honest, changed(honest, better(0.9), by("Ada", honest))))[0]
    assert f"a rerun of {record_hash(honest)[:12]}" in page


def test_a_withdrawn_record_settles_the_dispute_and_the_page_shows_the_reason(facts: Facts) -> None:
    honest = entrant(facts)
    forged = changed(honest, better(0.9))
    keeper = Keeper(withdrawn={record_hash(forged): "three reruns say 50 % <b>", "a" * 64: "of no record here"})
    page, board_json, markdown = render_board(suite(), named(honest, forged), keeper=keeper)
    assert ranked(json.loads(board_json)) == [record_hash(honest)]
    assert [record["record"] for record in json.loads(board_json)["withdrawn"]] == [record_hash(forged)]
    assert "three reruns say 50 % &lt;b&gt;" in page
    assert "three reruns say 50 % &lt;b&gt;" in markdown


def test_hundreds_of_junk_disputes_do_not_fill_the_page_and_touch_no_other_entry(facts: Facts) -> None:
    honest, other = entrant(facts), entrant(facts, 0.6, task="acme/other@1")
    junk = [changed(honest, lambda f, n=n: f["pretext"]["metrics"].update(order=2.0 + n)) for n in range(9)]
    records = named(honest, other) | {
        f"{number:064x}": junk[number % 9].model_copy(update={"note": str(number)}) for number in range(200)
    }
    page, board_json, markdown = render_board(suite(), records)
    found = json.loads(board_json)
    assert ranked(found) == [record_hash(other)]
    (dispute,) = found["disputed"]
    assert len(dispute["sides"]) + len(dispute["others"]) == 201
    assert "more records of this cell, in board.json" in page
    assert (len(page) < 1e5, len(markdown) < 1e4) == (True, True)


def test_what_strangers_write_in_the_notices_is_text(facts: Facts) -> None:
    evil = "<script>stolen=1</script>"
    honest = entrant(facts)
    forged = changed(honest, better(0.9), by(evil))
    junk = changed(entrant(facts, task="acme/junk@1"), lambda f: f["cell"]["recipe"].update({evil: evil}), by(evil))
    page, _, markdown = render_board(suite(), named(honest, forged, junk))
    assert evil not in page + markdown
    assert page.count("&lt;script&gt;") >= 3


def test_every_record_is_somewhere(facts: Facts) -> None:
    honest = entrant(facts)
    records = named(
        honest,
        changed(honest, better(0.51)),
        changed(entrant(facts, task="acme/a@1"), JUNK["a text for a number"]),
        entrant(facts, task="acme/b@1"),
        changed(entrant(facts, task="acme/b@1"), better(0.9)),
        entrant(facts, task="acme/f@1"),
        changed(entrant(facts, task="acme/f@1"), lambda f: f["cell"]["recipe"].update(lr=0.7)),
        entrant(facts, task="acme/c@1"),
        entrant(facts, task="acme/d@1", status="failed", error="no"),
        entrant(facts, task="acme/e@1", cell={"recipe": {"samples": 1}}),
    )
    gone = record_hash(entrant(facts, task="acme/c@1"))
    found = sort_records(suite(), records, Keeper(withdrawn={gone: "asked for"}))
    shown = sum(len(entry.records) for field in found.competitions for entry in (*field.complete, *field.incomplete))
    diverging = sum(len(dispute.conflicts) for dispute in found.disputes)
    apart = (len(found.faulty), len(found.copies), len(found.withdrawn), found.failed, sum(found.outside.values()))
    assert (shown, diverging, found.spare, *apart) == (2, 2, 1, 1, 1, 1, 1, 1)
    assert shown + diverging + found.spare + sum(apart) == found.records


FOLDER: dict[str, tuple[str, str]] = {
    "no reason": ("a" * 64, "line 3 needs a hash of 64 hexadecimal digits, a space and the reason"),
    "no hash": ("abc because", "line 3 needs a hash"),
    "twice": (f"{'b' * 64} again", r"line 3 needs every hash once \(this one is in line 2\)"),
}


@pytest.mark.parametrize("what", FOLDER)
def test_a_line_of_withdrawn_txt_that_says_nothing_is_named_with_its_file(tmp_path: Path, what: str) -> None:
    line, message = FOLDER[what]
    (tmp_path / "withdrawn.txt").write_text(f"# why\n{'b' * 64}  it was   a forgery\n{line}\n")
    with pytest.raises(PretaskError, match=rf"withdrawn\.txt, {message}"):
        read_withdrawn([tmp_path])


def test_withdrawn_txt_is_read_beside_records_in_folders_of_folders_too(tmp_path: Path, facts: Facts) -> None:
    path = write(tmp_path / "one" / "records", entrant(facts))
    (path.parent / "withdrawn.txt").write_text(f"\ufeff\n# nothing\n{path.stem} it was   a forgery\x1b\n")
    assert read_withdrawn([tmp_path]) == read_withdrawn([path]) == {path.stem: "it was a forgery\\x1b"}


def test_a_file_of_authors_names_somebody(tmp_path: Path) -> None:
    (tmp_path / "authors").write_text("# who\n\nAnna \nBen\n")
    assert read_authors(tmp_path / "authors") == {"Anna", "Ben"}
    (tmp_path / "authors").write_text("# who\n")
    with pytest.raises(PretaskError, match="needs one author a line, at least one"):
        read_authors(tmp_path / "authors")


def test_the_command_reads_both_files_and_names_a_hash_of_no_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, facts: Facts
) -> None:
    monkeypatch.setattr("pretask_bench.runs.suites.read_suite", lambda registry, name: suite())
    cell = {"split": {"id": "acme/cut@1", "options": {}}, "model": {"id": "acme/deep@1", "options": {}}}
    anna = changed(entrant(facts, cell=cell), by("Anna"))
    for record in (anna, changed(anna, better(0.9), by(None)), forged := changed(anna, better(0.1), by("Anna"))):
        write(tmp_path, record)
    (tmp_path / "withdrawn.txt").write_text(f"{record_hash(forged)} a slip\n{'7' * 64} gone\n")
    (tmp_path / "authors").write_text("Anna\n")
    command = ["board", "quick", str(tmp_path), "--out", str(tmp_path / "site")]
    assert invoke([*command, "--strict-authors", str(tmp_path / "authors")]) == 0
    assert capsys.readouterr().err.splitlines() == ["withdrawn, but no record here: 777777777777"]
    assert ranked(json.loads((tmp_path / "site" / "board.json").read_text())) == [record_hash(anna)]


def with_code(**hashes: str) -> Change:
    return lambda facts: facts.update(code={f"acme.{name}": digest * 32 for name, digest in hashes.items()})


def test_an_entry_whose_seeds_come_from_different_code_is_marked_with_the_modules(facts: Facts) -> None:
    first = changed(entrant(facts, seed=0), with_code(split="1", model="2"))
    second = changed(entrant(facts, seed=1), with_code(split="1", model="3"))
    (entry,) = board(first, second, seeds=2)["tables"][0]["ranking"]
    assert entry["differing_code"] == ["acme.model"]
    page = render_board(suite(2), named(first, second))[0]
    assert "of different code" in page
    assert "acme.model" in page


def test_an_entry_of_one_code_is_not_marked(facts: Facts) -> None:
    records = [changed(entrant(facts, seed=seed), with_code(split="1")) for seed in (0, 1)]
    (entry,) = board(*records, seeds=2)["tables"][0]["ranking"]
    assert entry["differing_code"] == []
    assert "of different code" not in render_board(suite(2), named(*records))[0]
