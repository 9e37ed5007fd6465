"""Leftovers: what a loader found and did not read, told in one line with counts.

Axes: none.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from pretask_plugins.shared.listing.names import printable_name

OTHER = "files of other kinds"
MAX_NAMES = 3  # of files that the line names for a reason
MAX_ENDINGS = 5


@dataclass
class Leftovers:
    """Names of what was not read, by reason; reasons are plural nouns such as "links that lead nowhere"."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, *names: str) -> None:
        """Note that files or folders are not read."""
        if names:
            self.names.setdefault(reason, []).extend(names)

    def add_endings(self, names: Iterable[str]) -> None:
        """Note that files have endings which a loader does not read."""
        self.add(OTHER, *names)

    def describe(self) -> str:
        """Return the line, empty where nothing was left out."""
        return "; ".join(describe_reason(reason, names) for reason, names in sorted(self.names.items()))

    def tell(self, who: str, root: Path) -> None:
        """Print the line on stderr; once in a process, however often a folder is listed."""
        line = self.describe()
        if line:
            tell_once(f"{who}: left out below {printable_name(str(root))}: {line}")


def describe_reason(reason: str, names: list[str]) -> str:
    """Return a reason with its count, and the endings or the first names that it holds for."""
    if reason == OTHER:
        endings = Counter(PurePosixPath(name).suffix.lower() or "no ending" for name in names)
        some = ", ".join(f"{printable_name(ending)} {count}" for ending, count in endings.most_common(MAX_ENDINGS))
        return f"{reason}: {len(names)} ({some}{', …' if len(endings) > MAX_ENDINGS else ''})"
    some = ", ".join(map(printable_name, names[:MAX_NAMES]))
    return f"{reason}: {len(names)} ({some}{', …' if len(names) > MAX_NAMES else ''})"


@cache
def tell_once(line: str) -> None:
    """Print a line on stderr, the first time that it is told."""
    print(line, file=sys.stderr)
