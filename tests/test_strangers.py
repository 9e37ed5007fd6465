"""What strangers write in thirty lines: a teacher, crops of several sizes, skipped patches, a generator, a table.

Each is a distribution of its own below third_party, which imports `pretask` and torch alone.
"""

import ast
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from clean_room import HOUSE, install, install_all
from logical_lines import count_logical_lines
from pretask import Incompatible, Recipe, Samples, Task
from pretask.composition import compose
from pretask.pretext_score import score_references
from pretask.training import train
from pretask_registry import Registry, build
from pretask_registry.canned import make_canned_samples
from pretask_registry.conformance import run
from pretask_registry.conformance.material import fit_split
from processes import run_python

STRANGERS = ("byol", "multicrop", "skipping", "detection", "paragraphs")
COMPILED = {"compiles", "compiled-answers-as-eager", "compiled-step-answers-as-eager"}
UNPLANNED = {  # parts that their author did not think of, beside the names of each stranger's own
    "byol on frames of a clip": ("video", "pretask/any-from-any", "byol/byol", "pretask/frames"),
    "byol on crops of two sizes": ("image", "multicrop/multicrop", "byol/byol", "pretask/convnet"),
    "contrast of large crops": ("image", "multicrop/multicrop", "pretask/info-nce", "pretask/convnet"),
    "self-distillation of exemplars": ("image", "pretask/exemplar-pair", "multicrop/self-distillation", "pretask/timm"),
    "a block drawn by the decoder": ("image", "pretask/occluded-from-visible", "skipping/decoder", "pretask/convnet"),
    "visible patches, linear pixels": ("image", "pretask/any-from-any", "pretask/regression", "skipping/visible-vit"),
    "replaced tokens and a vector of the text": (
        "text",
        "pretask/mask-tokens",
        "detection/replaced-tokens",
        "paragraphs/paragraph-vectors",
    ),
    "replaced tokens in an LSTM": ("text", "pretask/mask-tokens", "detection/replaced-tokens", "pretask/bilstm"),
}


def project(name: str) -> Path:
    return HOUSE / "tests" / "third_party" / f"pretask-{name}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with install_all(map(project, STRANGERS), tmp_path_factory.mktemp("strangers")) as registry:
        yield registry


@pytest.mark.parametrize("name", STRANGERS)
def test_thirty_lines_are_enough(name: str) -> None:
    assert count_logical_lines(project(name)) <= 30


@pytest.mark.parametrize("name", STRANGERS)
def test_nothing_is_imported_but_pretask_torch_and_the_standard_library(name: str) -> None:
    allowed = {"pretask", "pretask_plugins.shared", f"pretask_{name}", "torch", *sys.stdlib_module_names}
    for path in (project(name) / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert all(any(f"{module}.".startswith(f"{known}.") for known in allowed) for module in modules)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGERS)
def test_every_check_passes_and_none_is_expected_to_fail(name: str, registry: Registry) -> None:
    outcomes = [outcome for kind in ("split", "model", "objective") for outcome in run(registry, name, kind=kind)]
    assert len(outcomes) > 10
    assert {outcome.check for outcome in outcomes if outcome.state != "passed"} - COMPILED <= {"output-is-golden"}


@pytest.mark.compiled
@pytest.mark.parametrize("name", STRANGERS)
def test_every_check_passes_where_it_is_compiled_too(name: str, registry: Registry) -> None:
    assert "FAILED" not in run_python("-m", "pretask_bench", "check", name).out


# (stranger, file, what stands there, what a mutant has instead, the check that must find it)
MUTANTS = {
    "answers-steer-x": (
        "detection/objective.py",
        "(logits + gumbel).argmax(-1)",
        "target.value",
        "rewriting-follows-from-x-and-draws",
    ),
    "a-generator-of-torchs-own": (
        "detection/objective.py",
        'draws.uniform("gumbel", *logits.shape[1:])',
        "torch.rand_like(logits)",
        "rewriting-follows-from-x-and-draws",
    ),
    "center-moves-in-the-loss": (
        "multicrop/objective.py",
        "self.seen = seen.mean((0, 1))",
        "self.center.lerp_(seen.mean((0, 1)), 0.1)",
        "declared-state-moves-after-steps-only",
    ),
    "center-of-one-rank": (
        "multicrop/objective.py",
        "mean_over_ranks(self.seen)",
        "self.seen",
        "ranks-agree-on-state",
    ),
    "teacher-not-declared": (
        "multicrop/__init__.py",
        'state={"teacher", "center"}',
        'state={"center"}',
        "declared-state-moves-after-steps-only",
    ),
    "first-samples-count-less": (
        "byol/objective.py",
        "weighted_mean(2 - 2 * cosine.mean(1))",
        "weighted_mean((2 - 2 * cosine.mean(1)) * torch.arange(len(cosine), device=cosine.device))",
        "order-of-the-batch-does-not-matter",
    ),
    "hidden-patches-encoded": (
        "skipping/model.py",
        "None if visible is None else visible.flatten(0, 1), self.visible",
        "None, None",
        "hidden-patches-are-not-encoded",
    ),
    "vectors-found-by-place": (
        "paragraphs/model.py",
        "self.paragraphs(inputs.index)",
        "self.paragraphs.weight[: len(inputs.data)]",
        "sample-parameters-are-their-samples-own",
    ),
    "vectors-shared": (
        "paragraphs/model.py",
        "self.paragraphs(inputs.index)",
        "self.paragraphs.weight.mean(0).expand(len(inputs.data), -1)",
        "sample-parameters-are-their-samples-own",
    ),
    "vectors-allocated-before": (
        "paragraphs/model.py",
        "nn.Embedding(samples, self.width)",
        "nn.Embedding(64, self.width)",
        "sample-parameters-are-their-samples-own",
    ),
    "unseen-texts-crash": (
        "paragraphs/model.py",
        "if inputs.index is not None:",
        "if self.window:",
        "unseen-samples-are-what-it-says",
    ),
    "unseen-texts-said-to-be-refused": (
        "paragraphs/model.py",
        'unseen = "encoded"',
        'unseen = "refused"',
        "unseen-samples-are-what-it-says",
    ),
    "any-patch-taken": (
        "skipping/model.py",
        'check_patch("visible-vit", spec, self.patch)',
        "pass",
        "hidden-patches-are-not-encoded",
    ),
}


@pytest.mark.parametrize("fault", MUTANTS)
def test_a_fault_is_caught_by_the_check_that_is_meant_for_it_and_the_sound_twin_passes(
    fault: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, sound, broken, check = MUTANTS[fault]
    name, file = where.split("/")
    assert {outcome.state for outcome in run(registry, name, only=[check])} == {"passed"}
    copy = tmp_path / "project"
    shutil.copytree(project(name), copy)
    path = copy / "src" / f"pretask_{name}" / file
    assert path.read_text().count(sound) == 1
    path.write_text(path.read_text().replace(sound, broken))
    (tmp_path / "site").mkdir()
    install(copy, tmp_path / "site")
    for module in [module for module in sys.modules if module.partition(".")[0] == f"pretask_{name}"]:
        monkeypatch.delitem(sys.modules, module)  # the sound one comes back afterwards
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    outcomes = list(run(Registry.load([str(tmp_path / "site"), *sys.path]), name, only=[check]))
    for module in [module for module in sys.modules if module.partition(".")[0] == f"pretask_{name}"]:
        del sys.modules[module]
    assert "failed" in {outcome.state for outcome in outcomes}


def make_task(registry: Registry, samples: Samples, names: tuple[str, str, str], recipe: Recipe) -> Task:
    kinds = zip(("split", "objective", "model"), names, strict=True)
    split, objective, model = (
        build(found, found.component.small) for found in (registry.find(*pair) for pair in kinds)
    )
    return compose(samples.observed, fit_split(split, samples), model, objective, recipe)


@pytest.mark.parametrize("title", [title for title in UNPLANNED if title != "byol on frames of a clip"])
def test_their_parts_fit_others_that_they_did_not_know_and_train(title: str, registry: Registry) -> None:
    modality, *names = UNPLANNED[title]
    samples = make_canned_samples(modality)
    task = make_task(registry, samples, tuple(names), Recipe(batch=8, samples=8 * 4, lr=1e-3, warmup=0.0))
    before = [parameter.detach().clone() for parameter in task.model.parameters()]
    train(task, samples)
    assert any(not torch.equal(one, two) for one, two in zip(before, task.model.parameters(), strict=True))


def test_a_split_without_two_views_is_refused_by_the_teacher(registry: Registry) -> None:
    with pytest.raises(Incompatible, match="targets of the kind agreement"):
        make_task(registry, make_canned_samples("video"), UNPLANNED["byol on frames of a clip"][1:], Recipe())


def test_patches_smaller_than_the_models_are_refused_before_any_hidden_pixel_is_read(registry: Registry) -> None:
    samples = make_canned_samples("image")
    split = build(registry.find("split", "any-from-any"), {"patch": 4})
    model = build(registry.find("model", "skipping/visible-vit"), {"width": 16, "depth": 1, "patch": 8})
    objective = build(registry.find("objective", "skipping/decoder"), {})
    with pytest.raises(Incompatible, match=r"hidden by patches whose sides 8 divides.*Set split.patch to 8"):
        compose(samples.observed, split, model, objective)


def test_a_teacher_begins_as_the_network_follows_it_and_is_saved(registry: Registry, tmp_path: Path) -> None:
    samples = make_canned_samples("image")
    names = ("pretask/exemplar-pair", "byol/byol", "pretask/convnet")
    recipe = Recipe(batch=8, samples=8 * 4, lr=1e-2, warmup=0.0)
    whole, again = (make_task(registry, samples, names, recipe) for _ in range(2))
    assert whole.teacher is not None
    start = [parameter.clone() for parameter in whole.teacher.model.parameters()]
    assert all(torch.equal(one, two) for one, two in zip(start, whole.model.parameters(), strict=True))
    train(whole, samples, folder=tmp_path)
    moved = list(whole.teacher.model.parameters())
    assert all(parameter.grad is None for parameter in moved)
    assert any(not torch.equal(one, two) for one, two in zip(start, moved, strict=True))
    train(again, samples, folder=tmp_path)  # finds all steps done, and loads them
    assert again.teacher is not None
    assert all(torch.equal(one, two) for one, two in zip(moved, again.teacher.model.parameters(), strict=True))


def test_the_momentum_rises_along_a_half_cosine() -> None:
    from pretask import Momentum

    momentum = Momentum(0.9, 1.0)
    assert [momentum.at(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])


def test_accumulated_parts_of_a_rewriting_objective_weigh_as_the_whole_step(registry: Registry) -> None:
    samples = make_canned_samples("text")
    present = torch.arange(samples.data.shape[1]) < torch.tensor([16, 5]).repeat_interleave(4).repeat(8)[:, None]
    samples = replace(samples, data=samples.data.where(present, 0), present=present)  # short ones in another part
    names = ("pretask/mask-tokens", "detection/replaced-tokens", "pretask/bilstm")
    weights = []
    for accumulate in (1, 2):
        recipe = Recipe(batch=8, samples=8, lr=1e-2, warmup=0.0, optimizer="sgd", accumulate=accumulate)
        task = replace(make_task(registry, samples, names, recipe), recipe=recipe)
        for module in [*task.model.modules(), *task.objective.modules()]:
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        train(task, samples)
        weights.append(torch.cat([parameter.flatten() for parameter in task.model.parameters()]))
    assert torch.allclose(*weights, atol=1e-5)


def test_chance_of_a_rewritten_target_is_the_most_frequent_answer_not_a_half(registry: Registry) -> None:
    samples = make_canned_samples("text")
    names = ("pretask/mask-tokens", "detection/replaced-tokens", "pretask/bilstm")
    task = make_task(registry, samples, names, Recipe(batch=16, samples=16))
    chance = score_references(task, samples, samples).chance
    assert chance["replaced.accuracy"] > 0.7  # most tokens are the original ones
