"""What the image loop makes of tiny networks, to the last bit, as SHA-256 of levels and steps.

The digests are of integers alone (levels, targets, fooled, steps, stalled), and of networks whose
weights are small integers. Processors differ in the last digits of a float; rounded to 256 levels
that doesn't show. A change that moves any of them on purpose has to say so in CHANGELOG.md.
"""

import hashlib
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.common.errors import NoGradientWarning
from deceive.fooling.ascent import Ascent, Schedule
from deceive.fooling.climb import climb
from deceive.fooling.drawing import draw
from deceive.fooling.fool import fool
from deceive.fooling.result import FoolingResult

pytestmark = [
    # Small logits that happen to lie in [0, 1].
    pytest.mark.filterwarnings("ignore:the model's outputs"),
]

SHAPE = (1, 4, 4)


class Whole(nn.Module):
    """Two layers of small whole numbers with a leaky ReLU between them; 3 classes."""

    image_shape = SHAPE

    def __init__(self, shape: tuple[int, int, int] = SHAPE) -> None:
        super().__init__()
        self.image_shape = shape
        self.first = nn.Linear(shape[0] * shape[1] * shape[2], 8)
        self.second = nn.Linear(8, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                whole = torch.randint(-9, 10, parameter.shape, generator=generator)
                parameter.copy_(whole)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        hidden = self.first(images.flatten(1) - 0.5)
        return self.second(F.leaky_relu(hidden, 0.25)) / 64


class Listening(Whole):
    """Less sure the more noise it is told of."""

    hears_noise = True

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        logits = super().forward(images)
        return logits if noise is None else logits / (1 + noise[:, None])


class Rounding(Whole):
    """Rounds its input, and so has no gradient for half of the images: the dark ones."""

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        bright = (images.mean((1, 2, 3), keepdim=True) > 0.5).float()
        return super().forward(images * bright + images.detach() * (1 - bright))


def digest(result: FoolingResult) -> str:
    """The first 16 digits of the SHA-256 of all whole numbers in a result."""
    found = hashlib.sha256()
    for one in (result, *result.waypoints):
        for each in (one.levels, one.targets, one.fooled, one.steps, one.stalled):
            found.update(each.contiguous().numpy().tobytes())
    for way in result.trajectories or ():
        found.update(way.levels.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def of_levels(levels: Tensor) -> str:
    return hashlib.sha256(levels.contiguous().numpy().tobytes()).hexdigest()[:16]


FOOLED: dict[str, tuple[dict[str, Any], str]] = {
    "default": ({}, "632caf2f62ee16fb"),
    "sign": ({"ascent": Ascent(rule="sign", step_size=1 / 64)}, "dc9b316f62ac80fe"),
    "sign in noise": (
        {"ascent": Ascent(rule="sign", step_size=1 / 64, noise=0.25)},
        "375bf0e02e346b19",
    ),
    "adam": ({"ascent": Ascent(rule="adam", step_size=1 / 64)}, "a9e0701df60755fc"),
    "polyak": ({"ascent": Ascent(rule="polyak")}, "8af4d0d56bcb1357"),
    "momentum in noise": ({"ascent": Ascent(noise=0.25, momentum=0.9)}, "882bd18fae6fb022"),
    "several confidences": (
        {"confidence": (0.5, 0.9, 0.99), "chunk": 4},
        "5797a036cc3074b4",
    ),
    "every step": ({"trajectory": True, "chunk": 4}, "156df6f7bfa9be86"),
    "some steps": ({"trajectory": (0, 2, 9), "ascent": Ascent(rule="sign")}, "167e803f9873e1c4"),
    "out of steps": ({"steps": 3}, "28ca99c4f2b9e55a"),
    "no steps": ({"steps": 0, "trajectory": True}, "5a318a3153eac818"),
    "squares": ({"start": "squares", "objective": "margin"}, "2a5db60c2a51b809"),
    "other bounds": (
        {"bounds": (-1, 3), "start": "gaussian", "objective": "logit"},
        "84ed498a5750c3fc",
    ),
    "images of one's own": (
        {"start": torch.linspace(0, 1, 16).reshape(1, *SHAPE)},
        "b0131ecbe21e163b",
    ),
    "another seed": (
        {"seed": 5, "start": "smooth", "objective": "log_probability"},
        "08c6e42853fd0d34",
    ),
}


@pytest.mark.parametrize("name", FOOLED)
def test_images_that_fool_are_what_they_were(name, monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    options, expected = FOOLED[name]
    result = fool(Whole(), range(3), **{"count": 4, "confidence": 0.9, "steps": 60} | options)
    assert digest(result) == expected


def test_images_without_a_gradient_are_what_they_were(monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoGradientWarning)
        result = fool(Rounding(), range(3), count=4, steps=20, confidence=0.9)
    assert result.stalled.any()
    assert digest(result) == "d9753aa3bda2a6a2"


def test_colour_images_are_what_they_were(monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    result = fool(Whole((3, 5, 4)), range(3), count=3, chunk=2)
    assert digest(result) == "c060fcfa3dfa3d4f"


SCHEDULED = Ascent(
    rule="sign",
    momentum=0,
    step_size=0.125,
    noise=1,
    schedule=Schedule(steps=8, least_noise=0.125, noise_power=1.5),
)


@pytest.mark.parametrize(
    ("network", "ascent", "expected"),
    [
        (Whole, Ascent(), "69a94573ab3a689e"),
        (Whole, Ascent(rule="adam", noise=0.25), "437450ab8cf1f1c6"),
        (Listening, Ascent(rule="adam", noise=0.25), "c2ac2a050dab4abd"),
        (Whole, SCHEDULED, "cdf18cc7c8a222d6"),
        (Listening, SCHEDULED, "e9bb45818922d772"),
    ],
)
def test_images_that_climb_on_are_what_they_were(network, ascent, expected, monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    start = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
    levels = climb(
        network(),
        start,
        [0, 1, 2, 0, 1, 2],
        ascent,
        steps=3,
        begun=torch.tensor([0, 1, 2, 3, 5, 7]),
        seed=3,
    )
    assert of_levels(levels) == expected


DRAWN: dict[str, tuple[dict[str, Any], str]] = {
    "as usual": ({}, "0cf73b3d804dc86c"),
    "as they come": ({"polish": None, "accepted": None}, "262ec26ce55c7542"),
    "never accepted": ({"accepted": 0.9999, "trajectory": True, "chunk": 4}, "f9b8c8ed2f5ad28c"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_images_are_what_they_were(name, monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    options, expected = DRAWN[name]
    assert digest(draw(Listening(), range(3), count=3, **options)) == expected
