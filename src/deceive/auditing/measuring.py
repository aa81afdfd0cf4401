"""What an audit measures, part by part: each is whole in the run folder, or not there."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deceive.auditing.attacks import (
    WAYS,
    WHITE_STARTS,
    attack,
    curve,
    start_images,
    targets_of,
)
from deceive.auditing.formats import load_model
from deceive.auditing.garbage import GARBAGE, compare, draw, scores_of
from deceive.auditing.identity import same_network
from deceive.auditing.judges import verdict
from deceive.auditing.rows import garbage_name, load_curve, sizes_of
from deceive.auditing.search import SEARCHES, SearchResult, search
from deceive.auditing.settings import AuditSettings, budgets
from deceive.auditing.subject import Subject, meet
from deceive.common.arrays import Arrays
from deceive.common.errors import InputError
from deceive.common.levels import from_levels
from deceive.common.progress import Tick
from deceive.data.loading import Dataset
from deceive.fooling.fool import fool
from deceive.fooling.starts import REAL
from deceive.judging.measures import NEAR_CHANCE, skill
from deceive.judging.scores import calibration_error, reached_by
from deceive.networks.inference import BATCH, confidence_of
from deceive.storage.models import load_card, load_network, shipped_names
from deceive.storage.runs import Row, Run

# Candidates of an attack that are one part: what is lost when the time is up.
_GROUP = 100

# The networks whose fooling images are tried on others, and how sure those are made of them.
_SURROGATES = ("fast", "study")
_SURROGATE_CONFIDENCE = 0.9999

# Images of each kind of garbage that are kept to be shown: those that the model is surest of.
_SHOWN = 10

# The share of correctly read validation images that reach a model's own threshold.
_OWN_SHARE = 0.95


@dataclass(frozen=True)
class Part:
    """One piece of work: whole in the run folder, or not there."""

    name: str
    words: str
    do: Callable[[Tick], Row]


class Measurements:
    """The parts of one audit: what there is to do, and how each is done.

    Args:
        subject: the model that is audited.
        data: real images of its classes.
        judges: other models for them.
        other_data: images of other things.
        settings: how much to do.
        run: where arrays go to, and where what later parts build on is found.
    """

    def __init__(
        self,
        subject: Subject,
        data: Dataset,
        judges: tuple[Subject, ...],
        other_data: Dataset | None,
        settings: AuditSettings,
        run: Run,
    ) -> None:
        self.subject, self.data, self.judges = subject, data, judges
        self.other_data, self.settings, self.run = other_data, settings, run

    def parts(self) -> list[Part]:
        """What there is to do, in the order in which it is worth most."""
        kinds = [*GARBAGE, *(["other data"] if self.other_data is not None else [])]
        parts = [Part("clean", "reading real images", self._clean)]
        parts += [
            Part(f"garbage/{kind}", f"garbage: {kind}", _bound(self._garbage, kind))
            for kind in kinds
        ]
        if self.subject.module is not None:
            parts += self._white_box(self.subject.module)
        parts += [
            Part(f"transfer/{name}", f"images that fool {name}", _bound(self._transfer, name))
            for name in self.surrogates
        ]
        searches = SEARCHES
        if self.subject.module is not None and not self.settings.every_search:
            searches = {"squares": SEARCHES["squares"]}
        parts += [
            Part(f"search/{method}", f"search: {method}", _bound(self._search, method))
            for method in searches
        ]
        return [*parts, Part("garbage/optimised", "garbage: optimised", self._optimised)]

    def _white_box(self, module: nn.Module) -> list[Part]:
        parts = []
        for name in self.settings.ways:
            for start in WHITE_STARTS:
                if start == "blank" and WAYS[name].fresh:
                    continue  # there is but one such start
                count = self._count(start)
                for begin in range(0, count, _GROUP):
                    numbers = range(begin, min(count, begin + _GROUP))
                    parts.append(
                        Part(
                            f"attack/{name}/{start}/{begin // _GROUP}",
                            f"attack: {name} from {start}",
                            _bound(self._attack, module, name, start, numbers),
                        )
                    )
        for name in self.settings.ways:
            if WAYS[name].fresh:
                continue
            for start in WHITE_STARTS if self.settings.every_curve else ("uniform",):
                parts.append(
                    Part(
                        f"curve/{name}/{start}",
                        f"curve: {name} from {start}",
                        _bound(self._curve, module, name, start),
                    )
                )
        return parts

    def _count(self, start: str) -> int:
        """Candidates from a start: of black images there is but one for each target."""
        most = self.data.n_classes if start == "blank" else self.settings.candidates
        return min(most, self.settings.candidates)

    @cached_property
    def surrogates(self) -> list[str]:
        """Shipped networks for this very data that are neither the subject nor its only judge."""
        taken = [self.subject, *(self.judges if len(self.judges) == 1 else ())]
        fitting = [
            name
            for name in _SURROGATES
            if name in shipped_names() and load_card(name).data_checksum == self.data.checksum
        ]
        networks = {name: meet(load_model(name), self.data) for name in fitting}
        return [
            name
            for name, network in networks.items()
            if not any(same_network(network, each, self.data) for each in taken)
        ]

    # The parts.

    def _ask(self, model: Subject, images: Tensor, tick: Tick) -> Tensor:
        """Logits (N, K), with a look at the clock after every batch."""
        logits, parts = [], torch.split(images, BATCH)
        for done, part in enumerate(parts):
            tick(done, len(parts))
            logits.append(model.logits(part))
        return torch.cat(logits)

    def _seen(self, images: Tensor, tick: Tick) -> list[Tensor]:
        """What each judge sees in each image, (N,); its rubbish class is ignored."""
        answers = [(judge, self._ask(judge, images, tick)) for judge in self.judges]
        return [judge.class_outputs(logits).argmax(1) for judge, logits in answers]

    def _verdict(self, images: Tensor, tick: Tick) -> Tensor:
        """What a majority of the judges sees in each image, (N,)."""
        return verdict(self._seen(images, tick))

    def _clean(self, tick: Tick) -> Row:
        validation, test = self.data.validation, self.data.test
        logits = {
            "validation": self._ask(self.subject, validation.images, tick),
            "test": self._ask(self.subject, test.images, tick),
        }
        finite = {name: answers.isfinite().all(1) for name, answers in logits.items()}
        for name, answers in logits.items():
            if not finite[name].any():
                raise InputError(
                    f"model: expected finite outputs for the {name} images, got NaN or infinity; "
                    "to rule out a class, use a large negative logit, not -inf"
                )
            scores = scores_of(self.subject, answers[finite[name]])
            self.run.save_arrays(f"scores-{name}", **{k: v.numpy() for k, v in scores.items()})
        # NaN is greater than anything to `argmax`; as zeros it is sure of nothing.
        held_out, tested = (
            logits[name].double().softmax(1).where(finite[name][:, None], 0) for name in logits
        )
        right = (held_out.argmax(1) == validation.labels) & finite["validation"]
        if not right.any():
            raise InputError(
                "model: expected some validation images to be read correctly, got none; are its "
                "outputs the data's classes, in their order?"
            )
        own = reached_by(_of(held_out, validation.labels)[right], _OWN_SHARE)
        thresholds = {
            "asked": self.settings.confidence,
            "own": min(max(own, 1e-6), 1 - 1e-6),  # what `fool` can be asked for
        }
        classes, answered = self.subject.class_outputs(tested), finite["test"]
        accuracy = ((tested.argmax(1) == test.labels) & answered).double().mean().item()
        of_classes = ((classes.argmax(1) == test.labels) & answered).double().mean().item()
        seen = self._seen(test.images, tick)
        return {
            "not_finite": sum(int((~each).sum()) for each in finite.values()),
            "accuracy": accuracy,
            # The rubbish class comes after the data's, so that theirs keep their places.
            "class_accuracy": of_classes,
            "validation_accuracy": right.double().mean().item(),
            "calibration_error": calibration_error(tested[answered], test.labels[answered]),
            "mean_confidence": classes[answered].amax(1).mean().item(),
            "judge_accuracy": _share(verdict(seen) == test.labels) if seen else None,
            "judge_accuracies": [_share(each == test.labels) for each in seen],
            "warnings": _at_chance(accuracy, self.data.n_classes),
            "thresholds": [
                {
                    "name": name,
                    "confidence": value,
                    "test_share": (_of(tested, test.labels) >= value).double().mean().item(),
                }
                for name, value in thresholds.items()
            ],
        }

    def _thresholds(self) -> dict[str, float]:
        clean = self.run.row(part="clean")
        if clean is None:
            raise InputError("model: expected its thresholds, which real images have to give first")
        return {each["name"]: each["confidence"] for each in clean["thresholds"]}

    def _garbage(self, kind: str, tick: Tick) -> Row:
        count, seed = self.settings.garbage_images, self.settings.seed
        if kind == "other data" and self.other_data is not None:
            images = self.other_data.test.images[:count]
        else:
            images = draw(kind, count, self.data.test, seed)
        return self._score(kind, images, tick)

    def _score(self, kind: str, images: Tensor, tick: Tick) -> Row:
        """What the model says of garbage; the surest of it is kept to be shown."""
        thresholds = self._thresholds()
        logits = self._ask(self.subject, images, tick)
        finite = logits.isfinite().all(1)
        row: Row = {"kind": kind, "images": len(images), "not_finite": int((~finite).sum())}
        empty = dict.fromkeys(("mean_confidence", "asked_share", "own_share", "caught"))
        if not finite.any():
            return row | empty | {"scores": {}}
        images, logits = images[finite], logits[finite]
        probabilities = logits.double().softmax(1)
        confidence, predicted = self.subject.class_outputs(probabilities).max(1)
        surest = confidence.argsort(descending=True)[:_SHOWN]
        self.run.save_arrays(
            garbage_name(kind),
            levels=images[surest].mul(255).round().to(torch.uint8).numpy(),
            predicted=predicted[surest].numpy(),
            confidence=confidence[surest].float().numpy(),
        )
        scores = scores_of(self.subject, logits)
        layout = dict.fromkeys(scores, "scores N")
        held_out, test = (
            {name: torch.from_numpy(stored[name]) for name in scores}
            for stored in (
                self.run.load_arrays(f"scores-{split}", layout) for split in ("validation", "test")
            )
        )
        rubbish = self.subject.rubbish_class
        caught = None
        if rubbish is not None:
            caught = (logits.argmax(1) == rubbish).double().mean().item()
        return row | {
            "mean_confidence": confidence.mean().item(),
            "asked_share": (confidence >= thresholds["asked"]).double().mean().item(),
            "own_share": (confidence >= thresholds["own"]).double().mean().item(),
            "caught": caught,
            "scores": compare(held_out, test, scores),
        }

    def _optimised(self, tick: Tick) -> Row:
        """The ends of all curves that the judges do not call the target."""
        ends = []
        for row in self.run.rows():
            if row["part"].startswith(("curve/", "search/")):
                if self.subject.module is not None and row["part"].startswith("search/"):
                    continue
                sizes = sizes_of(self.data.image_shape, self.data.n_classes)
                stored = load_curve(self.run, row, sizes)
                images = from_levels(torch.from_numpy(stored["levels"][-1]))
                kept = torch.ones(len(images), dtype=torch.bool)
                if "judged" in stored:
                    kept = torch.from_numpy(stored["judged"][-1] != stored["targets"])
                ends.append(images[kept])
        images = torch.cat(ends) if ends else torch.empty(0)
        if len(images) == 0:
            empty = dict.fromkeys(("mean_confidence", "asked_share", "own_share", "caught"))
            return {"kind": "optimised", "images": 0, "not_finite": 0} | empty | {"scores": {}}
        return self._score("optimised", images, tick)

    def _starts(self, numbers: range, start: str, targets: Tensor, seed: int) -> Tensor:
        real = self.data.validation if start == REAL else self.data.test
        return start_images(start, numbers, targets, real, seed)

    def _attack(self, module: nn.Module, name: str, start: str, numbers: range, tick: Tick) -> Row:
        seed = self.settings.seed
        count = self.settings.candidates
        targets = targets_of(
            numbers,
            self.data.n_classes,
            count,
            earlier=count * WHITE_STARTS.index(start),
            total=count * len(WHITE_STARTS),
        )
        arrays = attack(
            module,
            WAYS[name],
            # Another seed for each attempt, far from those of other audits.
            lambda attempt: self._starts(numbers, start, targets, seed + 1_000_003 * attempt),
            targets,
            thresholds=self._thresholds(),
            steps=self.settings.steps,
            restarts=self.settings.restarts,
            seed=seed,
            callback=lambda now: tick(now.finished, now.total),
        )
        key = f"attack-{name}-{start}-{numbers.start // _GROUP}"
        self._keep(key, targets, arrays, tick)
        return {
            "attack": name,
            "box": "white",
            "start": start,
            "first": numbers.start,
            "arrays": key,
        }

    def _curve(self, module: nn.Module, name: str, start: str, tick: Tick) -> Row:
        numbers = range(self.settings.curve_candidates)
        targets = targets_of(numbers, self.data.n_classes, len(numbers))
        images = self._starts(numbers, start, targets, self.settings.seed)
        asked = budgets(self.settings.steps)
        arrays = curve(
            module,
            WAYS[name],
            images,
            targets,
            budgets=asked,
            seed=self.settings.seed,
            callback=lambda now: tick(now.finished, now.total),
        )
        key = f"curve-{name}-{start}"
        return self._keep_curve(key, targets, arrays, asked, tick) | {
            "curve": name,
            "box": "white",
            "start": start,
            "unit": "steps",
        }

    def _transfer(self, name: str, tick: Tick) -> Row:
        """Images that another network is very sure of, each tried once."""
        numbers = range(self.settings.searched)
        targets = targets_of(numbers, self.data.n_classes, len(numbers))
        images = self._starts(numbers, "uniform", targets, self.settings.seed)
        made = fool(
            load_network(name),
            targets,
            start=images,
            confidence=_SURROGATE_CONFIDENCE,
            callback=lambda now: tick(now.finished, now.total),
        )
        probabilities = self._finite(made.images, tick).softmax(1)
        confidence = _of(probabilities, targets).numpy()
        arrays: Arrays = {}
        for threshold, asked in self._thresholds().items():
            arrays |= {
                f"{threshold}_levels": made.levels.numpy(),
                f"{threshold}_confidence": confidence,
                f"{threshold}_fooled": confidence >= asked,
                f"{threshold}_steps": np.ones(len(targets), np.int64),
            }
        key = f"transfer-{name}"
        self._keep(key, targets, arrays, tick)
        return {"attack": f"made for {name}", "box": "black", "start": "uniform", "arrays": key}

    def _search(self, method: str, tick: Tick) -> Row:
        numbers = range(self.settings.searched)
        targets = targets_of(numbers, self.data.n_classes, len(numbers))
        thresholds = self._thresholds()
        asked = budgets(self.settings.queries, least=30)
        found = search(
            method,
            self.subject.logits,
            targets,
            self.subject.image_shape,
            thresholds=list(thresholds.values()),
            budgets=asked,
            seed=self.settings.seed,
            callback=tick,
        )
        if self.subject.manner.at_random:
            found = self._asked_again(found, list(thresholds.values()), targets, tick)
        arrays: Arrays = {}
        for name, passed in zip(thresholds, found.passed, strict=True):
            arrays |= {
                f"{name}_levels": passed.levels.numpy(),
                f"{name}_confidence": passed.confidence.numpy(),
                f"{name}_fooled": passed.fooled.numpy(),
                f"{name}_steps": passed.queries.numpy(),
            }
        key = f"search-{method}"
        ends = {"levels": found.levels.numpy(), "confidence": found.confidence.numpy()}
        row = self._keep_curve(key, targets, ends, asked, tick)
        self._keep(f"{key}-passed", targets, arrays, tick)
        about = {"attack": method, "curve": method, "box": "black", "unit": "queries"}
        return row | about | {"start": "search", "arrays": f"{key}-passed"}

    def _asked_again(
        self, found: SearchResult, thresholds: list[float], targets: Tensor, tick: Tick
    ) -> SearchResult:
        """What remains after asking the model once more: some answers pass by luck."""

        def confidence(levels: Tensor) -> Tensor:
            return confidence_of(self._ask(self.subject, from_levels(levels), tick), targets)

        passed = []
        for each, threshold in zip(found.passed, thresholds, strict=True):
            again = confidence(each.levels)
            fooled = each.fooled & (again >= threshold)
            passed.append(replace(each, confidence=again, fooled=fooled))
        ends = torch.stack([confidence(levels) for levels in found.levels])
        return replace(found, passed=passed, confidence=ends)

    def _finite(self, images: Tensor, tick: Tick) -> Tensor:
        logits = self._ask(self.subject, images, tick)
        if not logits.isfinite().all():
            raise InputError("model: expected finite logits, got NaN or infinity")
        return logits

    def _keep(self, key: str, targets: Tensor, arrays: Arrays, tick: Tick) -> None:
        """Store what became of candidates, with what the judges see in each."""
        if self.judges:
            for name in self._thresholds():
                images = from_levels(torch.from_numpy(arrays[f"{name}_levels"]))
                arrays[f"{name}_judged"] = self._verdict(images, tick).numpy()
        self.run.save_arrays(key, targets=targets.numpy(), **arrays)

    def _keep_curve(
        self, key: str, targets: Tensor, arrays: Arrays, asked: list[int], tick: Tick
    ) -> Row:
        agreement = None
        if self.judges:
            levels = torch.from_numpy(arrays["levels"])
            judged = self._verdict(from_levels(levels).flatten(0, 1), tick).view(levels.shape[:2])
            arrays = arrays | {"judged": judged.numpy()}
            agreement = (judged == targets).double().mean(1).tolist()
        self.run.save_arrays(key, targets=targets.numpy(), **arrays)
        confidence = torch.from_numpy(arrays["confidence"]).double()
        return {
            "budgets": asked,
            "mean_confidence": confidence.mean(1).tolist(),
            "asked_share": (confidence >= self.settings.confidence).double().mean(1).tolist(),
            "judge_agreement": agreement,
        }


def _bound(do: Callable[..., Row], *arguments: Any) -> Callable[[Tick], Row]:
    return lambda tick: do(*arguments, tick)


def _at_chance(accuracy: float, n_classes: int) -> list[str]:
    """The warning that a model reads no better than guessing, if it applies."""
    if skill(accuracy, n_classes) >= NEAR_CHANCE:
        return []
    return [
        f"It reads {accuracy:.1%} of the test images, no better than guessing "
        f"({1 / n_classes:.1%}): the labels or the preprocessing probably don't match, which makes "
        "every figure here meaningless. Output k must be the class of label k (some libraries sort "
        "labels by name); set the scaling with --bounds, or --mean and --std, and choose among "
        "several outputs with --output."
    ]


def _share(found: Tensor) -> float:
    return found.double().mean().item()


def _of(probabilities: Tensor, labels: Tensor) -> Tensor:
    return probabilities.gather(1, labels[:, None]).squeeze(1)
