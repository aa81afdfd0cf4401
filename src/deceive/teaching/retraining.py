"""The case study's rounds: a new network every time, trained on all the rubbish so far."""

import time

import torch
from torch import Tensor

from deceive.common.checks import counted
from deceive.data.dataset import Dataset
from deceive.fooling.fool import fool
from deceive.fooling.result import FoolingResult
from deceive.judging.measures import caught
from deceive.networks.guarded import Network
from deceive.storage.kinds import Row
from deceive.storage.models import halved
from deceive.teaching.game import Game
from deceive.teaching.settings import RetrainingSettings
from deceive.training.recipes import RECIPES, build, train
from deceive.training.rubbish import RubbishSet


class Retraining(Game):
    """Thousands of fresh candidates per round, then a new network, trained on all rubbish."""

    settings: RetrainingSettings
    growing = ("rubbish",)

    def __init__(self, data: Dataset, settings: RetrainingSettings) -> None:
        super().__init__(data, settings)
        self.rubbish = RubbishSet.of_noise(
            settings.noise_images, data.image_shape, seed=settings.seed + 1
        )
        self.recipe = RECIPES[settings.network].model_copy(update={"epochs": settings.epochs})
        self.network = build(settings.network, data, seed=settings.seed, rubbish_class=True)
        self.is_trained = False

    def begin(self) -> None:
        """Train the network of round 0, which knows noise alone."""
        if not self.is_trained:
            self._train()

    def play(self) -> None:
        """Deceive the network, and teach a new one."""
        started = time.perf_counter()
        self.number += 1
        self.teach(self.deceive())
        self.seconds += time.perf_counter() - started

    def deceive(self) -> RubbishSet:
        """The fooling images among this round's candidates."""
        s, n_classes = self.settings, self.data.n_classes
        count, seed = -(-s.candidates // n_classes), s.seed + 100 * self.number
        result = candidates_of(self.network, n_classes, s, count, seed)
        return RubbishSet(result.levels[result.fooled][: s.candidates])

    def teach(self, rubbish: RubbishSet) -> None:
        """Train a new network on the digits and on all rubbish, with this added."""
        self.rubbish += rubbish
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

    def best(self) -> Network:
        """The network itself, in half precision."""
        return halved(self.network)

    def tally(self, network: Network) -> Row:
        """How much rubbish there is, and how much of it the network catches."""
        images, rubbish_class = self.rubbish.images, self.data.n_classes
        return {
            "rubbish_images": len(images),
            "rubbish_caught": caught(network, images, rubbish_class) if len(images) else None,
        }

    def news(self) -> str:
        """How much rubbish there is."""
        return f"{counted(len(self.rubbish), 'image')} of rubbish"

    def shared(self) -> dict[str, Tensor]:
        """The network and the rubbish."""
        state = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        return state | {
            "rubbish": self.rubbish.levels,
            "is_trained": torch.tensor(self.is_trained),
        }

    def own(self) -> dict[str, Tensor]:
        """The generator; all processes have the same rubbish."""
        return {"generator": self.generator.get_state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the tensors of `shared`."""
        of_network = self.network.state_dict().keys()
        self.network.load_state_dict({k: state[f"network.{k}"] for k in of_network})
        self.network.eval()
        self.rubbish = RubbishSet(state["rubbish"])
        self.is_trained = bool(state["is_trained"])


def candidates_of(
    network: Network, n_classes: int, settings: RetrainingSettings, count: int, seed: int
) -> FoolingResult:
    """`count` candidates for each class against `network`, from uniform noise."""
    return fool(
        network,
        range(n_classes),
        confidence=settings.confidence,
        count=count,
        seed=seed,
        steps=settings.steps,
        ascent=settings.ascent,
    )
