"""How hard a network is to fool with gibberish, and whether only its gradient makes it look so.

A network can resist because it knows better, or because its gradient leads nowhere (Athalye et al.
2018). So our attack by its rules stands beside everything that might get round such a gradient:
larger steps, smoothed gradients, restarts, images made for other networks, search without a
gradient, and two other libraries. All try the same candidates.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.contest import Row, facts, planned
from benchmarks.peers import PEERS, SIGN_STEPS, Setting
from benchmarks.pictures import stripped
from deceive.auditing.attacks import Way, attack
from deceive.auditing.black_box import search_black_box
from deceive.auditing.candidates import WHITE_STARTS, start_images, targets_of
from deceive.auditing.judges import AUTO, majority, meet_judges
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.subject import Subject
from deceive.auditing.parts.clean import own_threshold
from deceive.auditing.proposers import SEARCHES
from deceive.auditing.record.stored import arrays_named
from deceive.auditing.settings import CERTAIN, AuditSettings
from deceive.common.arrays import Arrays
from deceive.common.errors import InputError
from deceive.common.levels import from_levels, to_levels
from deceive.data.loading import Dataset, load_data
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.rules import RULES
from deceive.networks.inference import confidence_of, logits_of, probabilities_of
from deceive.storage.models import load_card, load_network, shipped_names

console = Console(stderr=True)

# The family of attacks that all the others are compared with.
OURS = "ours"

# What an attack ends in when it goes on beyond every threshold, stored beside what reached those.
_ENDS = "ends"

# How sure other networks are made by the images that are then shown to this one.
_SURE = 0.9999

# Which libraries take part, with which step sizes, and how many times fewer steps than ours.
LIBRARIES = ("foolbox", "ART")
_LIBRARY_STEPS = ((0.1, 100), (0.01, 10))


@dataclass(frozen=True)
class Plan:
    """How large the contest is."""

    model: str = "fast"
    count: int = 40
    """Candidates from each kind of start; their targets are the classes in turn."""
    steps: int = 10_000
    """The most steps of ours, which also go a tenth and a hundredth as far; the other attacks along
    a gradient go a tenth. Search has as many queries."""
    restarts: int = 10
    shown: int = 4
    """Candidates whose ends are shown."""
    seed: int = 0


QUICK = Plan(count=4, steps=300, restarts=2, shown=2)


def plan(quick: bool, **asked: str | int | None) -> Plan:
    """The full contest or the quick one, with what was asked for in place of its own."""
    chosen = planned(QUICK if quick else Plan(), **asked)
    if chosen.count < 1 or chosen.steps < 100:
        raise InputError(
            f"resistance: expected a count of at least 1 and at least 100 steps, got "
            f"{chosen.count} and {chosen.steps}"
        )
    return chosen


@dataclass(frozen=True)
class Case:
    """What everybody is given. Candidates (N,) are start images and targets, from uniform first."""

    network: nn.Module
    targets: Tensor
    start: Callable[[int], Tensor]
    """Attempt number → start images (N, C, H, W) in [0, 1]."""
    thresholds: dict[str, float]
    """`asked`, the network's `own`, and `ends`: nobody can be surer."""
    plan: Plan


@dataclass(frozen=True)
class Attack:
    """One way to look for gibberish. It gives arrays as `auditing.attacks.attack` does.

    They are of all the candidates, or of the first so many.
    """

    name: str
    family: str
    effort: str
    do: Callable[[Case], Arrays]


def run(plan: Plan, earlier: Row | None = None) -> Iterator[Row]:
    """Hold the contest; gives all there is so far after every attack.

    Rows of an earlier result, which has to be of the same plan and network, are kept.
    """
    data, network, card = load_data(), load_network(plan.model), load_card(plan.model)
    cards = {name: load_card(name) for name in shipped_names() if not name.startswith("rounds-")}
    others = [name for name, its in cards.items() if its.weights_sha256 != card.weights_sha256]
    subject = meet(load_model(plan.model), data)
    judges, _ = meet_judges([AUTO], subject, data, trust=False)
    about = {"plan": asdict(plan), "weights_sha256": card.weights_sha256}
    about |= {"judges": [each.name for each in judges]}
    result = {"facts": facts()} | about | {"rows": []} if earlier is None else earlier
    for key, value in about.items():
        if result[key] != value:
            raise InputError(
                f"resistance: expected earlier rows of {key} {value}, got {result[key]}; go on "
                "without --resume"
            )
    case = candidates(network, data, plan)
    result |= {"thresholds": passing(case, data)}
    for row in held(
        case,
        attacks(network, {name: load_network(name) for name in others}, plan),
        judges,
        [row["attack"] for row in result["rows"]],
    ):
        result["rows"].append(row)
        yield result


def candidates(network: nn.Module, data: Dataset, plan: Plan) -> Case:
    """The candidates from every kind of start, and the thresholds of the network."""
    numbers = {
        # Of black images there is but one for each target.
        start: range(min(plan.count, data.n_classes) if start == "blank" else plan.count)
        for start in WHITE_STARTS
    }
    targets = [targets_of(of, data.n_classes, plan.count) for of in numbers.values()]

    def begun(attempt: int) -> Tensor:
        seed = plan.seed + 1_000_003 * attempt
        kinds = zip(numbers.items(), targets, strict=True)
        return torch.cat(
            [start_images(start, of, its, data.validation, seed) for (start, of), its in kinds]
        )

    held_out = data.validation
    probabilities = probabilities_of(network, held_out.images).double()
    right = probabilities.argmax(1) == held_out.labels
    own = own_threshold(probabilities.gather(1, held_out.labels[:, None])[right, 0])
    thresholds = {"asked": 0.99, "own": own, _ENDS: CERTAIN}
    return Case(network.requires_grad_(False), torch.cat(targets), begun, thresholds, plan)


def passing(case: Case, data: Dataset) -> Row:
    """Each threshold, and the share of real test images that pass it."""
    confidence = confidence_of(logits_of(case.network, data.test.images), data.test.labels)
    return {
        name: {"confidence": value, "test_share": (confidence >= value).double().mean().item()}
        for name, value in case.thresholds.items()
        if name != _ENDS
    }


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


def held(
    case: Case, attacks: list[Attack], judges: Sequence[Subject], done: list[str]
) -> Iterator[Row]:
    """One row an attack that is not done."""
    for one in attacks:
        if one.name in done:
            continue
        started = time.perf_counter()
        arrays = one.do(case)
        row = {"attack": one.name, "family": one.family, "seconds": time.perf_counter() - started}
        yield row | judged(case, arrays, judges)
        console.print(f"{one.name}: {time.perf_counter() - started:.1f} s")


def judged(case: Case, arrays: Arrays, judges: Sequence[Subject]) -> Row:
    """What became of each candidate, 0 or 1, and what the judges say of it."""
    row: Row = {"outcomes": {}}
    for name in case.thresholds:
        of = arrays_named(arrays, name)
        targets = case.targets[: len(of["levels"])].numpy()
        images = from_levels(torch.from_numpy(of["levels"]))
        seen = [each.class_outputs(each.logits(images)).argmax(1) for each in judges]
        word = majority(seen).numpy()
        nonsense = word != targets
        if name != _ENDS:
            row["outcomes"][name] = {
                "fooled": _bits(of["fooled"]),
                "gibberish": _bits(of["fooled"] & nonsense),
            }
            continue
        sure = of["confidence"][nonsense].astype(float)
        row["candidates"] = len(targets)
        row["ends_in_gibberish"] = int(nonsense.sum())
        row["mean_confidence_in_gibberish"] = float(sure.mean()) if len(sure) else None
        shown = slice(case.plan.shown)
        row["shown"] = {
            "png": stripped(of["levels"][shown]),
            "targets": targets[shown].tolist(),
            "confidence": of["confidence"][shown].astype(float).tolist(),
            "judged": word[shown].tolist(),
        }
    return row


def _bits(values: Arrays) -> str:
    """One character a candidate, 0 or 1: a line of JSON, where a list would be hundreds."""
    return "".join("01"[int(value)] for value in values)


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
