"""The work of the study: three networks, each trained from scratch and then deceived."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deceive.common import processes
from deceive.common.arrays import CANDIDATES
from deceive.common.checks import counted
from deceive.common.levels import from_levels
from deceive.common.progress import Task
from deceive.data.dataset import Dataset
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.result import FoolingResult
from deceive.judging.measures import agreement, caught, digit_accuracy
from deceive.networks.guarded import Network
from deceive.networks.inference import probabilities_of
from deceive.storage.card import Card
from deceive.storage.kinds import Row
from deceive.storage.models import load_network, save_network
from deceive.storage.runs import Run, arrays_of
from deceive.study.rows import load_gallery
from deceive.study.settings import StudySettings, command_of
from deceive.training.recipes import RECIPES, train
from deceive.training.rubbish import RubbishSet

# The networks of the three stages, by the names of their weights.
_NAMES = ("clean", "rubbish-1", "rubbish-2")

# The galleries that show how a stage's network is deceived, an image per class.
_GALLERIES = ("mnist_confidence", "deceive_improved", "second_mispredicted")

# The filmstrip's step size: some dozens of steps on the way.
_SLOW_MOTION = 0.0005


@dataclass(frozen=True)
class Stages:
    """Stage 0 is the clean network; 1 and 2 are taught noise, then fooling images too."""

    run: Run
    data: Dataset
    settings: StudySettings
    judge: Network
    task: Task

    def train_clean(self) -> Row:
        """Train the network that knows no rubbish."""
        _, card = self._train(0)
        return {
            "network": self.settings.network,
            "n_outputs": card.n_outputs,
            "training_seconds": card.seconds,
            "validation_accuracy": card.validation_accuracy,
            "test_accuracy": card.test_accuracy,
        }

    def fool_clean(self) -> Row:
        """Deceive it, and once more in slow motion: usually an image takes only a few steps."""
        network = self._trained(0)
        ten = self._deceive(network, count=1, seed=self.settings.seed)
        self.run.save_arrays(_GALLERIES[0], **arrays_of(ten))
        slow = fool(
            network,
            min(5, self.data.n_classes - 1),
            confidence=self.settings.confidence,
            steps=self.settings.steps,
            ascent=Ascent(step_size=_SLOW_MOTION),
            seed=self.settings.seed,
            trajectory=True,
        )
        assert slow.trajectories is not None
        self.run.save_arrays(
            "filmstrip",
            levels=slow.trajectories[0].levels.numpy(),
            confidence=slow.trajectories[0].confidence.numpy(),
            target=slow.targets[0].numpy(),
        )
        return {"network": self.settings.network} | self._measured(network, 0)

    def teach(self, stage: int) -> Row:
        """Train the network of stage 1 or 2, show it what fooled the last one, and deceive it."""
        rubbish = self._rubbish(stage)
        network, card = self._train(stage, rubbish)
        sizes = dict(zip("CHW", self.data.image_shape, strict=True), K=self.data.n_classes)
        ten = load_gallery(self.run, _GALLERIES[stage - 1], **sizes)
        old = self.run.load_arrays(f"candidates-{stage - 1}", CANDIDATES, **sizes)
        if stage == 1:
            confidence, predicted = probabilities_of(network, _images(ten["levels"])).max(1)
            self.run.save_arrays(
                "improved_model_predictions",
                **ten,
                predicted=predicted.numpy(),
                predicted_confidence=confidence.numpy(),
            )
        fresh = self._deceive(network, count=1, seed=self.settings.seed)
        self.run.save_arrays(_GALLERIES[stage], **arrays_of(fresh))
        test, n_classes = self.data.test, self.data.n_classes
        return {
            "name": "uniform noise" if stage == 1 else "fooling images",
            "rubbish_images": len(rubbish),
            "training_seconds": card.seconds,
            "test_accuracy": card.test_accuracy,
            "test_accuracy_digits": digit_accuracy(network, test.images, test.labels, n_classes),
            "caught": caught(network, _images(ten["levels"]), n_classes),
            "caught_all": caught(network, _images(old["levels"]), n_classes),
        } | self._measured(network, stage)

    def _rubbish(self, stage: int) -> RubbishSet:
        """Noise; at stage 2 also images that fool the network of stage 1."""
        settings, data = self.settings, self.data
        rubbish = RubbishSet.of_noise(
            settings.noise_images, data.image_shape, seed=settings.seed + 1
        )
        if stage == 2:
            count = -(-settings.fooling_images // data.n_classes)
            made = self._deceive(self._trained(1), count=count, seed=settings.seed + 2)
            rubbish += RubbishSet(made.levels[made.fooled][: settings.fooling_images])
        return rubbish

    def _train(self, stage: int, rubbish: RubbishSet | None = None) -> tuple[Network, Card]:
        """Train the network of a stage, with its own seed, and keep its weights."""
        settings = self.settings
        recipe, lesson = RECIPES[settings.network], settings.network
        if settings.epochs is not None:
            recipe = recipe.model_copy(update={"epochs": settings.epochs})
        if rubbish is not None:
            lesson = f"with {counted(len(rubbish), 'image')} of rubbish"
        with self.task(f"training {lesson}") as tick:
            network, card = train(
                settings.network,
                self.data.first(settings.training_images),
                seed=settings.seed + 100 * stage,
                settings=recipe,
                rubbish=rubbish,
                callback=lambda now: tick(now.step, now.steps),
            )
        card = card.model_copy(update={"command": command_of(settings, self.data)})
        save_network(network, self.run.weights(_NAMES[stage]), card)
        return network, card

    def _trained(self, stage: int) -> Network:
        """The network of a stage, from its stored weights; on CUDA if available."""
        return load_network(self.run.weights(_NAMES[stage])).to(processes.here().device)

    def _measured(self, network: Network, stage: int) -> Row:
        """Fooling rate, steps and the judge's opinion, over many candidates for each digit."""
        settings = self.settings
        result = self._deceive(network, count=settings.candidates, seed=settings.seed + 3)
        self.run.save_arrays(f"candidates-{stage}", **arrays_of(result))
        return {
            "candidates": len(result),
            "start": "uniform",
            "confidence": settings.confidence,
            "fooling_rate": result.fooling_rate,
            "median_steps": result.median_steps,
            "judge_agreement": agreement(self.judge, result.images, result.targets),
            "chance": 1 / self.data.n_classes,
        }

    def _deceive(self, network: Network, *, count: int, seed: int) -> FoolingResult:
        """Fooling images, `count` for each class."""
        classes = range(self.data.n_classes)
        with self.task(f"deceiving, {counted(count * len(classes), 'candidate')}") as tick:
            return fool(
                network,
                classes,
                confidence=self.settings.confidence,
                count=count,
                steps=self.settings.steps,
                seed=seed,
                callback=lambda now: tick(now.finished, now.total),
            )


def _images(levels: Any) -> Tensor:
    return from_levels(torch.from_numpy(levels))
