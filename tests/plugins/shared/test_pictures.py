"""Promises of pictures that move."""

import io

import numpy as np
from PIL import Image
from pretask_plugins.shared.pictures import encode_animation


def test_an_animation_is_a_png_file_that_holds_every_frame_for_its_time() -> None:
    frames = np.zeros((5, 6, 8, 3), np.uint8)
    for number in range(5):
        frames[number, :, number] = (250, 10 * number, 0)
    png = encode_animation(frames, 150)
    assert png.startswith(b"\x89PNG")
    with Image.open(io.BytesIO(png)) as image:
        assert image.n_frames == 5
        assert image.info["loop"] == 0
        for number in range(5):
            image.seek(number)
            assert image.info["duration"] == 150
            assert np.array_equal(np.asarray(image.convert("RGB")), frames[number])
