"""The contests, held in turn."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import torch
from torch import Tensor, nn

from benchmarks.contest import Row, facts
from benchmarks.contests.fooling.plan import Plan, smaller
from benchmarks.contests.fooling.tuning import (
    LEVELS,
    Trials,
    begun,
    choose,
    fooling,
    timed,
    tuned,
)
from benchmarks.peers import DECEIVE, DEFAULT, FOOL, PEERS, Attack, Contestant, Setting
from deceive.cli.screen import log
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import Network
from deceive.storage.models import load_card, load_network


def run(plan: Plan) -> Iterator[Row]:
    """Hold the contests on one network, then a smaller one on each other; on one thread."""
    started, threads = facts(), torch.get_num_threads()
    torch.set_num_threads(1)
    rows, tried = _on_the_first(plan)
    result = {
        "facts": started | {"threads": 1},
        "plan": asdict(plan),
        "weights_sha256": load_card(plan.model).weights_sha256,
        "rows": rows,
        "tuning": _trials(tried),
    }
    yield result
    others = [one for one in (DECEIVE, *PEERS) if one.name != SLOW]
    for name in plan.networks:
        rows, tried = _on_another(smaller(plan, name), others)
        result["rows"] += rows
        result["tuning"] += [row | {"network": name} for row in _trials(tried)]
        yield result
    torch.set_num_threads(threads)


def _on_the_first(plan: Plan) -> tuple[list[Row], dict[str, Trials]]:
    """Choose each contestant's settings, then hold the contests, interleaved repeat by repeat."""
    model = load_network(plan.model).requires_grad_(False)
    contestants = (DECEIVE, *PEERS)
    attacks = {one.name: one.bind(model, plan.confidence) for one in contestants}
    tried = {one.name: tuned(one, attacks[one.name], model, plan) for one in contestants}
    best = {level: _chosen(tried, level) for level in LEVELS}

    # One budget for all: the peers spend it in full.
    whole = {BY_DEFAULT: Setting(DEFAULT, FOOL[DEFAULT].step_size, plan.steps)} | {
        name: replace(choose(trials.whole, LEVELS[0]), batch=best[LEVELS[0]][name].batch)
        for name, trials in tried.items()
    }

    # Where the difference comes from: the peers on the copy of the network that `fool` works with.
    copied = _Copy(model).eval()
    on_copy = attacks | {one.name: one.bind(copied, plan.confidence) for one in PEERS}

    rows = []
    for level, settings in best.items():
        rows += held(f"rate {level:g}", attacks, settings, model, plan, plan.count)
    attacks[BY_DEFAULT] = attacks[DECEIVE.name]
    rows += held("budget", attacks, whole, model, plan, plan.count)
    rows += held("copy", on_copy, best[LEVELS[0]], model, plan, plan.count_few)
    return rows, tried


# `fool` as it is when nothing is chosen.
BY_DEFAULT = "deceive by default"

# Far from the fastest on `fast`, and left out on the other networks.
SLOW = "captum"


def _on_another(
    plan: Plan, contestants: Sequence[Contestant]
) -> tuple[list[Row], dict[str, Trials]]:
    """The contest at the highest level alone, on another network."""
    model = load_network(plan.model).requires_grad_(False)
    attacks = {one.name: one.bind(model, plan.confidence) for one in contestants}
    level = LEVELS[0]
    tried = {one.name: tuned(one, attacks[one.name], model, plan, [level]) for one in contestants}
    best = _chosen(tried, level)
    return held(f"network {plan.model}", attacks, best, model, plan, plan.count), tried


def _chosen(tried: dict[str, Trials], level: float) -> dict[str, Setting]:
    """Each library's setting of the most fooling images a second among those at this level."""
    return {name: choose(trials.final, level) for name, trials in tried.items()}


def _trials(tried: dict[str, Trials]) -> list[Row]:
    """All settings that were tried, and what came of them."""
    return [
        {"library": name, **asdict(t.setting), "rate": t.rate, "seconds_an_image": t.seconds}
        for name, trials in tried.items()
        for t in (*trials.whole, *trials.shorter, *trials.final)
    ]


def held(
    contest: str,
    attacks: dict[str, Attack],
    settings: dict[str, Setting],
    model: Network,
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
            log.print(
                f"{contest}, {repeat + 1} of {plan.repeats}: {name} {fooled / seconds:.1f}/s, "
                f"{fooled} of {count} in {seconds:.2f} s"
            )
    return rows


class _Copy(nn.Module):
    """The copy of a network that `fool` works with, as a separate network."""

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.image_shape, self.n_outputs = model.image_shape, model.n_outputs
        self._frozen = FrozenCopy(model, torch.zeros(1, *model.image_shape))

    def forward(self, images: Tensor) -> Tensor:
        return self._frozen.logits(images)
