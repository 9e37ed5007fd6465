"""Suites: what the leaderboards hold fixed; each is a file beside this module.

What a suite fixes never changes under the same version: a number from today must mean the same next year.
"""

from collections.abc import Iterator

from pretask import Component, hookimpl, suite


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the suites."""
    yield suite(
        "quick",
        "pretask_plugins.suites:quick.toml",
        summary="Every installed task of each modality on embedded data; minutes on two cores.",
    )
    yield suite(
        "quick",
        "pretask_plugins.suites:quick-2.toml",
        summary="Seven tasks of four modalities on embedded data; four minutes on two cores.",
        version=2,
    )
    yield suite(
        "photos",
        "pretask_plugins.suites:photos.toml",
        summary="Every installed task of images on your own folder of photographs.",
    )
    yield suite(
        "glue",
        "pretask_plugins.suites:glue.toml",
        summary="GLUE's nine tasks by fine-tuning, from your own corpus; official metrics on dev.",
    )
    yield suite(
        "lecture",
        "pretask_plugins.suites:lecture.toml",
        summary="The tasks of a lecture on self-supervision, on photographs, digits, books, clips and speech.",
    )
    yield suite(
        "lecture-gpu",
        "pretask_plugins.suites:lecture-gpu.toml",
        summary="The tasks of a lecture on self-supervision, for an hour of one GPU.",
    )
