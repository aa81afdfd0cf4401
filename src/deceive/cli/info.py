"""The command `deceive info`: show what is installed and which networks are shipped."""

import json
from dataclasses import dataclass

from rich.table import Table

from deceive.cli.parsing import Command
from deceive.cli.screen import log, results


@dataclass(frozen=True)
class InfoCommand(Command):
    """`deceive info`: its flags, and what it does."""

    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        import torch

        from deceive.common.version import __version__
        from deceive.networks.precision import working_dtype
        from deceive.storage.models import load_card
        from deceive.storage.shipped import shipped_names

        cards = {name: load_card(name) for name in shipped_names()}
        snapshots = [name for name in cards if name.startswith("rounds-")]
        table = Table("network", "outputs", "validation", "test")
        alone = [[name] for name in cards if name not in snapshots]
        for names in alone + [snapshots] * bool(snapshots):
            of = [cards[name] for name in names]
            table.add_row(
                _span([names[0], names[-1].removeprefix("rounds-")]),
                _span([str(card.n_outputs) for card in of]),
                _span([f"{card.validation_accuracy:.2%}" for card in of]),
                _span([f"{card.test_accuracy:.2%}" for card in of]),
            )
        dtype = str(working_dtype(torch.device("cpu"))).removeprefix("torch.")
        screen = log if self.json else results
        screen.print(f"deceive {__version__}, torch {torch.__version__}, works in {dtype}")
        screen.print(table)
        for name, card in cards.items():
            if name not in snapshots:
                screen.print(f"{name}: {card.command}", soft_wrap=True)
        if self.json:
            shipped = {name: card.model_dump() for name, card in cards.items()}
            print(json.dumps({"deceive": __version__, "works_in": dtype, "networks": shipped}))
        return 0


def _span(values: list[str]) -> str:
    """The first and the last, or the only one."""
    first, last = values[0], values[-1]
    return first if first == last else f"{first} … {last}"
