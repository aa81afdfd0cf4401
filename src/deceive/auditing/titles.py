"""What a model is called on pages and in tables."""

from pathlib import Path

# Letters of a name; a longer one loses its beginning.
_LONGEST = 60


def title_of(spec: str) -> str:
    """A model's name, as its user gave it, without the folders that it is in.

    >>> title_of("models/net.onnx"), title_of("nets/my.py:net"), title_of("my.nets:small")
    ('net.onnx', 'my.py:net', 'my.nets:small')
    >>> title_of("timm:resnet18@weights/mine.safetensors"), title_of("hf:microsoft/resnet-50")
    ('timm:resnet18@mine.safetensors', 'hf:microsoft/resnet-50')
    >>> title_of((lambda images: images).__name__)
    'a function'
    """
    if spec == "<lambda>":
        return "a function"
    door, colon, rest = spec.rpartition(":")
    if not colon:
        title = Path(rest).name
    elif door.endswith(".py"):
        title = f"{Path(door).name}:{rest}"
    elif "@" in rest:
        name, _, weights = rest.rpartition("@")
        title = f"{door}:{name}@{Path(weights).name}"
    elif rest.count("/") > 1 or rest.startswith((".", "/", "~")):  # a folder, not ORG/NAME
        title = f"{door}:{Path(rest).name}"
    else:
        title = spec
    return title if len(title) <= _LONGEST else f"…{title[1 - _LONGEST :]}"
