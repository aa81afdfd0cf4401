"""Pictures in class folders: every spelling, every format, and what is left out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import deceive
from deceive.cli.data import DataFlags
from deceive.cli.declared import Declared
from deceive.common.errors import InputError
from deceive.data.decoding import decoded
from deceive.data.loading import load_data
from deceive.data.opening import open_data
from deceive.data.preparation import Preparation
from deceive.data.readers.reader import UnreadableError

NAMES = ("cat", "dog", "owl")


def colour(number: int, size: tuple[int, int] = (6, 8)) -> Image.Image:
    """A picture of noise; its first pixel tells its number."""
    levels = np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)
    levels[0, 0] = number
    return Image.fromarray(levels)


def lay(root: Path, counts: dict[str, int], first: int = 0) -> Path:
    """Folders of so many pictures; even numbers are cats, and so on."""
    number = first
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            colour(number).save(root / folder / f"{number:03}.png")
            number += 1
    return root


def numbers(images: torch.Tensor) -> list[int]:
    return (images[:, 0, 0, 0] * 255).round().int().tolist()


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "Validation", "Testing"), ("TRAIN", "valid", "Test")],
)
def test_folders_for_each_split(tmp_path: Path, train: str, validation: str, test: str) -> None:
    lay(tmp_path / train, {"cat": 3, "dog": 3})
    lay(tmp_path / validation, {"cat": 2, "dog": 1}, 10)
    lay(tmp_path / test, {"cat": 1, "dog": 2, "owl": 1}, 20)
    data = open_data(tmp_path)
    assert data.class_names == NAMES
    assert data.image_shape == (3, 6, 8)
    assert data.train is not None
    for split, cats, first in ((data.train, 3, 0), (data.validation, 2, 10), (data.test, 1, 20)):
        images = split.read(slice(None))
        for image, label, number in zip(images, split.labels, numbers(images), strict=True):
            assert torch.equal(image * 255, decoded_again(number))
            if label < 2:
                assert (label == 0) == (number - first < cats)
    assert "train: no pictures of 1 class (owl)" in data.notes


def decoded_again(number: int) -> torch.Tensor:
    return torch.from_numpy(np.array(colour(number))).permute(2, 0, 1).float()


def test_one_pile_is_cut_by_the_seed(tmp_path: Path) -> None:
    lay(tmp_path, dict.fromkeys(NAMES, 20))
    data = load_data(tmp_path)
    splits = (data.train, data.validation, data.test)
    assert [len(each) for each in splits] == [36, 12, 12]
    assert sorted(number for each in splits for number in numbers(each.images)) == list(range(60))
    for each in splits:
        assert each.labels.bincount().tolist() == [len(each) // 3] * 3
        assert each.labels.tolist() == [number // 20 for number in numbers(each.images)]
    assert data.notes == (
        "no test split: 12 of the 60 images, chosen at random (seed 0), are for testing and 12 for "
        "validation; the other 36 are for training",
    )
    (audited,) = open_data(tmp_path, from_test=True).notes
    assert "the audit leaves the other 36 alone, except for --judge train. If" in audited
    again, other = load_data(tmp_path), load_data(tmp_path, seed=1)
    assert torch.equal(again.test.images, data.test.images)
    assert not torch.equal(other.test.images, data.test.images)
    assert again.checksum == other.checksum == data.checksum


def test_reading_lazily_and_into_memory_gives_the_same(tmp_path: Path) -> None:
    lay(tmp_path, dict.fromkeys(NAMES, 5))
    lazy, whole = open_data(tmp_path), load_data(tmp_path)
    assert torch.equal(lazy.test.read(slice(None)), whole.test.images)
    assert torch.equal(lazy.test.read(torch.tensor([2, 0])), whole.test.images[[2, 0]])
    flags = torch.tensor([True, False, True])
    assert torch.equal(lazy.test.read(flags), whole.test.images[flags])
    assert lazy.test.read(slice(0, 0)).shape == (0, 3, 6, 8)


def test_one_split_is_enough(tmp_path: Path) -> None:
    lay(tmp_path / "test", {"cat": 4, "dog": 4})
    data = open_data(tmp_path)
    assert data.train is None
    assert [len(data.validation), len(data.test)] == [4, 4]
    assert data.validation.labels.bincount().tolist() == [2, 2]
    assert "the 8 test images are halved: 4 for validation, 4 for test" in data.notes
    with pytest.raises(InputError, match="expected images for training too"):
        load_data(tmp_path)

    lay(tmp_path / "train", {"cat": 6, "dog": 6}, 20)
    data = open_data(tmp_path)
    assert [len(each) for each in (data.train, data.validation, data.test) if each] == [6, 6, 8]
    assert "6 of the 12 training images are for validation" in data.notes
    data = open_data(tmp_path, from_test=True)
    assert [len(each) for each in (data.train, data.validation, data.test) if each] == [12, 4, 4]


def test_only_pictures_count(tmp_path: Path) -> None:
    lay(tmp_path / "data", {"cat/inner": 5, "dog": 5})
    for name in (".DS_Store", "Thumbs.db", "notes.txt", "labels.csv"):
        (tmp_path / "data/dog" / name).write_text("no picture")
    (tmp_path / "data/.cache").mkdir()
    data = open_data(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert "skipped 4 files that are no pictures: 2 hidden, 1 .csv, 1 .txt" in data.notes


def test_names_of_folders_may_be_anything(tmp_path: Path) -> None:
    lay(tmp_path, {"two\nlines": 10, "caf\udce9": 10, "ünï🦉": 10})
    assert open_data(tmp_path).class_names == ("caf?", "two lines", "ünï🦉")


def test_the_checksum_is_of_names_sizes_and_labels(tmp_path: Path) -> None:
    lay(tmp_path / "a", {"cat": 5, "dog": 5})
    lay(tmp_path / "b", {"cat": 5, "dog": 5})
    first = open_data(tmp_path / "a").checksum
    assert first == open_data(tmp_path / "b").checksum
    (tmp_path / "b/cat/000.png").rename(tmp_path / "b/cat/new.png")
    assert first != open_data(tmp_path / "b").checksum


# --- pictures that can't be read --------------------------------------------------------------


def test_few_damaged_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    lay(tmp_path / "test", {"cat": 100, "dog": 100})
    whole = tmp_path / "test/cat/007.png"
    whole.write_bytes(whole.read_bytes()[:60])
    data = open_data(tmp_path)
    images = torch.cat([each.read(slice(None)) for each in (data.validation, data.test)])
    assert len(images) == 200
    seen = numbers(images)
    assert 7 not in seen
    assert len(set(seen)) == 199  # another cat stands in
    (note,) = (each for each in data.notes if "can't be read" in each)
    assert note.startswith("1 picture of the first 200 can't be read, and others of the same class")
    assert "test/cat/007.png (" in note
    loaded = data.loaded()
    assert len(loaded.validation) + len(loaded.test) == 199


def test_many_damaged_pictures_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, {"cat": 20, "dog": 20})
    (tmp_path / "dog/020.png").write_bytes(b"")
    with pytest.raises(
        InputError,
        match=r"at most 1% of the pictures to be unreadable, got 1 .* dog/020.png \(not a",
    ):
        load_data(tmp_path)


# --- shapes -----------------------------------------------------------------------------------


def test_pictures_of_several_sizes_need_one(tmp_path: Path) -> None:
    lay(tmp_path, {"cat": 10, "dog": 10})
    colour(99, (9, 5)).save(tmp_path / "dog/odd.png")
    with pytest.raises(InputError, match=r"one size, got 6×8, 9×5; .* --size 224"):
        open_data(tmp_path)
    assert open_data(tmp_path, Preparation(size=(4, 5))).image_shape == (3, 4, 5)
    data = open_data(tmp_path, Preparation(channels=1, resize=6, crop=(5, 5)))
    assert data.image_shape == (1, 5, 5)
    assert data.test.read(slice(None)).shape == (4, 1, 5, 5)


def test_grey_becomes_colour_if_any_is(tmp_path: Path) -> None:
    lay(tmp_path, {"cat": 10, "dog": 10})
    for path in (tmp_path / "cat").iterdir():
        Image.open(path).convert("L").save(path)
    data = open_data(tmp_path)
    assert data.image_shape == (3, 6, 8)
    assert "some pictures are grey: all become colour" in data.notes
    for path in (tmp_path / "dog").iterdir():
        Image.open(path).convert("L").save(path)
    assert open_data(tmp_path).image_shape == (1, 6, 8)


# --- formats ----------------------------------------------------------------------------------

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def same(picture: torch.Tensor, expected: np.ndarray) -> bool:
    return torch.equal(picture, torch.from_numpy(np.ascontiguousarray(expected)))


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "webp", "gif", "ppm", "tga", "pcx"])
def test_formats_without_loss(tmp_path: Path, ending: str) -> None:
    levels = np.stack([GREY, GREY[::-1], GREY.T.reshape(6, 8)], -1)
    path = tmp_path / f"it.{ending}"
    Image.fromarray(levels).save(path, **({"lossless": True} if ending == "webp" else {}))
    assert same(decoded(path), levels.transpose(2, 0, 1))


MODES: dict[str, tuple[Callable[[], Image.Image], np.ndarray]] = {
    "grey": (lambda: Image.fromarray(GREY), GREY[None]),
    "16 bits": (lambda: Image.fromarray(GREY.astype(np.uint16) * 257), GREY[None]),
    "1 bit": (lambda: Image.fromarray(GREY > 99), np.where(GREY > 99, 255, 0)[None]),
    "grey palette": (lambda: Image.fromarray(GREY).convert("P"), GREY[None]),
    "alpha": (
        lambda: Image.fromarray(np.stack([GREY, GREY, GREY, GREY], -1)),
        np.stack([GREY, GREY, GREY, GREY]),
    ),
    "grey and alpha": (lambda: Image.fromarray(np.stack([GREY, GREY], -1)), np.stack([GREY, GREY])),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes(tmp_path: Path, mode: str) -> None:
    make, expected = MODES[mode]
    make().save(tmp_path / "it.png")
    assert same(decoded(tmp_path / "it.png"), expected.astype(np.uint8))


def test_floats_and_printing_colours(tmp_path: Path) -> None:
    Image.fromarray(GREY.astype(np.float32) / 255).save(tmp_path / "it.tiff")
    assert same(decoded(tmp_path / "it.tiff"), GREY[None])
    Image.new("CMYK", (4, 3), (255, 0, 0, 0)).save(tmp_path / "it.tif")
    assert decoded(tmp_path / "it.tif")[:, 0, 0].tolist() == [0, 255, 255]


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.new("RGBA", (4, 4), (0, 100, 0, 0)).save(tmp_path / name / f"{number}.png")
    data = open_data(tmp_path)
    assert data.image_shape == (3, 4, 4)
    assert bool((data.test.read(slice(None)) == 1).all())
    assert "some pictures have an alpha channel: transparent pixels are white" in data.notes


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    turned = Image.fromarray(GREY)
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned clockwise
    turned.save(tmp_path / "it.png", exif=exif)
    assert same(decoded(tmp_path / "it.png"), np.rot90(GREY, -1)[None])


@pytest.mark.parametrize("content", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture(content: bytes) -> None:
    with pytest.raises(UnreadableError, match="not a picture"):
        decoded(content)


# --- what isn't a data set --------------------------------------------------------------------


def test_a_folder_of_nothing_known_is_told_what_is(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("no data")
    with pytest.raises(
        InputError, match=r"found no picture among its files \(1 .md\); put .* as DIR/cat/1.jpg"
    ):
        open_data(tmp_path)


def test_pictures_without_classes_are_other_data_at_most(tmp_path: Path) -> None:
    lay(tmp_path, {"pile": 20})
    with pytest.raises(InputError, match=r"a folder for each class, found 20 pictures side by"):
        open_data(tmp_path / "pile")
    with pytest.raises(InputError, match=r"at least 2 classes, got 1 class \(pile\).* DIR/dog"):
        open_data(tmp_path)
    assert open_data(tmp_path / "pile", any_labels=True).class_names == ("pile",)


def test_an_audit_names_the_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    lay(tmp_path / "test", {"cat": 100, "dog": 100})
    torn = tmp_path / "test/cat/007.png"
    torn.write_bytes(torn.read_bytes()[:60])
    little = deceive.AuditSettings(
        candidates=4, steps=10, curve_candidates=2, searched=2, queries=100, garbage_images=20
    )
    report = deceive.audit(
        lambda images: images[:, :2, 0, 0] * 9, tmp_path, judge=None, settings=little, budget=None
    )
    assert report.notes[0] == "The 200 test images are halved: 100 for validation, 100 for test."
    (note,) = (each for each in report.notes if "can't be read" in each)
    assert note.startswith("1 picture of the first 200 can't be read, and others of the same class")
    assert "test/cat/007.png" in note


@pytest.mark.parametrize(
    ("prefix", "size", "expected"), [("", "4x5", (4, 5)), ("judge_", "6", (6, 6))]
)
def test_a_size_on_the_command_line(
    prefix: Any, size: str, expected: tuple[int, int], tmp_path: Path
) -> None:
    declared = Declared(**{f"{prefix}size": size, f"{prefix}crop": None})
    assert declared.interface(prefix).size == expected
    with pytest.raises(InputError, match="-size: expected HxW, such as 48x192, or one number"):
        Declared(**{f"{prefix}size": "large"}).interface(prefix)
    data = lay(tmp_path, {"cat": 5, "dog": 5})
    assert DataFlags(data=data, size=size).load().image_shape[1:] == expected
