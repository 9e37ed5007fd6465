"""Retrieval: nearest images by cosine are counted by hand, and nearest places are where the same pixels are."""

from dataclasses import replace

import pytest
import torch
from pretask import Features, FeatureSpec, Inputs, InputSpec, Labels, Observed, PretaskError, Samples, Task
from pretask.composition import compose
from pretask.recipe import Recipe
from pretask_plugins.evaluators.probes.knn import NearestNeighbors
from pretask_plugins.evaluators.probes.nearest_moments import draw_moments, find_moments, read_moments
from pretask_plugins.evaluators.probes.nearest_places import cut, draw_places, find_places, read_maps, take_pictures
from pretask_plugins.evaluators.probes.retrieval import Retrieval, average_precision, search
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.splits.masked_splits import past_from_present
from pretask_plugins.splits.whole import Whole
from torch import nn
from torch.nn import functional as F


def test_precision_is_counted_in_the_order_of_cosines_whatever_the_lengths() -> None:
    rows = torch.tensor([[1.0, 0.0], [9.0, 9.0], [0.0, 5.0], [-1.0, 0.0]])
    found = search(rows, torch.tensor([0, 1, 0, 0]), torch.tensor([[3.0, 1.0]]), torch.tensor([0]), 2)
    assert found.nearest.tolist() == [[0, 1]]
    assert found.relevant.tolist() == [[True, False]]
    assert found.precision.item() == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_a_query_without_any_relevant_image_has_precision_0() -> None:
    assert average_precision(torch.tensor([[False, False], [False, True]])).tolist() == [0, 0.5]


@pytest.mark.parametrize("k", [(), (0, 5)])
def test_no_numbers_of_neighbors_are_refused(k: tuple[int, ...]) -> None:
    for evaluator in (Retrieval, NearestNeighbors):
        with pytest.raises(PretaskError, match="numbers of neighbors from 1"):
            evaluator(k=k)


class Pixels(nn.Module):
    """Cells of 4 x 4 pixels as they are."""

    def __init__(self, *specs: InputSpec) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def features(self, spec: InputSpec) -> FeatureSpec:
        return FeatureSpec(16, (spec.shape[1] // 4, spec.shape[2] // 4))

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        tokens = F.unfold(inputs.data[:, 0], 4, stride=4).transpose(1, 2)[:, None] + 0 * self.unused
        grid = (inputs.data.shape[-2] // 4, inputs.data.shape[-1] // 4)
        found = Features({"all": tokens}, {"all": tokens.mean(2)}, grid)
        return replace(found, layers=(found,)) if layers else found


@pytest.fixture(scope="module")
def task() -> Task:
    return compose(Observed("image", (1, 16, 16), "uint8", 8), Whole(), Pixels, Elbo)


def test_the_nearest_place_is_where_the_same_pixels_are(task: Task) -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 1, 16, 16), dtype=torch.uint8, generator=draw)
    query = torch.randint(0, 256, (1, 1, 16, 16), dtype=torch.uint8, generator=draw)
    images[5, 0, 8:12, 4:8] = query[0, 0, 0:4, 12:16]  # cell 9 of image 5 is cell 3 of the query
    maps = read_maps(task, query)
    assert maps is not None
    wanted = F.normalize(maps.flatten(2)[:, :, 3], dim=1)
    assert find_places(task, images, wanted, 3)[0][0] == (5, 9)


def test_what_is_cut_out_lies_around_the_cell_and_inside_the_image() -> None:
    image = torch.arange(32 * 32).view(1, 32, 32).to(torch.uint8)
    assert torch.equal(cut(image, 0, (8, 8)), image[:, :16, :16])
    assert torch.equal(cut(image, 63, (8, 8)), image[:, 16:, 16:])
    assert torch.equal(cut(image, 8 * 4 + 4, (8, 8)), image[:, 10:26, 10:26])


def test_places_are_drawn_for_whoever_keeps_a_map(task: Task) -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 1, 16, 16), dtype=torch.uint8, generator=draw)
    labels = {"class": Labels(torch.zeros(8, dtype=torch.long), ("one",))}
    samples = Samples(Observed("image", (1, 16, 16), "uint8", 8), images, labels)
    found = draw_places(task, lambda part: samples, 0, 3, 4)
    assert found is not None
    assert found.png.startswith(b"\x89PNG")


class Frames(Pixels):
    """A frame is what its pixels are, one vector each."""

    def features(self, spec: InputSpec) -> FeatureSpec:
        return FeatureSpec(16, (1, 1), spec.views, ("present",))

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        tokens = inputs.data.flatten(2)[:, :, None] + 0 * self.unused
        found = Features({"present": tokens}, {"present": tokens[:, :, 0]}, (1, 1))
        return replace(found, layers=(found,)) if layers else found


def test_the_nearest_moment_is_the_frame_with_the_same_pixels_in_whichever_clip() -> None:
    observed = Observed("video", (6, 1, 4, 4), "uint8", 9)
    task = Task("a test", past_from_present(patch=4), Frames(), nn.Identity(), Recipe(), observed, torch.device("cpu"))
    clips = torch.randint(0, 256, (9, 6, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    asked = torch.randint(0, 256, (1, 6, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    clips[7, 2] = asked[0, 5]
    train, test = Samples(observed, clips), Samples(observed, asked)
    queries, found = read_moments(task, test, torch.arange(1)), read_moments(task, train, torch.arange(9))
    assert queries is not None
    assert found is not None
    clip, view = find_moments(queries.vectors[0, 5:], found.vectors, 4)
    assert (int(clip[0, 0]), int(view[0, 0])) == (7, 2)
    assert len({*clip[0].tolist()}) == 4, "one moment of a clip"
    figure = draw_moments(task, train, test, 0, 2, 3)
    assert figure is not None
    assert figure.png.startswith(b"\x89PNG")
    assert torch.equal(take_pictures(clips), clips[:, 3])
