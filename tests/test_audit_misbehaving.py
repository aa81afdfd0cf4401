"""Audits of models that misbehave."""

import re

import pytest
import torch
from torch import nn

from conftest import Bands
from deceive.auditing import Interface, audit
from deceive.auditing.models.interface import Scaling
from deceive.auditing.verdict import verdict
from deceive.common.errors import InputError, WriteError
from worlds.audits import (
    TINY,
    Glaring,
    Strict,
    broken,
    crashing,
    outcome,
)


@pytest.mark.parametrize("black", [False, True])
def test_a_model_that_works_in_place_is_audited_like_one_that_does_not(data, black):
    def normalised(images):
        array = images.numpy()
        array -= 0.5  # in the very memory that it was given
        array *= 2
        return Bands(sure=12)(torch.from_numpy(array)).detach()

    class InPlace(Bands):
        def forward(self, images):
            return super().forward(images.sub_(0.5).mul_(2))

    class Apart(Bands):
        def forward(self, images):
            return super().forward((images - 0.5) * 2)

    before = data.test.images.clone()
    apart = Apart(sure=12)
    options = {"judge": Strict(), "settings": TINY, "interface": Interface(Scaling())}
    found = audit(normalised if black else InPlace(sure=12), data, **options)
    expected = audit((lambda x: apart(x).detach()) if black else apart, data, **options)
    assert torch.equal(data.test.images, before)
    assert found.complete
    assert (found.clean, found.attacks) == (expected.clean, expected.attacks)


def test_nan_on_garbage_is_counted_and_said(data):
    report = audit(Glaring(broken), data, judge=Strict(), settings=TINY)
    assert report.clean.accuracy == 1
    assert not report.complete
    noise = report.kind_of_garbage("uniform")
    assert noise.not_finite > 10
    assert report.kind_of_garbage("permuted").not_finite == 0
    assert any("NaN" in failure.reason for failure in report.failures)
    assert "of uniform noise with NaN" in " ".join(verdict(report))
    # What it lived through is there.
    assert {"blank"} <= {attack.start for attack in report.attacks}


def test_a_crash_is_said_and_the_rest_is_done(data):
    report = audit(Glaring(crashing), data, judge=Strict(), settings=TINY)
    assert not report.complete
    assert report.missing == []
    reasons = {failure.part: failure.reason for failure in report.failures}
    assert "no light, please" in reasons["garbage: uniform"]
    assert "second line" not in reasons["garbage: uniform"].splitlines()[1:]
    assert report.kind_of_garbage("permuted").mean_confidence > 0
    assert verdict(report)[0].startswith("It failed in")


def test_arrays_that_were_damaged_meanwhile_are_not_the_models_failure(data, tmp_path):
    class Damaging(Bands):
        def forward(self, images):
            if len(images) == TINY.garbage_images:
                (tmp_path / "arrays/scores-test.npz").write_bytes(b"rubbish")
            return super().forward(images)

    with pytest.raises(InputError, match=r"scores-test\.npz: expected arrays; "):
        audit(Damaging(sure=12), data, judge=None, settings=TINY, out=tmp_path)
    assert "failure" not in (tmp_path / "rows.jsonl").read_text()


def test_without_a_finite_answer_to_real_images_nothing_is_measured(data):
    report = audit(Bands(sure=float("nan")), data, judge=None, settings=TINY)
    assert report.clean is None
    assert report.garbage == []
    assert [failure.part for failure in report.failures] == ["reading real images"]
    assert "finite outputs" in report.failures[0].reason
    # More time would not help, so that nothing is said to wait for it.
    assert report.missing == []
    assert not report.complete
    assert verdict(report) == [
        "It failed on the real images, and everything else is measured against those."
    ]


def test_a_class_at_minus_infinity_is_told_what_to_do_instead(data):
    class Masked(Bands):
        def forward(self, images):
            never = images.new_full((len(images), 1), -torch.inf)
            return torch.cat([super().forward(images), never], 1)

    report = audit(Masked(sure=12), data, judge=None, settings=TINY)
    assert "use a large negative logit, not -inf" in report.failures[0].reason
    assert report.missing == []


def test_a_folder_that_cannot_be_written_to_is_not_the_models_failure(data, tmp_path):
    class Full(Bands):
        """Takes the place of the arrays when it sees garbage for the first time."""

        done = False

        def forward(self, images):
            if len(images) == TINY.garbage_images and not Full.done:
                Full.done = True
                (tmp_path / "out/arrays").rename(tmp_path / "out/gone")
                (tmp_path / "out/arrays").touch()
            return super().forward(images)

    with pytest.raises(WriteError, match="expected a writable path"):
        audit(Full(sure=12), data, judge=None, settings=TINY, out=tmp_path / "out")
    rows = (tmp_path / "out/rows.jsonl").read_text()
    assert "failure" not in rows
    # When there is room again, the same call goes on.
    (tmp_path / "out/arrays").unlink()
    (tmp_path / "out/gone").rename(tmp_path / "out/arrays")
    assert audit(Full(sure=12), data, judge=None, settings=TINY, out=tmp_path / "out").complete


def test_a_masked_gradient_does_not_look_like_resistance(data):
    class Stairs(torch.autograd.Function):
        """The identity, whose gradient points away."""

        @staticmethod
        def forward(ctx, images):
            return images.clone()

        @staticmethod
        def backward(ctx, gradient):
            return -gradient

    class Masked(Bands):
        def forward(self, images):
            return super().forward(Stairs.apply(images))

    report = audit(Masked(sure=12), data, judge=Strict(), settings=TINY)
    assert outcome(report).fooling_rate < 0.2
    assert outcome(report, "black").fooling_rate == 1
    assert report.headline.box == "black"
    assert report.worst_rate == pytest.approx(3 / 4)
    assert "probably masked" in " ".join(verdict(report))


class Levels(nn.Module):
    """Rounds pixels to five levels: its gradient is 0 wherever it is."""

    def forward(self, images):
        return (images * 4).round() / 4


def test_a_gradient_of_zero_does_not_look_like_resistance(data):
    report = audit(nn.Sequential(Levels(), Bands(sure=12)), data, judge=Strict(), settings=TINY)
    assert report.complete
    white, black = (outcome(report, box) for box in ("white", "black"))
    assert white.stalled == pytest.approx(1 - white.fooling_rate)
    assert white.stalled > 0.9
    assert black.stalled is None
    assert report.headline.box == "black"
    (warning,) = report.warnings
    assert re.match(
        r"The gradient vanished \(0, or too small for float32\) for (9\d|100)% of", warning
    )
    assert verdict(report)[0] == warning
    for each in report.attacks:
        assert (each.outcomes[0].stalled is None) == (each.box == "black")


def test_one_that_no_gradient_passes_through_is_a_black_box(data):
    class Cut(Bands):
        def forward(self, images):
            return super().forward(images.detach())

    report = audit(Cut(sure=12), data, judge=Strict(), settings=TINY)
    assert report.complete
    assert not report.model.white_box
    assert [each.box for each in report.headlines] == ["black"]
    assert any("No gradient passes through it" in note for note in report.notes)
    assert {"squares", "low-frequency"} <= {each.name for each in report.attacks}
