"""Classifier: what a network that was trained on photographs in color makes of colorized ones.

The user names any function from images of bytes to scores of the classes of the data, in a file of theirs:

    # vgg.py, for --set colorization.classifier=vgg.py:classify
    import timm, torch

    network = timm.create_model("vgg16", pretrained=True).eval()

    def classify(images: torch.Tensor) -> torch.Tensor:  # (B, 3, H, W) of 0 to 255, to (B, classes)
        large = torch.nn.functional.interpolate(images / 255, 224, mode="bilinear")
        return network((large - mean) / std)[:, classes_of_mine]

Source: Zhang, Isola and Efros, ECCV 2016, section 3.1 (semantic interpretability: VGG's accuracy on colorized images).
Axes: B batch, H W image, K classes.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Int, UInt8
from pretask import PretaskError
from torch import Tensor

WHO = "colorization.classifier"


def load_classifier(name: str) -> Callable[..., Any]:
    """Return the function that FILE.py:FUNCTION or MODULE:FUNCTION names.

    Raises:
        PretaskError: There is no such file, module or function.
    """
    place, _, attribute = name.rpartition(":")
    needs, do = "FILE.py:FUNCTION or MODULE:FUNCTION", "Name a function from images of bytes to scores of classes."
    try:
        function = getattr(import_place(place), attribute)
    except (ImportError, OSError, AttributeError, ValueError) as error:
        got = f"{name} ({type(error).__name__}: {error})"
        raise PretaskError(WHO, needs, got, do, exit_code=2) from error
    if not callable(function):
        raise PretaskError(WHO, needs, f"{name}, which is no function", do, exit_code=2)
    classify: Callable[..., Any] = function
    return classify


def import_place(place: str) -> ModuleType:
    """Import a file, or a module by its name."""
    if not place.endswith(".py"):
        return import_module(place)
    spec = spec_from_file_location(Path(place).stem, Path(place).expanduser())
    if spec is None or spec.loader is None:
        raise ImportError(place)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def classify_images(classify: Callable[..., Any], images: UInt8[Tensor, "B 3 H W"], classes: int) -> Int[Tensor, " B"]:
    """Return the class of the highest score of every image.

    Raises:
        PretaskError: It does not give a score of every class for each image.
    """
    scores = classify(images)
    if not isinstance(scores, Tensor) or tuple(scores.shape) != (len(images), classes):
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        needs = f"scores of shape {(len(images), classes)}, one of each class of the data for every image"
        raise PretaskError(WHO, needs, f"{got}", "Let the function choose the classes of the data.")
    found: Tensor = scores.argmax(1).to(torch.int64)
    return found
