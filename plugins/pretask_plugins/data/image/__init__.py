"""Image data: what can be looked at without writing a loader.

`digits`, `shapes` and `glyphs` need no files. `folder` and `torchvision` decode what they find once, into a
memory-mapped cache; `webdataset` keeps nothing but where samples lie.
Axes: see the modules.
"""

from collections.abc import Iterator

from pretask import Component, data, hookimpl


@hookimpl
def pretask_components() -> Iterator[Component]:
    """Declare the data sets."""
    yield data(
        "folder",
        "pretask_plugins.data.image.folder:Folder",
        modality="image",
        summary="Your own images: root/train/CLASS/*.jpg or root/CLASS/*.jpg, also in tar files.",
    )
    yield data(
        "webdataset",
        "pretask_plugins.data.image.webdataset:WebDataset",
        modality="image",
        summary="Images in tar shards (train-000000.tar …), decoded while they are trained on.",
        source="Aizman, Maltby and Breuel 2019 (the layout)",
        cites="aizman2019high",
    )
    yield data(
        "torchvision",
        "pretask_plugins.data.image.torchvision:TorchvisionData",
        modality="image",
        summary="Data sets of torchvision by name: CIFAR10, MNIST, STL10, Imagenette …",
        source="each data set's own; Marcel and Rodriguez 2010 for torchvision",
        cites="marcel2010torchvision",
    )
    yield data(
        "digits",
        "pretask_plugins.data.image.digits:Digits",
        modality="image",
        summary="1,797 real hand-written digits that come with scikit-learn.",
        source="Alpaydin and Kaynak 1998",
        cites="alpaydin1998optical",
        small={"image_size": 32},
    )
    yield data(
        "shapes",
        "pretask_plugins.data.image.shapes:Shapes",
        modality="image",
        summary="Endless pictures of houses, trees, boats … in landscapes, made from a seed.",
        small={"size": 32, "test_size": 16, "image_size": 32},
    )
    yield data(
        "glyphs",
        "pretask_plugins.data.image.glyphs:Glyphs",
        modality="image",
        summary="Invented characters, each drawn by many hands, made from a seed, as Omniglot has real ones.",
        source="Lake, Salakhutdinov and Tenenbaum 2015 (characters as strokes)",
        cites="lake2015human",
        small={"size": 32, "test_size": 16, "num_classes": 4, "image_size": 16},
    )
    yield data(
        "hf-image",
        "pretask_plugins.data.image.hf_image:HfImage",
        modality="image",
        summary="Images of data sets of the datasets library, by name or from a folder.",
        source="each data set's own; Lhoest et al. 2021 for the library",
        cites="lhoest2021datasets",
    )
    yield data(
        "multispectral",
        "pretask_plugins.data.image.multispectral:Multispectral",
        modality="image",
        summary="Images of any number of channels (.npy, .tif), scaled by a range that you declare.",
    )
    yield data(
        "voc",
        "pretask_plugins.data.image.voc:Voc",
        modality="image",
        summary="Your own images with objects in boxes, in the layout of PASCAL VOC or COCO.",
        source="Everingham et al. 2010; Lin et al. 2014 (the layouts)",
        cites=("everingham2010pascal", "lin2014microsoft"),
    )
