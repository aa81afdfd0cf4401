"""`audit`: how sure a classifier is of garbage, part by part, in a folder that a run resumes."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deceive import checks
from deceive.auditing.assemble import write_audit
from deceive.auditing.attacks import (
    WAYS,
    WHITE_STARTS,
    Arrays,
    attack,
    curve,
    start_images,
    targets_of,
)
from deceive.auditing.formats import Function, load_model
from deceive.auditing.garbage import GARBAGE, compare, draw, scores_of
from deceive.auditing.schema import Report
from deceive.auditing.search import SEARCHES, search
from deceive.auditing.settings import QUICK, THOROUGH, AuditSettings, budgets
from deceive.auditing.subject import Subject, meet
from deceive.data import Dataset, load_data
from deceive.errors import InputError
from deceive.fooling import Bounds, fool, from_levels
from deceive.inference import BATCH
from deceive.measures import calibration_error, reached_by
from deceive.models import load_card, load_network, shipped_names
from deceive.runs import Row, Run
from deceive.starts import REAL

# Called with a description; what it gives takes (done, total) as the work goes on.
Task = Callable[[str], AbstractContextManager[Callable[[float, float], None]]]
Tick = Callable[[float, float], None]

# Candidates of an attack that are one part: what is lost when the time is up.
_GROUP = 100

# The networks whose fooling images are tried on others, and how sure those are made of them.
_SURROGATES = ("fast", "study")
_SURROGATE_CONFIDENCE = 0.9999

# Images of each kind of garbage that are kept to be shown: those that the model is surest of.
_SHOWN = 10

# The share of correctly read validation images that reach a model's own threshold.
_OWN_SHARE = 0.95


class _OutOfTime(Exception):  # noqa: N818 - it ends the work in good order, and is no error
    """The budget is spent."""


@dataclass(frozen=True)
class _Part:
    """One piece of work: whole in the run folder, or not there."""

    name: str
    words: str
    do: Callable[[Tick], Row]


def audit(
    model: str | Path | nn.Module | Function,
    data: Dataset | str | Path | None = None,
    *,
    judge: str | Path | nn.Module | Function | None = "auto",
    bounds: Bounds | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    rubbish_class: int | None = None,
    other_data: Dataset | str | Path | None = None,
    settings: AuditSettings | None = None,
    thorough: bool = False,
    out: Path | None = None,
    budget: float | None = None,
    trust: bool = False,
    task: Task | None = None,
) -> Report:
    """Find out how sure a classifier is of garbage.

    The model is asked about garbage that nobody optimised, and attacked: along its gradient where
    it has one, from every start and by several rules; and as a black box, by images made for other
    networks and by search. What counts is the gibberish rate: the share of candidates that make it
    sure of a target which the judge, another classifier, does not see in them.

    Args:
        model: an `nn.Module`, a callable from images (N, C, H, W) to outputs (N, K), or where to
            find one: see `formats.load_model`. It isn't changed.
        data: real images of its classes, or their folder (`load_data`); by default MNIST.
        judge: a second model for the same data; `auto` is the shipped one where the data is the
            one that it was trained on, and None does without.
        bounds: what black and white are to the model; see `subject.meet`.
        mean: subtracted from pixels then, and
        std: what they are divided by.
        rubbish_class: the output that stands for none of the classes.
        other_data: images of other things, of the same shape: garbage to this model.
        settings: how much to do; by default `QUICK`.
        thorough: `THOROUGH` settings instead.
        out: the run folder, from which the same call goes on; by default nothing is kept but the
            result. `audit.json` is written there.
        budget: seconds for this call, after which what was found so far is given.
        trust: open files of formats that can run code.
        task: shows progress: called with a description, gives a context manager whose value takes
            (done, total).

    Returns:
        A `Report`, the content of `audit.json`. It says itself whether it is complete, and names
        the parts that the model did not live through.

    Raises:
        InputError: when the model, the judge or the data cannot be used at all, or the folder
            holds an audit with other settings.
    """
    settings = settings or (THOROUGH if thorough else QUICK)
    if budget is not None:
        checks.open_interval("budget", budget, 0, float("inf"))
    ends = None if budget is None else time.perf_counter() + budget
    data = data if isinstance(data, Dataset) else load_data(data)
    if other_data is not None and not isinstance(other_data, Dataset):
        other_data = load_data(other_data)
    if other_data is not None and other_data.image_shape != data.image_shape:
        raise InputError(
            f"other_data: expected images of shape {data.image_shape} as the data's, "
            f"got {other_data.image_shape}"
        )
    subject = meet(
        load_model(model, trust=trust),
        data,
        bounds=bounds,
        mean=mean,
        std=std,
        rubbish_class=rubbish_class,
    )
    second, notes = _judge(judge, subject, data, trust)
    spec = str(model) if isinstance(model, str | Path) else subject.name
    seat = None if second is None else second.name
    if isinstance(judge, str | Path):
        seat = str(judge)

    def begin(folder: Path) -> Report:
        audited = _Audit(subject, data, second, other_data, settings, folder, spec, seat)
        return audited.go_on(ends, task or _silent, notes)

    if out is not None:
        return begin(out)
    with tempfile.TemporaryDirectory() as folder:
        return begin(Path(folder))


@contextmanager
def _silent(description: str) -> Iterator[Tick]:
    yield lambda done, total: None


def _judge(
    judge: str | Path | nn.Module | Function | None, subject: Subject, data: Dataset, trust: bool
) -> tuple[Subject | None, list[str]]:
    """The judge, and what there is to say about the choice."""
    if judge is None:
        return None, ["There is no judge, so gibberish and real images are not told apart."]
    if judge == "auto":
        if load_card("judge").data_checksum != data.checksum:
            return None, [
                "There is no judge for this data, so the fooling rate alone is given; a second "
                "model for the same data can be one (--judge)."
            ]
        itself = load_card("judge").weights_sha256 == subject.loaded.fingerprint
        seat = meet(load_model("fast" if itself else "judge"), data)
        return seat, ["It is the shipped judge, so that `fast` judges here."] if itself else []
    seat = meet(load_model(judge, trust=trust), data)
    if seat.loaded.fingerprint and seat.loaded.fingerprint == subject.loaded.fingerprint:
        raise InputError("judge: expected another model than the audited one, got the same")
    return seat, [f"Judge: {note}" for note in seat.notes]


class _Audit:
    """The parts of one audit, and the folder that they go to."""

    def __init__(
        self,
        subject: Subject,
        data: Dataset,
        judge: Subject | None,
        other_data: Dataset | None,
        settings: AuditSettings,
        folder: Path,
        spec: str,
        seat: str | None,
    ) -> None:
        self.subject, self.data, self.judge = subject, data, judge
        self.other_data, self.settings = other_data, settings
        described = {
            "audit": 1,
            "model": spec,
            "fingerprint": subject.loaded.fingerprint,
            "bounds": list(subject.scaling.bounds),
            "mean": _listed(subject.scaling.mean),
            "std": _listed(subject.scaling.std),
            "rubbish_class": subject.rubbish_class,
            "judge": seat,
            "data": data.folder.name,
            "data_checksum": data.checksum,
            "other_data": None if other_data is None else other_data.folder.name,
            "other_data_checksum": None if other_data is None else other_data.checksum,
        }
        self.run = Run(folder, described | settings.model_dump())

    def go_on(self, ends: float | None, task: Task, notes: list[str]) -> Report:
        """Do what is missing, for as long as there is time, and write `audit.json`."""
        parts = self._parts()
        if self.run.row(part="subject") is None:
            self.run.add({"part": "subject"} | self._about(notes) | {"plan": _plan(parts)})
        try:
            for part in parts:
                if self.run.row(part=part.name) is not None:
                    continue
                with task(part.words) as report:
                    done = self._once(part, _watching(ends, report))
                if not done and part.name == "clean":
                    break  # everything else is measured against it
        except _OutOfTime:
            pass  # `write_audit` names the parts that are missing
        finally:
            found = write_audit(self.run)
        return found

    def _once(self, part: _Part, tick: Tick) -> bool:
        """Do a part and add its row; where the model fails, add a row that says so instead."""
        started = time.perf_counter()
        try:
            tick(0, 1)
            row = part.do(tick)
        except _OutOfTime:
            raise
        except Exception as error:  # a user's model may raise anything
            said = str(error) if isinstance(error, InputError) else repr(error)
            self.run.add({"part": "failure", "of": part.name, "reason": said.splitlines()[0]})
            return False
        seconds = round(time.perf_counter() - started, 2)
        self.run.add({"part": part.name} | row | {"seconds": seconds})
        return True

    def _about(self, notes: list[str]) -> Row:
        subject, loaded = self.subject, self.subject.loaded
        about: dict[str, Any] = {
            "name": subject.name,
            "format": loaded.format,
            "white_box": subject.module is not None,
            "n_outputs": subject.n_outputs,
            "rubbish_class": subject.rubbish_class,
            "image_shape": list(subject.image_shape),
            "bounds": list(subject.scaling.bounds),
            "mean": _listed(subject.scaling.mean),
            "std": _listed(subject.scaling.std),
            "gives_probabilities": subject.gives_probabilities,
            "fingerprint": loaded.fingerprint,
            "training_seconds": loaded.training_seconds,
        }
        data = {
            "name": self.data.folder.name,
            "checksum": self.data.checksum,
            "n_classes": self.data.n_classes,
            "validation_images": len(self.data.validation),
            "test_images": len(self.data.test),
            "other_data": None if self.other_data is None else self.other_data.folder.name,
        }
        judge = None if self.judge is None else self.judge.name
        said = [*subject.notes, *notes, *self._not_applicable()]
        return {"model": about, "data": data, "judge": judge, "notes": said}

    def _not_applicable(self) -> list[str]:
        said = []
        if not self._surrogates():
            said.append(
                "Fooling images of the shipped networks were not tried on it, since those read "
                "MNIST's digits alone."
            )
        if self.subject.module is None:
            said.append("It is a black box: it was searched, and no gradient was followed.")
        return said

    # What there is to do, in the order in which it is worth most.

    def _parts(self) -> list[_Part]:
        kinds = [*GARBAGE, *(["other data"] if self.other_data is not None else [])]
        parts = [_Part("clean", "reading real images", self._clean)]
        parts += [
            _Part(f"garbage/{kind}", f"garbage: {kind}", _bound(self._garbage, kind))
            for kind in kinds
        ]
        if self.subject.module is not None:
            parts += self._white_box(self.subject.module)
        parts += [
            _Part(f"transfer/{name}", f"images that fool {name}", _bound(self._transfer, name))
            for name in self._surrogates()
        ]
        searches = SEARCHES
        if self.subject.module is not None and not self.settings.every_search:
            searches = {"squares": SEARCHES["squares"]}
        parts += [
            _Part(f"search/{method}", f"search: {method}", _bound(self._search, method))
            for method in searches
        ]
        return [*parts, _Part("garbage/optimised", "garbage: optimised", self._optimised)]

    def _white_box(self, module: nn.Module) -> list[_Part]:
        parts = []
        for name, way in WAYS.items():
            for start in WHITE_STARTS:
                if start == "blank" and way.fresh:
                    continue  # there is but one such start
                count = self._count(start)
                for begin in range(0, count, _GROUP):
                    numbers = range(begin, min(count, begin + _GROUP))
                    parts.append(
                        _Part(
                            f"attack/{name}/{start}/{begin // _GROUP}",
                            f"attack: {name} from {start}",
                            _bound(self._attack, module, name, start, numbers),
                        )
                    )
        for name, way in WAYS.items():
            if way.fresh:
                continue
            for start in WHITE_STARTS if self.settings.every_curve else ("uniform",):
                parts.append(
                    _Part(
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

    def _surrogates(self) -> list[str]:
        """Shipped networks for this very data that are neither the subject nor the judge."""
        taken = {self.subject.loaded.fingerprint}
        if self.judge is not None:
            taken.add(self.judge.loaded.fingerprint)
        cards = {name: load_card(name) for name in _SURROGATES if name in shipped_names()}
        return [
            name
            for name, card in cards.items()
            if card.data_checksum == self.data.checksum and card.weights_sha256 not in taken
        ]

    # The parts.

    def _ask(self, model: Subject, images: Tensor, tick: Tick) -> Tensor:
        """Logits (N, K), with a look at the clock after every batch."""
        logits, parts = [], torch.split(images, BATCH)
        for done, part in enumerate(parts):
            tick(done, len(parts))
            logits.append(model.logits(part))
        return torch.cat(logits)

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
                    f"model: expected finite outputs for the {name} images, got NaN or infinity"
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
        judged = None
        if self.judge is not None:
            verdict = self._ask(self.judge, test.images, tick).argmax(1)
            judged = (verdict == test.labels).double().mean().item()
        return {
            "not_finite": sum(int((~each).sum()) for each in finite.values()),
            "accuracy": accuracy,
            # The rubbish class comes after the data's, so that theirs keep their places.
            "class_accuracy": of_classes,
            "validation_accuracy": right.double().mean().item(),
            "calibration_error": calibration_error(tested[answered], test.labels[answered]),
            "mean_confidence": classes[answered].amax(1).mean().item(),
            "judge_accuracy": judged,
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
            f"garbage-{kind.replace(' ', '-')}",
            levels=images[surest].mul(255).round().to(torch.uint8).numpy(),
            predicted=predicted[surest].numpy(),
            confidence=confidence[surest].float().numpy(),
        )
        held_out, test = (
            {name: torch.from_numpy(values) for name, values in stored.items()}
            for stored in map(self.run.load_arrays, ("scores-validation", "scores-test"))
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
            "scores": compare(held_out, test, scores_of(self.subject, logits)),
        }

    def _optimised(self, tick: Tick) -> Row:
        """The ends of all curves that the judge does not call the target."""
        ends = []
        for row in self.run.rows():
            if row["part"].startswith(("curve/", "search/")):
                if self.subject.module is not None and row["part"].startswith("search/"):
                    continue
                stored = self.run.load_arrays(row["part"].replace("/", "-"))
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

    def _candidates(self, numbers: range, start: str, seed: int) -> tuple[Tensor, Tensor]:
        targets = targets_of(numbers, self.data.n_classes)
        real = self.data.validation if start == REAL else self.data.test
        return targets, start_images(start, numbers, targets, real, seed)

    def _attack(self, module: nn.Module, name: str, start: str, numbers: range, tick: Tick) -> Row:
        seed = self.settings.seed
        targets = targets_of(numbers, self.data.n_classes)
        arrays = attack(
            module,
            WAYS[name],
            # Another seed for each attempt, far from those of other audits.
            lambda attempt: self._candidates(numbers, start, seed + 1_000_003 * attempt)[1],
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
        targets, images = self._candidates(
            range(self.settings.curve_candidates), start, self.settings.seed
        )
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
        targets, images = self._candidates(numbers, "uniform", self.settings.seed)
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
        targets = targets_of(range(self.settings.searched), self.data.n_classes)
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

    def _finite(self, images: Tensor, tick: Tick) -> Tensor:
        logits = self._ask(self.subject, images, tick)
        if not logits.isfinite().all():
            raise InputError("model: expected finite logits, got NaN or infinity")
        return logits

    def _keep(self, key: str, targets: Tensor, arrays: Arrays, tick: Tick) -> None:
        """Store what became of candidates, with what the judge sees in each."""
        if self.judge is not None:
            for name in self._thresholds():
                images = from_levels(torch.from_numpy(arrays[f"{name}_levels"]))
                verdict = self._ask(self.judge, images, tick).argmax(1)
                arrays[f"{name}_judged"] = verdict.numpy()
        self.run.save_arrays(key, targets=targets.numpy(), **arrays)

    def _keep_curve(
        self, key: str, targets: Tensor, arrays: Arrays, asked: list[int], tick: Tick
    ) -> Row:
        agreement = None
        if self.judge is not None:
            levels = torch.from_numpy(arrays["levels"])
            verdict = self._ask(self.judge, from_levels(levels).flatten(0, 1), tick).argmax(1)
            judged = verdict.view(levels.shape[:2])
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


def _watching(ends: float | None, report: Tick) -> Tick:
    """Progress that looks at the clock: `_OutOfTime` when the budget is spent."""

    def tick(done: float, total: float) -> None:
        report(done, total)
        if ends is not None and time.perf_counter() > ends:
            raise _OutOfTime

    return tick


def _bound(do: Callable[..., Row], *arguments: Any) -> Callable[[Tick], Row]:
    return lambda tick: do(*arguments, tick)


def _plan(parts: list[_Part]) -> Mapping[str, str]:
    return {part.name: part.words for part in parts}


def _of(probabilities: Tensor, labels: Tensor) -> Tensor:
    return probabilities.gather(1, labels[:, None]).squeeze(1)


def _listed(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)
