"""Names: how full ids such as `pretask/relative-position@1` are abbreviated, and what a wrong one may have meant."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pretask import Unknown
from pretask.declare import KINDS

WORDS = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
REFERENCE = re.compile(rf"(?:(?P<namespace>{WORDS.pattern})/)?(?P<name>{WORDS.pattern})(?:@(?P<version>[0-9]+))?")


@dataclass(frozen=True)
class Reference:
    """What somebody typed: a name, `namespace/name` or `namespace/name@2`."""

    text: str
    namespace: str | None
    name: str
    version: int | None

    def matches(self, namespace: str, name: str, version: int) -> bool:
        """Return whether this may mean the component of such an id; its kind is not looked at."""
        return name == self.name and self.namespace in (None, namespace) and self.version in (None, version)


def parse(text: str) -> Reference:
    """Parse a reference into namespace, name and version.

    >>> parse("acme/jigsaw@2").version
    2

    Raises:
        Unknown: It has not the form of one.
    """
    parts = REFERENCE.fullmatch(text)
    if parts is None:
        raise Unknown(
            f"{text!r} is no name. Write name, namespace/name or namespace/name@2, in lower case with hyphens."
        )
    version = parts["version"]
    return Reference(text, parts["namespace"], parts["name"], None if version is None else int(version))


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """Find the known word that is most like this one, or None where none is.

    >>> find_nearest("infonse", ["info-nce", "iwae"])
    'info-nce'
    """
    from difflib import get_close_matches  # only needed where something is wrong already

    return next(iter(get_close_matches(word, sorted(set(known)), 1)), None)


def hint(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a sentence that offers the nearest known word, or says `otherwise`."""
    nearest = find_nearest(word, known)
    return f"Did you mean {nearest!r}?" if nearest else otherwise


def check_kind(kind: str) -> None:
    """Raise Unknown unless there is such a kind of component."""
    if kind not in KINDS:
        raise Unknown(f"No kind {kind!r}. {hint(kind, KINDS, 'The kinds are ' + ', '.join(KINDS) + '.')}")
