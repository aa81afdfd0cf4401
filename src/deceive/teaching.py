"""Rounds: deceive the network, teach it that this was rubbish, and again. One loop, two presets."""

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from deceive import checks, processes
from deceive.data import Dataset
from deceive.drawing import DRAWING, draw
from deceive.errors import InputError
from deceive.files import replacing
from deceive.finale import finale
from deceive.fooling import FoolingResult, fool, from_levels
from deceive.inference import working_dtype
from deceive.measures import (
    agreement,
    caught,
    density_and_coverage,
    digit_accuracy,
    features_of,
    frechet_between,
)
from deceive.models import Card, halved, save_network
from deceive.networks import ARCHITECTURES, Classifier
from deceive.objectives import log_odds
from deceive.recipes import RECIPES, build, train
from deceive.rubbish import CandidateSet, RubbishSet
from deceive.rules import Ascent
from deceive.runs import Row, Run, arrays_of, round_name


class RoundsSettings(BaseModel):
    """What a round is, and how many there are."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str = "draw"
    """Architecture of the classifier; it has one more output than there are classes."""
    judge: str = "judge"
    """Network that says what the images look like; it was trained on the same data."""
    rounds: int = Field(default=12_000, ge=1)
    candidates: int = Field(default=128, ge=1)
    """Images that are deceived with in a round."""
    steps: int = Field(default=2, ge=1)
    """The most steps that each of them takes in a round."""
    confidence: float | None = Field(default=None, gt=0, lt=1)
    """Where an image is left; without one it takes all its steps."""
    ascent: Ascent = DRAWING
    """How images climb."""
    kept: int | None = Field(default=4000, ge=1)
    """Size of a rubbish set whose images are deceived with again and again, until they have gone
    through the schedule and begin anew. Without one each round begins with fresh noise, and what
    fooled joins the rubbish for good."""
    noise_images: int = Field(default=0, ge=0)
    """Images of uniform noise that are rubbish before the first round; of use without `kept`."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over digits and rubbish with which a new network is trained in every round. Without
    it the same network takes one step of its optimiser, on as many digits as there are candidates.
    """
    training_images: int = Field(default=55_000, ge=100)
    """The first so many of the training images."""
    learning_rate: float = Field(default=6e-4, gt=0)
    """Of the optimiser, at its greatest; it falls by a cosine to a twentieth. Without `epochs`."""
    averaging: float = Field(default=0.998, ge=0, lt=1)
    """How slowly the averaged network, the one that draws, follows. Without `epochs`."""
    smoothness: float = Field(default=0.1, ge=0)
    """Weight of the penalty on the gradient at digits (R1, Mescheder et al. 2018), which keeps the
    network from growing so steep that its gradient leads nowhere. Without `epochs`."""
    shown: tuple[int, ...] = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
    """Rounds after which the network is kept and measured; the last one always is."""
    measured: int = Field(default=100, ge=1)
    """Images for each class on which it is measured, against the validation images."""
    judged: int = Field(default=1000, ge=0)
    """Images for each class that the last network draws, to be judged against the test images by
    every measure; 0 for none. Of use with `kept`."""
    seed: int = 0

    @model_validator(mode="after")
    def _fit(self) -> "RoundsSettings":
        if (self.kept is None) != (self.epochs is not None):
            raise ValueError(
                "expected epochs where rubbish is not kept, and none where it is, got "
                f"kept {self.kept} and epochs {self.epochs}"
            )
        if self.kept is not None and (self.ascent.schedule is None or self.kept < self.candidates):
            raise ValueError(
                "expected an ascent with a schedule, and no more candidates than are kept, got "
                f"schedule {self.ascent.schedule}, candidates {self.candidates}, kept {self.kept}"
            )
        return self

    def is_shown(self, number: int) -> bool:
        """Whether round `number` (0: none yet) is one after which the network is measured."""
        return number in self.shown or number == self.rounds


PRESETS = {
    "draw": RoundsSettings(),
    "study": RoundsSettings(
        network="study",
        rounds=15,
        candidates=3000,
        steps=1000,
        confidence=0.99,
        ascent=Ascent(),
        kept=None,
        noise_images=6000,
        epochs=5,
        shown=tuple(range(16)),
    ),
}
"""`study` is the case study's own procedure, literally; with `draw` digits emerge."""


def changed(settings: RoundsSettings, path: Path | None) -> RoundsSettings:
    """Settings with those in a JSON file in place of their own; `path` None changes nothing.

    Raises `InputError` when it is no such file, and pydantic's `ValidationError` for its values.
    """
    if path is None:
        return settings
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a JSON file of settings; {error}") from error
    if not isinstance(given, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(given).__name__}")
    usual = settings.model_dump()
    if isinstance(given.get("ascent"), dict):
        given["ascent"] = usual["ascent"] | given["ascent"]
    return RoundsSettings.model_validate(usual | given)


# A run is saved at least this often, in rounds.
_OFTEN = 250

# In every so many rounds the gradient is penalised.
_PENALISED = 4

# Seeds of the starts on which networks are measured along the way, and judged at the end; no round
# uses them.
_FRESH, _FINAL = 1_000_003, 2_000_003

# Trouble: the network, on average over the last hundred rounds or so, catches nearly all that is
# made to deceive it, or calls nearly everything rubbish. Early rounds are always troubled.
_MEMORY, _PATIENCE = 0.99, 1000
_CAUGHT_TOO_OFTEN, _READ_TOO_SELDOM = 0.995, 0.05
_MOST_ROLLBACKS = 4


class Report(Protocol):
    """Takes (done, total, a few words) as work goes on."""

    def __call__(self, done: float, total: float, note: str = "") -> None: ...


Task = Callable[[str], AbstractContextManager[Report]]


class DivergedError(Exception):
    """A network that has nothing more to learn from its rubbish, or has unlearnt the digits."""


def rounds(
    data: Dataset, run: Run, settings: RoundsSettings, judge: Classifier, task: Task
) -> Iterator[Row]:
    """Play the rounds that are missing in `run`, and give the row of each one shown.

    The last row is the judgement of what the final network draws (`finale`), where images are kept.

    A run that was interrupted goes on from where it was last saved, and ends as if it had not been
    (bit for bit on the same machine, on a CPU). One that diverges goes back there too, with half
    the learning rate.

    On CUDA where there is some. Among several processes (`processes.join`) all call this with the
    same arguments and get the same rows. The settings are of all together: each process keeps its
    share of the rubbish set and deceives with its share of a round's candidates, and the network
    takes one step along the mean of their gradients. Only the main one reads and writes the folder
    of the run, which holds every process's share; it goes on with as many of them.

    Raises:
        InputError: when it diverges again and again, or for settings that don't fit the data or the
            number of processes.
        LostProcessError: when another process is gone.
    """
    retrained = settings.epochs is not None
    checks.one_of("network", settings.network, RECIPES if retrained else ARCHITECTURES)
    game = (_Retrained if retrained else _Continual)(data, settings)
    checkpoint = run.folder / "checkpoint.safetensors"
    goes_on = processes.on_main(checkpoint.exists)
    if goes_on:
        game.load(checkpoint)
    with task(f"{settings.rounds:,} rounds") as report:
        game.begin()
        if not goes_on:  # so that there is always something to go back to
            game.save(checkpoint)
        while True:
            # Measuring changes nothing, so it is made up for where a run was cut off before it.
            if settings.is_shown(game.number) and not _has(run, part="round", round=game.number):
                game.save(checkpoint)
                yield _measured(game, run, data, judge)
            if game.number >= settings.rounds:
                break
            try:
                game.play()
            except DivergedError as trouble:
                _roll_back(game, checkpoint, run, trouble)
            if game.number % _OFTEN == 0:
                game.save(checkpoint)
            report(game.number, settings.rounds, game.news())
    if settings.kept is None or settings.judged == 0:
        return
    if not _has(run, part="quality"):
        with task("judging what it draws"):
            row = finale(
                game.best(),
                run,
                data,
                judge,
                ascent=settings.ascent,
                count=settings.judged,
                seed=_FINAL + settings.seed,
            )
            processes.on_main(lambda: run.add({"part": "quality", "round": game.number} | row))
    yield cast(Row, processes.on_main(lambda: run.row(part="quality")))


def _has(run: Run, **like: Any) -> bool:
    """Whether there is such a row, by what the main process finds."""
    return processes.on_main(lambda: run.row(**like) is not None)


class _Game(ABC):
    """A network, its rubbish, and the number of rounds they have been through."""

    network: Classifier
    """The one that is deceived and taught."""

    def __init__(self, data: Dataset, settings: RoundsSettings) -> None:
        self.data, self.settings = data.first(settings.training_images), settings
        self.here = processes.here()
        self.number = 0
        self.seconds = 0.0
        self.slowed = 1.0
        self.rollbacks = 0
        self.generator = processes.generator(settings.seed)

    def play(self) -> None:
        """One round: the network stands still while images change, then the other way round."""
        started = time.perf_counter()
        self.number += 1
        rubbish = self.deceive()
        self.teach(rubbish)
        self.seconds += time.perf_counter() - started

    def begin(self) -> None:  # noqa: B027  (few have anything to do)
        """Whatever is to be done before the first round."""

    @abstractmethod
    def deceive(self) -> Any:
        """Deceive the network, and give back what it is to be taught."""

    @abstractmethod
    def teach(self, rubbish: Any) -> None:
        """Teach the network what it was deceived with."""

    @abstractmethod
    def news(self) -> str:
        """How things stand, in a few words."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that the next rounds depend on and all processes have alike."""

    def own(self) -> dict[str, Tensor]:
        """The same, of what each process has a share of its own, along the first dimension."""
        return {"generator": self.generator.get_state()}

    @abstractmethod
    def made(self, network: Classifier) -> FoolingResult:
        """The images on which `network`, the best one, is measured."""

    @abstractmethod
    def measure(self, network: Classifier, made: FoolingResult, judge: Classifier) -> Row:
        """What `network` and the images made with it are worth; changes nothing."""

    def best(self) -> Classifier:
        """The network to use, as it is kept: in half precision. All measures are of this one."""
        return halved(self.network)

    def save(self, path: Path) -> None:
        """Write everything to `path`, whole or not at all: every process's share of it."""
        facts = {
            "number": self.number,
            "seconds": self.seconds,
            "slowed": self.slowed,
            "rollbacks": self.rollbacks,
        }
        shares = processes.gathered(self.own())
        state = self.tensors() | {k: torch.cat([own[k] for own in shares]) for k in shares[0]}

        def write() -> None:
            with replacing(path) as temporary:
                tensors = {name: tensor.contiguous() for name, tensor in state.items()}
                save_file(tensors, temporary, {"facts": json.dumps(facts)})

        processes.on_main(write)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote.

        Raises `InputError` when it is damaged, or was written by more processes or fewer.
        """

        def read() -> tuple[dict[str, Any], dict[str, Tensor]]:
            with safe_open(path, "pt") as stored:
                facts = json.loads(stored.metadata()["facts"])
                return facts, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118

        try:
            facts, state = processes.on_main(read)
            wrote = len(state["generator"]) // len(self.generator.get_state())
            if wrote == self.here.count:
                mine = {k: state[k].chunk(wrote)[self.here.rank] for k in self.own()}
                self.restore(state | mine)
                self.generator.set_state(mine["generator"].clone())
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{path}: expected the checkpoint of this run; {error}") from error
        if wrote != self.here.count:
            raise InputError(
                f"{path}: expected the checkpoint of {self.here.count} process(es), got one of "
                f"{wrote}; a run goes on with as many as it was begun with"
            )
        self.number, self.seconds = facts["number"], facts["seconds"]
        self.slowed, self.rollbacks = facts["slowed"], facts["rollbacks"]

    @abstractmethod
    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over what `tensors` and `own` gave."""


class _Continual(_Game):
    """Tiny rounds: a few steps for some of the candidates, then one step for the network.

    Every image, a digit or rubbish, is shown in noise, candidates in that of their place in the
    schedule and digits in the same; so what the network learns at each level is to tell digits in
    that noise from what the ascent has made of noise so far. It is told the level.
    """

    def __init__(self, data: Dataset, settings: RoundsSettings) -> None:
        super().__init__(data, settings)
        assert settings.kept is not None
        assert settings.ascent.schedule is not None
        for name, total in (("candidates", settings.candidates), ("kept", settings.kept)):
            if total % self.here.count:
                raise InputError(
                    f"{name}: expected as many for each of {self.here.count} processes, got {total}"
                )
        self.chosen = settings.candidates // self.here.count
        self.end = settings.ascent.schedule
        self.network = build(settings.network, data, seed=settings.seed, rubbish_class=True)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = build(settings.network, data, seed=settings.seed, rubbish_class=True)
        self.averaged.requires_grad_(False).eval()
        self.parameters: list[Tensor] = list(self.network.parameters())
        # Without a first moment: what deceived the network a few rounds ago no longer does.
        self.optimiser = torch.optim.Adam(
            self.parameters, settings.learning_rate, betas=(0.0, 0.99), fused=True
        )
        for parameter in self.parameters:  # so that there is a state to load into
            self.optimiser.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        self.candidates = CandidateSet.of_noise(
            settings.kept // self.here.count,
            data.image_shape,
            data.n_classes,
            spread=self.end,
            generator=self.generator,
        )
        self.vitals = torch.tensor([0.5, 0.5])  # share of rubbish caught, of digits read

    def best(self) -> Classifier:
        return halved(self.averaged)

    def deceive(self) -> Tensor:
        s = self.settings
        chosen = self.candidates.choose(
            self.chosen, self.data.n_classes, end=self.end, generator=self.generator
        )
        trouble = None
        try:
            with processes.alone():  # with candidates of its own
                result = fool(
                    self.network,
                    self.candidates.targets[chosen],
                    confidence=s.confidence,
                    start=from_levels(self.candidates.levels[chosen]),
                    begun=self.candidates.begun[chosen],
                    steps=s.steps,
                    ascent=s.ascent,
                    seed=int(torch.randint(2**60, (), generator=self.generator)),
                    chunk=self.chosen,
                )
        except InputError as error:  # all else that could be wrong with it was looked at before
            trouble = str(error)
        if anywhere := processes.first_trouble(trouble):
            raise DivergedError(anywhere)
        self.candidates.put(chosen, result)
        return chosen

    def teach(self, rubbish: Tensor) -> None:
        s, n, digits = self.settings, len(rubbish), self.data.train
        real = torch.randint(len(digits), (n,), generator=self.generator)
        images = torch.cat([digits.images[real], from_levels(self.candidates.levels[rubbish])])
        labels = torch.cat([digits.labels[real], torch.full((n,), self.data.n_classes)])
        sigma = s.ascent.noise_after(self.candidates.begun[rubbish]).repeat(2)
        noise = torch.randn(images.shape, generator=self.generator)
        images, labels, sigma = (
            each.to(self.here.device)
            for each in (images + noise * sigma[:, None, None, None], labels, sigma)
        )
        logits = self._seen(images, sigma)
        loss = F.cross_entropy(logits, labels)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if s.smoothness and self.number % _PENALISED == 0:
            self._penalise(images[:n], labels[:n], sigma[:n])
        right = (logits.detach().argmax(1) == labels).float()
        vitals = torch.stack([right[n:].mean(), right[:n].mean(), loss.detach()])
        processes.average_([*(cast(Tensor, p.grad) for p in self.parameters), vitals])
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.optimiser.step()
        follow = max(1 - s.averaging, 9 / (9 + self.number))
        torch._foreach_lerp_([*self.averaged.parameters()], [*self.parameters], follow)

        vitals = vitals.cpu()
        self.vitals.lerp_(vitals[:2], 1 - _MEMORY)
        self._look_after_itself(vitals[2].item())

    def _seen(self, images: Tensor, sigma: Tensor) -> Tensor:
        """Logits in float32, worked out in the quickest type."""
        dtype = working_dtype(images.device)
        with torch.autocast(images.device.type, dtype, dtype != torch.float32):
            logits: Tensor = self.network(images, sigma)
        return logits.float()

    def _penalise(self, images: Tensor, labels: Tensor, sigma: Tensor) -> None:
        """Add the gradient of the penalty: ½ γ E[(σ² + 0.01) |∇ objective|²] over digits in noise.

        Times σ² it is the size of the step that would be taken, not of a slope that has to be the
        steeper the less noise there is. The whole penalty is added in every so many rounds alone,
        times as many (lazy, as Karras et al. 2020).
        """
        images = images.detach().requires_grad_()
        logits = self._seen(images, sigma)
        score = log_odds(logits, labels)
        (gradient,) = torch.autograd.grad(score.sum(), images, create_graph=True)
        steps = gradient.square().sum((1, 2, 3)) * (sigma.square() + 0.01)
        penalty = self.settings.smoothness / 2 * steps.mean()
        (_PENALISED * penalty).backward()  # type: ignore[no-untyped-call]

    def _rate(self) -> float:
        share = self.number / self.settings.rounds
        fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share))
        return self.settings.learning_rate * self.slowed * fall * min(1, self.number / 100)

    def _look_after_itself(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise DivergedError(f"the loss is {loss}")
        if self.number < _PATIENCE:
            return
        is_caught, is_read = self.vitals.tolist()
        if is_caught > _CAUGHT_TOO_OFTEN:
            raise DivergedError(f"{is_caught:.1%} of what is made to deceive the network is caught")
        if is_read < _READ_TOO_SELDOM:
            raise DivergedError(f"only {is_read:.1%} of the digits in noise are read")

    def news(self) -> str:
        is_caught, is_read = self.vitals.tolist()
        made = self.number * self.settings.candidates * self.settings.steps
        rate = f"{made / self.seconds:,.0f} image-steps/s, " if self.seconds else ""
        return f"{rate}{is_caught:.0%} of the rubbish caught, {is_read:.0%} of the digits read"

    def tensors(self) -> dict[str, Tensor]:
        state = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        state |= {f"averaged.{k}": v for k, v in self.averaged.state_dict().items()}
        for number, parameter in enumerate(self.parameters):
            for name, tensor in self.optimiser.state[parameter].items():
                state[f"optimiser.{number}.{name}"] = tensor
        return state | {"vitals": self.vitals}

    def own(self) -> dict[str, Tensor]:
        names = ("levels", "targets", "begun")
        return super().own() | {
            f"candidates.{name}": getattr(self.candidates, name) for name in names
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in (self.tensors() | self.own()).items():
                tensor.copy_(state[name])

    def made(self, network: Classifier) -> FoolingResult:
        s = self.settings
        return draw(
            network,
            range(self.data.n_classes),
            count=s.measured,
            seed=_FRESH + s.seed,
            ascent=s.ascent,
        )

    def measure(self, network: Classifier, made: FoolingResult, judge: Classifier) -> Row:
        real = features_of(judge, self.data.validation.images)
        features = features_of(judge, made.images)
        density, coverage = density_and_coverage(real, features)
        is_caught, is_read = self.vitals.tolist()
        return {
            "images": len(made),
            "judge_agreement": agreement(judge, made.images, made.targets),
            "frechet_distance": frechet_between(features, real),
            "density": density,
            "coverage": coverage,
            "confidence": made.confidence.mean().item(),
            "rubbish_caught": is_caught,
            "digits_read_in_noise": is_read,
        }


class _Retrained(_Game):
    """Great rounds: thousands of fresh candidates, then a new network on all there is."""

    def __init__(self, data: Dataset, settings: RoundsSettings) -> None:
        super().__init__(data, settings)
        self.rubbish = RubbishSet.of_noise(
            settings.noise_images, data.image_shape, seed=settings.seed + 1
        )
        self.recipe = RECIPES[settings.network].model_copy(update={"epochs": settings.epochs})
        self.network = build(settings.network, data, seed=settings.seed, rubbish_class=True)
        self.is_trained = False

    def begin(self) -> None:
        if not self.is_trained:  # the network of round 0 knows noise alone
            self._train()

    def _train(self) -> None:
        self.network, _ = train(
            self.settings.network,
            self.data,
            seed=self.settings.seed + 100 * self.number,
            settings=self.recipe,
            rubbish=self.rubbish,
        )
        self.is_trained = True

    def deceive(self) -> RubbishSet:
        s, n_classes = self.settings, self.data.n_classes
        result = self._candidates(
            self.network, -(-s.candidates // n_classes), seed=s.seed + 100 * self.number
        )
        return RubbishSet(result.levels[result.fooled][: s.candidates])

    def _candidates(self, network: Classifier, count: int, seed: int) -> FoolingResult:
        s = self.settings
        return fool(
            network,
            range(self.data.n_classes),
            confidence=s.confidence,
            count=count,
            seed=seed,
            steps=s.steps,
            ascent=s.ascent,
        )

    def teach(self, rubbish: RubbishSet) -> None:
        self.rubbish += rubbish
        self._train()

    def news(self) -> str:
        return f"{len(self.rubbish):,} images of rubbish"

    def tensors(self) -> dict[str, Tensor]:
        state = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        return state | {
            "rubbish": self.rubbish.levels,
            "is_trained": torch.tensor(self.is_trained),
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        of_network = self.network.state_dict().keys()
        self.network.load_state_dict({k: state[f"network.{k}"] for k in of_network})
        self.network.eval()
        self.rubbish = RubbishSet(state["rubbish"])
        self.is_trained = bool(state["is_trained"])

    def made(self, network: Classifier) -> FoolingResult:
        s = self.settings
        return self._candidates(network, s.measured, seed=_FRESH + s.seed)

    def measure(self, network: Classifier, made: FoolingResult, judge: Classifier) -> Row:
        older = self.rubbish.images
        return {
            "images": len(made),
            "rubbish_images": len(self.rubbish),
            "fooling_rate": made.fooling_rate,
            "median_steps": made.median_steps,
            "judge_agreement": agreement(judge, made.images, made.targets),
            "rubbish_caught": caught(network, older, self.data.n_classes) if len(older) else None,
        }


def _measured(game: _Game, run: Run, data: Dataset, judge: Classifier) -> Row:
    """The row of a round, kept in the run with its images and its network."""
    network = game.best()
    made = game.made(network)
    return processes.on_main(lambda: _kept(game, network, made, run, data, judge))


def _kept(
    game: _Game,
    network: Classifier,
    made: FoolingResult,
    run: Run,
    data: Dataset,
    judge: Classifier,
) -> Row:
    n = data.n_classes
    run.save_arrays(round_name(game.number), **arrays_of(made))
    found = game.measure(network, made, judge)
    row: Row = {"part": "round", "round": game.number, "seconds": round(game.seconds, 2)} | found
    for name, split in (("validation", data.validation), ("test", data.test)):
        row[f"{name}_accuracy"] = digit_accuracy(network, split.images, split.labels, n)
    settings = game.settings.model_dump(exclude={"ascent", "shown"})
    card = Card(
        architecture=network.architecture,
        n_outputs=network.n_outputs,
        image_shape=network.image_shape,
        rubbish_class=n,
        seed=game.settings.seed,
        settings={k: v for k, v in settings.items() if v is not None},
        ascent=game.settings.ascent,
        round=game.number,
        data_checksum=data.checksum,
        seconds=row["seconds"],
        validation_accuracy=row["validation_accuracy"],
        test_accuracy=row["test_accuracy"],
        command=command(game.settings),
        torch=torch.__version__,
    )
    save_network(network, run.weights(round_name(game.number)), card, half=True)
    return run.add(row)


def command(settings: RoundsSettings) -> str:
    """The command that plays these rounds, from the same data."""
    preset = "study" if settings.kept is None else "draw"
    words = ["deceive rounds --preset", preset]
    given, usual = settings.model_dump(), PRESETS[preset].model_dump()
    for name, value in given.items():
        if name == "ascent":
            words += [
                f"--ascent.{key.replace('_', '-')} {inner}"
                for key, inner in value.items()
                if inner != usual["ascent"][key]
            ]
        elif value != usual[name]:
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
            words.append(f"--{name.replace('_', '-')} {shown}")
    return " ".join(words)


def _roll_back(game: _Game, checkpoint: Path, run: Run, trouble: DivergedError) -> None:
    """Go back to where the run was last saved, more slowly from there on."""
    where = game.number
    rollbacks = game.rollbacks + 1
    if rollbacks > _MOST_ROLLBACKS:
        raise InputError(
            f"round {where}: expected a network that goes on learning, but {trouble}, for the "
            f"{rollbacks}th time; what was made so far is in {run.folder}"
        ) from trouble
    slowed = game.slowed / 2
    game.load(checkpoint)
    game.slowed, game.rollbacks = slowed, rollbacks
    game.save(checkpoint)
    row = {
        "part": "rollback",
        "round": where,
        "to": game.number,
        "because": str(trouble),
        "learning_rate": game.settings.learning_rate * slowed,
    }
    processes.on_main(lambda: run.add(row))
