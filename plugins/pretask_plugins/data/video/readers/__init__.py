"""Readers: the frames of a video by their numbers, whoever decodes it.

A reader knows when each frame is shown and gives the frames of given numbers one by one, so that whoever makes them
smaller never holds a film at its full size. Decoders are tried in the order of how much of a file they read as a
player does (choice.py); a folder of images is a video as well (images.py).
"""

from pretask_plugins.data.video.readers.choice import Decoder, choose_decoder, describe_decoder, open_video
from pretask_plugins.data.video.readers.images import Images, describe_images
from pretask_plugins.data.video.readers.reader import Picture, Reader, check_times, read_frames, select_at_rate

__all__ = [
    "Decoder",
    "Images",
    "Picture",
    "Reader",
    "check_times",
    "choose_decoder",
    "describe_decoder",
    "describe_images",
    "open_video",
    "read_frames",
    "select_at_rate",
]
