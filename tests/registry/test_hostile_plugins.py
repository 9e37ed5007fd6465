"""Whatever a plugin does while it is loaded, it is a row with one line, and nothing else suffers."""

import os
import signal
import sys
import threading
import warnings
from typing import Any

import pytest
from hostile_plugins import ENTRIES, HOSTILE
from pretask.stopping import raise_when_stopped
from pretask_registry.quiet import LEFT_RUNNING

GOOD = 'model("plain", "good_impl:Plain", modality="image")'


def surroundings() -> tuple[Any, ...]:
    strict = [rule for rule in warnings.filters if rule[0] == "error"]
    return os.getcwd(), [*sys.path], signal.getsignal(signal.SIGINT), len(strict), sys.getrecursionlimit()


def the_row(shelf: Any) -> str:
    """What the one row says that is not of the good plugin, which works."""
    shelf.offer("good", GOOD)
    before = surroundings()
    registry = shelf.load()
    assert surroundings() == before
    assert "good/plain@1" in [component.id for component in registry.components()]
    (plugin,) = [plugin for plugin in registry.plugins if plugin.namespace != "good"]
    assert plugin.state in ("broken", "partly")
    texts = [f"{problem.cause} {problem.fix}" for problem in plugin.problems]
    assert all(text.isprintable() and len(text) < 900 for text in texts)
    return "; ".join(texts)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_plugin_that_does_what_none_should_is_a_row(kind: str, shelf: Any) -> None:
    source, told = HOSTILE[kind]
    shelf.add("pretask-acme", {"acme": "plugin_acme"}, {"plugin_acme": source})
    assert told in the_row(shelf)
    print("stdout is open")


@pytest.mark.parametrize("kind", ENTRIES)
def test_an_entry_point_that_is_no_module_gets_advice(kind: str, shelf: Any) -> None:
    module, told = ENTRIES[kind]
    shelf.add("pretask-acme", {"acme": module}, {})
    assert told in the_row(shelf)


def test_an_entry_point_of_an_attribute_is_told_what_to_write(shelf: Any) -> None:
    shelf.add("pretask-acme", {"acme": "acme.plugin:hooks"}, {})
    assert the_row(shelf).endswith("Let it name the module alone: acme = 'acme.plugin'.")


def test_a_keyboard_interrupt_of_a_plugin_is_none_of_the_user(shelf: Any) -> None:
    shelf.add("pretask-acme", {"acme": "plugin_acme"}, {"plugin_acme": "raise KeyboardInterrupt"})
    with raise_when_stopped():
        assert "KeyboardInterrupt" in the_row(shelf)


def test_a_thread_that_ends_by_itself_and_a_daemon_are_no_fault(shelf: Any) -> None:
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
    source += "@hookimpl\ndef pretask_components(): return []"
    shelf.add("pretask-acme", {"acme": "plugin_acme"}, {"plugin_acme": source})
    (plugin,) = shelf.load().plugins
    assert plugin.state == "ok"
    assert not {*LEFT_RUNNING} & {thread for thread in threading.enumerate() if thread.daemon}
