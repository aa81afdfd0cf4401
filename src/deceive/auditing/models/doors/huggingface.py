"""`hf:ID-or-folder`: image classifiers of `transformers`, with their own image processor."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from deceive.auditing.models.digests import fingerprint
from deceive.auditing.models.interface import Scaling
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.wants import Wants
from deceive.common.errors import InputError
from deceive.data.preparation import Size

# What an image processor does if its configuration doesn't say.
_RESCALE, _LARGE = 1 / 255, 384
# How Pillow numbers it.
_BICUBIC = 3


class Logits(nn.Module):
    """A classifier of `transformers`, which returns its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W)."""
        logits: Tensor = self.model(images).logits
        return logits


def load(place: str, *, trust: bool) -> Loaded:
    """The image classifier of a folder, or of that name on the hub.

    Args:
        place: a folder that `save_pretrained` wrote, or ORG/NAME.
        trust: run code that the model brings.

    Raises:
        InputError: when `transformers` isn't installed, or there is no such classifier.
    """
    try:
        from transformers import AutoModelForImageClassification
        from transformers.image_processing_base import ImageProcessingMixin
    except Exception as error:  # a torchvision beside another torch raises a RuntimeError
        raise InputError(
            f"hf:{place}: expected transformers to load it with, and no torchvision or one that "
            f"fits this torch; pip install 'deceive[hf]' ({error})"
        ) from error
    try:
        network = AutoModelForImageClassification.from_pretrained(place, trust_remote_code=trust)
    except Exception as error:  # the hub's, the file's and the library's have no common class
        line = " ".join(str(error).split())[:200]
        raise InputError(
            f"hf:{place}: expected a folder from save_pretrained, or an image classifier on the "
            f"hub that can be downloaded; {line}"
        ) from error
    try:
        processor, _ = ImageProcessingMixin.get_image_processor_dict(place)
    except OSError:  # it has none
        processor = {}
    name = place.rstrip("/").rpartition("/")[2]
    wants = wants_of(network.config, processor)
    return Loaded(name, "transformers", Logits(network), fingerprint(network), wants=wants)


def wants_of(config: Any, processor: Mapping[str, Any]) -> Wants:
    """What a model's configuration and its image processor's declare.

    Args:
        config: a `PretrainedConfig`.
        processor: the content of `preprocessor_config.json`; empty without one.
    """
    names = getattr(config, "id2label", None) or {}
    listed = [names[key] for key in sorted(names, key=int)]
    image_size = getattr(config, "image_size", None)
    size, resize, crop = _geometry(processor) if processor else (None, None, None)
    if size is None and resize is None and crop is None and image_size is not None:
        size = _sides(image_size)
    generic = all(str(name).startswith("LABEL_") for name in listed)
    return Wants(
        channels=getattr(config, "num_channels", 3),
        size=size,
        resize=resize,
        crop=crop,
        bicubic=processor.get("resample") == _BICUBIC,
        scaling=_scaling(processor) if processor else None,
        class_names=None if generic else tuple(map(str, listed)),
        source="its image processor" if processor else "its configuration",
    )


def _geometry(processor: Mapping[str, Any]) -> tuple[Size | None, int | None, Size | None]:
    """Size, resize and crop."""
    cropped = processor.get("do_center_crop", "crop_size" in processor)
    crop = _sides(processor["crop_size"]) if cropped and "crop_size" in processor else None
    size = processor.get("size") if processor.get("do_resize", True) else None
    if size is None:
        return None, None, crop
    if isinstance(size, Mapping) and "height" in size:
        return (None, None, crop) if crop is not None else (_sides(size), None, None)
    edge = size["shortest_edge"] if isinstance(size, Mapping) and "shortest_edge" in size else size
    if not isinstance(edge, int):
        return None, None, crop
    if crop is not None:
        return None, edge, crop
    if isinstance(size, int):
        return (edge, edge), None, None
    if processor.get("crop_pct") is not None and edge < _LARGE:  # as ConvNeXT's does
        return None, int(edge / processor["crop_pct"]), (edge, edge)
    return (edge, edge), None, None


def _sides(size: Any) -> Size:
    """(height, width) of a size in any of the forms that configurations have."""
    if isinstance(size, Mapping):
        edge = size.get("shortest_edge")
        return int(size.get("height", edge)), int(size.get("width", edge))
    if isinstance(size, int):
        return size, size
    height, width = size
    return int(height), int(width)


def _scaling(processor: Mapping[str, Any]) -> Scaling:
    low, high = 0.0, 255.0
    if processor.get("do_rescale", True):
        high = round(255 * float(processor.get("rescale_factor", _RESCALE)), 6)
        if processor.get("rescale_offset", False):
            low, high = low - 1, high - 1
    mean, std = processor.get("image_mean"), processor.get("image_std")
    if not processor.get("do_normalize", mean is not None) or mean is None or std is None:
        return Scaling((low, high))
    return Scaling((low, high), tuple(_several(mean)), tuple(_several(std)))


def _several(values: Any) -> list[float]:
    return [values] if isinstance(values, int | float) else list(values)
