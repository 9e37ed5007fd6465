"""Entries: which records compete in which division of a suite, which lack something, and which do not belong.

An entry is what a suite leaves free: parts, their options, recipe and precision. Its records differ by seed. Entries
compete where they learned from the very same data, which the data's fingerprint tells. Which records count is decided
in trust.py. No record is dropped silently.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from typing import Any

from pretask import Metric
from pretask_registry import Registry

from pretask_bench.board.gaps import find_gaps, find_missing_intervals
from pretask_bench.board.keeper import Keeper
from pretask_bench.board.trust import Conflicts, RecordsByHash, Verdict, find_duplicate_results, judge_cell
from pretask_bench.records.cells import OptionChecker
from pretask_bench.records.code import changed_modules
from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.measured import EvaluationResult
from pretask_bench.records.metrics import declared_metrics
from pretask_bench.records.record import Record
from pretask_bench.records.verify import record_faults
from pretask_bench.results.groups import run_title
from pretask_bench.results.pretext import PretextMetric, pretext_metrics
from pretask_bench.results.statistics import Estimate
from pretask_bench.runs.suites import Division, Measure, Suite

MAX_CHARACTERS, MAX_DIFFERENCES = 160, 3
MAX_NUMBER = 1e100


@dataclass(frozen=True)
class Entry:
    """One competitor of a board: records that differ by seed only.

    Args:
        key: Hash of all that it chose.
        title: The task, or the parts of a free combination.
        records: The records that count, one per seed, in the order of seeds.
        hashes: Names of these records.
        missing: What it lacks to be ranked; nothing if it is complete.
        distinction: What tells it from entries of the same title.
        confirming: Names of further records of the same cells, which agree.
        authors: Authors of all these records.
        watched: Of all these records one for each seed that was measured while it was trained.
    """

    key: str
    title: str
    records: tuple[Record, ...]
    hashes: tuple[str, ...]
    missing: tuple[str, ...] = ()
    distinction: str = ""
    confirming: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    watched: tuple[Record, ...] = ()

    @property
    def first(self) -> Record:
        """The first record, for what all of them have in common."""
        return self.records[0]

    @cached_property
    def results_by_source(self) -> Mapping[tuple[str, str], list[EvaluationResult]]:
        """Results by evaluator and encoder, in the order of seeds."""
        by_source: dict[tuple[str, str], list[EvaluationResult]] = defaultdict(list)
        for record in self.records:
            for result in record.results:
                by_source[result.evaluator, result.encoder].append(result)
        return dict(by_source)

    @cached_property
    def estimates(self) -> dict[tuple[str, str, str], Estimate | None]:
        """Estimates that were made of its results, by evaluator, metric and encoder: each is shown often."""
        return {}

    @cached_property
    def pretext_metrics(self) -> list[PretextMetric]:
        """How well the pretext task was solved, over seeds."""
        return pretext_metrics(self.records)

    @cached_property
    def differing_code(self) -> tuple[str, ...]:
        """Modules whose code differs between seeds, so that the records are not runs of one program."""
        codes = [record.code for record in self.records]
        return tuple(sorted({name for one, other in pairwise(codes) for name in changed_modules(one, other)}))

    def results(self, evaluator: str, encoder: str) -> list[EvaluationResult]:
        """Return the results of an evaluator on an encoder, by seed."""
        return self.results_by_source.get((evaluator, encoder), [])

    def values(self, evaluator: str, metric: str, encoder: str = TRAINED) -> list[float]:
        """Return one metric of an evaluator and an encoder, by seed."""
        values = (result.metrics.get(metric) for result in self.results(evaluator, encoder))
        return [value for value in values if value is not None]


@dataclass(frozen=True)
class Competition:
    """The entries of one division that learned from the very same data, and so compete.

    Args:
        division: Division of the suite.
        evaluators: Full id by the name that a measure uses.
        fingerprints: Content hashes of the train and test samples.
        baselines: Reference encoders that every complete entry has results of; others decide nothing.
        shown: These, and others that some of the suite's tasks are measured beside.
        complete: Entries that are ranked.
        incomplete: Entries that lack something.
    """

    division: Division
    evaluators: Mapping[str, str]
    fingerprints: Mapping[str, str]
    baselines: tuple[str, ...]
    shown: tuple[str, ...]
    complete: tuple[Entry, ...]
    incomplete: tuple[Entry, ...]

    def metric(self, measure: Measure) -> Metric:
        """Return what is declared of the number that a measure ranks by."""
        return declared_metrics(self.first, self.evaluators[measure.evaluator]).metric(measure.metric)

    @property
    def first(self) -> Record:
        """The first record, for what all of them have in common."""
        return (*self.complete, *self.incomplete)[0].first


@dataclass(frozen=True)
class Dispute:
    """A cell whose records diverge.

    Args:
        division: Division of the suite.
        title: Title of the entry.
        seed: Seed of the cell.
        conflicts: By hash, another record and the first number in which the two diverge.
        others: Further records of the cell, which contradict none of these and are not ranked with them.
        ranked: Whether the entry's record counts all the same, because those that diverge may raise no dispute.
    """

    division: str
    title: str
    seed: int
    conflicts: Conflicts
    others: tuple[str, ...] = ()
    ranked: bool = False


@dataclass(frozen=True)
class SortedRecords:
    """All records of a board, sorted by what becomes of them.

    Args:
        competitions: By division, then by how many are complete.
        outside: How many records enter no division, by the reason.
        failed: How many records are of failed runs.
        spare: How many confirm another one, or lack something that another seed of their entry does not.
        records: How many there are.
        disputes: Cells whose records diverge.
        faulty: What verify finds wrong, by hash.
        copies: By hash of a record that does not count, the one that has its result.
        withdrawn: The keeper's reason, by hash.
        unchecked: How many records name a part whose options could not be checked, by the reason.
        everything: The records, by hash.
    """

    competitions: tuple[Competition, ...]
    outside: Mapping[str, int]
    failed: int
    spare: int
    records: int
    disputes: tuple[Dispute, ...] = ()
    faulty: Mapping[str, Sequence[str]] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    unchecked: Mapping[str, int] = field(default_factory=dict)
    everything: RecordsByHash = field(default_factory=dict)


@dataclass
class RecordSorter:
    """Sorts records into entries, copies, disputes and what is left out.

    Args:
        suite: The suite whose divisions records may enter.
        keeper: What the board's keeper decided.
        option_checker: Fills defaults into options and checks them.
        outside: How many enter no division, by the reason.
        faulty: What verify finds wrong, by hash.
        choices: What tells entries apart, by the hash of each record that may count.
        trainings: Of that what was there before anything was measured, likewise.
        disputes: Cells whose records diverge.
    """

    suite: Suite
    keeper: Keeper
    option_checker: OptionChecker
    outside: Counter[str] = field(default_factory=Counter)
    faulty: dict[str, list[str]] = field(default_factory=dict)
    choices: dict[str, bytes] = field(default_factory=dict)
    trainings: dict[str, bytes] = field(default_factory=dict)
    disputes: list[Dispute] = field(default_factory=list)

    def admit(self, records: RecordsByHash) -> dict[str, list[str]]:
        """Return the names of the divisions that every sound record enters; count the others by the reason."""
        entering: dict[str, list[str]] = {}
        for name, record in records.items():
            divisions = self.find_divisions(record)
            faults = record_faults(record, self.option_checker) if divisions else []
            if faults:
                self.faulty[name] = faults
            elif divisions:
                entering[name] = [division.name for division in divisions]
                choice = self.option_checker.choice(record.cell)
                self.choices[name] = data_fingerprint(record).encode() + choice
                self.trainings[name] = json.dumps(record.cell.data.fingerprints, sort_keys=True).encode() + choice
        return entering

    def find_divisions(self, record: Record) -> list[Division]:
        """Return the divisions that a record enters; count the reason where there is none."""
        if has_huge_number(record):
            self.outside[f"a number beyond {MAX_NUMBER:.0e}"] += 1
            return []
        exclusions = [
            (division, self.suite.explain_exclusion(division, record)) for division in self.suite.file.division
        ]
        divisions = [division for division, reason in exclusions if reason is None]
        if not divisions:
            self.outside[choose_exclusion(self.suite, record, exclusions)] += 1
        return divisions

    def build_competitions(
        self, records: RecordsByHash, entering: Mapping[str, Sequence[str]]
    ) -> tuple[Competition, ...]:
        """Return the competitions of all divisions in order; within one division the most complete entries first."""
        found: list[Competition] = []
        for division in self.suite.file.division:
            by_data: dict[str, dict[str, Record]] = defaultdict(dict)
            for name, record in records.items():
                if division.name in entering[name]:
                    by_data[data_fingerprint(record)][name] = record
            competitions = [self.build_competition(division, of_data) for of_data in by_data.values()]
            found += sorted(
                (competition for competition in competitions if competition is not None),
                key=lambda competition: (-len(competition.complete), sorted(competition.fingerprints.items())),
            )
        return tuple(found)

    def build_competition(self, division: Division, records: RecordsByHash) -> Competition | None:
        """Return the entries of records that compete; None where every one of them is disputed."""
        evaluators = dict(zip(division.evaluators, self.suite.fixed[division.name].evaluators, strict=True))
        by_entry: dict[bytes, dict[str, Record]] = defaultdict(dict)
        for name, record in records.items():
            by_entry[self.choices[name]][name] = record
        built = [self.build_entry(division, evaluators, of_entry) for of_entry in by_entry.values()]
        entries = [entry for entry in built if entry is not None]
        if not entries:
            return None
        ordered = sorted(distinguish(entries), key=lambda entry: (entry.title, entry.distinction, entry.key))
        return Competition(
            division=division,
            evaluators=evaluators,
            fingerprints=list_fingerprints(ordered[0].first),
            baselines=self.suite.baselines_of(division),
            shown=self.suite.shown_of(division),
            complete=tuple(entry for entry in ordered if not entry.missing),
            incomplete=tuple(entry for entry in ordered if entry.missing),
        )

    def build_entry(self, division: Division, evaluators: Mapping[str, str], records: RecordsByHash) -> Entry | None:
        """Return the entry of some records: of every seed the one that counts; None where every seed is disputed."""
        gaps = {name: find_gaps(self.suite, division, evaluators, record) for name, record in records.items()}
        title = entry_title(records.values())
        verdicts = self.judge_seeds(division, evaluators, records, gaps)
        disputed_seeds = self.record_disputes(division, title, verdicts)
        counting = [verdict.counts for verdict in verdicts.values() if verdict.counts is not None]
        if not counting:
            return None
        complete = [name for name in counting if not gaps[name]]
        seeds = self.suite.seeds_of(division)
        has_enough_seeds = len(complete) >= seeds
        if has_enough_seeds:
            chosen = complete
            only = records[complete[0]] if len(complete) == 1 else None
            missing = find_missing_intervals(division, evaluators, only) if only is not None else []
        else:
            chosen = counting
            gaps_of_all = [gap for name in counting for gap in gaps[name]]
            missing = (gaps_of_all or [f"{len(complete)} of {seeds} seeds"]) + disputed_seeds
        confirming = tuple(
            name for verdict in verdicts.values() if not verdict.conflicts for name in verdict.confirming
        )
        return Entry(
            key=sha256(self.choices[chosen[0]]).hexdigest(),
            title=title,
            records=tuple(records[name] for name in chosen),
            hashes=tuple(chosen),
            missing=tuple(dict.fromkeys(missing)),
            confirming=confirming,
            authors=list_authors(records[name] for name in (*chosen, *confirming)),
            watched=find_watched(records[name] for name in (*chosen, *confirming)),
        )

    def judge_seeds(
        self,
        division: Division,
        evaluators: Mapping[str, str],
        records: RecordsByHash,
        gaps: Mapping[str, Sequence[str]],
    ) -> dict[int, Verdict]:
        """Return by seed which of an entry's records counts."""
        ranking_metrics = [(evaluators[measure.evaluator], measure.metric) for measure in division.measures]
        return {
            seed: judge_cell(of_seed, [name for name in of_seed if not gaps[name]], ranking_metrics, self.keeper)
            for seed, of_seed in group_by_seed(records).items()
        }

    def record_disputes(self, division: Division, title: str, verdicts: Mapping[int, Verdict]) -> list[str]:
        """Keep the disputes of an entry; return what it lacks because of them."""
        for seed, verdict in verdicts.items():
            if verdict.conflicts:
                self.disputes.append(Dispute(division.name, title, seed, verdict.conflicts, verdict.confirming))
            if verdict.ignored:
                self.disputes.append(Dispute(division.name, title, seed, verdict.ignored, ranked=True))
        return [f"seed {seed}, which is disputed" for seed, verdict in verdicts.items() if verdict.conflicts]


def group_by_seed(records: RecordsByHash) -> dict[int, dict[str, Record]]:
    """Return the records of an entry by seed, in the order of seeds."""
    by_seed: dict[int, dict[str, Record]] = defaultdict(dict)
    for name, record in sorted(records.items(), key=lambda named: (named[1].cell.seed, named[0])):
        by_seed[record.cell.seed][name] = record
    return by_seed


def find_watched(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the first record of every seed that was measured in training, in the order of seeds."""
    by_seed: dict[int, Record] = {}
    for record in records:
        if record.probed:
            by_seed.setdefault(record.cell.seed, record)
    return tuple(by_seed[seed] for seed in sorted(by_seed))


def list_authors(records: Iterable[Record]) -> tuple[str, ...]:
    """Return the authors that some records name, sorted."""
    return tuple(sorted({record.author for record in records if record.author}))


def sort_records(
    suite: Suite, records: RecordsByHash, keeper: Keeper | None = None, registry: Registry | None = None
) -> SortedRecords:
    """Put every record in its place, whatever the order in which they come.

    Args:
        suite: The suite whose divisions records may enter.
        records: By their hash.
        keeper: What the board's keeper decided; nothing if left out.
        registry: Where parts are looked up, to check their options; without one only recipes are checked.
    """
    sorter = RecordSorter(suite, keeper or Keeper(), OptionChecker(registry))
    withdrawn = {name: reason for name, reason in sorted(sorter.keeper.withdrawn.items()) if name in records}
    remaining = {name: record for name, record in sorted(records.items()) if name not in withdrawn}
    complete = {name: record for name, record in remaining.items() if record.status == "complete"}
    entering = sorter.admit(complete)
    entering_records = {name: records[name] for name in entering}
    copies = find_duplicate_results(entering_records, sorter.choices, sorter.trainings, sorter.keeper)
    competing = {name: records[name] for name in entering if name not in copies}
    competitions = sorter.build_competitions(competing, entering)
    shown = {
        name
        for competition in competitions
        for entry in (*competition.complete, *competition.incomplete)
        for name in entry.hashes
    }
    disputed = {name for dispute in sorter.disputes for name in (*dispute.conflicts, *dispute.others)}
    unchecked = Counter(reason for name in competing for reason in sorter.option_checker.unchecked(records[name]))
    return SortedRecords(
        competitions=competitions,
        outside=sort_by_count(sorter.outside),
        failed=len(remaining) - len(complete),
        spare=len(competing.keys() - shown - disputed),
        records=len(records),
        disputes=tuple(sorted(sorter.disputes, key=lambda case: (case.division, case.title, min(case.conflicts)))),
        faulty=sorter.faulty,
        copies=dict(sorted(copies.items())),
        withdrawn=withdrawn,
        unchecked=sort_by_count(unchecked),
        everything=records,
    )


def sort_by_count(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts by reason, the most frequent reason first."""
    return dict(sorted(counts.items(), key=lambda counted: (-counted[1], counted[0])))


def has_huge_number(record: Record) -> bool:
    """Return whether a record holds numbers whose sums or squares would overflow."""
    measured = [*record.results, *([record.pretext] if record.pretext is not None else [])]
    numbers = [
        value for group in measured for value in (*group.metrics.values(), *group.chance.values()) if value is not None
    ]
    numbers += record.pretext.shortcut.values() if record.pretext is not None else ()
    origin = record.provenance
    numbers += [origin.seconds, origin.flops or 0.0, *origin.stages.values()]
    return any(abs(value) > MAX_NUMBER for value in numbers)


def choose_exclusion(suite: Suite, record: Record, exclusions: Sequence[tuple[Division, str | None]]) -> str:
    """Return why a record enters no division, by the division that has its data."""
    for division, reason in exclusions:
        if suite.fixed[division.name].data_id == record.cell.data.id:
            return shorten(str(reason))
    return f"no division learns from {record.cell.data.id}"


def shorten(text: str, most: int = MAX_CHARACTERS) -> str:
    """Return the text, or its beginning with an ellipsis.

    >>> shorten("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def data_fingerprint(record: Record) -> str:
    """Return the fingerprints of a record's data as one text."""
    return json.dumps(list_fingerprints(record), sort_keys=True)


def list_fingerprints(record: Record) -> dict[str, str]:
    """Return the fingerprints of a record's data by part; of the other data that it was measured on, after `on.`."""
    other = {} if record.cell.evaluated_on is None else record.cell.evaluated_on.fingerprints
    return {**record.cell.data.fingerprints, **{f"on.{part}": content for part, content in other.items()}}


def entry_title(records: Iterable[Record]) -> str:
    """Return the title that all records of an entry have; that of its parts where they name different tasks."""
    titles = {run_title(record) for record in records}
    if len(titles) == 1:
        return titles.pop()
    first = next(iter(records))
    return run_title(first.model_copy(update={"cell": first.cell.model_copy(update={"task": None})}))


def distinguish(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries, those of one title with the options in which they differ."""
    by_title: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_title[entry.title].append(entry)
    return [entry for namesakes in by_title.values() for entry in add_distinctions(namesakes)]


def add_distinctions(namesakes: Sequence[Entry]) -> list[Entry]:
    """Return entries of one title, each with the options that not all of them have."""
    if len(namesakes) == 1:
        return [*namesakes]
    choices = [flatten_choices(entry.first) for entry in namesakes]
    names = sorted({name for options in choices for name in options})
    differing = [name for name in names if any(one.get(name) != other.get(name) for one, other in pairwise(choices))]
    texts = [", ".join(f"{name}={options.get(name)}" for name in differing[:MAX_DIFFERENCES]) for options in choices]
    return [replace(entry, distinction=text[:MAX_CHARACTERS]) for entry, text in zip(namesakes, texts, strict=True)]


def flatten_choices(record: Record) -> dict[str, str]:
    """Return all options of a record by name, as JSON."""
    cell = record.cell
    choices: dict[str, Any] = {f"recipe.{name}": value for name, value in cell.recipe.items()}
    for kind, part in (("split", cell.split), ("objective", cell.objective), ("model", cell.model)):
        choices[kind] = part.id
        choices |= {f"{kind}.{name}": value for name, value in part.options.items()}
    return {name: json.dumps(value, sort_keys=True) for name, value in {**choices, "precision": cell.precision}.items()}


def measure_values(competition: Competition, entry: Entry, measure: Measure, encoder: str) -> list[float]:
    """Return the numbers by seed that a measure gives for an encoder of an entry."""
    return entry.values(competition.evaluators[measure.evaluator], measure.metric, encoder)
