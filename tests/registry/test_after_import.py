"""Plugins declare the same whatever was imported before: a module `split.py` must not take a declaration's name."""

from importlib import import_module

from pretask_registry import Registry, import_implementation


def test_components_are_declared_again_after_all_their_modules_were_imported() -> None:
    first = Registry.load()
    for registered in first.components():
        if registered.component.implementation and registered.kind != "suite":
            import_implementation(registered)
            import_module(registered.component.implementation.partition(":")[0])
    again = Registry.load()
    assert [component.id for component in again.components()] == [component.id for component in first.components()]
    assert {plugin.state for plugin in again.plugins if plugin.namespace == "pretask"} == {"ok"}
