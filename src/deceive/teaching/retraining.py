"""Great rounds, the case study's: a new network every time, on all the rubbish there is."""

import torch
from torch import Tensor

from deceive.common.checks import counted
from deceive.data.loading import Dataset
from deceive.fooling.fool import FoolingResult, fool
from deceive.judging.measures import agreement, caught
from deceive.networks.guarded import Network
from deceive.storage.runs import Row
from deceive.teaching.game import FRESH, Game
from deceive.teaching.settings import RetrainingSettings
from deceive.training.recipes import RECIPES, build, train
from deceive.training.rubbish import RubbishSet


class Retraining(Game):
    """Great rounds: thousands of fresh candidates, then a new network on all there is."""

    growing = ("rubbish",)

    settings: RetrainingSettings

    def __init__(self, data: Dataset, settings: RetrainingSettings) -> None:
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

    def _candidates(self, network: Network, count: int, seed: int) -> FoolingResult:
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
        return f"{counted(len(self.rubbish), 'image')} of rubbish"

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

    def made(self, network: Network) -> FoolingResult:
        s = self.settings
        return self._candidates(network, s.measured, seed=FRESH + s.seed)

    def measure(self, network: Network, made: FoolingResult, judge: Network) -> Row:
        older = self.rubbish.images
        return {
            "images": len(made),
            "rubbish_images": len(self.rubbish),
            "fooling_rate": made.fooling_rate,
            "median_steps": made.median_steps,
            "judge_agreement": agreement(judge, made.images, made.targets),
            "rubbish_caught": caught(network, older, self.data.n_classes) if len(older) else None,
        }
