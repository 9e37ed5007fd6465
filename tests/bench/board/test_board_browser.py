"""The page in a browser: sorting and filtering work, nothing is asked of any network, a record's script is text."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from entrants import entrant, named, suite
from pretask_bench.board import site
from pretask_bench.board.site import render_board
from pretask_bench.records.record import build_record

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=5000"),
    *("--enable-logging=stderr", "--v=0", "--dump-dom"),
)
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND"
EVIL = "<img src=x onerror=stolen=1><script>stolen=1</script>"

pytestmark = [
    pytest.mark.exhaustive,  # a browser
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium"),
]

# What a reader does, in order; what the page then shows goes into the last element.
READER = """
const all = (selector) => [...document.querySelectorAll(selector)];
const shown = () => all(".ranking tbody tr:not([hidden]) th a").map((link) => link.textContent);
const head = (name) => all(".ranking thead button").find((button) => button.textContent.includes(name));
const order = () => document.querySelector("[aria-sort]").getAttribute("aria-sort");
const choose = (name, text) => {
  const field = document.querySelector(`[data-filter=${name}]`);
  field.value = field.options ? [...field.options].find((option) => option.textContent.includes(text)).value : text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
};
const status = () => document.querySelector("[role=status]").textContent;
const late = () => all(".ranking tbody tr").filter((row) => getComputedStyle(row).display === "none").length;
const did = { first: shown(), rank: order(), late: [late()] };
document.querySelector(".rest button").click(); did.late.push(late());
head("Train").click(); did.quickest = [shown(), order()];
head("knn accuracy, trained").click(); did.neighbours = [shown(), order()];
head("knn accuracy, trained").click(); did.reversed = [shown(), order()];
head("Entry").click(); did.names = shown();
choose("model", "mlp"); did.model = [shown(), status()];
choose("model", "all"); choose("text", "BEST con"); did.text = shown();
choose("text", ""); choose("evaluator", "knn");
did.columns = [".m0", ".m1"].map((name) => getComputedStyle(document.querySelector(`.ranking td${name}`)).display);
choose("evaluator", "all"); choose("division", "images"); did.division = shown().length;
document.querySelector("th.entry a").click();
did.dialog = [document.querySelector("dialog").open, document.querySelector("dialog h3").textContent.trim()];
did.stolen = typeof stolen;
did.requests = performance.getEntriesByType("resource").filter((resource) => !resource.name.startsWith("data:")).length;
const element = document.createElement("pre");
element.id = "did";
element.textContent = JSON.stringify(did);
document.body.append(element);
"""


def opened(page: str, folder: Path, width: int = 1300) -> tuple[str, list[str]]:
    """The page's document after its scripts ran in a window of so many pixels, and what the console said."""
    (folder / "index.html").write_text(page, encoding="utf-8")
    window = (f"--window-size={width},900", f"--user-data-dir={folder / 'profile'}")
    command = [str(BROWSER), *FLAGS, NOWHERE, *window, str(folder / "index.html")]
    surroundings = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=surroundings, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


@pytest.fixture(scope="module")
def page(lasting_facts: dict[str, Any]) -> str:
    """Three entries, of which one's text is a script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "MAX_SHOWN_ROWS", 2)
        return page_of(lasting_facts)


def page_of(facts: dict[str, Any]) -> str:
    """Three entries that every number orders differently."""

    def cost(seconds: float) -> dict[str, Any]:
        return {**facts["provenance"], "stages": {"pretrain": seconds}}

    small = {"model": {"id": "pretask/mlp@1", "options": {}}}
    evil = entrant(facts, 0.6, 0.75, task="evil/middle@1", provenance=cost(5.0), note=EVIL, author=EVIL)
    changed = evil.model_dump(mode="json")
    changed["cell"]["split"]["options"] = {EVIL: EVIL}
    changed["pretext"] = {"metrics": {EVIL: 0.5}, "chance": {EVIL: 0.1}}
    best = entrant(facts, 0.85, 0.7, task="acme/best@1", provenance=cost(200.0))
    last = entrant(facts, 0.3, 0.35, task="acme/last@1", provenance=cost(30.0), cell=small)
    return render_board(suite(), named(best, build_record(changed), last))[0]


def with_reader(page: str) -> str:
    """The page with a reader, whom its policy is made to allow."""
    return re.sub(r"script-src 'sha256-[^']*'", "script-src 'unsafe-inline'", page) + f"<script>{READER}</script>"


@pytest.fixture(scope="module")
def did(page: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the reader saw."""
    document, errors = opened(with_reader(page), tmp_path_factory.mktemp("reader"))
    found = re.search(r'<pre id="did">(.*?)</pre>', document, re.DOTALL)
    assert found, errors
    return json.loads(found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


BEST, MIDDLE, LAST = "best (convnet)", "middle (convnet)", "last (mlp)"


def test_rows_come_by_rank_and_a_click_sorts_them_by_any_column(did: Any) -> None:
    assert (did["first"], did["rank"]) == ([BEST, MIDDLE, LAST], "ascending")
    assert did["quickest"] == [[MIDDLE, LAST, BEST], "ascending"]
    assert did["neighbours"] == [[MIDDLE, BEST, LAST], "descending"]
    assert did["reversed"] == [[LAST, BEST, MIDDLE], "ascending"]
    assert did["names"] == [BEST, LAST, MIDDLE]


def test_filters_leave_what_fits_and_say_how_many(did: Any) -> None:
    assert did["model"] == [[LAST], "1 of 3 ranked entries in 1 table"]
    assert did["text"] == [BEST]
    assert did["columns"] == ["none", "table-cell"]
    assert did["division"] == 3


@pytest.mark.parametrize("width", [500, 800, 1279, 1300])
def test_nothing_is_cut_off_at_the_side_of_the_lecture_s_page(width: int, tmp_path: Path) -> None:
    measure = """
    const over = [...document.querySelectorAll("html, section.table .wide, section.table tbody tr > *")]
      .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0)
      .map((element) => element.outerHTML.slice(0, 60));
    document.body.append(`measured ${innerWidth}: ${over.join("|")} end`);
    """
    page = (Path(__file__).parents[3] / "docs" / "board" / "index.html").read_text(encoding="utf-8")
    document, errors = opened(with_reader(page).replace(READER, measure), tmp_path, width)
    found = re.search(r"measured (\d+): (.*?) end", document, re.DOTALL)
    assert found, errors
    assert (int(found[1]), found[2]) == (width, "")


def test_a_long_table_shows_its_first_rows_until_all_are_asked_for(did: Any) -> None:
    assert did["late"] == [1, 0]


def test_an_entry_opens_its_details(did: Any) -> None:
    assert did["dialog"][0]
    assert did["dialog"][1].startswith("best")


def test_a_script_in_a_record_never_runs_and_nothing_is_requested(did: Any) -> None:
    assert did["stolen"] == "undefined"
    assert did["requests"] == 0


def test_the_page_as_it_is_runs_under_its_own_policy_without_a_word_in_the_console(page: str, tmp_path: Path) -> None:
    document, errors = opened(page, tmp_path)
    assert errors == []
    assert "3 of 3 ranked entries in 1 table" in document  # its own script ran
    assert "&lt;img src=x onerror=stolen=1&gt;" in document
    assert "<img src=" not in document


def test_a_policy_that_is_broken_is_heard_in_the_console(page: str, tmp_path: Path) -> None:
    _, errors = opened(page + "<script>1</script>", tmp_path)
    assert errors
