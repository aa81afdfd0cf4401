"""The arrays of an audit's run folder: candidates, curves and garbage, checked when read."""

from collections.abc import Iterable, Sequence

from deceive.auditing.record.rows import Attacked, Followed
from deceive.common.arrays import Arrays, Layout
from deceive.storage.runs import Run

# An attack's candidates, at each of the two thresholds.
_AT_A_THRESHOLD: Layout = {
    "levels": "levels N C H W",
    "confidence": "shares N",
    "fooled": "flags N",
    "steps": "counts N",
    "judged?": "seen N",
    "stalled?": "flags N",
}
_OUTCOMES: Layout = {"targets": "classes N"} | {
    f"{name}_{key}": kind for name in ("asked", "own") for key, kind in _AT_A_THRESHOLD.items()
}

_CURVE: Layout = {
    "targets": "classes N",
    "levels": "levels B N C H W",
    "confidence": "shares B N",
    "judged?": "seen B N",
}

ANSWERS: Layout = {"logits": "scores N L"}
"""A model's answers to a group of images, before their part is whole."""

FRAMES: Layout = {"levels": "levels B N C H W", "confidence": "shares B N"}
"""A group of a curve's candidates, likewise."""

SEARCHED: Layout = dict(FRAMES) | {
    f"{name}_{key}": kind
    for name in ("asked", "own")
    for key, kind in _AT_A_THRESHOLD.items()
    if not key.endswith("?")
}
"""A group of a search's candidates, likewise."""

_GARBAGE: Layout = {
    "levels": "levels N C H W",
    "predicted": "counts N",  # a model may have more outputs than the data has classes
    "confidence": "shares N",
    "rubbish?": "shares N",
}

_REAL: Layout = {
    "levels": "levels N C H W",
    "labels": "classes N",
    "answers": "counts N",
    "confidence": "shares N",
    "predicted?": "counts N",
    "predicted_confidence?": "shares N",
    "rubbish?": "shares N",
    "made?": "levels N c h w",
}

Sizes = dict[str, int]
"""Of an audit's arrays: the classes K, and C, H and W of an image."""


def sizes_of(image_shape: Sequence[int], n_classes: int) -> Sizes:
    """The sizes for images (C, H, W) and this many classes.

    >>> sizes_of((1, 28, 28), 10)
    {'C': 1, 'H': 28, 'W': 28, 'K': 10}
    """
    return dict(zip("CHW", image_shape, strict=True), K=n_classes)


def load_outcomes(run: Run, attacked: Attacked, sizes: Sizes) -> Arrays:
    """The outcomes of candidates, each named by its threshold: `asked_fooled`, `own_levels`, ….

    Raises `InputError` when the arrays are missing or damaged; so do the other loaders.
    """
    return run.load_arrays(attacked.arrays, _OUTCOMES, **sizes)


def load_curve(run: Run, followed: Followed, sizes: Sizes) -> Arrays:
    """A curve's candidates after each of its budgets."""
    return run.load_arrays(followed.arrays, _CURVE, B=len(followed.curve.budgets), **sizes)


def garbage_name(kind: str) -> str:
    """The name of the arrays of a kind of garbage."""
    return f"garbage-{kind.replace(' ', '-')}"


def load_garbage(run: Run, kind: str, sizes: Sizes) -> Arrays:
    """The images of a kind of garbage that the model is surest of, and the likeliest class of each.

    With a rubbish class, `rubbish` is its probability.
    """
    return run.load_arrays(garbage_name(kind), _GARBAGE, **sizes)


REAL = "real"
"""The name of the arrays of some real images."""


def load_real(run: Run, sizes: Sizes) -> Arrays:
    """Some real images with their labels, and the output that the model is surest of.

    With a rubbish class, `predicted` is the likeliest class besides it, and `rubbish` its own
    probability. `made` is what the user's own function makes of them.
    """
    return run.load_arrays(REAL, _REAL, **sizes)


def scores_name(split: str) -> str:
    """The name of the arrays of a split's scores."""
    return f"scores-{split}"


def load_scores(run: Run, split: str, names: Iterable[str]) -> Arrays:
    """The scores of the real images of a split, those of these names."""
    layout = {name: f"scores N{place}" for place, name in enumerate(names)}
    return run.load_arrays(scores_name(split), layout)


def arrays_named(arrays: Arrays, name: str) -> Arrays:
    """Of the arrays of outcomes those at one threshold, without its name.

    >>> import numpy as np
    >>> arrays_named({"own_steps": np.arange(2), "asked_steps": np.arange(3)}, "own")
    {'steps': array([0, 1])}
    """
    prefix = f"{name}_"
    return {
        key.removeprefix(prefix): values for key, values in arrays.items() if key.startswith(prefix)
    }
