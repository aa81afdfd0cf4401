"""How long each section of an audit takes at most, from its settings and the model's pace."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from deceive.auditing.attacks import CHUNK, WAYS
from deceive.auditing.pace import Pace
from deceive.auditing.proposers import SEARCHES, generation
from deceive.auditing.settings import AuditSettings, budgets
from deceive.common.levels import Shape
from deceive.networks.inference import batch_for

Section = Literal["real", "garbage", "gradient", "search"]
"""Real images; garbage that is not optimised; attacks and curves along the gradient; black box."""

_THRESHOLDS = 2


@dataclass(frozen=True)
class Facts:
    """What an estimate needs to know besides the settings."""

    pace: Pace
    shape: Shape
    """(C, H, W) of an image."""
    n_classes: int
    validation: int
    """Validation images that there are."""
    test: int
    """Test images that there are."""
    garbage_kinds: int
    transfers: int
    """Shipped networks whose fooling images are tried on the model."""

    def asked(self, images: int, times: int = 1) -> float:
        """Seconds to ask the model about this many images, so many times."""
        calls = math.ceil(images / batch_for(self.shape))
        return times * self.pace.question.of(calls, images)

    def judged(self, images: int) -> float:
        """Seconds to ask all judges about this many images."""
        return self.pace.judges.of(math.ceil(images / batch_for(self.shape)), images)


def real(settings: AuditSettings, facts: Facts) -> float:
    """Seconds for reading real images."""
    validation = min(facts.validation, settings.real_images)
    test = min(facts.test, settings.real_images)
    read = facts.pace.read * (validation + test * (1 + bool(facts.judged(1))))
    return read + facts.asked(validation) + facts.asked(test) + facts.judged(test)


def garbage(settings: AuditSettings, facts: Facts) -> float:
    """Seconds for garbage that is not optimised."""
    count = settings.garbage_images
    return facts.garbage_kinds * (facts.asked(count) + facts.pace.made * count)


def gradient(settings: AuditSettings, facts: Facts) -> float:
    """Seconds for attacks and curves along the gradient, if no candidate is done early."""
    step, total = facts.pace.step, 0.0
    if step is None:
        return total
    chunk = batch_for(facts.shape, CHUNK, gradient=True)

    def climbed(way: str, candidates: int, steps: int) -> float:
        calls = steps * math.ceil(candidates / chunk)
        noisy = facts.pace.question.of(calls, steps * candidates) if way == "smoothed" else 0.0
        return step.of(calls, steps * candidates) + noisy

    for way in settings.ways:
        times = settings.restarts if WAYS[way].fresh else 1
        for start in settings.starts:
            count = settings.candidates
            if start == "blank":
                count = 0 if WAYS[way].fresh else min(facts.n_classes, count)
            checked = _THRESHOLDS * count
            total += times * (climbed(way, count, settings.steps) + facts.asked(checked))
            total += facts.judged(checked)
        if not WAYS[way].fresh and settings.curve_candidates:
            curves = len(settings.starts) if settings.every_curve else 1
            frames = settings.curve_candidates * (len(budgets(settings.steps)) + 1)
            total += curves * climbed(way, settings.curve_candidates, settings.steps)
            total += curves * (facts.asked(frames) + facts.judged(frames))
    return total


def search(settings: AuditSettings, facts: Facts) -> float:
    """Seconds for searches and for images made for other networks."""
    count, total = settings.searched, 0.0
    if not count:
        return total
    for method in methods(settings, white_box=facts.pace.step is not None):
        size = generation(method, facts.shape)
        calls = settings.queries / size * math.ceil(count * size / batch_for(facts.shape))
        total += facts.pace.question.of(calls, count * settings.queries)
        total += facts.judged(count * (len(budgets(settings.queries, least=30)) + _THRESHOLDS))
    return total + facts.transfers * (facts.asked(count) + facts.judged(_THRESHOLDS * count))


def methods(settings: AuditSettings, *, white_box: bool) -> list[str]:
    """The searches to run: every one for a black box or where all are asked for."""
    return [*SEARCHES] if not white_box or settings.every_search else ["squares"]


SECTIONS: Mapping[Section, Callable[[AuditSettings, Facts], float]] = {
    "real": real,
    "garbage": garbage,
    "gradient": gradient,
    "search": search,
}
"""Seconds of each, by name."""


def estimated(settings: AuditSettings, facts: Facts) -> dict[Section, float]:
    """Seconds that each section takes at most."""
    return {name: seconds(settings, facts) for name, seconds in SECTIONS.items()}


def total(settings: AuditSettings, facts: Facts) -> float:
    """Seconds that all sections take together at most."""
    return sum(estimated(settings, facts).values())
