"""The verb `pretask generate`: what the language model of a run goes on with."""

import json
from pathlib import Path

import click
from pretask import PretaskError

from pretask_bench.cli.main import json_option
from pretask_bench.cli.numbers import COUNT, SEED

EPILOG = """Example: pretask generate runs/causal-lm-9be1aeddcfef-ddc65ca6 --prompt "Return the" --top-p 0.9"""


@click.command("generate", epilog=EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--prompt", "prompts", multiple=True, help="A beginning; repeat it for more. Empty: a text of its own.")
@click.option("--prompts", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="One a line.")
@click.option("--max-new-tokens", type=COUNT, help="As many as there is room for, at most 64, if left out.")
@click.option(
    "--temperature", type=click.FloatRange(min=0), default=1.0, show_default=True, help="0 for the likeliest."
)
@click.option(
    "--top-k", type=click.IntRange(min=0), default=0, help="Sample among so many likeliest tokens; 0 for all."
)
@click.option(
    "--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Sample from this mass; 1 for all."
)
@click.option("--beams", type=COUNT, help="Search for the likeliest text with so many beams instead of sampling.")
@click.option("--length-penalty", type=float, default=0.0, help="Of the search; above 0 it prefers longer texts.")
@click.option("--stop", multiple=True, help="End before this text; repeat it for more.")
@click.option("--count", type=COUNT, default=1, help="Texts for every prompt.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the sampling.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:N.")
@json_option
def command(
    run: Path,
    prompts: tuple[str, ...],
    file: Path | None,
    max_new_tokens: int | None,
    temperature: float,
    top_k: int,
    top_p: float,
    beams: int | None,
    length_penalty: float,
    stop: tuple[str, ...],
    count: int,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Go on from prompts with the language model of RUN, the folder of a run or its record.

    Prints every prompt with its continuation; as JSON, a line for each prompt.
    """
    from pretask.language.sampling import Sampling

    from pretask_bench.artifacts.load import find_folder, read_tokenizer
    from pretask_bench.artifacts.load_task import load_task
    from pretask_bench.artifacts.task_file import read_task
    from pretask_bench.artifacts.writing import Way, write_texts
    from pretask_bench.cli.main import registry
    from pretask_bench.runs.devices import find_device

    if beams is not None and count > beams:
        needs = f"--beams of at least {count}, for --count {count}"
        raise PretaskError("pretask generate", needs, f"{beams}", "Set more beams, or fewer texts.", exit_code=2)
    given = [*prompts, *(read_lines(file) if file is not None else ())] or [""]
    folder = find_folder(run)
    task = load_task(registry(), folder, find_device(device))
    way = Way(Sampling(temperature, top_k, top_p), beams or 0, length_penalty, max_new_tokens, stop, count, seed)
    written = write_texts(task, read_tokenizer(folder, read_task(folder)), given, way)
    for prompt, texts in zip(given, written, strict=True):
        if as_json:
            print(json.dumps({"prompt": prompt, "texts": texts}, ensure_ascii=False))
        else:
            print(*(prompt + text for text in texts), sep="\n\n", end="\n\n")


def read_lines(file: Path) -> list[str]:
    """Return the prompts of a file, one a line; raise PretaskError where it is no text, or empty."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise PretaskError("--prompts", "a text file in UTF-8", f"{file} ({error})", "Save it as UTF-8.") from error
    if not lines:
        raise PretaskError("--prompts", "at least one line", f"{file}, which is empty", "Write a prompt a line.")
    return lines
