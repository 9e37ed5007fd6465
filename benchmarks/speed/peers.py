"""Peers: splits from ready tensors beside the code that people use, one sample after the other.

Ours makes a whole batch, draws included; theirs makes the samples of the same batch in turn and stacks them, in this
process, as a DataLoader's worker would. The ratio of CPU times is how often ours is done meanwhile. Needs lightly,
transformers, torchaudio and scikit-image, in an environment of its own; a peer that is not installed is left out.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from pretask import PretaskError
from pretask.heap import keep_freed_memory

from benchmarks.speed import peers_images, peers_speech, peers_text
from benchmarks.speed.race import CPU, Work, judge, print_heading, print_race, race_best


class Peer(NamedTuple):
    """A split beside somebody else's code.

    Args:
        build: Returns our work, and theirs by name.
        goal: How often ours should be done in the time of their fastest.
    """

    build: Callable[[torch.device], tuple[Work, dict[str, Work]]]
    goal: float | None = None


PEERS: Mapping[str, Peer] = {
    "masked-lm, 64 x 128 tokens": Peer(lambda device: peers_text.mask_rows(device, 64, 128), 15),
    "masked-lm, 256 x 512 tokens": Peer(lambda device: peers_text.mask_rows(device, 256, 512), 15),
    "relative-position, 64 x 96 pixels": Peer(lambda device: peers_images.cut_pairs(device, 64, 96, 24, "keep"), 5),
    "relative-position, 64 x 224 pixels": Peer(lambda device: peers_images.cut_pairs(device, 64, 224, 56, "keep"), 5),
    "relative-position, colors dropped, 64 x 96": Peer(
        lambda device: peers_images.cut_pairs(device, 64, 96, 24, "drop"), 3
    ),
    "relative-position, colors dropped, 64 x 224": Peer(
        lambda device: peers_images.cut_pairs(device, 64, 224, 56, "drop"), 3
    ),
    "exemplar-pair, 64 x 128, patches of 56": Peer(lambda device: peers_images.show_two_views(device, 64, 128, 56), 6),
    "colorization, 64 x 64 pixels": Peer(lambda device: peers_images.drop_colors(device, 64, 64)),
    "colorization, 16 x 256 pixels": Peer(lambda device: peers_images.drop_colors(device, 16, 256)),
    "masked-speech, frames ready, 32 x 4 s": Peer(lambda device: peers_speech.mask_frames(device, 32, 4.0), 4),
    "masked-speech, log-mel, 32 x 4 s": Peer(lambda device: peers_speech.mask_waves(device, 32, 4.0), 1.2),
}


def measure_peers(names: tuple[str, ...] = (), device: torch.device = CPU, **options: Any) -> dict[str, Any]:
    """Return for every peer the ratios against it; only those whose name begins with one of `names`, where given.

    On a GPU ours is there, from tensors that are there, and theirs on the processor. Memory that is freed is kept, for
    both, as it is where a network is trained.
    """
    keep_freed_memory()
    print_heading()
    measured: dict[str, Any] = {}
    for name, peer in PEERS.items():
        if not names or name.startswith(names):
            try:
                ours, theirs = peer.build(device)
            except PretaskError as missing:
                print(f"{name:44}left out: {missing}")
                continue
            measured[name] = judge(race_best(ours, theirs, device, **options), peer.goal)
            print_race(name, measured[name])
    return measured
