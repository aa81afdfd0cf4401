"""The one ONNX file of a guarded classifier."""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

import deceive.guarding.graph as graph
from conftest import Bands
from deceive.auditing import Interface, Scaling
from deceive.common.errors import InputError
from deceive.guarding import export_guarded, guard, load_guarded
from deceive.networks.classifier import Classifier
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
                network = Classifier(architecture, 5, shape).eval()
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


def test_basic(guarded, tmp_path, data):
    path = onnx_file(tmp_path / "bands.onnx", (1, 4, 4), label=True)
    report = guarded(path)
    assert report.no_graph == ""
    came, session = run(report.graph, data.test.images.numpy())
    assert [*came] == ["label", "scores", *OURS]
    assert_as_in_torch(came, report, data.test.images)
