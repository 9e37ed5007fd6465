"""Promises of the evaluators of word vectors: numbers of planted vectors, by loops, and what one vector cannot tell."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretask import Budget, Choice, Figure, Items, PretaskError
from pretask.composition import Task, compose
from pretask_plugins.data.text.toy_grammar import ToyGrammar
from pretask_plugins.evaluators.probes.senses import Occurrences, Senses, compare_pairs, find_occurrences, predict
from pretask_plugins.evaluators.words.analogy import Analogy, answer, read_questions
from pretask_plugins.evaluators.words.neighbors import Neighbors, find_neighbors, measure_hubness
from pretask_plugins.evaluators.words.similarity import WordSimilarity, list_example
from pretask_plugins.evaluators.words.vectors import WordReader
from pretask_plugins.methods.word2vec.split import SkipGram
from pretask_plugins.models.text.embedding import Embedding
from pretask_plugins.models.text.lstm import BiLstm
from pretask_plugins.objectives.negative_sampling import NegativeSampling
from pretask_plugins.splits.whole import Whole
from scipy import stats

DATA = ToyGrammar(size=400, test_size=150)
TRAIN = DATA("train")
BUDGET = Budget(seed=0, batch=128)
WIDTH = 8
SPLIT = SkipGram(min_count=1).fit(TRAIN.observed, TRAIN.batches(512, torch.device("cpu")))
CONTEXT_FREE = compose(TRAIN.observed, SPLIT, lambda *specs: Embedding(*specs, width=WIDTH), NegativeSampling)
PLURALS = {"clerk": "clerks", "client": "clients", "otter": "otters", "loan": "loans"}


def both_ways() -> Task:
    """An encoder that reads its rows from both ends, untrained."""
    spec = Whole().whole_spec(TRAIN.observed)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BiLstm(spec, spec, width=32, depth=2)
    return Task(
        "both ways", Whole(), model, torch.nn.Identity(), CONTEXT_FREE.recipe, TRAIN.observed, torch.device("cpu")
    )


BOTH_WAYS = both_ways()


def plant(vectors: dict[str, Any]) -> Task:
    """A task whose words have these vectors, and all others noise."""
    noise = torch.randn(len(DATA.numbers), WIDTH, generator=torch.Generator().manual_seed(3))
    for word, vector in vectors.items():
        noise[DATA.numbers[word]] = torch.as_tensor(vector, dtype=torch.float32)
    model = Embedding(SPLIT.spec(TRAIN.observed)[0], SPLIT.whole_spec(TRAIN.observed), width=WIDTH)
    with torch.no_grad():
        model.embedding.weight.copy_(noise)
    return Task("planted", SPLIT, model, torch.nn.Identity(), CONTEXT_FREE.recipe, TRAIN.observed, torch.device("cpu"))


def measure(evaluator: Any, task: Task) -> dict[str, Any]:
    return {name: value for name, value in evaluator(task, DATA, BUDGET) if not isinstance(value, Items | Choice)}


def at_angle(angle: float) -> list[float]:
    return [math.cos(angle), math.sin(angle), *[0.0] * (WIDTH - 2)]


def test_ranks_of_cosines_are_compared_and_what_is_out_of_vocabulary_is_counted(tmp_path: Path) -> None:
    task = plant({"clerk": at_angle(0), "client": at_angle(0.3), "otter": at_angle(0.9), "loan": at_angle(1.5)})
    file = tmp_path / "pairs.tsv"
    lines = ["word 1\tword 2\tmean", "# a remark", "clerk\tclient\t9.5", "clerk\totter\t4", "clerk\tloan\t1"]
    file.write_text("\n".join([*lines, "clerk\tdragon\t10", "wyvern\tdragon\t0"]), encoding="utf-8")
    found = measure(WordSimilarity(pairs=file), task)
    cosines = np.cos([0.3, 0.9, 1.5])
    everywhere = [*cosines, cosines.mean(), cosines.mean()]
    assert found == {
        "spearman": pytest.approx(1.0),
        "spearman_all": pytest.approx(stats.spearmanr(everywhere, [9.5, 4, 1, 10, 0]).statistic),
        "coverage": 0.6,
        "pairs": 5.0,
        "oov_pairs": 2.0,
    }
    file.write_text("clerk\tclient\t1\nclerk\totter\t4\nclerk\tloan\t9", encoding="utf-8")
    assert measure(WordSimilarity(pairs=file), task)["spearman"] == pytest.approx(-1.0)


def test_the_examples_are_of_words_of_the_grammar() -> None:
    assert len(list_example()) > 40
    assert measure(WordSimilarity(), CONTEXT_FREE)["coverage"] == 1.0
    assert measure(Analogy(), CONTEXT_FREE)["coverage"] == 1.0


def test_the_answer_is_the_most_similar_of_the_other_words() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(30, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    questions = torch.randint(0, 30, (40, 3), generator=torch.Generator().manual_seed(1))
    for (first, second, third), found in zip(questions.tolist(), answer(vectors, questions).tolist(), strict=True):
        wanted = vectors[second] - vectors[first] + vectors[third]
        cosines = torch.nn.functional.cosine_similarity(wanted[None], vectors)
        best = max(set(range(30)) - {first, second, third}, key=lambda word: float(cosines[word]))
        assert found == best


def test_analogies_of_a_common_step_are_answered_though_the_query_is_nearer(tmp_path: Path) -> None:
    step = torch.zeros(WIDTH)
    step[0] = 0.2  # so small that without the exclusion every answer would be the third word itself
    stems = torch.eye(WIDTH)[1 : 1 + len(PLURALS)]
    one = dict(zip(PLURALS, stems, strict=True))
    other = {PLURALS[word]: vector + step for word, vector in one.items()}
    task = plant({**one, **other})
    pairs = list(PLURALS.items())
    asked = [f"{a} {b} {c} {d}" for a, b in pairs for c, d in pairs if a != c]
    file = tmp_path / "questions.txt"
    file.write_text(": gram1-plural\n" + "\n".join(asked) + "\n: beasts\nclerk dragon client wyvern\n", "utf-8")
    found = measure(Analogy(questions=file), task)
    assert found["accuracy"] == 1.0
    assert found["accuracy_all"] == pytest.approx(12 / 13)
    assert (found["questions"], found["oov_questions"]) == (13.0, 1.0)
    assert found["gram1-plural.accuracy"] == found["syntactic.accuracy"] == 1.0
    assert "beasts.accuracy" not in found
    assert {question.section for question in read_questions(file)} == {"gram1-plural", "beasts"}


def test_neighbors_are_the_nearest_others_and_hubs_are_skewed() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(60, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    cosines, neighbors = find_neighbors(vectors, 5)
    products = (vectors @ vectors.T).fill_diagonal_(-2)
    assert torch.equal(neighbors, products.topk(5).indices)
    assert torch.allclose(cosines, products.topk(5).values)
    times = np.bincount(neighbors.flatten().numpy(), minlength=60)
    assert measure_hubness(neighbors) == pytest.approx(stats.skew(times))


def test_the_table_shows_the_words_that_are_asked_for() -> None:
    task = plant({"clerk": at_angle(0), "client": at_angle(0.1)})
    found = measure(Neighbors(words=("clerk",), k=3), task)
    assert isinstance(found["neighbors"], Figure)
    assert found["nearest_cosine"] > 0
    assert found["words"] > 40
    with pytest.raises(PretaskError, match="'dragon'"):
        measure(Neighbors(words=("dragon",)), task)


def reader(task: Task, **options: Any) -> WordReader:
    chosen = {"context": "alone", "layer": 0, "min_count": 1, "max_occurrences": 5, **options}
    return WordReader("a test", task, DATA, BUDGET, **chosen)


def test_without_context_a_word_is_the_same_alone_and_on_average() -> None:
    words = [(DATA.numbers["clerk"],), (DATA.numbers["the"],), (DATA.numbers["near"], DATA.numbers["the"])]
    for task, is_same in ((CONTEXT_FREE, True), (BOTH_WAYS, False)):
        (rows, alone), (others, average) = (reader(task, context=way).read(words) for way in ("alone", "average"))
        assert rows.keys() == others.keys() == set(words)
        for word in words:
            cosine = float(alone[rows[word]] @ average[others[word]])
            assert (cosine > 0.999) == is_same
    assert float((alone @ alone.T).diagonal().min()) == pytest.approx(1.0)


def test_words_are_in_the_vocabulary_where_training_has_all_of_their_tokens() -> None:
    rare = int(reader(CONTEXT_FREE).counts[DATA.numbers["otter"]])
    assert reader(CONTEXT_FREE).encode("otter") == (DATA.numbers["otter"],)
    assert reader(CONTEXT_FREE, min_count=rare + 1).encode("otter") == ()
    assert reader(CONTEXT_FREE).encode("dragon") == ()
    assert reader(CONTEXT_FREE).encode("near the") == (DATA.numbers["near"], DATA.numbers["the"])
    assert reader(CONTEXT_FREE).encode("the " * 13) == ()  # a row has 12
    with pytest.raises(PretaskError, match="a layer 9"):
        reader(CONTEXT_FREE, layer=9).read([(DATA.numbers["the"],)])


def test_one_vector_cannot_tell_two_senses_and_two_can() -> None:
    blind, seeing = (list(Senses()(task, DATA, BUDGET)) for task in (CONTEXT_FREE, BOTH_WAYS))
    static, contextual = (
        {name: value for name, value in found if isinstance(value, float)} for found in (blind, seeing)
    )
    assert static["accuracy"] == static["majority"] == contextual["majority"] < 0.7
    assert static["within"] == pytest.approx(1.0)
    assert static["between"] == pytest.approx(1.0)
    assert contextual["ambiguous"] == static["ambiguous"] == 1.0
    assert contextual["accuracy"] > contextual["majority"] + 0.2
    assert contextual["between"] < contextual["within"] < 0.999
    assert contextual["layer1.accuracy"] == contextual["majority"]  # the tokens' own vectors
    figures = [value for _, value in seeing if isinstance(value, Figure)]
    assert len(figures) == 1


def test_a_vector_of_a_word_differs_between_sentences_with_context_alone() -> None:
    """Cosine below .999 of bank in two sentences for an encoder of context, 1 for a table."""
    for task, is_same in ((CONTEXT_FREE, True), (BOTH_WAYS, False)):
        found = find_occurrences(task, DATA("test"), "sense", BUDGET)
        bank = list(found.vectors.values())[-1][found.words == DATA.numbers["bank"]]
        cosines = bank @ bank.T
        assert (float(cosines.min()) > 0.999) == is_same


def test_senses_are_told_by_the_nearest_average_and_pairs_are_as_a_loop_counts_them() -> None:
    generator = torch.Generator().manual_seed(0)
    words, senses = torch.randint(0, 2, (40,), generator=generator), torch.randint(0, 2, (40,), generator=generator)
    centers = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    vectors = torch.nn.functional.normalize(centers[senses] + 0.2 * torch.randn(40, 3, generator=generator), dim=1)
    some = Occurrences(words, senses, {"layer1": vectors.double()})
    found = predict(some, some, "layer1", 2)
    sums = {(w, s): vectors[(words == w) & (senses == s)].double().sum(0) for w in (0, 1) for s in (0, 1)}
    for number in range(40):
        cosines = [
            float(torch.nn.functional.cosine_similarity(vectors[number].double(), sums[int(words[number]), sense], 0))
            for sense in (0, 1)
        ]
        assert int(found[number]) == int(np.argmax(cosines))
    pairs: dict[bool, list[float]] = {True: [], False: []}
    for one in range(40):
        for other in range(40):
            if one != other and words[one] == words[other]:
                pairs[bool(senses[one] == senses[other])].append(float(vectors[one] @ vectors[other]))
    within, between = compare_pairs(some, "layer1", 2)
    assert within == pytest.approx(np.mean(pairs[True]), abs=1e-6)
    assert between == pytest.approx(np.mean(pairs[False]), abs=1e-6)
    unknown = Occurrences(torch.tensor([7]), torch.tensor([0]), {"layer1": vectors[:1].double()})
    assert int(predict(some, unknown, "layer1", 2)[0]) == int(senses.mode().values)


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match="a file of text in UTF-8"):
        measure(WordSimilarity(pairs=tmp_path / "nothing.tsv"), CONTEXT_FREE)
    strange = tmp_path / "strange.tsv"
    strange.write_text("wyvern\tdragon\t3\n", encoding="utf-8")
    with pytest.raises(PretaskError, match="3 pairs of words that the training part has; got 0 of 1"):
        measure(WordSimilarity(pairs=strange), CONTEXT_FREE)
    strange.write_text("a\tthe\t1\nclerk and client\n", encoding="utf-8")
    with pytest.raises(PretaskError, match="line 2 of"):
        measure(WordSimilarity(pairs=strange), CONTEXT_FREE)
    strange.write_text("clerk clerks otter\n", encoding="utf-8")
    with pytest.raises(PretaskError, match="four words in every line"):
        measure(Analogy(questions=strange), CONTEXT_FREE)
    strange.write_text("wyvern wyverns dragon dragons\n", encoding="utf-8")
    with pytest.raises(PretaskError, match="none of 1"):
        measure(Analogy(questions=strange), CONTEXT_FREE)
    chain = ToyGrammar(size=50, test_size=20, grammar="chain")
    with pytest.raises(PretaskError, match="senses needs"):
        list(Senses()(CONTEXT_FREE, chain, BUDGET))
