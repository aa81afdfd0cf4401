"""The contest of guarded classifiers: its attacks and its table."""

import pytest
import torch
from benchmarks.contests import guarding
from benchmarks.contests.guarding.adaptive import climbed, log_odds
from torch import nn

from conftest import Bands

pytestmark = pytest.mark.long


class Behind(nn.Module):
    """Bands, and a last output that is certain of all that is dark in the middle."""

    def __init__(self, bands: Bands) -> None:
        super().__init__()
        self.bands = bands

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rubbish = 4 * (0.5 - images[:, :, 1:3, 1:3].mean((1, 2, 3)))
        return torch.cat([self.bands(images), rubbish[:, None]], 1)


def test_the_attack_finds_the_surest_image_there_is():
    whole, targets = Behind(Bands()), torch.tensor([0, 3])
    start = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    sure, images = climbed(whole, whole, start, targets, 60)
    # Linear in the pixels, so the best image is at a corner: try the likely ones.
    best = torch.stack([whole.bands.best(k).view(1, 4, 4) for k in (0, 3)])
    bright = best.clone()
    bright[:, :, 1:3, 1:3] = 1
    reached = torch.stack(
        [log_odds(whole(each), targets).sigmoid() for each in (best, bright)]
    ).amax(0)
    assert (sure >= reached - 1e-4).all()
    torch.testing.assert_close(log_odds(whole(images), targets).sigmoid(), sure)


def test_an_attack_on_a_part_is_judged_by_the_whole():
    whole, targets = Behind(Bands()), torch.tensor([0, 3])
    start = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    sure, images = climbed(whole, whole.bands, start, targets, 60)
    torch.testing.assert_close(whole(images).softmax(1)[[0, 1], targets], sure)
    both, _ = climbed(whole, whole, start, targets, 60)
    assert (sure <= both + 1e-4).all()


def test_its_table_shows_both_sides():
    side = {
        "accuracy": 0.97,
        "sure": 0.8,
        "own_threshold": 0.9,
        "gibberish": {"uniform": 0.9, "blank": 0.4, "gaussian": None, "smooth": 0.1, "squares": 0.2}
        | {"real": 0.98, "search": 0.6},
        "auroc": {"uniform": 0.98, "squares": 0.8},
    }
    behind = side | {"accuracy": 0.98, "gibberish": dict.fromkeys(side["gibberish"], 0.0)}
    attack = {"start": "noise", "along": "guard and classifier", "way": "restarts", "steps": 2000}
    row = {"name": "mine", "seed": 0, "before": side, "behind": behind}
    attacked = row | {"adaptive": [attack | {"candidates": 20, "fooled": 3, "gibberish": 1}]}
    other = row | {"seed": 1, "before": side | {"accuracy": 0.95}}
    facts = {"date": "", "processor": "", "cores": 2, "threads": 1, "load_average_at_start": 0}
    facts |= {"working_dtype": "float32", "versions": {"torch": "2"}}
    plan = {"seeds": 2, "candidates": 50}
    text = guarding.table({"facts": facts, "plan": plan, "rows": [attacked, other]})
    lines = text.splitlines()
    assert any("| mine | before | 96.00% (95.00 to 97.00)" in line for line in lines)
    assert any(line.startswith("|  | behind | 98.00% | 80.00% | 0.00%") for line in lines)
    assert "2,000, restarts | 3 of 20 | 1 of 20 |" in text
