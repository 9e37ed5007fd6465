"""Text rows: how a fine-tuned network is shown rows of tokens: as it is, in two pieces, or as GPT-1 wants them.

    a network that sees all      first, separator, second, separator      segments 0 0 1 1; its own class token before
    a causal one (GPT-1)         start, first, separator, second, extract       the extract token's vector is read

A row of data is `first, separator, second, end`, or `text, end`. The separator, start and class tokens are those of the
vocabulary; the class token, which a causal network has no other use for, is its extract token. A network that knows no
segments sees the pieces by the separator alone. Rows are cut where the last present token of a batch is. Where a
causal network has no room for two tokens more, the end of the text gives way.

Source: Devlin et al., NAACL 2019, section 4.1; Radford et al. 2018, section 3.3 (start, delimiter and extract tokens).
Differs: the tokens are in the vocabulary from the beginning, where they add them.
Axes: B batch, L tokens of a row, M tokens that are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from pretask import Batch, Features, Incompatible, Inputs, Observed, PretaskError, Samples, Task, Vocabulary
from pretask.composition import describe_features
from pretask.language.continuation import PredictsPositions
from pretask.language.next_token import next_target
from torch import Tensor, nn
from torch.nn import functional as F

MULTIPLE = 8  # to which the length of a batch is rounded up
LM_WEIGHT = 0.5  # of the auxiliary loss in the paper


@dataclass(frozen=True)
class TextRows:
    """Shows rows of tokens to a network.

    Args:
        task: Whose split shows undivided rows.
        vocabulary: Names the tokens.
        limit: Tokens that the network reads at most, as far as that matters.
        trims: Whether shorter rows can be read.
        is_causal: Whether rows are given start and extract tokens.
        in_pieces: Whether segments are numbered, and the last piece is closed by a separator.
        both_orders: Whether a row is shown once more with its pieces exchanged, after all others.
    """

    task: Task
    vocabulary: Vocabulary
    limit: int
    trims: bool
    is_causal: bool
    in_pieces: bool
    both_orders: bool = False

    def __call__(self, batch: Batch) -> Inputs:
        """Return what the network is shown of a batch."""
        tokens, present = batch.data, batch.present
        present = torch.ones_like(tokens, dtype=torch.bool) if present is None else present
        if self.both_orders:
            swapped = swap_pieces(tokens, present, *self.ids("separator", "end"))
            tokens, present = torch.cat([tokens, swapped]), torch.cat([present, present])
        if self.is_causal:
            tokens, present = self.add_start_and_extract(tokens, present)
        elif self.in_pieces:
            end, separator = self.ids("end", "separator")
            tokens = tokens.masked_fill(tokens == end, separator)
        if self.trims:
            length = round_up(int((torch.arange(1, tokens.shape[1] + 1, device=tokens.device) * present).max()))
            tokens, present = tokens[:, :length], present[:, :length]
        index = batch.index.repeat(len(tokens) // len(batch))
        inputs = self.task.split.whole(Batch(tokens, index, present))
        return replace(inputs, segment=self.number_pieces(tokens)[:, None]) if self.in_pieces else inputs

    def ids(self, *roles: str) -> list[int]:
        """Return the ids of roles."""
        return [-1 if (number := self.vocabulary.id(role)) is None else number for role in roles]

    def add_start_and_extract(
        self, tokens: Int[Tensor, "B L"], present: Bool[Tensor, "B L"]
    ) -> tuple[Int[Tensor, "B M"], Bool[Tensor, "B M"]]:
        """Return rows as GPT-1 is shown them; the end token gives way to the extract token."""
        start, extract, end, pad = self.ids("start", "class", "end", "pad")
        length = present.sum(1)
        last = tokens.gather(1, (length - 1).clamp(min=0)[:, None])[:, 0]
        length = (length - (last == end).long()).clamp(min=0, max=self.limit - 2)
        at = torch.arange(min(tokens.shape[1] + 2, self.limit), device=tokens.device)
        body = F.pad(tokens, (1, 1))[:, : len(at)]
        body = body.masked_fill(at == 0, start)
        body = body.where(at != length[:, None] + 1, extract)
        shown = at <= length[:, None] + 1
        return body.where(shown, max(pad, 0)), shown

    def number_pieces(self, tokens: Int[Tensor, "B M"]) -> Int[Tensor, "B M"]:
        """Return 0 for the first piece with its separator, and 1 for what follows."""
        separators = (tokens == self.ids("separator")[0]).long()
        return (separators.cumsum(1) - separators).clamp(max=1)


def make_rows(
    who: str,
    task: Task,
    samples: Samples,
    *,
    in_pieces: bool,
    both_orders: bool = False,
    keeps_positions: bool = False,
) -> TextRows:
    """Return how a task's network is shown rows of a data set.

    Args:
        who: The evaluator, for errors.
        task: The task.
        samples: Of one part.
        in_pieces: Whether rows hold two pieces.
        both_orders: See TextRows.
        keeps_positions: Whether position i of a row stays position i, so that a causal network is given no start token.

    Raises:
        PretaskError: The data is no text, or two pieces cannot be separated.
    """
    vocabulary, shape = samples.observed.vocabulary, samples.observed.shape
    if vocabulary is None or len(shape) != 1:
        raise PretaskError(
            who, "rows of tokens of a vocabulary", f"{samples.observed.modality} of shape {shape}", "Use data of text."
        )
    if in_pieces and vocabulary.id("separator") is None:
        raise PretaskError(
            who, "a vocabulary with a separator token", "none", "Give the data's vocabulary the role 'separator'."
        )
    roles = all(vocabulary.id(role) is not None for role in ("start", "class"))
    is_causal = not keeps_positions and roles and shape[0] > 2 and is_causal_model(task, samples.observed)
    room = next(room for room in (2, 1, 0) if room == 0 or can_read(task, samples.observed, shape[0] + room))
    trims = can_read(task, samples.observed, MULTIPLE) and can_read(task, samples.observed, shape[0] - 1)
    return TextRows(task, vocabulary, shape[0] + room, trims, is_causal, in_pieces and not is_causal, both_orders)


def is_causal_model(task: Task, observed: Observed) -> bool:
    """Return whether no feature of a network has seen what follows it."""
    streams = describe_features(task.model, task.split.whole_spec(observed)).streams
    return "past" in streams and not {"all", "future"} & {*streams}


def can_read(task: Task, observed: Observed, length: int) -> bool:
    """Return whether a network reads rows of a length."""
    if length < 1:
        return False
    try:
        described = describe_features(task.model, task.split.whole_spec(replace(observed, shape=(length,))))
    except Incompatible:
        return False
    return described.grid == (length,)


def round_up(length: int) -> int:
    """Return the next multiple.

    >>> round_up(9), round_up(16), round_up(0)
    (16, 16, 8)
    """
    return max(-(-length // MULTIPLE), 1) * MULTIPLE


def swap_pieces(
    tokens: Int[Tensor, "B L"], present: Bool[Tensor, "B L"], separator: int, end: int
) -> Int[Tensor, "B L"]:
    """Return rows with their two pieces exchanged; one without a separator stays as it is.

    >>> row = torch.tensor([[5, 6, 1, 7, 2, 0]])
    >>> swap_pieces(row, row > 0, separator=1, end=2).tolist()
    [[7, 1, 5, 6, 2, 0]]
    """
    place = torch.arange(tokens.shape[1], device=tokens.device)
    is_separator = tokens == separator
    first = is_separator.int().argmax(1, keepdim=True)
    length = present.sum(1, keepdim=True)
    closed = tokens.gather(1, (length - 1).clamp(min=0)) == end
    stop = length - closed.long()  # of the second piece
    second = stop - first - 1
    source = torch.where(place < second, place + first + 1, torch.where(place == second, first, place - second - 1))
    swapped = tokens.gather(1, source.clamp(0, tokens.shape[1] - 1))
    return torch.where((place < stop) & is_separator.any(1, keepdim=True), swapped, tokens)


@dataclass(frozen=True, eq=False)
class LanguageLoss:
    """The mean loss of the next token, beside another one, by the task's own objective.

    Args:
        network: A copy of the objective, which is trained too.
        target: The name of its target.
        weight: By which the loss is multiplied.
    """

    network: nn.Module
    target: str
    weight: float

    def __call__(self, features: Features, inputs: Inputs, /) -> Tensor:
        """Return nats per token, of every row the mean over its tokens."""
        tokens = inputs.data[:, 0]
        present = torch.ones_like(tokens, dtype=torch.bool) if inputs.present is None else inputs.present[:, 0]
        at = torch.arange(tokens.shape[1] - 1, device=tokens.device).expand(len(tokens), -1)
        predict: Callable[..., Tensor] = self.network.predict_at  # type: ignore[assignment]
        nats = -predict(features, self.target, at).gather(2, tokens[:, 1:, None])[..., 0]
        valid = (present[:, 1:] & present[:, :-1]).float()
        return ((nats * valid).sum(1) / valid.sum(1).clamp(min=1)).mean()


def find_language_loss(task: Task, rows: TextRows, samples: Samples, weight: float) -> LanguageLoss | None:
    """Return the auxiliary loss of a causal language model; None for other tasks, and where it has no weight."""
    if not (weight and rows.is_causal and predicts_positions(task)):
        return None
    try:
        target = next_target("fine-tuning", task, samples)
    except PretaskError:
        return None
    known = getattr(task.objective, "classes", {})
    return LanguageLoss(task.objective, target, weight) if target in known else None


def predicts_positions(task: Task) -> bool:
    """Return whether the objective need not predict all positions."""
    return isinstance(task.objective, PredictsPositions)
