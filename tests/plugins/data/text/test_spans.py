"""Promises of spans: parts of speech, arcs, entities and jiant's targets, as the tokens of their words."""

import json
from pathlib import Path

import pytest
from pretask import PretaskError
from pretask_plugins.data.text.spans import Spans
from pretask_plugins.shared.edges import Edges, LabelsEdges

TREE = """# text = Don't sleep here.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\t_\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\t_\t_\t3\tadvmod\t_\t_
3\tsleep\tsleep\tVERB\t_\t_\t0\troot\t_\t_
4\there\there\tADV\t_\t_\t3\tadvmod\t_\t_
"""
TAGS = "Peter\tB-person\nJones\tI-person\nsaw\tO\nParis\tB-place\n\nno\tO\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def make(root: Path, ending: str, train: str, test: str = "", **options: int) -> Spans:
    for part, content in (("train", train), ("test", test or train)):
        (root / f"{part}{ending}").write_text(content, encoding="utf-8")
    return Spans(root=root, tokenizer="characters", vocab_size=60, **{"length": 40} | options)


def read(data: Spans, edges: Edges, part: str = "train") -> list[tuple[str, ...]]:
    """The text of every span of every edge, and its labels."""
    rows = data(part).data
    return [
        (
            *(data.decode(rows[row, begin:end].long()).strip() for begin, end in spans.tolist()),
            *(edges.names[label] for label in labels.tolist() if label >= 0),
        )
        for row, spans, labels in zip(edges.rows, edges.spans, edges.labels, strict=True)
    ]


def test_a_treebank_gives_parts_of_speech_and_arcs_from_a_word_to_its_head(tmp_path: Path) -> None:
    data = make(tmp_path, ".conllu", TREE)
    edges = data.edges("train")
    assert isinstance(data, LabelsEdges)
    assert read(data, edges["upos"]) == [("Do", "AUX"), ("n't", "PART"), ("sleep", "VERB"), ("here", "ADV")]
    arcs = [("Do", "sleep", "aux"), ("n't", "sleep", "advmod"), ("here", "sleep", "advmod")]
    assert read(data, edges["deprel"]) == arcs  # the root has no head
    assert edges["upos"].one_hot().sum().item() == 4


def test_labels_of_positions_are_at_the_first_token_of_the_word(tmp_path: Path) -> None:
    data = make(tmp_path, ".conllu", TREE)
    samples = data("train")
    labels = samples.labels["deprel"]
    places = (labels.value[0] >= 0).nonzero()[:, 0].tolist()
    assert [labels.names[int(labels.value[0, place])] for place in places] == ["aux", "advmod", "advmod"]
    assert [data.decode(samples.data[0, place : place + 2].long()) for place in places] == ["Do", "n'", "he"]


def test_tags_that_mark_entities_give_spans_of_words_with_their_types(tmp_path: Path) -> None:
    data = make(tmp_path, ".conll", TAGS)
    edges = data.edges("train")
    assert list(edges) == ["entity"]
    assert read(data, edges["entity"]) == [("Peter Jones", "person"), ("Paris", "place")]
    assert (data("train").labels["tag"].value >= 0).sum().item() == 5


def test_other_tags_give_every_word_and_its_tag(tmp_path: Path) -> None:
    data = make(tmp_path, ".conll", "a\tDT\nman\tNN\n")
    assert read(data, data.edges("test")["tag"], "test") == [("a", "DT"), ("man", "NN")]


def test_jiants_lines_give_one_span_or_two_with_one_label_or_several(tmp_path: Path) -> None:
    targets = [
        {"span1": [0, 2], "span2": [3, 4], "label": ["A0", "agent"]},
        {"span1": [2, 3], "span2": [3, 4], "label": "A1"},
    ]
    (tmp_path / "roles-train.jsonl").write_text(json.dumps({"text": "the old man sleeps", "targets": targets}) + "\n")
    (tmp_path / "roles-test.jsonl").write_text(json.dumps({"text": "he sleeps", "targets": []}) + "\n")
    data = Spans(root=tmp_path, tokenizer="characters", vocab_size=60, length=40)
    edges = data.edges("train")["roles"]
    assert read(data, edges) == [("the old", "sleeps", "A0", "agent"), ("man", "sleeps", "A1")]
    assert len(data.edges("test")["roles"]) == 0
    assert edges.one_hot().tolist() == [[True, False, True], [False, True, False]]


def test_spans_that_are_cut_off_are_left_out(tmp_path: Path) -> None:
    data = make(tmp_path, ".conll", TAGS, length=12)  # eleven characters and the end
    assert read(data, data.edges("train")["entity"]) == [("Peter Jones", "person")]


def test_a_span_outside_its_text_is_refused_with_the_line(tmp_path: Path) -> None:
    line = json.dumps({"text": "he sleeps", "targets": [{"span1": [0, 3], "label": "x"}]})
    with pytest.raises(PretaskError, match=r"line 1 of .*jsonl"):
        make(tmp_path, ".jsonl", line).edges("train")


def test_a_treebank_without_heads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match="ten columns"):
        make(tmp_path, ".conllu", "1\tDo\tdo\tAUX\n").edges("train")
