"""Kinds: what the templates are filled with, by kind and modality; each example works as it is written."""

from collections.abc import Mapping
from dataclasses import dataclass

MODALITIES = ("image", "text", "video", "audio")


@dataclass(frozen=True)
class Example:
    """What a new package starts from.

    Args:
        folder: Of the templates of the component, one for each modality.
        summary: One line for `pretask list`.
        source: Where the idea was published.
        run: Arguments of `pretask run` (of a suite, of `pretask`) that try it, with `{name}` for the component.
        template_words: Further words of the templates.
    """

    folder: str
    summary: str
    source: str
    run: str
    template_words: Mapping[str, str]


# A split and the network and data on which it learns something in a minute on two cores.
SPLITS = {
    "image": Example(
        "split",
        "By how many quarter turns was this image turned?",
        "Gidaris, Singh and Komodakis, ICLR 2018",
        "",
        {
            "gives": "image",
            "views": "1",
            "model": "convnet",
            "data": "digits",
            "model_options": "width=16 depth=2",
            "samples": "12_000",
        },
    ),
    "text": Example(
        "split",
        "Is this text written forwards or backwards?",
        "the arrow of time (Wei et al. 2018), for tokens",
        "",
        {
            "gives": "text",
            "views": "1",
            "model": "transformer",
            "data": "toy-grammar",
            "model_options": "width=64 depth=2 heads=4",
            "samples": "20_000",
        },
    ),
    "video": Example(
        "split",
        "By how many quarter turns was this clip turned?",
        "Jing, Yang, Liu and Tian 2018 (3DRotNet)",
        "",
        {
            "gives": "image",
            "views": "None",
            "model": "frames",
            "data": "sprites",
            "model_options": "name=convnet width=16 depth=2 pool=4",
            "data_options": "image_size=32",
            "samples": "10_000",
        },
    ),
    "audio": Example(
        "split",
        "Is this recording played forwards or backwards?",
        "the arrow of time (Wei et al. 2018), for sound",
        "",
        {
            "gives": "image",
            "views": "1",
            "model": "convnet",
            "data": "tones",
            "model_options": "width=8",
            "samples": "10_000",
        },
    ),
}
MODELS = {
    "image": ("A tiny network of squares of pixels.", '"image"', "relative-position --preset demo"),
    "text": ("A tiny network of neighbouring tokens.", '"text"', "masked-lm --preset small"),
    "video": (
        "A tiny network of blocks of space and time.",
        '{"image", "video"}',
        "arrow-of-time --preset small --set split.stack=1",
    ),
    "audio": (
        "A tiny network of neighbouring frames of sound.",
        '"audio"',
        "--split future-from-past --objective regression --data tones --samples 10_000",
    ),
}
DATA = {
    "image": ("Pictures of stripes, labelled by their direction.", "relative-position --preset demo"),
    "text": ("Rows of numbers that count in steps, labelled by the step.", "causal-lm --preset small"),
    "video": (
        "Clips of a bar that moves, labelled by its direction.",
        "--split future-from-past --objective regression --model frames --set model.name=convnet --samples 10_000",
    ),
    "audio": (
        "Tones that rise and fade, labelled by their pitch.",
        "--split arrow-of-time-audio --objective cross-entropy --model convnet --samples 10_000",
    ),
}


def example(kind: str, modality: str) -> Example:
    """Return what a new package of a kind starts from."""
    if kind == "task":
        found = SPLITS[modality]
        return Example(found.folder, found.summary, found.source, "{name} --preset small", found.template_words)
    if kind == "split":
        return split_alone(SPLITS[modality])
    if kind == "model":
        summary, reads, run = MODELS[modality]
        return Example(kind, summary, "LeCun et al. 1989 (convolutions)", f"{run} --model {{name}}", {"reads": reads})
    if kind == "suite":
        return suite(modality)
    if kind == "data":
        summary, run = DATA[modality]
        return Example(kind, summary, "made from a seed", f"{run} --data {{name}}", {})
    return {"objective": OBJECTIVES, "evaluator": EVALUATORS}[kind][modality]


def split_alone(found: Example) -> Example:
    """Return a split that no task of its own goes with: it is run in a free combination."""
    template_words = found.template_words
    parts = (
        f"--split {{name}} --objective cross-entropy --model {template_words['model']} --data {template_words['data']}"
    )
    options = [f"--set {setting}" for setting in settings(template_words)]
    run = " ".join([parts, *options, f"--samples {template_words['samples']}"])
    return Example(found.folder, found.summary, found.source, run, template_words)


def settings(template_words: Mapping[str, str]) -> list[str]:
    """Return the options of model and data, as `--set` takes them."""
    return [
        f"{part}.{option}" for part in ("model", "data") for option in template_words.get(f"{part}_options", "").split()
    ]


ACCURACY = '"accuracy": pretask.Metric("fraction", higher_is_better=True)'
ABSOLUTE = '"absolute_error": pretask.Metric("error", higher_is_better=False)'
OBJECTIVES = {
    "image": Example(
        "objective",
        "Which class? Easy answers count less.",
        "Lin, Goyal, Girshick, He and Dollár, ICCV 2017 (focal loss)",
        "relative-position --preset demo --objective {name}",
        {"target": "categories", "unit": "nats", "reported": ACCURACY},
    ),
    "text": Example(
        "objective",
        "Which token? Confident answers are charged.",
        "Pereyra, Tucker, Chorowski, Kaiser and Hinton 2017 (confidence penalty)",
        "masked-lm --preset small --objective {name}",
        {"target": "categories", "unit": "nats", "reported": ACCURACY},
    ),
    "video": Example(
        "objective",
        "Which values? Large errors of few pixels count less than their square.",
        "Charbonnier, Blanc-Féraud, Aubert and Barlaud, ICIP 1994",
        "--split future-from-past --objective {name} --model frames --set model.name=convnet --data sprites "
        "--samples 10_000",
        {"target": "values", "unit": "error", "reported": ABSOLUTE},
    ),
    "audio": Example(
        "objective",
        "Which values? The logarithm of the hyperbolic cosine of the error.",
        "Green 1990; Chen, Chen, Xu and Zheng 2019 (log-cosh)",
        "masked-speech --preset small --objective {name}",
        {"target": "values", "unit": "error", "reported": ABSOLUTE},
    ),
}
EVALUATORS = {
    "image": Example(
        "evaluator",
        "Which class's mean features are nearest?",
        "Fisher 1936 (linear discriminant)",
        "relative-position --preset demo --evaluate linear,{name}",
        {"headline": "accuracy", "only": ""},
    ),
    "text": Example(
        "evaluator",
        "Which class's mean features are nearest to a token's, or to a text's?",
        "Rocchio 1971 (nearest centroid)",
        "masked-lm --preset small --evaluate linear,{name}",
        {"headline": "accuracy", "only": '\n        modality="text",'},
    ),
    "video": Example(
        "evaluator",
        "Is the most similar clip one of the same class?",
        "Xu, Xiao, Zhao, Shao, Xie and Zhuang, CVPR 2019 (retrieval of clips)",
        "arrow-of-time --preset small --evaluate linear,{name}",
        {"headline": "recall", "only": '\n        modality="video",'},
    ),
    "audio": Example(
        "evaluator",
        "Which prototype of a few recordings is nearest?",
        "Snell, Swersky and Zemel, NIPS 2017 (prototypes)",
        "masked-speech --preset small --evaluate linear,{name}",
        {"headline": "accuracy", "only": '\n        modality="audio",'},
    ),
}
# Data, budget, and what ranks: what a line of the raw input does not tell, and a network in a minute may.
SUITES = {
    "image": ("images", "shapes", "6000", '"data.size" = 2048, "data.test_size" = 512, "data.image_size" = 64'),
    "text": ("texts", "toy-grammar", "12000", '"few-label.per_class" = [5], "few-label.label_fraction" = []'),
    "video": ("clips", "sprites", "12000", '"data.image_size" = 32, "linear.label" = "course"'),
    "audio": ("sound", "tones", "4000", '"data.size" = 2048, "data.test_size" = 512'),
}


def suite(modality: str) -> Example:
    """Return a suite of one division."""
    division, data, samples, fixed = SUITES[modality]
    measure, metric = ("few-label", "5.accuracy") if modality == "text" else ("linear", "accuracy")
    template_words = {"division": division, "data": data, "samples": samples, "fixed": fixed}
    summary = f"Every installed task of {division} on built-in data; minutes on two cores."
    measured = {"measure": measure, "metric": metric}
    return Example("suite", summary, "our own", "bench {name} --seeds 1 --out runs", {**template_words, **measured})


KINDS = ("task", "split", "objective", "model", "evaluator", "data", "suite")
ORDER = ("task", "split", "model", "objective", "evaluator", "data", "suite")  # in which a name is looked up
