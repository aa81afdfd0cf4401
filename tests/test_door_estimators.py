"""Classifiers of scikit-learn, and sessions of ONNX Runtime, by a factory or as objects."""

import numpy as np
import onnxruntime
import pytest
import torch
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from conftest import Bands
from deceive.auditing import audit
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.interface import FOUND_OUT, Interface, Scaling
from deceive.auditing.models.meeting import meet
from deceive.auditing.opening import fitting
from deceive.common.errors import InputError
from worlds.audits import TINY
from worlds.onnx_files import onnx_file


@pytest.fixture(scope="module")
def flat(data):
    return data.train.images.flatten(1).numpy()


def test_a_pipeline_with_texts_for_labels(data, flat):
    names = [f"band {label}" for label in data.train.labels.tolist()]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(flat, names)
    loaded = load_model(model)
    assert (loaded.name, loaded.format) == ("Pipeline", "scikit-learn")
    assert loaded.wants.class_names == ("band 0", "band 1", "band 2", "band 3")
    report = audit(model, data, judge=None, settings=TINY)
    assert report.failures == []
    assert report.clean.accuracy == 1
    assert not report.model.white_box
    assert report.model.prepared.startswith("grey, 4×4, as its number of features says")


def test_margins_stand_for_logits(data, flat):
    images = data.test.images[:5]
    four = LinearSVC().fit(flat, data.train.labels.numpy())
    assert load_model(four).model(images).shape == (5, 4)
    two = LinearSVC().fit(flat, data.train.labels.numpy() % 2)
    scores = load_model(two).model(images)
    assert scores.shape == (5, 2)
    assert (scores.argmax(1) == two.predict(images.flatten(1).numpy())).all()


def test_the_number_of_features_gives_colours_and_size(data):
    grey = torch.rand(8, 36).numpy()
    model = LogisticRegression().fit(grey, [0, 1, 2, 3] * 2)
    _, prepared, _ = fitting(load_model(model), data, FOUND_OUT)
    assert prepared.image_shape == (1, 6, 6)


def coloured(count=300):
    """Noise that is brighter in one of three colours: levels (N, 6, 6, 3), labels (N,)."""
    labels = np.arange(count) % 3
    levels = np.random.default_rng(0).integers(0, 100, (count, 6, 6, 3))
    levels[np.arange(count), :, :, labels] += 100
    return levels.astype(np.uint8), labels


@pytest.mark.parametrize("by_pixel", [True, False])
@pytest.mark.parametrize("kind", ["estimator", "module", "ONNX"])
def test_flat_colours_go_pixel_by_pixel_if_they_are_read_so(by_pixel, kind, tmp_path):
    levels, labels = coloured()
    flat = (levels if by_pixel else levels.transpose(0, 3, 1, 2)).reshape(len(levels), -1) / 255
    model = LogisticRegression(C=100).fit(flat, labels)
    linear = torch.nn.Linear(108, 3)
    linear.weight.data = torch.tensor(model.coef_, dtype=torch.float32)
    linear.bias.data = torch.tensor(model.intercept_, dtype=torch.float32)
    content = to_onnx(model, flat[:1].astype(np.float32)).SerializeToString()
    (tmp_path / "flat.onnx").write_bytes(content)
    models = {"estimator": model, "module": linear, "ONNX": tmp_path / "flat.onnx"}
    loaded, data, _ = fitting(load_model(models[kind]), (levels, labels), FOUND_OUT)
    subject = meet(loaded, data, Interface(Scaling()))
    test = data.test.read(slice(None))
    assert subject.accuracy(test, data.test.labels) == 1
    assert any("pixel by pixel (channels last)" in note for note in subject.notes) == by_pixel
    assert subject.loaded.prepared.endswith("pixel by pixel") == by_pixel
    if kind == "module":
        own = linear(test.permute(0, 2, 3, 1).flatten(1) if by_pixel else test.flatten(1))
        assert torch.allclose(subject.logits(test), own, atol=1e-4)
        assert subject.module is not None


def test_what_will_not_do_is_one_sentence(flat):
    with pytest.raises(InputError, match="a fitted classifier, got LogisticRegression without"):
        load_model(LogisticRegression())


def test_a_session(tmp_path, data):
    path = onnx_file(tmp_path / "bands.onnx", (1, 4, 4))
    loaded = load_model(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]))
    assert (loaded.format, loaded.wants.size) == ("ONNX", (4, 4))
    answers = loaded.model(data.test.images)["scores"]
    with torch.no_grad():
        torch.testing.assert_close(torch.tensor(answers), Bands()(data.test.images))
