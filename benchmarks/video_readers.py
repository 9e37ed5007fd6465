"""Video readers: what each decoder costs, and the cache: frames per second of processor time, and peak memory.

python benchmarks/video_readers.py

One 720p file of H.264 is written, 320 frames of moving noise. Every figure is the median of processes of their own, one
thread each: all frames of the file at their full size, one after the other; one clip of 64 frames at 112 pixels, and as
many as fit, as `video-folder` makes them; and the same clips out of the cache. Memory is by how much the peak of the
process grows, the decoder's library included. With `alone` a decoder has no PyAV beside it to tell it how many frames
there are.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

HEIGHT, WIDTH, FRAMES, RATE = 720, 1280, 320, 30
LENGTH, SIDE = 64, 112  # frames of a clip, pixels of its side
REPEATS = 3
CACHE_READS = 50  # of all clips, which take milliseconds


def write_video(path: Path) -> None:
    """Write blocks of noise that move to the left, 4 pixels from one frame to the next."""
    import av

    blocks = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 8 + FRAMES, 3), np.uint8)
    noise = blocks.repeat(8, 0).repeat(8, 1)
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            picture = np.ascontiguousarray(noise[:, 4 * number : 4 * number + WIDTH])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def measure(decoder: str, alone: bool, clips: int | None, root: Path) -> dict[str, float]:
    """Return what a decoder costs in this process.

    Args:
        decoder: Its name.
        alone: Whether it does without PyAV.
        clips: As `data.clips_per_video`; None for all frames at their full size.
        root: Folder of the video.
    """
    import torch
    from pretask_plugins.data.video.readers import choice
    from pretask_plugins.data.video.video_folder import VideoFolder

    torch.set_num_threads(1)
    if alone:
        known = choice.is_loadable
        choice.is_loadable = lambda module: module != "av" and known(module)
    before = peak_megabytes()
    if clips is None:
        (path,) = root.rglob("*.mp4")
        seconds, frames = spend(lambda: count_all(path, decoder))
        return {"frames_per_second": frames / seconds, "megabytes": peak_megabytes() - before}
    folder = VideoFolder(root, length=LENGTH, clips_per_video=clips, image_size=SIDE, decoder=decoder)
    seconds, samples = spend(lambda: folder("train"))
    grown, frames = peak_megabytes() - before, samples.data.shape[0] * LENGTH
    again = folder("train").data
    cached, _ = spend(lambda: [again.clone() for _ in range(CACHE_READS)])
    return {
        "frames_per_second": frames / seconds,
        "megabytes": grown,
        "kept_megabytes": again.numel() / 1e6,
        "cached_frames_per_second": CACHE_READS * frames / cached,
    }


def count_all(path: Path, decoder: str) -> int:
    """Read every frame, and keep none."""
    from pretask_plugins.data.video.readers import open_video

    with open_video(path, decoder) as reader:
        return sum(1 for _ in reader.scan(range(reader.count)))


def spend(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of processor time that some work takes, and what it gives."""
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def peak_megabytes() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_one(decoder: str, alone: bool, clips: int | None, root: Path) -> dict[str, float]:
    """Measure in a process of its own, with an empty cache."""
    with TemporaryDirectory() as cache:
        arguments = json.dumps([decoder, alone, clips, str(root)])
        environment = os.environ | {"PRETASK_CACHE": cache, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, arguments]
        made = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return dict(json.loads(made.stdout.splitlines()[-1]))


def report(root: Path) -> None:
    """Print a line for each decoder and kind of reading."""
    from pretask_plugins.data.video.readers import choice

    for decoder, module in choice.MODULES.items():
        obstacle = choice.find_obstacle(module)
        if obstacle is not None:
            print(f"{decoder}: {obstacle}")
            continue
        print(choice.describe_module(decoder))
        for alone in (False,) if decoder == "pyav" else (False, True):
            for clips, name in {None: "all frames", 1: "one clip", 0: "all clips"}.items():
                found = [run_one(decoder, alone, clips, root) for _ in range(REPEATS)]
                figures = {key: round(statistics.median(run[key] for run in found), 1) for key in found[0]}
                print(f"  {name}{', alone' * alone}: {figures}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        decoder, alone, clips, root = json.loads(sys.argv[1])
        print(json.dumps(measure(decoder, alone, clips, Path(root))))
    else:
        with TemporaryDirectory() as made:
            write_video(Path(made, "videos", "a", "hd.mp4"))
            report(Path(made, "videos"))
