"""Jobs: runs of a suite or a sweep, several at once, each in a process of its own with its own threads.

A job is what one process carries out without handing over: one run, or several that train the same, of which the first
trains. Processes are forked from a server that has imported torch and computed nothing, so that none begins with the
seconds that takes, and none inherits torch's threads. The records are those that one run after the other writes: a run
is carried out by the same code, with the threads that it would have had alone. Runs wait where the memory that those
beside them need leaves too little; one that fails, or whose process dies, hides no other.
"""

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from pretask.events import StepTaken
from pretask.room import format_bytes, free_memory
from pretask.stopping import Stopped

from pretask_bench.records.store import read
from pretask_bench.runs.bench import Ended, PlannedRun, RunOutcome
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.display import Display, open_display
from pretask_bench.runs.worker import NeedsMemory, Said, work

SERVER = multiprocessing.get_context("forkserver")
# What every run imports at some time; the compiler's front end comes with the first step of an optimizer.
PRELOADED = [
    "pretask_bench.runs.worker",
    "pretask_bench.runs.run",
    "torch._dynamo",
    "accelerate",
    "torch.utils.flop_counter",
]
END_SECONDS = 10.0  # for a process to end after it has said that it does
CHUNK = 1 << 16


def start_server() -> None:
    """Start what processes are forked from, which takes seconds beside whatever the command does meanwhile."""
    SERVER.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


@dataclass(frozen=True)
class Job:
    """Runs that one process carries out, one after the other.

    Args:
        titles: Of every run, under which its lines are shown.
        announced: What is said of every run when it begins.
        lane: What they read; jobs of one lane are not begun next to each other, where they would wait for one reader.
        planned: Of every run the arguments of `make_plan`, from which any process makes the same plan.
    """

    titles: tuple[str, ...]
    announced: tuple[str, ...]
    lane: str
    planned: tuple[Mapping[str, Any], ...]

    def after(self, runs: int) -> "Job":
        """Return the job without its first runs."""
        return replace(self, titles=self.titles[runs:], announced=self.announced[runs:], planned=self.planned[runs:])


@dataclass(frozen=True)
class Place:
    """A run: the number of its job, and its place within."""

    job: int
    run: int


@dataclass(eq=False)
class Worker:
    """A process, and what it is doing.

    Args:
        process: The process.
        connection: Gives it jobs, and says how they go.
        output: What it prints.
        device: On which it computes.
        place: The run that it is carrying out.
        needed: Bytes of memory that this run takes or waits for.
        waits: Whether it waits for them.
        prints: Whether it may still print.
        partial: What it printed of a line that is not at its end.
    """

    process: BaseProcess
    connection: Connection
    output: Connection
    device: torch.device
    place: Place | None = None
    needed: int = 0
    waits: bool = False
    prints: bool = True
    partial: bytes = b""


Tell = Callable[[Place, Ended], None]  # of how a run ended


def ignore_end(place: Place, ended: Ended) -> None:
    """Do nothing about how a run ended."""


@dataclass
class Jobs:
    """Jobs that are being carried out by several processes.

    Args:
        jobs: All of them.
        context: Where and how they happen.
        threads: Of each process.
        files: Python files that are plugins for this command.
        display: Shows how they go.
        devices: Those on which processes compute, each on the one with the fewest.
        memory: Bytes for all of the processes on one device together.
        tell: Called with the end of every run.
        queue: Places from which on nobody carries out a job yet.
        workers: The processes that live.
        ended: How runs ended, by their places.
        stopping: Whether no more runs are begun.
    """

    jobs: Sequence[Job]
    context: RunContext
    threads: int
    files: tuple[Path, ...]
    display: Display
    devices: Sequence[torch.device]
    memory: int
    tell: Tell = ignore_end
    queue: deque[Place] = field(default_factory=deque)
    workers: list[Worker] = field(default_factory=list)
    ended: dict[Place, Ended] = field(default_factory=dict)
    stopping: bool = False

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return sum(len(job.planned) for job in self.jobs)

    def carry_out(self, together: int) -> None:
        """Carry out all jobs, so many at once.

        Raises:
            Stopped: A signal came; every process has saved and ended.
        """
        self.queue.extend(Place(number, 0) for number in order_jobs(self.jobs))
        try:
            for _ in range(min(together, len(self.queue))):
                self.add_worker()
            while self.workers:
                self.handle_messages()
        except KeyboardInterrupt as stop:
            self.stop(stop)
            raise
        finally:
            for worker in self.workers:
                worker.process.kill()

    def add_worker(self) -> None:
        """Start a process and give it its first job."""
        ours, theirs = SERVER.Pipe()
        output, printed = SERVER.Pipe(duplex=False)
        taken = Counter(worker.device for worker in self.workers)
        device = min(self.devices, key=lambda device: taken[device])
        context = replace(self.context, device=device)
        process = SERVER.Process(target=work, args=(theirs, printed, self.files, context, self.threads))
        process.start()
        theirs.close()
        printed.close()
        worker = Worker(process, ours, output, device)
        self.workers.append(worker)
        self.give_job(worker)

    def give_job(self, worker: Worker) -> None:
        """Give a process the next job, or tell it that there is none."""
        worker.place = None if self.stopping or not self.queue else self.queue.popleft()
        if worker.place is None:
            self.send(worker, None)
            return
        self.send(worker, self.jobs[worker.place.job].after(worker.place.run).planned)
        self.announce(worker)

    def announce(self, worker: Worker) -> None:
        """Say which run a process begins."""
        assert worker.place is not None
        begun = len(self.ended) + sum(other.place is not None for other in self.workers)
        line = self.jobs[worker.place.job].announced[worker.place.run]
        self.display.say("", f"[{begun}/{self.runs}] {line}")

    def send(self, worker: Worker, message: Any) -> None:
        """Send a message to a process; one that is gone is noticed when its pipe is read."""
        try:
            worker.connection.send(message)
        except OSError:
            return

    def handle_messages(self) -> None:
        """Wait for what processes say and print, and act on it."""
        printing = {worker.output: worker for worker in self.workers if worker.prints}
        speaking = {worker.connection: worker for worker in self.workers}
        ready = wait([*printing, *speaking])
        for source, worker in printing.items():  # first, so that a line stands before what follows from it
            if source in ready:
                self.read_output(worker)
        for source, worker in speaking.items():
            if source in ready:
                self.read_message(worker)

    def read_message(self, worker: Worker) -> None:
        """Act on one message of a process, or on its end."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self.remove_worker(worker)
            return
        match message:
            case Said(line):
                self.display.say(self.title(worker), line)
            case StepTaken():
                self.display.step(self.title(worker), message)
            case NeedsMemory(needed):
                worker.needed, worker.waits = needed, True
                self.grant_memory()
            case Ended():
                self.go_on(worker, message)

    def go_on(self, worker: Worker, ended: Ended) -> None:
        """Let a process that ended a run go on with the next of its job, or with another job."""
        assert worker.place is not None
        after = Place(worker.place.job, worker.place.run + 1)
        self.end_run(worker, ended)
        if after.run == len(self.jobs[after.job].planned):
            self.give_job(worker)
            return
        worker.place = after
        self.announce(worker)

    def end_run(self, worker: Worker, ended: Ended) -> None:
        """Keep how the run of a process ended; its memory is free again."""
        assert worker.place is not None
        place = worker.place
        self.ended[place] = ended
        self.display.end(self.title(worker))
        if reason := ended.refused or ended.failed:
            self.display.say(self.title(worker), reason)
        worker.place, worker.needed, worker.waits = None, 0, False
        self.grant_memory()
        self.tell(place, ended)

    def grant_memory(self) -> None:
        """Let those go on whose memory fits beside that of the others, and whoever is alone: it sees for itself."""
        for worker in self.workers:
            others = [other for other in self.workers if other.device == worker.device and not other.waits]
            beside = sum(other.needed for other in others)
            if worker.waits and (not beside or beside + worker.needed <= self.memory):
                worker.waits = False
                self.send(worker, None)
            elif worker.waits:
                amounts = f"{format_bytes(worker.needed)} of memory, beside {format_bytes(beside)} of the others"
                self.display.say(self.title(worker), f"waits for {amounts}")

    def read_output(self, worker: Worker) -> None:
        """Show the whole lines that a process printed; at its end the rest as well."""
        content = os.read(worker.output.fileno(), CHUNK)
        *lines, worker.partial = (worker.partial + content).split(b"\n")
        if not content:
            worker.prints = False
            lines, worker.partial = [worker.partial] if worker.partial else [], b""
        for line in lines:
            self.display.say(self.title(worker), line.decode(errors="replace").rpartition("\r")[2])

    def remove_worker(self, worker: Worker) -> None:
        """Take leave of a process; where it died over a run, that one failed, and another goes on after it."""
        self.workers.remove(worker)
        while worker.prints and worker.output.poll():
            self.read_output(worker)
        worker.process.join(END_SECONDS)
        worker.connection.close()
        worker.output.close()
        if worker.place is not None and not self.stopping:
            after = Place(worker.place.job, worker.place.run + 1)
            self.end_run(worker, Ended(failed=describe_end(worker.process.exitcode)))
            if after.run < len(self.jobs[after.job].planned):
                self.queue.appendleft(after)
            if self.queue:
                self.add_worker()

    def stop(self, stop: KeyboardInterrupt) -> None:
        """Pass a signal on to every process, and wait until each has saved; a further one goes the same way."""
        self.stopping = True
        number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
        for worker in self.workers:
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, number)
        try:
            while self.workers:
                self.handle_messages()
        except KeyboardInterrupt as again:
            self.stop(again)

    def title(self, worker: Worker) -> str:
        """Return the name under which lines of a process are shown: that of its run."""
        return "" if worker.place is None else self.jobs[worker.place.job].titles[worker.place.run]


def order_jobs(jobs: Sequence[Job]) -> list[int]:
    """Return the numbers of jobs: the first of each lane, then the second of each, and so on.

    Runs of one lane decode the same data, for which all but one would wait.
    """
    before: Counter[str] = Counter()
    rounds = []
    for number, job in enumerate(jobs):
        rounds.append((before[job.lane], number))
        before[job.lane] += 1
    return [number for _, number in sorted(rounds)]


def describe_end(code: int | None) -> str:
    """Return how a process ended that should not have.

    >>> describe_end(-9), describe_end(-36), describe_end(3)
    ('its process was ended by SIGKILL', 'its process was ended by signal 36', 'its process ended with the code 3')
    """
    if code is not None and code < 0:
        names = {int(known): known.name for known in signal.Signals}
        return f"its process was ended by {names.get(-code, f'signal {-code}')}"
    return f"its process ended with the code {code}"


def make_job(planned: PlannedRun, others: Sequence[PlannedRun]) -> Job:
    """Return the job of one planned run of a suite, with a title that tells it from others."""
    same = [other for other in others if other.task == planned.task]
    division = f" on {planned.division.name}" if any(other.division != planned.division for other in same) else ""
    seed = f" seed {planned.seed}" if any(other.seed != planned.seed for other in same) else ""
    announced = f"{planned.task.name} on {planned.division.name}, seed {planned.seed}"
    title = f"{planned.task.name}{division}{seed}"
    return Job((title,), (announced,), planned.division.name, (planned.arguments,))


def run_in_jobs(
    planned: Sequence[PlannedRun], context: RunContext, jobs: int, threads: int, files: tuple[Path, ...] = ()
) -> list[RunOutcome]:
    """Execute planned runs of a suite, so many at once; return what became of them, in the order of the plan.

    Args:
        planned: The runs.
        context: Where and how they happen.
        jobs: Runs at once.
        threads: Of each.
        files: Python files that are plugins for this command.

    Raises:
        Stopped: Ctrl-C was pressed, or a signal came; everything is saved.
    """
    possible = [run for run in planned if run.plan is not None]
    start_server()
    with open_display(context.say) as display:
        running = Jobs(
            [make_job(run, possible) for run in possible],
            context,
            threads,
            files,
            display,
            (context.device,),
            free_memory(context.device),
        )
        running.carry_out(jobs)
    return take_outcomes(planned, [running.ended[Place(number, 0)] for number in range(len(possible))])


def take_outcomes(planned: Sequence[PlannedRun], ended: Sequence[Ended]) -> list[RunOutcome]:
    """Return what became of all planned runs, in their order, by how those ended that have a plan."""
    left, outcomes = iter(ended), []
    for run in planned:
        end = next(left) if run.plan is not None else Ended(refused=run.refusal)
        record = read(end.path) if end.path is not None else None
        outcomes.append(RunOutcome(run, record, end.path, end.refused, end.failed))
    return outcomes
