"""Data of clips: made from a seed, cut from sequences of frames with masks, or decoded from video files.

Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, data, hookimpl


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the data."""
    yield data(
        "sprites",
        "pretask_plugins.data.video.sprites:Sprites",
        modality="video",
        summary="Seeded clips of shapes that fall, bounce and hide one another, with masks.",
        version=2,  # 1 had no courses
        small={"size": 32, "test_size": 16, "length": 8, "image_size": 32},
    )
    yield data(
        "frames",
        "pretask_plugins.data.video.frames:Frames",
        modality="video",
        summary="Sequences of frames with masks in the layout of DAVIS; also from a tar file.",
        source="Perazzi et al. 2016 (the layout)",
        cites="perazzi2016benchmark",
    )
    yield data(
        "video-folder",
        "pretask_plugins.data.video.video_folder:VideoFolder",
        modality="video",
        summary="Your own videos in class folders or a CSV file; also from a tar file.",
    )
