"""Problems: what is wrong with installed plugins, as lines for stderr, each told once."""

from collections import defaultdict
from collections.abc import Iterator

from pretask_registry import Plugin, Registry

NAMED = 2  # plugins that a line still names one by one


def list_problems(installed: Registry) -> Iterator[str]:
    """Yield a line for every problem; one that several plugins have, such as a name taken twice, is told once."""
    shared: dict[tuple[bool, str, str], list[Plugin]] = defaultdict(list)
    for plugin in installed.plugins:
        for problem in plugin.problems if plugin.state != "blocked" else ():
            shared[plugin.state == "broken", problem.cause, problem.fix].append(plugin)
    for (broken, cause, fix), plugins in shared.items():
        sentence = f"{end_sentence(cause)} {fix}"
        if broken:
            yield f"{name_plugins(plugins)} {'does' if len(plugins) == 1 else 'do'} not work: {sentence}"
        else:
            releases = " and ".join(sorted({plugin.release for plugin in plugins}))
            yield f"plugins of {plugins[0].namespace} ({releases}): {sentence}"


def name_plugins(plugins: list[Plugin]) -> str:
    """Name plugins as the subject of a sentence: one by one, or by what they are installed with where there are many.

    >>> from pretask_registry import Plugin
    >>> name_plugins([Plugin("acme", "acme", "pretask-acme", "1.0"), Plugin("acme", "other", "other-acme", "2.0")])
    'acme (pretask-acme 1.0) and acme (other-acme 2.0)'
    """
    if len(plugins) <= NAMED:
        return " and ".join(f"{plugin.name} ({plugin.release})" for plugin in plugins)
    return f"{len(plugins)} plugins of {' and '.join(sorted({plugin.release for plugin in plugins}))}"


def end_sentence(sentence: str) -> str:
    """Return a sentence with its full stop."""
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
