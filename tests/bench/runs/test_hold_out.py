"""`--hold-out`: what is chosen by a part of the training part has not seen the test part, and enters no board."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pretask
import pytest
import torch
from pretask_bench.cli.main import invoke
from pretask_bench.records.record import Record, build_record
from pretask_bench.records.store import read
from pretask_bench.results.ablation import read_run
from pretask_bench.results.groups import summarize_groups
from pretask_bench.results.means import name_data
from pretask_bench.results.systems import place_of
from pretask_bench.runs.rerun import rerun
from pretask_bench.runs.suites import read_suite
from pretask_plugins.data.image.digits import Digits
from pretask_registry import Registry

Capture = pytest.CaptureFixture[str]
RUN = ["run", "vae", "--preset", "small", "--device", "cpu", "--no-pictures", "--baselines", "random-init"]
for setting in ("model.hidden=(8,)", "objective.latent_dim=2", "recipe.samples=64", "recipe.batch=16", "knn.k=1"):
    RUN += ["--set", setting]
RUN += ["--evaluate", "knn"]
HELD = ", 0.25 of its training part"
SWEEP = """
hold_out = 0.25
task = "vae"
preset = "small"
evaluate = "knn"
"model.hidden" = [8]
"objective.latent_dim" = 2
"recipe.samples" = 64
"recipe.batch" = 16
"knn.k" = [1]
"""


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("held"))
        patch.setenv("PRETASK_CACHE", str(folder / "cache"))
        yield


@pytest.fixture(scope="module")
def held(home: None) -> Record:
    """The record of a run that was measured on a quarter of its training part."""
    with redirect_stdout(io.StringIO()) as printed:
        assert invoke([*RUN, "--json", "--hold-out", "0.25"]) == 0
    (facts,) = json.loads(printed.getvalue())
    return read(Path(facts["file"]))


def test_a_share_of_the_training_part_is_measured_on_and_not_learned_from(held: Record) -> None:
    digits = Digits()
    fingerprints = held.cell.data.fingerprints.values()
    assert held.cell.hold_out == 0.25
    assert len({*fingerprints, digits("train").fingerprint, digits("test").fingerprint}) == 4
    found = held.find_result("pretask/knn@1", "trained")
    assert found is not None
    assert found.items["accuracy"].count == pytest.approx(0.25 * len(digits("train")), abs=5)


def test_a_sweep_finds_what_a_run_recorded(held: Record, capsys: Capture) -> None:
    Path("grid.toml").write_text('baselines = ["random-init"]\n[fixed]' + SWEEP)
    assert invoke(["sweep", "grid.toml", "--plan"]) == 0
    assert capsys.readouterr().out.startswith("1\tdone\t")


def test_a_rerun_is_exact(held: Record) -> None:
    again = rerun(Registry.load(), held, {}, Path("again"), torch.device("cpu"), print)
    assert again.verdict == "exact"


def test_it_is_not_averaged_with_what_was_measured_on_the_test_part(held: Record) -> None:
    tested = build_record(
        {**held.model_dump(mode="json"), "cell": {**held.model_dump(mode="json")["cell"], "hold_out": None}}
    )
    blocks = {read_run(record, "pretask/knn@1", "accuracy").block for record in (held, tested)}
    assert len(blocks) == 2
    assert place_of(held.cell) == "digits, 0.25 of its training part"
    assert [line.data for line in summarize_groups([[held], [tested]])] == [f"digits{HELD}", "digits"]
    assert name_data(held) == f"pretask/digits@1{HELD}"


def test_verify_makes_the_same_parts_again(held: Record, capsys: Capture) -> None:
    assert invoke(["run", *RUN[1:], "--json"]) == 0
    capsys.readouterr()
    assert invoke(["verify", "runs/records", "--recompute-data"]) == 0


def test_a_run_that_saw_what_is_held_out_is_refused(held: Record, capsys: Capture) -> None:
    assert invoke([*RUN, "--json"]) == 0
    (whole,) = json.loads(capsys.readouterr().out)
    for option in ("--init", "--reference"):
        assert invoke([*RUN, "--hold-out", "0.5", option, whole["file"]]) == 2
        assert "of the whole training part" in capsys.readouterr().err


def test_no_board_takes_it(held: Record) -> None:
    suite = read_suite(Registry.load(), "quick")
    reasons = [suite.explain_exclusion(division, held) for division in suite.file.division]
    assert "it was measured on 0.25 of its training part, held out, and not on the test part" in reasons


def test_a_share_that_is_none_is_refused_before_anything_is_trained(capsys: Capture) -> None:
    assert invoke([*RUN, "--hold-out", "1.5"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err
    with pytest.raises(pretask.PretaskError, match="between 0 and 1"):
        pretask.run("vae", preset="small", samples=64, hold_out=-1)
