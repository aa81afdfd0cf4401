"""Labelled images that are already in Python: whatever holds them, the same pixels and labels."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset
from torch.utils.data import TensorDataset as Tensors

import deceive
from deceive.common.errors import InputError
from deceive.data.lazy import LazyDataset

LEVELS = np.random.default_rng(0).integers(0, 256, (30, 3, 6, 8), np.uint8)
LABELS = np.arange(30) * 7 % 3
UNIT = torch.from_numpy(LEVELS).float() / 255


class Pairs(Dataset[Any]):
    """Items (image, label), with what torchvision's data sets have."""

    def __init__(self, images: Any, *, as_dict: bool = False, **others: Any) -> None:
        self.images = images
        self.as_dict = as_dict
        self.read = 0
        vars(self).update(others)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        self.read += 1
        pair = self.images[index], int(LABELS[index])
        return dict(zip(("image", "label"), pair, strict=True)) if self.as_dict else pair


class Stream(IterableDataset[Any]):
    """The same, to be iterated alone."""

    def __iter__(self) -> Iterator[Any]:
        return iter([(image, int(label)) for image, label in zip(UNIT, LABELS, strict=True)])


def normalise(images: torch.Tensor) -> torch.Tensor:
    return (images - 0.4) / 0.2


HOLDERS: dict[str, Callable[[], Any]] = {
    "arrays": lambda: (LEVELS, LABELS),
    "channels last": lambda: (LEVELS.transpose(0, 2, 3, 1), LABELS.tolist()),
    "tensors": lambda: (UNIT, torch.from_numpy(LABELS)),
    "tensors in [-1, 1]": lambda: (UNIT * 2 - 1, LABELS),
    "bfloat16": lambda: (UNIT.bfloat16(), LABELS),
    "a TensorDataset": lambda: Tensors(UNIT, torch.from_numpy(LABELS)),
    "a loader": lambda: DataLoader(Tensors(UNIT, torch.from_numpy(LABELS)), batch_size=7),
    "a data set": lambda: Pairs(UNIT),
    "dicts": lambda: Pairs(UNIT, as_dict=True),
    "arrays in a data set": lambda: Pairs(LEVELS.transpose(0, 2, 3, 1), targets=LABELS),
    "Pillow images": lambda: Pairs([Image.fromarray(x) for x in LEVELS.transpose(0, 2, 3, 1)]),
    "a subset": lambda: Subset(Pairs(UNIT, targets=LABELS.tolist()), range(30)),
    "two joined": lambda: ConcatDataset([Subset(Pairs(UNIT), range(k, k + 15)) for k in (0, 15)]),
    "a stream": Stream,
    "a stream's loader": lambda: DataLoader(Stream(), batch_size=7),
    "normalised": lambda: Pairs(
        normalise(UNIT),
        transform=SimpleNamespace(transforms=[str, SimpleNamespace(mean=[0.4] * 3, std=[0.2] * 3)]),
    ),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_whatever_holds_them(holder: str) -> None:
    data = deceive.as_data(HOLDERS[holder]())
    assert isinstance(data, LazyDataset)
    assert data.train is not None
    assert data.image_shape == (3, 6, 8)
    came = []
    for split in (data.train, data.validation, data.test):
        levels = (split.read(slice(None)) * 255).round().to(torch.uint8)
        came += [(x.numpy().tobytes(), int(y)) for x, y in zip(levels, split.labels, strict=True)]
    if holder == "bfloat16":
        assert len(came) == 30
    else:
        expected = zip((each.tobytes() for each in LEVELS), LABELS.tolist(), strict=True)
        assert sorted(came) == sorted(expected)
    assert ("the transform's Normalize was undone" in data.notes) == (holder == "normalised")


def test_pictures_and_files_with_their_labels(tmp_path: Path) -> None:
    images = [Image.fromarray(each) for each in LEVELS.transpose(0, 2, 3, 1)]
    files = [tmp_path / f"{number}.png" for number in range(30)]
    for image, file in zip(images, files, strict=True):
        image.save(file)
    names = [("ant", "bee", "cow")[label] for label in LABELS]
    for pictures in (images, files, [str(file) for file in files], list(UNIT)):
        data = deceive.as_data((pictures, names))
        assert data.class_names == ("ant", "bee", "cow")
        test = data.test.read(slice(None))
        assert all(any(torch.equal(each, one) for one in UNIT) for each in test)
    with pytest.raises(InputError, match="data: expected 30 labels, one for each picture, got 29"):
        deceive.as_data((files, names[1:]))


def test_splits_by_name() -> None:
    data = deceive.as_data({"train": Pairs(UNIT), "Val": (LEVELS, LABELS), "test": Pairs(UNIT)})
    assert data.train is not None
    assert [len(each) for each in (data.train, data.validation, data.test)] == [30, 30, 30]


def test_labels_are_learnt_without_reading_where_they_can_be() -> None:
    known = Pairs(UNIT, targets=LABELS.tolist(), classes=["ant", "bee", "cow"])
    data = deceive.as_data(known, deceive.Preparation(size=(4, 4)))
    assert data.class_names == ("ant", "bee", "cow")
    assert known.read <= 4 + 30 + 30
    wrong = Pairs(UNIT, targets=(LABELS + 1).tolist())  # a target_transform changes them
    assert deceive.as_data(wrong).test.labels.max() == 2


def test_not_every_item_is_read() -> None:
    some = deceive.as_data(Pairs(UNIT), limit=15)
    assert some.train is not None
    assert len(some.train) + len(some.validation) + len(some.test) == 15
    assert "15 of 30 items were taken, evenly spread" in some.notes
    assert "the first 20 items were taken" in deceive.as_data(Stream(), limit=20).notes


def test_ours_are_returned_and_places_opened(tmp_path: Path) -> None:
    data = deceive.load_data()
    assert deceive.as_data(data) is data
    np.savez(tmp_path / "it.npz", images=LEVELS, labels=LABELS)
    assert len(deceive.as_data(tmp_path / "it.npz").test) == 6


class Broken(Pairs):
    def __getitem__(self, index: int) -> Any:
        if index % 2:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (7, "data: expected a data set: a folder or file, .*, got 7"),
        ((torch.zeros(4, 1, 4, 4, device="meta"), LABELS[:4]), "data: expected a tensor, got"),
        (LEVELS, "data: expected a data set: .* got ndarray"),
        ((LEVELS, LABELS[:-1]), "data: expected 30 labels, one for each picture, got 29"),
        (Pairs(normalise(UNIT)), "data: expected values from 0 to 1, .* before their normal"),
        (Pairs([1.0] * 30), "to be unreadable"),
        ([1, 2, 3], r"data: expected items \(image, label\), or dicts .*, got int"),
        (Tensors(UNIT), "expected items"),
        (Broken(UNIT), r"data\[1\]: expected an item .*, got OSError: the disk is gone"),
        (Pairs([]), "data: expected a data set that holds items"),
    ],
)
def test_what_is_refused(data: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        deceive.as_data(data)


def test_the_documented_example(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[1] / "docs/how-to/audit-inputs.md").read_text(
        encoding="utf-8"
    )
    (example,) = (
        code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "as_data" in code
    )
    exec(compile(example, "docs/how-to/audit-inputs.md", "exec"), {})
    assert capsys.readouterr().out.endswith("3 classes) ('cat', 'dog', 'owl')\n")
