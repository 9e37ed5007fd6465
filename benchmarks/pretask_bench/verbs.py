"""Verbs: what `pretask.load` and `pretask.run` of core's front door are looked up as."""

from pretask_bench.artifacts.load import load

__all__ = ["load"]
