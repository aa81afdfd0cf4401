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
