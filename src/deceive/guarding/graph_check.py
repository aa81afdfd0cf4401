"""Whether the ONNX file of a guarded classifier gives what torch gives."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.common.errors import InputError
from deceive.guarding.door import OUTPUTS
from deceive.guarding.forms import Form
from deceive.guarding.model import GuardedModel, answers_to
from deceive.networks.inference import logits_of

# How far rounding may move results: a probability away from torch's, and a classifier's outputs
# away from those without the guard, as a share of the greatest. The second value is for half
# precision.
_TOLERANCE, _TOLERANCE_IN_HALF = 1e-3, 2e-2


@dataclass(frozen=True, eq=False)
class Checked:
    """What a file has to do as the classifier does."""

    form: Form
    input: str
    batch: int | None
    """How many images it takes at once; None for any number."""
    path: Path | None = None
    """The classifier's own file; or else"""
    reader: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    """the classifier; the first result is what it gives."""
    dtype: torch.dtype = torch.float32
    """The type that the classifier works in, if it is known."""

    @property
    def tolerance(self) -> float:
        """How far a result may be from what it should be."""
        in_half = {self.form.dtype, self.dtype} & {torch.float16, torch.bfloat16}
        return _TOLERANCE_IN_HALF if in_half else _TOLERANCE


def check_agrees(
    runtime: Any, path: Path, guarded: GuardedModel, images: Tensor, told: Checked
) -> None:
    """Raise `InputError` unless the file at `path` gives what it should.

    Args:
        runtime: the module `onnxruntime`.
        path: the file.
        guarded: the guarded classifier.
        images: (N, C, H, W) in [0, 1]; the first few are run alone as well.
        told: how it takes them, and what the classifier gives by itself.
    """
    if told.batch is not None:
        images = images.repeat(-(-told.batch // len(images)), 1, 1, 1)
    taken = told.form.given(images)
    back = told.form.images(taken)
    if not float((back - images).abs().max()) <= told.form.rounding:
        raise InputError(
            f"images can't be recovered from the classifier's input ({told.form.scaling}, "
            f"{told.form.layout}, {told.form.dtype})"
        )
    session, alone = _session(runtime, path), _alone(runtime, told)
    for part in _parts(len(taken), told.batch):
        came = dict(
            zip(
                [each.name for each in session.get_outputs()],
                session.run(None, {told.input: taken[part].numpy()}),
                strict=True,
            )
        )
        for name, value in alone(taken[part]).items():
            if not _alike(value, came[name], told.tolerance):
                raise InputError(
                    f"ONNX Runtime gives a different {name!r} with the guard beside it"
                )
        _check_guard([*came.values()][-len(OUTPUTS) :], guarded, back[part], told)


def _check_guard(
    came: list[NDArray[Any]], guarded: GuardedModel, images: Tensor, told: Checked
) -> None:
    """Raise `InputError` unless `OUTPUTS` are those of torch."""
    logits = logits_of(guarded, images)
    p, expected = logits.softmax(1), answers_to(logits, guarded.threshold)
    none, confidence, classes, passes = map(torch.from_numpy, came)
    two = p[:, :-1].topk(2).values
    clear = two[:, 0] - two[:, 1] > 2 * told.tolerance
    gap = max(
        float((none - expected.none_of_these).abs().max()),
        float((confidence - expected.confidence).abs().max()),
    )
    wrong = int((classes != expected.classes)[clear].sum())
    wrong += int((passes != (confidence >= guarded.threshold)).sum())
    if wrong or not gap <= told.tolerance:
        raise InputError(
            f"ONNX Runtime and torch differ by up to {gap:.2g} in a probability, and in the class "
            f"of {wrong} images"
        )


def _session(runtime: Any, path: Path) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def _alone(runtime: Any, told: Checked) -> Callable[[Tensor], Mapping[str, Any]]:
    """What the classifier gives by itself, by name, for what it takes."""
    if told.path is not None:
        session = _session(runtime, told.path)
        names = [each.name for each in session.get_outputs()]

        def run(taken: Tensor) -> Mapping[str, Any]:
            return dict(zip(names, session.run(None, {told.input: taken.numpy()}), strict=True))

        return run
    reader = told.reader
    assert reader is not None

    @torch.no_grad()
    def ask(taken: Tensor) -> Mapping[str, Any]:
        return {"output": reader(taken.clone())[0].numpy()}

    return ask


def _parts(count: int, batch: int | None) -> Iterator[slice]:
    """Batches: one image, a few and the rest; of the only size that a file takes."""
    if batch is None:
        yield from (slice(0, 1), slice(1, 4), slice(4, count))
    else:
        yield from (slice(at, at + batch) for at in range(0, count - batch + 1, batch))


def _alike(one: Any, other: Any, share: float) -> bool:
    """Whether two outputs of a runtime are the same apart from rounding."""
    if isinstance(one, list):
        return len(one) == len(other) and all(
            _alike(a, b, share) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and _alike(
            np.array([*one.values()]), np.array([*other.values()]), share
        )
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind != "f":
        return bool((one == other).all())
    most = share * max(1.0, float(np.abs(one[np.isfinite(one)]).max(initial=0)))
    return bool(np.allclose(one.astype(float), other.astype(float), 0, most, equal_nan=True))
