"""Trackers: what happens in a run, written where TensorBoard, MLflow and Weights & Biases show it.

Each is named by --track and needs its library, an extra of the same name; where that is not installed, nothing else is
affected. Where it writes is what its library is told by its own environment variables, else a folder within --out.
"""

from collections.abc import Mapping

from pretask import hookimpl


@hookimpl
def pretask_trackers() -> Mapping[str, str]:
    """Offer the trackers."""
    return {
        "tensorboard": "pretask_plugins.trackers.tensorboard:TensorBoard",
        "mlflow": "pretask_plugins.trackers.mlflow:MLflow",
        "wandb": "pretask_plugins.trackers.wandb:WeightsAndBiases",
    }
