"""Garbage that is not optimised, and its scores."""

import numpy as np
import pytest
import torch

from deceive.auditing.garbage import GarbageImages
from deceive.auditing.scoring import logit_scores_of
from deceive.data.dataset import Split


def test_permuted_images_keep_their_pixels(data):
    images = GarbageImages("permuted", 12, data.test, 1).read(slice(None))
    for image, real in zip(images, data.test.images, strict=False):
        levels = real.mul(255).round().div(255)
        torch.testing.assert_close(image.flatten().sort().values, levels.flatten().sort().values)
    assert not torch.equal(
        images[0], GarbageImages("permuted", 1, data.test, 2).read(slice(None))[0]
    )
    colours = Split(torch.rand(2, 3, 4, 4), torch.zeros(2))
    shuffled = GarbageImages("permuted", 2, colours, 0).read(slice(None))
    # The channels of a pixel stay together.
    found = {tuple(pixel) for pixel in shuffled[0].flatten(1).T.mul(255).round().int().tolist()}
    assert found == {
        tuple(pixel) for pixel in colours.images[0].flatten(1).T.mul(255).round().int().tolist()
    }


def test_greys_go_from_black_to_white(data):
    greys = GarbageImages("constant", 5, data.test, 0).read(slice(None))
    assert (greys.amax((1, 2, 3)) - greys.amin((1, 2, 3))).max() == 0
    assert greys[:, 0, 0, 0].tolist() == pytest.approx([0, 64 / 255, 128 / 255, 191 / 255, 1])


def test_scores_tell_apart_beyond_what_a_probability_can(data):
    class Reader:
        rubbish_class, answers = None, "logits"
        class_outputs = staticmethod(lambda values: values)

    logits = torch.tensor([[0.0, 60.0], [0.0, 50.0], [1.0, 1.0]])
    scores = logit_scores_of(Reader(), logits)
    assert scores["msp"][0] > scores["msp"][1]
    assert scores["msp"][2].sigmoid().item() == pytest.approx(0.5)
    assert scores["max_logit"].tolist() == [60, 50, 1]
    assert scores["energy"][2].item() == pytest.approx(1 + np.log(2))
