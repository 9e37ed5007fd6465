"""Numbers that verbs take: each with its range, refused before anything is done."""

import math

import click

THREADS = click.IntRange(1, 4096)
COUNT = click.IntRange(min=1)
AMOUNT = click.FloatRange(0, 4096)  # of what a cluster sets aside
SEED = click.IntRange(0, (1 << 53) - 1)  # what a record holds exactly


class Seconds(click.ParamType[float]):
    """A finite number of seconds, 0 or more."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; refuse what is no such number."""
        try:
            seconds = float(str(value))
        except ValueError:
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds >= 0):
            self.fail(f"{str(value)[:40]!r} is no number of seconds from 0 on.", param, ctx)
        return seconds


SECONDS = Seconds()
