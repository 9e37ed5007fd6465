"""Remedies: the commonest mistake behind a check that fails, and what to do; docs/guides.md says the same."""

# Checks of which an error that is raised is the usual failure; elsewhere it has nothing to do with the remedy.
RAISING = (
    "compiles",
    "compiled-answers-as-eager",
    "compiled-step-answers-as-eager",
    "every-size-is-trainable-without-memory",
    "runs-on-the-meta-device",
    "reads-every-view-size-of-the-whole",
    "finite-in-bfloat16",
    "split-runs-outside-autocast",
    "weights-can-be-saved",
    "resolves",
    "settings-are-valid",
    "parts-exist-and-fit",
    "file-can-be-read",
)
# By the name of a check, or by kind and name where kinds differ.
REMEDIES: dict[str, str] = {
    "loads": "A hook is found by its name and mark alone: write @pretask.hookimpl above pretask_components.",
    "light-import": "An import for a type hint loads torch: name implementations as 'module:attribute' instead.",
    "says-what-it-is": "The summary is empty or has two lines: write one of at most 80 characters in the declaration.",
    "resolves": "The class was renamed or an option is misspelt in `small`: write 'module:Class' and its own fields.",
    "options-have-ranges": (
        "A plain int or float: write `side: Size = 8` with a type of pretask, or Annotated[int, Interval(ge=2)]; "
        "AnyInt where any number will do."
    ),
    "declares-what-it-makes": "The declaration was left behind by the code: pass the traits that `spec` gives.",
    "x-is-what-spec-says": "Bytes are shown, or the axis of views is missing: divide by 255, and give (B, V, ...).",
    "whole-is-what-spec-says": "`whole` was left behind by `__call__`: let `whole_spec` describe what `whole` returns.",
    "y-is-what-spec-says": "Labels are int32 or begin at 1, or all weights are 0: use int64 numbers from 0 on.",
    "same-output-in-any-batch": "Something is computed along the batch axis: draw from `draws`, normalize by sample.",
    "draws-follow-the-seed": "A Draws of one's own, or a table drawn once: use the `draws` that __call__ is given.",
    "ambient-randomness-is-left-alone": (
        "torch.rand and random move the run's generator: use draws.uniform and its like."
    ),
    "batch-is-not-changed": "An in-place operation on batch.data or a view of it: clone it first, or use torch.where.",
    "runs-on-the-meta-device": (
        "A tensor is made on the CPU or read with .item(): pass device=batch.device, no .item()."
    ),
    "compiles": (
        "A table built on first call, or an `if` on a tensor, breaks the graph: make the table in __post_init__, "
        "and choose with torch.where."
    ),
    "compiled-answers-as-eager": (
        "The compiler is wrong about an operation: write it with another, such as torch.cdist."
    ),
    "compiled-step-answers-as-eager": (
        "Dropout or a branch depends on what is compiled: take both paths by torch.where."
    ),
    "padding-is-never-valid": (
        "`present` is not looked at: give targets at padding the weight 0, and hand `present` on."
    ),
    "hidden-stays-hidden": "The answer is still in x, or one position beside it: erase it before the patch is cut.",
    "what-is-erased-holds-nothing": "What is erased keeps a trace, such as its mean: fill it with a constant.",
    "no-shortcut-solves-it": "A border, a brightness or a corner tells the answer: treat all classes alike but for it.",
    "refuses-with-reasons": (
        "A ValueError, or a late crash: raise Incompatible(who, needs, got, do) from `spec` or __init__."
    ),
    "features-match-their-spec": "Width or grid is a guess: compute both in `features(spec)`, and give every layer.",
    "summary-of-positions-or-its-own": "A head pools by itself: set own_pooled=True in Features.",
    "reads-every-view-size-of-the-whole": (
        "__init__ looks at numbers, not at shapes: build layers from the specs alone."
    ),
    "a-sample-stands-alone": (
        "F.dropout is on at evaluation, or a batch's mean is used: use nn.Dropout and norms by sample."
    ),
    "inputs-are-not-changed": "An in-place operation on inputs.data: use the operation that returns a new tensor.",
    "sees-no-more-than-it-says": (
        "Attention without a mask, or a convolution that looks ahead: mask it, or offer 'all'."
    ),
    "padding-is-not-read": "Attention and means count padding: mask with inputs.present, and mean_over(x, present).",
    "gradient-reaches-every-parameter": (
        "A detach, or a layer that nothing uses: remove it, or set requires_grad=False."
    ),
    "learns-eight-samples-by-heart": (
        "Features hardly depend on x: look at the scale of weights and at a constant output."
    ),
    "finite-in-bfloat16": "exp, log or a sum overflows in half precision: compute it in .float().",
    "weights-can-be-saved": "A tensor is kept as a plain attribute: register_buffer, or nn.Parameter.",
    "sample-parameters-are-their-samples-own": (
        "The table is read by place in the batch, or as a whole: make it in allocate, and index it by inputs.index."
    ),
    "unseen-samples-are-what-it-says": (
        "inputs.index is None at evaluation: encode without the table, or raise PretaskError and say 'refused'."
    ),
    "same-seed-same-weights": "Weights come from a generator of one's own: leave initialization to torch's.",
    "loss-is-a-number": "A part keeps its graph, or is no part at all: build_loss(terms, reports) detaches and adds.",
    "same-draws-same-loss": "Noise comes from torch.randn: use the `draws` that the objective is given.",
    "nothing-is-changed": "Features are normalized in place: use the operation that returns a new tensor.",
    "a-batch-twice-costs-the-same": "A sum stands for a mean: weighted_mean(value, target.weight, target.denominator).",
    "a-sample-is-scored-by-itself": "A softmax or norm runs along the batch axis: give it dim=-1.",
    "order-of-the-batch-does-not-matter": (
        "The first sample stands for all, or neighbors in the batch do: compare all, by their identity."
    ),
    "rewriting-follows-from-x-and-draws": (
        "The answers steer what x becomes, or torch's sampler does: draw from `draws`, and keep what is visible."
    ),
    "declared-state-moves-after-steps-only": (
        "A queue or center moves in forward, where a step of many parts moves it often: keep it for after_step."
    ),
    "hidden-patches-are-not-encoded": (
        "Patches that are hidden in part are taken for visible: check_patch, find_visible_patches, select_patches."
    ),
    "parts-and-ranks-weigh-as-the-whole": (
        "A mean is taken over a part alone: pass target.denominator on, and name other weights in scored_weights."
    ),
    "ranks-agree-on-state": (
        "A queue or center holds what one rank has seen: gather_over_ranks(rows), mean_over_ranks(center)."
    ),
    "what-weighs-nothing-does-not-matter": (
        "Weights are not used: weighted_mean(value, target.weight, target.denominator)."
    ),
    "reads-no-wider-than-allowed": (
        "The widest stream is read: find_readout(who, name, features, spec) picks the right one."
    ),
    "refuses-what-x-shows": "The target's `hidden` is not looked at: call find_readout or check_kinds in __init__.",
    "predicts-every-target": "`predict` leaves a target out: return log-probabilities or values under every name.",
    "yields-names-with-numbers": "A tensor is yielded: yield (name, float(value)), and Items for single test items.",
    "task-is-left-as-it-was": "task.model.eval() stays on: use pretask.extraction.extract, which puts the mode back.",
    "same-seed-same-numbers": "A shuffle by torch.randperm: draw with a generator of budget.seed.",
    "test-part-teaches-nothing": (
        "Means, scales or choices are taken over test samples too: fit on data('train') alone."
    ),
    "noise-scores-at-chance": "Test labels leak into the fit, or training samples are scored: keep the parts apart.",
    "clear-signal-is-found": (
        "The fit does not converge, or features are scaled away: standardize by the training part."
    ),
    "samples-are-what-was-announced": (
        "`observed` was left behind by the data: compute its shape from what was decoded."
    ),
    "labels-are-within-their-names": (
        "Names of the two parts differ: list them from the training part, and give -1 to the rest."
    ),
    "batches-have-no-labels": "`batch` was overridden: leave it to Samples, which keeps labels away from tasks.",
    "no-sample-is-in-both-parts": "Both parts are drawn alike: give the test part numbers, files or seeds of its own.",
    "same-data-every-time": (
        "The order, place or time of files enters: sort, hash the content, and draw from Draws with a fixed seed."
    ),
    "data refuses-with-reasons": "A KeyError for an unknown part: raise PretaskError(who, needs, got, do).",
    "data ambient-randomness-is-left-alone": (
        "Samples come from torch.rand: draw them from Draws(index, seed), by number."
    ),
    "parts-exist-and-fit": "A part is misspelt, or is in two namespaces: write it in full, as pretask/cross-entropy.",
    "settings-are-valid": "An option has another name by now: `pretask show PART` lists them.",
    "overfits-one-batch": (
        "The answer cannot be reached from x, or no gradient arrives: try the split with --model mlp."
    ),
    "every-size-is-trainable-without-memory": (
        "A layer of a large size that nothing uses, or a tensor made on the CPU: drop the one, device=x.device."
    ),
    "gradient-reaches-every-parameter-of-the-paper": (
        "A branch that is multiplied by 0, or activations that are all 0 at this size: look at the scale of weights."
    ),
    "labels-make-no-difference": (
        "The split reads labels or the name of a file: it may use batch.data and batch.partners alone."
    ),
    "split-runs-outside-autocast": (
        "x or y is made where autocast is on: make them in the split, which runs outside it."
    ),
    "output-is-golden": "The code was changed under its version: raise version=, then keep it by --update-golden.",
    "file-can-be-read": "The file is not in the wheel: keep it beside the module, and name it 'package:file.toml'.",
}


def find_remedy(kind: str, check: str, *, raised: bool = False) -> str:
    """Return what to do where a check of a kind fails, or raised something; empty where nothing common is known."""
    if raised and check not in RAISING:
        return ""
    return REMEDIES.get(f"{kind} {check}", REMEDIES.get(check, ""))
