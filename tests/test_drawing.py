"""Drawing, with networks whose certainty is known."""

import pytest
import torch
from torch import nn

from deceive.common.errors import InputError
from deceive.common.levels import from_levels
from deceive.fooling.ascent import Ascent, Schedule
from deceive.fooling.attempts import Drawing
from deceive.fooling.drawing import POLISH, SOFT_POLISH, SOFT_SUBSTEPS, draw
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy

# Steps so small that an image stays about where it began.
STILL = Ascent(rule="sign", step_size=1e-6, schedule=Schedule(steps=2))
ACCEPTED = 0.6


class Halves(nn.Module):
    """Two classes, a brighter left or right half; it hears noise, and remembers what it heard."""

    hears_noise = True

    def __init__(self):
        super().__init__()
        self.image_shape = (1, 4, 4)
        self.weight = nn.Parameter(torch.tensor(4.0))
        self.heard = []

    def forward(self, images, noise=None):
        left, right = images.split(2, dim=3)
        by = self.weight * (left - right).mean((1, 2, 3))
        if noise is not None:
            self.heard.append(noise)
        return torch.stack([by, -by], 1)

    def __deepcopy__(self, memo):
        return self  # so that it can be asked what it heard

    def believed(self, drawn):
        logits = self(from_levels(drawn.levels)).detach()
        return logits.softmax(1).gather(1, drawn.targets[:, None])[:, 0]


def test_it_is_the_same_however_many_there_are():
    for network, accepted in (
        (Classifier("draw", 5, (1, 8, 8)).eval(), None),
        (Halves(), ACCEPTED),
    ):
        ascent = STILL.model_copy(update={"noise": 0.1})
        many = draw(network, [1], count=9, accepted=accepted, ascent=ascent)
        few = draw(network, [1], count=5, accepted=accepted, ascent=ascent, chunk=2)
        assert torch.equal(many.levels[:5], few.levels)
        assert many.steps.tolist() == [2 + POLISH.schedule.steps] * 9


def test_what_is_not_accepted_is_drawn_again_and_the_best_is_taken():
    network = Halves()
    once = draw(network, [0, 1], count=100, polish=None, accepted=None, ascent=STILL)
    before = network.believed(once)
    assert 0.3 < (before < ACCEPTED).double().mean() < 0.9
    for attempts in (1, 2, 4):
        # Asked about images as they are, so that its answers are known.
        drawing = Drawing(FrozenCopy(network, once.images[:1]), [STILL], in_noise=0)
        drawn = drawing.best(once.targets, "uniform", 0, accepted=ACCEPTED, attempts=attempts)
        after = network.believed(drawn)
        assert torch.equal(drawn.targets, once.targets)
        assert (after >= before).all()
        same = (drawn.levels == once.levels).flatten(1).all(1)
        assert torch.equal(same, (after == before))
        assert same[before >= ACCEPTED].all()
        # Each attempt has the chance of the first.
        chance = (before < ACCEPTED).double().mean().item()
        assert (after < ACCEPTED).double().mean().item() == pytest.approx(chance**attempts, abs=0.1)
    assert len(drawn.levels.flatten(1).unique(dim=0)) == 200


def test_images_of_ones_own_keep_their_places():
    network, start = Halves(), torch.rand(6, 1, 4, 4)
    drawn = draw(network, [0, 1], count=3, start=start, polish=None, ascent=STILL)
    assert (drawn.images - start).abs().max() < 1 / 255
    grey = torch.full((1, 1, 4, 4), 0.5)
    drawn = draw(network, [0, 1], count=3, start=grey, polish=None, ascent=STILL)
    assert (drawn.images - grey).abs().max() < 1 / 255


def test_it_is_asked_in_noise_and_told_so():
    network = Halves()
    draw(network, [0, 1], count=10, attempts=1, ascent=STILL)
    *climbed, last = network.heard
    before, after = climbed[:2], climbed[2:]  # a step each
    assert all((noise == 0).all() for noise in before)
    assert len(after) == POLISH.schedule.steps
    taken = torch.arange(POLISH.schedule.steps)
    for noise, expected in zip(after, POLISH.noise_after(taken), strict=True):
        assert (noise == expected).all()
    assert last.tolist() == pytest.approx([0.3] * 20)


@pytest.mark.parametrize(("softness", "usual"), [(0, POLISH), (3, SOFT_POLISH)])
def test_polishing_suits_the_ascent(softness, usual):
    ascent = STILL.model_copy(update={"softness": softness})
    levels = [
        draw(Halves(), [0, 1], count=9, accepted=None, ascent=ascent, **how).levels
        for how in ({}, {"polish": usual}, {"polish": POLISH}, {"polish": SOFT_POLISH})
    ]
    assert torch.equal(levels[0], levels[1])
    assert not torch.equal(levels[2], levels[3])
    message = "polish: expected an Ascent, a number of steps, 'auto' or None, got 'none'"
    with pytest.raises(InputError, match=message):
        draw(Halves(), [0, 1], polish="none", ascent=ascent)
    with pytest.raises(InputError, match="polish: expected a whole number of at least 0, got -1"):
        draw(Halves(), [0, 1], polish=-1, ascent=ascent)


@pytest.mark.parametrize(("softness", "usual"), [(0, POLISH), (3, SOFT_POLISH)])
def test_a_number_of_polishing_steps(softness, usual):
    ascent = STILL.model_copy(update={"softness": softness})
    by_number, by_ascent, usually, never, without = (
        draw(Halves(), [0, 1], count=9, accepted=None, ascent=ascent, substeps=1, polish=polish)
        for polish in (
            4,
            Ascent(**usual.settings_with({"schedule": {"steps": 4}})),
            usual.schedule.steps,
            0,
            None,
        )
    )
    assert by_number.steps.tolist() == [2 + 4] * 18
    assert torch.equal(by_number.levels, by_ascent.levels)
    assert usually.steps.tolist() == [2 + usual.schedule.steps] * 18
    assert never.steps.tolist() == [2] * 18
    assert torch.equal(never.levels, without.levels)


@pytest.mark.parametrize(("softness", "usual"), [(0, 1), (3, SOFT_SUBSTEPS)])
def test_steps_are_divided_where_they_are_soft(softness, usual):
    ascent = STILL.model_copy(update={"softness": softness, "step_size": 0.1})
    plain = {"polish": None, "accepted": None}
    drawn = {
        substeps: draw(Halves(), [0, 1], count=9, ascent=ascent, substeps=substeps, **plain)
        for substeps in (None, 1, SOFT_SUBSTEPS)
    }
    assert drawn[1].steps.tolist() == [2] * 18
    assert drawn[SOFT_SUBSTEPS].steps.tolist() == [8] * 18
    assert torch.equal(drawn[None].levels, drawn[usual].levels)
    with pytest.raises(InputError, match="substeps: expected a whole number of at least 1, got 0"):
        draw(Halves(), [0, 1], substeps=0)
    with pytest.raises(InputError, match="substeps: expected a whole number below 1,000, got 999"):
        draw(Halves(), [0, 1], substeps=999_999_999)


def test_a_divided_step_goes_as_far():
    ascent = STILL.model_copy(update={"step_size": 0.1})
    one, many = (
        draw(
            Halves(), [0, 1], start="blank", ascent=ascent, substeps=n, polish=None, accepted=None
        ).images.amax()
        for n in (1, 10)
    )
    assert one > 0.1
    # Steps fall in proportion to what is left of the schedule: 0.1 × (1 + 1/2) against
    # 0.01 × (1 + 19/20 + … + 1/20).
    assert many.item() == pytest.approx(one.item() * 1.05 / 1.5, abs=1 / 255)


def test_polishing_goes_on_from_there():
    network = Halves()
    rough, polished = (
        draw(network, [0, 1], count=9, polish=polish, accepted=None, ascent=STILL)
        for polish in (None, POLISH)
    )
    moved = (polished.images - rough.images).abs()
    assert 0 < moved.mean() < 0.03
    assert (network.believed(polished) > network.believed(rough)).all()


def test_the_way_is_that_of_the_attempt_that_is_taken():
    drawn = draw(Halves(), [0, 1], count=20, accepted=ACCEPTED, ascent=STILL, trajectory=True)
    for levels, way in zip(drawn.levels, drawn.trajectories, strict=True):
        assert torch.equal(way.levels[-1], levels)
        assert len(way.levels) == len(way.confidence) == 1 + 2 + POLISH.schedule.steps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ascent": Ascent()}, "ascent: expected one with a schedule, got none"),
        ({"polish": Ascent()}, "polish: expected one with a schedule, got none"),
        ({"accepted": 1}, "accepted: expected a number above 0 and below 1, got 1"),
        ({"attempts": 0}, "attempts: expected a whole number of at least 1, got 0"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(InputError, match=message):
        draw(Halves(), **{"targets": 0, "ascent": STILL} | options)
