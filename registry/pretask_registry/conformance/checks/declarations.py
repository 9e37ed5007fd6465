"""What every plugin and every declaration promises, whatever it declares."""

import json
import os
import subprocess
import sys

from pretask.declare import KINDS

from pretask_registry.conformance.cases import Case, PluginCase
from pretask_registry.conformance.check import PLUGIN, Skip, check, require
from pretask_registry.conformance.small_data import can_be_small, use_small_options
from pretask_registry.options import REQUIRED
from pretask_registry.registry import Registry
from pretask_registry.resolve import fill_component_options, read_component_options

HEAVY = ("torch", "numpy", "scipy", "sklearn", "pandas", "PIL", "torchvision", "torchaudio", "timm", "transformers")
PROBE = """
import contextlib, importlib, json, sys
modules, heavy, found = *map(json.loads, sys.argv[1:]), {}
for module in modules:
    before = set(sys.modules)
    with contextlib.redirect_stdout(sys.stderr):
        try:
            importlib.import_module(module)
        except BaseException as error:
            found[module] = f"cannot be imported: {type(error).__name__}: {error}"
    new = [name for name in heavy if name in sys.modules and name not in before]
    if new:
        found[module] = "imports " + " and ".join(new)
print(json.dumps(found))
"""
PARTS = ("data", "split", "model", "objective", "evaluator")
SECONDS = 120


@check(PLUGIN, once=True)
def loads(case: PluginCase) -> None:
    """Check that the plugin loads, and all that it declares is sound."""
    problems = " ".join(f"{problem.cause} {problem.fix}" for problem in case.plugin.problems)
    require(case.plugin.state == "ok", f"{case.plugin.name} is {case.plugin.state}: {problems}")


@check(PLUGIN, once=True)
def light_import(case: PluginCase) -> None:
    """Check that the module that the entry point names imports nothing heavy, so that `pretask list` stays quick."""
    module = case.plugin.module
    wrong = find_heavy_imports(case.registry).get(module)
    require(
        not wrong,
        f"{module} must import nothing heavy; it {wrong}. "
        "Name implementations as 'module:attribute', and import inside these modules.",
    )


def find_heavy_imports(registry: Registry) -> dict[str, str]:
    """Find what is wrong with importing light modules, by module: all of them in one fresh process, once."""
    known: dict[str, str] | None = registry.memory.get("imports")
    if known is None:
        modules = [plugin.module for plugin in registry.plugins if plugin.state in ("ok", "partly")]
        command = [sys.executable, "-c", PROBE, json.dumps(modules), json.dumps(HEAVY)]
        path = os.pathsep.join(folder for folder in sys.path if folder)
        ran = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=SECONDS, env={**os.environ, "PYTHONPATH": path}
        )
        known = registry.memory["imports"] = json.loads(ran.stdout)
    return known


@check(*KINDS, once=True)
def says_what_it_is(case: Case) -> None:
    """Check that a component has a summary of one line, and a task names its source."""
    summary = case.component.summary
    require(summary and "\n" not in summary, f"{case.id} must have a summary of one line; it has {summary!r}.")
    named = case.kind != "task" or case.component.source
    require(named, f"{case.id} must name its source, authors and year, or say that it is your own; it names none.")


@check(*PARTS, once=True)
def resolves(case: Case) -> None:
    """Check that the implementation can be imported, and its small options exist and are of their types."""
    needed = [name for name, option in read_component_options(case.registered).items() if option.default is REQUIRED]
    if case.kind == "data" and needed and not can_be_small(case.registered):
        what = f"{' and '.join(needed)} must be set"
        raise Skip(f"It is data of the user's: {what}, it declares no small options, and has no write_example.")
    with use_small_options(case.registered) as small:
        fill_component_options(case.registered, case.implementation, small)
