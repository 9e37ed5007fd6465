"""Completion: a shell is offered the names that a verb takes, without a second of waiting."""

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from pretask_bench.cli.main import cli


def offered(*words: str) -> list[str]:
    """What a shell offers for the last of some words."""
    complete = ShellComplete(cli, {}, "pretask", "_PRETASK_COMPLETE")
    return [item.value for item in complete.get_completions([*words[:-1]], words[-1])]


@pytest.mark.parametrize(
    ("words", "first", "other"),
    [
        (["run", "rel"], "relative-position", "vae"),
        (["run", "pretask/rel"], "pretask/relative-position", "relative-position"),
        (["run", "vae", "--data", "dig"], "digits", "vae"),
        (["run", "vae", "--on", "sha"], "shapes", "digits"),
        (["run", "vae", "--model", "conv"], "convnet", "vae"),
        (["run", "vae", "--objective", "el"], "elbo", "convnet"),
        (["run", "vae", "--preset", "s"], "small", "paper"),
        (["run", "vae", "--evaluate", "linear,kn"], "linear,knn", "knn"),
        (["bench", "qu"], "quick", "vae"),
        (["bench", "quick", "--tasks", "vae,rel"], "vae,relative-position", "vae"),
        (["board", "qu"], "quick", "vae"),
        (["data", "describe", "dig"], "digits", "vae"),
        (["show", "conv"], "convnet", "digits"),
        (["list", "ta"], "task", "data"),
        (["comp"], "compat", "run"),
    ],
    ids=" ".join,
)
def test_names_are_offered_where_a_verb_takes_them(words: list[str], first: str, other: str) -> None:
    found = offered(*words)
    assert first in found
    assert other not in found


def test_a_name_that_nothing_begins_with_offers_nothing() -> None:
    assert offered("run", "vae", "--data", "zzz") == []


def test_completing_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom click.shell_completion import ShellComplete\nfrom pretask_bench.cli.main import cli\n"
        "complete = ShellComplete(cli, {}, 'pretask', '_PRETASK_COMPLETE')\n"
        "found = complete.get_completions(['run', 'vae', '--data'], '')\n"
        "heavy = {'torch', 'numpy', 'timm', 'sklearn', 'accelerate'} & set(sys.modules)\n"
        "print(len(found) > 5, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True []"
