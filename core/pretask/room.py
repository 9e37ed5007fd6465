"""Room: memory and disk that a thing would take, held against what is free, before any of it is taken."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pretask.errors import PretaskError

if TYPE_CHECKING:
    import torch

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50, "EiB": 1 << 60}


def format_bytes(count: int) -> str:
    """Return a number of bytes in the largest unit of which there is one.

    >>> format_bytes(8 * 10**13), format_bytes(512)
    ('72.8 TiB', '512 B')
    """
    unit = max((unit for unit, size in UNITS.items() if size <= max(count, 1)), key=UNITS.__getitem__)
    return f"{count / UNITS[unit]:.3g} {unit}"


def free_memory(device: "torch.device | None" = None) -> int:
    """Return the bytes of memory that are free on a device; on the processor where none is named."""
    import psutil

    if device is not None and device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def free_disk(folder: Path) -> int:
    """Return the bytes that are free where a folder lies, or where it would."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def require_memory(who: str, what: str, needed: int, do: str, device: "torch.device | None" = None) -> None:
    """Raise PretaskError where more memory is needed than is free.

    Args:
        who: For the error, who needs it.
        what: For the error, what for.
        needed: Bytes.
        do: What can be done.
        device: Where it would be.
    """
    free = free_memory(device)
    if needed > free:
        got = f"{format_bytes(free)} that are free"
        raise PretaskError(who, f"{format_bytes(needed)} of memory for {what}", got, do, exit_code=2)


def require_disk(who: str, what: str, needed: int, do: str, folder: Path) -> None:
    """Raise PretaskError where a folder has less room than is needed; see `require_memory`."""
    free = free_disk(folder)
    if needed > free:
        got = f"{format_bytes(free)} that are free in {folder}"
        raise PretaskError(who, f"{format_bytes(needed)} of disk for {what}", got, do, exit_code=2)
