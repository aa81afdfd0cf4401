"""Every way to look for gibberish: ours, and all that might do better."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from benchmarks import peers
from benchmarks.contests.resistance.plan import OURS, Attack, Case, Plan
from benchmarks.peers import PEERS, SIGN_STEPS, Setting
from deceive.auditing.attacks import Way, attack
from deceive.auditing.black_box import search_black_box
from deceive.auditing.proposers import SEARCHES
from deceive.auditing.settings import AuditSettings
from deceive.common.arrays import Arrays
from deceive.common.levels import from_levels, to_levels
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.rules import RULES
from deceive.networks.inference import confidence_of, logits_of

# How sure other networks are made by the images that are then shown to this one.
_SURE = 0.9999


# Which libraries take part, with which step sizes, and how many times fewer steps than ours.
LIBRARIES = ("foolbox", "ART")


_LIBRARY_STEPS = ((0.1, 100), (0.01, 10))


def attacks(
    network: nn.Module,
    others: dict[str, nn.Module],
    plan: Plan,
    libraries: tuple[str, ...] = LIBRARIES,
) -> list[Attack]:
    """Everything that is tried: ours, and whatever might do better."""
    steps, fewer = plan.steps, plan.steps // 10
    listed = [
        _climbing(rule, OURS, Ascent.model_validate({"rule": rule}), budget)
        for budget in (steps // 100, fewer, steps)
        for rule in RULES
    ]
    listed += [
        _climbing(
            f"{rule}, steps × {factor}",
            "larger steps",
            Ascent.model_validate({"rule": rule, "step_size": factor * Ascent().step_size}),
            fewer,
        )
        for factor in (3, 10)
        for rule in RULES
    ]
    listed += [
        _climbing(f"in noise of {noise:g}", "smoothed gradient", Ascent(noise=noise), fewer)
        for noise in (0.1, 0.3)
    ]
    listed.append(_climbing(f"{plan.restarts} restarts", "restarts", None, fewer))
    listed += [
        Attack(f"made for {name}", "transfer", f"{fewer:,} steps", _transfer(other, fewer))
        for name, other in others.items()
    ]
    listed += [
        Attack(method, "search", f"{steps:,} queries", _searching(method)) for method in SEARCHES
    ]
    for library in (one for one in PEERS if one.name in libraries):
        bound = library.bind(network, 0.99)
        for name in (name for name, sizes in library.attacks.items() if sizes == SIGN_STEPS):
            for size, times in _LIBRARY_STEPS:
                setting = Setting(name, size, steps // times)
                effort = f"{setting.steps:,} steps of {size:g}"
                listed.append(
                    Attack(f"{library.name}: {name}", library.name, effort, _peer(bound, setting))
                )
    return [replace(one, name=f"{one.name}, {one.effort}") for one in listed]


def _climbing(name: str, family: str, ascent: Ascent | None, steps: int) -> Attack:
    """Our own attack; without an ascent, by its default again and again from fresh starts."""
    way = Way(fresh=True) if ascent is None else Way(ascent)

    def climb(case: Case) -> Arrays:
        return attack(
            case.network,
            way,
            case.start,
            case.targets,
            case.thresholds,
            AuditSettings(steps=steps, restarts=case.plan.restarts, seed=case.plan.seed),
            lambda progress: None,
        )

    return Attack(name, family, f"{steps:,} steps", climb)


def _peer(bound: peers.Attack, setting: Setting) -> Callable[[Case], Arrays]:
    """A library's attack. It may change every pixel by 1, so that its images end where they may."""
    return lambda case: _ended(case, bound(case.start(0), case.targets, setting).images)


def _transfer(other: nn.Module, steps: int) -> Callable[[Case], Arrays]:
    """Images that another network is as sure of as `steps` steps make it."""

    def shown(case: Case) -> Arrays:
        start = case.start(0)
        made = fool(other, case.targets, confidence=_SURE, start=start, steps=steps)
        return _ended(case, made.images)

    return shown


def _ended(case: Case, images: Tensor) -> Arrays:
    """Arrays for an attack that knows no thresholds: its images (N, C, H, W), as a PNG has them."""
    levels = to_levels(images.detach())
    confidence = confidence_of(logits_of(case.network, from_levels(levels)), case.targets).numpy()
    arrays: Arrays = {}
    for name, threshold in case.thresholds.items():
        arrays |= {f"{name}_levels": levels.numpy(), f"{name}_confidence": confidence}
        arrays |= {f"{name}_fooled": confidence >= threshold}
    return arrays


def _searching(method: str) -> Callable[[Case], Arrays]:
    """The candidates from uniform noise: where a search begins is its own affair, or there."""

    def searched(case: Case) -> Arrays:
        count = case.plan.count
        found = search_black_box(
            method,
            lambda images: logits_of(case.network, images),
            case.targets[:count],
            tuple(case.start(0).shape[1:]),
            thresholds=list(case.thresholds.values()),
            budgets=[case.plan.steps],
            seed=case.plan.seed,
        )
        arrays: Arrays = {}
        for name, passed in zip(case.thresholds, found.passed, strict=True):
            for key in ("levels", "confidence", "fooled"):
                arrays[f"{name}_{key}"] = getattr(passed, key).numpy()
        return arrays

    return searched
