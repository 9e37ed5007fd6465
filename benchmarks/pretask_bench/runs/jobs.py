"""Jobs: the runs of a suite, several at once, each in a process of its own with its own threads.

Processes are forked from a server that has imported torch and computed nothing, so that none begins with the seconds
that takes, and none inherits torch's threads. The records are those that one run after the other writes: a run is
carried out by the same code, with the threads that it would have had alone. Runs wait where the memory that those
beside them need leaves too little; one that fails, or whose process dies, hides no other.
"""

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

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


@dataclass(eq=False)
class Worker:
    """A process, and what it is doing.

    Args:
        process: The process.
        connection: Gives it runs, and says how they go.
        output: What it prints.
        number: Of the run that it is carrying out.
        needed: Bytes of memory that this run takes or waits for.
        waits: Whether it waits for them.
        prints: Whether it may still print.
        partial: What it printed of a line that is not at its end.
    """

    process: BaseProcess
    connection: Connection
    output: Connection
    number: int | None = None
    needed: int = 0
    waits: bool = False
    prints: bool = True
    partial: bytes = b""


@dataclass
class Jobs:
    """Runs that are being carried out by several processes.

    Args:
        planned: All runs.
        context: Where and how they happen.
        threads: Of each process.
        files: Python files that are plugins for this command.
        display: Shows how they go.
        memory: Bytes for all of them together.
        queue: Numbers of runs that nobody carries out yet.
        workers: The processes that live.
        ended: How runs ended, by number.
        stopping: Whether no more runs are begun.
    """

    planned: Sequence[PlannedRun]
    context: RunContext
    threads: int
    files: tuple[Path, ...]
    display: Display
    memory: int
    queue: deque[int] = field(default_factory=deque)
    workers: list[Worker] = field(default_factory=list)
    ended: dict[int, Ended] = field(default_factory=dict)
    stopping: bool = False

    def carry_out(self, jobs: int) -> None:
        """Carry out all runs, so many at once.

        Raises:
            Stopped: A signal came; every process has saved and ended.
        """
        self.queue.extend(order_runs(self.planned))
        try:
            for _ in range(min(jobs, len(self.queue))):
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
        """Start a process and give it its first run."""
        ours, theirs = SERVER.Pipe()
        output, printed = SERVER.Pipe(duplex=False)
        process = SERVER.Process(target=work, args=(theirs, printed, self.files, self.context, self.threads))
        process.start()
        theirs.close()
        printed.close()
        worker = Worker(process, ours, output)
        self.workers.append(worker)
        self.give_run(worker)

    def give_run(self, worker: Worker) -> None:
        """Give a process the next run, or tell it that there is none."""
        worker.number = None if self.stopping or not self.queue else self.queue.popleft()
        if worker.number is None:
            self.send(worker, None)
            return
        planned = self.planned[worker.number]
        progress = f"[{len(self.planned) - len(self.queue)}/{len(self.planned)}]"
        self.display.say("", f"{progress} {planned.task.name} on {planned.division.name}, seed {planned.seed}")
        self.send(worker, planned.arguments)

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
                self.end_run(worker, message)
                self.give_run(worker)

    def end_run(self, worker: Worker, ended: Ended) -> None:
        """Keep how the run of a process ended; its memory is free again."""
        assert worker.number is not None
        self.ended[worker.number] = ended
        self.display.end(self.title(worker))
        if reason := ended.refused or ended.failed:
            self.display.say(self.title(worker), reason)
        worker.number, worker.needed, worker.waits = None, 0, False
        self.grant_memory()

    def grant_memory(self) -> None:
        """Let those go on whose memory fits beside that of the others, and whoever is alone: it sees for itself."""
        for worker in self.workers:
            beside = sum(other.needed for other in self.workers if not other.waits)
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
        """Take leave of a process; where it died over a run, that one failed, and another takes its place."""
        self.workers.remove(worker)
        while worker.prints and worker.output.poll():
            self.read_output(worker)
        worker.process.join(END_SECONDS)
        worker.connection.close()
        worker.output.close()
        if worker.number is not None and not self.stopping:
            self.end_run(worker, Ended(failed=describe_end(worker.process.exitcode)))
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
        """Return the name under which lines of a process are shown: its task, with what tells its run from others."""
        if worker.number is None:
            return ""
        planned = self.planned[worker.number]
        same = [other for other in self.planned if other.task == planned.task]
        division = f" on {planned.division.name}" if any(other.division != planned.division for other in same) else ""
        seed = f" seed {planned.seed}" if any(other.seed != planned.seed for other in same) else ""
        return f"{planned.task.name}{division}{seed}"


def order_runs(planned: Sequence[PlannedRun]) -> list[int]:
    """Return the numbers of the runs that have a plan: the first of each division, then the second of each, and so on.

    Runs of one division decode the same data, for which all but one would wait.
    """
    before: Counter[str] = Counter()
    rounds = []
    for number, run in enumerate(planned):
        if run.plan is not None:
            rounds.append((before[run.division.name], number))
            before[run.division.name] += 1
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


def run_in_jobs(
    planned: Sequence[PlannedRun], context: RunContext, jobs: int, threads: int, files: tuple[Path, ...] = ()
) -> list[RunOutcome]:
    """Execute planned runs, so many at once; return what became of them, in the order of the plan.

    Args:
        planned: The runs.
        context: Where and how they happen.
        jobs: Runs at once.
        threads: Of each.
        files: Python files that are plugins for this command.

    Raises:
        Stopped: Ctrl-C was pressed, or a signal came; everything is saved.
    """
    start_server()
    with open_display(context.say) as display:
        running = Jobs(planned, context, threads, files, display, free_memory(context.device))
        running.carry_out(jobs)
    outcomes = []
    for number, run in enumerate(planned):
        ended = running.ended.get(number, Ended(refused=run.refusal))
        record = read(ended.path) if ended.path is not None else None
        outcomes.append(RunOutcome(run, record, ended.path, ended.refused, ended.failed))
    return outcomes
