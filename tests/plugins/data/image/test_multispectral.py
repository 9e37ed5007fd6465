"""Promises of the multispectral data: any number of channels, scaled by the range that was declared."""

import gc
import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pretask import PretaskError
from pretask_plugins.data.image.multispectral import Multispectral, read_channels

SIDE = 6
RAMP = np.arange(5, dtype=np.uint16)[:, None, None] * 1000 + np.zeros((5, SIDE, SIDE), np.uint16)  # channel c is 1000 c


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def write(root: Path, **images: np.ndarray) -> Path:
    """Images to train on, and one to test on; the ending is the first word of a name."""
    for part in ("train", "test"):
        (root / part / "field").mkdir(parents=True, exist_ok=True)
        for name, values in images.items():
            path = root / part / "field" / f"{name}.{name.partition('_')[0]}"
            (np.save if path.suffix == ".npy" else write_tiff)(path, values + (part == "test"))
    return root


def write_tiff(path: Path, values: np.ndarray) -> None:
    samples = path.stem == "tif_samples"
    pixels = np.moveaxis(values, 0, 2) if samples else values
    tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig" if samples else None)


def test_every_layout_of_a_file_gives_the_same_channels(tmp_path: Path) -> None:
    root = write(tmp_path / "d", npy_first=RAMP, npy_last=np.moveaxis(RAMP, 0, 2), tif_pages=RAMP, tif_samples=RAMP)
    samples = Multispectral(root, (0.0,), (4000.0,), image_size=SIDE)("train")
    assert samples.observed.shape == (5, SIDE, SIDE)
    assert samples.data[:, :, 2, 3].tolist() == [[0, 64, 128, 191, 255]] * 4
    assert samples.labels["class"].names == ("field",)


def test_each_channel_may_have_its_range_and_bands_are_chosen(tmp_path: Path) -> None:
    root = write(tmp_path / "d", npy_a=RAMP, npy_b=RAMP)
    data = Multispectral(root, (1000.0, 0.0), (3000.0, 8000.0), bands=(2, 4), image_size=SIDE)
    assert data("train").data[0, :, 0, 0].tolist() == [128, 128]
    with pytest.raises(PretaskError, match=r"2 of 2 that cannot: .*5 channels, and data\.low and data\.high have 2"):
        Multispectral(root, (1000.0, 0.0), (3000.0, 8000.0), image_size=SIDE)("train")
    with pytest.raises(PretaskError, match=r"5 channels, and data\.bands names 7"):
        Multispectral(root, (0.0,), (1.0,), bands=(7,), image_size=SIDE)("train")


def test_what_is_clipped_is_said_and_what_is_no_number_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.full((3, 10, 10), 0.5, np.float32)
    values[0, 0, 0], values[1, 0, 0], values[2, 0, 0] = np.nan, np.inf, -9
    root = write(tmp_path / "d", npy_a=values, npy_b=values)
    assert Multispectral(root, (0.0,), (1.0,), image_size=10)("train").data[0, :, 0, 0].tolist() == [0, 255, 0]
    assert "multispectral: 1.00% of the values below" in capsys.readouterr().err


def test_images_of_other_channels_and_arrays_that_are_none_are_named(tmp_path: Path) -> None:
    root = write(tmp_path / "d", npy_a=RAMP, npy_b=RAMP[:3], npy_c=np.zeros(7))
    (root / "train" / "field" / "d.npy").write_bytes(b"no array")
    with pytest.raises(
        PretaskError, match=r"3 of 4 that cannot: .*d\.npy .*3 channels, and .*npy_a\.npy has 5.*shape \(7,\)"
    ):
        Multispectral(root, (0.0,), (1.0,), image_size=SIDE)("train")


@pytest.mark.parametrize(
    ("low", "high"), [((), (1.0,)), ((0.0,), (0.0,)), ((2.0,), (1.0,)), ((0.0, 0.0), (1.0,) * 3), ((0.0,), (np.inf,))]
)
def test_ranges_that_hold_nothing_are_refused(low: tuple[float, ...], high: tuple[float, ...]) -> None:
    with pytest.raises(PretaskError, match=r"data\.high (above data\.low|to be a finite number)") as caught:
        Multispectral(Path("d"), low, high)
    assert caught.value.exit_code == 2


def test_arrays_are_read_by_threads_that_give_way_to_one_another() -> None:
    file, before = io.BytesIO(), gc.get_threshold()
    np.save(file, RAMP)
    gc.callbacks.append(give_way := lambda *_: time.sleep(0))
    gc.set_threshold(20)
    try:
        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(lambda _: read_channels("a.npy", file.getvalue(), "auto"), range(1000)))
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(give_way)
    assert all(np.array_equal(one, read[0]) for one in read)
