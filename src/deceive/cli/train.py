"""The command `deceive train`: train a classifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self

import tyro

from deceive.certifying.settings import DetectorSettings
from deceive.certifying.training import train_detector
from deceive.cli.data import DataFlags
from deceive.cli.parsing import Command, chosen, ending
from deceive.cli.screen import show, task
from deceive.common import checks
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset
from deceive.networks.architectures import DETECTOR
from deceive.networks.classifier import Classifier
from deceive.storage.card import Card
from deceive.training.fit import TrainingProgress
from deceive.training.recipes import RECIPES, train
from deceive.training.settings import TrainingSettings


@dataclass(frozen=True)
class Choice:
    """The flag that decides which other flags there are, and their defaults."""

    recipe: Annotated[str, tyro.conf.arg(aliases=("--architecture",))] = "fast"
    """What is trained, and how: fast, judge, study (the case study's own), reader (a smaller fast)
    or sharp (which sees no faint greys). Two are trained on adversarial images: adversarial is fast
    with changes of up to 0.3 a pixel, robust is sharp with changes up to an L2 distance of 1.
    The detector tells images from garbage, with bounds that can be proved; it has flags of its own:
    see --recipe detector --help."""


@dataclass(frozen=True, kw_only=True)
class TrainCommand(Choice, DataFlags, Command):
    """`deceive train`: its flags, and what it does."""

    together: ClassVar[bool] = True

    settings: Annotated[TrainingSettings | DetectorSettings, tyro.conf.arg(name="")]
    out: Path = Path("network.safetensors")
    """Where the weights go; the card goes beside them."""
    seed: int = 0
    """Seed of all random numbers."""
    json: bool = False
    """End with one JSON object on stdout."""

    @classmethod
    def usual(cls, arguments: Sequence[str]) -> Self:
        recipe = chosen(Choice, arguments).recipe
        checks.one_of("--recipe", recipe, sorted([*RECIPES, DETECTOR]))
        return cls(recipe=recipe, settings=RECIPES.get(recipe, DetectorSettings()))

    def run(self) -> int:
        from deceive.common import processes
        from deceive.storage.models import check_savable, save_network

        if ending(self.out) != ".safetensors":
            raise InputError(f"--out: expected a name that ends in .safetensors, got {self.out}")
        check_savable(self.out)
        data = self.load()
        with task(f"training {self.recipe}") as tick:
            network, card = self._trained(data, lambda now: tick(now.step, now.steps))
        what = "passes " if self.recipe == DETECTOR else ""

        def keep() -> None:
            save_network(network, self.out, card)
            show(
                f"{self.out}: {what}{card.test_accuracy:.2%} of the test set "
                f"({card.validation_accuracy:.2%} of the validation set), {card.seconds:.0f} s",
                {"out": str(self.out)} | card.model_dump(),
                self.json,
            )

        processes.on_main(keep)
        return 0

    def _trained(
        self, data: Dataset, callback: Callable[[TrainingProgress], None]
    ) -> tuple[Classifier, Card]:
        if isinstance(self.settings, DetectorSettings):
            return train_detector(data, seed=self.seed, settings=self.settings, callback=callback)
        return train(self.recipe, data, seed=self.seed, settings=self.settings, callback=callback)
