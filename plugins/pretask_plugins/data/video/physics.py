"""Physics: how sprites move. One kind has a direction of time, the other has none.

Under gravity a bounce takes energy away, which nothing gives back: a film of it looks wrong backwards. Drifting sprites
keep their speed and are mirrored at the walls; places are uniform and velocities symmetric at every moment, so that a
film and its reversal are equally likely.
Axes: B batch, S sprites, T frames; places are (row, column) in units of the picture's side, row 0 at the top.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from pretask import Draws
from torch import Tensor

GRAVITY = 5.0  # sides per second squared
SUBSTEPS = 8  # between two frames
FRICTION = 0.85  # fraction of the sidewards speed that is left after a bounce on the floor
MIN_BOUNCE_SPEED = 0.15  # sides per second; a slower bounce ends in rest


@dataclass(frozen=True)
class Motion:
    """Where sprites are at every frame.

    Args:
        place: Of the middle.
        angle: Radians.
    """

    place: Float[Tensor, "B S T 2"]
    angle: Float[Tensor, "B S T"]


def fall(draws: Draws, radius: Float[Tensor, "B S"], frames: int, rate: float) -> Motion:
    """Move sprites that were thrown: gravity, inelastic bounces, friction on the floor."""
    low, high = radius[..., None], 1 - radius[..., None]
    place = low + (high - low) * draws.uniform("place", radius.shape[1], 2)
    speed = draws.uniform("speed", radius.shape[1], 2, low=-1.0, high=1.0)
    restitution = draws.uniform("restitution", radius.shape[1], low=0.5, high=0.8)
    angle = draws.uniform("angle", radius.shape[1], high=2 * torch.pi)
    places, angles = [place], [angle]
    step = 1 / (rate * SUBSTEPS)
    for moment in range(1, (frames - 1) * SUBSTEPS + 1):
        place, speed = step_and_bounce(place, speed, low[..., 0], high[..., 0], restitution, step)
        angle = angle + speed[..., 1] / radius * step
        if moment % SUBSTEPS == 0:
            places.append(place)
            angles.append(angle)
    return Motion(torch.stack(places, 2), torch.stack(angles, 2))


def step_and_bounce(
    place: Float[Tensor, "B S 2"],
    speed: Float[Tensor, "B S 2"],
    low: Float[Tensor, "B S"],
    high: Float[Tensor, "B S"],
    restitution: Float[Tensor, "B S"],
    step: float,
) -> tuple[Float[Tensor, "B S 2"], Float[Tensor, "B S 2"]]:
    """Place and speed one short moment later."""
    down, side = speed[..., 0] + GRAVITY * step, speed[..., 1]
    row, column = place[..., 0] + down * step, place[..., 1] + side * step
    floor, walls = row > high, (column < low) | (column > high)
    hit = -restitution * down
    down = torch.where(floor, hit.where(hit < -MIN_BOUNCE_SPEED, torch.zeros_like(hit)), down)
    side = torch.where(walls, -restitution * side, torch.where(floor, FRICTION * side, side))
    return torch.stack([row.minimum(high), column.clamp(low, high)], -1), torch.stack([down, side], -1)


def drift(draws: Draws, radius: Float[Tensor, "B S"], frames: int, rate: float) -> Motion:
    """Move sprites that keep their speed and turn, and are mirrored at the walls: the same forwards and backwards."""
    sprites = radius.shape[1]
    speed = draws.uniform("speed", sprites, 1, 2, low=-0.9, high=0.9)
    spin = draws.uniform("spin", sprites, 1, low=-4.0, high=4.0)
    second = torch.arange(frames, device=radius.device) / rate
    room = (1 - 2 * radius)[..., None, None]
    straight = draws.uniform("place", sprites, 1, 2) + speed * second[:, None] / room
    angle = draws.uniform("angle", sprites, 1, high=2 * torch.pi) + spin * second
    return Motion(radius[..., None, None] + room * fold(straight), angle)


def fold(line: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Fold a straight way into [0, 1] by mirrors at both ends.

    >>> fold(torch.tensor([0.25, 1.25, 2.25, -0.25])).tolist()
    [0.25, 0.75, 0.25, 0.25]
    """
    return 1 - (line.remainder(2) - 1).abs()
