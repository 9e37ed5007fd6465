"""Figures of the masked splits: the rows are the truth, what x shows, and what the task predicts."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import Batch, Draws, Observed, Task
from pretask.composition import compose
from pretask_plugins.models.mlp import Mlp
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.shared.pictures import fit_images
from pretask_plugins.splits.masked_splits import any_from_any, future_from_past, past_from_present, top_from_bottom

RNG = np.random.default_rng(0)
IMAGES = torch.from_numpy(RNG.integers(0, 256, (6, 3, 16, 16), dtype=np.uint8))
CLIPS = torch.from_numpy(RNG.integers(0, 256, (2, 8, 3, 16, 16), dtype=np.uint8))


class Predicting(Task):
    """A task of which only the predictions exist."""

    def __init__(self, predict: Any) -> None:
        object.__setattr__(self, "predict", predict)
        object.__setattr__(self, "objective", None)


def figure_rows(split: Any, data: torch.Tensor, predict: Any) -> tuple[np.ndarray, str]:
    """The rows (R, B, H, W, 3) of the only figure, at the size of the data, and its caption."""
    batch = Batch(data)
    (figure,) = split.figures(Predicting(predict), batch)
    image = np.asarray(Image.open(BytesIO(figure.png)))[::3, ::3]  # 16 pixels are drawn as 48
    columns = image.shape[1] // 16
    return image.reshape(-1, 16, columns, 16, 3).transpose(0, 2, 1, 3, 4), figure.caption


def the_truth(split: Any) -> Any:
    def predict(batch: Batch, draws: Draws) -> dict[str, torch.Tensor]:
        return {"pixels": split(batch, draws.branch("split"))[1]["pixels"].value}

    return predict


@pytest.mark.parametrize(
    ("split", "data"),
    [(any_from_any(), IMAGES), (top_from_bottom(), IMAGES), (any_from_any(), CLIPS), (future_from_past(), CLIPS)],
)
def test_the_rows_are_truth_sight_and_prediction(split: Any, data: torch.Tensor) -> None:
    rows, caption = figure_rows(split, data, the_truth(split))
    images = data if data.ndim == 4 else data[0]
    truth = images.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(rows[0], truth)
    hidden = (rows[1] == 128).all(-1)
    assert 0.4 < hidden.mean() < 0.6
    assert np.array_equal(rows[1][~hidden], truth[~hidden])
    assert np.array_equal(rows[2], truth)
    assert caption.endswith("what was shown of them, and what is predicted for the rest.")


def test_what_is_neither_shown_nor_predicted_stays_gray_and_other_predictions_are_left_out() -> None:
    split = past_from_present()
    rows, _ = figure_rows(split, CLIPS, the_truth(split))
    gray = [(frame == 128).all() for frame in rows[2]]
    assert any(gray)
    assert not all(gray)
    rows, caption = figure_rows(split, CLIPS, lambda batch, draws: {"pixels": torch.zeros(1, 7)})
    assert len(rows) == 2
    assert caption.endswith("what was shown of them.")


def test_text_and_sound_have_no_figures() -> None:
    tokens = Batch(torch.zeros(2, 16, dtype=torch.int64))
    assert list(any_from_any().figures(Predicting(None), tokens)) == []


def test_large_images_are_averaged_over_areas() -> None:
    large = torch.full((1, 3, 320, 160), 7, dtype=torch.uint8)
    assert torch.equal(fit_images(large), torch.full((1, 3, 80, 40), 7, dtype=torch.uint8))


def test_an_objective_with_latent_variables_shows_several_draws_of_what_is_hidden() -> None:
    split = top_from_bottom()
    observed = Observed("image", (3, 16, 16), "uint8", len(IMAGES))
    task = compose(observed, split, Mlp, lambda *specs: Elbo(*specs, latent_dim=2, hidden=(8,)))
    with torch.no_grad():
        task.objective.to_code.bias[2:] = 3  # a wide posterior, so that draws differ
    (figure,) = split.figures(task, Batch(IMAGES))
    image = np.asarray(Image.open(BytesIO(figure.png)))[::3, ::3]
    rows = image.reshape(-1, 16, len(IMAGES), 16, 3).transpose(0, 2, 1, 3, 4)
    assert figure.caption.endswith("and what is predicted for the rest, and 4 draws of it.")
    assert len(rows) == 7
    visible = (rows[1] != 128).any(-1)
    for one in rows[3:]:
        assert np.array_equal(one[visible], rows[0][visible])
        assert not np.array_equal(one[~visible], rows[2][~visible])
