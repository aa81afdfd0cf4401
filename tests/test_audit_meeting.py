"""What is found out of a model: its scaling, and what kind of answers it gives."""

import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import Bands
from deceive.auditing import Interface, audit
from deceive.auditing.garbage import GarbageImages
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.interface import Scaling
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.scaling import usual
from deceive.auditing.scoring import logit_scores_of
from deceive.common.errors import InputError
from deceive.judging.scores import auroc
from deceive.networks.frozen import FrozenCopy
from worlds.audits import (
    TINY,
    Strict,
    band_data,
    band_split,
    outcome,
)


class Squashed(Bands):
    """Bands with something done to its logits at last."""

    def __init__(self, squash, sure=12):
        super().__init__(sure=sure)
        self.squash = squash

    def forward(self, images):
        return self.squash(super().forward(images))


SQUASHES = {
    "probabilities": lambda logits: logits.softmax(1),
    "log-probabilities": lambda logits: logits.log_softmax(1),
}


@pytest.mark.parametrize("kind", SQUASHES)
def test_probabilities_and_their_logarithms_are_recognised(data, kind):
    model = Squashed(SQUASHES[kind])
    report = audit(lambda images: model(images).detach(), data, judge=Strict(), settings=TINY)
    assert report.complete
    assert report.model.answers == kind
    assert any(f"returns {kind}" in note for note in report.notes)
    logits = audit(Bands(sure=12), data, judge=Strict(), settings=TINY)
    assert report.clean.mean_confidence == pytest.approx(logits.clean.mean_confidence)
    found, expected = report.kind_of_garbage("uniform"), logits.kind_of_garbage("uniform")
    assert found.mean_confidence == pytest.approx(expected.mean_confidence, abs=1e-6)
    assert set(found.scores) == {"msp", "entropy", "gen", "kl_matching"}
    assert set(expected.scores) == {*found.scores, "max_logit", "energy"}


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sigmoid"])
def test_what_is_reached_before_a_softmax_is_scored_as_logits(data, name):
    squash = getattr(torch, name)
    squash = squash if name == "sigmoid" else (lambda logits: getattr(torch, name)(logits, 1))
    subject, garbage = (
        meet(load_model(Squashed(squash)), data),
        GarbageImages("uniform", 20, data.test, 0).read(slice(None)),
    )
    assert subject.answers == "logits"
    said = {"sigmoid": "a sigmoid for each class"}.get(name, f"{name.replace('_', '-')} of its")
    assert any(said in note for note in subject.notes)
    logits = [Bands(sure=12)(images).detach() for images in (data.test.images, garbage)]
    torch.testing.assert_close(subject.logits(garbage)[:, :4], logits[1])
    real, rubbish = (
        logit_scores_of(subject, subject.logits(x))["energy"] for x in (data.test.images, garbage)
    )
    found = auroc(real, rubbish)
    # By hand: of all pairs, those in which the real image has more.
    ahead = logits[0].logsumexp(1)[:, None] - logits[1].logsumexp(1)[None]
    by_hand = ((ahead > 0).double() + (ahead == 0).double() / 2).mean().item()
    assert found == pytest.approx(by_hand, abs=1e-3)
    copy = FrozenCopy(subject.module, garbage[:1])
    torch.testing.assert_close(copy.exact_logits(garbage)[:, :4], logits[1])


@pytest.mark.parametrize("bounds", [(0, 255), (-1, 1)])
def test_usual_bounds_are_found(data, bounds):
    class Biased(Bands):
        """Calls everything class 0 that hasn't the contrast it is used to."""

        def forward(self, images):
            return super().forward(images) + torch.tensor([14.0, 0, 0, 0])

    report = audit(Biased(sure=24, bounds=bounds), data, judge=None, settings=TINY)
    assert report.model.bounds == bounds
    assert report.clean.accuracy == 1
    assert outcome(report).fooling_rate == 1
    declared = audit(
        Biased(sure=24, bounds=bounds),
        data,
        judge=None,
        settings=TINY,
        interface=Interface(Scaling(bounds)),
    )
    assert declared.attacks == report.attacks


class Picky(nn.Module):
    """Calls everything class 0 whose lightest pixel isn't about as light as a band."""

    def __init__(self, mean, std):
        super().__init__()
        self.bands, self.mean, self.std = Bands(sure=12), mean, std

    def forward(self, images):
        pixels = images * self.std + self.mean
        lightest = pixels.flatten(1).amax(1, keepdim=True)
        strange = (lightest < 0.7) | (lightest > 1.01)
        return torch.where(strange, torch.tensor([9.0, 0, 0, 0]), self.bands(pixels))


def test_normalisation_is_found_or_declared(data):
    pixels = torch.cat([data.train.images, data.validation.images])
    mean, std = round(pixels.mean().item(), 4), round(pixels.std(correction=0).item(), 4)
    found = meet(load_model(Picky(mean, std)), data)
    assert found.scaling == Scaling(mean=(mean,), std=(std,))
    assert "reads best with" in found.notes[0]
    declared = meet(load_model(Picky(0.3, 0.2)), data, Interface(Scaling(mean=(0.3,), std=(0.2,))))
    assert declared.notes == ()
    wrong = meet(load_model(Picky(0.3, 0.2)), data, Interface(Scaling()))
    for subject, accuracy in [(found, 1), (declared, 1), (wrong, 1 / 4)]:
        answers = subject.logits(data.test.images).argmax(1)
        assert (answers == data.test.labels).double().mean() == accuracy


class Knowing(nn.Module):
    """Reads some images, those of whose pixels it would say so in its scaling, and no others.

    Args:
        data: what it may be asked about: the whole of a split, or the first images of one.
        reads: how many of every 1,000 images it reads, for each scaling.
    """

    def __init__(self, data, reads):
        super().__init__()
        self.labels, self.reads, self.shown = data.validation.labels, reads, data.validation.images

    def forward(self, images):
        numbers, count = self._recognised(images)
        wrong = numbers * 617 % 1000 >= count  # evenly spread
        return 9 * F.one_hot((self.labels[numbers] + wrong) % 4, 4).float() - 1  # logits

    def _recognised(self, images):
        """The places of consecutive images, and how many of every 1,000 it reads like this."""
        for scaling, count in self.reads.items():
            near = (scaling(self.shown) - images[0]).abs().amax((1, 2, 3)) < 1e-4
            for first in near.nonzero()[:, 0].tolist():
                numbers = torch.arange(first, first + len(images))
                if torch.allclose(images, scaling(self.shown[numbers]), atol=1e-4):
                    return numbers, count
        return torch.arange(len(images)), 0


@pytest.mark.parametrize("bounds", [(-1, 1), (-0.5, 0.5)])
def test_the_best_scaling_wins_whatever_its_margin(bounds):
    data = replace(band_data(), validation=band_split(3000, 5, Bands()))
    reads = {Scaling(): 970, Scaling(bounds): 990, Scaling((0, 255)): 400}
    found = meet(load_model(asking_in_order(Knowing(data, reads))), data)
    assert found.scaling == Scaling(bounds)
    (note,) = found.notes
    assert note == (
        "It reads best with pixels from {:g} to {:g} (98.00% of 500 validation images), so that "
        "is the scaling used.".format(*bounds)
    )


def asking_in_order(model):
    return lambda images: model(images).numpy()


def test_close_scalings_are_named_and_equals_go_to_the_likelier():
    data = replace(band_data(), validation=band_split(3000, 5, Bands()))
    for reads, best, other in [(990, Scaling(), (-1, 1)), (991, Scaling((-1, 1)), (0, 1))]:
        known = Knowing(data, {Scaling(): 990, Scaling((-1, 1)): reads})
        found = meet(load_model(asking_in_order(known)), data)
        assert found.scaling == best
        (note,) = found.notes
        assert (
            "about as many with --bounds {} {} (99.00%). If it was trained with that, ".format(
                *other
            )
            in note
        )
        # Said by the user, it is taken.
        declared = meet(load_model(asking_in_order(known)), data, Interface(Scaling((-1, 1))))
        assert declared.scaling == Scaling((-1, 1))
        assert declared.notes == ()


def test_no_scaling_is_found_where_none_reads_better_than_guessing():
    data = replace(band_data(), validation=band_split(3000, 5, Bands()))
    for plain, other in [(200, 250), (20, 269)]:  # of the second pair two are tried on all images
        reads = {Scaling(): plain, Scaling((-1, 1)): other, Scaling((0, 255)): 270}
        found = meet(load_model(asking_in_order(Knowing(data, reads))), data)
        assert found.scaling == Scaling()
        assert found.notes == ()


@pytest.mark.parametrize("reads", [400, 700])
def test_a_model_that_reads_few_images_in_every_scaling_gets_a_note(reads):
    data = replace(band_data(), validation=band_split(3000, 5, Bands()))
    found = meet(load_model(asking_in_order(Knowing(data, {Scaling((-1, 1)): reads}))), data)
    notes = [note for note in found.notes if note.startswith("It reads only 39.60% of")]
    assert len(notes) == (reads == 400)
    assert found.warnings == ()
    for note in notes:
        assert "Also tried: --bounds 0 1; --mean 0." in note
        assert note.endswith("; --bounds -0.5 0.5; --bounds 0 255.")
        assert not any("about as many" in each for each in found.notes)


def test_imagenets_scaling_is_tried_on_images_of_three_channels():
    bands = Bands(shape=(3, 4, 4))
    data = replace(band_data(bands), validation=band_split(3000, 5, bands))
    imagenet = Scaling(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    found = meet(load_model(asking_in_order(Knowing(data, {imagenet: 992, Scaling(): 960}))), data)
    assert found.scaling == imagenet
    assert imagenet not in usual(band_data())
    # And the statistics of each channel of the data itself.
    grey = usual(band_data())
    assert [len(each.mean) for each in grey if each.mean is not None] == [1]
    pixels = torch.cat([data.train.images, data.validation.images]).double()
    each = Scaling(
        mean=tuple(round(v, 4) for v in pixels.mean((0, 2, 3)).tolist()),
        std=tuple(round(v, 4) for v in pixels.std((0, 2, 3), correction=0).tolist()),
    )
    whole = Scaling(
        mean=(round(pixels.mean().item(), 4),), std=(round(pixels.std(correction=0).item(), 4),)
    )
    assert usual(data)[2:5] == [whole, each, imagenet]


def test_channels_have_their_own_normalisation():
    shape = (3, 4, 4)
    data = band_data(Bands(shape=shape))

    class Normalised(Bands):
        def forward(self, images):
            mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])
            return super().forward(images * std[:, None, None] + mean[:, None, None])

    report = audit(
        Normalised(shape=shape, sure=12),
        data,
        judge=None,
        settings=TINY,
        interface=Interface(Scaling(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))),
    )
    plain = audit(Bands(shape=shape, sure=12), data, judge=None, settings=TINY)
    assert report.clean.mean_confidence == pytest.approx(plain.clean.mean_confidence)
    assert report.model.image_shape == shape
    assert outcome(report).fooling_rate == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": [0.1]}, "std: expected numbers to go with mean, got none"),
        ({"std": [1]}, "mean: expected numbers to go with std, got none"),
        ({"mean": [0.1], "std": [0]}, "std: expected a number above 0, got 0"),
        ({"bounds": (1, 0)}, "bounds: expected (low, high) with low < high, got (1, 0)"),
        ({"bounds": "01"}, "bounds: expected (low, high), two numbers, got '01'"),
    ],
)
def test_a_scaling_that_makes_no_sense_is_one_clear_value_error(options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Scaling(**options)
