"""The mutants: every fault that is planted in a sound twin, and the check that must find it."""

from typing import NamedTuple


class Mutant(NamedTuple):
    kind: str
    twin: str
    fault: str
    check: str

    @property
    def name(self) -> str:
        return f"{self.twin}-{self.fault}"


SPLITS = {
    "rotate": {
        "label-in-a-corner": "no-shortcut-solves-it",
        "black-line-when-turned": "no-shortcut-solves-it",
        "colours-shifted-by-turn": "no-shortcut-solves-it",
        "ambient-torch": "ambient-randomness-is-left-alone",
        "ambient-numpy": "ambient-randomness-is-left-alone",
        "label-by-place-in-batch": "same-output-in-any-batch",
        "brightness-of-the-batch": "same-output-in-any-batch",
        "seed-of-its-own": "draws-follow-the-seed",
        "epoch-ignored": "draws-follow-the-seed",
        "draws-unused": "draws-follow-the-seed",
        "device-forgotten": "runs-on-the-meta-device",
        "batch-changed-in-place": "batch-is-not-changed",
        "labels-of-int32": "y-is-what-spec-says",
        "labels-from-one": "y-is-what-spec-says",
        "nothing-asked": "y-is-what-spec-says",
        "bytes-shown": "x-is-what-spec-says",
        "nan-shown": "x-is-what-spec-says",
        "spec-of-another-size": "x-is-what-spec-says",
        "whole-of-another-size": "whole-is-what-spec-says",
        "branch-on-a-value": "compiles",
        "refused-with-valueerror": "refuses-with-reasons",
        "refused-without-a-way-out": "refuses-with-reasons",
        "two-views-declared": "declares-what-it-makes",
        "summary-missing": "says-what-it-is",
        "option-without-a-range": "options-have-ranges",
        "default-out-of-range": "options-have-ranges",
    },
    "fill": {
        "not-erased": "hidden-stays-hidden",
        "faintly-erased": "what-is-erased-holds-nothing",
        "colour-kept": "hidden-stays-hidden",
    },
    "follow": {
        "target-off-by-one": "hidden-stays-hidden",
        "sees-all": "hidden-stays-hidden",
        "padding-asked": "padding-is-never-valid",
    },
    "quantize": {"distances-fused-with-argmin": "compiled-answers-as-eager"},
    "reverse": {
        "black-border-when-reversed": "no-shortcut-solves-it",
        "fades-when-reversed": "no-shortcut-solves-it",
    },
}
MODELS = {
    "reader": {
        "sees-the-future": "sees-no-more-than-it-says",
        "reads-padding": "padding-is-not-read",
        "weights-kept-elsewhere": "weights-can-be-saved",
        "dropout-at-evaluation": "a-sample-stands-alone",
        "batch-norm-at-evaluation": "a-sample-stands-alone",
        "device-forgotten": "runs-on-the-meta-device",
        "gradient-cut": "gradient-reaches-every-parameter",
        "parameter-unused": "gradient-reaches-every-parameter",
        "infinite-in-bfloat16": "finite-in-bfloat16",
        "deaf": "learns-eight-samples-by-heart",
        "summary-unsaid": "summary-of-positions-or-its-own",
        "width-untrue": "features-match-their-spec",
        "input-changed-in-place": "inputs-are-not-changed",
        "weights-unseeded": "same-seed-same-weights",
        "refused-with-valueerror": "refuses-with-reasons",
    },
}
OBJECTIVES = {
    "vote": {
        "softmax-over-the-batch": "a-sample-is-scored-by-itself",
        "sum-for-mean": "a-batch-twice-costs-the-same",
        "mean-of-each-part": "parts-and-ranks-weigh-as-the-whole",
        "weights-ignored": "what-weighs-nothing-does-not-matter",
        "widest-stream-read": "reads-no-wider-than-allowed",
        "gradient-cut": "gradient-reaches-every-parameter",
        "shown-answers-taken": "refuses-what-x-shows",
        "half-precision": "finite-in-bfloat16",
        "ambient-noise": "same-draws-same-loss",
        "device-forgotten": "runs-on-the-meta-device",
        "weights-kept-elsewhere": "weights-can-be-saved",
        "guess-missing": "predicts-every-target",
        "any-kind-taken": "refuses-with-reasons",
    },
    "recall": {"queue-of-one-rank": "ranks-agree-on-state"},
}
EVALUATORS = {
    "centroid": {
        "fits-on-test": "test-part-teaches-nothing",
        "standardises-by-test": "test-part-teaches-nothing",
        "chooses-on-test": "test-part-teaches-nothing",
        "scores-what-it-learned": "noise-scores-at-chance",
        "guesses-the-commonest": "clear-signal-is-found",
        "leaves-evaluation-on": "task-is-left-as-it-was",
        "changes-weights": "task-is-left-as-it-was",
        "ambient-choice": "same-seed-same-numbers",
        "yields-text": "yields-names-with-numbers",
        "items-of-another-number": "yields-names-with-numbers",
    },
    "retrieve": {
        "number-of-no-unit": "numbers-are-as-declared",
        "scores-what-it-learned": "noise-scores-at-chance",
        "guesses-the-commonest": "clear-signal-is-found",
    },
}
DATA = {
    "dots": {
        "parts-overlap": "no-sample-is-in-both-parts",
        "fingerprint-of-the-moment": "same-data-every-time",
        "made-by-chance": "same-data-every-time",
        "ambient-moved": "ambient-randomness-is-left-alone",
        "labels-out-of-range": "labels-are-within-their-names",
        "floats-for-bytes": "samples-are-what-was-announced",
        "fewer-than-announced": "samples-are-what-was-announced",
        "labels-in-the-batch": "batches-have-no-labels",
        "any-part-given": "refuses-with-reasons",
    },
    "table": {"known-by-its-path": "same-data-every-time"},
}
TASKS = {
    "turned": {
        "preset-of-no-option": "settings-are-valid",
        "parts-that-do-not-fit": "parts-exist-and-fit",
        "nothing-learned": "overfits-one-batch",
    },
    "sniffed": {"label-leak": "labels-make-no-difference"},
    "followed": {
        "layer-unused-in-the-paper": "every-size-is-trainable-without-memory",
        "layer-unused-in-a-preset": "every-size-is-trainable-without-memory",
        "tokens-lost-in-the-paper": "gradient-reaches-every-parameter-of-the-paper",
    },
}
KINDS = {
    "split": SPLITS,
    "model": MODELS,
    "objective": OBJECTIVES,
    "evaluator": EVALUATORS,
    "data": DATA,
    "task": TASKS,
}
MUTANTS = [
    Mutant(kind, twin, fault, check)
    for kind, twins in KINDS.items()
    for twin, faults in twins.items()
    for fault, check in faults.items()
]
