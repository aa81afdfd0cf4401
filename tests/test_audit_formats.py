"""Models of every format, all of them the same `Bands`."""

import pickle
import sys
import warnings
import zipfile

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from conftest import Bands
from deceive.auditing import AuditSettings, audit
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.interface import Interface, Scaling
from deceive.auditing.models.meeting import meet
from deceive.common.errors import InputError
from deceive.networks.frozen import FrozenCopy
from worlds.audits import band_data
from worlds.onnx_files import onnx_file


@pytest.fixture(scope="module")
def expected(data):
    with torch.no_grad():
        return Bands()(data.test.images)


def logits(spec, data, **options):
    return meet(load_model(spec, **options), data).logits(data.test.images)


def test_a_factory_is_imported_from_the_working_directory(tmp_path, monkeypatch, data, expected):
    (tmp_path / "users_own.py").write_text(
        "import torch\n"
        "from conftest import Bands\n"
        "class Net(Bands):\n    pass\n"
        "ready = Net()\n"
        "def make():\n    return Net()\n"
        "def function():\n    return lambda images: Net()(images).detach().numpy()\n"
        "def broken():\n    raise KeyError('weights')\n"
        "def nothing():\n    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "users_own", raising=False)
    path = list(sys.path)
    for name in ("make", "ready", "Net", "function"):
        loaded = load_model(f"users_own:{name}")
        assert loaded.name == name
        assert loaded.format == ("callable" if name == "function" else "module")
        torch.testing.assert_close(meet(loaded, data).logits(data.test.images), expected)
    assert sys.path == path
    for name, message in [
        (
            "broken",
            r"users_own:broken .* raised KeyError: 'weights' \(in users_own.py, line 11\)",
        ),
        ("nothing", "to give a torch.nn.Module, a callable or a fitted classifier, got int"),
        ("mak", "expected 'mak' in users_own, found none; did you mean make"),
    ]:
        with pytest.raises(InputError, match=message):
            load_model(f"users_own:{name}")
    with pytest.raises(InputError, match="expected a module nowhere, found none here"):
        load_model("nowhere:make")


def test_a_shipped_network_brings_its_card():
    loaded = load_model("fast")
    assert loaded.format == "safetensors"
    assert loaded.rubbish_class is None
    assert loaded.training_seconds > 0
    assert len(loaded.fingerprint) == 64


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Files that could run code: {kind: path}."""
    folder = tmp_path_factory.mktemp("programs")
    images = torch.rand(3, 1, 4, 4)
    batch = torch.export.Dim("batch", min=1, max=10_000)
    any_size = torch.export.export(Bands().eval(), (images,), dynamic_shapes=({0: batch},))
    torch.export.save(any_size, folder / "any.pt2")
    three = torch.export.export(Bands().eval(), (images,))
    torch.export.save(three, folder / "three.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Bands(), images), folder / "script.pt")
    return folder


@pytest.mark.parametrize(
    ("name", "kind"),
    [("any.pt2", "torch.export"), ("three.pt2", "torch.export"), ("script.pt", "TorchScript")],
)
def test_programs_are_opened_when_trusted(programs, data, expected, name, kind):
    with pytest.raises(InputError, match=f"execute code, got a {kind} file; pass --trust"):
        load_model(programs / name)
    loaded = load_model(programs / name, trust=True)
    assert loaded.format == kind
    subject = meet(loaded, data)
    torch.testing.assert_close(subject.logits(data.test.images), expected)
    # And they have a gradient, in a copy of theirs as well.
    images = data.test.images[:4].clone().requires_grad_()
    copy = FrozenCopy(subject.module, images.detach()[:1])
    (gradient,) = torch.autograd.grad(copy.logits(images)[:, 0].sum(), images)
    assert (gradient > 0).any()


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize("name", ["weights.pt", "weights.pth", "model.pkl", "weights.bin"])
@pytest.mark.parametrize("trust", [False, True])
def test_pickles_are_never_opened(tmp_path, name, trust):
    path, mark = tmp_path / name, tmp_path / "mark"
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(Trap(mark)))
    else:
        torch.save({"weights": Trap(mark)}, path)
    with pytest.raises(InputError, match="pickles are never opened"):
        load_model(path, trust=trust)
    assert not mark.exists()


def test_a_program_that_could_run_code_does_not_without_trust(tmp_path, programs):
    # A valid archive, whose pickled part is a trap.
    path, mark = tmp_path / "trap.pt2", tmp_path / "mark"
    with (
        zipfile.ZipFile(programs / "any.pt2") as source,
        zipfile.ZipFile(path, "w") as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, pickle.dumps(Trap(mark)) if name.endswith(".pt") else content)
    with pytest.raises(InputError, match="--trust"):
        load_model(path)
    assert not mark.exists()


# ONNX.


@pytest.mark.parametrize("shape", [(1, 4, 4), (4, 4, 1), (16,), (4, 4), ("C", "H", "W")])
@pytest.mark.parametrize("batch", ["N", 7])
def test_onnx_of_any_layout_and_batch(tmp_path, data, expected, shape, batch):
    loaded = load_model(onnx_file(tmp_path / "bands.onnx", shape, batch=batch, label=True))
    assert loaded.format == "ONNX"
    subject = meet(loaded, data)
    assert subject.module is None
    torch.testing.assert_close(subject.logits(data.test.images), expected)


def test_onnx_channels_last(tmp_path):
    data = band_data(Bands(shape=(3, 4, 4)))
    seen = Bands(shape=(3, 4, 4)).weight.detach().view(4, 3, 4, 4).permute(0, 2, 3, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weight"], ["scores"]),
        ],
        "bands",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [None, 4, 4, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 4])],
        [numpy_helper.from_array(seen.flatten(1).numpy().T, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "bands.onnx")
    with torch.no_grad():
        expected = Bands(shape=(3, 4, 4))(data.test.images)
    torch.testing.assert_close(logits(tmp_path / "bands.onnx", data), expected)


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.UINT8])
def test_onnx_of_any_type(tmp_path, data, expected, kind):
    path = onnx_file(tmp_path / "bands.onnx", (16,), kind=kind)
    bounds = (0, 255) if kind == TensorProto.UINT8 else (0, 1)
    found = meet(load_model(path), data, Interface(Scaling(bounds))).logits(data.test.images)
    torch.testing.assert_close(found / bounds[1], expected, atol=0.03, rtol=0.01)


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_classifier_born_in_scikit_learn(tmp_path, data, zipmap):
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    images, labels = data.validation.images.flatten(1).numpy(), data.validation.labels.numpy()
    classifier = LogisticRegression().fit(images, labels)
    options = {} if zipmap else {"zipmap": False}
    path = tmp_path / "classifier.onnx"
    path.write_bytes(to_onnx(classifier, images[:1], options=options).SerializeToString())
    subject = meet(load_model(path), data)
    assert subject.answers == "probabilities"
    found = subject.logits(data.test.images).softmax(1).numpy()
    expected = classifier.predict_proba(data.test.images.flatten(1).numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def several(path, outputs):
    """An ONNX file of flat images whose outputs are those of linear layers: {name: width}.

    `scores` and `more` begin with the logits of `Bands`; all others are noise.
    """
    weights, nodes = [], []
    for place, (name, width) in enumerate(outputs.items()):
        weight = np.random.default_rng(place).normal(size=(16, width)).astype(np.float32)
        if name in ("scores", "more"):
            weight[:, :4] = Bands().weight.detach().numpy().T
        weights.append(numpy_helper.from_array(weight, f"weight-{name}"))
        nodes.append(helper.make_node("MatMul", ["flat", f"weight-{name}"], [name]))
    declared = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, w]) for n, w in outputs.items()
    ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 1, 4, 4])
    flat = helper.make_node("Flatten", ["images"], ["flat"])
    graph = helper.make_graph([flat, *nodes], "several", [image], declared, weights)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def test_of_several_outputs_the_one_with_a_column_a_class_is_read(tmp_path, data, expected):
    path = several(tmp_path / "two.onnx", {"embedding": 7, "scores": 4})
    subject = meet(load_model(path), data)
    torch.testing.assert_close(subject.logits(data.test.images), expected)
    assert subject.loaded.output == "scores"
    assert "The audit reads its output “scores”." in subject.notes
    more = several(tmp_path / "more.onnx", {"embedding": 64, "more": 5})
    found = meet(load_model(more), data, Interface(rubbish_class=4)).logits(data.test.images)
    torch.testing.assert_close(found[:, :4], expected)


@pytest.mark.parametrize(
    ("outputs", "listed"),
    [
        ({"embedding": 4, "scores": 4}, r"embedding \(N, 4\), scores \(N, 4\)"),
        ({"embedding": 7, "features": 9}, r"embedding \(N, 7\), features \(N, 9\)"),
        ({"embedding": 5, "scores": 4}, r"embedding \(N, 5\), scores \(N, 4\)"),
    ],
)
def test_outputs_that_cannot_be_told_apart_are_listed(tmp_path, data, expected, outputs, listed):
    path = several(tmp_path / "several.onnx", outputs)
    with pytest.raises(InputError, match=f"4 columns.*{listed}; choose one with --output"):
        meet(load_model(path), data)
    if "scores" in outputs:
        found = meet(load_model(path), data, Interface(output="scores")).logits(data.test.images)
        torch.testing.assert_close(found, expected)
    with pytest.raises(
        InputError, match=f"output: expected the name of scores .*, got 'x'; the model has {listed}"
    ):
        meet(load_model(path), data, Interface(output="x"))


def test_of_two_softmaxes_the_last_one_gives_the_confidence(data):
    model = nn.Sequential(Bands(sure=12), nn.Softmax(1), nn.Softmax(1))
    subject, images = meet(load_model(model), data), data.test.images
    torch.testing.assert_close(subject.logits(images).softmax(1), model(images))


class Both(Bands):
    """Gives what comes before its logits as well, in one way or another."""

    def __init__(self, way, place=1):
        super().__init__()
        self.way, self.place = way, place

    def forward(self, images):
        both = [images.flatten(1), super().forward(images)]
        return self.way(both if self.place else both[::-1])


@pytest.mark.parametrize(
    ("way", "output"),
    [
        (tuple, "1"),
        (list, "1"),
        (lambda both: {"features": both[0], "logits": both[1]}, "logits"),
    ],
)
@pytest.mark.parametrize("black", [False, True])
def test_a_model_in_python_may_have_several_outputs_too(data, expected, way, output, black):
    model = Both(way)
    subject = meet(load_model((lambda images: model(images)) if black else model), data)
    assert subject.loaded.output == output
    torch.testing.assert_close(subject.logits(data.test.images), expected)
    if not black:
        images = data.test.images[:4].clone().requires_grad_()
        copy = FrozenCopy(subject.module, images.detach()[:1])
        (gradient,) = torch.autograd.grad(copy.logits(images)[:, 0].sum(), images)
        assert (gradient > 0).any()
    with pytest.raises(InputError, match="expected none for a model with one output, got '1'"):
        meet(load_model(Bands()), data, Interface(output="1"))


def test_classes_named_by_numbers_keep_the_numbers_order(tmp_path):
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    bands = Bands(n_classes=12, shape=(1, 12, 2))
    data = band_data(bands)
    images, labels = data.validation.images.flatten(1).numpy(), data.validation.labels.numpy()
    for names in (labels, labels.astype(str)):  # by name, 10 comes before 2
        classifier = LogisticRegression().fit(images, names)
        path = tmp_path / "classifier.onnx"
        path.write_bytes(to_onnx(classifier, images[:1]).SerializeToString())
        subject = meet(load_model(path), data)
        assert subject.accuracy(data.test.images, data.test.labels) == 1


def test_onnx_that_will_not_do(tmp_path, data):
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(InputError, match=r"text\.onnx: expected an ONNX file"):
        load_model(tmp_path / "text.onnx")
    wrong = load_model(onnx_file(tmp_path / "wrong.onnx", (2, 8)))
    with pytest.raises(InputError, match=r"expected images of the data's shape, \(1, 4, 4\),"):
        meet(wrong, data)
    words = onnx_file(tmp_path / "words.onnx", (16,))
    model = onnx.load(words)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.BOOL
    onnx.save(model, words)
    with pytest.raises(InputError, match="expected one input, of images as numbers"):
        load_model(words)


@pytest.mark.parametrize("name", ["nothing", "a/b.c", "nothing.onnx", "x:y:z"])
def test_nothing_there_is_one_clear_value_error(name):
    with pytest.raises(InputError, match="model: expected a file"):
        load_model(name)


def test_a_model_may_import_its_sibling_when_it_is_first_asked(tmp_path, monkeypatch, data):
    (tmp_path / "late_sibling.py").write_text("from conftest import Bands\n")
    (tmp_path / "late.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def forward(self, images):\n"
        "        import late_sibling\n"
        "        return late_sibling.Bands(sure=12)(images)\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("late", "late_sibling"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    path = list(sys.path)
    settings = AuditSettings(
        candidates=4, steps=3, curve_candidates=2, searched=2, queries=100, garbage_images=10
    )
    report = audit("late:Net", data, judge=None, settings=settings)
    assert report.failures == []
    assert report.clean.accuracy == 1
    assert sys.path == path
