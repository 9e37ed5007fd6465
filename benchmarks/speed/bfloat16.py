"""bfloat16: whether the processor multiplies such numbers itself; elsewhere their time, emulated, says nothing."""

from pathlib import Path

FLAGS = Path("/proc/cpuinfo")


def multiplies_bfloat16() -> bool:
    """Return whether the processor has instructions for bfloat16 products."""
    return FLAGS.exists() and bool({"avx512_bf16", "amx_bf16", "bf16"} & set(FLAGS.read_text().split()))
