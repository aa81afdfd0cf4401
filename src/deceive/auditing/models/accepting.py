"""Find out how a model that declares nothing takes images: by asking it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from deceive.auditing.models.arranging import Arranged, Arrangement, given
from deceive.auditing.models.interface import Scaling
from deceive.auditing.models.loaded import Function, Loaded
from deceive.data.preparation import Preparation
from deceive.networks.inference import evaluating
from deceive.networks.modules import device_of, float_type, original
from deceive.networks.precision import exactly

_LEVELS = Scaling((0, 255))


def accepted(loaded: Loaded, images: Tensor) -> tuple[Loaded, int]:
    """The model, made to take images like these, and the number of channels it takes.

    It is asked about the images as they are first, then in other layouts, with the other number
    of channels, as 8-bit levels, and one at a time. If it takes none of these, it is left as it is:
    the error comes when it is met.

    Args:
        loaded: a model that declares no layout.
        images: two real images (2, C, H, W) in [0, 1].
    """
    own = images.shape[1]
    if not _is_open(loaded):
        return loaded, own
    for arrangement, channels in _candidates(loaded, own):
        if _takes(loaded, arrangement, Preparation(channels=channels)(images)):
            return _arranged(loaded, arrangement), channels
    return loaded, own


def _is_open(loaded: Loaded) -> bool:
    """Whether it may be asked: files declare their input, and lazy layers take its shape."""
    if not isinstance(loaded.model, nn.Module):
        return loaded.format == "callable"
    state = (*loaded.model.parameters(), *loaded.model.buffers())
    return loaded.format != "safetensors" and not any(map(is_lazy, state))


def _candidates(loaded: Loaded, own: int) -> Iterator[tuple[Arrangement, int]]:
    wanted = loaded.wants.channels
    numbers = [own, *({1, 3} - {own} if own in (1, 3) else ())] if wanted is None else [own]
    layouts = ("channels first", "flat", "channels last")
    arrays = (False,) if isinstance(loaded.model, nn.Module) else (False, True)
    for alone, levels, channels in product((False, True), (False, True), numbers):
        for layout, array in product(layouts, arrays):
            yield Arrangement(layout, levels, array, alone), channels


def _takes(loaded: Loaded, arrangement: Arrangement, images: Tensor) -> bool:
    """Whether the model gives anything for the images, with no error."""
    shown = images * 255 if arrangement.levels else images
    try:
        if isinstance(loaded.model, nn.Module):
            model = original(loaded.model)
            device, own = device_of(model), float_type(model)
            with evaluating(model), exactly(device):
                given(model, arrangement, shown.to(device, own, copy=True))
        else:
            given(loaded.model, arrangement, shown.clone())
    except Exception:  # a user's model may raise anything; if nothing helps, `meet` reports it
        return False
    return True


def _arranged(loaded: Loaded, arrangement: Arrangement) -> Loaded:
    if arrangement == Arrangement():
        return loaded
    wants = replace(loaded.wants, scaling=_LEVELS) if arrangement.levels else loaded.wants
    loaded = replace(loaded, arranged=str(arrangement))
    if isinstance(loaded.model, nn.Module):
        return replace(loaded, model=Arranged(loaded.model, arrangement), wants=wants)
    function: Function = loaded.model
    return replace(loaded, model=lambda images: given(function, arrangement, images), wants=wants)
