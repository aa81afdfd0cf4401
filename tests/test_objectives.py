import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deceive.fooling.objectives import OBJECTIVES, log_odds, log_probability, logit, margin


@st.composite
def batches(draw):
    """Logits (N, K) in float64 and targets (N,)."""
    n, k = draw(st.integers(1, 5)), draw(st.integers(2, 11))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    logits = torch.randn(n, k, generator=generator, dtype=torch.float64)
    return (
        logits * draw(st.floats(0.01, 8)),
        torch.randint(k, (n,), generator=generator),
    )


def confidence(logits, targets):
    return logits.softmax(1).gather(1, targets[:, None]).squeeze(1)


@given(batches())
def test_log_odds_are_those_of_the_confidence(batch):
    expected = torch.logit(confidence(*batch))
    torch.testing.assert_close(log_odds(*batch), expected, rtol=1e-6, atol=1e-6)


@given(batches())
def test_log_probability_is_that_of_the_confidence(batch):
    torch.testing.assert_close(log_probability(*batch), confidence(*batch).log())


@given(batches())
def test_logit_is_the_targets(batch):
    logits, targets = batch
    assert logit(logits, targets).tolist() == [logits[i, t].item() for i, t in enumerate(targets)]


@given(batches())
def test_margin_is_positive_just_where_the_target_is_the_greatest(batch):
    logits, targets = batch
    assert torch.equal(margin(logits, targets) > 0, logits.argmax(1) == targets)


def test_known_values():
    logits, targets = torch.tensor([[3.0, 1.0, 1.0], [0.0, 5.0, 2.0]]), torch.tensor([0, 2])
    assert logit(logits, targets).tolist() == [3, 2]
    assert margin(logits, targets).tolist() == [2, -3]
    both = torch.zeros(1, 2)
    assert log_odds(both, torch.tensor([1])).item() == 0
    assert log_probability(both, torch.tensor([1])).item() == pytest.approx(-0.693147)


@pytest.mark.parametrize("name", OBJECTIVES)
@given(batch=batches())
def test_one_scalar_an_image_and_images_do_not_mix(name, batch):
    logits, targets = batch
    score = OBJECTIVES[name](logits, targets)
    assert score.shape == targets.shape
    jacobian = torch.autograd.functional.jacobian(lambda v: OBJECTIVES[name](v, targets), logits)
    for i in range(len(targets)):
        for j in range(len(targets)):
            assert (jacobian[i, j] != 0).any() == (i == j)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_grows_with_the_targets_logit(name):
    logits, targets = torch.zeros(1, 3), torch.tensor([1])
    more = logits + torch.tensor([[0.0, 1.0, 0.0]])
    assert OBJECTIVES[name](more, targets) > OBJECTIVES[name](logits, targets)


def test_only_the_gradient_of_log_odds_never_vanishes():
    for sure_of in (0, 1):
        logits = torch.zeros(1, 3).index_fill(1, torch.tensor([sure_of]), 80.0).requires_grad_()
        (gradient,) = torch.autograd.grad(log_odds(logits, torch.tensor([0])).sum(), logits)
        assert gradient[0, 0].item() == 1
        assert gradient[0, 1:].sum().item() == pytest.approx(-1)
    sure = torch.tensor([[80.0, 0, 0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(log_probability(sure, torch.tensor([0])).sum(), sure)
    assert gradient.abs().max() < 1e-30
