"""ONNX files as functions of images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.auditing.models.torch_files import in_batches
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.common.runtime import onnx_runtime


class OnnxModel:
    """An ONNX file as a function of images, run by onnxruntime on the CPU.

    Flat inputs (scikit-learn), channels first (PyTorch) and channels last (Keras) are recognised by
    the shape that the file declares. Returns all outputs by name; dictionaries (scikit-learn's
    ZipMap) become arrays in the order of their keys.
    """

    def __init__(self, path: Path) -> None:
        try:
            onnxruntime = onnx_runtime()
        except ImportError as error:
            raise InputError(
                f"{path}: expected onnxruntime to run it with; pip install 'deceive[audit]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            # Names that aren't UTF-8 raise here.
            inputs = [(each.name, each.type, each.shape) for each in self._session.get_inputs()]
            self._outputs = [each.name for each in self._session.get_outputs()]
        except Exception as error:  # onnxruntime's have no common class
            raise InputError(
                f"{path}: expected an ONNX file; {str(error).splitlines()[0]}"
            ) from error
        if len(inputs) != 1 or inputs[0][1] not in _ONNX_TYPES:
            came = ", ".join(f"{name} {kind}" for name, kind, _ in inputs)
            raise InputError(f"{path}: expected one input, of images as numbers, got {came}")
        (self._input, kind, self._shape), self._path = inputs[0], path
        self._dtype = _ONNX_TYPES[kind]
        batch = self._shape[0] if self._shape else None
        self._batch = batch if isinstance(batch, int) and batch > 0 else None

    def __call__(self, images: Tensor) -> dict[str, NDArray[Any]]:
        """All outputs by name for images (N, C, H, W), in the file's own types."""
        if self._batch is None:
            return self._ask(images)
        parts = [(self._ask(part), n) for part, n in in_batches(images, self._batch)]
        return {
            name: np.concatenate([answer[name][:n] for answer, n in parts]) if value.ndim else value
            for name, value in parts[0][0].items()
        }

    def _ask(self, images: Tensor) -> dict[str, NDArray[Any]]:
        arranged = self._arrange(images).numpy()
        if self._dtype == np.uint8:
            arranged = arranged.round()
        feed = {self._input: np.ascontiguousarray(arranged.astype(self._dtype))}
        answers = self._session.run(None, feed)
        return dict(zip(self._outputs, map(_as_array, answers), strict=True))

    def _arrange(self, images: Tensor) -> Tensor:
        declared = self._shape[1:]
        layouts: list[tuple[Shape | tuple[int, ...], Callable[[Tensor], Tensor]]] = [
            (tuple(images.shape[1:]), lambda x: x),
            ((*images.shape[2:], images.shape[1]), lambda x: x.permute(0, 2, 3, 1)),
            ((images[0].numel(),), lambda x: x.flatten(1)),
        ]
        if images.shape[1] == 1:
            layouts.append((tuple(images.shape[2:]), lambda x: x[:, 0]))
        for shape, arrange in layouts:
            if len(shape) == len(declared) and all(
                size == wanted or not isinstance(wanted, int)
                for size, wanted in zip(shape, declared, strict=True)
            ):
                return arrange(images)
        raise InputError(
            f"{self._path}: expected images of shape {tuple(images.shape[1:])} as the data's, "
            f"got an input of {tuple(declared)}"
        )


def _as_array(output: Any) -> NDArray[Any]:
    if not (isinstance(output, list) and output and isinstance(output[0], dict)):
        return np.asarray(output)
    keys = sorted(output[0], key=_by_number)
    return np.array([[row[key] for key in keys] for row in output])


def _by_number(label: int | str) -> tuple[float, str]:
    """Sort key: numbers and numeric strings by value, then other strings."""
    try:
        return float(label), ""
    except ValueError:
        return float("inf"), str(label)


_ONNX_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
