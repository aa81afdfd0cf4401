"""The contests, held in turn."""

from collections.abc import Iterator
from dataclasses import asdict, replace

import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks.contest import Row, facts
from benchmarks.contests.fooling.plan import Plan
from benchmarks.contests.fooling.tuning import LEVELS, begun, choose, fooling, timed, tuned
from benchmarks.peers import DECEIVE, PEERS, Attack, Setting
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy
from deceive.storage.models import load_card, load_network

console = Console(stderr=True)


def run(plan: Plan) -> Iterator[Row]:
    """Choose each contestant's settings, then hold the contests, interleaved repeat by repeat."""
    started = facts()
    model = load_network(plan.model).requires_grad_(False)
    contestants = (DECEIVE, *PEERS)
    attacks = {one.name: one.bind(model, plan.confidence) for one in contestants}
    tried = {one.name: tuned(one, attacks[one.name], model, plan) for one in contestants}

    # At every level, each library at the setting that gives the most fooling images a second among
    # those that reach it.
    best = {
        level: {name: choose(trials.final, level) for name, trials in tried.items()}
        for level in LEVELS
    }
    # One budget for all: the peers spend it in full, and `fool` keeps its defaults.
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
    yield {
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


class _Copy(nn.Module):
    """The copy of a network that `fool` works with, as a separate network."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.image_shape, self.n_outputs = model.image_shape, model.n_outputs
        self._frozen = FrozenCopy(model, torch.zeros(1, *model.image_shape))

    def forward(self, images: Tensor) -> Tensor:
        return self._frozen.logits(images)
