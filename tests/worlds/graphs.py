"""Exported networks, asked by ONNX Runtime, and what torch gives."""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from deceive.common.levels import Shape
from deceive.fooling.objectives import OBJECTIVES


def session(path: Path) -> onnxruntime.InferenceSession:
    """The graph, ready to be asked on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


def assert_agrees(
    path: Path,
    network: nn.Module,
    images: Tensor,
    targets: Tensor,
    objective: str = "log_odds",
    noise: Tensor | None = None,
) -> None:
    """The graph's logits and gradients are autograd's."""
    given = {"images": images.numpy(), "targets": targets.numpy()}
    told = () if noise is None else (noise,)
    if noise is not None:
        given["noise"] = noise.numpy()
    came = session(path).run(None, given)
    images = images.clone().requires_grad_(True)
    logits = network.eval()(images, *told)
    (gradient,) = torch.autograd.grad(OBJECTIVES[objective](logits, targets).sum(), images)
    for wanted, one in zip((logits.detach(), gradient), came, strict=True):
        expected = wanted.numpy()
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-4 * scale)


def random_batch(network: nn.Module, shape: Shape, number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise (number, C, H, W), and a target for each."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(number, *shape, generator=generator)
    n_classes = network(images[:1]).shape[1]
    return images, torch.randint(n_classes, (number,), generator=generator)
