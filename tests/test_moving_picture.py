"""The moving picture of the README: its frames show what the networks said on the way."""

import numpy as np
import pytest
from PIL import Image, ImageSequence
from tools import moving_picture

import deceive


@pytest.fixture(scope="module")
def made():
    return deceive.fool(deceive.load_network("fast"), range(10), seed=0, trajectory=True)


@pytest.mark.shipped
def test_the_film_goes_from_static_to_the_last_images(made):
    frames = list(moving_picture.film(made, made))
    first, last = np.asarray(frames[0][0]), np.asarray(frames[-1][0])
    pixels = np.kron(made.trajectories[0].levels[0, 0].numpy(), np.ones((4, 4), np.uint8))
    assert (first[84 : 84 + 112, 24 : 24 + 112] == pixels[..., None]).all()
    pixels = np.kron(made.levels[0, 0].numpy(), np.ones((4, 4), np.uint8))
    assert (last[84 : 84 + 112, 24 : 24 + 112] == pixels[..., None]).all()
    assert all(lasts > 0 for _, lasts in frames)
    with Image.open(moving_picture.PLACE) as shipped:
        assert shipped.size == frames[0][0].size
        assert shipped.n_frames > 50


@pytest.mark.shipped
def test_nothing_is_lost_in_the_file(made, tmp_path):
    frames = [(moving_picture.frame(made, step, ("a", "b")), 100) for step in (0, 5)]
    size = moving_picture.write(frames, tmp_path / "film.webp")
    assert size == (tmp_path / "film.webp").stat().st_size
    with Image.open(tmp_path / "film.webp") as film:
        for (frame, _), read in zip(frames, ImageSequence.Iterator(film), strict=True):
            assert (np.asarray(read.convert("RGB")) == np.asarray(frame)).all()


def test_a_confidence_below_the_bar_is_not_rounded_up():
    assert moving_picture._percent(0.98999) == "98%"
    assert moving_picture._percent(0.99) == "99%"
