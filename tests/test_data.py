"""Data: the real files as they should be, and every way in which others can be wrong."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from deceive.common.errors import InputError
from deceive.data.dataset import Dataset
from deceive.data.idx import read_idx
from deceive.data.loading import load_data
from deceive.data.source import MNIST
from worlds.files import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    gzipped,
    idx,
    small,
    write,
)


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load_data(MNIST.shipped)


# --- MNIST itself ---------------------------------------------------------------------------


def test_mnist_is_cut_in_three(mnist: Dataset) -> None:
    assert [len(mnist.train), len(mnist.validation), len(mnist.test)] == [55_000, 5_000, 10_000]
    assert mnist.n_classes == 10
    assert mnist.image_shape == (1, 28, 28)
    assert mnist.folder == MNIST.shipped
    for split in (mnist.train, mnist.validation, mnist.test):
        assert split.images.shape == (len(split), 1, 28, 28)
        assert split.images.dtype == torch.float32
        assert (split.images.min().item(), split.images.max().item()) == (0, 1)
        assert split.labels.shape == (len(split),)
        assert split.labels.dtype == torch.int64
        assert set(split.labels.tolist()) == set(range(10))


def test_the_first_training_images(mnist: Dataset) -> None:
    part = mnist.first(100)
    assert torch.equal(part.train.images, mnist.train.images[:100])
    assert torch.equal(part.train.labels, mnist.train.labels[:100])
    assert part.test is mnist.test
    assert part.validation is mnist.validation
    assert len(mnist.first(10**6).train) == 55_000


def test_mnist_is_mnist(mnist: Dataset) -> None:
    assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.validation.labels[-3:].tolist() == [5, 6, 8]
    assert mnist.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert mnist.train.images.mean().item() == pytest.approx(0.1307, abs=2e-4)


def test_mnist_keeps_its_order_and_its_levels(mnist: Dataset) -> None:
    levels = torch.from_numpy(read_idx(MNIST.shipped / f"{TRAIN_IMAGES}.gz"))
    for split, part in ((mnist.train, levels[:55_000]), (mnist.validation, levels[55_000:])):
        assert torch.equal(split.images[::97, 0] * 255, part[::97].float())


def test_the_checksum_identifies_the_data_and_not_the_packing(
    mnist: Dataset, make_set: Callable[..., Path], tmp_path: Path
) -> None:
    assert mnist.checksum == hashlib.sha256("".join(MNIST.sha256.values()).encode()).hexdigest()

    plain = load_data(make_set(), validation=2)
    packed = write(tmp_path / "packed", {f"{n}.gz": gzipped(c) for n, c in small().items()})
    digests = "".join(hashlib.sha256(content).hexdigest() for content in small().values())
    assert plain.checksum == hashlib.sha256(digests.encode()).hexdigest()
    assert plain.checksum == load_data(packed, validation=2).checksum
    assert plain.checksum == load_data(packed, validation=3).checksum
    assert plain.checksum != mnist.checksum


# --- folders like it ------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["{}", "{}.gz", "dotted", "dotted.gz"])
@pytest.mark.parametrize("pack", [bytes, gzipped])
def test_any_spelling_packed_or_not_whatever_the_name_says(
    spelling: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    def spell(name: str) -> str:
        return spelling.format(name).replace("dotted", name.replace("-idx", ".idx"))

    write(tmp_path, {spell(name): pack(content) for name, content in small().items()})
    dataset = load_data(str(tmp_path), validation=2)
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [10, 2, 5]
    assert dataset.image_shape == (1, 3, 4)
    assert dataset.n_classes == 4
    assert dataset.train.labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert dataset.validation.labels.tolist() == [2, 3]
    assert dataset.folder == tmp_path


def test_classes_are_counted_in_both_halves(make_set: Callable[..., Path]) -> None:
    last = idx(np.array([0, 0, 0, 0, 4], np.uint8))
    assert load_data(make_set({TEST_LABELS: last}), validation=2).n_classes == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda labels: labels + 1, r"{train}: .* labels up to 4 without 0; renumber the"),
        (lambda labels: labels * 3, r"{train}: .* labels up to 9 without 1 to 2, 4 to 5, 7 to"),
        (lambda labels: labels * 2 + 1, r"up to 7 without 0, 2, 4, 6; renumber the classes"),
        (lambda labels: labels * 7, r"up to 21 without 1 to 6, 8 to 13, 15 to 20; renumber"),
        (lambda labels: np.append(labels[:-1], 255), r"up to 255 without 4 to 254; .* 255\)"),
    ],
)
def test_labels_are_classes_without_a_gap(make_set, change, said) -> None:
    labels = {TRAIN_LABELS: np.arange(12) % 4, TEST_LABELS: np.arange(5) % 3}
    changed = {name: idx(change(of).astype(np.uint8)) for name, of in labels.items()}
    folder = make_set(changed)
    with pytest.raises(InputError, match=said.format(train=TRAIN_LABELS)):
        load_data(folder, validation=2)
    # Labels that are never read may be anything.
    assert len(load_data(folder, validation=2, any_labels=True).test) == 5


def test_a_stray_label_among_the_test_images_is_told_by_its_file(make_set) -> None:
    stray = idx(np.array([0, 1, 2, 0, 255], np.uint8))
    with pytest.raises(InputError, match=f"{TEST_LABELS}: .* without 4 to 254"):
        load_data(make_set({TEST_LABELS: stray}), validation=2)


def test_images_with_channels(tmp_path: Path) -> None:
    dataset = load_data(write(tmp_path, small(size=(3, 8, 6))), validation=2)
    assert dataset.image_shape == (3, 8, 6)
    assert dataset.test.images.shape == (5, 3, 8, 6)


def test_one_training_image_is_enough(make_set: Callable[..., Path]) -> None:
    assert len(load_data(make_set(), validation=11).train) == 1


def test_folders_with_the_files_names_are_passed_over(make_set: Callable[..., Path]) -> None:
    folder = make_set()
    (folder / TRAIN_IMAGES).rename(folder / TRAIN_IMAGES.replace("-idx", ".idx"))
    (folder / TRAIN_IMAGES).mkdir()
    assert len(load_data(folder, validation=2).train) == 10


# --- what can be wrong with four ------------------------------------------------------------


def test_missing_folders_and_files(make_set: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_set()
    with pytest.raises(InputError, match=r"absent: expected a folder .*, found nothing"):
        load_data(tmp_path / "absent")
    (folder / "notes.md").write_text("nothing known")
    with pytest.raises(InputError, match=r"expected a folder .*, found something else"):
        load_data(folder / "notes.md")
    with pytest.raises(InputError, match=r"expected a folder .*, found nothing"):
        load_data("\0")
    with pytest.raises(InputError, match=r"expected a readable folder; File name too long"):
        load_data("x" * 5000)
    (folder / TEST_LABELS).unlink()
    with pytest.raises(InputError, match=rf"{TEST_LABELS}: expected this file.* found neither"):
        load_data(folder)


def shaped(*shape: int) -> bytes:
    return idx(np.zeros(shape, np.uint8))


MISMATCHED = {
    "too few labels": ({TRAIN_LABELS: shaped(11)}, TRAIN_LABELS, "expected 12 labels.* got 11"),
    "too few images": ({TEST_IMAGES: shaped(4, 3, 4)}, TEST_LABELS, "expected 4 labels.* got 5"),
    "images as labels": (
        {TRAIN_LABELS: shaped(12, 3, 4)},
        TRAIN_LABELS,
        "expected labels .1 dimension., got 12×3×4",
    ),
    "labels as images": (
        {TEST_IMAGES: shaped(5)},
        TEST_IMAGES,
        "expected images .3 or 4 dimensions., got 5",
    ),
    "flat images": (
        {TRAIN_IMAGES: shaped(12, 12)},
        TRAIN_IMAGES,
        "expected images .3 or 4 dimensions., got 12×12",
    ),
    "channels last": (
        {TRAIN_IMAGES: shaped(12, 32, 32, 3), TEST_IMAGES: shaped(5, 32, 32, 3)},
        TRAIN_IMAGES,
        "expected channels first, as in 60000×3×32×32, got 12×32×32×3; reorder "
        r"them with numpy's transpose\(0, 3, 1, 2\)",
    ),
    "other sizes": (
        {TEST_IMAGES: shaped(5, 4, 3)},
        TEST_IMAGES,
        f"expected images of 1×3×4 as in {TRAIN_IMAGES}, got 1×4×3",
    ),
}


@pytest.mark.parametrize("case", MISMATCHED)
def test_files_that_do_not_fit_each_other(case: str, make_set: Callable[..., Path]) -> None:
    changes, name, message = MISMATCHED[case]
    with pytest.raises(InputError, match=rf"{name}: {message}$"):
        load_data(make_set(changes), validation=2)


def test_something_must_be_left_to_train_on(make_set: Callable[..., Path]) -> None:
    folder = make_set()
    with pytest.raises(InputError, match=r"at least 13 images .*, 12 of them for validation, got"):
        load_data(folder, validation=12)
    assert [len(load_data(folder).train), len(load_data(folder).validation)] == [6, 6]
    with pytest.raises(InputError, match="validation: expected a whole number of at least 1"):
        load_data(folder, validation=0)
