"""Ask a model about images, whatever it returns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from deceive.auditing.models.loaded import Loaded
from deceive.common.errors import InputError
from deceive.common.raising import raised
from deceive.networks.inference import logits_of
from deceive.networks.modules import original


@contextmanager
def asking(images: Tensor) -> Iterator[None]:
    """Within the block, an error raised by a model becomes an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"model: expected a model that takes images of shape {tuple(images.shape)}; it raised "
            f"{raised(error)}; set the size that it takes with --size, prepare images in your own "
            "way with --preprocess, or name images of its classes with --data"
        ) from error


def first_answer(loaded: Loaded, scaled: Sequence[Tensor]) -> Any:
    """The model's output in the first scaling that it accepts.

    Args:
        loaded: the model.
        scaled: the same images (N, C, H, W) in one or more scalings.

    Raises:
        InputError: when it accepts none.
    """
    *others, last = scaled
    for images in others:
        with suppress(InputError):
            return _answer(loaded, images)
    return _answer(loaded, last)


def _answer(loaded: Loaded, images: Tensor) -> Any:
    """The model's raw output."""
    with asking(images):
        if isinstance(loaded.model, nn.Module):
            listening = _Listening(original(loaded.model))
            logits_of(listening, images, len(images))
            return listening.heard
        return loaded.model(images.clone())  # some models work in place


class _Listening(nn.Module):
    """Wraps a model and keeps whatever it returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.heard: Any = None

    def forward(self, images: Tensor) -> Tensor:
        self.heard = self.model(images)
        return images.flatten(1)
