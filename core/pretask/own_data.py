"""Own data: tensors, map-style data sets and tables of a user as the two parts that a run learns from and is tested on.

Axes: N samples, C channels, H W image, T frames, L tokens, S samples of a waveform.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pretask.cache import fingerprint
from pretask.errors import PretaskError
from pretask.preparation import arrays
from pretask.preparation.flat_images import flatten_image
from pretask.preparation.images import find_channels, is_bytes, read_image
from pretask.protocols import Data
from pretask.samples import Labels, Samples
from pretask.specs import Observed, Vocabulary

MAX_CLASSES = 1 << 20
TEST_PERIOD = 10  # every tenth sample is for testing, where nothing says which are
PARTS = ("train", "test")
TEST_NAMES = ("test", "validation", "val")
FORMS = {  # modality of tensors by number of axes and kind
    (4, "uint8"): "image",
    (5, "uint8"): "video",
    (2, "int64"): "text",
    (2, "float32"): "audio",
}
DO = "Give Samples, tensors, (tensor, labels), a map-style Dataset, or {'train': …, 'test': …} of them."


@dataclass(frozen=True, eq=False)
class OwnData:
    """Samples of both parts that are in memory."""

    train: Samples
    test: Samples

    def __call__(self, part: str, /) -> Samples:
        """Return one part."""
        return self.train if part == "train" else self.test

    @property
    def content(self) -> str:
        """What tells it from other data."""
        return f"{self.train.fingerprint} {self.test.fingerprint}"


def as_data(given: Any) -> Data:
    """Return what a user has as data.

    Args:
        given: Data as plugins have it; Samples; a tensor or an array of uint8 images (N, C, H, W) or (N, H, W, C), of
            uint8 clips, int64 tokens or float waveforms; a pair of one with class numbers; a map-style data set of
            images with or without a class; or a mapping with `train` and `test` of these. Of what has no parts, every
            tenth sample is for testing.

    Raises:
        PretaskError: It is none of these, or its samples differ in shape.
    """
    if isinstance(given, Mapping):
        test = next((name for name in TEST_NAMES if name in given), None)
        if "train" not in given or test is None:
            raise refuse("parts named train and test", ", ".join(map(str, given)) or "an empty mapping")
        return join_parts(as_samples(given["train"]), as_samples(given[test]))
    if callable(given) and not isinstance(given, Samples | Tensor):
        data: Data = given
        return data
    samples = as_samples(given)
    if len(samples) < TEST_PERIOD:
        raise refuse(f"at least {TEST_PERIOD} samples, of which every tenth is for testing", f"{len(samples)}")
    is_test = torch.arange(len(samples)) % TEST_PERIOD == TEST_PERIOD - 1
    learned, tested = (selected.nonzero()[:, 0] for selected in (~is_test, is_test))
    return OwnData(samples.part(learned, "but every tenth"), samples.part(tested, "every tenth"))


def join_parts(train: Samples, test: Samples) -> OwnData:
    """Return both parts; raise PretaskError where their samples differ in form."""
    own, other = (replace(part.observed, samples=0, vocabulary=None) for part in (train, test))
    if own != other:
        raise refuse(f"samples for testing like those to learn from, {own.shape}", f"{other.modality} of {other.shape}")
    words = max((part.observed.vocabulary for part in (train, test)), key=lambda words: words.size if words else 0)
    train, test = (replace(part, observed=replace(part.observed, vocabulary=words)) for part in (train, test))
    return OwnData(train, test)


def as_samples(given: Any) -> Samples:
    """Return one part as samples."""
    if isinstance(given, Samples):
        return given if given.fingerprint else make_samples(given.data, None, (), given.observed)
    if isinstance(given, Tensor | np.ndarray):
        return make_samples(as_tensor(given), None, ())
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], Tensor | np.ndarray):
        return make_samples(as_tensor(given[0]), *as_labels(given[1]))
    if hasattr(given, "__len__") and hasattr(given, "__getitem__") and not isinstance(given, str | bytes):
        return read_items(given)
    raise refuse("samples", type(given).__name__)


def as_labels(given: Any) -> tuple[Tensor, tuple[str, ...]]:
    """Return class numbers, and the names of classes where they were given as names."""
    values = given.tolist() if isinstance(given, Tensor | np.ndarray) else list(given)
    if values and all(isinstance(value, str) for value in values):
        names = sorted({*values})
        numbers = {name: number for number, name in enumerate(names)}
        return torch.tensor([numbers[value] for value in values]), tuple(names)
    try:
        return torch.as_tensor(values), ()
    except (TypeError, ValueError, RuntimeError) as error:
        raise refuse("class numbers or names", str(error).splitlines()[0][:80]) from error


def as_tensor(array: Any) -> Tensor:
    """Return an array as the tensor that samples are: channels first, floats of 32 bits."""
    tensor = arrays.as_tensor(array).detach()
    if tensor.dtype == torch.uint8 and tensor.ndim == 3:
        tensor = tensor[:, None] if isinstance(array, Tensor) else tensor[..., None]  # gray images
    if tensor.dtype == torch.uint8 and tensor.ndim in (4, 5) and not has_channels_first(array, tensor):
        tensor = tensor.movedim(-1, -3)
    return (tensor.float() if tensor.is_floating_point() else tensor).contiguous()


def has_channels_first(array: Any, tensor: Tensor) -> bool:
    """Return whether images or frames have their channels before rows and columns."""
    first, last = tensor.shape[-3] in (1, 3), tensor.shape[-1] in (1, 3)
    return first and (isinstance(array, Tensor) or not last)


def read_items(items: Any) -> Samples:
    """Return a map-style data set as samples, every item decoded once."""
    pairs = [split_item(items[number]) for number in range(len(items))]
    if not pairs:
        raise refuse("samples", "an empty data set")
    arrays = [read_item(value) for value, _ in pairs]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        shown = " and ".join(str(shape) for shape in sorted(shapes)[:2])
        raise PretaskError(
            "data", "samples of one shape", shown, "Scale and cut them in the data set's transform.", exit_code=2
        )
    labels = [label for _, label in pairs]
    has_labels = all(isinstance(label, int) for label in labels)
    return make_samples(
        torch.stack(arrays), torch.tensor(labels) if has_labels else None, find_names(items) if has_labels else ()
    )


def split_item(item: Any) -> tuple[Any, int | None]:
    """Return the sample and the class number of an item: a pair, a row of a table, or the sample alone."""
    if isinstance(item, Mapping):
        values = [as_scalar(value) for value in item.values()]
        sample = next((value for value in values if not isinstance(value, int | str | float | type(None))), None)
        if sample is None:
            got = (
                "text" if any(isinstance(value, str) for value in values) else ", ".join(map(str, item)) or "empty rows"
            )
            raise refuse("rows with an image, a clip, tokens or a waveform", got)
        return sample, next((value for value in values if isinstance(value, int)), None)
    if isinstance(item, tuple | list) and item:
        label = as_scalar(item[1]) if len(item) > 1 else None
        return item[0], label if isinstance(label, int) else None
    return item, None


def as_scalar(value: Any) -> Any:
    """Return the number in a tensor or an array of none axes; anything else as it is."""
    is_scalar = isinstance(value, Tensor | np.ndarray | np.generic) and value.ndim == 0
    return value.item() if is_scalar else value


def read_item(value: Any) -> Tensor:
    """Return one sample as a tensor: pictures as (C, H, W) bytes."""
    is_array = isinstance(value, Tensor | np.ndarray)
    if is_array and not (is_bytes(value) and value.ndim in (2, 3)):
        return as_tensor(value[None])[0]
    if is_array and value.ndim == 3 and find_channels(value) is None:
        return arrays.as_tensor(value)
    image = flatten_image(read_image(value))
    pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return torch.from_numpy(pixels.copy() if pixels.ndim == 3 else pixels[..., None].copy()).permute(2, 0, 1)


def find_names(items: Any) -> tuple[str, ...]:
    """Return the names of classes that a data set of torchvision or of the datasets library has; none elsewhere."""
    features = getattr(items, "features", None)
    columns = features.values() if isinstance(features, Mapping) else ()
    found = next((column.names for column in columns if hasattr(column, "names")), getattr(items, "classes", ()))
    return tuple(map(str, found))


def make_samples(
    data: Tensor, labels: Tensor | None, names: tuple[str, ...], observed: Observed | None = None
) -> Samples:
    """Return samples of tensors, with their fingerprint."""
    observed = observed or describe(data)
    arrays = [data.numpy()] if labels is None else [data.numpy(), labels.numpy()]
    known = fingerprint(*arrays, names=names)
    if labels is None:
        return Samples(observed, data, fingerprint=known)
    count = count_classes(labels, len(data))
    numbered = names if len(names) >= count else tuple(map(str, range(count)))
    return Samples(observed, data, {"class": Labels(labels.long(), numbered)}, fingerprint=known)


def count_classes(labels: Tensor, samples: int) -> int:
    """Return how many classes there are, counted from 0; raise PretaskError for labels that are no class numbers."""
    if labels.shape != (samples,):
        raise refuse(f"a class for each of {samples} samples", f"{len(labels)} of shape {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex():
        raise refuse("class numbers, whole ones", f"{str(labels.dtype).removeprefix('torch.')}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MAX_CLASSES:
        raise refuse(f"class numbers from 0 to {MAX_CLASSES - 1}", f"{low if low < 0 else high}")
    return high + 1


def describe(data: Tensor) -> Observed:
    """Return what a tensor of samples is, by its axes and its kind."""
    kind = str(data.dtype).removeprefix("torch.")
    if not data.numel():
        raise refuse("samples that hold something", f"{kind} of shape {tuple(data.shape)}")
    modality = FORMS.get((data.ndim, kind))
    if modality is None:
        raise refuse("uint8 images or clips, int64 tokens or float waveforms", f"{kind} of shape {tuple(data.shape)}")
    if modality == "text" and int(data.min()) < 0:
        raise refuse("token ids from 0 on", f"{int(data.min())}")
    if modality == "audio" and not bool(torch.isfinite(data).all()):
        raise refuse("finite waveforms", "NaN or infinity")
    vocabulary = Vocabulary(int(data.max()) + 1) if modality == "text" else None
    return Observed(modality, tuple(data.shape[1:]), kind, len(data), vocabulary)


def refuse(needs: str, got: str) -> PretaskError:
    """Return the error of something that is no data."""
    return PretaskError("data", needs, got, DO, exit_code=2)
