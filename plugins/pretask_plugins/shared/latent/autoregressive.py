"""Autoregressive decoders: p(x | z) as the product of p(x_i | x_1 … x_(i-1), z), for classes in a row such as words.

The vector of position i is that of the class before it and a linear map of the code; a GRU that begins in a state made
of the code, or causal transformer blocks, read these from left to right, and a linear map gives the logits of x_i.

In training the class before is hidden with a probability of `word_dropout`, so that the code must tell what the
history no longer does; at 1 it is never shown, in evaluation neither: the inputless decoder.

Source: Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio, CoNLL 2016, sections 3 and 3.1 (a recurrent decoder that
begins in a state of the code, word dropout); He, Spokoyny, Neubig and Berg-Kirkpatrick, ICLR 2019 (the code at every
position). Differs: a GRU (Cho et al., EMNLP 2014) in place of the LSTM; what is hidden is a vector of its own, not that
of the unknown word, and what weighs nothing is hidden as well.
Axes: B batch, N codes, L positions, D dimensions of a code, W width, C classes.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from pretask import Categories, Draws, Incompatible, Target, TargetSpec
from pretask.language.sampling import GREEDY, Sampling
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.attention import Block, Pair, initialize, rotary_angles
from pretask_plugins.shared.scores import most_likely_class

BodyName = Literal["gru", "transformer"]
HEAD_WIDTH = 32  # of attention, at most
MULTIPLE = 4  # width of a block's perceptron over that of the block


class AutoregressiveDecoder(nn.Module):
    """Logits of every position from the code and the classes before it.

    Args:
        who: The objective, for the error.
        latent_dim: Dimensions of the code.
        target: What is decoded: classes in a row.
        body: What reads the history.
        hidden: A width for every layer, all the same.
        word_dropout: Probability with which a class of the history is hidden in training; 1 hides it always.

    Raises:
        Incompatible: The target is no row of classes, or the widths differ.
    """

    def __init__(
        self,
        who: str,
        latent_dim: int,
        target: TargetSpec,
        body: BodyName,
        hidden: tuple[int, ...],
        word_dropout: float,
    ) -> None:
        super().__init__()
        classes, self.length = check_row(who, body, target)
        width, depth = check_widths(who, body, hidden)
        self.start, self.hidden_class, self.word_dropout = classes, classes + 1, word_dropout
        self.embedding = nn.Embedding(classes + 2, width)
        self.enter = nn.Linear(latent_dim, width)
        self.body = GruBody(latent_dim, width, depth) if body == "gru" else TransformerBody(width, depth)
        self.last = nn.Linear(width, classes)

    def history(self, target: Target, draws: Draws | None) -> Int[Tensor, "B L"]:
        """Return what each position is shown of the one before it: a class, the start, or that it is hidden."""
        words = most_likely_class(target)
        if target.weight is not None:
            words = words.where(target.weight > 0, self.hidden_class)
        previous = F.pad(words[:, :-1], (1, 0), value=self.start)
        if self.word_dropout == 1 or (self.training and self.word_dropout and draws is not None):
            kept = previous == self.start
            if self.word_dropout < 1 and draws is not None:
                kept = kept | draws.bernoulli("word dropout", 1 - self.word_dropout, self.length)
            previous = previous.where(kept, self.hidden_class)
        return previous

    def forward(self, code: Float[Tensor, "N D"], history: Int[Tensor, "N L"]) -> Float[Tensor, "N L C"]:
        """Return the logits of every position, given the classes before."""
        vectors = self.embedding(history) + self.enter(code)[:, None]
        logits: Tensor = self.last(self.body(code, vectors, None)[0])
        return logits

    def generate(
        self, code: Float[Tensor, "N D"], sampling: Sampling = GREEDY, draws: Draws | None = None
    ) -> tuple[Int[Tensor, "N L"], Float[Tensor, "N L C"]]:
        """Return rows chosen class by class, each given those before it, and the logits that they are chosen by.

        Args:
            code: Of every row.
            sampling: How a class is chosen.
            draws: One for every code; what takes the most likely class needs none.
        """
        previous = torch.full((len(code),), self.start, device=code.device)
        place, memory, rows, logits = self.enter(code), None, list[Tensor](), list[Tensor]()
        for number in range(self.length):
            vectors, memory = self.body(code, (self.embedding(previous) + place)[:, None], memory)
            logits.append(self.last(vectors)[:, 0].float())
            unit = code.new_zeros(len(code)) if draws is None else draws.uniform(f"position {number}")
            chosen = sampling(logits[-1], unit)
            rows.append(chosen)
            previous = torch.full_like(chosen, self.hidden_class) if self.word_dropout == 1 else chosen
        return torch.stack(rows, 1), torch.stack(logits, 1)


class GruBody(nn.Module):
    """Layers of gated recurrent units, which begin in a state that is a linear map of the code."""

    def __init__(self, latent_dim: int, width: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.begin = nn.Linear(latent_dim, depth * width)
        self.layers = nn.GRU(width, width, depth, batch_first=True)

    def forward(
        self, code: Float[Tensor, "N D"], vectors: Float[Tensor, "N L W"], state: Tensor | None
    ) -> tuple[Float[Tensor, "N L W"], Tensor]:
        """Return what is made of positions that follow the state, and the state after them; None at first."""
        if state is None:
            state = self.begin(code).tanh().unflatten(1, (self.depth, -1)).transpose(0, 1).contiguous()
        with torch.autocast("cpu", enabled=False):  # few CPUs have recurrent units in bfloat16
            made, state = self.layers(vectors.float(), state.float())
        return made, state


class TransformerBody(nn.Module):
    """Causal blocks of attention with rotary positions."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.heads = next(count for count in range(-(-width // HEAD_WIDTH), width + 1) if width % (2 * count) == 0)
        self.blocks = nn.ModuleList(Block(width, self.heads, MULTIPLE * width, True, 0.0) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        initialize(self, depth)

    def forward(
        self, code: Float[Tensor, "N D"], vectors: Float[Tensor, "N L W"], memory: list[Pair] | None
    ) -> tuple[Float[Tensor, "N L W"], list[Pair]]:
        """Return what is made of positions, or of one that follows the remembered ones, and the memory after them."""
        start = 0 if memory is None else memory[0][0].shape[2]
        angles = rotary_angles(start + vectors.shape[1], vectors.shape[2] // self.heads, vectors.device)[start:]
        after = []
        for number, block in enumerate(self.blocks):
            vectors, pair = block(vectors, None, angles, None if memory is None else memory[number])
            after.append(pair)
        return self.norm(vectors), after


def check_row(who: str, body: str, target: Any) -> tuple[int, int]:
    """Return how many classes and positions a target has; raise Incompatible unless it is classes in a row."""
    if not isinstance(target, Categories) or len(target.grid) != 1 or target.views is not None:
        shape = f"grid {target.grid}" + ("" if target.views is None else f" of {target.views} views")
        raise Incompatible(
            who,
            f"classes in a row, such as the words of a sentence, for objective.decoder={body}",
            f"{target.kind} on a {shape}",
            "Set objective.decoder=perceptron, or choose text.",
        )
    return target.classes, target.grid[0]


def check_widths(who: str, body: str, hidden: tuple[int, ...]) -> tuple[int, int]:
    """Return width and number of layers; raise Incompatible unless there are some of one width, even for attention."""
    if not hidden or len(set(hidden)) > 1 or (body == "transformer" and hidden[0] % 2):
        raise Incompatible(
            who,
            f"one width for all layers of objective.decoder={body}" + (", an even one" if body != "gru" else ""),
            f"objective.hidden={hidden}",
            "Set objective.hidden=256, or 256,256 for two layers.",
        )
    return hidden[0], len(hidden)
