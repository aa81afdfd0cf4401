"""Names of classes that a user gives; a function between images and model; a constant model."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from deceive.auditing import Interface
from deceive.auditing.class_names import as_text, names_in
from deceive.auditing.models.meeting import meet
from deceive.auditing.opening import declared, fitting, loaded_model
from deceive.common.errors import InputError
from worlds.audits import write_bands
from worlds.commands import run


def pictures(names=()):
    """Dark, middling and bright pictures; with names, as a list that is no numbers."""
    images = np.zeros((60, 6, 6, 3), np.uint8)
    labels = np.arange(60) % 3
    images[:] = (labels * 100)[:, None, None, None] + np.arange(6, dtype=np.uint8)[:, None, None]
    return images, np.array(names)[labels] if names else labels


class Brightness(nn.Module):
    """Which of three, in the order given; it takes floats, three channels first."""

    def __init__(self, order=(0, 1, 2)):
        super().__init__()
        self.mean = nn.Conv2d(3, 1, 1)
        nn.init.constant_(self.mean.weight, 1 / 3)
        nn.init.zeros_(self.mean.bias)
        self.order = list(order)

    def forward(self, images):
        bright = self.mean(images).mean((1, 2, 3))[:, None]
        return (-50 * (bright - torch.tensor([[0.0, 0.4, 0.8]])) ** 2)[:, self.order]


def met(model, data, interface):
    loaded, real, _ = fitting(loaded_model(model, interface, trust=False), data, interface)
    return meet(loaded, real, declared(interface, loaded)), real


def test_data_without_names_get_them():
    interface = Interface(class_names=["dark", "middling", "bright"])
    subject, data = met(Brightness(), pictures(), interface)
    assert data.class_names == ("dark", "middling", "bright")
    assert subject.accuracy(data.test.read(slice(None)), data.test.labels) == 1


def test_names_put_the_outputs_into_the_order_of_the_data():
    names = ("dark", "middling", "bright")  # as text: bright, dark, middling
    subject, data = met(Brightness(), pictures(names), Interface(class_names=names))
    assert data.class_names == ("bright", "dark", "middling")
    assert subject.accuracy(data.test.read(slice(None)), data.test.labels) == 1
    assert "by name" in " ".join(subject.notes)
    plain, _ = met(Brightness(), pictures(names), Interface())
    assert plain.accuracy(data.test.read(slice(None)), data.test.labels) < 0.5


@pytest.mark.parametrize(
    ("names", "named", "said"),
    [
        (("a", "b"), (), "expected at least 3 names, since the data's labels are 0 to 2, got 2"),
        (("a", "b", "c", "d"), (), "expected 3 names, one for each of the model's outputs"),
        (("a", "b"), ("x", "y", "z"), "expected 3 names, one for each of the model's outputs"),
        (("a", "a", "b"), (), "expected a name for each class, got 'a' twice"),
        (("a",), (), "expected at least 2 names"),
        (("x", "a", "b"), ("x", "y", "z"), "expected names of the model's classes, got “y”"),
    ],
)
def test_other_numbers_of_names_are_refused(names, named, said):
    with pytest.raises(InputError, match=f"^class_names: {said}"):
        met(Brightness(), pictures(named), Interface(class_names=names))


def test_names_come_from_a_text_or_a_file_and_go_into_the_command(tmp_path):
    (tmp_path / "names.txt").write_text("cat\n\n tench, Tinca tinca \n")
    names = ("cat", "tench, Tinca tinca")
    assert names_in(str(tmp_path / "names.txt")) == names == names_in(as_text(names))
    thousand = [f"kind {number}, or so" for number in range(1000)]
    assert names_in(as_text(thousand)) == (*thousand,)
    with pytest.raises(InputError, match=re.escape("a file with one name a line, got 'no.txt'")):
        names_in("no.txt")


def test_an_audit_shows_them_and_its_command_has_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bands.py").write_text("from conftest import Bands\ndef net(): return Bands()")
    (tmp_path / "names.txt").write_text("first\nsecond\nthird\nfourth, or last\n")
    write_bands(tmp_path / "data")
    asked = ["audit", "bands.py:net", "--data", "data", "--judge", "none", "--budget", "1e-6"]
    code, out, _ = run(capsys, *asked, "--class-names", "names.txt", "--json")
    found = json.loads(out)
    assert found["data"]["class_names"] == ["first", "second", "third", "fourth, or last"]
    assert "--class-names 'first,second,third,\"fourth, or last\"'" in found["command"]
    for names, said in (
        ("a,b", "expected at least 4 names"),
        ("a,a", "expected a name for each class, got 'a' twice"),
    ):
        code, _, err = run(capsys, *asked, "--class-names", names, "--fresh")
        assert code == 2
        assert f"--class-names: {said}" in " ".join(err.split())


def first(images):
    return images[0]


def last(images):
    return images.permute(0, 2, 3, 1)


def whole(images):
    return (images * 255).long()


def endless(images):
    return images / 0


def nothing(images):
    return None


def failing(images):
    raise KeyError("size")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (last, r"got shape \(N, 6, 6, 3\) and type float32, .* takes it with .permute\(0, 3, 1, 2"),
        (whole, r"type int64, for which .* the model takes it with .float\(\) at the end"),
        (first, r"an image for each of 2 images, got shape \(3, 6, 6\)"),
        (endless, "finite values, got NaN or infinity"),
        (nothing, "that returns a tensor or an array, got NoneType"),
        (failing, r"it raised KeyError: 'size' \(in .*test_audit_names.py, line \d+\)"),
    ],
)
def test_a_function_is_tried_before_the_model_is_blamed(function, said):
    for model in (Brightness(), lambda images: Brightness()(images).detach()):
        with pytest.raises(InputError, match=f"preprocess: expected .*{said}"):
            met(model, pictures(), Interface(preprocess=function))


def test_a_constant_model_is_noticed():
    constant, _ = met(
        lambda images: np.tile([[1.0, 2, 3]], (len(images), 1)), pictures(), Interface()
    )
    assert any("the same answer for all of the first" in note for note in constant.notes)
    other, _ = met(Brightness(), pictures(), Interface())
    assert not any("the same answer" in note for note in other.notes)
