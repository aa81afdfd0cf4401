"""`timm:NAME`: networks of `timm`, with their own configuration."""

import math
from typing import Any

from torch import nn

from deceive.auditing.models.digests import fingerprint, sha256_of
from deceive.auditing.models.doors.weights import Weights, outputs_in, weights_of
from deceive.auditing.models.interface import Scaling
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.wants import Wants
from deceive.common.errors import InputError


def load(spec: str, *, trust: bool) -> Loaded:
    """The network of that name, with its pretrained weights, or those of a file.

    Args:
        spec: NAME, or NAME@FILE: `.safetensors`, or what `torch.save` wrote of a `state_dict`.
        trust: makes no difference: no format is opened that can run code.

    Raises:
        InputError: when `timm` isn't installed, knows no such network, or the weights can't be
            had or don't fit.
    """
    name, weights = weights_of(spec)
    try:
        import timm
    except Exception as error:  # torchvision beside another torch raises a RuntimeError
        raise InputError(
            f"timm:{name}: expected timm to build it with, and a torchvision that fits this torch; "
            f"pip install 'deceive[timm]' ({error})"
        ) from error
    try:
        network = _built(timm, name, weights)
    except Exception as error:  # the hub's, the file's and the library's have no common class
        line = " ".join(str(error).split())[:200]
        raise InputError(
            f"timm:{name}: expected a network that timm knows, whose weights can be downloaded or "
            f"are given as timm:{name}@FILE; {line}"
        ) from error
    digests = {weights.path.name: sha256_of(weights.path)} if weights else {}
    return Loaded(
        name, "timm", network.eval(), fingerprint(network), digests, wants=wants_of(timm, network)
    )


def _built(timm: Any, name: str, weights: Weights | None) -> nn.Module:
    if weights is None:
        network: nn.Module = timm.create_model(name, pretrained=True)
        return network
    usual = timm.create_model(name, pretrained=False)
    network = timm.create_model(
        name, pretrained=False, num_classes=outputs_in(weights.state, usual)
    )
    network.load_state_dict(weights.state)
    return network


def wants_of(timm: Any, network: nn.Module) -> Wants:
    """What a network's configuration declares.

    `timm` resizes to the input size divided by `crop_pct`, and cuts out the middle; where
    `crop_mode` is "squash", without keeping the proportions.
    """
    config = timm.data.resolve_model_data_config(network)
    channels, height, width = config["input_size"]
    percent, mode = config.get("crop_pct") or 1, config.get("crop_mode", "center")
    resize = crop = size = None
    if mode == "squash" or height != width:
        size = (height, width)
    else:
        resize, crop = math.floor(height / percent), (height, width)
    return Wants(
        channels=channels,
        size=size,
        resize=resize,
        crop=crop,
        bicubic=config.get("interpolation") == "bicubic",
        scaling=Scaling(mean=tuple(config["mean"]), std=tuple(config["std"])),
        class_names=_names(timm, network),
        source="its own configuration",
    )


def _names(timm: Any, network: Any) -> tuple[str, ...] | None:
    """Its labels: its own, or those of the ImageNet that it was trained on."""
    config = getattr(network, "pretrained_cfg", None) or {}
    own = config.get("label_names")
    if own:
        described = config.get("label_descriptions") or {}
        return tuple(described.get(each, each) for each in own)
    subset = timm.data.infer_imagenet_subset(network)
    if subset is None:
        return None
    known = timm.data.ImageNetInfo(subset)
    return tuple(known.index_to_description(place) for place in range(known.num_classes()))
