"""Readers of data, networks and ONNX files."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

import deceive
from soak import mutations
from soak.mutations import Random
from soak.readers.reader import Files, Wrong, damage_files
from soak.world import VALIDATION


def read_data(folder: Path, rng: Random) -> None:
    check_data(deceive.load_data(folder, validation=VALIDATION))


def read_laid(folder: Path, rng: Random) -> None:
    """Read a data set that lies in a folder of its own."""
    data = deceive.open_data(folder / LAID)
    for split in (data.train, data.validation, data.test):
        if split is not None and split.read(slice(2)).shape[1:] != data.image_shape:
            raise Wrong(f"images of another shape than {data.image_shape}")
    check_data(data.loaded())


def check_data(data: deceive.Dataset) -> None:
    for split in (data.train, data.validation, data.test):
        images, labels = split.images, split.labels
        if len(images) != len(labels) or images.ndim != 4 or images.dtype != torch.float32:
            raise Wrong(f"images {tuple(images.shape)} with labels {tuple(labels.shape)}")
        if len(images) and not bool(((images >= 0) & (images <= 1)).all()):
            raise Wrong("pixels beyond 0 and 1")
        if len(labels) and not 0 <= labels.min() <= labels.max() < data.n_classes:
            raise Wrong("labels beyond the classes")


LAID = "laid"


def pictures(count: int = 24, *, side: int = 8, channels: int = 3) -> Any:
    """Noise (count, side, side, channels), and labels of three classes."""
    levels = np.random.default_rng(0).integers(0, 256, (count, side, side, channels), np.uint8)
    return levels, np.arange(count) % 3


def class_folders(world: Path) -> Files:
    """A picture of each kind in each class folder."""
    from PIL import Image

    files = {}
    for number, (levels, label) in enumerate(zip(*pictures(), strict=True)):
        ending = ("png", "jpg", "gif", "bmp", "tiff", "webp")[number // 3 % 6]
        file = io.BytesIO()
        Image.fromarray(levels).save(file, {"jpg": "jpeg"}.get(ending, ending))
        files[f"{LAID}/class {label}/{number}.{ending}"] = file.getvalue()
    return files


def npz_file(world: Path) -> Files:
    levels, labels = pictures()
    file = io.BytesIO()
    np.savez_compressed(file, x_train=levels, y_train=labels, x_test=levels / 255, y_test=labels)
    return {f"{LAID}/data.npz": file.getvalue()}


def npy_files(world: Path) -> Files:
    files = {}
    for name, array in zip(("images", "labels"), pictures(), strict=True):
        file = io.BytesIO()
        np.save(file, array)
        files[f"{LAID}/{name}.npy"] = file.getvalue()
    return files


def csv_file(world: Path) -> Files:
    levels, labels = pictures(channels=1)
    rows = [",".join(map(str, [y, *x.ravel()])) for x, y in zip(levels, labels, strict=True)]
    header = ",".join(["label", *(f"pixel{number}" for number in range(64))])
    return {f"{LAID}/train.csv": "\n".join([header, *rows, ""]).encode()}


def cifar_files(world: Path) -> Files:
    levels, labels = pictures(side=32)
    rows = [
        bytes([y]) + x.transpose(2, 0, 1).tobytes() for x, y in zip(levels, labels, strict=True)
    ]
    batches = (("data_batch_1", rows[:12]), ("test_batch", rows[12:]))
    return {f"{LAID}/{name}.bin": b"".join(each) for name, each in batches}


def parquet_files(world: Path) -> Files:
    import pyarrow
    import pyarrow.parquet

    files = {}
    for name, content in class_folders(world).items():
        files.setdefault(name.split("/")[1], []).append(content)
    rows = [(each, label) for label, several in files.items() for each in several]
    table = pyarrow.table({"image": [row[0] for row in rows], "label": [row[1] for row in rows]})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file, row_group_size=8)
    return {f"{LAID}/train.parquet": file.getvalue()}


def network_files(world: Path) -> Files:
    return {f"net.{end}": (world / f"net.{end}").read_bytes() for end in ("safetensors", "json")}


def damage_network(files: Files, rng: Random) -> Files:
    """Damage weights or card; mostly the card then gets the checksum of the damaged weights."""
    import hashlib

    changed = damage_files(files, rng)
    if len(changed) == 2 and rng.random() < 0.8:
        old, new = (
            hashlib.sha256(each["net.safetensors"]).hexdigest() for each in (files, changed)
        )
        changed["net.json"] = changed["net.json"].replace(old.encode(), new.encode())
    return changed


def read_network(folder: Path, rng: Random) -> None:
    network = deceive.load_network(folder / "net.safetensors")
    if math.prod(network.image_shape) > 10**6:
        raise Wrong(f"images of shape {network.image_shape}")
    with torch.no_grad():
        logits = network(torch.zeros(2, *network.image_shape))
    if logits.shape != (2, network.n_outputs):
        raise Wrong(f"logits {tuple(logits.shape)} of {network.n_outputs} outputs")


def onnx_file(world: Path) -> Files:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {
        "k": rng.normal(size=(2, 1, 3, 3)),
        "w": rng.normal(size=(128, 4)),
        "b": np.zeros(4),
        "shape": np.array([-1, 128]),
    }
    nodes = [
        helper.make_node("Conv", ["images", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Reshape", ["r", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4])],
        [
            numpy_helper.from_array(v.astype(np.int64 if k == "shape" else np.float32), k)
            for k, v in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return {"model.onnx": model.SerializeToString(deterministic=True)}


def damage_onnx(files: Files, rng: Random) -> Files:
    """Damage bytes, or one part of the graph: a size, type, name, attribute or node."""
    if rng.random() < 0.5:
        return damage_files(files, rng)
    import onnx

    model = onnx.load_from_string(files["model.onnx"])
    graph, kind = model.graph, rng.randrange(7)
    number = max(-(2**63), min(2**63 - 1, rng.choice(mutations.INTEGERS)))
    word = rng.choice([each for each in mutations.STRINGS if each != "\ud800"])
    if kind == 0:
        tensor = rng.choice(graph.initializer)
        tensor.dims[rng.randrange(len(tensor.dims))] = number
    elif kind == 1:
        rng.choice(graph.initializer).data_type = rng.randrange(25)
    elif kind == 2:
        value = rng.choice([*graph.input, *graph.output]).type.tensor_type
        rng.choice(value.shape.dim).dim_value = number
        value.elem_type = rng.choice((1, 1, rng.randrange(25)))
    elif kind == 3:
        del graph.node[rng.randrange(len(graph.node))]
    elif kind == 4:
        node = rng.choice(graph.node)
        node.input[rng.randrange(len(node.input))] = word
    elif kind == 5:
        rng.choice(graph.node).op_type = rng.choice((word, "Identity", "Softmax", "Loop", "Neg"))
    else:
        tensor = rng.choice(graph.initializer)
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", rng.choice((word, "/etc/passwd", "../x", "x"))
        tensor.data_location = 1
        tensor.ClearField("raw_data")
    return {"model.onnx": model.SerializeToString()}


def read_onnx(folder: Path, rng: Random) -> None:
    from deceive.auditing.models.formats import load_model
    from deceive.auditing.models.meeting import meet

    data = deceive.load_data("data", validation=VALIDATION)
    subject = meet(load_model(folder / "model.onnx"), data)
    if subject.n_outputs < data.n_classes:
        raise Wrong(f"{subject.n_outputs} outputs for {data.n_classes} classes")
