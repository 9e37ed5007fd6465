"""Start processes and end them at drawn moments by drawn signals, over and over: `python -m killing KIND KILLS`.

All are forked from this one, which has imported everything and hashed every source already, so that a moment that is
drawn is one of their work. What is killed works in the current folder, round after round: a round ends when somebody
ended its work. Afterwards all rounds are brought to their end. Prints how many kills met a process, by signal.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter

from killing.kinds import KINDS, Kind, Work

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
LET_LIVE = 0.3  # of the moments are after the end of the work


def fork(work: Work, round_number: int, number: int) -> int:
    """Do some work in a process of its own; return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = work(round_number, number)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(child: int) -> int:
    """Wait for a process; return its exit code, that of a signal as a negative number."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_often(kind: Kind, kills: int, order: random.Random) -> tuple[Counter[str], Counter[int], int]:
    """Kill so many processes; return the signals, the exit codes of all processes, and how many rounds there were."""
    sent, codes, round_number = Counter[str](), Counter[int](), 2
    usual = finish(kind, 1)  # seconds of a process that nobody kills, as slow as the machine is now
    while sent.total() < kills:
        children = [fork(kind.work, round_number, number) for number in range(kind.together)]
        spared = end(children, usual, order, sent)
        ended = [wait(child) for child in children]
        codes.update(ended)
        kind.check(round_number)
        if 0 in ended:
            round_number += 1
            usual = max(spared.values(), default=usual)
    return sent, codes, round_number + 1


def finish(kind: Kind, round_number: int) -> float:
    """Bring a round to its end; return how many seconds that took."""
    began = time.monotonic()
    codes = [wait(child) for child in [fork(kind.work, round_number, number) for number in range(kind.together)]]
    assert not any(codes), codes
    return time.monotonic() - began


def end(children: list[int], usual: float, order: random.Random, sent: Counter[str]) -> dict[int, float]:
    """Send every process a drawn signal at a moment of its own; return the seconds of those that ended before."""
    moments = {child: order.uniform(0, usual * (1 + LET_LIVE)) for child in children}
    began, spared = time.monotonic(), {}
    while moments:
        now = time.monotonic() - began
        for child, moment in [*moments.items()]:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                spared[child] = now
                del moments[child]
            elif now >= moment:
                number = order.choice(SIGNALS)
                os.kill(child, number)
                sent[number.name] += 1
                del moments[child]
        time.sleep(0.001)
    return spared


def main() -> None:
    """Do what the words of the command say."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever started the tests with nohup
    name, kills = sys.argv[1], int(sys.argv[2])
    kind, order = KINDS[name], random.Random(name)
    assert kind.work(0, 0) == 0  # in this process, so that all is imported and hashed before the first fork
    sent, codes, rounds = kill_often(kind, kills, order)
    for round_number in range(rounds):
        finish(kind, round_number)
    print(json.dumps({"sent": sent, "codes": codes, "rounds": rounds, "processor": round(sum(os.times()[:4]))}))


if __name__ == "__main__":
    main()
