"""The command `pretask`. Data goes to stdout, talk to stderr.

Exit codes: 0 fine, 1 failed, 2 usage, 3 plugin problem, 4 incompatible, 75 stopped by SIGTERM or SIGHUP (try again
later), 130 stopped by Ctrl-C. Nothing heavy is imported before it is needed.
"""

import gc
import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from signal import Signals
from typing import ClassVar

import click
from pretask import PretaskError
from pretask.stopping import BY_SCHEDULER, Stopped, exit_code, raise_when_stopped
from pretask_registry import Registry
from pretask_registry.discovery import describe_error
from pretask_registry.quiet import has_threads_of_plugins

from pretask_bench.cli.problems import list_problems
from pretask_bench.cli.streams import code_after, unfailing_streams

PLUGIN_PROBLEM = 3
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


COMPLETING = "_PRETASK_COMPLETE"  # what a shell sets that asks what may follow
FILES = "pretask.files"  # where the context of the command keeps the files that --plugin names


def registry() -> Registry:
    """Return what is installed, and what the files declare that --plugin names."""
    return load_registry(plugin_files())


def command_words() -> list[str]:
    """Return what was typed after `pretask`."""
    context = click.get_current_context()
    words: list[str] = context.find_root().obj["words"]
    return words


def plugin_files() -> tuple[Path, ...]:
    """Return the files that --plugin names."""
    context = click.get_current_context(silent=True)
    return () if context is None else context.meta.get(FILES, ())


@lru_cache(maxsize=1)
def load_registry(files: tuple[Path, ...]) -> Registry:
    """Load all plugins; print each problem once, on stderr; raise for a file that was named and does not load."""
    found = Registry.load(files=files)
    for plugin in found.plugins:
        if plugin.is_file and plugin.problems:
            problem = plugin.problems[0]
            who = f"--plugin {plugin.distribution}"
            raise PretaskError(who, "to load", problem.cause, problem.fix, exit_code=PLUGIN_PROBLEM)
    for line in list_problems(found) if COMPLETING not in os.environ else ():  # among what the shell offers
        click.echo(line, err=True)
    return found


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
    """A group whose heavier verbs are imported when they are used, and which asks plugins for theirs.

    `later` holds the first sentence of the help of each, which `pretask --help` shows.
    """

    later: ClassVar[Mapping[str, str]] = {
        "list": "List what is installed; KIND is data, split, model, objective, evaluator, task or suite.",
        "show": "Show what NAME is, where it is implemented, and its options: default "
        "as it is written for --set, and meaning.",
        "plugins": "List plugins, working or not, each with its problems and the way out; "
        "exit code 3 where one is broken.",
        "run": "Pretrain TASK (or --split, --objective and --model), measure the "
        "encoder, write a record, show a table.",
        "bench": "Run the tasks of SUITE, each beside its references; exit code 1 where one failed.",
        "sweep": "Run the cells of GRID.toml that are not recorded, what they share once; "
        "exit code 1 where one failed.",
        "board": "Write the leaderboard of SUITE from RECORDS, folders or files; runs/records where none is named.",
        "compat": "Say which splits, objectives and models fit each other, by modality.",
        "data": "Data sets: list, describe, fingerprint.",
        "cache": "The cache of decoded data and features: list, prune, verify.",
        "new": "Write an installable package called NAME with a working component, its checks and a CI file.",
        "check": "Check what NAMESPACE, or a name or ID, offers; exit code 1 where "
        "something fails, 3 where a plugin is broken.",
        "results": "Show what is in RECORDS, folders or files; runs/records where none is named.",
        "rerun": "Carry out the cell of RECORD again, and say whether the same comes out.",
        "export": "Write the encoder of RUN, the folder of a run or its record, as another library reads it.",
        "generate": "Go on from prompts with the language model of RUN, the folder of a run or its record.",
        "cite": "Print BibTeX of what a task, a run (its folder or record) or a suite goes back to, each entry once.",
        "compare": "Compare the trained encoders of A, B, … : records, or folders with "
        "the seeds of one or several cells.",
        "verify": "Check RECORDS, files or folders: hashes, numbers from items, options, times, seeds, pictures, data.",
        "merge": "Add the records of each FOLDER, and their pictures, to STORE; a line for each.",
    }

    with_files = (
        "run",
        "bench",
        "sweep",
        "rerun",
        "export",
        "generate",
        "cite",
        "check",
        "compat",
        "data",
        "list",
        "show",
        "plugins",
    )

    def list_commands(self, context: click.Context) -> list[str]:
        """Return all verbs, those of plugins included."""
        self.ask_plugins()
        return sorted({*super().list_commands(context), *self.later})

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing ours, which would take as long as all the rest."""
        self.ask_plugins()
        own = {name: click.Command(name, help=summary) for name, summary in self.later.items()}
        click.Group(commands={**self.commands, **own}).format_commands(context, formatter)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the verb, imported if need be; those that look at components take --plugin."""
        command = self.find_command(context, name)
        if command is not None and name in self.with_files and plugin_option not in command.params:
            command.params.append(plugin_option)
        return command

    def find_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the verb, of ours or of a plugin."""
        if name in self.later:
            command: click.Command = import_module(f"pretask_bench.cli.{name}").command
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
        added = {
            name: verb for name, verb in self.commands.items() if isinstance(verb, click.Command) and name.isprintable()
        }
        self.commands = {**added, **own}


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="pretask")
@click.option("-v", "--verbose", is_flag=True, help="Show a traceback where something fails.")
@click.pass_context
def cli(context: click.Context, verbose: bool) -> None:
    """Self-supervision tasks: list them, combine them, train them, measure them."""
    context.obj = {**(context.obj or {}), "verbose": verbose}


cli.params.append(plugin_option)  # before the verb it does as well


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code; streams that cannot be written do not end it."""
    with unfailing_streams() as stdout:
        try:
            code = invoke(arguments)
        except SystemExit as left:  # of a verb
            code = read_code(left)
    code = code_after(code, stdout)
    if has_threads_of_plugins():  # the interpreter would wait for them
        os._exit(code)
    gc.freeze()  # the interpreter would look through all that is left, which ends with it
    raise SystemExit(code)


def read_code(left: SystemExit) -> int:
    """Return the exit code of what was left by sys.exit; a text is printed, as Python does."""
    if isinstance(left.code, str):
        click.echo(left.code, err=True)
        return 1
    return left.code or 0


def invoke(arguments: list[str] | None = None) -> int:
    """Run the command; errors become one line on stderr and an exit code."""
    try:
        with raise_when_stopped():
            words = sys.argv[1:] if arguments is None else arguments
            result = cli.main(args=[*words], prog_name="pretask", standalone_mode=False, obj={"words": words})
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        return stop(error.__cause__ if isinstance(error, click.Abort) else error)
    except PretaskError as error:
        return fail(error)
    except Exception as error:  # of a plugin, whatever it is
        return fail_unexpectedly(error)


def stop(error: BaseException | None) -> int:
    """Print that a signal ended the command, and how to go on where somebody else sent it."""
    number = error.number if isinstance(error, Stopped) else None
    sender = f" by {Signals(number).name}. Run the same command again to go on" if number in BY_SCHEDULER else ""
    click.echo(f"Stopped{sender}.", err=True)
    return exit_code(number)


def fail(error: PretaskError) -> int:
    """Print what is wrong, with a traceback only under -v."""
    print_traceback()
    click.echo(str(error), err=True)
    return error.exit_code


def fail_unexpectedly(error: Exception) -> int:
    """Print an error that is none of ours: what it is and where it was raised, with a traceback only under -v."""
    from traceback import extract_tb

    shown = print_traceback()
    frame = extract_tb(error.__traceback__)[-1]
    place = f" ({Path(frame.filename).name}, line {frame.lineno})"
    hint = "" if shown else " pretask -v shows where it comes from."
    click.echo(f"{describe_error(error)}{place}.{hint}", err=True)
    return 1


def print_traceback() -> bool:
    """Print the traceback of what is being handled under -v; return whether that was so."""
    verbose = "-v" in sys.argv or "--verbose" in sys.argv
    if verbose:
        import traceback

        traceback.print_exc()
    return verbose
