"""The kit: which checks a component must pass, and what came of them."""

import contextlib
import random
import sys
import time
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from typing import Any

from pretask import PretaskError, Unknown
from pretask.declare import KINDS

from pretask_registry.conformance.cases import Case, PluginCase
from pretask_registry.conformance.causes import describe_cause
from pretask_registry.conformance.check import PLUGIN, Check, Failure, Inapplicable, Skip, promise_of
from pretask_registry.conformance.outcomes import Outcome, State
from pretask_registry.conformance.remedies import find_remedy
from pretask_registry.names import hint
from pretask_registry.registry import PLUGIN_PROBLEM, Registered, Registry

MODULES = (
    "checks.declarations",
    "checks.options",
    "checks.splits",
    "checks.compiled",
    "checks.hiding",
    "checks.models",
    "checks.sample_parameters",
    "checks.objectives",
    "checks.rewriting",
    "checks.ranks",
    "checks.data",
    "checks.evaluators",
    "checks.tasks",
    "checks.networks",
    "checks.figures",
    "golden",
)
EXPECTED = "EXPECTED_FAILURES"  # of a plugin's light module: {"split cut": {"compiles": "the reason"}}
Anything = PluginCase | Case


@lru_cache(maxsize=1)
def built_in_checks() -> tuple[Check, ...]:
    """Return the kit's own checks, in the order of its files."""
    modules = [import_module(f"pretask_registry.conformance.{name}") for name in MODULES]
    return tuple(value for module in modules for value in vars(module).values() if isinstance(value, Check))


def list_checks(registry: Registry, kind: str) -> list[Check]:
    """Return all checks of a kind: the kit's, and those that plugins add with the hook pretask_checks."""
    added = [
        Check(run.__name__.replace("_", "-"), (kind,), promise_of(run), run)
        for _, runs in registry.call("pretask_checks", kind=kind)
        for run in runs or ()
    ]
    return [check for check in built_in_checks() if kind in check.kinds] + added


def find(registry: Registry, name: str, kind: str | None = None) -> tuple[list[str], list[Registered]]:
    """Find the entry points and components that a namespace, or a name or id of components, means.

    Raises:
        Unknown: Nothing is called so.
        PretaskError: It belongs to a plugin that does not work (exit code 3).
    """
    plugins = [plugin for plugin in registry.plugins if name in (plugin.namespace, plugin.name)]
    if plugins:
        for plugin in plugins:
            if plugin.state in ("broken", "blocked"):
                problem = plugin.problems[0]
                raise PretaskError(name, "a plugin that loads", problem.cause, problem.fix, exit_code=PLUGIN_PROBLEM)
        names = [plugin.name for plugin in plugins]
        return names, [registered for registered in registry.components(kind) if registered.plugin.name in names]
    return [], find_components(registry, name, kind)


def find_components(registry: Registry, name: str, kind: str | None) -> list[Registered]:
    """Find the components of any kind that are called so."""
    found, errors = [], []
    for candidate in [kind] if kind else KINDS:
        try:
            found.append(registry.find(candidate, name))
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
    from pretask_registry.conformance.kinds import iterate_cases  # needs torch

    known = {check.name for of in (PLUGIN, *KINDS) for check in list_checks(registry, of)}
    for check_name in only:
        if check_name not in known:
            raise Unknown(f"No check '{check_name}'. {hint(check_name, known, 'See: pretask check NAME --json.')}")
    plugins, components = find(registry, name, kind)
    whole = [plugin for plugin in registry.plugins if plugin.name in plugins and kind is None]
    cases: list[Anything] = [PluginCase(registry, plugin, seed) for plugin in whole]
    cases += [case for registered in components for case in iterate_cases(registry, registered, seed)]
    yield from run_cases(registry, cases, set(only))


def update_golden(registry: Registry, name: str, *, kind: str | None = None) -> int:
    """Keep the output of whatever a name means, where none is kept of its version yet; how many were written."""
    from pretask_registry.conformance.golden import update
    from pretask_registry.conformance.kinds import iterate_cases  # needs torch

    written = 0
    for registered in find(registry, name, kind)[1]:
        for case in iterate_cases(registry, registered):
            with restore_afterwards():
                written += update(case)
    return written


def run_cases(
    registry: Registry, cases: Iterable[Anything], only: set[str], without: Collection[str] = ()
) -> Iterator[Outcome]:
    """Run all checks of some cases and yield their outcomes; those of the declaration alone run once for each.

    What was raised once is one failure: where another check meets the same, it says so and is skipped.
    """
    seen: set[tuple[str, str, str]] = set()
    reported: dict[str, Outcome] = {}
    chosen: dict[str, list[Check]] = {}
    for case in cases:
        if case.kind not in chosen:
            chosen[case.kind] = list_checks(registry, case.kind)
        for check in chosen[case.kind]:
            if (only and check.name not in only) or check.name in without or not check.when(case.component):
                continue
            if check.once and (case.kind, case.id, check.name) in seen:
                continue
            seen.add((case.kind, case.id, check.name))
            yield report_once(judge(check, case), reported)


def report_once(outcome: Outcome, reported: dict[str, Outcome]) -> Outcome:
    """Return an outcome as it is, or as skipped where another check was failed by the very same fault before."""
    if outcome.state != "failed" or not outcome.cause:
        return outcome
    first = reported.setdefault(outcome.cause, outcome)
    if first is outcome:
        return outcome
    other = first.check if first.id == outcome.id else f"{first.check} of {first.kind} {first.id}"
    message = f"Not tried, because of what failed {other}: {first.cause}"
    return replace(outcome, state="skipped", message=message, reproduce="", remedy="", detail="")


def judge(check: Check, case: Anything) -> Outcome:
    """Run one check, and hold what comes of it against what the plugin expects."""
    outcome, reason = run_check(check, case), expected_failures(case).get(check.name)
    if reason is None:
        return outcome
    if outcome.state == "failed":
        return replace(outcome, state="expected", message=f"{check.name}: {reason}")
    if outcome.state == "passed":
        message = f"It passes now, but is expected to fail ({reason}). Take it out of {EXPECTED}."
        return replace(outcome, state="failed", message=message, reproduce=format_command(check, case))
    return outcome


def run_check(check: Check, case: Anything) -> Outcome:
    """Run one check by itself: whatever a component raises is its failure, and the kit goes on."""
    began = time.monotonic()
    blank = Outcome(case.kind, case.id, check.name, "" if check.once else case.where, "passed")
    try:
        with restore_afterwards():
            blank = replace(blank, number=check.run(case) or "")
    except Skip as reason:
        state: State = "inapplicable" if isinstance(reason, Inapplicable) else "skipped"
        blank = replace(blank, state=state, message=str(reason))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        blank = describe_failure(blank, check, case, error)
    return replace(blank, seconds=time.monotonic() - began)


def describe_failure(blank: Outcome, check: Check, case: Anything, error: BaseException) -> Outcome:
    """Return the outcome of a check that failed: our sentences first, and the traceback beside them."""
    raised = not isinstance(error, Failure)
    remedy = find_remedy(case.kind, check.name, raised=raised)
    failed = replace(blank, state="failed", reproduce=format_command(check, case), remedy=remedy)
    if not raised:
        return replace(failed, message=str(error))
    cause = describe_cause(error)
    detail = "".join(traceback.format_exception(error)).rstrip()
    return replace(failed, message=f"{check.promise} Instead: {cause}", detail=detail, cause=cause)


@contextlib.contextmanager
def restore_afterwards() -> Iterator[None]:
    """Leave random states and stdout as they were, whatever is done inside."""
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
    """Return the checks that the plugin says will fail, with their reasons."""
    plugin = case.plugin if isinstance(case, PluginCase) else case.registered.plugin
    declared: Any = getattr(sys.modules.get(plugin.module), EXPECTED, {})
    name = case.id if isinstance(case, PluginCase) else case.registered.name
    found: Mapping[str, str] = declared.get(f"{case.kind} {name}", {})
    return found


def format_command(check: Check, case: Anything) -> str:
    """Return the command that runs this check again."""
    kind = "" if isinstance(case, PluginCase) else f" --kind {case.kind}"
    seed = f" --seed {case.seed}" if case.seed else ""
    return f"pretask check {case.id}{kind} --only {check.name}{seed}"
