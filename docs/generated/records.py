"""Records: every field of a record, from the models that check it; and the places of a page that are filled."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args

from pretask_bench.records.field_types import StrictModel
from pretask_bench.records.record import Record
from pretask_registry.option_texts import read_option_texts

from generated.measured import show_record
from generated.text import as_prose, fenced, first_paragraphs, write_table

WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
ANY_JSON = "any JSON"
PLACE = re.compile(r"^<!-- write: (\w[\w-]*)((?: \S+)*) -->$", re.MULTILINE)


def fill_places(markdown: str) -> str:
    """Return a page with `<!-- write: NAME ARGUMENTS -->` replaced by what is written there."""
    return PLACE.sub(lambda place: WRITERS[place[1]](*place[2].split()), markdown)


def write_fields() -> str:
    """Return a table of fields for the record and for every part of it."""
    return "\n".join(f"{part}\n" for model in iterate_models(Record) for part in write_model(model))


def write_model(model: type[StrictModel]) -> Iterator[str]:
    """Yield heading, sentence and fields of one part of a record."""
    yield f"### {model.__name__}"
    yield as_prose(first_paragraphs(inspect.getdoc(model) or ""))
    texts = read_option_texts(model)
    yield write_table(
        ("field", "what it holds", "meaning"),
        [
            (f"`{name}`", describe_schema(schema), texts.get(name, ""))
            for name, schema in model.model_json_schema()["properties"].items()
        ],
    )


def iterate_models(model: type[StrictModel]) -> Iterator[type[StrictModel]]:
    """Yield a model and all that its fields hold, each once, in the order in which a reader meets them."""
    found = [model]
    for current in found:
        for field in current.model_fields.values():
            found += [inner for inner in inner_models(field.annotation) if inner not in found]
    yield from found


def inner_models(annotation: Any) -> list[type[StrictModel]]:
    """Return the parts of a record within a type."""
    if inspect.isclass(annotation) and issubclass(annotation, StrictModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in inner_models(argument)]


def describe_schema(schema: Any) -> str:
    """Return what a field may hold, in words.

    >>> describe_schema({"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Item"}}, {"type": "null"}]})
    'list of Item, or null'
    """
    if schema is True:
        return ANY_JSON
    if "$ref" in schema and not str(schema["$ref"]).endswith("JsonValue"):
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return ", or ".join(map(describe_schema, schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        inner = schema.get("items") or schema["prefixItems"][0]
        return f"{'two of' if 'prefixItems' in schema else 'list of'} {describe_schema(inner)}"
    if schema.get("type") == "object":
        values = {**schema.get("patternProperties", {}), "": schema.get("additionalProperties")}
        return f"{describe_schema(next(iter(values.values())) or {})}, by name"
    return WORDS.get(schema.get("type", ""), ANY_JSON)


WRITERS: dict[str, Callable[..., str]] = {
    "fields": write_fields,
    "record": lambda folder, task: fenced(show_record(folder, task), "json"),
}
