"""Open a model and real images so that they fit each other."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from deceive.auditing.class_names import named
from deceive.auditing.models.accepting import accepted
from deceive.auditing.models.devices import placed
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.interface import FOUND_OUT, Interface, Scaling, as_json
from deceive.auditing.models.loaded import AnyModel, Loaded
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.onnx_model import OnnxModel
from deceive.auditing.models.preprocess_check import check_preprocess
from deceive.auditing.models.preprocessing import with_preprocess
from deceive.auditing.models.subject import Subject
from deceive.auditing.models.wants import as_many_pixels, preparation_of
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.data.dataset import RealData
from deceive.data.given import as_data
from deceive.data.opening import open_data
from deceive.data.preparation import Preparation
from deceive.data.prepared import prepared
from deceive.networks.modules import device_of, without_compile

Place = Any
"""Real images (`as_data`), or where they are (`open_data`); None for MNIST."""


def loaded_model(model: AnyModel, interface: Interface, *, trust: bool) -> Loaded:
    """The model on its device, with the interface's function before it.

    Raises `InputError` when there is no such model, device or function.
    """
    loaded = load_model(model, trust=trust, device=interface.device)
    if isinstance(loaded.model, nn.Module):
        own = not isinstance(model, nn.Module)
        module = placed(without_compile(loaded.model), interface.device, own=own)
        loaded = replace(loaded, model=module, runs_on=device_of(module).type)
    elif isinstance(loaded.model, OnnxModel):
        loaded = replace(loaded, runs_on=loaded.model.providers[0])
    return with_preprocess(loaded, interface)


def fitting(
    loaded: Loaded, place: Place, interface: Interface
) -> tuple[Loaded, RealData, Preparation]:
    """The model, made to take images (N, C, H, W), and real images prepared for it.

    Args:
        loaded: the model.
        place: the real images, or where they are.
        interface: what is declared about the model, which goes before what its file declares.

    Raises:
        InputError: when there is no such data, or its pictures have no common size.
    """
    preparation = preparation_of(interface, loaded.wants)
    data = _opened(place, preparation)
    if loaded.wants.pixels is not None:
        wanted = as_many_pixels(preparation, loaded.wants.pixels, data.image_shape)
    elif interface.preprocess is not None:
        wanted = preparation  # the function sees to the rest
    else:
        loaded, channels = accepted(loaded, data.validation.read(slice(2)))
        own = channels == data.image_shape[0]
        wanted = preparation if own else replace(preparation, channels=channels)
    if wanted != preparation:
        data = _opened(place, wanted)
    data = named(data, interface.class_names)
    if interface.preprocess is not None:
        check_preprocess(loaded, data.validation.read(slice(2)))
    words = ", ".join(_words(loaded, wanted, data.image_shape, interface))
    return replace(loaded, prepared=words), data, wanted


def _words(
    loaded: Loaded, preparation: Preparation, shape: Shape, interface: Interface
) -> Iterator[str]:
    """What becomes of pictures: colour, resized to 256 (shorter side), the middle 224×224."""
    channels, height, width = shape
    yield {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    geometry = str(replace(preparation, channels=None))
    if not (preparation.size or preparation.resize or preparation.crop):
        geometry = f"{height}×{width}"
    yield geometry
    wants = loaded.wants
    if wants.source and wants.scaling is None and preparation == preparation_of(FOUND_OUT, wants):
        yield f"as {wants.source} says"
    if loaded.arranged:
        yield loaded.arranged
    if interface.preprocess is not None:
        yield f"through {as_json(interface)['preprocess']}"


def met_as_judge(loaded: Loaded, data: RealData, interface: Interface) -> Subject:
    """A model that is shown another model's images, and prepares them for itself.

    Raises `InputError` when it doesn't take them.
    """
    loaded, own, preparation = fitting(loaded, data, interface)
    subject = meet(loaded, own, declared(interface, loaded))
    if own is data:
        return subject
    answer = subject.answer
    return replace(
        subject,
        image_shape=data.image_shape,
        module=None,
        answer=lambda images: answer(preparation(images)),
    )


def _opened(place: Place, preparation: Preparation) -> RealData:
    if place is None:
        return open_data(None, preparation)
    return prepared(as_data(place, preparation, from_test=True), preparation)


def opened_like(place: Place, data: RealData, preparation: Preparation) -> RealData | None:
    """Images of other things, prepared as the data are; None for none.

    Raises `InputError` when their shape is another all the same.
    """
    if place is None:
        return None
    same = replace(preparation, channels=data.image_shape[0])
    if isinstance(place, str | Path):
        others: RealData = open_data(place, same, any_labels=True)
    else:
        others = prepared(as_data(place, same), same)
    if others.image_shape != data.image_shape:
        raise InputError(
            f"other_data: expected images of the data's shape, {data.image_shape}, got "
            f"{others.image_shape}; bring both to one size with --size"
        )
    return others


def declared(interface: Interface, loaded: Loaded) -> Interface:
    """The interface, with the scaling that the model itself declares where it has none."""
    if interface.scaling is not None:
        return interface
    if interface.preprocess is not None:
        return replace(interface, preprocess=None, scaling=Scaling())
    return replace(interface, scaling=loaded.wants.scaling)
