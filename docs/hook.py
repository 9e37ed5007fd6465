"""What mkdocs calls: it adds pages that are written from declarations, records and docstrings."""

from pathlib import Path
from typing import Any

from generated.api import write_api_pages
from generated.components import write_component_pages
from generated.measured import MEASURED, list_pictures, write_measured_page
from generated.methods import write_method_pages
from generated.records import fill_places
from mkdocs.structure.files import File, Files

HOUSE = Path(__file__).parents[1]
SECTIONS = {  # of the navigation, with what writes their pages
    "Methods": write_method_pages,
    "Components": write_component_pages,
    "API": write_api_pages,
}


def on_config(config: Any) -> Any:
    """Write the pages, and add them to the navigation."""
    config.extra["written"] = written = {MEASURED: write_measured_page()}
    for title, write_pages in SECTIONS.items():
        pages = write_pages()
        config.nav.append({title: [*pages]})
        written.update(pages)
    config.nav += [{"Measured": MEASURED}, "glossary.md", "architecture.md", "dependencies.md"]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the written pages, and the pictures that they show."""
    for name, text in config.extra["written"].items():
        files.append(File.generated(config, name, content=text))
    for name, path in list_pictures().items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the places that a page leaves for what is written."""
    return fill_places(markdown)
