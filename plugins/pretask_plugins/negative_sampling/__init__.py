"""Negative sampling: tell answers from noise, one by one, where a softmax over all classes would cost too much.

Source: Mikolov, Sutskever, Chen, Corrado and Dean, NIPS 2013, section 2.2.
Differs: any target of classes will do. One that brings candidates has its noise among them, those of probability 0; for
all others noise is drawn evenly from all classes. The classes' vectors begin as small as the released word2vec's words
do, and not at 0, so that the first step moves both sides.
Axes: see the module.
"""

from collections.abc import Iterator

import pretask


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    """Declare the objective."""
    yield pretask.objective(
        "negative-sampling",
        "pretask_plugins.negative_sampling.against_noise:NegativeSampling",
        targets={"categories"},
        summary="Is this the answer, or was it drawn from noise? A yes or no for each candidate, no softmax over all.",
        source="Mikolov, Sutskever, Chen, Corrado and Dean, NIPS 2013",
    )
