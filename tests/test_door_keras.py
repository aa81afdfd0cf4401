"""Models of Keras: from a file, by a factory, as objects."""

import os

import numpy as np
import pytest
import torch

from deceive.auditing import audit
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.interface import FOUND_OUT
from deceive.auditing.opening import fitting
from deceive.common.errors import InputError
from worlds.audits import TINY, band_data

pytestmark = [
    # Keras' own: how it makes arrays of tensors, and that .h5 is legacy.
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning", "ignore:.*HDF5.*"),
]


@pytest.fixture(scope="module")
def keras():
    os.environ["KERAS_BACKEND"] = "torch"
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def reader(keras):
    """Reads bands of levels 0 to 255, and ends in a softmax."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="softmax", use_bias=False, name="bands"),
        ],
        name="reader",
    )
    model.get_layer("bands").set_weights([np.repeat(4 * np.eye(4), 4, axis=0)])
    return model


@pytest.mark.parametrize("name", ["reader.keras", "reader.h5"])
def test_a_file_is_read_and_followed(tmp_path, reader, name):
    reader.save(tmp_path / name)
    report = audit(tmp_path / name, band_data(), judge=None, settings=TINY)
    assert report.failures == []
    assert report.clean.accuracy == 1
    assert report.model.white_box
    assert (report.model.format, report.model.bounds) == ("Keras", (0, 255))
    assert report.model.answers == "logits"  # reached before the softmax
    assert load_model(f"keras:{tmp_path / name}").digests.keys() == {name}


def test_its_shape_prepares_the_pictures(keras):
    wide = keras.Sequential([keras.Input((6, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    loaded, data, _ = fitting(load_model(wide), band_data(), FOUND_OUT)
    assert data.image_shape == (3, 6, 8)
    answer = loaded.model(data.test.read(slice(2)))
    seen = data.test.read(slice(2)).permute(0, 2, 3, 1).numpy()
    torch.testing.assert_close(answer.detach(), torch.tensor(wide.predict_on_batch(seen)))


def test_several_inputs_are_named(keras):
    one, two = keras.Input((4,), name="picture"), keras.Input((2,), name="sensor")
    joined = keras.layers.Concatenate()([one, two])
    with pytest.raises(InputError, match="expected one input, of images, got picture, sensor"):
        load_model(keras.Model([one, two], joined))


def test_what_is_no_model_is_one_sentence(tmp_path, keras):
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(InputError, match=r"text\.keras: expected a model that Keras can read"):
        load_model(tmp_path / "text.keras")
    with pytest.raises(InputError, match=r"absent\.keras: .*No such file"):
        load_model(f"keras:{tmp_path / 'absent.keras'}")
