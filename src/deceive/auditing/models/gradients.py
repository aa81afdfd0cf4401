"""Whether a model's gradient can be followed."""

import warnings
from collections.abc import Callable

from torch import Tensor, nn

from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import has_gradient

_BLACK_BOX = "so only the black-box attacks run."


def differentiable(
    module: nn.Module, images: Tensor, frozen: Callable[[nn.Module, Tensor], object] = FrozenCopy
) -> tuple[nn.Module | None, list[str]]:
    """The module itself, or None and a note if no gradient can be followed through it.

    Args:
        module: images (N, C, H, W) in [0, 1] in, logits out; it runs without a gradient.
        images: (2, C, H, W): some models need a batch of two.
        frozen: makes the copy that attacks work on.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 8-bit layers warn
            passes = has_gradient(module, images)
    except Exception as error:  # as of `numpy()`: a user's model may raise anything
        return None, [f"It doesn't run with a gradient ({_first_line(error)}), {_BLACK_BOX}"]
    if not passes:
        return None, [
            "No gradient passes through it (detach(), no_grad(), argmax, NumPy, integer or 8-bit "
            f"layers), {_BLACK_BOX}"
        ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the attacks' own copy says it
            frozen(module, images[:1])
    except Exception as error:
        return None, [f"Its gradient can't be followed ({_first_line(error)}), {_BLACK_BOX}"]
    return module, []


def _first_line(error: Exception) -> str:
    said = str(error) or type(error).__name__
    return said.splitlines()[0]
