"""Parquet, what Hugging Face's `datasets` saves, and its hub: the same pixels and labels."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deceive.common.errors import InputError
from deceive.data.opening import open_data

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")

NAMES = ["ant", "bee", "cow"]
RNG = np.random.default_rng(0)
PICTURES = {
    name: RNG.integers(0, 256, (count, 6, 8, 3), np.uint8)
    for name, count in (("train", 30), ("test", 12))
}
LABELS = {name: (np.arange(len(each)) * 7 % 3).tolist() for name, each in PICTURES.items()}

FEATURES = {
    "image": {"_type": "Image"},
    "label": {"names": NAMES, "_type": "ClassLabel"},
}


def png(levels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "png")
    return file.getvalue()


def table(name: str, *, rows: slice = slice(None), kind: str = "struct") -> Any:
    """Pictures and labels of a split, as Hugging Face's tables hold them, or plainly."""
    pictures, labels = PICTURES[name][rows], LABELS[name][rows]
    if kind == "struct":
        cells: list[Any] = [{"bytes": png(each), "path": None} for each in pictures]
        made = pa.table({"image": cells, "label": labels})
        about = json.dumps({"info": {"features": FEATURES}})
        return made.replace_schema_metadata({"huggingface": about})
    if kind == "bytes":
        named = [NAMES[label] for label in labels]
        return pa.table({"id": labels, "img": [png(each) for each in pictures], "class": named})
    return pa.table({"pixels": pictures.tolist(), "label": labels})


def check(place: Path | str, names: tuple[str, ...] = tuple(NAMES)) -> None:
    data = open_data(place)
    assert data.class_names == names
    assert data.image_shape == (3, 6, 8)
    splits = {"train": [data.train, data.validation], "test": [data.test]}
    for name, several in splits.items():
        came = []
        for split in several:
            assert split is not None
            levels = (split.read(slice(None)) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
            came += [
                (x.numpy().tobytes(), int(y)) for x, y in zip(levels, split.labels, strict=True)
            ]
        expected = zip((each.tobytes() for each in PICTURES[name]), LABELS[name], strict=True)
        assert sorted(came) == sorted(expected)


@pytest.mark.parametrize("kind", ["struct", "bytes", "lists"])
def test_parquet_in_shards(kind: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, pictures in PICTURES.items():
        half = len(pictures) // 2
        for shard, rows in enumerate((slice(0, half), slice(half, None))):
            path = tmp_path / f"data/{name}-0000{shard}-of-00002.parquet"
            pa.parquet.write_table(table(name, rows=rows, kind=kind), path, row_group_size=4)
    check(tmp_path, ("0", "1", "2") if kind == "lists" else tuple(NAMES))


def test_a_parquet_file_alone(tmp_path: Path) -> None:
    pa.parquet.write_table(table("test"), tmp_path / "test.parquet")
    data = open_data(tmp_path / "test.parquet")
    assert [data.train, len(data.validation), len(data.test)] == [None, 6, 6]


def test_hidden_labels_and_missing_classes(tmp_path: Path) -> None:
    train = table("train").slice(0, 1)
    few = pa.concat_tables([train, table("train").slice(2, 1)] * 10)
    pa.parquet.write_table(few, tmp_path / "train.parquet")
    test = table("test")
    hidden = test.set_column(1, "label", [[-1] * len(test)])
    pa.parquet.write_table(hidden, tmp_path / "test.parquet")
    data = open_data(tmp_path)
    assert data.class_names == ("ant", "cow")
    assert {"test: there are no labels; left out", "1 of 3 classes have no pictures"} <= {
        *data.notes
    }


def saved(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    half = len(PICTURES[name]) // 2
    for shard, rows in enumerate((slice(0, half), slice(half, None))):
        made = table(name, rows=rows)
        path = folder / f"data-0000{shard}-of-00002.arrow"
        with path.open("wb") as file, pa.ipc.new_stream(file, made.schema) as stream:
            stream.write_table(made, max_chunksize=5)


def test_a_saved_data_set(tmp_path: Path) -> None:
    for name in PICTURES:
        saved(tmp_path / name, name)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    check(tmp_path)
    data = open_data(tmp_path / "test")
    assert data.train is not None
    assert [len(each) for each in (data.train, data.validation, data.test)] == [8, 2, 2]
    (tmp_path / "test/data-00000-of-00002.arrow").write_bytes(b"cut off")
    with pytest.raises(InputError, match=r"00000-of-00002.arrow: expected an Arrow file; "):
        open_data(tmp_path)


def test_tables_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"it.parquet: expected a Parquet file with pictures"):
        open_data(path)
    pa.parquet.write_table(pa.table({"a": [1, 2], "label": [0, 1]}), path)
    with pytest.raises(InputError, match=r"column of pictures .* got a \(int64\), label \(int64"):
        open_data(path)
    pa.parquet.write_table(
        pa.table({"image": [b"no", b"picture"] * 10, "label": [0, 1] * 10}), path
    )
    with pytest.raises(
        InputError,
        match=r"at most 1% of the pictures to be unreadable, .* it.parquet\[\d+\] \(not a",
    ):
        open_data(path)


def test_a_data_set_of_the_hub(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "data").mkdir()
    for name in PICTURES:
        pa.parquet.write_table(table(name), tmp_path / f"data/{name}-00000-of-00001.parquet")
    check(f"hf:{tmp_path}")
