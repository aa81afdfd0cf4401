"""The one ONNX file of a guarded classifier."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import deceive.guarding.graph as graph
from conftest import Bands
from deceive.auditing import Interface, Scaling
from deceive.auditing.models.arranging import LAYOUTS
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset, Split
from deceive.guarding import export_guarded, guard, load_guarded
from deceive.guarding.forms import Form
from deceive.networks.building import network_of
from deceive.storage.card import Card
from deceive.storage.models import save_network
from worlds.audits import band_data
from worlds.onnx_files import onnx_file
from worlds.records import CARD

OURS = ["none_of_these", "confidence", "guarded_class", "passes"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A random guard for each shape of images, in a file."""
    folder = tmp_path_factory.mktemp("guards")

    def guard_for(shape, architecture="guard"):
        path = folder / f"{architecture}-{'x'.join(map(str, shape))}.safetensors"
        if not path.exists():
            with torch.random.fork_rng():
                torch.manual_seed(0)
                network = network_of(architecture, 5, shape).eval()
                for parameter in network.parameters():
                    nn.init.normal_(parameter, std=0.1)
            changed = {
                "architecture": architecture,
                "n_outputs": 5,
                "image_shape": shape,
                "rubbish_class": 4,
                "data_checksum": "bands",
            }
            save_network(network, path, Card.model_validate(CARD.model_dump() | changed))
        return path

    return guard_for


@pytest.fixture
def guarded(kept, tmp_path):
    """Guards a classifier of bands by a random guard, with nothing audited."""

    def of(model, data=None, *, shape=(1, 4, 4), **more):
        data = data or band_data()
        out = tmp_path / "guarded"
        return guard(model, data, out=out, use=kept(shape), auditing=None, **more)

    return of


def run(path, taken):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, {given.name: taken}), strict=True)), session


def assert_as_in_torch(came, report, images, tolerance=1e-4):
    model = load_guarded(report.folder)
    expected = model.answer(images)
    for name, wanted in zip(OURS, (2, 1, 0, 3), strict=True):
        np.testing.assert_allclose(came[name], expected[wanted].numpy(), atol=tolerance)
    assert came["confidence"].shape == (len(images),)
    assert [came[name].dtype.name for name in OURS] == ["float32", "float32", "int64", "bool"]
    return expected


@pytest.mark.parametrize("channels", [1, 3])
def test_a_guard_with_a_mixture_is_in_the_file(kept, tmp_path, channels):
    """Of images that the mixture sees in blocks, too."""
    shape = (channels, 20, 24)
    images = torch.rand(60, *shape, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(60) % 4
    images[:, 0, :4, 0] = torch.nn.functional.one_hot(labels, 4).float()  # what is read
    split = Split(images, labels)
    data = Dataset(split, split, split, n_classes=4, checksum="bands", folder=Path("rows"))
    model = nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), 4, bias=False))
    with torch.no_grad():
        model[1].weight.zero_()
        for row in range(4):
            model[1].weight[row, row * 24] = 9
    report = guard(model, data, out=tmp_path / "guarded", use=kept(shape, "shaped"), auditing=None)
    assert report.no_graph == ""
    came, _ = run(report.graph, images.numpy())
    assert came["confidence"].shape == (60,)
    expected = load_guarded(report.folder, model).answer(images)
    np.testing.assert_allclose(came["confidence"], expected.confidence.numpy(), atol=1e-4)


def older(path, opset, **changes):
    """The same file, as if written in another version of the operators, and with changes."""
    model = onnx.load(path)
    model.opset_import[0].version = opset
    if model.graph.input[0].type.tensor_type.elem_type in (TensorProto.UINT8, TensorProto.INT64):
        (weight,) = model.graph.initializer
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) / 255, "weight"))
    if opset < 13:
        model.ir_version = 3
        for weight in model.graph.initializer:  # which were inputs too, then
            model.graph.input.append(
                helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
            )
    for node in model.graph.node:
        if node.op_type in changes:
            node.op_type, node.domain = changes[node.op_type], "com.microsoft"
            model.opset_import.add(domain="com.microsoft", version=1)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("shape", "batch", "kind", "opset", "changes"),
    [
        ((16,), "N", TensorProto.DOUBLE, 9, {}),
        ((4, 4, 1), 3, TensorProto.UINT8, 17, {}),
        ((4, 4), 1, TensorProto.INT64, 18, {"MatMul": "FusedMatMul"}),
        ((1, 4, 4), 50, TensorProto.FLOAT16, 21, {}),
    ],
)
def test_the_file_keeps_its_input_and_outputs(
    guarded, tmp_path, data, shape, batch, kind, opset, changes
):
    made = onnx_file(tmp_path / "bands.onnx", shape, batch=batch, kind=kind, label=True)
    path = older(made, opset, **changes)
    report = guarded(path)
    assert report.no_graph == ""
    images = data.test.images[: batch if isinstance(batch, int) else 7].mul(255).round() / 255
    taken = images.reshape(-1, *shape).numpy()
    kinds = {TensorProto.UINT8: np.uint8, TensorProto.INT64: np.int64}
    kinds |= {TensorProto.DOUBLE: np.float64, TensorProto.FLOAT16: np.float16}
    if kind in (TensorProto.UINT8, TensorProto.INT64):
        taken = (taken * 255).round()
    taken = taken.astype(kinds.get(kind, np.float32))
    alone, its = run(path, taken)
    came, session = run(report.graph, taken)
    (given,), (own,) = session.get_inputs(), its.get_inputs()
    assert (given.name, given.type, given.shape) == (own.name, own.type, own.shape)
    assert [*came] == ["label", "scores", *OURS]
    for name, value in alone.items():
        np.testing.assert_allclose(came[name], value, rtol=1e-5)
        assert came[name].dtype == value.dtype
    half = kind == TensorProto.FLOAT16
    assert_as_in_torch(came, report, images, 5e-3 if half else 1e-4)


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_network_of_scikit_learn(guarded, tmp_path, data, zipmap):
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier

    flat = data.train.images.flatten(1).numpy()
    names = np.array(["3", "20", "1", "100"])[data.train.labels]
    model = MLPClassifier((8,), solver="lbfgs", random_state=0).fit(flat, names)
    path = tmp_path / "mlp.onnx"
    path.write_bytes(
        to_onnx(model, flat[:1], options={id(model): {"zipmap": zipmap}}).SerializeToString()
    )
    # Without mappings the file doesn't name its columns, which are in the order of the alphabet.
    declared = Interface() if zipmap else Interface(class_names=("1", "100", "20", "3"))
    named = replace(band_data(), class_names=("3", "20", "1", "100"))
    report = guarded(path, named, interface=declared)
    assert report.no_graph == ""
    images = data.test.images[:20]
    taken = images.flatten(1).numpy()
    alone, _ = run(path, taken)
    came, _ = run(report.graph, taken)
    label = "output_label" if zipmap else "label"
    assert (came[label] == alone[label]).all()
    if zipmap:
        assert came["output_probability"] == alone["output_probability"]
    else:
        np.testing.assert_allclose(came["probabilities"], alone["probabilities"], rtol=1e-5)
    expected = assert_as_in_torch(came, report, images)
    read = [("3", "20", "1", "100").index(name) for name in alone[label]]
    assert read == data.test.labels[:20].tolist()
    assert expected.classes.shape == (20,)


class Seen(nn.Module):
    """A convolution, as large images need it, and a softmax."""

    def __init__(self):
        super().__init__()
        self.bands = Bands(4, (3, 8, 8), sure=30.0, bounds=(-1, 1))
        self.first = nn.Conv2d(3, 3, 12, 12, bias=False)
        nn.init.zeros_(self.first.weight)
        for channel in range(3):
            self.first.weight.data[channel, channel] = 1 / 144

    def forward(self, images):
        return self.bands(self.first(images)).softmax(1)


def test_a_torch_module_larger_than_its_guard(guarded):
    large = band_data(Bands(4, (3, 96, 96)))
    report = guarded(
        Seen(), large, shape=(3, 64, 64), interface=Interface(scaling=Scaling((-1, 1)))
    )
    assert report.no_graph == ""
    images = large.test.images[:5]
    came, session = run(report.graph, images.numpy() * 2 - 1)
    assert session.get_inputs()[0].name == "input"
    assert [*came] == ["output", *OURS]
    model = Seen()
    with torch.no_grad():
        np.testing.assert_allclose(came["output"], model(images * 2 - 1), atol=1e-5)
    expected = load_guarded(report.folder, model).answer(images)
    np.testing.assert_allclose(came["none_of_these"], expected.none_of_these, atol=1e-4)


_SCRIPT = """
import sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
images = np.load(sys.argv[2])
scores, none, sure, classes, passes = session.run(None, {"images": images})
assert not any(name.split(".")[0] in ("torch", "deceive") for name in sys.modules)
print(len(scores), len(classes), passes.dtype, *none)
"""


def test_a_plain_script_runs_it_and_it_is_made_once(guarded, tmp_path, data, monkeypatch):
    path = onnx_file(tmp_path / "bands.onnx", (1, 4, 4))
    report = guarded(path)
    np.save(tmp_path / "images.npy", data.test.images[:3])
    command = [sys.executable, "-c", _SCRIPT, str(report.graph), str(tmp_path / "images.npy")]
    came = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    none = load_guarded(report.folder).answer(data.test.images[:3]).none_of_these
    *said, first, second, third = came.stdout.split()
    assert said == ["3", "3", "bool"]
    assert [float(first), float(second), float(third)] == pytest.approx(none.tolist(), abs=1e-5)
    other = export_guarded(report.folder, tmp_path / "other.onnx")
    assert other.read_bytes() == report.graph.read_bytes()
    monkeypatch.setattr(graph, "write_graph", lambda path, *given: path.write_text("again"))
    assert guarded(path).graph == report.graph
    assert other.read_bytes() == report.graph.read_bytes()
    report.graph.unlink()
    guarded(path)
    assert report.graph.read_text() == "again"


def test_names_that_are_taken_and_weights_beside_the_file(guarded, tmp_path, data):
    path = onnx_file(tmp_path / "bands.onnx", (1, 4, 4))
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("ReduceMax", ["scores"], ["confidence"], axes=[1]))
    model.graph.output.append(
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["N", 1])
    )
    model.metadata_props.add(key="author", value="me")
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    report = guarded(path)
    assert report.no_graph == ""
    (tmp_path / "weights").unlink()
    images = data.test.images
    came, session = run(report.graph, images.numpy())
    assert session.get_modelmeta().custom_metadata_map == {"author": "me"}
    assert [*came][:2] == ["scores", "confidence"]
    np.testing.assert_array_equal(came["confidence"], came["scores"].max(1, keepdims=True))
    assert came["confidence_2"].max() <= 1


class Restless(Bands):
    """Adds noise to its answers."""

    def forward(self, images):
        return super().forward(images) + 0.3 * torch.randn(len(images), 4)


def callable_bands(images):
    return Bands()(images).detach()


def test_what_has_no_file_says_why(guarded, data, monkeypatch):
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression().fit(data.train.images.flatten(1).numpy(), data.train.labels)
    report = guarded(fitted)
    assert report.graph is None
    assert "skl2onnx" in report.no_graph
    assert not (report.folder / "guarded.onnx").exists()
    rows = (report.folder / "rows.jsonl").read_text()
    assert "skl2onnx" in rows
    assert guarded(fitted).no_graph == report.no_graph
    assert (report.folder / "rows.jsonl").read_text() == rows
    with pytest.raises(InputError, match=r"guarded.onnx: a scikit-learn object has no graph"):
        export_guarded(report.folder, model=fitted)


def test_a_function_has_no_graph(guarded):
    assert "a Python function has no graph" in guarded(callable_bands).no_graph


def test_a_model_that_answers_at_random_has_no_file(guarded):
    report = guarded(Restless())
    assert report.graph is None
    assert report.no_graph


def test_a_file_that_disagrees_is_not_kept(guarded, tmp_path, monkeypatch):
    path = onnx_file(tmp_path / "bands.onnx", (1, 4, 4))
    monkeypatch.setattr(graph, "graph_of_onnx", wrong_about_rubbish(graph.graph_of_onnx))
    report = guarded(path)
    assert "ONNX Runtime and torch differ by" in report.no_graph
    assert not (report.folder / "guarded.onnx").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8])
def test_images_come_back_from_every_form(layout, dtype):
    shape = (1, 5, 3) if layout == "without channels" else (3, 5, 4)
    levels = torch.randint(0, 256, (4, *shape), generator=torch.Generator().manual_seed(0)) / 255
    means = {"mean": (0.5, 0.4, 0.3)[: shape[0]], "std": (0.2, 0.3, 0.4)[: shape[0]]}
    scaling = Scaling((0, 255)) if dtype == torch.uint8 else Scaling((-1, 1), **means)
    form = Form(shape, layout, scaling, dtype)
    taken = form.given(levels)
    assert taken.dtype == dtype
    torch.testing.assert_close(form.images(taken), levels, rtol=0, atol=form.rounding)


def wrong_about_rubbish(make):
    def made(*given):
        proto = make(*given)
        for weight in proto.graph.initializer:
            values = numpy_helper.to_array(weight)
            if weight.name.startswith("guard/") and values.dtype == np.float32 and values.size > 1:
                weight.CopyFrom(numpy_helper.from_array(values + np.float32(0.1), weight.name))
        return proto

    return made


def test_without_onnx(guarded, tmp_path, monkeypatch):
    path = onnx_file(tmp_path / "bands.onnx", (1, 4, 4))
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert "pip install 'deceive[onnx]'" in guarded(path).no_graph
