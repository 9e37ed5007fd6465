"""Black-box variational inference: fit q(z | x) to a model p(y, z) of your own, of which only log p(y, z) is known.

What is raised is E_q[log p(y, z)] + H(q), in nats per sample, the entropy exactly and the mean over codes. Its gradient
is by the score function, for which the code needs no gradient and log p(y, z) may be anything, or by reparameterization
where both have one. A function that says which terms of log p(y, z) hold which dimension of z makes the score's
variance smaller (Rao-Blackwell): each dimension is weighed by its own Markov blanket.

With the model per-sample, every sample has its own q, as the paper has it; with an encoder inference is amortized.

Source: Ranganath, Gerrish and Blei, AISTATS 2014; Mnih and Gregor, ICML 2014 (a baseline that is learned).
Differs: control variates are estimated on the other codes of the sample, so that the gradient stays unbiased; the
baseline is not divided by a running standard deviation.
Axes: B batch, K codes of a sample, D dimensions of a code, C classes of a dimension.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal

from jaxtyping import Float
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    Loss,
    Targets,
    TargetSpecs,
    check_kinds,
    upcast,
    weighted_mean,
)
from pretask.options import Size
from torch import Tensor, nn

from pretask_plugins.shared.latent.baseline import Baseline
from pretask_plugins.shared.latent.families import CategoricalFamily, Family, GaussianFamily
from pretask_plugins.shared.latent.latent_model import find_shared_readout
from pretask_plugins.shared.latent.target_likelihoods import build_vae_loss

WHO = "black-box"
# log p(y, z), (B, K), of codes (B, K, D) and targets; or that and, by dimension, the terms that it is in, (B, K, D).
Joint = Tensor | tuple[Tensor, Tensor]
LogJoint = Callable[[Tensor, Targets], Joint]


class BlackBox(nn.Module):
    """q(z | x) of a family, fitted to a given log p(y, z).

    Args:
        features: What the model offers; its pooled features make the parameters of q.
        targets: What log p(y, z) is given, of any kind.
        log_joint: `module:function` of codes (B, K, D) and targets, which returns log p(y, z), (B, K), or that and,
            for every dimension of the code, the sum of the terms that it is in, (B, K, D).
        family: Of q: Gaussian, whose codes are real numbers, or categorical, whose codes are classes.
        latent_dim: Dimensions of the code.
        classes: Of every dimension of a categorical code.
        num_latents: Codes drawn for each sample.
        gradient: By the score function, or by reparameterization.
        control: What lowers the score function's variance: a control variate estimated on the other codes of the
            sample, a baseline that is learned from the features, or nothing.

    Raises:
        Incompatible: There is no such function, or options contradict each other.
    """

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        log_joint: str = "pretask_plugins.shared.latent.joints:normal_mean",
        family: Literal["gaussian", "categorical"] = "gaussian",
        latent_dim: Size = 1,
        classes: Size = 2,
        num_latents: Size = 8,
        gradient: Literal["score", "reparameterized"] = "score",
        control: Literal["leave_one_out", "baseline", "none"] = "leave_one_out",
    ) -> None:
        super().__init__()
        self.joint, self.family, self.latent_dim, self.classes = import_joint(log_joint), family, latent_dim, classes
        self.num_latents, self.gradient, self.control = num_latents, gradient, control
        check_options(self)
        check_kinds(WHO, targets, {"categories", "values"})
        self.readout = find_shared_readout(WHO, features, targets)
        self.to_parameters = nn.Linear(self.readout.width, latent_dim * (2 if family == "gaussian" else classes))
        learned = control == "baseline" and gradient == "score"
        self.baseline = Baseline(self.readout.width, latent_dim) if learned else None

    def posterior(self, features: Features) -> Family:
        """Return q(z | x), in float32."""
        parameters = upcast(self.to_parameters(self.readout(features)))
        if self.family == "gaussian":
            return GaussianFamily(parameters)
        return CategoricalFamily(parameters.unflatten(-1, (self.latent_dim, self.classes)))  # type: ignore[no-untyped-call]

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the negative bound and its two terms."""
        posterior = self.posterior(features)
        noise, code = posterior.draw(draws, self.num_latents, self.latent_dim)
        total, by_dimension = split_joint(
            self.joint(code if self.gradient != "score" else code.detach(), targets), code
        )
        entropy = posterior.entropy().sum(-1)
        negative = -entropy - total.mean(1)
        loss = negative
        if self.gradient == "score":
            signal = by_dimension.detach()
            if self.baseline is not None:
                signal, lesson = self.baseline(self.readout(features), signal)
                loss = loss + lesson
            loss = loss - posterior.score_surrogate(noise, signal, control=self.control == "leave_one_out")
        return build_vae_loss(
            loss,
            {
                "negative_elbo": weighted_mean(negative),
                "energy": weighted_mean(-total),
                "entropy": weighted_mean(entropy),
            },
        )

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return nothing: what y is expected to be is the business of the model that log p(y, z) is of."""
        return {}


def split_joint(joint: Joint, code: Tensor) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K D"]]:
    """Return log p(y, z) of every code, and what each dimension is weighed by: its terms, or all."""
    if isinstance(joint, tuple):
        return upcast(joint[0]), upcast(joint[1])
    total = upcast(joint)
    return total, total[..., None].expand(code.shape)


def import_joint(path: str) -> LogJoint:
    """Return the function that `module:function` names; raise Incompatible where there is none."""
    module, _, name = path.partition(":")
    try:
        found: Any = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise Incompatible(
            WHO,
            "objective.log_joint as module:function, which can be imported",
            f"{path!r} ({error})",
            "Put the module where Python finds it (PYTHONPATH), and name a function of it.",
        ) from error
    joint: LogJoint = found
    return joint


def check_options(objective: BlackBox) -> None:
    """Raise Incompatible where options contradict each other."""
    if objective.gradient == "reparameterized" and objective.family == "categorical":
        raise Incompatible(
            WHO, "the family gaussian for reparameterization", "categorical", "Set objective.gradient=score."
        )
    if objective.gradient == "score" and objective.control == "leave_one_out" and objective.num_latents < 2:
        needs = "objective.num_latents of at least 2 for objective.control=leave_one_out"
        raise Incompatible(WHO, needs, f"{objective.num_latents}", "Set objective.control=baseline, or num_latents=2.")
    if objective.family == "categorical" and objective.classes < 2:
        raise Incompatible(WHO, "objective.classes of at least 2", f"{objective.classes}", "Set objective.classes=2.")
