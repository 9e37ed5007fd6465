"""Timm models: an architecture of PyTorch Image Models by name, with random weights and without its classifier.

Source: Wightman 2019. Weights are never downloaded.
Axes: none.
"""

from typing import Any

from pretask import Unknown


def create_timm(name: str, channels: int, sides: tuple[int, ...], output_stride: int = 0) -> Any:
    """Create an architecture, with the size of images where it wants to know.

    Args:
        name: As timm lists it.
        channels: Of an image.
        sides: Height and width, pixels.
        output_stride: Pixels from one position to the next; the architecture's own when 0.

    Raises:
        Unknown: timm has no such architecture, or it cannot be built for such images.
    """
    import timm

    if not timm.is_model(name):
        near = timm.list_models(f"*{name[:6]}*")[:5]
        raise Unknown(f"timm has no architecture '{name}'." + (f" Did you mean {', '.join(near)}?" if near else ""))
    wanted: dict[str, Any] = {"pretrained": False, "in_chans": channels, "num_classes": 0}
    wanted |= {"output_stride": output_stride} if output_stride else {}
    for size in ({"img_size": sides, "dynamic_img_size": True}, {"img_size": sides}, {}):
        try:
            return timm.create_model(name, **wanted, **size)
        except TypeError:  # architectures differ in which of the arguments of a size they take
            continue
    raise Unknown(f"timm's '{name}' takes no {', '.join(wanted)}. Choose another model.name.")
