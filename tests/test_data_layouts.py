"""Every layout of arrays: the same pixels and labels come out of all of them."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deceive.common.errors import InputError
from deceive.data.dataset import RealData
from deceive.data.loading import load_data
from deceive.data.opening import open_data
from deceive.data.source import MNIST
from worlds.files import gzipped, idx

RNG = np.random.default_rng(0)
COUNTS = {"train": 30, "test": 12}


def smooth(count: int, channels: int, side: int) -> np.ndarray:
    """Pictures (N, C, side, side) in which neighbours are alike and channels are not."""
    ramp = np.add.outer(np.arange(side), np.arange(side)) * (60 // side)
    tints = RNG.integers(0, 190, (count, channels, 1, 1))
    return (ramp + tints + RNG.integers(0, 5, (count, channels, side, side))).astype(np.uint8)


GREY = {name: smooth(count, 1, 6) for name, count in COUNTS.items()}
COLOUR = {name: smooth(count, 3, 32) for name, count in COUNTS.items()}
LABELS = {name: (np.arange(count) * 7 % 3).astype(np.int64) for name, count in COUNTS.items()}

Arrays = dict[str, np.ndarray]


def keras(pictures: Arrays, labels: Arrays, path: Path, **changes: Any) -> Path:
    """Pictures as they are named in Keras' files."""
    arrays = {f"x_{name}": each for name, each in pictures.items()}
    np.savez_compressed(path, **(arrays | {f"y_{k}": v for k, v in labels.items()} | changes))
    return path


def each(arrays: Arrays, change: Callable[[np.ndarray], np.ndarray]) -> Arrays:
    return {name: change(array) for name, array in arrays.items()}


def levels_and_labels(split: Any) -> list[tuple[bytes, int]]:
    """All images and labels in an order that doesn't depend on the split's."""
    images = (split.read(slice(None)) * 255).round().to(torch.uint8).numpy()
    return sorted((image.tobytes(), int(y)) for image, y in zip(images, split.labels, strict=True))


def check(data: RealData, pictures: Arrays, labels: Arrays = LABELS) -> None:
    """The data hold these pictures with these labels, in the same splits."""
    assert data.train is not None
    test = sorted(zip(map(np.ndarray.tobytes, pictures["test"]), labels["test"], strict=True))
    train = sorted(zip(map(np.ndarray.tobytes, pictures["train"]), labels["train"], strict=True))
    assert levels_and_labels(data.test) == test
    assert sorted(levels_and_labels(data.train) + levels_and_labels(data.validation)) == train
    assert data.image_shape == pictures["test"].shape[1:]


# --- .npz -------------------------------------------------------------------------------------


def last(array: np.ndarray) -> np.ndarray:
    return array.transpose(0, 2, 3, 1)


RANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "levels": lambda array: array,
    "channels last": last,
    "one channel less": lambda array: array[:, 0] if array.shape[1] == 1 else array,
    "flat": lambda array: array.reshape(len(array), -1),
    "flat, channels last": lambda array: last(array).reshape(len(array), -1),
    "0 to 1": lambda array: array / np.float32(255),
    "half": lambda array: (array / 255).astype(np.float16),
    "float levels": lambda array: array.astype(np.float64),
    "-1 to 1": lambda array: array / 127.5 - 1,
    "int64": lambda array: array.astype(np.int64),
    "16 bits": lambda array: array.astype(np.uint16) * 257,
    "int8": lambda array: (array.astype(np.int16) - 128).astype(np.int8),
}


@pytest.mark.parametrize("pictures", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("change", RANGES)
def test_an_npz_of_any_range_and_layout(change: str, pictures: Arrays, tmp_path: Path) -> None:
    path = keras(each(pictures, RANGES[change]), LABELS, tmp_path / "it.npz")
    check(open_data(path), pictures)


NAMES = {
    "Keras": ("x_{}", "y_{}"),
    "MedMNIST": ("{}_images", "{}_labels"),
    "short": ("X{}", "y{}"),
    "words": ("{}Data", "{}Targets"),
}


@pytest.mark.parametrize("names", NAMES)
def test_names_of_arrays(names: str, tmp_path: Path) -> None:
    images, labels = NAMES[names]
    arrays = {images.format(k): v for k, v in GREY.items()}
    arrays |= {labels.format(k): v[:, None] for k, v in LABELS.items()}
    np.savez(tmp_path / "it.npz", others=np.zeros(3), **arrays)
    check(open_data(tmp_path / "it.npz"), GREY)
    check(load_data(tmp_path), GREY)


KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one-hot": lambda labels: np.eye(3)[labels],
    "a column": lambda labels: labels[:, None].astype(np.float32),
    "from 1": lambda labels: labels + 1,
    "names": lambda labels: np.array(["ant", "bee", "cow"])[labels],
    "bytes": lambda labels: np.array([b"ant", b"bee", b"cow"])[labels],
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_any_kind(kind: str, tmp_path: Path) -> None:
    data = open_data(keras(GREY, each(LABELS, KINDS[kind]), tmp_path / "it.npz"))
    check(data, GREY)
    named = kind in ("names", "bytes")
    assert data.class_names == (("ant", "bee", "cow") if named else ("0", "1", "2"))
    assert ("labels are 1 to 3: class 0 is the one labelled 1" in data.notes) == (kind == "from 1")


def test_medmnist_has_a_validation_split(tmp_path: Path) -> None:
    arrays = {f"{k}_images": GREY["test"] for k in ("train", "val", "test")}
    arrays |= {f"{k}_labels": LABELS["test"] for k in ("train", "val", "test")}
    np.savez(tmp_path / "it.npz", **arrays)
    data = open_data(tmp_path / "it.npz")
    assert data.train is not None
    for split in (data.train, data.validation, data.test):
        assert len(split) == 12


def test_what_deceive_draws_is_read_again(tmp_path: Path) -> None:
    np.savez(tmp_path / "drawn.npz", images=GREY["train"][:, 0], targets=LABELS["train"])
    data = load_data(tmp_path / "drawn.npz")
    assert [len(each) for each in (data.train, data.validation, data.test)] == [18, 6, 6]


def test_more_than_256_classes(tmp_path: Path) -> None:
    labels = np.arange(600) % 300
    np.savez(tmp_path / "it.npz", images=np.zeros((600, 4, 4), np.uint8), labels=labels)
    assert open_data(tmp_path / "it.npz").n_classes == 300


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "normalised": ({"x_test": GREY["test"] / 40.0 - 3}, "expected values from 0 to 1, .* --mean"),
    "nan": ({"x_test": np.full((12, 1, 6, 6), np.nan)}, "expected values from 0 to 1.*nan"),
    "other sizes": ({"x_test": np.zeros((12, 5, 5), np.uint8)}, "one shape, got .*1×5×5"),
    "too few labels": ({"y_test": LABELS["test"][:-1]}, "expected 12 labels.* got 11"),
    "no labels": ({"y_test": np.zeros((12, 4))}, "a label for each picture.*float64"),
    "gaps": ({"y_test": LABELS["test"] * 9}, "0 to 18 without 3 to 8, 10 to 17; renumber"),
    "fractions": ({"y_test": LABELS["test"] + 0.5}, "expected whole numbers as labels"),
    "no pictures": ({"x_test": np.zeros((12, 7, 7, 7), np.uint8)}, "expected pictures .N, H, W."),
}


@pytest.mark.parametrize("case", BAD)
def test_arrays_that_are_refused(case: str, tmp_path: Path) -> None:
    changes, message = BAD[case]
    with pytest.raises(InputError, match=message):
        load_data(keras(GREY, LABELS, tmp_path / "it.npz", **changes))


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "it.npz"
    path.write_bytes(b"PK no zip")
    with pytest.raises(InputError, match=r"it.npz: expected arrays that can be read; File is not"):
        open_data(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(InputError, match=r"expected arrays named as x_train .* found a$"):
        open_data(path)
    np.savez(path, images=GREY["test"], labels=np.array(["a", None] * 6, object))
    with pytest.raises(InputError, match="expected labels beside the pictures, found none"):
        open_data(path)


# --- .npy, CSV, CIFAR -------------------------------------------------------------------------


def test_npy_files(tmp_path: Path) -> None:
    for name in COUNTS:
        np.save(tmp_path / f"x_{name}.npy", COLOUR[name])
        np.save(tmp_path / f"y_{name}.npy", LABELS[name])
    check(open_data(tmp_path), COLOUR)
    only = open_data(tmp_path / "x_test.npy")
    assert [only.train, len(only.validation), len(only.test)] == [None, 6, 6]
    (tmp_path / "y_train.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"y_train.npy: expected arrays that can be read"):
        open_data(tmp_path)


def rows(pictures: np.ndarray, labels: np.ndarray | None, *, at_end: bool = False) -> str:
    flat = pictures.reshape(len(pictures), -1).astype(np.int64)
    if labels is not None:
        flat = np.insert(flat, flat.shape[1] if at_end else 0, labels, 1)
    return "".join(",".join(map(str, row)) + "\n" for row in flat.tolist())


@pytest.mark.parametrize("form", ["Kaggle", "no header", "label last", "floats", "names"])
def test_csv_files(form: str, tmp_path: Path) -> None:
    header = ",".join(["label", *(f"pixel{number}" for number in range(36))]) + "\n"
    for name in COUNTS:
        text = rows(GREY[name], LABELS[name], at_end=form == "label last")
        if form == "label last":
            header = ",".join([*(f"{number}" for number in range(36)), "label"]) + "\n"
        if form == "floats":
            text = "\n".join(
                ",".join([str(y), *(f"{v / 255:.6f}" for v in x.ravel())])
                for x, y in zip(GREY[name], LABELS[name], strict=True)
            )
        if form == "names":
            text = re.sub(r"(?m)^(\d)", lambda found: "abc"[int(found[1])], text)
        (tmp_path / f"mnist_{name}.csv").write_text((form != "no header") * header + text)
    data = open_data(tmp_path)
    check(data, GREY)
    assert data.class_names == (("a", "b", "c") if form == "names" else ("0", "1", "2"))


def test_kaggles_test_file_has_no_labels(tmp_path: Path) -> None:
    header = ",".join(f"pixel{number}" for number in range(36))
    (tmp_path / "train.csv").write_text(f"label,{header}\n{rows(GREY['train'], LABELS['train'])}")
    (tmp_path / "test.csv").write_text(f"{header}\n{rows(GREY['test'], None)}")
    data = load_data(tmp_path)
    assert [len(each) for each in (data.train, data.validation, data.test)] == [18, 6, 6]
    assert "test: there are no labels; left out" in data.notes


@pytest.mark.parametrize(
    ("line", "said"), [("1,2,3", "number of columns|columns"), ("1" + ",x" * 36, "'x'|convert")]
)
def test_csv_rows_that_are_damaged(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "it.csv").write_text(f"{rows(GREY['train'], LABELS['train'])}{line}\n")
    with pytest.raises(InputError, match=f"it.csv: expected a row of numbers .*({said})"):
        open_data(tmp_path / "it.csv")


def batch(pictures: np.ndarray, *labels: np.ndarray) -> bytes:
    columns = [each[:, None].astype(np.uint8) for each in labels]
    return np.hstack([*columns, pictures.reshape(len(pictures), -1)]).tobytes()


def test_cifar_10(tmp_path: Path) -> None:
    for number, part in enumerate(np.split(np.arange(30), [7, 20])):
        content = batch(COLOUR["train"][part], LABELS["train"][part])
        (tmp_path / f"data_batch_{number + 1}.bin").write_bytes(content)
    (tmp_path / "test_batch.bin").write_bytes(batch(COLOUR["test"], LABELS["test"]))
    (tmp_path / "batches.meta.txt").write_text("airplane\nautomobile\nbird\n\n")
    data = open_data(tmp_path)
    check(data, COLOUR)
    assert data.class_names == ("airplane", "automobile", "bird")
    one = load_data(tmp_path / "data_batch_3.bin")
    assert sum(len(each) for each in (one.train, one.validation, one.test)) == 10


def test_cifar_100_has_coarse_labels_too(tmp_path: Path) -> None:
    for name in COUNTS:
        coarse = np.zeros(COUNTS[name])
        (tmp_path / f"{name}.bin").write_bytes(batch(COLOUR[name], coarse, LABELS[name]))
    (tmp_path / "fine_label_names.txt").write_text("apple\nbaby\nbear\nbee\n")
    data = open_data(tmp_path)
    check(data, COLOUR)
    assert data.class_names == ("apple", "baby", "bear")
    assert "1 of 4 classes have no pictures" in data.notes


def test_cifars_pickles_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": []}))
    for place in (tmp_path, tmp_path / "data_batch_1"):
        with pytest.raises(InputError, match=r"expected CIFAR's binary version .* for Python"):
            open_data(place)


def test_a_cut_off_batch_is_refused(tmp_path: Path) -> None:
    content = batch(COLOUR["test"], LABELS["test"])
    (tmp_path / "test_batch.bin").write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"test_batch.bin: expected rows of 3,073 bytes"):
        open_data(tmp_path)


def test_mnist_in_another_layout_is_mnist(tmp_path: Path) -> None:
    mnist = load_data(MNIST.shipped)
    whole = {
        "x_train": torch.cat([mnist.train.images, mnist.validation.images]),
        "x_test": mnist.test.images,
    }
    levels = {name: (each[:, 0] * 255).round().byte().numpy() for name, each in whole.items()}
    labels = {
        "y_train": torch.cat([mnist.train.labels, mnist.validation.labels]).numpy(),
        "y_test": mnist.test.labels.numpy(),
    }
    np.savez(tmp_path / "mnist.npz", **levels, **labels)
    data = open_data(tmp_path / "mnist.npz", from_test=True)
    assert data.checksum == MNIST.checksum
    assert torch.equal(data.validation.read(slice(-9, None)), mnist.validation.images[-9:])
    assert torch.equal(data.test.labels, mnist.test.labels)


# --- IDX --------------------------------------------------------------------------------------


def idx_files(folder: Path, prefix: str, pictures: Arrays, labels: Arrays) -> None:
    for name in pictures:
        images = gzipped(idx(pictures[name][:, 0]))
        (folder / f"{prefix}{name}-images-idx3-ubyte.gz").write_bytes(images)
        content = idx(labels[name].astype(np.uint8))
        (folder / f"{prefix}{name}-labels-idx1-ubyte").write_bytes(content)


def test_emnist_is_put_right(tmp_path: Path) -> None:
    transposed = each(GREY, lambda array: array.swapaxes(2, 3))
    idx_files(tmp_path, "emnist-letters-", transposed, each(LABELS, lambda labels: labels + 1))
    (tmp_path / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n3 67 99\n")
    data = load_data(tmp_path)
    check(data, GREY)
    assert data.class_names == ("A", "B", "C")
    assert data.notes[:2] == (
        "EMNIST stores images transposed: they were turned upright",
        "EMNIST numbers letters from 1: class 0 is the one labelled 1",
    )


def test_of_several_sets_one_is_named_by_its_file(tmp_path: Path) -> None:
    idx_files(tmp_path, "emnist-mnist-", GREY, LABELS)
    idx_files(tmp_path, "emnist-digits-", each(GREY, lambda array: 255 - array), LABELS)
    with pytest.raises(InputError, match=r"expected one data set, got .*emnist-digits-test-images"):
        open_data(tmp_path)
    data = open_data(tmp_path / "emnist-mnist-train-labels-idx1-ubyte")
    check(data, each(GREY, lambda array: array.swapaxes(2, 3)))


def test_one_pair_of_idx_files_is_enough(tmp_path: Path) -> None:
    idx_files(tmp_path, "", {"test": GREY["test"]}, LABELS)
    data = open_data(tmp_path)
    assert [data.train, len(data.validation), len(data.test)] == [None, 6, 6]
    idx_files(tmp_path, "", {"train": GREY["train"]}, LABELS)
    check(open_data(tmp_path), GREY)
