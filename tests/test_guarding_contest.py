"""The contest of guarded classifiers: its attacks and its table."""

import pytest
import torch
from benchmarks.contests import guarding
from benchmarks.contests.guarding.adaptive import climbed, log_odds
from torch import Tensor, nn

from conftest import Bands

NEVER = 1.1  # no confidence is as great


class Behind(nn.Module):
    """Bands, and a last output that is certain of all that is dark in the middle."""

    def __init__(self, bands: Bands) -> None:
        super().__init__()
        self.bands = bands

    def forward(self, images: Tensor) -> Tensor:
        rubbish = 4 * (0.5 - images[:, :, 1:3, 1:3].mean((1, 2, 3)))
        return torch.cat([self.bands(images), rubbish[:, None]], 1)


@pytest.fixture
def whole() -> Behind:
    return Behind(Bands())


@pytest.fixture
def start() -> Tensor:
    return torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))


TARGETS = torch.tensor([0, 3])


def surest(whole: Behind) -> Tensor:
    """The confidence in each target that can be reached."""
    # Linear in the pixels, so the best image is at a corner: try the likely ones.
    best = torch.stack([whole.bands.best(k).view(1, 4, 4) for k in (0, 3)])
    bright = best.clone()
    bright[:, :, 1:3, 1:3] = 1
    tried = [log_odds(whole(each), TARGETS).sigmoid() for each in (best, bright)]
    return torch.stack(tried).amax(0)


def test_the_attack_finds_the_surest_image_there_is(whole, start):
    sure, images = climbed(whole, whole, start, TARGETS, 60, NEVER)
    assert (sure >= surest(whole) - 1e-4).all()
    torch.testing.assert_close(log_odds(whole(images), TARGETS).sigmoid(), sure)


def test_a_candidate_stops_where_the_threshold_is_reached(whole, start):
    begun = whole(start).softmax(1)[[0, 1], TARGETS]
    threshold = (begun.max().item() + surest(whole).min().item()) / 2
    sure, images = climbed(whole, whole, start, TARGETS, 60, threshold)
    assert (sure >= threshold).all()
    assert (sure < surest(whole)).all()
    torch.testing.assert_close(whole(images).softmax(1)[[0, 1], TARGETS], sure)


def test_one_that_has_reached_it_leaves_the_others_as_they_were(whole, start):
    start[0] = whole.bands.best(0).view(1, 4, 4)
    threshold = whole(start).softmax(1)[0, 0].item() - 1e-4
    both, images = climbed(whole, whole, start, TARGETS, 60, threshold)
    alone, image = climbed(whole, whole, start[1:], TARGETS[1:], 60, threshold)
    assert both[0] == pytest.approx(threshold + 1e-4)
    torch.testing.assert_close(images[1:], image)
    torch.testing.assert_close(both[1:], alone)


def test_an_attack_on_a_part_is_judged_by_the_whole(whole, start):
    sure, images = climbed(whole, whole.bands, start, TARGETS, 60, NEVER)
    torch.testing.assert_close(whole(images).softmax(1)[[0, 1], TARGETS], sure)
    both, _ = climbed(whole, whole, start, TARGETS, 60, NEVER)
    assert (sure <= both + 1e-4).all()


def result() -> dict:
    """What the contest might find of one classifier with two seeds, and of a shipped network."""
    side = {
        "accuracy": 0.97,
        "sure": 0.8,
        "own_threshold": 0.9,
        "gibberish": {"uniform": 0.9, "blank": 0.4, "gaussian": None, "smooth": 0.1, "squares": 0.2}
        | {"real": 0.98, "search": 0.6},
        "auroc": {"uniform": 0.98, "squares": 0.8, "optimised": 0.1},
    }
    behind = side | {"accuracy": 0.98, "gibberish": dict.fromkeys(side["gibberish"], 0.0)}
    row = {"name": "mine", "seed": 0, "set": {"passing_accuracy": 0.995}}
    row |= {"before": side, "behind": behind}
    worse = side | {"accuracy": 0.95, "auroc": {"uniform": 0.9, "squares": 0.81}}
    attack = {"name": "mine", "start": "noise", "along": "guard and classifier", "way": "restarts"}
    attack |= {"steps": 2000, "candidates": 20, "fooled": 3, "gibberish": 1}
    facts = {"date": "", "processor": "", "cores": 2, "threads": 1, "load_average_at_start": 0}
    shipped = {"before": {"uniform": 0.5, "squares": 0.6}, "behind": {"uniform": 1, "squares": 1}}
    return {
        "facts": facts | {"working_dtype": "float32", "versions": {"torch": "2"}},
        "plan": {"seeds": 2, "candidates": 50},
        "rows": [row, row | {"seed": 1, "before": worse}],
        "scored": [{"name": "fast", "seed": 0} | shipped],
        "adaptive": [attack],
    }


def test_its_table_shows_both_sides():
    text = guarding.table(result())
    lines = text.splitlines()
    before = (
        "| mine | 2 | before | 96.00% (95.00 to 97.00%) | – | 80.00% | 40.00% | 90.00% | 98.00% |"
    )
    assert any(line.startswith(before) for line in lines)
    assert any(
        line.startswith("|  |  | behind | 98.00% | 99.50% | 80.00% | 0.00%") for line in lines
    )
    assert "2,000, restarts | 3 of 20 | 1 of 20 |" in text


def test_its_table_has_the_least_auroc_of_all_seeds():
    text = guarding.table(result())
    assert "| mine | before | 0.9000 | 0.8000 |" in text
    assert "|  | behind | 0.9800 | 0.8000 |" in text
    assert "| fast | before | 0.5000 | 0.6000 |" in text
    assert "optimised" not in text
