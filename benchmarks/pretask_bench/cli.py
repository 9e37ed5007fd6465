"""The command `pretask`. Data goes to stdout, talk to stderr.

Exit codes: 0 fine, 1 failed, 2 usage, 3 plugin problem, 4 incompatible. Nothing heavy is imported before it is needed.
"""

import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, ClassVar

import click
from pretask import PretaskError, Unknown
from pretask.declare import KINDS
from pretask_registry import Registered, Registry, options_of
from pretask_registry.options import REQUIRED

from pretask_bench.tables import show_json, show_rows

PLUGIN_PROBLEM = 3
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@lru_cache(maxsize=1)
def registry() -> Registry:
    """What is installed; plugins that do not work are named once, on stderr."""
    loaded = Registry.load()
    for plugin in loaded.plugins:
        if plugin.state == "broken":
            problem = plugin.problems[0]
            click.echo(f"{plugin.name} ({plugin.release}) does not work: {problem.cause} {problem.fix}", err=True)
    return loaded


class Verbs(click.Group):
    """A group whose heavier verbs are imported when they are used, and which asks plugins for theirs."""

    later: ClassVar[Mapping[str, str]] = {
        "run": "pretask_bench.cli_run",
        "data": "pretask_bench.cli_data",
        "check": "pretask_bench.cli_check",
        "results": "pretask_bench.cli_results",
    }

    def list_commands(self, context: click.Context) -> list[str]:
        """All verbs, those of plugins included."""
        self.ask_plugins()
        return sorted({*super().list_commands(context), *self.later})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The verb, imported if need be."""
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


@cli.command("list")
@click.argument("kind", required=False, metavar="[KIND]")
@json_option
def list_command(kind: str | None, as_json: bool) -> None:
    """List what is installed; KIND is data, split, model, objective, evaluator, task or suite."""
    if kind is not None and kind not in KINDS:
        raise Unknown(f"No kind '{kind}'. There are: {', '.join(KINDS)}.")
    found = registry().components(kind)
    if as_json:
        show_json([described(each) for each in found])
    else:
        show_rows(("kind", "id", "what"), [(each.kind, each.id, each.component.summary) for each in found])


@cli.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="Where several kinds have the name.")
@json_option
def show(name: str, kind: str | None, as_json: bool) -> None:
    """Show what NAME is, where it comes from, and its options with their defaults."""
    found = [registry().find(kind, name)] if kind else every_kind(name)
    facts = [{**described(each), **details(each)} for each in found]
    if as_json:
        show_json(facts)
        return
    for fact in facts:
        show_rows(("", ""), [(key, shown(value)) for key, value in flat(fact)])


def every_kind(name: str) -> list[Registered]:
    """The components of any kind that are called so; a task and its split often share a name."""
    found, errors = [], []
    for kind in KINDS:
        try:
            found.append(registry().find(kind, name))
        except PretaskError as error:
            errors.append(error)
    if found:
        return found
    guesses = [error for error in errors if "Did you mean" in str(error) or error.exit_code == PLUGIN_PROBLEM]
    raise (guesses or [Unknown(f"Nothing is called '{name}'. See: pretask list.")])[0]


def described(registered: Registered) -> dict[str, Any]:
    """What `list` tells of a component."""
    component = registered.component
    return {
        "id": registered.id,
        "kind": registered.kind,
        "summary": component.summary,
        "source": component.source,
        "plugin": registered.plugin.release,
        "traits": plain_traits(component.traits),
    }


def details(registered: Registered) -> dict[str, Any]:
    """The options of a component; this imports what implements it."""
    if registered.kind in ("task", "suite"):
        return {}
    return {"options": {name: shown(option.default) for name, option in options_of(registered).items()}}


def plain_traits(value: Any) -> Any:
    """Traits as JSON can hold them."""
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, dict):
        return {key: plain_traits(each) for key, each in value.items()}
    return value


def flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested facts as lines: ("options.patch", 96)."""
    lines: list[tuple[str, Any]] = []
    for key, value in facts.items():
        lines += flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return [(key, value) for key, value in lines if value not in ("", None, [])]


def shown(value: Any) -> str:
    """A value as a user would set it."""
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
    found = [each for each in registry().plugins if name is None or name in (each.name, each.namespace)]
    if name is not None and not found:
        raise Unknown(f"No plugin '{name}'. See: pretask plugins.")
    rows = [
        {
            "name": each.name,
            "release": each.release,
            "state": each.state,
            "components": len(each.components),
            "problems": [f"{problem.cause} {problem.fix}" for problem in each.problems],
        }
        for each in found
    ]
    if as_json:
        show_json(rows)
    else:
        show_rows(tuple(rows[0]) if rows else (), [tuple(map(shown, row.values())) for row in rows])
    if any(each.state == "broken" for each in found):
        raise SystemExit(PLUGIN_PROBLEM)


@cli.command()
@click.option("--split", help="Only this split.")
@click.option("--objective", help="Only this objective.")
@click.option("--model", help="Only this model.")
@click.option(
    "--why", is_flag=True, help="With all three: the reason, and the nearest that fit; exit code 4 if refused."
)
@json_option
def compat(split: str | None, objective: str | None, model: str | None, why: bool, as_json: bool) -> None:
    """Say which splits, objectives and models fit each other, by modality."""
    from pretask_bench.compat import explain, fitting_rows

    if why:
        explain(registry(), split, objective, model, as_json)
        return
    rows = fitting_rows(registry(), split, objective, model)
    if as_json:
        show_json(rows)
    else:
        keys = ("modality", "split", "objective", "model", "fits", "reason")
        show_rows(keys, [tuple(str(row[key]) for key in keys) for row in rows])


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
    """Say what is wrong, with a traceback only under -v."""
    if "-v" in sys.argv or "--verbose" in sys.argv:
        import traceback

        traceback.print_exc()
    click.echo(str(error), err=True)
    return error.exit_code
