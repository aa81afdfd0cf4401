"""What `fool` and `draw` share: targets, the judge, and output files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deceive.cli.parsing import about_flag, ending
from deceive.common import checks
from deceive.common.errors import InputError

# Default judges: the first that isn't the judged network itself.
_JUDGES = ("judge", "study")

# Most digits of a class number; Python's own limit is in the thousands.
_MOST_DIGITS = 9


def targets_of(asked: str, card: Any, flag: str) -> Sequence[int]:
    """The classes that a flag asks for: one by its number, or all except rubbish."""
    classes = [output for output in range(card.n_outputs) if output != card.rubbish_class]
    if asked == "all":
        return classes
    if not (asked.isascii() and asked.isdecimal()) or len(asked) > _MOST_DIGITS:
        raise InputError(f"{flag}: expected a class number or all, got {checks.shown(asked)}")
    if int(asked) not in classes:
        what = ", the rubbish class" if int(asked) == card.rubbish_class else ""
        raise InputError(
            f"{flag}: expected a class, {classes[0]} to {classes[-1]}, or all, got {asked}{what}"
        )
    return [int(asked)]


# Images of a single class in a row of a sheet.
_IN_A_ROW = 10


def check_place(out: Path, card: Any) -> None:
    """Raise `InputError` before any work if images of this kind can't be written."""
    from deceive.common.files import check_writable

    if ending(out) not in (".npz", ".png"):
        raise InputError(f"--out: expected a .png or an .npz, got {out}")
    if ending(out) == ".png" and card.image_shape[0] not in (1, 3, 4):
        raise InputError(f"--out: expected an .npz for images of {card.image_shape[0]} channels")
    check_writable(out)


def judge_of(asked: str | None, card: Any, model: str) -> Any:
    """The judge for images of the model with this card, and its name.

    None if none was asked for and the usual ones were trained on other data. Raises `InputError`
    when the one asked for was, or is the model itself.
    """
    from deceive.storage.models import load_card, load_network

    for name in _JUDGES if asked is None else (asked,):
        with about_flag("--judge"):
            its = load_card(name)
        if its.weights_sha256 == card.weights_sha256:
            continue
        if its.data_checksum == card.data_checksum:
            return name, load_network(name)
        if asked is not None:
            raise InputError(
                f"--judge: expected a network that was trained on the same images as {model}, got "
                f"{asked!r}, trained on others"
            )
        return None
    raise InputError(f"--judge: expected a network other than {model}, got the same one")


def judged(judge: Any, result: Any, summary: dict[str, Any]) -> str:
    """The judge's agreement, in words and in the summary; empty without a judge."""
    from deceive.judging.measures import agreement

    if judge is None:
        return ""
    name, network = judge
    agreed = agreement(network, result.images, result.targets)
    summary |= {"judge": name, "judge_agreement": agreed}
    return f"; another network ({name}) sees the target in {agreed:.1%} of them"


def write_sheet(levels: Any, out: Path, *, count: int, single: bool) -> None:
    """Write images (N, C, H, W) as one .png, a class a row; those of a single class in rows of ten.

    Each pixel is doubled.
    """
    from deceive.reporting.figures import contact_sheet, save

    columns = min(count, _IN_A_ROW) if single else count
    save(contact_sheet(levels.numpy(), columns=columns), out)


def without_one_channel(levels: Any) -> Any:
    """(N, H, W) for images of one channel; others unchanged."""
    return levels[:, 0] if levels.shape[1] == 1 else levels
