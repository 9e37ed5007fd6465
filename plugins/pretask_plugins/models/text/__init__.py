"""Models of sequences: tokens of text and, for the transformer, frames of sound.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, hookimpl, model

TINY = {"width": 16, "depth": 2, "heads": 2}


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the models."""
    yield model(
        "transformer",
        "pretask_plugins.models.text.transformer:Transformer",
        modality={"text", "audio"},
        streams={"past", "all"},
        summary="Transformer: pre-norm, for tokens or frames; model.causal=true masks the future.",
        source="Vaswani et al. 2017; Su et al. 2021",
        cites=("vaswani2017attention", "su2021roformer"),
        small=TINY,
    )
    yield model(
        "gpt2",
        "pretask_plugins.models.text.gpt2:Gpt2",
        modality="text",
        streams="past",
        summary="GPT-2 of any size from its configuration; causal.",
        source="Radford et al. 2019",
        cites="radford2019language",
        small=TINY,
    )
    yield model(
        "bert",
        "pretask_plugins.models.text.bert:Bert",
        modality="text",
        summary="BERT of any size from its configuration; bidirectional, with a class token.",
        source="Devlin et al. 2019",
        cites="devlin2019bert",
        small=TINY,
    )
    yield model(
        "lstm",
        "pretask_plugins.models.text.lstm:Lstm",
        modality="text",
        streams="past",
        summary="LSTM layers that read from left to right.",
        source="Hochreiter and Schmidhuber 1997",
        cites="hochreiter1997long",
        small={"width": 16, "depth": 2},
    )
    yield model(
        "frame-lstm",
        "pretask_plugins.models.text.frame_lstm:FrameLstm",
        modality="audio",
        streams={"present", "past"},
        summary="A perceptron of every frame of sound, and LSTM layers over what it makes.",
        source="van den Oord, Li and Vinyals 2018; Hochreiter and Schmidhuber 1997",
        cites=("oord2018representation", "hochreiter1997long"),
        small={"width": 16, "depth": 1},
    )
    yield model(
        "bilstm",
        "pretask_plugins.models.text.lstm:BiLstm",
        modality="text",
        streams={"past", "future", "all"},
        summary="LSTM layers from left to right and others from right to left, which never mix: ELMo's encoder.",
        source="Peters et al. 2018",
        cites="peters2018deep",
        small={"width": 16, "depth": 2},
    )
    yield model(
        "char-bilstm",
        "pretask_plugins.models.text.char_bilstm:CharBiLstm",
        modality="text",
        streams={"past", "future", "all"},
        summary="Character BiLSTM: ELMo's encoder, tokens composed by a character CNN (Peters 2018).",
        source="Peters et al. 2018; Kim, Jernite, Sontag and Rush 2016",
        cites=("peters2018deep", "kim2016character"),
        small={"width": 16, "depth": 2, "filters": (4, 8), "filter_widths": (1, 2), "characters": 8},
    )
    yield model(
        "embedding",
        "pretask_plugins.models.text.embedding:Embedding",
        modality="text",
        streams="present",
        summary="One vector for every token, whatever stands around it.",
        source="Mikolov et al. 2013",
        cites="mikolov2013distributed",
        small={"width": 16},
    )
    yield model(
        "bag-of-words",
        "pretask_plugins.models.text.bag_of_words:BagOfWords",
        modality="text",
        streams="present",
        summary="The mean of the vectors of all views, place by place: CBOW's encoder.",
        source="Mikolov, Chen, Corrado and Dean 2013",
        cites="mikolov2013efficient",
        small={"width": 16},
    )
    yield model(
        "glove",
        "pretask_plugins.models.text.two_vectors:TwoVectors",
        modality="text",
        streams="present",
        summary="Two vectors for every token, of a center and of a neighbor; their sum is the feature.",
        source="Pennington, Socher and Manning 2014",
        cites="pennington2014glove",
        small={"width": 16},
    )
