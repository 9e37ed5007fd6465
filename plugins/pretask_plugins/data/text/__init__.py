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
    yield data(
        "pairs",
        "pretask_plugins.data.text.pairs:Pairs",
        modality="text",
        summary="Your own pairs of texts with a class or a number: .tsv of label, text, text.",
        source="Bowman et al. 2015; Cer et al. 2017",
        cites="cer2017semeval",
    )
    yield data(
        "sentence-pairs",
        "pretask_plugins.data.text.sentence_pairs:SentencePairs",
        modality="text",
        summary="Your own documents as pairs of spans that follow each other or not, as BERT's.",
        source="Devlin et al. 2019",
        cites="devlin2019bert",
    )
    yield data(
        "questions",
        "pretask_plugins.data.text.questions:QuestionsAboutTexts",
        modality="text",
        summary="Questions about texts, answered by spans of them: JSON in SQuAD's layout.",
        source="Rajpurkar et al. 2016",
        cites="rajpurkar2016squad",
    )
    yield data(
        "choices",
        "pretask_plugins.data.text.choices:Choices",
        modality="text",
        summary="Beginnings with several endings, of which one is right: .csv in SWAG's layout.",
        source="Zellers et al. 2018",
        cites="zellers2018swag",
    )
    yield data(
        "spans",
        "pretask_plugins.data.text.spans:Spans",
        modality="text",
        summary="Spans: labeled spans and pairs of spans of sentences, .conllu, .conll or .jsonl.",
        source="Tenney et al. 2019; Nivre et al. 2016",
        cites="tenney2019what",
    )
    yield data(
        "glue",
        "pretask_plugins.data.text.glue:Glue",
        modality="text",
        summary="GLUE: nine tasks of one text or two, from its folders or the datasets library.",
        source="Wang et al. 2019",
        cites="wang2019glue",
    )
