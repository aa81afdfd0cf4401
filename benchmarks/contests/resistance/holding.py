"""The candidates, what every attack makes of them, and what the judges say."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from benchmarks.contest import Row, facts
from benchmarks.contests.resistance.plan import ENDS, Attack, Case, Plan
from benchmarks.contests.resistance.ways import attacks
from benchmarks.pictures import stripped
from deceive.auditing.candidates import WHITE_STARTS, start_images, targets_of
from deceive.auditing.judges import AUTO, majority, meet_judges
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.subject import Subject
from deceive.auditing.parts.clean import own_threshold
from deceive.auditing.record.stored import arrays_named
from deceive.auditing.settings import CERTAIN
from deceive.cli.screen import log
from deceive.common.arrays import Arrays
from deceive.common.errors import InputError
from deceive.common.levels import from_levels
from deceive.data.dataset import Dataset
from deceive.data.loading import load_data
from deceive.networks.inference import confidence_of, logits_of, probabilities_of
from deceive.storage.models import load_card, load_network
from deceive.storage.shipped import shipped_names


def run(plan: Plan, earlier: Row | None = None) -> Iterator[Row]:
    """Hold the contest; gives all there is so far after every attack.

    Rows of an earlier result, which has to be of the same plan and network, are kept.
    """
    data, network, card = load_data(), load_network(plan.model), load_card(plan.model)
    cards = {name: load_card(name) for name in shipped_names() if not name.startswith("rounds-")}
    others = [
        name
        for name, its in cards.items()
        if its.weights_sha256 != card.weights_sha256 and name != "one"
    ]
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
        # There is only one black image per target.
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
    thresholds = {"asked": 0.99, "own": own, ENDS: CERTAIN}
    return Case(network.requires_grad_(False), torch.cat(targets), begun, thresholds, plan)


def passing(case: Case, data: Dataset) -> Row:
    """Each threshold, and the share of real test images that pass it."""
    confidence = confidence_of(logits_of(case.network, data.test.images), data.test.labels)
    return {
        name: {"confidence": value, "test_share": (confidence >= value).double().mean().item()}
        for name, value in case.thresholds.items()
        if name != ENDS
    }


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
        log.print(f"{one.name}: {time.perf_counter() - started:.1f} s")


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
        if name != ENDS:
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
