"""The same pictures in the layouts that people keep them in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray
from PIL import Image
from tools.audit_doors.pictures import Pictures


@dataclass(frozen=True)
class Layout:
    """A way to keep labelled pictures."""

    place: str
    """The file or folder that --data names."""
    words: str
    write: Callable[[Path, Pictures], None]


def _splits(pictures: Pictures) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    return {
        "train": (pictures.train, pictures.train_labels),
        "test": (pictures.test, pictures.test_labels),
    }


def _class_folders(place: Path, pictures: Pictures) -> None:
    for split, (images, labels) in _splits(pictures).items():
        _folders(place / split, pictures.names, images, labels)


def _one_folder(place: Path, pictures: Pictures) -> None:
    _folders(place, pictures.names, pictures.test, pictures.test_labels)


def _folders(
    place: Path, names: tuple[str, ...], images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> None:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = place / names[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number:05}.png")


def _npz(place: Path, pictures: Pictures) -> None:
    np.savez(
        place,
        x_train=pictures.train,
        y_train=pictures.train_labels,
        x_test=pictures.test,
        y_test=pictures.test_labels,
    )


def _npy(place: Path, pictures: Pictures) -> None:
    place.mkdir()
    for split, (images, labels) in _splits(pictures).items():
        np.save(place / f"x_{split}.npy", images.transpose(0, 3, 1, 2))
        np.save(place / f"y_{split}.npy", labels)


def _csv(place: Path, pictures: Pictures) -> None:
    place.mkdir()
    for split, (images, labels) in _splits(pictures).items():
        pixels = images.reshape(len(images), -1)
        head = ",".join(["label", *(f"pixel{number}" for number in range(pixels.shape[1]))])
        rows = np.column_stack([labels, pixels])
        np.savetxt(place / f"{split}.csv", rows, "%d", ",", header=head, comments="")


def _cifar(place: Path, pictures: Pictures) -> None:
    place.mkdir()
    (place / "batches.meta.txt").write_text("\n".join(pictures.names) + "\n")
    files = {"train": "data_batch_1.bin", "test": "test_batch.bin"}
    for split, (images, labels) in _splits(pictures).items():
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        rows = np.column_stack([labels.astype(np.uint8), planes])
        (place / files[split]).write_bytes(rows.tobytes())


def _idx(place: Path, pictures: Pictures) -> None:
    place.mkdir()
    for split, (images, labels) in _splits(pictures).items():
        name = {"train": "train", "test": "t10k"}[split]
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        _write_idx(place / f"{name}-images-idx4-ubyte", planes)
        _write_idx(place / f"{name}-labels-idx1-ubyte", labels.astype(np.uint8))


def _write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    path = path.with_name(path.name.replace("idx4", "idx3"))  # as MNIST's files are called
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(head + array.tobytes())


def _parquet(place: Path, pictures: Pictures) -> None:
    (place / "data").mkdir(parents=True)
    for split, (images, labels) in _splits(pictures).items():
        table = pyarrow.table(
            {"img": [{"bytes": _png(image), "path": None} for image in images], "label": labels}
        )
        pyarrow.parquet.write_table(table, place / "data" / f"{split}-00000-of-00001.parquet")


def _png(image: NDArray[np.uint8]) -> bytes:
    from io import BytesIO

    written = BytesIO()
    Image.fromarray(image).save(written, "PNG")
    return written.getvalue()


LAYOUTS = (
    Layout("cifar10", "class folders of PNG files, `train` and `test`", _class_folders),
    Layout("one-folder", "class folders, no splits", _one_folder),
    Layout("cifar10.npz", "`.npz` with Keras' names", _npz),
    Layout("npy", "`.npy` files, channels first", _npy),
    Layout("csv", "Kaggle's CSV", _csv),
    Layout("cifar-10-batches-bin", "CIFAR's binary files", _cifar),
    Layout("idx", "IDX files", _idx),
    Layout("parquet", "Parquet, as Hugging Face has it", _parquet),
)
