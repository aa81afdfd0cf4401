"""The command `deceive info`: show what is installed, and the cards of networks."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich.table import Table

from deceive.cli.parsing import Command
from deceive.cli.screen import log, results


@dataclass(frozen=True)
class InfoCommand(Command):
    """`deceive info`: its flags, and what it does."""

    model: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[MODEL]")] = None
    """A shipped network, or a safetensors file, to show in detail; by default all that are shipped
    in a table."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        import torch

        from deceive.common.version import __version__
        from deceive.networks.precision import working_dtype
        from deceive.storage.models import load_card
        from deceive.storage.shipped import shipped_names

        names = shipped_names() if self.model is None else [self.model]
        cards = {name: load_card(name) for name in names}
        dtype = str(working_dtype(torch.device("cpu"))).removeprefix("torch.")
        screen = log if self.json else results
        screen.print(f"deceive {__version__}, torch {torch.__version__}, works in {dtype}")
        if self.model is None:
            snapshots = [name for name in names if name.startswith("rounds-")]
            alone = [name for name in names if name not in snapshots]
            screen.print(_side_by_side(cards, [*([name] for name in alone), snapshots]))
            for name in alone:
                screen.print(f"{name}: {cards[name].command}", soft_wrap=True)
        else:
            for line in _in_detail(cards[self.model]):
                screen.print(line, soft_wrap=True)
        if self.json:
            networks = {name: card.model_dump() for name, card in cards.items()}
            print(json.dumps({"deceive": __version__, "works_in": dtype, "networks": networks}))
        return 0


def _side_by_side(cards: dict[str, Any], rows: list[list[str]]) -> Table:
    """A table in which a row is a network, or several that belong together."""
    table = Table("network", "outputs", "validation", "test")
    for names in filter(None, rows):
        of = [cards[name] for name in names]
        table.add_row(
            _span([names[0], names[-1].removeprefix("rounds-")]),
            _span([str(card.n_outputs) for card in of]),
            _span([f"{card.validation_accuracy:.2%}" for card in of]),
            _span([f"{card.test_accuracy:.2%}" for card in of]),
        )
    return table


def _span(values: list[str]) -> str:
    """The first and the last, or the only one."""
    first, last = values[0], values[-1]
    return first if first == last else f"{first} … {last}"


def _in_detail(card: Any) -> list[str]:
    """What the card of a network says, except for its settings."""
    from deceive.networks.architectures import DETECTOR

    rubbish = "" if card.rubbish_class is None else f"; {card.rubbish_class} is the rubbish class"
    share = "real images that pass" if card.architecture == DETECTOR else "accuracy"
    share += " (rubbish left out)" if rubbish else ""
    rounds = "" if card.round is None else f" ({card.round:,} rounds)"
    return [
        f"architecture: {card.architecture}",
        f"images: {'×'.join(map(str, card.image_shape))}, pixels in [0, 1]",
        f"outputs: {card.n_outputs}{rubbish}",
        f"{share}: {card.validation_accuracy:.2%} on validation images, "
        f"{card.test_accuracy:.2%} on test images",
        f"trained in: {card.seconds:,.0f} s{rounds}, seed {card.seed}, torch {card.torch}",
        f"trained by: {card.command}",
        f"weights (SHA-256): {card.weights_sha256}",
    ]
