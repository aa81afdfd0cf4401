import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deceive.common.errors import InputError
from deceive.common.plotting import import_matplotlib
from deceive.judging.scores import auroc, calibration_error, fpr_at_tpr, reached_by


def test_auroc_of_known_scores():
    assert auroc(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])) == 1
    assert auroc(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0])) == 0
    assert auroc(torch.tensor([1.0, 3.0]), torch.tensor([2.0])) == 0.5
    assert auroc(torch.tensor([1.0, 2.0]), torch.tensor([1.0])) == pytest.approx(0.75)
    assert auroc(torch.ones(5), torch.ones(7)) == 0.5


@given(st.integers(0, 10_000))
def test_auroc_is_the_chance_to_score_higher(seed):
    generator = torch.Generator().manual_seed(seed)
    inside = torch.randint(-4, 5, (17,), generator=generator).double()
    outside = torch.randint(-4, 5, (23,), generator=generator).double()
    higher = (inside[:, None] > outside).double() + 0.5 * (inside[:, None] == outside).double()
    assert auroc(inside, outside) == pytest.approx(higher.mean().item(), abs=1e-6)
    # Only the order counts, whatever the range.
    assert auroc(inside * 1e6, outside * 1e6) == auroc(inside, outside)


def test_fpr_takes_its_threshold_from_the_held_out_alone():
    held_out = torch.arange(100.0)  # 95 of them reach 5
    assert reached_by(held_out, 0.95) == 5
    assert fpr_at_tpr(held_out, torch.tensor([4.9, 5.0, 7.0, -1.0])) == 0.5
    assert fpr_at_tpr(held_out, torch.full((3,), -1.0)) == 0
    assert reached_by(torch.tensor([0.3]), 0.95) == pytest.approx(0.3)


def test_calibration_error_of_known_confidence():
    # Says 0.8 of all ten, and is right about six of them.
    probabilities = torch.tensor([[0.8, 0.2]]).repeat(10, 1)
    labels = torch.tensor([0] * 6 + [1] * 4)
    assert calibration_error(probabilities, labels) == pytest.approx(0.2, abs=1e-6)
    assert calibration_error(torch.eye(3), torch.arange(3)) == 0


def test_they_agree_with_torchmetrics():
    import_matplotlib()
    from torchmetrics.functional.classification import binary_auroc, multiclass_calibration_error

    generator = torch.Generator().manual_seed(0)
    logits = 8 * torch.randn(500, 4, generator=generator)
    logits[:20, 0] = 1e3  # certain
    probabilities, labels = logits.softmax(1), torch.randint(4, (500,), generator=generator)
    for bins in (1, 10, 15):
        found = multiclass_calibration_error(probabilities, labels, num_classes=4, n_bins=bins)
        assert calibration_error(probabilities, labels, bins) == pytest.approx(found.item())
    confidence = probabilities.amax(1)
    inside, outside = confidence[labels > 0], confidence[labels == 0]
    found = binary_auroc(torch.cat([inside, outside]), torch.arange(500) < len(inside))
    assert auroc(inside, outside) == pytest.approx(found.item(), abs=1e-6)


@pytest.mark.parametrize("scores", [torch.empty(0), torch.tensor([float("nan")]), torch.ones(1, 1)])
def test_no_scores_are_one_clear_value_error(scores):
    with pytest.raises(InputError, match="expected at least 1 score"):
        auroc(scores, torch.ones(1))
    with pytest.raises(InputError, match="expected at least 1 score"):
        fpr_at_tpr(torch.ones(1), scores)
    with pytest.raises(InputError, match="share: expected a number above 0 and below 1"):
        reached_by(torch.ones(2), 1)
