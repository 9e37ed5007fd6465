"""What every plugin and every declaration promises, whatever it declares."""

import subprocess
import sys

from pretask.declare import KINDS

from pretask_registry.options import REQUIRED
from pretask_registry.resolve import options_of, settle_options
from pretask_registry.testing.cases import Case, PluginCase
from pretask_registry.testing.checks import PLUGIN, Skip, check, require

HEAVY = ("torch", "numpy", "scipy", "sklearn", "pandas", "PIL", "torchvision", "torchaudio", "timm", "transformers")
PROBE = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(",".join(name for name in sys.argv[2:] if name in sys.modules))
"""
PARTS = ("data", "split", "model", "objective", "evaluator")
SECONDS = 120


@check(PLUGIN, once=True)
def loads(case: PluginCase) -> None:
    """The plugin loads, and all that it declares is sound."""
    problems = " ".join(f"{each.cause} {each.fix}" for each in case.plugin.problems)
    require(case.plugin.state == "ok", f"{case.plugin.name} is {case.plugin.state}: {problems}")


@check(PLUGIN, once=True)
def light_import(case: PluginCase) -> None:
    """The module that the entry point names imports nothing heavy, so that `pretask list` stays quick."""
    command = [sys.executable, "-c", PROBE, case.plugin.module, *HEAVY]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
    require(ran.returncode == 0, f"{case.plugin.module} cannot be imported alone: {ran.stderr.strip()[-300:]}")
    heavy = ran.stdout.strip().splitlines()[-1:] or [""]
    require(
        not heavy[0],
        f"{case.plugin.module} must import nothing heavy; it imports {heavy[0]}. "
        "Name implementations as 'module:attribute', and import inside these modules.",
    )


@check(*KINDS, once=True)
def says_what_it_is(case: Case) -> None:
    """A component has a summary of one line, and a source unless it is data, an evaluator or a suite."""
    summary = case.component.summary
    require(summary and "\n" not in summary, f"{case.id} must have a summary of one line; it has {summary!r}.")


@check(*PARTS, once=True)
def resolves(case: Case) -> None:
    """The implementation can be imported, and its small options exist and are of their types."""
    small = case.component.small
    needed = [name for name, option in options_of(case.registered).items() if option.default is REQUIRED]
    if case.kind == "data" and not small and needed:
        raise Skip(f"It is data of the user's: {' and '.join(needed)} must be set, and it declares no small options.")
    settle_options(case.registered, case.implementation, small)
