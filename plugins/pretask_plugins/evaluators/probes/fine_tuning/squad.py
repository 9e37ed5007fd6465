"""SQuAD: when an answer is right, by the rules of its official script (that of version 2.0, which 1.1 agrees with).

Both answers are in lower case, without punctuation, articles and double spaces. An exact match is the same text; F1 is
that of the two bags of words. Of several right answers the nearest counts. A question without an answer is answered by
no text, and by nothing else.

Source: Rajpurkar et al., EMNLP 2016, section 6.1; Rajpurkar, Jia and Liang, ACL 2018.
Axes: none.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(answer: str) -> str:
    """Return an answer as it is compared.

    >>> normalize("The  Eiffel-Tower, in Paris!")
    'eiffeltower in paris'
    """
    return " ".join(ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split())


def exact_match(answer: str, right: Sequence[str]) -> float:
    """Return 1 where an answer is one of the right ones, else 0.

    >>> exact_match("the cat.", ["A cat", "cats"]), exact_match("", []), exact_match("cat", [])
    (1.0, 1.0, 0.0)
    """
    return best_of(lambda one, other: float(normalize(one) == normalize(other)), answer, right)


def f1(answer: str, right: Sequence[str]) -> float:
    """Return the F1 of an answer's words, with the right answer to which it is nearest.

    >>> round(f1("a black cat", ["black cat", "the very black dog"]), 3), f1("cat", ["a dog"])
    (1.0, 0.0)
    """
    return best_of(f1_of_words, answer, right)


def best_of(compare: Callable[[str, str], float], answer: str, right: Sequence[str]) -> float:
    """Return the best of comparisons with all right answers; with no text where there is none."""
    wanted = [text for text in right if normalize(text)] or [""]
    return max(compare(answer, text) for text in wanted)


def f1_of_words(one: str, other: str) -> float:
    """Return the F1 of two bags of words; of nothing, whether both are."""
    words, wanted = normalize(one).split(), normalize(other).split()
    if not (words and wanted):
        return float(words == wanted)
    shared = sum((Counter(words) & Counter(wanted)).values())
    return 2 * shared / (len(words) + len(wanted))
