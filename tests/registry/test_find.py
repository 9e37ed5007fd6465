"""Names: what is typed finds one component, or an error says what was meant."""

from typing import Any

import pytest
from pretask import PretaskError, Unknown
from pretask_registry import Registry

CONTRASTIVE = 'objective("info-nce", "m:A", targets="agreement")'
MODELS = """
model("net", "m:A", modality="image")
model("net", "m:B", modality="image", version=2)
model("net", "m:C", modality="image", version=10)
"""


@pytest.fixture
def registry(shelf: Any) -> Registry:
    shelf.offer("contrastive", CONTRASTIVE, version="0.2.0")
    shelf.offer("acme", MODELS + 'model("other", "m:A", modality="image")')
    shelf.offer("beta", 'model("other", "m:A", modality="image")\ndata("digits", "m:A", modality="image")')
    loaded: Registry = shelf.load()
    return loaded


def message(registry: Registry, kind: str, name: str) -> str:
    with pytest.raises(Unknown) as caught:
        registry.find(kind, name)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("net", "acme/net@10"),
        ("acme/net", "acme/net@10"),
        ("acme/net@2", "acme/net@2"),
        ("net@1", "acme/net@1"),
        ("beta/other", "beta/other@1"),
    ],
)
def test_a_name_finds_the_highest_version_and_an_id_its_own(registry: Registry, name: str, full: str) -> None:
    assert registry.find("model", name).id == full


def test_a_name_in_two_namespaces_lists_the_full_ids(registry: Registry) -> None:
    expected = "Model 'other' may be any of acme/other@1, beta/other@1. Write one of them in full."
    assert message(registry, "model", "other") == expected


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("objective", "infonse", "No objective 'infonse'. Did you mean 'info-nce' (pretask-contrastive 0.2.0)?"),
        ("model", "acme/nett", "No model 'acme/nett'. Did you mean 'acme/net' (pretask-acme 1.0)?"),
        ("model", "amce/net", "No model 'amce/net'. Did you mean 'acme/net' (pretask-acme 1.0)?"),
        ("model", "acme/net@3", "No model 'acme/net@3'. Did you mean 'acme/net@10' (pretask-acme 1.0)?"),
        ("model", "othr", "No model 'othr'. Did you mean 'acme/other' (pretask-acme 1.0)?"),
        ("split", "net", "No split 'net'. acme/net@1 is a component of the kind model."),
        ("objective", "zzz", "No objective 'zzz'. There are: info-nce."),
        ("model", "zzz", "No model 'zzz'. There are: net, acme/other, beta/other."),
        ("evaluator", "zzz", "No evaluator 'zzz'. See: pretask list evaluator."),
        ("modle", "net", "No kind 'modle'. Did you mean 'model'?"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_right_one(
    registry: Registry, kind: str, name: str, expected: str
) -> None:
    assert message(registry, kind, name) == expected


@pytest.mark.parametrize("name", ["", "Net", "acme/", "acme/net@", "a/b/c", "net@two", "../net"])
def test_what_cannot_be_a_name_is_answered_with_the_form_of_names(registry: Registry, name: str) -> None:
    assert "is no name. Write name, namespace/name or namespace/name@2" in message(registry, "model", name)


def test_an_unknown_kind_cannot_be_listed(registry: Registry) -> None:
    with pytest.raises(Unknown, match="Did you mean 'model'"):
        registry.components("models")


def test_a_name_in_a_broken_namespace_tells_the_cause_and_how_many_others_work(shelf: Any) -> None:
    shelf.offer("good", 'model("net", "m:A", modality="image")')
    shelf.offer("fine", 'model("net", "m:A", modality="image")')
    shelf.add("pretask-acme", {"acme": "plugin_acme"}, {"plugin_acme": "import of_nobody"}, version="0.3.0")
    with pytest.raises(PretaskError) as caught:
        shelf.load().find("model", "acme/net")
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "model 'acme/net' needs the namespace 'acme', which is installed but broken (pretask-acme 0.3.0); "
        "got ModuleNotFoundError: No module named 'of_nobody'. The other 2 plugins work. Details: pretask plugins acme"
    )


def test_a_slip_in_a_half_broken_namespace_is_a_slip(shelf: Any) -> None:
    source = f"@hookimpl\ndef pretask_components(): return [{CONTRASTIVE}]"
    shelf.add("pretask-acme", {"acme": "acme_a", "acme.b": "acme_b"}, {"acme_a": source, "acme_b": "import of_nobody"})
    assert "Did you mean 'acme/info-nce'" in message(shelf.load(), "objective", "acme/infonse")


def test_a_name_in_a_blocked_namespace_says_that_it_is_blocked(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.offer("acme", CONTRASTIVE)
    monkeypatch.setenv("PRETASK_BLOCK", "acme")
    with pytest.raises(PretaskError, match=r"installed but blocked .* listed in PRETASK_BLOCK") as caught:
        shelf.load().find("objective", "acme/info-nce")
    assert caught.value.exit_code == 3


def test_a_bare_name_that_nobody_has_names_the_broken_plugins_too(shelf: Any) -> None:
    shelf.offer("good", CONTRASTIVE)
    shelf.add("pretask-acme", {"acme.main": "plugin_acme"}, {"plugin_acme": "import of_nobody"})
    assert message(shelf.load(), "objective", "zzz").endswith(
        "Not loaded, since broken: acme.main; see pretask plugins."
    )


def test_a_component_declared_twice_is_no_unknown_name_but_a_plugin_problem(shelf: Any) -> None:
    shelf.offer("acme", f"{CONTRASTIVE}\n{CONTRASTIVE}")
    with pytest.raises(
        PretaskError, match=r"objective acme/info-nce@1 needs one declaration; got 2, by acme"
    ) as caught:
        shelf.load().find("objective", "info-nce")
    assert caught.value.exit_code == 3


def test_components_come_by_kind_and_current_ones_in_their_highest_version(registry: Registry) -> None:
    assert [component.id for component in registry.components("data")] == ["beta/digits@1"]
    assert [component.id for component in registry.current("model")] == ["acme/net@10", "acme/other@1", "beta/other@1"]
