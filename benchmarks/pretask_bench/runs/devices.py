"""Devices: what a run computes on, by the name that a user gives."""

from typing import TYPE_CHECKING

from pretask import Unknown

if TYPE_CHECKING:
    import torch

NAMES = "cpu, cuda, cuda:N or auto"


def find_device(name: str, threads: int | None = None) -> "torch.device":
    """Return the device of that name and set the processor's threads.

    Args:
        name: cpu, cuda, cuda:N, or auto: a GPU where there is one, of several ranks each its own.
        threads: Of the processor, 1 or more; None leaves them as they are.

    Raises:
        Unknown: There is no such device, or it is none that tasks are trained on.
    """
    import torch

    from pretask_bench.runs.ranks import count_ranks, own_device

    if threads is not None:
        torch.set_num_threads(threads)
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


def check_gpu(name: str, device: "torch.device") -> None:
    """Raise Unknown where torch does not see this GPU."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise Unknown(f"--device {name} needs a CUDA GPU; torch sees none. Use --device cpu.")
    if device.index is not None and device.index >= count:
        raise Unknown(f"--device {name} needs more than {device.index} GPUs; torch sees {count}, numbered from 0.")
