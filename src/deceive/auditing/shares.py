"""Computing and formatting shares."""

import math
from collections.abc import Sequence

from torch import Tensor

# Per cent of fewer would look more exact than they are.
_FEW = 50


def share_of(which: Tensor) -> float:
    """The share of flags (N,) that are set.

    >>> import torch
    >>> share_of(torch.tensor([True, False, False, True]))
    0.5
    """
    return which.double().mean().item()


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent with this many decimals; a dash for None.

    >>> percent(0.12345), percent(1.0, 2), percent(None)
    ('12.3%', '100.00%', '–')
    """
    return "–" if share is None else f"{share:.{digits}%}"


def counted_share(share: float, count: int) -> str:
    """A share of so many: in per cent, or as a count if they are few.

    >>> counted_share(1 / 7, 7), counted_share(0.143, 1000)
    ('1 of 7', '14.3%')
    """
    return f"{round(share * count)} of {count}" if count < _FEW else percent(share)


def in_list(words: Sequence[str], last: str = "and") -> str:
    """Words in a list, with this word before the last of them.

    >>> in_list(["a", "b", "c"]), in_list(["a"]), in_list(["a", "b"], "or")
    ('a, b and c', 'a', 'a or b')
    """
    *others, end = words
    return f"{', '.join(others)} {last} {end}" if others else end


def sure(confidence: float) -> str:
    """A confidence in per cent, with enough digits to distinguish it from certainty.

    >>> sure(0.99), sure(0.999987), sure(0.9999997), sure(1)
    ('99%', '99.9987%', '99.99997%', '100%')
    """
    digits = 2 if confidence < 0.9995 else 4
    if confidence < 1:
        digits = max(digits, math.ceil(-math.log10(1 - confidence)) - 2)
    return f"{confidence * 100:.{digits}f}".rstrip("0").rstrip(".") + "%"
