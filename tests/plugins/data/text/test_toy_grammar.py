"""Promises of the toy grammar: agreement, senses, labels, and an entropy that is exact."""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from pretask import PretaskError
from pretask_plugins.data.text.automaton import Automaton
from pretask_plugins.data.text.toy_grammar import MAX_SENTENCE_TOKENS, TAGS, TAKE_NONE, TAKE_OBJECT, ToyGrammar

DATA = ToyGrammar(size=3000, test_size=500)
ROWS = 400  # that are looked at one by one
CHAIN = ToyGrammar(size=4000, grammar="chain", words=6, length=20)


def sentences(data: ToyGrammar = DATA) -> list[list[str]]:
    return [data.decode(row).split() for row in data("train").data[:ROWS]]


def all_sentences(automaton: Automaton, state: int = 0) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Every sentence with its probability, by brute force."""
    for arc in automaton.arcs[state]:
        if arc.after < 0:
            yield arc.probability, (arc.word,)
        else:
            for probability, rest in all_sentences(automaton, arc.after):
                yield arc.probability * probability, (arc.word, *rest)


EVERY = list(all_sentences(DATA.automaton))


def test_the_verb_agrees_with_its_noun_across_whatever_stands_between() -> None:
    pairs = [pair for kind in (TAKE_OBJECT, TAKE_NONE) for topic in kind for pair in topic]
    gaps = 0
    for row, tags in zip(sentences(), DATA("train").labels["tag"].value[:ROWS].tolist(), strict=True):
        noun, verb = (row[tags.index(TAGS.index(tag))] for tag in ("noun", "verb"))
        plural = noun.endswith("s")
        assert verb in {pair[plural] for pair in pairs}
        gaps += row[tags.index(TAGS.index("verb")) - 1].endswith("s") != plural
    assert gaps > 40  # where the nearest noun would have led to the other form


def test_the_words_so_far_tell_the_state() -> None:
    for arcs in DATA.automaton.arcs:
        words = [arc.word for arc in arcs]
        assert len(words) == len(set(words))
        assert sum(arc.probability for arc in arcs) == pytest.approx(1, abs=1e-12)


def test_every_sentence_ends_within_its_row() -> None:
    assert max(len(words) for _, words in EVERY) == MAX_SENTENCE_TOKENS
    train = DATA("train")
    assert train.present is not None
    last = train.data.gather(1, train.present.sum(1, keepdim=True) - 1)
    assert bool((last == 3).all())
    assert bool((train.data[~train.present] == 0).all())


def test_labels_tell_topic_part_of_speech_and_sense() -> None:
    train = DATA("train")
    for row, topic, tags, senses in zip(
        train.data[:ROWS], *(train.labels[name].value[:ROWS] for name in ("class", "tag", "sense")), strict=True
    ):
        words = DATA.decode(row).split()
        sentences = {
            word for word in words if word in {"pays", "pay", "owes", "owe", "retire", "retires", "save", "saves"}
        }
        assert (int(topic) == 0) == bool(sentences)
        assert next(TAGS[tag] for tag in tags if tag >= 0) == "determiner"
        assert int((tags >= 0).sum()) == len(words)
        assert {int(sense) for sense in senses if sense >= 0} <= {int(topic)}
        assert int((senses >= 0).sum()) == sum(word.startswith("bank") for word in words)


def test_words_of_two_senses_are_said_in_both() -> None:
    train = DATA("train")
    senses = train.labels["sense"].value
    assert min(int((senses == sense).sum()) for sense in (0, 1)) > 200
    plants = train.data == DATA.encode("plants")[0]
    tags = train.labels["tag"].value[plants].bincount(minlength=len(TAGS))
    assert min(int(tags[TAGS.index("noun")]), int(tags[TAGS.index("verb")])) > 50


def test_the_entropy_of_sentences_is_that_of_all_of_them() -> None:
    total = sum(probability for probability, _ in EVERY)
    nats = -sum(probability * math.log(probability) for probability, _ in EVERY)
    words = sum(probability * len(words) for probability, words in EVERY)
    assert total == pytest.approx(1, abs=1e-9)
    assert DATA.entropy("all", first=True) == pytest.approx(nats / words, abs=1e-9)


def test_the_cost_of_a_prediction_from_one_word_is_that_of_counted_pairs() -> None:
    pairs: Counter[tuple[int, int]] = Counter()
    for probability, words in EVERY:
        for pair in pairwise(words):
            pairs[pair] += probability
    firsts: Counter[int] = Counter()
    seconds: Counter[int] = Counter()
    for (one, two), count in pairs.items():
        firsts[one] += count
        seconds[two] += count
    total = sum(pairs.values())
    one = -sum(count * math.log(count / firsts[pair[0]]) for pair, count in pairs.items()) / total
    none = -sum(count * math.log(count / total) for count in seconds.values()) / total
    assert DATA.entropy("one") == pytest.approx(one, abs=1e-9)
    assert DATA.entropy("none") == pytest.approx(none, abs=1e-9)
    assert DATA.entropy("all") < DATA.entropy("one") - 0.1 < DATA.entropy("none") - 0.5


def test_what_is_said_is_as_frequent_as_it_should_be() -> None:
    count = Counter(tuple(row) for row in DATA.draw_sentences("train").words.tolist())
    wanted: Counter[tuple[int, ...]] = Counter()
    for probability, words in EVERY:
        wanted[words[:1]] += probability
    begins = Counter({word: sum(n for row, n in count.items() if row[:1] == word) for word in wanted})
    for word, probability in wanted.items():
        error = 4 * math.sqrt(3000 * probability * (1 - probability))
        assert abs(begins[word] - 3000 * probability) < error
    log = {words: math.log(probability) for probability, words in EVERY}
    logs = torch.tensor(
        [log[tuple(word for word in row if word >= 0)] for row in DATA.draw_sentences("train").words.tolist()]
    )
    entropy = -sum(probability * math.log(probability) for probability, _ in EVERY)
    assert -float(logs.mean()) == pytest.approx(entropy, abs=4 * float(logs.std()) / math.sqrt(3000))


def test_in_a_chain_one_word_of_context_is_all_there_is_to_know() -> None:
    assert CHAIN.entropy("one") == pytest.approx(CHAIN.entropy("all"), abs=1e-12)
    assert CHAIN.entropy("none") > CHAIN.entropy("one") + 0.2
    moves = torch.tensor([[arc.probability for arc in arcs] for arcs in CHAIN.automaton.arcs[1:]], dtype=torch.float64)
    values, vectors = torch.linalg.eig(moves.T)
    long_run = vectors[:, values.real.argmax()].real
    long_run = long_run / long_run.sum()
    rate = -(long_run[:, None] * moves * moves.log()).sum()
    order = [arcs[0].after - 1 for arcs in [CHAIN.automaton.arcs[0]]]
    assert order == [0]
    assert CHAIN.entropy("all") == pytest.approx(float(rate), abs=1e-9)


def test_a_chains_words_follow_each_other_as_often_as_they_should() -> None:
    words = CHAIN.draw_sentences("train").words
    pairs = torch.stack([words[:, :-1].flatten(), words[:, 1:].flatten()])
    count = torch.zeros(6, 6).index_put_(tuple(pairs), torch.ones(pairs.shape[1]), accumulate=True)
    wanted = torch.tensor([[arc.probability for arc in arcs] for arcs in CHAIN.automaton.arcs[1:]])
    total = count.sum(1, keepdim=True)
    error = 4.5 * (wanted * (1 - wanted) / total).sqrt()
    assert bool(((count / total - wanted).abs() < error + 1e-4).all())
    assert CHAIN("train").present is None or bool(CHAIN("train").present.all())


def test_a_sentence_is_the_same_however_many_are_asked_for() -> None:
    few = ToyGrammar(size=7)("train")
    assert torch.equal(few.data, DATA("train").data[:7])
    assert few.fingerprint != DATA("train").fingerprint
    assert not torch.equal(DATA("test").data[:50], DATA("train").data[:50])
    assert not torch.equal(ToyGrammar(size=50, seed=1)("train").data, DATA("train").data[:50])


def test_text_goes_to_ids_and_back() -> None:
    assert DATA.decode(DATA.encode("the banks beyond the hill grow")) == "the banks beyond the hill grow"
    extent = DATA.extent("test")
    test = DATA("test")
    assert test.present is not None
    assert extent.tokens == int(test.present.sum())
    assert extent.bytes == sum(len(DATA.decode(row)) for row in test.data)


def test_what_has_no_room_is_refused() -> None:
    with pytest.raises(PretaskError, match=rf"data\.length of {MAX_SENTENCE_TOKENS} or more"):
        ToyGrammar(length=MAX_SENTENCE_TOKENS - 1)
    with pytest.raises(PretaskError, match=r"data\.words"):
        ToyGrammar(grammar="chain", words=1)


def test_exactly_the_sentences_that_can_be_drawn_are_grammatical() -> None:
    possible = {words for _, words in EVERY}
    numbers = {number: token for token, number in DATA.words_by_id.items()}
    for words in sorted(possible)[:: len(possible) // 60]:
        ids = [numbers[word] for word in words]
        assert DATA.is_grammatical(ids)
        assert not DATA.is_grammatical(ids[:-1])
        for place in range(len(words)):
            other = (*words[:place], (words[place] + 5) % len(DATA.lexicon), *words[place + 1 :])
            assert DATA.is_grammatical([numbers[word] for word in other]) == (other in possible)
    assert not DATA.is_grammatical([])
    assert CHAIN.is_grammatical([token for token in CHAIN("test").data[0].tolist() if token])
