"""`torchvision:NAME`: networks of torchvision, with the transforms of their weights."""

from pathlib import Path
from typing import Any

from deceive.auditing.models.digests import fingerprint, sha256_of
from deceive.auditing.models.doors.weights import outputs_in, read_weights
from deceive.auditing.models.interface import Scaling
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.wants import Wants
from deceive.common.errors import InputError
from deceive.data.preparation import Size


def load(spec: str, *, trust: bool) -> Loaded:
    """The network of that name, with the weights of torchvision, or those of a file.

    Args:
        spec: NAME, NAME@WEIGHTS (`IMAGENET1K_V1`) or NAME@FILE: `.safetensors`, or what
            `torch.save` wrote of a `state_dict`.
        trust: makes no difference: no format is opened that can run code.

    Raises:
        InputError: when torchvision can't be imported, knows no such network, or the weights can't
            be had or don't fit.
    """
    name, _, chosen = spec.partition("@")
    try:
        from torchvision import models
    except Exception as error:  # beside another torch it raises a RuntimeError
        raise InputError(
            f"torchvision:{name}: expected a torchvision that fits this torch; pip install "
            f"torchvision ({error})"
        ) from error
    path = Path(chosen) if "." in chosen else None
    try:
        usual = models.get_model_weights(name)
        weights = usual[chosen] if chosen and path is None else usual.DEFAULT
        if path is None:
            network = models.get_model(name, weights=weights)
        else:
            state = read_weights(path).state
            count = outputs_in(state, models.get_model(name, weights=None))
            network = models.get_model(name, weights=None, num_classes=count)
            network.load_state_dict(state)
    except InputError:
        raise
    except Exception as error:  # the library's and the download's have no common class
        line = " ".join(str(error).split())[:200]
        raise InputError(
            f"torchvision:{name}: expected a network that torchvision knows, whose weights can be "
            f"downloaded or are given as torchvision:{name}@FILE; {line}"
        ) from error
    digests = {} if path is None else {path.name: sha256_of(path)}
    wants = wants_of(weights, own=path is not None)
    return Loaded(name, "torchvision", network.eval(), fingerprint(network), digests, wants=wants)


def wants_of(weights: Any, *, own: bool) -> Wants:
    """What the transforms of weights declare: resized, the middle, normalised.

    Args:
        weights: a member of torchvision's `WeightsEnum`.
        own: whether the user's own weights are used instead: their classes are others.
    """
    transforms = weights.transforms()
    (resize, *_), (crop, *_) = transforms.resize_size, transforms.crop_size
    return Wants(
        channels=3,
        resize=resize,
        crop=_square(crop),
        bicubic=getattr(transforms.interpolation, "value", None) == "bicubic",
        scaling=Scaling(mean=tuple(transforms.mean), std=tuple(transforms.std)),
        class_names=None if own else tuple(weights.meta["categories"]),
        source="the recipe of its weights",
    )


def _square(side: int) -> Size:
    return side, side
