"""Writes `docs/reference/model-cards.md` from the classes of the cards: `make reference`."""

from pathlib import Path

from tools import schemas

from deceive.guarding.card import GuardedCard
from deceive.storage.card import Card

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "model-cards.md"

_ABOUT = """\
# Model cards

Weights are kept as safetensors, which can't run code. A JSON file of the same name beside them, the
card, says what the network is and how to make it again: `fast.safetensors`, `fast.json`.
`deceive.load_network` reads both and checks one against the other; `deceive.save_network` writes
them.

    deceive fool --model path/to/network.safetensors --target 5

This page is made from the code: `make reference`.
"""

_GUARDED = """
## Cards of guarded classifiers

`guarded.json` lies in the folder that `deceive guard` makes. `deceive.load_guarded` reads it.
"""


def page() -> str:
    """The page."""
    card, guarded = Card.model_json_schema(), GuardedCard.model_json_schema()
    parts = [schemas.table("The file", card), _GUARDED]
    parts.append(schemas.table("GuardedCard", guarded))
    parts += [
        schemas.table(name, guarded["$defs"][name]) for name in ("ReaderCard", "GuardCard", "Set")
    ]
    return _ABOUT + "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
