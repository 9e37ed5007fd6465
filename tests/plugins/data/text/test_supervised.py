"""Promises of labeled texts: rows, labels and offsets are those of the files; what is wrong in a file is said."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask import PretaskError
from pretask_plugins.data import hub
from pretask_plugins.data.text.choices import Choices
from pretask_plugins.data.text.glue import Glue
from pretask_plugins.data.text.pairs import Pairs
from pretask_plugins.data.text.questions import QuestionsAboutTexts
from pretask_plugins.data.text.supervised import SupervisedText

WORDS: Mapping[str, Any] = {"tokenizer": "words", "vocab_size": 60, "lowercase": False}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def write(root: Path, **files: str) -> Path:
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        (root / name.replace("_", ".", 1)).write_bytes(content.encode())
    return root


def read_row(data: SupervisedText, row: torch.Tensor) -> str:
    """The tokens of a row, special ones by their names, without padding."""
    names = {number: f"[{role}]" for role, number in data.tokenization.vocabulary.special if role != "unknown"}
    tokens = [names.get(number) or data.decode([number]) for number in row.tolist()]
    return " ".join(token for token in tokens if token != "[pad]")


def test_a_pair_is_a_row_with_a_separator_whatever_ends_lines_and_whatever_they_hold(tmp_path: Path) -> None:
    train = '\ufeffno\tA "dog" ran\tNobody ran\r\n\r\nyes\tIt rains\t\r\nno\t\tsun\r\n'
    data = Pairs(root=write(tmp_path / "d", train_tsv=train, dev_tsv="yes\tA dog\tran\r"), length=12, **WORDS)
    samples = data("train")
    assert [read_row(data, row) for row in samples.data] == [
        'A " dog " ran [separator] Nobody ran [end]',
        "It rains [separator] [end]",
        "[separator] sun [end]",
    ]
    labels = samples.labels["class"]
    assert [labels.names[number] for number in labels.value] == ["no", "yes", "no"]
    assert samples.present is not None
    assert torch.equal(samples.present, samples.data != 0)
    assert data("test").labels["class"].value.tolist() == [1]
    assert data.extent("test").bytes == len("A dogran")


@pytest.mark.parametrize(
    ("length", "row"),
    [(9, "a b c d [separator] e f g [end]"), (8, "a b c [separator] e f g [end]"), (5, "a b [separator] e [end]")],
)
def test_the_longer_piece_is_cut_first(tmp_path: Path, length: int, row: str) -> None:
    root = write(tmp_path / "d", train_tsv="x\ta b c d\te f g\ny\ta\tb\n", test_tsv="x\ta\tb\n")
    data = Pairs(root=root, length=length, **WORDS)
    assert read_row(data, data("train").data[0]) == row


def test_named_columns_are_found_and_a_missing_one_is_said(tmp_path: Path) -> None:
    table = "id\tone\tother\tgold\n1\ta\tb\tx\n2\tc\td\ty\n"
    root = write(tmp_path / "d", train_tsv=table, test_tsv=table)
    data = Pairs(root=root, length=8, columns=("gold", "other", "one"), **WORDS)
    assert read_row(data, data("train").data[1]) == "d [separator] c [end]"
    with pytest.raises(PretaskError, match="the column label; got the columns id, one, other, gold in line 1"):
        Pairs(root=root, columns=("label", "one", "other"), **WORDS)("train")
    with pytest.raises(PretaskError, match=r"a label and two texts .* got 4 columns in line 1"):
        Pairs(root=root, **WORDS)("train")
    short = write(tmp_path / "short", train_tsv="x\ta\tb\ny\tc\n")
    with pytest.raises(PretaskError, match=r"got 2 columns in line 2 of .*train.tsv"):
        Pairs(root=short, **WORDS)("train")


def test_a_label_that_was_not_learned_and_a_number_that_is_none_are_said(tmp_path: Path) -> None:
    root = write(tmp_path / "d", train_tsv="x\ta\tb\ny\ta\tc\n", dev_tsv="x\ta\td\nz\ta\te\n")
    with pytest.raises(PretaskError, match=r"labels that the training part has \(x, y\); got 'z' in line 2 of .*dev"):
        Pairs(root=root, **WORDS)("test")
    with pytest.raises(PretaskError, match="labels that are numbers; got 'x' in line 1"):
        Pairs(root=root, numbers=True, **WORDS)("train")
    with pytest.raises(PretaskError, match=r"a file for the part train in .*, such as train.tsv; got no such file"):
        Pairs(root=tmp_path / "nowhere", **WORDS)("train")
    scores = write(tmp_path / "s", train_tsv="4.50\ta\tb\n10\ta\tc\n", dev_tsv="0.1\ta\td\n")
    data = Pairs(root=scores, numbers=True, **WORDS)
    assert [data(part).labels["class"].names for part in ("train", "test")] == [("0.1", "4.5", "10.0")] * 2
    assert data("train").labels["class"].value.tolist() == [1, 2]


def test_one_table_is_divided_by_lines(tmp_path: Path) -> None:
    lines = [f"{'xy'[number % 2]}\tfirst {number}\tsecond {number}" for number in range(200)]
    root = write(tmp_path / "d", all_tsv="\n".join(lines))
    data = Pairs(root=root / "all.tsv", length=8, **WORDS)
    sizes = [len(data(part)) for part in ("train", "test")]
    assert sum(sizes) == 200
    assert 5 <= sizes[1] <= 40
    tsv = Pairs(root=root, length=8, tokenizer="bpe", vocab_size=300, learn_from=root / "all.tsv")
    assert tsv.tokenization.learned_from == "all.tsv"


SQUAD = {"version": "v2.0", "data": [{"title": "t", "paragraphs": []}]}


def squad(**texts: tuple[str, list[tuple[str, int]]]) -> str:
    paragraphs = [
        {
            "context": text,
            "qas": [
                {
                    "id": name,
                    "question": f"{name} ?",
                    "is_impossible": not answers,
                    "answers": [{"text": words, "answer_start": at} for words, at in answers],
                }
            ],
        }
        for name, (text, answers) in texts.items()
    ]
    return json.dumps({"version": "v2.0", "data": [{"title": "t", "paragraphs": paragraphs}]})


@pytest.mark.parametrize("tokenizer", ["bpe", "wordpiece", "words", "characters"])
def test_answers_are_marked_at_their_tokens_and_tokens_are_characters_again(tmp_path: Path, tokenizer: Any) -> None:
    text = "Zoë saw the Eiffel  Tower in 1889."
    answers = [("Eiffel  Tower", 12), ("the Eiffel  Tower", 8), ("Zoë", 0)]
    root = write(tmp_path / "d", train_json=squad(what=(text, answers), none=(text, [])))
    (root / "dev.json").write_text(squad(what=(text, answers[2:])))
    data = QuestionsAboutTexts(root=root, length=60, tokenizer=tokenizer, vocab_size=300, lowercase=False)
    samples, asked = data("train"), data.questions("train")
    labels = samples.labels["answer"].value
    assert labels.shape == (2, 3, 60)
    for number, (words, _) in enumerate(answers):
        places = (labels[0, number] == 1).nonzero()[:, 0].tolist()
        assert asked.text(0, places[0], places[-1]).strip() == words
    assert not (labels[1] == 1).any()
    assert (labels[1, 0] == 0).any()
    assert asked.questions[1].answers == ()
    inside = labels[0, 0] >= 0
    separator = data.tokenization.vocabulary.id("separator")
    first = samples.data[0].tolist().index(separator)
    assert not inside[: first + 1].any()
    assert inside[first + 1]
    assert data("test").labels["answer"].value.shape[1] == 1


def test_a_long_text_is_in_several_rows_of_which_each_token_is_in_one(tmp_path: Path) -> None:
    text = " ".join(f"w{number}" for number in range(20))
    root = write(
        tmp_path / "d", train_json=squad(who=(text, [("w13", text.index("w13"))])), dev_json=squad(who=("a", []))
    )
    data = QuestionsAboutTexts(root=root, length=12, tokenizer="words", vocab_size=60, stride=4)
    rows, asked = data("train"), data.questions("train")
    assert asked.rows.tolist() == [0] * len(rows)
    shown = [read_row(data, row) for row in rows.data]
    assert shown[0] == "who ? [separator] w0 w1 w2 w3 w4 w5 w6 w7 [end]"
    assert shown[1].startswith("who ? [separator] w4")
    assert {word for row in shown for word in row.split() if word.startswith("w") and word != "who"} == {*text.split()}
    holds = (rows.labels["answer"].value == 1).any(2)[:, 0].tolist()
    assert holds == ["w13" in row for row in shown]
    with pytest.raises(PretaskError, match=r"data.length of at least 4"):
        QuestionsAboutTexts(root=root, length=3, **WORDS)("train")


def test_an_answer_that_stands_elsewhere_and_another_layout_are_said(tmp_path: Path) -> None:
    root = write(tmp_path / "d", train_json=squad(q=("A cat sat.", [("cat", 3)])))
    with pytest.raises(PretaskError, match=r"'cat' at 3; got 'at ' there, in question q of"):
        QuestionsAboutTexts(root=root, **WORDS)("train")
    for number, begin in enumerate((-1, 99)):
        beyond = write(tmp_path / f"b{number}", train_json=squad(q=("A cat sat.", [("cat", begin)])))
        with pytest.raises(PretaskError, match="stands in its text at answer_start"):
            QuestionsAboutTexts(root=beyond, **WORDS)("train")
    for content, problem in (('{"paragraphs": []}', "no field 'data'"), ("[", "JSONDecodeError"), ("[]", "TypeError")):
        (root / "train.json").write_text(content)
        with pytest.raises(PretaskError, match=problem):
            QuestionsAboutTexts(root=root, **WORDS)("train")


def test_questions_are_read_with_a_mark_of_utf8_and_an_empty_text_has_no_answer(tmp_path: Path) -> None:
    content = "\ufeff" + squad(what=("A cat sat.", [("cat", 2)]), none=("", []))
    data = QuestionsAboutTexts(root=write(tmp_path / "d", train_json=content, dev_json=content), length=12, **WORDS)
    assert [read_row(data, row) for row in data("train").data] == [
        "what ? [separator] A cat sat . [end]",
        "none ? [separator] [end]",
    ]
    assert (data("train").labels["answer"].value == 1).sum((1, 2)).tolist() == [1, 0]


SWAG = '\ufeff,sent1,sent2,ending0,ending1,ending2,label\r\n0,"A man, old",He,"sits, down",runs,"says ""no""",2\r\n'


def test_every_ending_is_a_row_and_the_right_one_is_marked(tmp_path: Path) -> None:
    data = Choices(root=write(tmp_path / "d", train_csv=SWAG, val_csv=SWAG, test_csv="no,labels\n"), length=16, **WORDS)
    samples = data("test")
    assert [read_row(data, row) for row in samples.data] == [
        "A man , old [separator] He sits , down [end]",
        "A man , old [separator] He runs [end]",
        'A man , old [separator] He says " no " [end]',
    ]
    assert samples.labels["class"].value.tolist() == [0, 0, 1]
    assert samples.labels["class"].names == ("wrong", "right")
    assert data.choices == 3


def test_choices_without_a_column_or_with_the_label_of_no_ending_are_said(tmp_path: Path) -> None:
    root = write(tmp_path / "d", train_csv="sent1,ending0,label\na,b,0\n")
    with pytest.raises(PretaskError, match=r"the column sent2; got the columns sent1, ending0, label"):
        Choices(root=root, **WORDS)("train")
    for line, problem in (
        ("a,b,c,d,2", "a label from 0 to 1; got '2' in line 2"),
        ("a,b,c", "5 columns in every line"),
    ):
        (root / "train.csv").write_text(f"sent1,sent2,ending0,ending1,label\n{line}\n")
        with pytest.raises(PretaskError, match=problem):
            Choices(root=root, **WORDS)("train")


GLUE_FILES = {
    "cola": ("CoLA", "gj04\t1\t\tIt is.\ngj04\t0\t*\tIs it is.\n", ["It is. [end]", "Is it is. [end]"], ["1", "0"]),
    "sst2": ("SST-2", 'sentence\tlabel\na "fine film\t1\nbad\t0\n', ['a "fine film [end]', "bad [end]"], ["1", "0"]),
    "mrpc": (
        "MRPC",
        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tOne.\tTwo.\n0\t7\t9\tA.\tB.\n",
        ["One. [separator] Two. [end]", "A. [separator] B. [end]"],
        ["1", "0"],
    ),
    "stsb": (
        "STS-B",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tg\tf\t1\t2\tnone\tnone\tA.\tB.\t5.000\n1\tg\tf\t1\t2\tnone\tnone\tC.\tD.\t0.25\n",
        ["A. [separator] B. [end]", "C. [separator] D. [end]"],
        ["5.0", "0.25"],
    ),
    "qqp": (
        "QQP",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\tWho?\tWhat?\t0\n0\t1\tbroken\n1\t1\t2\tA?\tB?\t1\n",
        ["Who? [separator] What? [end]", "A? [separator] B? [end]"],
        ["0", "1"],
    ),
    "mnli": (
        "MNLI",
        "index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n0\tg\tA.\tB.\tx\tneutral\n1\tg\tC.\tD.\tx\tentailment\n",
        ["A. [separator] B. [end]", "C. [separator] D. [end]"],
        ["neutral", "entailment"],
    ),
    "qnli": (
        "QNLI",
        "index\tquestion\tsentence\tlabel\n0\tQ?\tS.\tentailment\n1\tQ?\tT.\tnot_entailment\n",
        ["Q? [separator] S. [end]", "Q? [separator] T. [end]"],
        ["entailment", "not_entailment"],
    ),
    "rte": (
        "RTE",
        "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tentailment\n1\tA.\tC.\tnot_entailment\n",
        ["A. [separator] B. [end]", "A. [separator] C. [end]"],
        ["entailment", "not_entailment"],
    ),
    "wnli": (
        "WNLI",
        "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\t1\n1\tA.\tC.\t0\n",
        ["A. [separator] B. [end]", "A. [separator] C. [end]"],
        ["1", "0"],
    ),
}


@pytest.mark.parametrize("task", GLUE_FILES)
def test_every_task_of_glue_is_read_in_its_own_layout(
    tmp_path: Path, task: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, table, rows, labels = GLUE_FILES[task]
    tested = "dev_mismatched" if task == "mnli" else "dev"
    root = tmp_path / "glue"
    root.mkdir()
    write(root / folder, **{"train_tsv": table})
    (root / folder / f"{tested}.tsv").write_text(table)
    data = Glue(root=root, task=task, mismatched=True, length=40, tokenizer="characters", vocab_size=80)
    for part in ("train", "test"):
        samples = data(part)
        told = [read_row(data, row).replace(" ", "") for row in samples.data]
        assert told == [row.replace(" ", "") for row in rows]
        known = samples.labels["class"]
        assert [known.names[number] for number in known.value] == labels
    if task == "qqp":
        assert "fewer columns than its first line: 1" in capsys.readouterr().err
    if task == "mnli":
        with pytest.raises(PretaskError, match=r"the file dev_matched.tsv of MNLI; got dev_mismatched.tsv, train.tsv"):
            Glue(root=root, task="mnli", length=40, **WORDS)("test")


class Table(dict[str, list[Any]]):
    """A table as the datasets library has it."""

    def __init__(self, kind: Any, **columns: list[Any]) -> None:
        super().__init__(columns)
        self.features = {**dict.fromkeys(columns), "label": kind}
        self._fingerprint = repr(columns)


class Named:
    names = ("entailment", "not_entailment")


def test_glue_is_read_of_the_datasets_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {}
    asked: list[hub.Choice] = []

    def load(choice: hub.Choice) -> Any:
        asked.append(choice)
        return found

    monkeypatch.setattr("pretask_plugins.data.hub.load", load)
    table = Table(Named(), sentence1=["A.", "B."], sentence2=["C.", None], label=[1, -1])
    found.update(train=table, validation=table)
    data = Glue(root=Path("nyu-mll/glue"), task="rte", length=12, tokenizer="characters", vocab_size=30)
    samples = data("train")
    assert (asked[0].name, asked[0].subset) == ("nyu-mll/glue", "rte")
    assert [read_row(data, row) for row in samples.data] == ["A . [separator] C . [end]", "B . [separator] [end]"]
    assert samples.labels["class"].value.tolist() == [0, -1]
    with pytest.raises(PretaskError, match="the split validation_matched"):
        Glue(root=Path("nyu-mll/glue"), task="mnli")("test")
    with pytest.raises(PretaskError, match=r"RTE/train.tsv below data.root; got .* without"):
        Glue(root=tmp_path, task="rte")("train")
