"""GPU: what only a GPU can show, as one command of less than ten minutes; what is found is written after each part.

    python -m benchmarks.speed gpu --out FOLDER         (--dry tries the same path on a processor, with tiny networks)

First the ceiling of the card: a product of matrices in bf16 and a copy of memory, both of random numbers. Then, of four
networks, samples a second in fp32, bf16, bf16 compiled, and forward and backward as one CUDA graph, with the floating
point operations a second over that ceiling; the step share and kernels that a step starts, task by task; what draws and
splits cost; and training end to end beside lightly. A part that fails says so and ends nothing else; what the time does
not suffice for is left out and named.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.draw_costs import measure_draws
from benchmarks.speed.end_to_end import measure_end_to_end
from benchmarks.speed.gpu_networks import NETWORKS, Network
from benchmarks.speed.operations import measure_operations, score_and_differentiate
from benchmarks.speed.peers import measure_peers
from benchmarks.speed.race import synchronize, time_work, whole_groups
from benchmarks.speed.steps import measure_steps, step_on_ready
from benchmarks.speed.workloads import list_workloads

SECONDS = 540.0  # after which no further part begins
MATRIX, COPIED = (8192, 64), (1 << 30, 1 << 16)  # side, and bytes; and of a dry run
DRY_TASKS = ("causal-lm", "vae")
MODES = {"fp32": {}, "bf16": {"precision": "bf16"}, "bf16 compiled": {"precision": "bf16", "compile": True}}
Part = Callable[[], Any]


def measure_gpu(dry: bool = False, seconds: float = SECONDS) -> dict[str, Any]:
    """Measure everything on the GPU, or dry on the processor."""
    device = torch.device("cpu" if dry else "cuda")
    measured: dict[str, Any] = {"dry": dry, "device": "cpu" if dry else torch.cuda.get_device_name(device)}
    begin, ceiling = time.monotonic(), dict[str, float]()
    for name, part in list_parts(device, dry, ceiling).items():
        if time.monotonic() - begin > seconds:
            measured[name] = {"left out": f"{seconds:g} seconds were over"}
            continue
        print(f"\n{name} ({time.monotonic() - begin:.0f} s)", flush=True)
        measured[name] = try_part(part)
    measured["seconds"] = round(time.monotonic() - begin, 1)
    return measured


def try_part(part: Part) -> Any:
    """Return what a part finds, or its error: the time on a GPU is lent, and the other parts want it."""
    try:
        return part()
    except Exception as error:  # whatever it is, the report holds it
        print(f"failed: {type(error).__name__}: {error}", flush=True)
        return {"failed": f"{type(error).__name__}: {str(error)[:2000]}"}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def list_parts(device: torch.device, dry: bool, ceiling: dict[str, float]) -> dict[str, Part]:
    """Return the parts in the order of their weight; the first fills in the ceiling that others are held against."""
    parts: dict[str, Part] = {"ceiling": lambda: ceiling | measure_ceiling(device, dry, ceiling)}
    for name, network in NETWORKS.items():
        parts[name] = lambda network=network: measure_network(network, device, dry, ceiling)
    tasks = DRY_TASKS if dry else ()
    size = ("quick",) if dry else ("larger",)
    rounds = 1 if dry else 3
    return parts | {
        "steps": lambda: measure_steps(list_workloads(tasks, size), device, rounds),
        "steps of quick networks": lambda: measure_steps(list_workloads(tasks, ("quick",)), device, rounds),
        "operations": lambda: measure_operations(list_workloads(tasks, size), device),
        "draws": lambda: measure_draws(device),
        "peers": lambda: measure_peers(
            ("masked-lm, 64",) if dry else (), device, seconds=0.01 if dry else 0.3, rounds=3
        ),
        "end to end": lambda: measure_end_to_end(
            device, *((2, 1, 1, (0,)) if dry else (256, 20, 3, (4, 8, 14))), precision="fp32" if dry else "bf16"
        ),
    }


def measure_ceiling(device: torch.device, dry: bool, ceiling: dict[str, float]) -> dict[str, float]:
    """Return operations a second of a product of matrices in bf16, and bytes a second of a copy, read and written."""
    side, size = MATRIX[dry], COPIED[dry]
    first, second = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    source = torch.randint(0, 256, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    for work in (lambda: first @ second, lambda: target.copy_(source)):
        time_work(work, 5, device)
    product, copy = (
        time_work(lambda: first @ second, 30, device)[1],
        time_work(lambda: target.copy_(source), 30, device)[1],
    )
    ceiling |= {"tflops": 2 * side**3 / product / 1e12, "terabytes": 2 * size / copy / 1e12}
    print({name: round(value, 3) for name, value in ceiling.items()})
    return ceiling


def measure_network(network: Network, device: torch.device, dry: bool, ceiling: dict[str, float]) -> dict[str, Any]:
    """Return samples a second, share of the ceiling and step share of a network, by mode."""
    found: dict[str, Any] = {}
    for mode, recipe in MODES.items():
        if not (dry and recipe):  # bf16 is emulated on most processors, and their compiler is another one
            found[mode] = try_part(lambda recipe=recipe: measure_mode(network, device, dry, ceiling, recipe))
            print(f"{mode:16}{found[mode]}", flush=True)
    found["bf16 as a CUDA graph"] = try_part(lambda: measure_graph(network, device, dry))
    print(f"as a graph      {found['bf16 as a CUDA graph']}", flush=True)
    return found


def measure_mode(
    network: Network, device: torch.device, dry: bool, ceiling: dict[str, float], recipe: dict[str, Any]
) -> dict[str, float]:
    """Time whole steps and steps on tensors that are ready, in turn."""
    run = network.build(device, dry=dry, **recipe)
    run.gradients.is_decided = True
    steps = run.iterate_steps(0, 1 << 30)
    ready = [run.make_micro_batches(run.fetch(step)) for step in range(2)]
    with FlopCounterMode(display=False) as counter:
        score_and_differentiate(run, ready[0])
    count = 1 if dry else whole_groups(15, run.together)

    def whole() -> None:
        run.take_step(next(steps))
        run.progress.step += 1

    begin = time.perf_counter()
    time_work(whole, 1, device)
    first = time.perf_counter() - begin
    for work in (whole, lambda: step_on_ready(run, ready[1])):
        time_work(work, 1 if dry else 5, device)
    times = [
        (time_work(lambda: step_on_ready(run, ready[1]), count, device)[1], time_work(whole, count, device)[1])
        for _ in range(1 if dry else 3)
    ]
    model_only, step = (min(column) for column in zip(*times, strict=True))
    flops = counter.get_total_flops()
    return {
        "samples a second": run.task.recipe.batch / step,
        "step ms": 1e3 * step,
        "step share": model_only / step,
        "first step s": first,
        "tflops": flops / step / 1e12,
        "of the ceiling": flops / step / 1e12 / ceiling["tflops"],
        "memory GB": torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0,
    }


def measure_graph(network: Network, device: torch.device, dry: bool) -> dict[str, float]:
    """Time forward and backward, eager and as one CUDA graph, on tensors that are ready; dry it is eager twice."""
    run = network.build(device, dry=dry, precision="fp32" if dry else "bf16")
    micro_batch = run.make_micro_batches(run.fetch(0))[0]

    def differentiate() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=not dry):
            total = run.raw_score(micro_batch).total
        total.backward()

    replay = differentiate if device.type == "cpu" else capture(run.parameters, differentiate)
    count = 1 if dry else 20
    eager, graph = (time_work(work, count, device)[1] for work in (differentiate, replay))
    return {"eager ms": 1e3 * eager, "graph ms": 1e3 * graph, "eager over graph": eager / graph}


def capture(parameters: list[torch.nn.Parameter], work: Callable[[], None]) -> Callable[[], None]:
    """Return what replays some work as one CUDA graph, into gradients that stay where they are."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    for parameter in parameters:
        parameter.grad = None
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    synchronize(parameters[0].device)
    return graph.replay
