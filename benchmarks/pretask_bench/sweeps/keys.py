"""Keys: names of the stages of a cell by their content, all that came before included, and the code that does them.

Three stages: pretraining, the features of what is measured on, and the evaluation. Cells with one pretraining key train
once, those with one features key extract once, and a cell is recorded where a record has its evaluation key. What a
split is fitted to follows from data, options and code, so it needs not be fitted to name a cell. A plan of thousands of
cells asks for the same few parts over and over: each is settled once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pretask import Data, PretaskError, Remembered
from pretask_registry import Registered, Registry

from pretask_bench.records.canonical import as_plain, json_text
from pretask_bench.records.cell import MEASURING, key_of_texts
from pretask_bench.records.code import SCORING, TRAINING, code_key, hash_code
from pretask_bench.results.groups import SEEDLESS
from pretask_bench.runs.fit_with import find_run
from pretask_bench.runs.initial import TIMM, read_initial
from pretask_bench.runs.plan import EVALUATION_DATA, PARTS, Plan
from pretask_bench.runs.prepare import data_fields, evaluator_fields, part_fields, recipe_fields


@dataclass(frozen=True)
class StageKeys:
    """Names of the stages of a cell.

    Args:
        pretrain: Of what determines the trained weights: parts, data, recipe, seed, and the code that trains.
        features: Of that, and of the data that is measured on.
        evaluate: Of that, of evaluators and references, and of the code that measures.
    """

    pretrain: str
    features: str
    evaluate: str


def stage_keys(cell: Mapping[str, Any], training_code: str, code: str, references: tuple[str, ...]) -> StageKeys:
    """Return the keys of a cell's stages.

    Args:
        cell: Fields of the cell as JSON holds them, without what its split is fitted to.
        training_code: Key of the code that trains.
        code: Key of the code that trains and measures.
        references: Encoders that are measured beside the trained one.
    """
    texts = {name: json_text(fact) for name, fact in cell.items() if fact is not None}
    return keys_of_texts(texts, training_code, code, references)


def keys_of_texts(texts: Mapping[str, str], training_code: str, code: str, references: tuple[str, ...]) -> StageKeys:
    """Return the same by the canonical JSON of each field of the cell that is not None."""
    training = key_of_texts({name: text for name, text in texts.items() if name not in MEASURING})
    pretrain = join_texts(json_text(training), json_text(training_code))
    features = join_texts(json_text(pretrain), texts.get("evaluated_on") or texts["data"])
    measured = (texts["evaluators"], json_text(code), json_text(sorted(references)))
    return StageKeys(pretrain, features, join_texts(json_text(features), *measured))


def join_texts(*texts: str) -> str:
    """Return the hash of some facts, each as canonical JSON."""
    return sha256(f"[{','.join(texts)}]".encode()).hexdigest()


@dataclass(frozen=True)
class DescribedCell:
    """What a plan will be recorded as.

    Args:
        fields: Of the cell, as JSON holds them.
        key: Of the cell without its seed, by which records are found.
        keys: Of its stages.
        code: Hashes of the modules that train and measure.
        code_key: One hash of all.
    """

    fields: Mapping[str, Any]
    key: str
    keys: StageKeys
    code: Mapping[str, str] = field(repr=False)
    code_key: str


@dataclass(frozen=True)
class Kept:
    """A value that was settled, and what it was settled from, which must live as long: it is known by where it lies.

    Args:
        origin: What it was settled from.
        value: The value.
    """

    origin: Any
    value: Any


@dataclass
class Describer:
    """Describes cells, and keeps what many of them have in common.

    Args:
        references: Encoders that are measured beside the trained one.
        reads: Whether data are read, for their fingerprints and modality; without, a description has neither.
        known: What was settled, by what it was settled from.
    """

    references: tuple[str, ...]
    reads: bool = True
    known: dict[Any, Any] = field(default_factory=dict)

    def describe(self, plan: Plan) -> DescribedCell | None:
        """Return what a plan will be recorded as; None where only its run can tell, which begins with timm's weights.

        Raises:
            PretaskError: Its data cannot be read, or an option does not exist.
        """
        if plan.init == TIMM:
            return None
        fields = self.cell_fields(plan)
        training = self.find_code(plan, measures=False)
        code = self.find_code(plan, measures=True)
        texts = {name: self.text(fact) for name, fact in fields.items() if fact is not None}
        keys = keys_of_texts(texts, self.hash_of(training), self.hash_of(code), self.references)
        key = key_of_texts({name: text for name, text in texts.items() if name not in SEEDLESS})
        return DescribedCell(fields, key, keys, code, self.hash_of(code))

    def text(self, fact: Any) -> str:
        """Return the canonical JSON of a field; of one that many cells share it is written once."""
        if not isinstance(fact, dict):
            return json_text(fact)
        text: str = self.once(("text", id(fact)), lambda: Kept(fact, json_text(fact))).value
        return text

    def cell_fields(self, plan: Plan) -> dict[str, Any]:
        """Return the fields of a plan's cell but for what its split is fitted to; see `prepare.make_cell`."""
        on = self.data(plan, EVALUATION_DATA) if EVALUATION_DATA in plan.parts else None
        data = self.data(plan, "data")
        return {
            **{part: self.part(plan, part) for part in PARTS},
            **self.once(("recipe", id(plan.recipe)), lambda: Kept(plan.recipe, as_plain(recipe_fields(plan)))).value,
            "seed": plan.seed,
            "data": data["fields"],
            "evaluated_on": on["fields"] if on is not None else None,
            "fitted_with": self.once(("fit_with", plan.fit_with), lambda: find_fitted_with(plan.fit_with)),
            "begun_with": self.once(("init", plan.init), lambda: find_begun_with(plan.init)),
            "evaluators": self.evaluators(plan),
            "modality": data["modality"],
            "hold_out": plan.hold_out or None,
        }

    def part(self, plan: Plan, part: str) -> dict[str, Any]:
        """Return id and options of a part."""
        what = (part, plan.parts[part].id, repr(plan.options_of(part)))
        found: dict[str, Any] = self.once(what, lambda: as_plain(part_fields(plan, part)))
        return found

    def evaluators(self, plan: Plan) -> dict[str, Any]:
        """Return the options of all evaluators by id."""
        settings = [(evaluator.id, repr(plan.options_of(evaluator.name))) for evaluator in plan.evaluators]
        found: dict[str, Any] = self.once(("evaluators", *settings), lambda: as_plain(evaluator_fields(plan)))
        return found

    def data(self, plan: Plan, part: str) -> dict[str, Any]:
        """Return the fields and the modality of a data set, which is read for its fingerprints."""
        what = ("data", plan.parts[part].id, repr(plan.options_of(part)), plan.hold_out)

        def read() -> dict[str, Any]:
            if not self.reads:
                return {"fields": {**as_plain(part_fields(plan, part)), "fingerprints": {}}, "modality": None}
            data: Data = Remembered(plan.build(part))
            fields = as_plain(data_fields(plan, part, data))
            return {"fields": fields, "modality": data("train").observed.modality}

        found: dict[str, Any] = self.once(what, read)
        return found

    def find_code(self, plan: Plan, measures: bool) -> Mapping[str, str]:
        """Return the hashes of the modules that train, or of those that measure as well."""
        parts = [plan.parts[part] for part in (*PARTS, "data")]
        if measures:
            parts += [*plan.evaluators, *filter(None, [plan.parts.get(EVALUATION_DATA)])]
        core = (*TRAINING, *SCORING) if measures else TRAINING
        what = ("code", core, *(part.id for part in parts))
        found: Mapping[str, str] = self.once(what, lambda: self.join_code(parts, core))
        return found

    def join_code(self, parts: list[Registered], core: tuple[str, ...]) -> Mapping[str, str]:
        """Return the hashes of the modules of some parts and of core, in the order of their names."""
        found = dict(self.once(("core", core), lambda: hash_code((), core)))
        for part in parts:
            found |= self.once(("module", part.id), lambda part=part: hash_code((part,), ()))
        return dict(sorted(found.items()))

    def hash_of(self, code: Mapping[str, str]) -> str:
        """Return one hash of code that `find_code` gave."""
        found: str = self.once(("code key", id(code)), lambda: code_key(code))
        return found

    def once(self, what: Any, make: Any) -> Any:
        """Return what was settled before, or settle it; an error is raised again each time."""
        if what not in self.known:
            try:
                self.known[what] = make()
            except PretaskError as error:
                self.known[what] = error
        found = self.known[what]
        if isinstance(found, PretaskError):
            raise found
        return found


def find_fitted_with(place: Path | None) -> str | None:
    """Return the hash of the weights of the run with whose encoder a split is fitted."""
    return None if place is None else find_run(place)[0].weights


def find_begun_with(place: str | None) -> str | None:
    """Return the hash of the weights that a model begins with."""
    return None if place is None else read_initial(place, None).origin


class FindOnce(Registry):
    """A registry for plans of many cells, which looks every name up once.

    It must not be kept longer than what is installed stays the same.
    """

    def find(self, kind: str, name: str) -> Registered:
        """Find a component; see `Registry.find`."""
        key = f"found {kind} {name}"
        if key not in self.memory:
            self.memory[key] = super().find(kind, name)
        found: Registered = self.memory[key]
        return found


def find_once(registry: Registry) -> FindOnce:
    """Return the same registry, for plans of many cells."""
    same = replace(registry, memory={})
    return FindOnce(same.plugins, same.manager, same.dropped, same.memory)
