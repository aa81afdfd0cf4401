"""Images per second to a confidence: `deceive.fool` beside its peers, on one network.

Every contestant gets the same network, targets and start images. Whatever comes out is rounded to
8 bits and judged by one function, in float32, outside the clock.
"""

import time
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks.contest import Row, facts, planned
from benchmarks.peers import DECEIVE, PEERS, Attack, Contestant, Made, Setting
from deceive.common.levels import from_levels, to_levels
from deceive.fooling.starts import begin
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import confidence_of, logits_of
from deceive.storage.models import load_card, load_network

console = Console(stderr=True)

# Fooling rates that settings are chosen for; the last one asks for none.
LEVELS = (0.99, 0.95, 0.0)
# Who never reaches a level takes part with a setting that comes this near to its best rate.
NEAR = 0.01
# Settings are chosen on these start images; the contests use seeds 0, 1, …
TUNING_SEED = 1000


@dataclass(frozen=True)
class Plan:
    """How large a contest is."""

    model: str = "fast"
    confidence: float = 0.99
    steps: int = 100
    """The most steps an image may take, for everybody."""
    count: int = 1000
    """Images a repeat."""
    count_few: int = 200
    """Images a repeat in the last contest, which explains the others."""
    count_tuning: int = 100
    """Images that a setting is tried on."""
    count_final: int = 500
    """Images that the best settings are tried on, in batches of several sizes."""
    repeats: int = 3
    short: tuple[int, ...] = (3, 5, 7, 10, 20)
    """Budgets that every attack and step size is tried with, besides the whole one."""
    middle: tuple[int, ...] = (30, 50, 70)
    """Budgets that the best of them are tried with."""
    finalists: int = 3
    """Settings a level that are tried on more images."""
    batches: tuple[int, ...] = (100, 250, 500)
    """Batch sizes that the best settings of all are tried with."""


QUICK = Plan(
    steps=20,
    count=50,
    count_few=20,
    count_tuning=20,
    count_final=50,
    repeats=2,
    short=(5,),
    middle=(10,),
    finalists=1,
    batches=(25, 50),
)


def plan(quick: bool, **asked: str | int | None) -> Plan:
    """The full contest or the quick one, with what was asked for in place of its own."""
    return planned(QUICK if quick else Plan(), **asked)


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


def run(plan: Plan) -> Row:
    """Choose each contestant's settings, then hold the contests, interleaved repeat by repeat."""
    started = facts()
    model = load_network(plan.model).requires_grad_(False)
    everybody = (DECEIVE, *PEERS)
    attacks = {one.name: one.bind(model, plan.confidence) for one in everybody}
    tried = {one.name: tuned(one, attacks[one.name], model, plan) for one in everybody}

    # At every level, each library at the setting that gives the most fooling images a second among
    # those that reach it.
    best = {
        level: {name: choose(trials.final, level) for name, trials in tried.items()}
        for level in LEVELS
    }
    # With one budget, all of which the peers spend; `fool` is left at its defaults.
    whole = {
        name: replace(choose(trials.whole, LEVELS[0]), batch=best[LEVELS[0]][name].batch)
        for name, trials in tried.items()
    }
    whole[DECEIVE.name] = Setting("fool", DECEIVE.attacks["fool"][0], plan.steps)

    # Where the difference comes from: the peers on the copy of the network that `fool` works with.
    copied = _Copy(model).eval()
    on_copy = attacks | {one.name: one.bind(copied, plan.confidence) for one in PEERS}

    rows = []
    for level, settings in best.items():
        rows += held(f"rate {level:g}", attacks, settings, model, plan, plan.count)
    rows += held("budget", attacks, whole, model, plan, plan.count)
    rows += held("copy", on_copy, best[LEVELS[0]], model, plan, plan.count_few)
    return {
        "facts": started,
        "plan": asdict(plan),
        "weights_sha256": load_card(plan.model).weights_sha256,
        "rows": rows,
        "tuning": [
            {"library": name, **asdict(t.setting), "rate": t.rate, "seconds_an_image": t.seconds}
            for name, trials in tried.items()
            for t in (*trials.whole, *trials.shorter, *trials.final)
        ],
    }


def held(
    contest: str,
    attacks: dict[str, Attack],
    settings: dict[str, Setting],
    model: Classifier,
    plan: Plan,
    count: int,
) -> list[Row]:
    """One contest: A B C D E, A B C D E, … with fresh start images at every repeat."""
    rows = []
    for repeat in range(plan.repeats):
        images, targets = begun(model, count, seed=repeat)
        for name, setting in settings.items():
            made, seconds = timed(attacks[name], images, targets, setting)
            fooled = int(fooling(model, made.images, targets, plan.confidence).sum())
            rows.append(
                {
                    "contest": contest,
                    "library": name,
                    "repeat": repeat,
                    "images": count,
                    "fooled": fooled,
                    "seconds": seconds,
                    "image_steps": made.image_steps,
                    **asdict(setting),
                }
            )
            console.print(
                f"{contest}, {repeat + 1} of {plan.repeats}: {name} {fooled / seconds:.1f}/s, "
                f"{fooled} of {count} in {seconds:.2f} s"
            )
    return rows


class Trials(NamedTuple):
    """One library's trials: with the whole budget, with less, and the best over batch sizes."""

    whole: list[Trial]
    shorter: list[Trial]
    final: list[Trial]


def tuned(one: Contestant, attack: Attack, model: Classifier, plan: Plan) -> Trials:
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
        console.print(f"{one.name} {setting}: {rate:.1%} in {seconds:.2f} s")
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
    for level in LEVELS:
        left = [*whole, *shorter]
        for _ in range(plan.finalists):
            setting = choose(left, level)
            left = [trial for trial in left if trial.setting != setting]
            if setting not in {trial.setting for trial in final}:
                final.append(tried(setting, more, more_targets))
    for setting in sorted({choose(final, level) for level in LEVELS}, key=str):
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


def begun(model: Classifier, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Uniform start images (count, C, H, W), and as many targets of each class, in order."""
    n_classes = model.n_outputs
    images = begin("uniform", range(count), model.image_shape, seed)
    return images, torch.arange(count) * n_classes // count


def timed(attack: Attack, images: Tensor, targets: Tensor, setting: Setting) -> tuple[Made, float]:
    """What the attack makes of copies of the images, and the seconds it takes."""
    images, targets = images.clone(), targets.clone()
    start = time.perf_counter()
    made = attack(images, targets, setting)
    return made, time.perf_counter() - start


def fooling(model: nn.Module, images: Tensor, targets: Tensor, confidence: float) -> Tensor:
    """(N,) bool: which images, rounded to 8 bits and asked about in float32, are fooling images."""
    logits = logits_of(model, from_levels(to_levels(images.detach())))
    return confidence_of(logits, targets) >= confidence


class _Copy(nn.Module):
    """The copy of a network that `fool` works with, as a network of its own."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.image_shape, self.n_outputs = model.image_shape, model.n_outputs
        self._frozen = FrozenCopy(model, torch.zeros(1, *model.image_shape))

    def forward(self, images: Tensor) -> Tensor:
        return self._frozen.logits(images)
