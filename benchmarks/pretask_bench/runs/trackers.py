"""Trackers: those that --track names, of whatever the plugins offer."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from pretask import PretaskError, Unknown
from pretask.events import Tracker
from pretask_registry import Registry


def load_trackers(registry: Registry, names: Sequence[str], folder: Path) -> dict[str, Tracker]:
    """Return the trackers of these names, which write in a folder.

    Raises:
        Unknown: No plugin offers one of this name.
        PretaskError: Its library is not installed, or it does not start.
    """
    offered = {
        name: place for _, trackers in registry.call("pretask_trackers") for name, place in dict(trackers).items()
    }
    return {name: load_tracker(name, offered, folder) for name in names}


def load_tracker(name: str, offered: Mapping[str, str], folder: Path) -> Tracker:
    """Return one tracker."""
    if name not in offered:
        raise Unknown(f"No tracker '{name}'. There are: {', '.join(sorted(offered)) or 'none'}.")
    module, _, attribute = offered[name].partition(":")
    try:
        tracker: Tracker = getattr(import_module(module), attribute)(folder)
    except ImportError as error:
        advice = f"Install it: pip install 'pretask[{name}]'"
        raise PretaskError(f"--track {name}", f"the library of {name}", str(error), advice, exit_code=2) from error
    except Exception as error:
        raise PretaskError(
            f"--track {name}",
            "a tracker that starts",
            f"{type(error).__name__}: {error}",
            "See the settings of its library.",
            exit_code=2,
        ) from error
    return tracker
