"""Data of text.

Every data set here also offers, beside its parts, `decode(ids) -> str`, `encode(text) -> ids`, `tokenizer_name`, and
`extent(part)`, the tokens of a part and the bytes of the text that they stand for: what a generator and bits per byte
need.
Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, data, hookimpl

EXPECTED_FAILURES = {
    "data stdlib": {"no-sample-is-in-both-parts": "short phrases of documentation occur more than once"},
}


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the data."""
    yield data(
        "text",
        "pretask_plugins.data.text.text:Text",
        modality="text",
        summary="Your own text: .txt, .tsv with labels of texts, .conllu or .conll of words.",
        source="Sennrich et al. 2016 for byte pairs; Schuster and Nakajima 2012 for word pieces",
        cites=("sennrich2016neural", "schuster2012japanese"),
    )
    yield data(
        "stdlib",
        "pretask_plugins.data.text.stdlib:Stdlib",
        modality="text",
        summary="Python's own documentation strings, labeled by what the module is for.",
        small={"length": 16, "vocab_size": 300},
    )
    yield data(
        "toy-grammar",
        "pretask_plugins.data.text.toy_grammar:ToyGrammar",
        modality="text",
        summary="Sentences of a small grammar with agreement, whose entropy is known.",
        small={"size": 32, "test_size": 16, "length": 16},
    )
    yield data(
        "hf-text",
        "pretask_plugins.data.text.hf_text:HfText",
        modality="text",
        summary="Text of data sets of the datasets library, by name or from a folder.",
        source="each data set's own; Lhoest et al. 2021 for the library",
        cites="lhoest2021datasets",
    )
