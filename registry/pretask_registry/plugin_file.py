"""Files: one Python file as a plugin of this one process, under the namespace `local`.

It declares as a light module does, by a hook `pretask_components`, or by a list called `components`. It need not be
light, and may hold what it declares: `pretask.split("rotation", Rotation, modality="image", ...)`.
"""

import re
import sys
import traceback
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from pluggy import PluginManager
from pretask import PretaskError
from pretask.stopping import is_users

from pretask_registry.discovery import (
    LOCAL,
    Plugin,
    check_declarations,
    declare,
    describe_error,
    find_hook_problems,
    report_changes,
    take_all,
)
from pretask_registry.quiet import keep_surroundings, redirect_stdout_to_stderr

COMPONENTS = "components"  # what a file may call the list of its declarations


class InvalidFileName(PretaskError):
    """A file that cannot be imported under its name."""


def load_file(path: Path, manager: PluginManager) -> Plugin:
    """Import a file and take its declarations; whatever it raises becomes its problem."""
    path = path.resolve()
    name = module_name(path)
    plugin = Plugin(f"{LOCAL}.{name}", name, path.name, "", "")
    try:
        content = sha256(path.read_bytes()).hexdigest()
        plugin = Plugin(plugin.name, name, path.name, content[:12], "", content=content)
        with keep_surroundings() as changed:
            module = import_file(path, name)
        manager.register(module, plugin.name)
        listed_components = getattr(module, COMPONENTS, None)
        declared = declare(manager, plugin)
        declared += [] if listed_components is None else take_all(listed_components, COMPONENTS)
    except InvalidFileName as error:
        return plugin.refuse(f"a file that needs {error.needs}; got {error.got}", error.do, error)
    except BaseException as error:
        if is_users(error):
            raise
        return plugin.refuse(
            f"{describe_error(error)}{find_line(error, path)}", f"Correct {path.name} and try again.", error
        )
    problems = [
        *report_changes(plugin, changed),
        *(find_hook_problems(module, manager) if listed_components is None else ()),
    ]
    return check_declarations(plugin, declared, problems)


def module_name(path: Path) -> str:
    """Return what a file is called as a module.

    >>> module_name(Path("my-task.py"))
    'my_task'
    """
    return re.sub(r"\W", "_", path.stem)


class FromSource(SourceFileLoader):
    """Runs the source of a file, never bytecode: that of a file which was changed within a second is taken for new."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file as it is now."""
        return self.source_to_code(self.get_data(self.path), self.path)


def import_file(path: Path, name: str) -> ModuleType:
    """Run the module of a file anew; what lies beside it can be imported from it.

    Raises:
        InvalidFileName: It is no Python file, or something else that can be imported has its name.
    """
    is_python = path.suffix == ".py"
    spec = spec_from_file_location(name, path, loader=FromSource(name, str(path)) if is_python else None)
    if spec is None or spec.loader is None:
        raise InvalidFileName(path.name, "to be a Python file", path.suffix or "no suffix", "Name it NAME.py.")
    other = find_origin(name)
    if other is not None and other != path:
        raise InvalidFileName(path.name, "a name that no other module has", f"that of {other.name}", "Rename the file.")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that nothing there hides what is installed
    sys.modules[name] = module = module_from_spec(spec)
    try:
        with redirect_stdout_to_stderr():
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def find_origin(name: str) -> Path | None:
    """Find the file of the module that an import of this name gives; None where there is none."""
    known = sys.modules.get(name)
    spec = find_spec(name) if known is None else None
    if known is None and spec is None:
        return None
    file = getattr(known, "__file__", None) if known is not None else spec.origin if spec is not None else None
    return Path(file).resolve() if file else Path(name)


def find_line(error: BaseException, path: Path) -> str:
    """Find the last line of the file that was running when an error came up, in brackets."""
    if isinstance(error, SyntaxError):
        return ""  # says so itself
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    return f" ({path.name}, line {lines[-1]})" if lines else ""
