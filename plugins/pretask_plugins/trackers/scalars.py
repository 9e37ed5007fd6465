"""Scalars: the numbers of an event under the names that trackers group them by."""

from pretask.events import EncoderEvaluated, EncoderProbed, Event, StepTaken


def scalars_of(event: Event) -> dict[str, float]:
    """Return the numbers of an event by name; none where it has none.

    >>> scalars_of(StepTaken(3, 9, {"total": 1.5}, 0.1, 200.0))
    {'trained/loss/total': 1.5, 'trained/lr': 0.1, 'trained/samples_per_second': 200.0}
    >>> scalars_of(EncoderEvaluated("random-init", "pretask/linear@1", {"accuracy": 0.5}))
    {'random-init/linear/accuracy': 0.5}
    """
    if isinstance(event, StepTaken):
        losses = {f"{event.encoder}/loss/{name}": value for name, value in event.losses.items()}
        rates = {"lr": event.lr, "samples_per_second": event.samples_per_second}
        return losses | {f"{event.encoder}/{name}": value for name, value in rates.items()}
    if isinstance(event, EncoderProbed):
        return {f"probed/{name}": value for name, value in event.metrics.items()}
    if isinstance(event, EncoderEvaluated):
        evaluator = event.evaluator.partition("/")[2].partition("@")[0]
        return {f"{event.encoder}/{evaluator}/{name}": value for name, value in event.metrics.items()}
    return {}
