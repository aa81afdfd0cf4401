"""Commands about networks: to train one, to write one for other programs, to list them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self

import tyro
from rich.table import Table

from deceive.cli.flags import ending
from deceive.cli.parsing import Command, chosen
from deceive.cli.screen import log, results, show, task
from deceive.common import checks
from deceive.common.errors import InputError
from deceive.training.recipes import RECIPES, train
from deceive.training.settings import TrainingSettings


@dataclass(frozen=True)
class Choice:
    """The flag that decides the other flags' defaults."""

    recipe: Annotated[str, tyro.conf.arg(aliases=("--architecture",))] = "fast"
    """What is trained, and how: fast, judge, study (the case study's own), reader (a smaller fast)
    or sharp (which sees no faint greys). Two are trained on adversarial images: adversarial is fast
    with changes of up to 0.3 a pixel, robust is sharp with changes up to an L2 distance of 1."""


@dataclass(frozen=True, kw_only=True)
class TrainCommand(Choice, Command):
    """`deceive train`: its flags, and what it does."""

    together: ClassVar[bool] = True

    settings: Annotated[TrainingSettings, tyro.conf.arg(name="")]
    out: Path = Path("network.safetensors")
    """Where the weights go; the card goes beside them."""
    data: Path | None = None
    """A folder with MNIST's four files, or another set's of the same form."""
    seed: int = 0
    """Seed of all random numbers."""
    json: bool = False
    """End with one JSON object on stdout."""

    @classmethod
    def usual(cls, arguments: Sequence[str]) -> Self:
        recipe = chosen(Choice, arguments).recipe
        checks.one_of("recipe", recipe, sorted(RECIPES))
        return cls(recipe=recipe, settings=RECIPES[recipe])

    def run(self) -> int:
        from deceive.common import processes
        from deceive.data.loading import load_data
        from deceive.storage.models import check_savable, save_network

        if ending(self.out) != ".safetensors":
            raise InputError(f"--out: expected a name that ends in .safetensors, got {self.out}")
        check_savable(self.out)
        data = load_data(self.data)
        with task(f"training {self.recipe}") as report:
            network, card = train(
                self.recipe,
                data,
                seed=self.seed,
                settings=self.settings,
                callback=lambda now: report(now.step, now.steps),
            )

        def keep() -> None:
            save_network(network, self.out, card)
            show(
                f"{self.out}: {card.test_accuracy:.2%} of the test set "
                f"({card.validation_accuracy:.2%} of the validation set), {card.seconds:.0f} s",
                {"out": str(self.out)} | card.model_dump(),
                self.json,
            )

        processes.on_main(keep)
        return 0


@dataclass(frozen=True)
class ExportCommand(Command):
    """`deceive export`: its flags, and what it does."""

    model: tyro.conf.Positional[str] = "fast"
    """A shipped network, or a safetensors file."""
    out: Path | None = None
    """Where the graph goes; by default the network's name with .onnx, in this folder."""
    gradient: bool = False
    """Write the gradient of the objective in the pixels too: (images, targets) in."""
    objective: str = "log_odds"
    """Whose gradient: log_odds, log_probability, logit or margin."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.common.files import check_writable
        from deceive.storage.export import export_onnx
        from deceive.storage.models import load_network

        out = self.out or Path(f"{Path(self.model).stem}.onnx")
        if ending(out) != ".onnx":
            raise InputError(f"--out: expected a name that ends in .onnx, got {out}")
        check_writable(out, streams=False)
        network = load_network(self.model)
        export_onnx(network, out, gradient=self.gradient, objective=self.objective)
        size = out.stat().st_size
        takes = ["images", *(["targets"] * self.gradient), *(["noise"] * network.hears_noise)]
        gives = ["logits", *(["gradient"] * self.gradient)]
        show(
            f"{out}: ({', '.join(takes)}) to ({', '.join(gives)}), {size / 1e6:.2f} MB",
            {
                "out": str(out),
                "bytes": size,
                "gradient": self.gradient,
                "objective": self.objective if self.gradient else None,
            },
            self.json,
        )
        return 0


@dataclass(frozen=True)
class InfoCommand(Command):
    """`deceive info`: its flags, and what it does."""

    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        import torch

        from deceive.common.version import __version__
        from deceive.networks.precision import working_dtype
        from deceive.storage.models import load_card, shipped_names

        cards = {name: load_card(name) for name in shipped_names()}
        table = Table("network", "outputs", "validation", "test", "made by")
        for name, card in cards.items():
            table.add_row(
                name,
                str(card.n_outputs),
                f"{card.validation_accuracy:.2%}",
                f"{card.test_accuracy:.2%}",
                card.command,
            )
        dtype = str(working_dtype(torch.device("cpu"))).removeprefix("torch.")
        screen = log if self.json else results
        screen.print(f"deceive {__version__}, torch {torch.__version__}, works in {dtype}")
        screen.print(table)
        if self.json:
            shipped = {name: card.model_dump() for name, card in cards.items()}
            print(json.dumps({"deceive": __version__, "works_in": dtype, "networks": shipped}))
        return 0
