"""Data of a user's own: tensors, pairs, map-style data sets and tables become the samples of both parts."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pretask import Labels, Observed, PretaskError, Samples
from pretask.own_data import as_data
from torch.utils.data import Subset, TensorDataset

IMAGES = torch.arange(20 * 3 * 4 * 4, dtype=torch.float64).remainder(251).to(torch.uint8).reshape(20, 3, 4, 4)
CLASSES = torch.arange(20) % 2


class Rows:
    """A map-style data set of what a function gives for a number."""

    classes = ("cat", "dog")

    def __init__(self, row: Any) -> None:
        self.row = row

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, number: int) -> Any:
        return self.row(number)


def picture(number: int) -> Image.Image:
    return Image.fromarray(IMAGES[number].permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    "given",
    [
        IMAGES,
        IMAGES.permute(0, 2, 3, 1).numpy(),
        (IMAGES, CLASSES),
        (IMAGES.permute(0, 2, 3, 1).numpy(), CLASSES.numpy()),
        Rows(lambda number: IMAGES[number]),
        Rows(lambda number: (picture(number), int(CLASSES[number]))),
        Rows(lambda number: (IMAGES[number], CLASSES[number])),
        Rows(lambda number: {"label": number % 2, "image": picture(number), "text": "a"}),
    ],
)
def test_images_in_any_form_are_the_same_samples_of_which_every_tenth_is_for_testing(given: Any) -> None:
    data = as_data(given)
    train, test = data("train"), data("test")
    is_test = torch.arange(20) % 10 == 9
    assert torch.equal(train.data, IMAGES[~is_test])
    assert torch.equal(test.data, IMAGES[is_test])
    assert train.observed == Observed("image", (3, 4, 4), "uint8", 18)
    if train.labels:
        assert torch.equal(test.labels["class"].value, CLASSES[is_test])
    assert train.fingerprint == as_data(given)("train").fingerprint != test.fingerprint


def test_data_sets_of_torch_are_read_as_their_tensors_are() -> None:
    data = TensorDataset(IMAGES, CLASSES)
    for given in (data, {"train": Subset(data, range(18)), "test": Subset(data, [18, 19])}):
        train = as_data(given)("train")
        assert torch.equal(train.data, IMAGES[torch.arange(20) % 10 != 9] if given is data else IMAGES[:18])
        assert train.labels["class"].names == ("0", "1")


@pytest.mark.exhaustive
def test_data_sets_of_the_datasets_library_are_read_with_the_names_of_their_classes() -> None:
    import datasets

    columns = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"image": [picture(number) for number in range(20)], "label": CLASSES.tolist()}
    table = datasets.Dataset.from_dict(rows, features=columns)
    is_test = torch.arange(20) % 10 == 9
    parts = datasets.DatasetDict({"train": table.select(range(18)), "validation": table.select([18, 19])})
    for given, kept in ((table, ~is_test), (table.with_format("torch"), ~is_test), (parts, torch.arange(20) < 18)):
        train = as_data(given)("train")
        assert torch.equal(train.data, IMAGES[kept])
        assert train.labels["class"].names == ("cat", "dog")
        assert torch.equal(train.labels["class"].value, CLASSES[kept])
    with pytest.raises(PretaskError, match="data needs rows with an image, a clip, tokens or a waveform; got text"):
        as_data(datasets.Dataset.from_dict({"text": ["a"] * 20, "label": CLASSES.tolist()}))


def test_classes_may_be_names_and_both_parts_share_one_vocabulary() -> None:
    named = as_data((IMAGES, [("cat", "dog")[number] for number in CLASSES]))("train").labels["class"]
    assert named.names == ("cat", "dog")
    assert torch.equal(named.value, CLASSES[torch.arange(20) % 10 != 9])
    tokens = as_data({"train": torch.tensor([[1, 2]]), "test": torch.tensor([[5, 0]])})
    assert [tokens(part).observed.vocabulary.size for part in ("train", "test")] == [6, 6]  # type: ignore[union-attr]
    assert as_data(torch.zeros(10, 50, requires_grad=True))("train").observed.modality == "audio"


def test_parts_labels_and_names_of_classes_are_kept_where_they_are_given() -> None:
    data = as_data(
        {"train": Rows(lambda number: (IMAGES[number], number % 2)), "validation": (IMAGES[:4], CLASSES[:4])}
    )
    assert data("train").labels["class"].names == ("cat", "dog")
    assert data("test").labels["class"].names == ("0", "1")
    assert (len(data("train")), len(data("test"))) == (20, 4)
    samples = Samples(Observed("image", (3, 4, 4), "uint8", 20), IMAGES, {"kind": Labels(CLASSES, ("a", "b"))})
    assert as_data(samples)("test").fingerprint


@pytest.mark.parametrize(
    ("given", "observed"),
    [
        (torch.zeros(10, 5, dtype=torch.int64), ("text", (5,))),
        (np.zeros((10, 50)), ("audio", (50,))),
        (np.zeros((10, 2, 4, 4, 3), np.uint8), ("video", (2, 3, 4, 4))),
        (np.zeros((10, 4, 4), np.uint8), ("image", (1, 4, 4))),
    ],
)
def test_the_modality_of_arrays_is_told_by_their_axes_and_kind(given: Any, observed: Any) -> None:
    found = as_data(given)("train").observed
    assert (found.modality, found.shape) == observed


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (3, "data needs samples; got int"),
        ("shapes.zip", "data needs samples; got str"),
        ({"train": IMAGES}, "data needs parts named train and test; got train"),
        (torch.zeros(3, 2, 2, 2, 2, 2), "float waveforms; got float32 of shape (3, 2, 2, 2, 2, 2)"),
        (Rows(lambda number: IMAGES[0, :, : 2 + number % 2]), "data needs samples of one shape"),
        ((IMAGES, CLASSES[:3]), "data needs a class for each of 20 samples; got 3"),
        ([], "data needs samples; got an empty data set"),
        ((IMAGES, CLASSES - 5), "data needs class numbers from 0 to 1048575; got -5"),
        ((IMAGES, CLASSES + 2**40), "data needs class numbers from 0 to 1048575; got 1099511627777"),
        ((IMAGES, CLASSES / 3), "data needs class numbers, whole ones; got float32"),
        ((IMAGES, CLASSES[:, None]), "data needs a class for each of 20 samples; got 20 of shape (20, 1)"),
        ((IMAGES, [*CLASSES.tolist()[:-1], "a"]), "data needs class numbers or names; got"),
        (IMAGES[:9], "data needs at least 10 samples, of which every tenth is for testing; got 9"),
        (IMAGES[:, :, :0], "data needs samples that hold something; got uint8 of shape (20, 3, 0, 4)"),
        (CLASSES[:, None] - 1, "data needs token ids from 0 on; got -1"),
        (torch.full((20, 4), torch.nan), "data needs finite waveforms; got NaN or infinity"),
        ({"train": IMAGES, "test": IMAGES[..., :3]}, "like those to learn from, (3, 4, 4); got image of (3, 4, 3)"),
    ],
)
def test_what_is_no_data_is_an_error_with_the_forms_that_are(given: Any, told: str) -> None:
    with pytest.raises(PretaskError) as error:
        as_data(given)
    assert told in str(error.value)
