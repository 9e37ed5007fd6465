"""Nearest places: pictures of queries with the training images, or the places of these, whose features are nearest.

Axes: N images, K neighbors, C channels, H W image, h w map, D width, P places.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int, UInt8
from pretask import Batch, Data, Draws, Figure, Task
from pretask.pretext_score import evaluation_mode
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.probes.moments import normalize_rows
from pretask_plugins.shared.feature_maps import read_map
from pretask_plugins.shared.pictures import encode_png, fit_images, tile_rows

SEARCHED = 256  # training images whose places are looked at
AT_ONCE = 64  # images that are encoded together
CUT = 4  # sides of a map's cell in the side of what is cut out around a place
GAP = 3  # pixels


def draw_images(data: Data, queries: Int[Tensor, " N"], nearest: Int[Tensor, "N K"]) -> Figure:
    """Draw test images, each with the training images that are nearest to it, by their numbers; clips by one frame."""
    test, train = (take_pictures(data(part).data) for part in ("test", "train"))
    rows = [
        torch.cat([test[query][None], train[found]]) for query, found in zip(queries.tolist(), nearest, strict=True)
    ]
    return draw_rows(rows, "Held-out images (left), and the training images whose features are nearest to theirs.")


def take_pictures(data: UInt8[Tensor, "N ..."]) -> UInt8[Tensor, "N C H W"]:
    """Return images as they are, and of clips (N, T, C, H, W) the frame in the middle."""
    return data[:, data.shape[1] // 2] if data.ndim == 5 else data


def draw_places(task: Task, data: Data, seed: int, queries: int, count: int) -> Figure | None:
    """Draw places of test images, each with the nearest places of training images; None where no layer keeps a map."""
    test, train = data("test").data, data("train").data
    samples = train[: min(SEARCHED, len(train))]
    index = Draws(torch.arange(queries), seed).branch("places").integers("image", 0, len(test))
    maps = read_maps(task, test[index])
    if maps is None:
        return None
    height, width = maps.shape[2:]
    cell = Draws(torch.arange(queries), seed).branch("places").integers("cell", 0, height * width)
    wanted = normalize_rows(maps.flatten(2)[torch.arange(queries), :, cell])
    found = find_places(task, samples, wanted, count)
    rows = []
    for number in range(queries):
        first = cut(test[int(index[number])], int(cell[number]), (height, width))
        others = [cut(samples[image], place, (height, width)) for image, place in found[number]]
        rows.append(torch.stack([first, *others]))
    return draw_rows(rows, "Places of held-out images (left), and the places of training images with nearest features.")


def read_maps(task: Task, images: UInt8[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"] | None:
    """Return the map of the deepest layer that keeps one; None where none does."""
    with evaluation_mode(task), torch.no_grad():
        features = task.encode(Batch(images.to(task.device)), layers=True)
    layers = [layer for layer in (features.layers or (features,)) if len(layer.grid) == 2]
    return read_map(layers[-1]).cpu() if layers else None


def find_places(
    task: Task, images: UInt8[Tensor, "N C H W"], wanted: Float[Tensor, "P D"], count: int
) -> list[list[tuple[int, int]]]:
    """Return for every wanted place the images and cells that are nearest, one cell of an image, nearest first."""
    values, cells = [], []
    for some in torch.split(images, AT_ONCE):
        maps = read_maps(task, some)
        assert maps is not None  # as the queries have them
        cosine = torch.einsum("pd,ndc->pnc", wanted, F.normalize(maps.flatten(2), dim=1))
        best = cosine.max(2)
        values.append(best.values)
        cells.append(best.indices)
    value, cell = torch.cat(values, 1), torch.cat(cells, 1)
    order = value.argsort(dim=1, descending=True)[:, :count]
    return [[(image, int(cell[row, image])) for image in found] for row, found in enumerate(order.tolist())]


def cut(image: UInt8[Tensor, "C H W"], cell: int, grid: tuple[int, int]) -> UInt8[Tensor, "C s s"]:
    """Cut out what lies around a cell of a map, a few cells wide, inside the image."""
    rows, columns = image.shape[1:]
    side = min(rows, columns, max(CUT * max(rows // grid[0], columns // grid[1]), 8))
    middle = ((cell // grid[1] + 0.5) * rows / grid[0], (cell % grid[1] + 0.5) * columns / grid[1])
    top, left = (
        min(max(round(place - side / 2), 0), length - side)
        for place, length in zip(middle, (rows, columns), strict=True)
    )
    return image[:, top : top + side, left : left + side]


def draw_rows(rows: list[UInt8[Tensor, "K C H W"]], caption: str) -> Figure:
    """Draw rows of images, with a gap after each first one."""
    return Figure(encode_png(tile_rows(torch.stack([*pad_rows(rows)])).numpy()), caption)


def pad_rows(rows: list[UInt8[Tensor, "K C H W"]]) -> Iterator[UInt8[Tensor, "K 3 h w"]]:
    """Yield rows of colors at a size that can be looked at, with white between the images."""
    for row in rows:
        colors = row if row.shape[1] == 3 else row[:, :1].expand(-1, 3, -1, -1)
        shown = F.pad(fit_images(colors), (0, GAP, 0, GAP), value=255)
        shown = F.pad(shown, (0, 2 * GAP), value=255)
        yield shown
