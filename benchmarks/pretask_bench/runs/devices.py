"""Devices: what a run computes on, by the name that a user gives."""

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pretask import Unknown

if TYPE_CHECKING:
    import torch

CONTAINER_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # microseconds of CPU time, in each of so many
BUSY = 1.0  # programs beside this one, for which there is no core, before a line says so
NAMES = "cpu, cuda, cuda:N or auto"


def find_device(name: str, threads: int | None = None) -> "torch.device":
    """Return the device of that name and set the processor's threads.

    Args:
        name: cpu, cuda, cuda:N, or auto: a GPU where there is one, of several ranks each its own.
        threads: Of the processor, 1 or more; None takes as many as there are cores for this process.

    Raises:
        Unknown: There is no such device, or it is none that tasks are trained on.
    """
    import torch

    from pretask_bench.runs.ranks import count_ranks, own_device

    choose_threads(threads)
    if name == "auto":
        gpu = own_device() if count_ranks() > 1 else "cuda"
        name = gpu if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise Unknown(f"--device needs {NAMES}; got '{name[:40]}'.") from None
    if device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index is not None):
        raise Unknown(f"--device needs {NAMES}; got '{name}'. On other devices nothing was tried yet.")
    if device.type == "cuda":
        check_gpu(name, device)
    return device


def list_devices(name: str, threads: int | None = None) -> "tuple[torch.device, ...]":
    """Return the devices that a user names for runs side by side: all GPUs for `cuda`, and for `auto` if there are any.

    Raises:
        Unknown: There is no such device.
    """
    import torch

    device = find_device(name, threads)
    if device.type != "cuda" or device.index is not None:
        return (device,)
    return tuple(torch.device("cuda", number) for number in range(torch.cuda.device_count()))


def choose_threads(threads: int | None) -> None:
    """Set the processor's threads: never more than there are cores for this process, unless they are asked for.

    A thread that waits for a core which another program has holds up all others: two of them on one core took fifty
    times as long. How many there are changes how sums are rounded, so that it does not follow from how busy the machine
    is; but where it is too busy for them, a line says so.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
        return
    cores, wanted = count_cores(), torch.get_num_threads()
    if wanted > cores:
        torch.set_num_threads(cores)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if torch.get_num_threads() > 1 and load > (os.cpu_count() or 1) - torch.get_num_threads() + BUSY:
        print(
            f"{torch.get_num_threads()} threads on a machine of {os.cpu_count()} cores whose load is {load:.1f}: "
            "they may wait for one another. --threads 1 is faster then.",
            file=sys.stderr,
        )


def count_cores() -> int:
    """Return how many cores this process may use, by its affinity and its share of a container's time."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CONTAINER_LIMIT.read_text().split()
        return max(1, min(allowed, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return allowed


def check_gpu(name: str, device: "torch.device") -> None:
    """Raise Unknown where torch does not see this GPU."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise Unknown(f"--device {name} needs a CUDA GPU; torch sees none. Use --device cpu.")
    if device.index is not None and device.index >= count:
        raise Unknown(f"--device {name} needs more than {device.index} GPUs; torch sees {count}, numbered from 0.")
