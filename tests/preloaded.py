"""What every process of processes.py has from its first moment: torch, the compiler's front end, and the harness.

Imported by the server that they are forked from. Nothing here may leave a thread behind, since a fork loses it.
"""

import os

os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # a pool of compilers would be lost in a fork, and imports torch anew

import accelerate  # noqa: F401
import pretask_bench.cli.main
import pretask_bench.cli.run  # noqa: F401
import pretask_registry.conformance  # noqa: F401
import torch
import torch._dynamo
from tqdm import tqdm

tqdm.monitor_interval = 0  # the compiler's progress bar would start a thread
torch.set_num_threads(1)
