"""Classifiers of scikit-learn, and sessions of ONNX Runtime, by a factory or as objects."""

import onnxruntime
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from conftest import Bands
from deceive.auditing import audit
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.interface import FOUND_OUT
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
