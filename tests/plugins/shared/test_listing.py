"""Promises of the lister: one set of rules, the same for every loader of files."""

import os
import tarfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from pretask_plugins.data.audio.audio_folder import AudioFolder
from pretask_plugins.data.image.folder import Folder
from pretask_plugins.data.text.corpus import Corpus
from pretask_plugins.data.video.frames import find_sequences
from pretask_plugins.data.video.videos import list_videos
from pretask_plugins.shared.listing import FileTree, Listing, leftovers, list_any, open_tree

Found = dict[str, tuple[str, str]]  # name: part and class


def of_listing(listing: Listing) -> Found:
    return {item.name: (item.part, item.label) for item in listing.items}


def images(root: Path) -> Found:
    with open_tree("folder", root) as tree:
        parts = [Folder(root).list_images(tree, "train")]
    return of_listing(parts[0].listing)


def recordings(root: Path) -> Found:
    with open_tree("audio-folder", root) as tree:
        return of_listing(AudioFolder(root).list_recordings(tree))


def videos(root: Path) -> Found:
    with open_tree("video-folder", root) as tree:
        return of_listing(list_videos(tree, "")[0])


def texts(root: Path) -> Found:
    sources = {part: Corpus(root).sources(part) for part in ("train", "test")}
    return {source.name: (part, "") for part in sources for source in sources[part]}


def sequences(root: Path) -> Found:
    """Sequences of frames, which have no classes."""
    with FileTree("frames", root) as tree:
        return {clip.sequence: (clip.part, "") for clip in find_sequences(tree, "").values()}


@dataclass(frozen=True)
class Loader:
    ending: str
    list: Callable[[Path], Found]
    labels: bool = True

    def write(self, root: Path, *names: str) -> Path:
        for number, name in enumerate(names):
            path = root / f"{name}{self.ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.fsencode(f"{name} {number}"))
        return root

    def expect(self, wanted: dict[str, tuple[str, str]]) -> Found:
        return {f"{name}{self.ending}": (part, label * self.labels) for name, (part, label) in wanted.items()}


LOADERS = {
    "images": Loader(".png", images),
    "recordings": Loader(".wav", recordings),
    "videos": Loader(".mp4", videos),
    "texts": Loader(".txt", texts, labels=False),
}
every_loader = pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS.keys())
TWICE = ("a", "b")  # a class needs two images to train on

# What lies below the root, and part and class of it.
RULES: dict[str, dict[str, tuple[str, str]]] = {
    "folders of parts and classes": {
        **{f"train/{label}/{name}": ("train", label) for label in ("cat", "dog") for name in TWICE},
        "test/dog/c": ("test", "dog"),
    },
    "the outermost part decides and what is in it is the class": {
        **{f"train/{label}/{name}": ("train", label) for label in ("test", "train") for name in TWICE},
        "test/train/c": ("test", "train"),
    },
    "straight in a part is without a class": {
        "train/a": ("train", ""),
        "train/b": ("train", ""),
        "test/c": ("test", ""),
    },
    "a folder around the parts is no class": {
        **{f"mine/train/cat/{name}": ("train", "cat") for name in TWICE},
        "mine/train/c": ("train", ""),
        "mine/val/cat/d": ("test", "cat"),
    },
    "classes with parts in them": {
        **{f"{label}/train/{name}": ("train", label) for label in ("cat", "dog") for name in TWICE},
        "cat/test/c": ("test", "cat"),
    },
    "names of parts in any case": {
        "Train/cat/a": ("train", "cat"),
        "Train/cat/b": ("train", "cat"),
        "TEST/cat/c": ("test", "cat"),
    },
    "folders in the folder of a class": {
        **{f"train/{label}/more/{name}": ("train", label) for label in ("cat", "dog") for name in TWICE},
        "test/cat/more/c": ("test", "cat"),
    },
}


@every_loader
@pytest.mark.parametrize("rule", RULES)
def test_every_loader_keeps_every_rule(loader: Loader, rule: str, tmp_path: Path) -> None:
    root = loader.write(tmp_path / "data", *RULES[rule])
    assert loader.list(root) == loader.expect(RULES[rule])


@every_loader
def test_words_inside_names_decide_nothing_and_a_tenth_is_held_out(loader: Loader, tmp_path: Path) -> None:
    names = [
        f"{label}/{name}"
        for label in ("cat", "dog")
        for name in ("night-train", "a-test-of-wills", "valid-one", *"abcde")
    ]
    found = loader.list(loader.write(tmp_path / "data", *names))
    assert len(found) == len(names)
    assert 0 < sum(part == "test" for part, _ in found.values()) <= 4
    assert {label for _, label in found.values()} == ({"cat", "dog"} if loader.labels else {""})


@every_loader
def test_a_class_that_lacks_in_one_part_shifts_no_number(loader: Loader, tmp_path: Path) -> None:
    names = [f"train/{label}/{name}" for label in ("ant", "bee", "cow") for name in TWICE]
    root = loader.write(tmp_path / "data", *names, "test/ant/c", "test/cow/c")
    with open_tree("loader", root) as tree:
        listing = list_any(tree, (loader.ending,), lambda name: False)
    assert listing.classes == ("ant", "bee", "cow")
    assert listing.number(listing.select("test")).tolist() == [0, 2]


@every_loader
def test_what_programs_leave_behind_is_no_data(loader: Loader, tmp_path: Path) -> None:
    names = [f"train/cat/{name}" for name in TWICE] + ["test/cat/c"]
    junk = [".git/a", "train/.ipynb_checkpoints/a", "train/@eaDir/cat/a", "__MACOSX/train/cat/a", "train/cat/._a"]
    root = loader.write(tmp_path / "data", *names, *junk)
    assert {*loader.list(root)} == {f"{name}{loader.ending}" for name in names}


@every_loader
def test_numbered_files_are_in_the_order_of_their_numbers(loader: Loader, tmp_path: Path) -> None:
    names = [f"train/cat/frame{number}" for number in range(1, 13)]
    found = loader.list(loader.write(tmp_path / "data", *names, "test/cat/a"))
    assert [name for name, (part, _) in found.items() if part == "train"] == [
        f"{name}{loader.ending}" for name in names
    ]


@every_loader
def test_each_real_file_is_listed_once_whatever_links_lead_to_it(
    loader: Loader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = loader.write(tmp_path / "data", *[f"train/{label}/{name}" for label in ("cat", "dog") for name in "abe"])
    loader.write(tmp_path / "else" / "inner", "a", "b")
    loader.write(root, "test/dog/c")
    (root / "train" / "cat" / "up").symlink_to("../..")  # a loop
    (root / "train" / "dog" / "cats").symlink_to("../cat")  # crossing ones
    (root / "train" / "cat" / "dogs").symlink_to("../dog")
    (root / "train" / "fox").symlink_to(tmp_path / "else" / "inner")  # followed, once
    (root / "train" / "wolf").symlink_to(tmp_path / "else" / "inner")
    (tmp_path / "else" / "inner" / "out").symlink_to("..")  # a loop out there
    (root / "train" / "cat" / f"again{loader.ending}").symlink_to(f"a{loader.ending}")
    (root / "train" / "cat" / f"lost{loader.ending}").symlink_to("nowhere")
    os.link(root / "train" / "dog" / f"b{loader.ending}", root / "test" / "dog" / f"b{loader.ending}")
    found = loader.list(root)
    ends = [PurePosixPath(name).with_suffix("").as_posix() for name in found]
    assert sorted(ends) == [
        "test/dog/b",
        "test/dog/c",
        *(f"train/cat/{name}" for name in "abe"),
        *(f"train/dog/{name}" for name in "ae"),
        *(f"train/fox/{name}" for name in TWICE),
    ]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "links that lead nowhere: 1" in told[0]
    assert "links to folders that they lie in: 2" in told[0]
    assert "read already: 5" in told[0]


@every_loader
def test_what_is_not_read_is_told_in_one_line_with_counts(
    loader: Loader, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = loader.write(tmp_path / "data", *[f"train/cat/{name}" for name in TWICE], "test/cat/c", "odd", "val/cat/d")
    for name in ("a.heic", "b.heic", "c.xyz"):
        (root / "train" / name).write_text("?")
    os.mkfifo(root / "train" / "cat" / f"pipe{loader.ending}")
    (root / "train" / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert len(loader.list(root)) == 3
    loader.list(root)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    for words in (
        "files of other kinds: 3 (.heic 2, .xyz 1)",
        "folders that cannot be opened: 1 (train/closed)",
        "neither files nor folders: 1",
        f"files outside of the folders of the parts: 1 (odd{loader.ending})",
        f"files of a further part: 1 (val/cat/d{loader.ending})",
    ):
        assert words in told[0]


@every_loader
def test_names_may_be_of_any_bytes_and_in_either_unicode_form(
    loader: Loader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    root = loader.write(tmp_path / "data", f"train/{composed}/a", f"train/{apart}/b", f"test/{apart}/c", "else")
    latin = os.fsdecode(b"na\xefve")
    loader.write(root, f"train/{latin}/a", f"train/{latin}/{latin}", latin)
    loader.write(root, "train/two\nlines/a", "train/two\nlines/b")
    found = loader.list(root)
    assert len(found) == 7
    if loader.labels:
        assert {label for _, label in found.values()} == {composed, "na\\xefve", "two\\nlines"}
    assert "na\\xefve" in capsys.readouterr().err  # printable


@every_loader
def test_a_hash_of_few_names_leaves_no_part_empty(loader: Loader, tmp_path: Path) -> None:
    for count in (3, 4, 7):
        found = loader.list(loader.write(tmp_path / f"{count}", *(f"cat/{number}" for number in range(count))))
        assert {part for part, _ in found.values()} == {"train", "test"}


def test_classes_that_are_called_as_parts_are_with_a_year_behind_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leftovers.tell_once.cache_clear()
    loader = LOADERS["images"]
    found = loader.list(
        loader.write(tmp_path / "data", *[f"{part}2017/{name}" for part in ("train", "val") for name in "abcd"])
    )
    assert {label for _, label in found.values()} == {"train2017", "val2017"}
    assert "folders train2017 and val2017 are taken for classes" in capsys.readouterr().err
    loader.list(
        loader.write(
            tmp_path / "more",
            "train-station/a",
            "train-station/b",
            "train-station/c",
            "tested/a",
            "tested/b",
            "tested/c",
        )
    )
    assert capsys.readouterr().err == ""


def test_names_in_tar_files_may_be_long_numbers_and_lead_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = f"train/x/{'9' * 5000}.png"
    with tarfile.open(tmp_path / "d.tar", "w") as archive:
        for name in (long, "./train/x/1.png", "train/x/../../test/x/2.png", "../test/x/3.png", "/test/x/4.png"):
            archive.addfile(tarfile.TarInfo(name))
    assert images(tmp_path / "d.tar") == {
        "test/x/4.png": ("test", "x"),
        "train/x/1.png": ("train", "x"),
        long: ("train", "x"),
    }
    assert "names with .. in them: 2" in capsys.readouterr().err


def test_sequences_of_frames_keep_the_rules_of_parts_and_links(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for part, names in (("train", ("train", "b10", "b9")), ("valid", ("c",)), ("@eaDir", ("d",))):
        for name in names:
            place = root / part / "JPEGImages" / "480p" / name
            place.mkdir(parents=True)
            (place / "00000.jpg").write_text(name)
    (root / "train" / "JPEGImages" / "480p" / "again").symlink_to("b9")
    (root / "train" / "JPEGImages" / "480p" / "up").symlink_to("../..")
    assert sequences(root) == {"b9": ("train", ""), "b10": ("train", ""), "train": ("train", ""), "c": ("test", "")}


def test_texts_whose_names_differ_in_the_part_alone_are_these_parts_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leftovers.tell_once.cache_clear()
    root = LOADERS["texts"].write(tmp_path / "data", "en-ud-train", "en-ud-dev", "en-ud-test")
    assert texts(root) == {"en-ud-train.txt": ("train", ""), "en-ud-test.txt": ("test", "")}
    assert "parts by what tells the names of files apart" in capsys.readouterr().err
    LOADERS["texts"].write(root, "walden")
    assert len(texts(root)) == 4


def test_pictures_beside_videos_are_no_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = LOADERS["videos"].write(tmp_path / "data", "train/cat/a", "train/dog/b", "test/cat/c")
    for name in ("train/cat/a.jpg", "train/cat/thumbs/a.jpg", "cover.jpg", "train/dog/frames/1.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("?")
    assert videos(root) == LOADERS["videos"].expect(
        {"train/cat/a": ("train", "cat"), "train/dog/b": ("train", "dog"), "test/cat/c": ("test", "cat")}
    )
    assert "pictures beside videos: 4" in capsys.readouterr().err
