import pytest
import torch

from conftest import Bands, NaNAfter
from deceive.auditing.black_box import search_black_box
from deceive.auditing.proposers import SEARCHES
from deceive.common.errors import InputError
from deceive.common.levels import from_levels
from deceive.networks.inference import logits_of

TARGETS = torch.arange(4)
SHAPE = (1, 4, 4)


def run(method, model=None, **options):
    model = model or Bands()
    settings = {"thresholds": [0.9, 0.99], "budgets": [30, 100, 1000]} | options
    return search_black_box(
        method, lambda images: logits_of(model, images), TARGETS, SHAPE, **settings
    )


@pytest.mark.parametrize("method", SEARCHES)
def test_every_search_gets_there(method, untouched_rng):
    found = run(method)
    first, second = found.passed
    assert first.fooled.all()
    assert second.fooled.all()
    assert (first.queries <= second.queries).all()
    for threshold, passed in zip([0.9, 0.99], found.passed, strict=True):
        # As a PNG holds it, and asked about alone.
        for image, target, said in zip(passed.levels, TARGETS, passed.confidence, strict=True):
            with torch.no_grad():
                logits = Bands()(from_levels(image[None]))
            confidence = logits.softmax(1)[0, target].item()
            assert confidence == pytest.approx(said.item(), abs=1e-6)
            assert confidence >= threshold
    # Ever surer, up to the summit.
    assert (found.confidence.diff(dim=0) >= 0).all()
    assert found.confidence[-1].max() <= Bands().summit + 1e-6
    assert found.levels.shape == (3, 4, *SHAPE)


@pytest.mark.parametrize("method", SEARCHES)
def test_beyond_the_summit_nothing_gets_there(method):
    (passed,) = run(method, Bands(sure=3), thresholds=[0.95], budgets=[300]).passed
    assert not passed.fooled.any()
    assert passed.confidence.max() <= Bands(sure=3).summit + 1e-6
    assert (passed.confidence > 0.7).all()  # but the best there is is given


@pytest.mark.parametrize("method", SEARCHES)
def test_the_budget_is_kept(method):
    asked = 0

    def model(images):
        nonlocal asked
        asked += len(images)
        return logits_of(Bands(sure=3), images)

    found = search_black_box(method, model, TARGETS, SHAPE, thresholds=[0.99], budgets=[30, 100])
    assert asked <= 4 * 100
    assert asked > 4 * 80
    assert (found.passed[0].queries <= 100).all()


@pytest.mark.parametrize("method", SEARCHES)
def test_the_seed_decides(method):
    one, same, other = (run(method, budgets=[50], seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.levels, same.levels)
    assert not torch.equal(one.levels, other.levels)


def test_who_is_certain_is_left_alone():
    found = run("squares", Bands(sure=60), budgets=[30, 10**9])
    assert (found.confidence[-1] >= 1 - 1e-6).all()


def test_progress_is_told():
    told = []
    run("squares", budgets=[30], callback=lambda *now: told.append(now))
    assert told == [(n, 30) for n in range(1, 31)]


def test_nan_is_one_clear_value_error():
    model = NaNAfter(5)
    with pytest.raises(InputError, match="expected finite logits"):
        search_black_box("squares", model, TARGETS, SHAPE, thresholds=[0.99], budgets=[30])


def test_an_unknown_method():
    with pytest.raises(InputError, match="method: expected one of squares, low-frequency"):
        run("grid")
