"""What is said of places that hold no labelled pictures, or too few, or some out of place."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deceive.common.errors import InputError
from deceive.data.opening import open_data
from worlds.files import idx


def put(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(np.full((4, 4), number, np.uint8)).save(folder / f"{number:03}.png")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("empty", "found an empty folder; put pictures into"),
        ("hollow/cat", "found folders without any file"),
        ("texts", r"found no picture among its files \(2 .txt\)"),
        ("packed", r"found an archive, a.zip; unpack it"),
        ("links", r"found 2 links that lead nowhere, such as cat to /nowhere/cat"),
        ("packed/a.zip", "found an archive; unpack it, and name the folder"),
        ("cats/000.png", "found a single picture; put pictures into a folder for each class"),
        ("cats", r"a folder for each class, found 7 pictures side by side"),
        (
            "piles",
            r"class folders in test and train, found pictures side by side; sort them, as DIR",
        ),
        ("one", r"at least 2 classes, got 1 class \(cats\); .* add pictures of another one"),
        ("three", r"expected at least 5 images, .* got 3; about 100 of each class"),
        ("textz", "found nothing; did you mean texts"),
        ("lost", "found a link that leads nowhere, to /nowhere"),
        ("pile.pkl", "a pickle, which is never opened; save its arrays as .npz"),
    ],
)
def test_each_has_its_own_sentence(tmp_path: Path, made: str, said: str) -> None:
    for name in ("empty", "hollow/cat", "texts", "packed", "links", "one"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("texts/a.txt", "texts/b.txt", "packed/a.zip", "pile.pkl"):
        (tmp_path / name).write_text("no picture")
    for name in ("links/cat", "links/dog", "lost"):
        (tmp_path / name).symlink_to(f"/nowhere/{name.rpartition('/')[2]}".removesuffix("/lost"))
    put(tmp_path / "cats", 7)
    shutil.copytree(tmp_path / "cats", tmp_path / "one" / "cats")
    for split in ("train", "test"):
        put(tmp_path / "piles" / split, 7)
    put(tmp_path / "three" / "cat", 2)
    put(tmp_path / "three" / "dog", 1)
    with pytest.raises(InputError, match=said) as caught:
        open_data(tmp_path / (made.partition("/")[0] if made == "hollow/cat" else made))
    assert "known are" not in str(caught.value)


def put_idx(folder: Path) -> None:
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        images, labels = np.zeros((20, 2, 2), np.uint8), np.arange(20, dtype=np.uint8) % 2
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))


def test_the_folder_to_name_instead_is_said(tmp_path: Path) -> None:
    put_idx(tmp_path / "deep" / "er" / "digits")
    with pytest.raises(InputError, match=r"found some in .*deep/er/digits; name that") as caught:
        open_data(tmp_path)
    assert "unpack" not in str(caught.value)
    assert open_data(tmp_path / "deep" / "er" / "digits").n_classes == 2
    (tmp_path / "arrays").mkdir()
    np.savez(tmp_path / "arrays" / "a.npz", images=np.zeros((9, 2, 2)), labels=np.arange(9) % 2)
    (tmp_path / "a.zip").write_text("no archive")
    with pytest.raises(InputError, match=r"in each of \S*/arrays, \S*/digits; name one of them$"):
        open_data(tmp_path)


def test_a_data_set_below_another_folder_is_found_beside_others(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            put(tmp_path / "dataset" / split / name, 10)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("about")
    data = open_data(tmp_path)
    assert data.class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("folders", "classes", "said"),
    [
        ("cat/2020/may cat/2021 dog/all", ("cat", "dog"), "class, as 2020, 2021 to cat; if those"),
        ("mammal/cat mammal/dog bird", ("bird", "mammal"), "class, as cat, dog to mammal"),
        ("cat/train cat/test dog/train", ("cat", "dog"), "test, train to cat; for a split, put it"),
        ("a/b/c/cat a/b/c/dog", ("cat", "dog"), None),
        ("train/cat train/dog test", ("cat", "dog"), "test, beside the splits, without class fold"),
    ],
)
def test_folders_deeper_than_classes_are_said(
    tmp_path: Path, folders: str, classes: tuple[str, ...], said: str | None
) -> None:
    for name in folders.split():
        put(tmp_path / name, 10)
    data = open_data(tmp_path)
    assert data.class_names == classes
    assert [note for note in data.notes if said and said in note] or said is None
    assert len(data.notes) == 1 + (said is not None)


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        put(tmp_path / name, 10)
    (tmp_path / "zebra").mkdir()
    shutil.copy(tmp_path / "cat" / "000.png", tmp_path)
    notes = " ".join(open_data(tmp_path).notes)
    assert "1 folder without pictures in" in notes
    assert "(zebra): not counted as classes" in notes
    assert "1 picture in " in notes
    assert "beside its class folders: left out" in notes


def test_a_picture_that_is_a_broken_link_is_unreadable(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        put(tmp_path / name, 150)
    link = tmp_path / "cat" / "007.png"
    link.unlink()
    link.symlink_to("/nowhere/7.png")
    data = open_data(tmp_path)
    (note,) = (each for each in data.notes if "can't be read" in each)
    assert note.startswith("1 picture of the 300 can't be read")
    for split in (data.train, data.validation, data.test):
        assert split is not None
        split.read(slice(None))
    (note,) = (each for each in data.notes if "can't be read" in each)
    assert note.startswith("1 picture of the 300 can't be read")
    assert "cat/007.png (a link that leads nowhere)" in note
    for number in range(3):
        (tmp_path / "dog" / f"{number:03}.png").unlink()
        (tmp_path / "dog" / f"{number:03}.png").symlink_to("/nowhere/0.png")
    with pytest.raises(InputError, match=r"unreadable, got 4 of 300: cat/007.png \(a link that"):
        open_data(tmp_path)
