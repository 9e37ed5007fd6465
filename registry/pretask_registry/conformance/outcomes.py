"""Outcomes: what came of every check, the count that is always printed, and the same as JSON and as JUnit's XML."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from textwrap import indent
from typing import Literal
from xml.etree import ElementTree

State = Literal["passed", "failed", "skipped", "inapplicable", "expected"]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check.

    Args:
        kind: Of the component, or `plugin`.
        id: Of the component, or the name of the entry point.
        check: Its name.
        where: Modality or kind of target that it was tried on; empty where that makes no difference.
        state: Passed, failed, skipped for want of something, inapplicable, or failed as its plugin expects.
        message: What went wrong, or why it was skipped, does not apply or is expected.
        reproduce: The command that shows it again.
        number: What the check measured, if it measures something.
        seconds: How long it took.
        remedy: The commonest mistake behind such a failure, and what to do about it.
        detail: The traceback of what was raised; shown under -v.
        cause: Names what was raised, and where, so that two checks that fail by the same fault are known; empty where
            the check itself says what is wrong.
    """

    kind: str
    id: str
    check: str
    where: str
    state: State
    message: str = ""
    reproduce: str = ""
    number: str = ""
    seconds: float = 0.0
    remedy: str = ""
    detail: str = ""
    cause: str = ""

    @property
    def is_blocked(self) -> bool:
        """Whether it was not tried, since another check met the same fault."""
        return self.state == "skipped" and bool(self.cause)


def format_count(outcomes: Sequence[Outcome]) -> str:
    """Format all counts as one line, always printed.

    >>> format_count([Outcome("split", "acme/cut@1", "finite", "image", "passed")])
    '1 of 1 ran, 0 skipped, 0 expected failures'
    """
    states = Counter(outcome.state for outcome in outcomes)
    expected = sorted({outcome.message for outcome in outcomes if outcome.state == "expected"})
    failures = f"{states['expected']} expected failure{'' if states['expected'] == 1 else 's'}"
    ran = len(outcomes) - states["skipped"] - states["inapplicable"]
    idle = f", {states['inapplicable']} inapplicable" if states["inapplicable"] else ""
    line = f"{ran} of {len(outcomes)} ran, {states['skipped']} skipped{idle}, {failures}"
    line += f": {'; '.join(expected)}" if expected else ""
    return line + (f", {states['failed']} FAILED" if states["failed"] else "")


def has_succeeded(outcomes: Sequence[Outcome], require_all: bool = False) -> bool:
    """Return whether nothing failed, and, where all is required, nothing was skipped."""
    return not any(outcome.state == "failed" or (require_all and outcome.state == "skipped") for outcome in outcomes)


def format_outcome(outcome: Outcome, verbose: bool = False) -> str:
    """Format one outcome for a reader: what, why, what to do and how to see it again; verbose, with the traceback."""
    where = f" [{outcome.where}]" if outcome.where else ""
    line = f"{outcome.state.upper():8} {outcome.kind} {outcome.id} {outcome.check}{where}"
    if outcome.number:
        line += f"\n         {outcome.number}"
    if outcome.message:
        line += f"\n         {outcome.message}"
    if outcome.state != "failed":
        return line
    line += f"\n         Often: {outcome.remedy}" if outcome.remedy else ""
    line += f"\n         {outcome.reproduce}{' -v' if outcome.detail and not verbose else ''}"
    return line + (f"\n{indent(outcome.detail, ' ' * 9)}" if verbose and outcome.detail else "")


def format_blocked(outcomes: Sequence[Outcome]) -> list[str]:
    """Format what was not tried since another check met the same fault: a line for each fault.

    >>> met = Outcome("split", "acme/cut@1", "finite", "image", "skipped", "Not tried, because of X", cause="X")
    >>> format_blocked([met, met])
    ['2 checks were not tried, because of X']
    """
    blocked = Counter(outcome.message for outcome in outcomes if outcome.is_blocked)
    return [
        f"{count} check{' was' if count == 1 else 's were'} {message[0].lower()}{message[1:]}"
        for message, count in blocked.items()
    ]


def as_json(outcomes: Sequence[Outcome]) -> str:
    """Format all outcomes with the count as JSON."""
    facts = {"count": format_count(outcomes), "outcomes": [asdict(outcome) for outcome in outcomes]}
    return json.dumps(facts, indent=1, ensure_ascii=False)


def as_junit(outcomes: Sequence[Outcome]) -> str:
    """Format all outcomes as continuous integration reads them; an expected failure counts as skipped there."""
    states = Counter(outcome.state for outcome in outcomes)
    suite = ElementTree.Element(
        "testsuite",
        name="pretask check",
        tests=str(len(outcomes)),
        failures=str(states["failed"]),
        skipped=str(len(outcomes) - states["failed"] - states["passed"]),
    )
    for outcome in outcomes:
        name = f"{outcome.check}[{outcome.where}]" if outcome.where else outcome.check
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"{outcome.kind} {outcome.id}", name=name, time=f"{outcome.seconds:.3f}"
        )
        if outcome.state == "failed":
            ElementTree.SubElement(case, "failure", message=outcome.message).text = outcome.reproduce
        elif outcome.state != "passed":
            ElementTree.SubElement(case, "skipped", message=outcome.message)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
