"""A step finds the memory that the one before it freed."""

import os
import subprocess
import sys

import pytest
from pretask.heap import OWN_CHOICES

PROGRAM = """
import resource
import torch
from pretask.heap import keep_freed_memory

def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        pieces = [torch.ones(1 << 20) for _ in range(8)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
count_faults()
print(count_faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries have no such call")
@pytest.mark.parametrize("chosen", [{}, {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}])
def test_freed_memory_is_kept_unless_the_user_chose_otherwise(chosen: dict[str, str]) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in OWN_CHOICES}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=inherited | chosen, capture_output=True, text=True, check=True
    )
    asked_for_anew = int(done.stdout) > 5000  # pages; 40,960 are written
    assert asked_for_anew == bool(chosen)
