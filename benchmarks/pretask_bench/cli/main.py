"""The command `pretask`. Data goes to stdout, talk to stderr.

Exit codes: 0 fine, 1 failed, 2 usage, 3 plugin problem, 4 incompatible. Nothing heavy is imported before it is needed.
"""

import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import click
from pretask import PretaskError, Unknown
from pretask.declare import KINDS
from pretask_registry import Registered, Registry, read_component_options
from pretask_registry.options import REQUIRED

from pretask_bench.results.tables import show_json, show_rows

PLUGIN_PROBLEM = 3
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


FILES = "pretask.files"  # where the context of the command keeps the files that --plugin names


def registry() -> Registry:
    """Return what is installed, and what the files declare that --plugin names."""
    context = click.get_current_context(silent=True)
    return load_registry(() if context is None else context.meta.get(FILES, ()))


@lru_cache(maxsize=1)
def load_registry(files: tuple[Path, ...]) -> Registry:
    """Load all plugins; print each problem once, on stderr; raise for a file that was named and does not load."""
    found = Registry.load(files=files)
    for plugin in found.plugins:
        if plugin.is_file and plugin.problems:
            problem = plugin.problems[0]
            who = f"--plugin {plugin.distribution}"
            raise PretaskError(who, "to load", problem.cause, problem.fix, exit_code=PLUGIN_PROBLEM)
    for line in dict.fromkeys(list_problems(found)):
        click.echo(line, err=True)
    return found


def list_problems(found: Registry) -> Iterator[str]:
    """Yield a line for every problem; one that several plugins have, such as a name taken twice, is the same line."""
    for plugin in found.plugins:
        for problem in plugin.problems if plugin.state != "blocked" else ():
            if plugin.state == "broken":
                yield f"{plugin.name} ({plugin.release}) does not work: {end_sentence(problem.cause)} {problem.fix}"
            else:
                yield f"plugins of {plugin.namespace} ({plugin.release}): {end_sentence(problem.cause)} {problem.fix}"


def end_sentence(sentence: str) -> str:
    """Return a sentence with its full stop."""
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def take_files(context: click.Context, parameter: click.Parameter, files: tuple[Path, ...]) -> None:
    """Keep the files that --plugin names for `registry`."""
    context.meta[FILES] = (*context.meta.get(FILES, ()), *files)


plugin_option = click.Option(
    ["--plugin"],
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    expose_value=False,
    is_eager=True,
    callback=take_files,
    metavar="FILE.py",
    help="A Python file that declares components, as local/NAME, for this command only.",
)


class Verbs(click.Group):
    """A group whose heavier verbs are imported when they are used, and which asks plugins for theirs."""

    later: ClassVar[Mapping[str, str]] = {
        "run": "pretask_bench.cli.run",
        "bench": "pretask_bench.cli.bench",
        "board": "pretask_bench.cli.board",
        "compat": "pretask_bench.cli.compat",
        "data": "pretask_bench.cli.data",
        "cache": "pretask_bench.cli.cache",
        "new": "pretask_bench.cli.new",
        "check": "pretask_bench.cli.check",
        "results": "pretask_bench.cli.results",
        "rerun": "pretask_bench.cli.rerun",
        "compare": "pretask_bench.cli.compare",
        "verify": "pretask_bench.cli.verify",
    }

    with_files = ("run", "bench", "rerun", "check", "compat", "data", "list", "show", "plugins")

    def list_commands(self, context: click.Context) -> list[str]:
        """Return all verbs, those of plugins included."""
        self.ask_plugins()
        return sorted({*super().list_commands(context), *self.later})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the verb, imported if need be; those that look at components take --plugin."""
        command = self.find_command(context, name)
        if command is not None and name in self.with_files and plugin_option not in command.params:
            command.params.append(plugin_option)
        return command

    def find_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the verb, of ours or of a plugin."""
        if name in self.later:
            command: click.Command = import_module(self.later[name]).command
            return command
        known = super().get_command(context, name)
        if known is None:
            self.ask_plugins()
            known = super().get_command(context, name)
        return known

    def ask_plugins(self) -> None:
        """Let plugins add their verbs; none may replace one of ours."""
        own = dict(self.commands)
        registry().call("pretask_commands", cli=self)
        self.commands.update(own)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pretask")
@click.option("-v", "--verbose", is_flag=True, help="Show a traceback where something fails.")
@click.pass_context
def cli(context: click.Context, verbose: bool) -> None:
    """Self-supervision tasks: list them, combine them, train them, measure them."""
    context.obj = {"verbose": verbose}


cli.params.append(plugin_option)  # before the verb it does as well


@cli.command("list")
@click.argument("kind", required=False, metavar="[KIND]")
@json_option
def list_command(kind: str | None, as_json: bool) -> None:
    """List what is installed; KIND is data, split, model, objective, evaluator, task or suite."""
    if kind is not None and kind not in KINDS:
        raise Unknown(f"No kind '{kind}'. There are: {', '.join(KINDS)}.")
    found = registry().components(kind)
    if as_json:
        show_json([component_facts(component) for component in found])
    else:
        show_rows(
            ("kind", "id", "what"),
            [(registered.kind, registered.id, registered.component.summary) for registered in found],
        )


@cli.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="Where several kinds have the name.")
@json_option
def show(name: str, kind: str | None, as_json: bool) -> None:
    """Show what NAME is, where it comes from, and its options with their defaults."""
    found = [registry().find(kind, name)] if kind else find_any_kind(name)
    facts = [{**component_facts(component), **option_facts(component)} for component in found]
    if as_json:
        show_json(facts)
        return
    for fact in facts:
        show_rows(("", ""), [(key, format_value(value)) for key, value in flatten_facts(fact)])


def find_any_kind(name: str) -> list[Registered]:
    """Return the components of any kind with that name; a task and its split often share one."""
    found, errors = [], []
    for kind in KINDS:
        try:
            found.append(registry().find(kind, name))
        except PretaskError as error:
            errors.append(error)
    if found:
        return found
    hints = [error for error in errors if "Did you mean" in str(error) or error.exit_code == PLUGIN_PROBLEM]
    raise (hints or [Unknown(f"Nothing is called '{name}'. See: pretask list.")])[0]


def component_facts(registered: Registered) -> dict[str, Any]:
    """Return what `list` shows of a component."""
    component = registered.component
    return {
        "id": registered.id,
        "kind": registered.kind,
        "summary": component.summary,
        "source": component.source,
        "plugin": registered.plugin.release,
        "traits": plain_traits(component.traits),
    }


def option_facts(registered: Registered) -> dict[str, Any]:
    """Return the options of a component; this imports what implements it."""
    if registered.kind in ("task", "suite"):
        return {}
    return {
        "options": {name: format_value(option.default) for name, option in read_component_options(registered).items()}
    }


def plain_traits(value: Any) -> Any:
    """Return traits as JSON can hold them."""
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, dict):
        return {key: plain_traits(part) for key, part in value.items()}
    return value


def flatten_facts(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested facts as lines: ("options.patch", 96)."""
    lines: list[tuple[str, Any]] = []
    for key, value in facts.items():
        lines += flatten_facts(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return [(key, value) for key, value in lines if value not in ("", None, [])]


def format_value(value: Any) -> str:
    """Return a value as a user would set it."""
    if value is REQUIRED:
        return "required"
    if value in ("", ()):
        return '""'
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@cli.command()
@click.argument("name", required=False, metavar="[NAMESPACE]")
@json_option
def plugins(name: str | None, as_json: bool) -> None:
    """List plugins, working or not, each with its problems and the way out; exit code 3 where one is broken."""
    found = [plugin for plugin in registry().plugins if name is None or name in (plugin.name, plugin.namespace)]
    if name is not None and not found:
        raise Unknown(f"No plugin '{name}'. See: pretask plugins.")
    rows = [
        {
            "name": plugin.name,
            "release": plugin.release,
            "state": plugin.state,
            "components": len(plugin.components),
            "problems": [f"{problem.cause} {problem.fix}" for problem in plugin.problems],
        }
        for plugin in found
    ]
    if as_json:
        show_json(rows)
    else:
        show_rows(tuple(rows[0]) if rows else (), [tuple(map(format_value, row.values())) for row in rows])
    if any(plugin.state == "broken" for plugin in found):
        raise SystemExit(PLUGIN_PROBLEM)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code."""
    raise SystemExit(invoke(arguments))


def invoke(arguments: list[str] | None = None) -> int:
    """Run the command; errors become one line on stderr and an exit code."""
    try:
        result = cli.main(args=arguments, prog_name="pretask", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return 130
    except PretaskError as error:
        return fail(error)


def fail(error: PretaskError) -> int:
    """Print what is wrong, with a traceback only under -v."""
    if "-v" in sys.argv or "--verbose" in sys.argv:
        import traceback

        traceback.print_exc()
    click.echo(str(error), err=True)
    return error.exit_code
