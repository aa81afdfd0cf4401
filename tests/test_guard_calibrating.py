"""How a guarded network is fitted to real images."""

import math
from dataclasses import replace

import pytest
import torch

from deceive.guarding.calibrating import Said, calibration_of
from deceive.networks.guarded import opinion_of_both

N, K = 4000, 5


def said(*, right: float = 1.0, guard_right: float = 1.0, sure: float = 6.0, seed: int = 0) -> Said:
    """What a guard and a classifier say, each right about a share of the images."""
    generator = torch.Generator().manual_seed(seed)

    def opinion(share: float) -> torch.Tensor:
        logits = torch.randn(N, K, generator=generator, dtype=torch.float64)
        chosen = torch.where(torch.rand(N, generator=generator) < share, labels, (labels + 1) % K)
        return logits + sure * torch.nn.functional.one_hot(chosen, K)

    labels = torch.arange(N) % K
    rubbish = torch.randn(N, 1, generator=generator, dtype=torch.float64)
    return Said(torch.cat([opinion(guard_right), rubbish], 1), opinion(right), labels)


def probabilities(heard: Said, found, doubt: float = 0.0005) -> torch.Tensor:
    """What the network that is set so says, (N, K + 1)."""
    classes = opinion_of_both(
        heard.guard[:, :-1], heard.reader * found.power, doubt, found.guard_doubt
    )
    rubbish = heard.guard[:, -1:] + found.expected
    if heard.detector is not None:
        whole = heard.guard[:, :-1].logsumexp(1, keepdim=True)
        rubbish = torch.logaddexp(rubbish, whole - heard.detector[:, None])
    return torch.cat([classes, rubbish], 1).softmax(1)


@pytest.mark.parametrize("keep", [0.8, 0.95])
def test_the_share_asked_for_passes(keep):
    heard = said()
    found = calibration_of(heard, keep=keep, confidence=0.99, doubt=0.0005)
    passes = probabilities(heard, found)[:, :-1].amax(1) >= found.threshold
    assert found.threshold == 0.99
    assert keep <= found.kept <= keep + 3 * math.sqrt(keep * (1 - keep) / N)
    assert found.kept == pytest.approx(passes.double().mean().item())


def test_a_classifier_that_is_often_wrong_is_not_made_surer_than_it_deserves():
    heard = said(right=0.8, guard_right=0.8, sure=3.0)
    found = calibration_of(heard, keep=0.95, confidence=0.99, doubt=0.0005)
    assert found.threshold < 0.9
    assert 0.95 <= found.kept < 0.97
    sure = (heard.reader * found.power).softmax(1).amax(1).mean()
    assert sure == pytest.approx(found.reader_accuracy, abs=0.1)  # roughly calibrated


def test_a_guard_that_reads_badly_leaves_the_choice_to_the_classifier():
    heard = said(right=0.995, guard_right=0.6)
    found = calibration_of(heard, keep=0.9, confidence=0.99, doubt=0.0005)
    assert found.guard_doubt > 0
    assert found.accuracy >= found.reader_accuracy - 0.001


def test_a_guard_of_any_class_has_no_say_in_which():
    heard = replace(said(right=0.97), of_any_class=True)
    found = calibration_of(heard, keep=0.95, confidence=0.99, doubt=0.0005)
    assert found.guard_doubt == 1
    assert found.accuracy == found.reader_accuracy
    passes = probabilities(heard, found)[:, :-1].amax(1) >= found.threshold
    assert 0.95 <= found.kept < 0.97
    assert found.kept == pytest.approx(passes.double().mean().item())


def test_a_guard_that_reads_well_is_heard():
    found = calibration_of(said(right=0.97), keep=0.95, confidence=0.99, doubt=0.0005)
    assert found.guard_doubt == 0
    assert found.accuracy > 0.99 > found.reader_accuracy


def test_a_classifier_that_is_always_right_and_certain_is_fitted_too():
    heard = said()
    certain = 1e5 * torch.nn.functional.one_hot(heard.labels, K).double()
    heard = Said(heard.guard, certain, heard.labels)
    found = calibration_of(heard, keep=0.95, confidence=0.99, doubt=0.0005)
    assert (found.reader_accuracy, found.threshold) == (1, 0.99)
    assert math.isfinite(found.power)
    assert 0.95 <= found.kept < 0.97


def test_a_detector_is_taken_into_account():
    heard = said()
    heard = Said(
        heard.guard, heard.reader, heard.labels, torch.full((N,), 7.0, dtype=torch.float64)
    )
    found = calibration_of(heard, keep=0.95, confidence=0.99, doubt=0.0005)
    assert found.threshold == 0.99
    assert 0.95 <= found.kept < 0.97
    doubtful = Said(
        heard.guard, heard.reader, heard.labels, torch.full((N,), 2.0, dtype=torch.float64)
    )
    # 2 : 1 in logarithms is at most 0.88.
    found = calibration_of(doubtful, keep=0.95, confidence=0.99, doubt=0.0005)
    assert found.threshold < 0.88
    assert found.kept >= 0.95
