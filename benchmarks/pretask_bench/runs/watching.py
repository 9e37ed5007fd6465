"""Watching: what happens in a run is told to plugins and trackers; none of them can end it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pretask.events import Event, RunEnded, RunStarted, Status, Tracker, TrainingEvent, Watcher
from pretask.stopping import is_users
from pretask_registry import Registry

from pretask_bench.runs.context import Interrupted


@dataclass
class Ending:
    """How a run ended.

    Args:
        record: File of its record, where one was written.
    """

    record: Path | None = None


@dataclass(frozen=True)
class Audience:
    """Whoever watches a run: the hook of plugins, and trackers.

    Args:
        registry: Whose plugins are told.
        run: Its name.
        trackers: By name; one that fails is taken out.
    """

    registry: Registry
    run: str
    trackers: dict[str, Tracker] = field(default_factory=dict)

    def tell(self, event: Event) -> None:
        """Tell all of them; one that fails is left out from then on, with one line."""
        self.registry.call("pretask_run_event", run=self.run, event=event)
        for name, tracker in [*self.trackers.items()]:
            try:
                tracker(self.run, event)
            except BaseException as error:
                if is_users(error):
                    raise
                del self.trackers[name]
                first = (str(error).splitlines() or [""])[0]
                print(f"the tracker {name} failed, left out: {type(error).__name__}: {first}", file=sys.stderr)

    def make_watcher(self, encoder: str, also: Watcher) -> Watcher:
        """Return what the training of an encoder calls: it calls `also`, and tells all."""

        def watch(event: TrainingEvent) -> None:
            also(event)
            self.tell(replace(event, encoder=encoder))

        return watch

    @contextmanager
    def attend(self, started: RunStarted) -> Iterator[Ending]:
        """Tell that the run starts and, however it ends, that it ended."""
        ending = Ending()
        try:
            self.tell(started)  # inside: a stop that comes meanwhile ends what the first of them saw begin
            yield ending
        except BaseException as error:
            status: Status = "interrupted" if isinstance(error, Interrupted) or is_users(error) else "failed"
            reason = str(error) or type(error).__name__
            self.tell(RunEnded(status, reason, ending.record))
            raise
        self.tell(RunEnded("complete", record=ending.record))
