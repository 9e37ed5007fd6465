"""The kit: which checks a component must pass, and what came of them."""

import contextlib
import random
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from typing import Any

from pretask import PretaskError, Unknown
from pretask.declare import KINDS

from pretask_registry.conformance.cases import Case, PluginCase
from pretask_registry.conformance.check import PLUGIN, Check, Failure, Skip, promise_of
from pretask_registry.conformance.outcomes import Outcome
from pretask_registry.discovery import describe_error
from pretask_registry.names import hint
from pretask_registry.registry import PLUGIN_PROBLEM, Registered, Registry

MODULES = (
    "checks.declarations",
    "checks.splits",
    "checks.compiled",
    "checks.hiding",
    "checks.models",
    "checks.objectives",
    "checks.data",
    "checks.evaluators",
    "checks.tasks",
    "golden",
)
EXPECTED = "EXPECTED_FAILURES"  # of a plugin's light module: {"split cut": {"compiles": "the reason"}}
Anything = PluginCase | Case


@lru_cache(maxsize=1)
def built_in_checks() -> tuple[Check, ...]:
    """The kit's own, in the order of its files."""
    modules = [import_module(f"pretask_registry.conformance.{name}") for name in MODULES]
    return tuple(each for module in modules for each in vars(module).values() if isinstance(each, Check))


def checks_of(registry: Registry, kind: str) -> list[Check]:
    """All checks of a kind: the kit's, and those that plugins add with the hook pretask_checks."""
    added = [
        Check(run.__name__.replace("_", "-"), (kind,), promise_of(run), run)
        for _, runs in registry.call("pretask_checks", kind=kind)
        for run in runs or ()
    ]
    return [each for each in built_in_checks() if kind in each.kinds] + added


def find(registry: Registry, name: str, kind: str | None = None) -> tuple[list[str], list[Registered]]:
    """The entry points and components that a namespace, or a name or id of components, means.

    Raises:
        Unknown: Nothing is called so.
        PretaskError: It belongs to a plugin that does not work (exit code 3).
    """
    plugins = [each for each in registry.plugins if name in (each.namespace, each.name)]
    if plugins:
        for plugin in plugins:
            if plugin.state in ("broken", "blocked"):
                problem = plugin.problems[0]
                raise PretaskError(name, "a plugin that loads", problem.cause, problem.fix, exit_code=PLUGIN_PROBLEM)
        names = [each.name for each in plugins]
        return names, [each for each in registry.components(kind) if each.plugin.name in names]
    return [], components_called(registry, name, kind)


def components_called(registry: Registry, name: str, kind: str | None) -> list[Registered]:
    """The components of any kind that are called so."""
    found, errors = [], []
    for each in [kind] if kind else KINDS:
        try:
            found.append(registry.find(each, name))
        except PretaskError as error:
            errors.append(error)
    if found:
        return found
    raise next(
        (error for error in errors if error.exit_code == PLUGIN_PROBLEM or "mean" in str(error)),
        Unknown(f"No namespace and no component is called '{name}'. See: pretask plugins, pretask list."),
    )


def run(
    registry: Registry,
    name: str,
    *,
    kind: str | None = None,
    only: Iterable[str] = (),
    seed: int = 0,
) -> Iterator[Outcome]:
    """Run every check on everything that a namespace, a name or an id means, and yield what comes of each.

    Args:
        registry: What is installed.
        name: Namespace, name or id.
        kind: Only components of this kind.
        only: Names of checks; all where there are none.
        seed: Of whatever is drawn.

    Raises:
        Unknown: Nothing is called so, or there is no such check.
        PretaskError: The plugin does not work (exit code 3).
    """
    from pretask_registry.conformance.kinds import cases_of  # needs torch

    known = {each.name for of in (PLUGIN, *KINDS) for each in checks_of(registry, of)}
    for each in only:
        if each not in known:
            raise Unknown(f"No check '{each}'. {hint(each, known, 'See: pretask check NAME --json.')}")
    plugins, components = find(registry, name, kind)
    whole = [each for each in registry.plugins if each.name in plugins and kind is None]
    cases: list[Anything] = [PluginCase(registry, each, seed) for each in whole]
    cases += [case for each in components for case in cases_of(registry, each, seed)]
    yield from run_cases(registry, cases, set(only))


def update_golden(registry: Registry, name: str, *, kind: str | None = None) -> int:
    """Keep the output of whatever a name means, where none is kept of its version yet; how many were written."""
    from pretask_registry.conformance.golden import update
    from pretask_registry.conformance.kinds import cases_of  # needs torch

    written = 0
    for each in find(registry, name, kind)[1]:
        for case in cases_of(registry, each):
            with undisturbed():
                written += update(case)
    return written


def run_cases(registry: Registry, cases: Iterable[Anything], only: set[str]) -> Iterator[Outcome]:
    """The outcomes of all checks of some cases; those that look at the declaration alone run once for each."""
    seen: set[tuple[str, str, str]] = set()
    chosen: dict[str, list[Check]] = {}
    for case in cases:
        if case.kind not in chosen:
            chosen[case.kind] = checks_of(registry, case.kind)
        for each in chosen[case.kind]:
            if (only and each.name not in only) or not each.when(case.component):
                continue
            if each.once and (case.kind, case.id, each.name) in seen:
                continue
            seen.add((case.kind, case.id, each.name))
            yield judged(each, case)


def judged(each: Check, case: Anything) -> Outcome:
    """What comes of one check, held against what the plugin expects."""
    outcome, reason = tried(each, case), expected_failures(case).get(each.name)
    if reason is None:
        return outcome
    if outcome.state == "failed":
        return replace(outcome, state="expected", message=f"{each.name}: {reason}")
    if outcome.state == "passed":
        message = f"It passes now, but is expected to fail ({reason}). Take it out of {EXPECTED}."
        return replace(outcome, state="failed", message=message, reproduce=reproduction(each, case))
    return outcome


def tried(each: Check, case: Anything) -> Outcome:
    """What comes of one check by itself: whatever a component raises is its failure, and the kit goes on."""
    began = time.monotonic()
    blank = Outcome(case.kind, case.id, each.name, "" if each.once else case.where, "passed")
    try:
        with undisturbed():
            blank = replace(blank, number=each.run(case) or "")
    except Skip as reason:
        blank = replace(blank, state="skipped", message=str(reason))
    except KeyboardInterrupt:
        raise
    except Failure as failure:
        blank = replace(blank, state="failed", message=str(failure), reproduce=reproduction(each, case))
    except BaseException as error:
        message = f"{each.promise} Instead: {describe_error(error)}"
        blank = replace(blank, state="failed", message=message, reproduce=reproduction(each, case))
    return replace(blank, seconds=time.monotonic() - began)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is done inside leaves random states and stdout as they were."""
    torch = sys.modules.get("torch")
    states = random.getstate(), torch.get_rng_state() if torch else None
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            random.setstate(states[0])
            if torch and states[1] is not None:
                torch.set_rng_state(states[1])


def expected_failures(case: Anything) -> Mapping[str, str]:
    """The checks that the plugin says will fail, with their reasons."""
    plugin = case.plugin if isinstance(case, PluginCase) else case.registered.plugin
    declared: Any = getattr(sys.modules.get(plugin.module), EXPECTED, {})
    name = case.id if isinstance(case, PluginCase) else case.registered.name
    found: Mapping[str, str] = declared.get(f"{case.kind} {name}", {})
    return found


def reproduction(each: Check, case: Anything) -> str:
    """The command that runs this check again."""
    kind = "" if isinstance(case, PluginCase) else f" --kind {case.kind}"
    seed = f" --seed {case.seed}" if case.seed else ""
    return f"pretask check {case.id}{kind} --only {each.name}{seed}"
