"""Start a cluster of two nodes on this machine, carry a sweep out on it, and kill a node in the middle.

    python -m killing.two_nodes GRID OUT RECORDS [OPTION...]

The second node is killed with all of its processes as soon as the store has so many records; with 0 it lives. Prints as
JSON how many records there were then, and the exit code of the sweep.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

# Nothing leaves this machine; and 127.0.0.1 stays that, which Ray would replace by an address that others see.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
SECONDS = 1500.0  # for the whole sweep, on however busy a machine
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "node_ip_address": "127.0.0.1"}


def count_records(out: Path) -> int:
    """How many records there are."""
    return len([*(out / "records").glob("*.json")])


def main(grid: Path, out: Path, at: int, *options: str) -> None:
    """Do it."""
    os.environ.update(QUIET)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    second = cluster.add_node(**NODE)
    words = ("sweep", str(grid), "--engine", "ray", "--address", cluster.address, "--out", str(out), *options)
    sweep = subprocess.Popen([sys.executable, "-m", "pretask_bench", *words], env={**os.environ})
    began, killed_at = time.monotonic(), None
    while sweep.poll() is None and time.monotonic() - began < SECONDS:
        if at and killed_at is None and (found := count_records(out)) >= at:
            cluster.remove_node(second, allow_graceful=False)
            killed_at = found
        time.sleep(0.05)
    sweep.kill()
    code = sweep.wait()
    cluster.shutdown()
    print(json.dumps({"records": killed_at, "code": code}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
