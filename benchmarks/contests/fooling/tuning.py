"""Each library's settings, chosen on images that no contest uses."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.contests.fooling.plan import Plan
from benchmarks.peers import Attack, Contestant, Made, Setting
from deceive.cli.screen import log
from deceive.common.levels import from_levels, to_levels
from deceive.fooling.starts import begin
from deceive.networks.guarded import Network
from deceive.networks.inference import confidence_of, logits_of

# Fooling rates that settings are chosen for; the last one asks for none.
LEVELS = (0.99, 0.95, 0.0)


# Who never reaches a level takes part with a setting that comes this near to its best rate.
NEAR = 0.01


# Settings are chosen on these start images; the contests use seeds 0, 1, …
TUNING_SEED = 1000


class Trial(NamedTuple):
    """What came of one setting on the tuning images."""

    setting: Setting
    rate: float
    seconds: float
    """An image."""

    @property
    def pace(self) -> float:
        """Fooling images a second."""
        return self.rate / self.seconds


class Trials(NamedTuple):
    """One library's trials: with the whole budget, with less, and the best over batch sizes."""

    whole: list[Trial]
    shorter: list[Trial]
    final: list[Trial]


def tuned(
    one: Contestant,
    attack: Attack,
    model: Network,
    plan: Plan,
    levels: Sequence[float] = LEVELS,
) -> Trials:
    """Try a library's settings on images that no contest uses.

    Every attack and step size is tried with the whole budget and with short ones, and the four that
    fool most often with those between. Of all these, the best at each level are tried again on more
    images, and the best of those in batches of several sizes.
    """
    images, targets = begun(model, plan.count_tuning, seed=TUNING_SEED)
    more, more_targets = begun(model, plan.count_final, seed=TUNING_SEED + 1)

    def tried(setting: Setting, images: Tensor = images, targets: Tensor = targets) -> Trial:
        made, seconds = timed(attack, images, targets, setting)
        rate = fooling(model, made.images, targets, plan.confidence).double().mean().item()
        log.print(f"{one.name} {setting}: {rate:.1%} in {seconds:.2f} s")
        return Trial(setting, rate, seconds / len(images))

    kinds = [(name, size) for name, sizes in one.attacks.items() for size in sizes]
    timed(attack, images, targets, Setting(*kinds[0], 1))  # the first call sets things up
    whole = [tried(Setting(*kind, plan.steps)) for kind in kinds]
    shorter = [
        tried(Setting(*kind, steps)) for kind in kinds for steps in plan.short if steps < plan.steps
    ]
    good = sorted(whole, key=lambda trial: (-trial.rate, trial.seconds))[:4]
    shorter += [
        tried(replace(trial.setting, steps=steps)) for trial in good for steps in plan.middle
    ]
    # Those that look best at each level are looked at more closely, and the winner's batch chosen.
    final: list[Trial] = []
    for level in levels:
        left = [*whole, *shorter]
        for _ in range(plan.finalists):
            setting = choose(left, level)
            left = [trial for trial in left if trial.setting != setting]
            if setting not in {trial.setting for trial in final}:
                final.append(tried(setting, more, more_targets))
    for setting in sorted({choose(final, level) for level in levels}, key=str):
        final += [
            tried(replace(setting, batch=batch), more, more_targets)
            for batch in plan.batches
            if batch != setting.batch
        ]
    return Trials(whole, shorter, final)


def choose(trials: list[Trial], level: float) -> Setting:
    """The setting of the most fooling images a second among those that fool at least so often.

    When none does, among those that come within `NEAR` of the best.
    """
    best = max(trial.rate for trial in trials)
    least = level if best >= level else best - NEAR
    able = [trial for trial in trials if trial.rate >= least - 1e-9]
    return max(able, key=lambda trial: trial.pace).setting


def begun(model: Network, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Uniform start images (count, C, H, W), and as many targets of each class, in order."""
    n_classes = model.n_outputs
    images = begin("uniform", range(count), model.image_shape, seed)
    return images, torch.arange(count) * n_classes // count


def timed(attack: Attack, images: Tensor, targets: Tensor, setting: Setting) -> tuple[Made, float]:
    """What the attack makes of copies of the images, and the processor's seconds that it takes."""
    images, targets = images.clone(), targets.clone()
    start = time.process_time()
    made = attack(images, targets, setting)
    return made, time.process_time() - start


def fooling(model: nn.Module, images: Tensor, targets: Tensor, confidence: float) -> Tensor:
    """(N,) bool: which images, rounded to 8 bits and asked about in float32, are fooling images."""
    logits = logits_of(model, from_levels(to_levels(images.detach())))
    return confidence_of(logits, targets) >= confidence
