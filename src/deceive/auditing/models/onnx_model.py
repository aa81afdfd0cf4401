"""ONNX files as functions of images."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deceive.auditing.models.arranging import LAYOUTS, joined
from deceive.auditing.models.devices import providers
from deceive.auditing.models.interface import DeviceName, Scaling
from deceive.auditing.models.onnx_names import names_in_metadata
from deceive.auditing.models.torch_files import in_batches
from deceive.auditing.models.wants import declared_shape
from deceive.common.errors import InputError
from deceive.common.runtime import onnx_runtime


class OnnxModel:
    """An ONNX file as a function of images, run by onnxruntime.

    Flat inputs (scikit-learn), channels first (PyTorch) and channels last (Keras) are recognised by
    the shape that the file declares; if that leaves several open, the first that it accepts is
    taken. Returns all outputs by name; scikit-learn's ZipMap gives a dictionary for each image.

    Args:
        session: of onnxruntime.
        name: what to call it in error sentences.

    Attributes:
        input: the name of its input.
        dtype: NumPy's type of that.
        batch: how many images it takes at once; None for any number.
        layout: how it takes them, a key of `LAYOUTS`; None until it has been asked.
        wants: what it declares about its images.

    Raises:
        InputError: unless it has one input, of numbers.
    """

    def __init__(self, session: Any, name: str) -> None:
        self._session, self._name = session, name
        try:
            # Names that aren't UTF-8 raise here.
            inputs = [(each.name, each.type, each.shape) for each in session.get_inputs()]
            self._outputs = [each.name for each in session.get_outputs()]
            names = names_in_metadata(session.get_modelmeta().custom_metadata_map)
        except Exception as error:  # onnxruntime's have no common class
            raise InputError(
                f"{name}: expected an ONNX file; {str(error).splitlines()[0]}"
            ) from error
        if len(inputs) != 1 or inputs[0][1] not in _ONNX_TYPES:
            came = ", ".join(f"{each} {kind}" for each, kind, _ in inputs)
            raise InputError(f"{name}: expected one input, of images as numbers, got {came}")
        self.input, kind, self._shape = inputs[0]
        self.dtype: Any = _ONNX_TYPES[kind]
        batch = self._shape[0] if self._shape else None
        self.batch = batch if isinstance(batch, int) and batch > 0 else None
        self.layout: str | None = None
        wants, _ = declared_shape(self._shape[1:])
        self.wants = replace(wants, scaling=_whole_numbers(self.dtype), class_names=names)

    @property
    def providers(self) -> list[str]:
        """ONNX Runtime's execution providers that it runs on, the first one first."""
        found: list[str] = self._session.get_providers()
        return found

    def __call__(self, images: Tensor) -> dict[str, Any]:
        """All outputs by name for images (N, C, H, W), in the file's own types."""
        if self.batch is None:
            return self._ask(images)
        parts = [(self._ask(part), n) for part, n in in_batches(images, self.batch)]
        first, _ = parts[0]
        return {
            name: value if np.ndim(value) == 0 else joined([each[name][:n] for each, n in parts])
            for name, value in first.items()
        }

    def _ask(self, images: Tensor) -> dict[str, Any]:
        if self.layout is not None:
            return self._run(LAYOUTS[self.layout](images))
        *others, last = self._possible(images)
        for layout in others:
            with suppress(Exception):  # onnxruntime's have no common class
                answer = self._run(LAYOUTS[layout](images))
                self.layout = layout
                return answer
        self.layout = last
        return self._run(LAYOUTS[last](images))

    def _run(self, arranged: Tensor) -> dict[str, Any]:
        values = arranged.numpy()
        if np.issubdtype(self.dtype, np.integer):
            limits: Any = np.iinfo(self.dtype)
            values = values.round().clip(limits.min, limits.max)
        feed = {self.input: np.ascontiguousarray(values.astype(self.dtype))}
        answers = self._session.run(None, feed)
        return dict(zip(self._outputs, answers, strict=True))

    def _possible(self, images: Tensor) -> list[str]:
        """The layouts in which images have the shape that the file declares."""
        declared = self._shape[1:]
        possible = []
        for name, arrange in LAYOUTS.items():
            if name == "without channels" and images.shape[1] != 1:
                continue
            shape = arrange(images[:1]).shape[1:]
            if len(shape) == len(declared) and all(
                size == wanted or not isinstance(wanted, int)
                for size, wanted in zip(shape, declared, strict=True)
            ):
                possible.append(name)
        if not possible:
            raise InputError(
                f"{self._name}: expected images of the data's shape, {tuple(images.shape[1:])}, "
                f"got an input of {tuple(declared)}; leave out --size, --resize and --crop to use "
                "the size in the file"
            )
        return possible


def _whole_numbers(dtype: Any) -> Scaling | None:
    """The scaling of an input of whole numbers, which is the levels of an 8-bit file."""
    if not np.issubdtype(dtype, np.integer):
        return None
    return Scaling((-128, 127)) if dtype is np.int8 else Scaling((0, 255))


def open_onnx(path: Path, device: DeviceName = "auto") -> OnnxModel:
    """The model in an ONNX file.

    Raises `InputError` when onnxruntime isn't installed or has no provider for the device, or the
    file can't be read.
    """
    try:
        onnxruntime = onnx_runtime()
    except ImportError as error:
        raise InputError(
            f"{path}: expected onnxruntime to run it with; pip install 'deceive[audit]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    options.intra_op_num_threads = torch.get_num_threads()
    wanted = providers(device, onnxruntime.get_available_providers())
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # onnxruntime's have no common class
        raise InputError(f"{path}: expected an ONNX file; {str(error).splitlines()[0]}") from error
    return OnnxModel(session, str(path))


_ONNX_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
