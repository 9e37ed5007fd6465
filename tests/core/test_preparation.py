"""What an encoder takes: pictures of any size and mode, texts, clips and recordings, and errors for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import Observed, PretaskError, Vocabulary
from pretask.preparation.clips import crop_squares
from pretask.preparation.prepare import Preparation

COLORS, GRAY = Observed("image", (3, 8, 8)), Observed("image", (1, 8, 8))
CLIPS = Observed("video", (4, 3, 8, 8), rate=10)
WAVES = Observed("audio", (6,), "float32", rate=4)
WORDS = Observed("text", (4,), "int64", vocabulary=Vocabulary(12, (("pad", 0), ("end", 3), ("unknown", 6))))
RED, HALF_RED = (200, 0, 0), (200, 0, 0, 0)


@dataclass(frozen=True)
class Given:
    observed: Observed
    inputs: Any
    rate: float | None = None
    tokenizer: str | None = None


def words_tokenizer() -> str:
    """A tokenizer of three words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"[UNKNOWN]": 6, "a": 7, "b": 8, "c": 9}, unk_token="[UNKNOWN]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    text: str = made.to_str()
    return text


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", (30, 12), RED),
        Image.new("RGBA", (12, 30), (*RED, 255)),
        np.full((9, 9, 3), RED, np.uint8),
        np.ascontiguousarray(np.full((9, 9, 3), RED, np.uint8).transpose(2, 0, 1)),
        torch.tensor(RED, dtype=torch.uint8)[:, None, None].expand(3, 20, 11),
        torch.tensor(RED, dtype=torch.uint8)[:, None, None].expand(3, 8, 8),
    ],
)
def test_a_picture_of_any_size_and_form_fills_the_encoders(picture: Any) -> None:
    batch = Preparation(COLORS)([picture, picture])
    assert batch.data.shape == (2, 3, 8, 8)
    assert batch.data[0, :, 3, 3].tolist() == [*RED]
    assert Preparation(COLORS)(picture).data.shape == (1, 3, 8, 8)


def test_what_is_transparent_lies_on_white_and_gray_becomes_colors_and_back() -> None:
    clear = Image.new("RGBA", (9, 9), HALF_RED)
    assert Preparation(COLORS)(clear).data.unique().tolist() == [255]
    assert Preparation(COLORS)(np.full((9, 9, 4), HALF_RED, np.uint8)).data.unique().tolist() == [255]
    assert Preparation(COLORS)(np.full((9, 9), 7, np.uint8)).data[0, :, 0, 0].tolist() == [7, 7, 7]
    assert Preparation(GRAY)(np.full((5, 9, 9), 7, np.uint8)).data.shape == (5, 1, 8, 8)
    assert Preparation(GRAY)(Image.new("RGB", (9, 9), (7, 7, 7))).data.unique().tolist() == [7]


def test_a_wide_picture_is_cut_in_its_middle() -> None:
    picture = np.zeros((8, 24, 3), np.uint8)
    picture[:, 8:16] = 255
    assert Preparation(COLORS)(picture).data.unique().tolist() == [255]
    assert crop_squares(picture[None], 8).min() == 255


def test_clips_of_any_length_keep_their_middle_or_are_padded_and_said_to_be() -> None:
    times = np.broadcast_to(np.arange(9, dtype=np.uint8)[:, None, None, None], (9, 16, 12, 3))
    batch = Preparation(CLIPS)([times, times[:3], torch.tensor(times[:6]).movedim(3, 1)])
    assert batch.data[:, :, 0, 0, 0].tolist() == [[2, 3, 4, 5], [0, 1, 2, 2], [1, 2, 3, 4]]
    assert batch.present is not None
    assert batch.present.sum(1).tolist() == [4, 3, 4]
    assert Preparation(CLIPS)([times], rate=20).data[0, :, 0, 0, 0].tolist() == [0, 2, 4, 6]
    gray = times[..., :1]
    assert Preparation(CLIPS)(gray).data.shape == (1, 4, 3, 8, 8)


def test_recordings_are_brought_to_one_rate_length_and_channel() -> None:
    ones = np.ones(8, np.float32)
    batch = Preparation(WAVES)([ones, ones[:3], np.stack([0 * ones, ones], 1), (ones * 16384).astype(np.int16)], rate=4)
    assert batch.data[:, 2].tolist() == [1, 1, 0.5, 0.5]
    assert batch.present is not None
    assert batch.present.sum(1).tolist() == [6, 3, 6, 6]
    slower = Preparation(WAVES)(np.ones((2, 40), np.float32), rate=16)
    assert slower.present is None
    assert float(slower.data[0, 3]) == pytest.approx(1, abs=0.05)  # but for the filter's ripple


def test_texts_become_rows_that_end_as_those_that_were_trained_on() -> None:
    prepare = Preparation(WORDS, tokenizer=words_tokenizer())
    batch = prepare(["a b", "c", "a b c a b", ""])
    assert batch.data.tolist() == [[7, 8, 3, 0], [9, 3, 0, 0], [7, 8, 9, 3], [3, 0, 0, 0]]
    assert batch.present is not None
    assert batch.present.sum(1).tolist() == [3, 2, 4, 1]
    assert torch.equal(prepare("a z").data, torch.tensor([[7, 6, 3, 0]]))
    assert prepare(torch.tensor([[7, 3], [8, 3]])).data.tolist() == [[7, 3, 0, 0], [8, 3, 0, 0]]


def test_every_batch_says_what_is_padding_where_the_samples_did() -> None:
    whole = np.ones((1, 6), np.float32)
    assert Preparation(WAVES)(whole, rate=4).present is None
    assert Preparation(WAVES, padded=True)(whole, rate=4).present is not None


REFUSED: Mapping[str, tuple[Given, str]] = {
    "no image": (Given(COLORS, []), "needs at least one image; got none"),
    "no clip": (Given(CLIPS, []), "needs at least one clip; got none"),
    "no sentence": (Given(WORDS, [], tokenizer="{}"), "needs at least one sentence; got none"),
    "no recording": (Given(WAVES, [], 4), "needs at least one recording; got none"),
    "text for images": (Given(COLORS, ["a cat"]), "needs images; got text, 'a cat'. Open files with PIL.Image.open"),
    "no pixels": (Given(COLORS, [np.zeros((0, 5, 3), np.uint8)]), "images of at least one pixel; got 0 x 5"),
    "text for clips": (Given(CLIPS, ["a cat"]), "needs clips; got text, 'a cat'. It was trained on video data"),
    "floats": (Given(COLORS, torch.zeros(2, 3, 8, 8)), "images of uint8, 0 to 255; got float32 of shape (3, 8, 8)"),
    "five channels": (Given(COLORS, [np.zeros((9, 9, 5), np.uint8)]), "images of 1 to 4 channels; got uint8 of shape"),
    "deep levels": (Given(COLORS, Image.new("F", (9, 9))), "images of 8 or 16 bits a channel; got 32 bits a channel"),
    "bands": (Given(Observed("image", (7, 8, 8)), Image.new("RGB", (9, 9))), "uint8 images of shape (7, 8, 8)"),
    "one image for clips": (Given(CLIPS, np.zeros((8, 8, 3), np.uint8)), "clips of uint8, (T, H, W, C); got uint8"),
    "no rate": (Given(WAVES, np.zeros(9)), "needs the rate of the recordings (its own is 4 Hz); got none"),
    "no such rate": (
        Given(WAVES, np.zeros(9), float("nan")),
        "needs a rate from 0.001 to 10,000,000 a second; got nan",
    ),
    "clips of nothing": (
        Given(CLIPS, np.zeros((4, 0, 8, 3), np.uint8)),
        "clips of at least one pixel; got uint8 of shape",
    ),
    "NaN": (Given(WAVES, np.full(9, np.nan), 4), "needs finite samples"),
    "images for text": (Given(WORDS, [Image.new("RGB", (9, 9))]), "needs sentences, a list of texts; got a list with"),
    "no tokenizer": (Given(WORDS, ["a"]), "needs token ids, since its data named no tokenizer; got text"),
    "strange ids": (Given(WORDS, torch.tensor([[12]])), "needs ids below 12, its vocabulary; got 12"),
    "another kind": (Given(Observed("points", (5,), "float32"), np.zeros((2, 4))), "points samples: float32 of shape"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_read_is_an_error_with_the_way_out(case: str) -> None:
    given, told = REFUSED[case]
    with pytest.raises(PretaskError) as error:
        Preparation(given.observed, tokenizer=given.tokenizer)(given.inputs, given.rate)
    assert str(error.value).startswith("the encoder needs")
    assert told in str(error.value)
