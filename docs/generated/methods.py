"""Methods: a page for every task, from its declaration, the header of its package, its records and its citations.

`PYTHONPATH=docs python -m generated.methods` writes the table of tasks in README anew.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

from pretask_bench.cli.cite import list_parts
from pretask_bench.cli.show import component_options, preset_table, task_settings
from pretask_registry import Registered, Registry
from pretask_registry.citations import collect_citations
from pretask_registry.modalities import find_modalities

from generated.measured import MEASURED, show_pictures, write_numbers
from generated.text import as_prose, fenced, split_header, write_table

FOLDER = "methods"
PLURALS = {"split": "splits", "objective": "objectives", "model": "models"}
OWN_FILES = {  # by modality, the loader of a user's own files and the folder they may lie in
    "image": ("folder", "photos"),
    "text": ("text", "texts"),
    "audio": ("audio-folder", "recordings"),
    "video": ("video-folder", "videos"),
}
ANY = "any"
YEAR = re.compile(r" \(\D+ \d{4}\)\.$")  # the source at the end of a summary
PLACE = re.compile(r"(<!-- methods -->\n).*?(<!-- end -->)", re.DOTALL)


@cache
def load_registry() -> Registry:
    """Return what pretask itself offers; whatever else is installed is not documented here."""
    return Registry.load()


def own(kind: str) -> list[Registered]:
    """Return the components of a kind that pretask offers, in their newest version."""
    found = load_registry().components(kind)
    return [registered for registered in found if registered.plugin.distribution == "pretask"]


def read_header(task: Registered) -> dict[str, str]:
    """Return the parts of the header of the package that declares a task."""
    return split_header(import_module(task.plugin.module).__doc__ or "")


def write_method_pages() -> dict[str, str]:
    """Return an overview and a page for every task, by name."""
    index = f"# Methods\n\n{write_overview(links=True)}\n{OVERVIEW_END}"
    return {f"{FOLDER}/index.md": index} | {f"{FOLDER}/{task.name}.md": write_page(task) for task in own("task")}


OVERVIEW_END = """Each page says what the method is, where it differs from its paper, what can be set and what was
measured.
`pretask show TASK` and `pretask cite TASK` say the same on the command line.
"""


def write_overview(*, links: bool) -> str:
    """Return the table of all tasks: what each is trained to do, and on what."""
    rows = []
    for task in own("task"):
        modalities = find_modalities(load_registry(), task)
        named = ANY if modalities >= OWN_FILES.keys() else ", ".join(sorted(modalities))
        name = f"[{task.name}]({task.name}.md)" if links else task.name
        rows.append(f"| {name} | {as_prose(describe_training(task))} | {named} |\n")
    return "".join(["| task | what it is trained to do | modality |\n", "|---|---|---|\n", *rows])


def describe_training(task: Registered) -> str:
    """Return the first line of a task's header after its name; of one that shares its package, its split's summary."""
    if sum(other.plugin.module == task.plugin.module for other in own("task")) > 1:
        split, *_ = list_parts(load_registry(), task)
        return YEAR.sub("", split.component.summary.partition(": ")[2])
    line = read_header(task)[""].split("\n\n")[0].partition(": ")[2].replace("\n", " ")
    return line.removesuffix(".")


def write_page(task: Registered) -> str:
    """Return the page of a task."""
    return "\n".join(f"{part}\n" for part in iterate_parts(task) if part)


def iterate_parts(task: Registered) -> Iterator[str]:
    """Yield the parts of the page of a task."""
    header = read_header(task)
    parts = dict(zip(PLURALS, list_parts(load_registry(), task), strict=False))
    yield f"# {task.name}"
    yield as_prose(header[""])
    yield f"**Paper**: {as_prose(header['Source'])}"
    yield f"**What differs from it**: {as_prose(header['Differs'])}"
    yield f"It is made of {describe_parts(task)}, and its id is `{task.id}`."
    yield "## Run it"
    yield fenced("\n".join(iterate_commands(task)), "sh")
    yield "## Settings of the paper and of its presets"
    settings = preset_table(task_settings(task))
    yield "An empty cell leaves the default of the part."
    yield write_table(settings.columns, settings.rows)
    yield f"## Options of the split {parts['split'].name}"
    yield write_options(parts["split"], "split")
    yield "## Measured"
    yield f"Numbers of records that are kept with the sources; [Measured](../{MEASURED}) says how each came about."
    yield write_numbers(task.unversioned_id)
    if pictures := show_pictures(task.unversioned_id):
        yield f"## Pictures\n\n{pictures}"
    yield "## Cite"
    yield write_citation(task)


def describe_parts(task: Registered) -> str:
    """Return links to the split, the objective and the model of a task."""
    named = task.component.traits["parts"]
    links = [f"the {kind} [{named[kind]}](../components/{plural}.md#{named[kind]})" for kind, plural in PLURALS.items()]
    return f"{links[0]}, {links[1]} and {links[2]}"


def iterate_commands(task: Registered) -> Iterator[str]:
    """Yield a command for the paper's settings and for each preset; data of one's own where the preset names none."""
    for preset, settings in task_settings(task).items():
        words = ["pretask", "run", task.name]
        if preset in task.component.traits["presets"]:
            words += ["--preset", preset]
        if not settings.get("data"):
            fitting = find_modalities(load_registry(), task)
            loader, root = next(files for modality, files in OWN_FILES.items() if modality in fitting)
            words += ["--data", loader, "--set", f"data.root={root}"]
        yield " ".join(words)


def write_options(registered: Registered, prefix: str) -> str:
    """Return the table of what can be set of a component."""
    rows = [(f"`{prefix}.{name}`", *texts.values()) for name, texts in component_options(registered).items()]
    return write_table(("option", "default", "values", "meaning"), rows) or "It has none."


def write_citation(task: Registered) -> str:
    """Return what `pretask cite` prints of a task."""
    entries = collect_citations([task, *list_parts(load_registry(), task)]).entries.values()
    return fenced("\n\n".join(entries), "bibtex")


def write_readme(text: str) -> str:
    """Return README with the table of all tasks in its place."""
    return PLACE.sub(lambda place: f"{place[1]}{write_overview(links=False)}{place[2]}", text)


if __name__ == "__main__":
    readme = Path(__file__).parents[2] / "README.md"
    readme.write_text(write_readme(readme.read_text(encoding="utf-8")), encoding="utf-8")
