"""Ids: the names in `namespace/name@version`, as people write and read them."""


def short_name(full: str) -> str:
    """Return the name in an id.

    >>> short_name("pretask/relative-position@1")
    'relative-position'
    """
    return full.split("/", 1)[-1].rsplit("@", 1)[0]


def matches_name(full: str, wanted: str) -> bool:
    """Return whether `wanted` names an id: in full, without its version, or without its namespace.

    >>> [matches_name("pretask/vae@1", wanted) for wanted in ("vae", "pretask/vae", "va")]
    [True, True, False]
    """
    return wanted in (full, full.rsplit("@", 1)[0], short_name(full))
