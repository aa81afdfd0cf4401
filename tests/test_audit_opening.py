"""How a model that declares nothing, or another shape, gets the images that it takes."""

import sys

import numpy as np
import pytest
import torch
from onnx import TensorProto
from torch import nn

from conftest import Bands
from deceive.auditing import audit
from deceive.auditing.models.devices import chosen, providers
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.interface import FOUND_OUT, Interface, Scaling
from deceive.auditing.opening import fitting, loaded_model
from deceive.common.errors import InputError
from deceive.data.preparation import Preparation
from deceive.data.prepared import prepared
from worlds.audits import LITTLE
from worlds.onnx_files import onnx_file


class Picky(Bands):
    """Bands that take images arranged in one way alone."""

    def __init__(self, arrange, fits, dtype=torch.float32):
        super().__init__(sure=12)
        self.arrange, self.fits, self.dtype = arrange, fits, dtype

    def forward(self, images):
        if images.shape[1:] != self.fits or images.dtype != self.dtype:
            raise ValueError(f"no {tuple(images.shape)}, please")
        return super().forward(self.arrange(images))


def alone(images):
    if len(images) > 1:
        raise ValueError("one image, please")
    return images


PICKY = {
    "flat": Picky(lambda x: x.view(-1, 1, 4, 4), (16,)),
    "channels last": Picky(lambda x: x.permute(0, 3, 1, 2), (4, 4, 1)),
    "one at a time": Picky(alone, (1, 4, 4)),
    "8-bit levels": Picky(lambda x: x.float() / 255, (1, 4, 4), torch.uint8),
}


@pytest.mark.parametrize("arranged", PICKY)
def test_a_module_gets_images_as_it_takes_them(data, arranged):
    report = audit(PICKY[arranged], data, judge=None, settings=LITTLE)
    assert report.failures == []
    assert report.clean.accuracy == 1
    assert report.model.prepared.startswith(f"grey, 4×4, {arranged}")
    assert report.model.white_box == (arranged != "8-bit levels")
    assert report.model.bounds == ((0, 255) if arranged == "8-bit levels" else (0, 1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_any_floating_type_will_do(data, dtype):
    report = audit(Bands(sure=12).to(dtype), data, judge=None, settings=LITTLE)
    assert report.failures == []
    assert report.clean.accuracy == 1
    assert report.model.white_box


def test_a_function_gets_arrays_if_it_wants_them(data):
    weight = Bands().weight.detach().numpy().T

    def ask(images):
        return images.copy().reshape(len(images), -1) @ weight  # tensors have no copy

    loaded, _, _ = fitting(load_model(ask), data, FOUND_OUT)
    answers = torch.tensor(loaded.model(data.test.images))
    torch.testing.assert_close(answers, Bands()(data.test.images).detach())


def test_grey_data_become_colour_and_the_reverse(data):
    torch.manual_seed(0)
    for channels, images in ((3, data), (1, prepared(data, Preparation(channels=3)))):
        model = nn.Sequential(nn.Conv2d(channels, 4, 4), nn.Flatten())
        _, real, preparation = fitting(load_model(model), images, FOUND_OUT)
        assert real.image_shape == (channels, 4, 4)
        assert preparation.channels == channels
        assert any("become" in note for note in real.notes) or real is data


def test_what_takes_nothing_is_left_to_the_meeting(data):
    model = Picky(lambda x: x, (7, 9))
    loaded, real, _ = fitting(load_model(model), data, FOUND_OUT)
    assert loaded.model is model
    assert real is data
    with pytest.raises(InputError, match=r"takes images of shape .*please"):
        audit(model, data, judge=None, settings=LITTLE)


def test_a_declared_size_goes_before_the_data(tmp_path, data):
    path = onnx_file(tmp_path / "wide.onnx", (1, 2, 8))
    assert loaded_model(path, FOUND_OUT, trust=False).runs_on == "CPUExecutionProvider"
    assert fitting(load_model(path), data, FOUND_OUT)[1].image_shape == (1, 2, 8)
    free = onnx_file(tmp_path / "free.onnx", (1, "H", "W"))
    assert fitting(load_model(free), data, Interface(size=(2, 8)))[1].image_shape == (1, 2, 8)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((16, 1, 1), TensorProto.FLOAT), ((1, 4, 4), TensorProto.INT64), (("a", "b"), 1)],
)
def test_onnx_in_less_usual_shapes_and_types(tmp_path, data, shape, kind):
    loaded = load_model(onnx_file(tmp_path / "bands.onnx", shape, kind=kind))
    whole = kind == TensorProto.INT64
    assert loaded.wants.scaling == (Scaling((0, 255)) if whole else None)
    answers = loaded.model(data.test.images * (255 if whole else 1))["scores"]
    assert (answers.argmax(1) == data.test.labels.numpy()).all()


def test_a_judge_is_shown_images_in_its_own_shape(data):
    large = prepared(data, Preparation(channels=3, size=(8, 8)))

    class Large(nn.Module):
        def forward(self, images):
            return Bands(sure=12)(images[:, :1, ::2, ::2])

    def judge(images):
        assert images.shape[1] == 1
        return Bands()(nn.functional.avg_pool2d(images, 2)).detach().numpy()

    report = audit(Large(), large, judge=judge, settings=LITTLE)
    assert report.failures == []
    assert report.judge_accuracy == 1


def test_a_function_prepares_the_images(tmp_path, monkeypatch, data):
    (tmp_path / "own_steps.py").write_text(
        "import numpy as np\n"
        "def torched(images):\n    return 2 * images - 1\n"
        "def numbers(images):\n    return 2 * np.asarray(images) - 1\n"
        "nothing = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_steps", raising=False)

    class Signed(Bands):
        def forward(self, images):
            return super().forward((images + 1) / 2)

    for name, white_box in (("torched", True), ("numbers", False)):
        interface = Interface(preprocess=f"own_steps:{name}")
        report = audit(Signed(sure=12), data, judge=None, interface=interface, settings=LITTLE)
        assert report.failures == []
        assert report.clean.accuracy == 1
        assert report.model.white_box == white_box
        assert f"through own_steps:{name}" in report.model.prepared
        assert f"--preprocess own_steps:{name}" in report.command
    for name, said in [
        ("nothing", "a function, got own"),
        ("absent", "'absent' in own_steps.py, found none"),
    ]:
        with pytest.raises(InputError, match=f"preprocess: expected .*{said}"):
            loaded_model(Bands(), Interface(preprocess=f"own_steps.py:{name}"), trust=False)


def test_code_in_a_file_sees_a_command_line_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "helping.py").write_text("from conftest import Bands\n")
    (tmp_path / "elsewhere" / "reading.py").write_text(
        "import sys\nfrom helping import Bands\n"
        "seen = list(sys.argv)\n"
        "def make():\n    assert seen == sys.argv\n    net = Bands()\n    net.seen = seen\n"
        "    return net\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["deceive", "audit", "--mine"])
    for name in ("reading", "helping"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = "elsewhere/reading.py"
    assert load_model(f"{spec}:make").model.seen == [spec]
    assert sys.argv == ["deceive", "audit", "--mine"]


def test_weights_that_are_nowhere():
    with torch.device("meta"):
        model = nn.Linear(16, 4)
    with pytest.raises(InputError, match="expected weights, got 'weight' on the device “meta”"):
        load_model(model)


def test_a_device_that_is_there_is_taken():
    assert chosen("auto", lambda device: device == "cuda") == "cuda"
    assert chosen("cuda", lambda device: True) == "cuda"
    assert chosen("cpu", lambda device: True) == "cpu"
    with pytest.raises(InputError, match="got mps; pass --device cpu"):
        chosen("mps", lambda device: False)
    there = ["CoreMLExecutionProvider", "ROCMExecutionProvider", "CPUExecutionProvider"]
    assert providers("auto", there) == ["ROCMExecutionProvider", "CPUExecutionProvider"]
    assert providers("mps", there) == ["CoreMLExecutionProvider", "CPUExecutionProvider"]
    with pytest.raises(InputError, match="a provider of ONNX Runtime for cuda, got CPU"):
        providers("cuda", ["CPUExecutionProvider"])


def test_arrays_are_data_too():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 4
    rows = np.arange(4)[None, :, None] == labels[:, None, None]
    images = np.where(np.broadcast_to(rows, (120, 4, 4)), 255, rng.integers(0, 50, (120, 4, 4)))
    data = (images.astype(np.uint8)[..., None], labels)
    report = audit(Bands(sure=12), data, judge=None, settings=LITTLE)
    assert report.clean.accuracy == 1
