"""A white box's features: what goes into the linear layer that makes its logits."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deceive.auditing.models.subject import Subject
from deceive.common.seeds import generator_for
from deceive.networks.steadiness import STEADY

# More features than this would take too long to fit scores on.
_MOST = 2048

# How much of the spread of logits rounding may move, between the layer and the model's answer.
_ROUNDING = 1e-3

Seen = Callable[[Tensor, Tensor], None]
"""Is called with the features (n, D) and the layer's logits (n, K) of a batch, both float64."""


@dataclass(frozen=True, eq=False)
class Head:
    """The last linear layer of a model."""

    layer: nn.Linear

    @property
    def weight(self) -> Tensor:
        """(K, D) float64, on the CPU."""
        return self.layer.weight.detach().double().cpu()

    @property
    def bias(self) -> Tensor:
        """(K,) float64, on the CPU; zeros for a layer without one."""
        if self.layer.bias is None:
            return self.weight.new_zeros(len(self.weight))
        return self.layer.bias.detach().double().cpu()

    @contextmanager
    def watched(self, seen: Seen) -> Iterator[None]:
        """Within the block, `seen` is told what goes through the layer, batch by batch."""

        def tell(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
            features = given[0] if given else named["input"]
            seen(features.detach().double().cpu(), output.detach().double().cpu())

        handle = self.layer.register_forward_hook(tell, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()


def head_of(subject: Subject, images: Tensor) -> Head | None:
    """The linear layer that gives the model's logits, if it has one that can be watched.

    None for a black box, for a model whose answers vary, and where no linear layer is called once
    for each batch and gives the model's own logits (in any order, up to a constant an image).

    Args:
        subject: the model.
        images: a few that it takes, (N, C, H, W).
    """
    model = subject.loaded.model
    if subject.module is None or not isinstance(model, nn.Module) or subject.manner != STEADY:
        return None
    heads = [Head(each) for each in model.modules() if isinstance(each, nn.Linear)]
    heads = [each for each in heads if each.layer.in_features <= _MOST]
    outputs: list[list[Tensor]] = [[] for _ in heads]
    with ExitStack() as stack:
        for head, told in zip(heads, outputs, strict=True):
            stack.enter_context(head.watched(_rows_into(told)))
        answers = subject.logits(images).double()
    for head, told in reversed([*zip(heads, outputs, strict=True)]):
        if len(told) == 1 and _gives(told[0], answers):
            return head
    return None


def _rows_into(told: list[Tensor]) -> Seen:
    """Keep what a layer gives, if it is a row for each image: that of other layers is large."""

    def keep(_: Tensor, logits: Tensor) -> None:
        told.append(logits if logits.ndim == 2 else torch.empty(0))

    return keep


def _gives(logits: Tensor, answers: Tensor) -> bool:
    """Whether a layer's logits (N, K) are the answers, in any order and up to a constant each."""
    if logits.shape != answers.shape or not answers.isfinite().all():
        return False
    differ = answers.sort(1).values - logits.sort(1).values
    return bool((differ - differ.mean(1, keepdim=True)).abs().max() <= _ROUNDING * answers.std())


class Sample:
    """Features of some of the images that a model is asked about, chosen at random.

    Args:
        count: how many images it will be asked about.
        most: how many of them to keep at most.
        seed: chooses them.

    Attributes:
        numbers: (M,), those of the images in the sample, in random order.
    """

    def __init__(self, count: int, most: int, seed: int) -> None:
        self.numbers = torch.randperm(count, generator=generator_for(seed, 0, "sample"))[:most]
        self._chosen = torch.zeros(count, dtype=torch.bool)
        self._chosen[self.numbers] = True
        self._met = 0
        self._kept: list[tuple[Tensor, Tensor]] = []

    def __call__(self, features: Tensor, logits: Tensor) -> None:
        """Keep some of a batch: features (n, D) and logits (n, K)."""
        chosen = self._chosen[self._met : self._met + len(features)]
        self._kept.append((features[chosen], logits[chosen]))
        self._met += len(features)

    def kept(self) -> tuple[Tensor, Tensor]:
        """The features (M, D) and the logits (M, K) of the sample, in the order of `numbers`."""
        places = self.numbers.argsort().argsort()
        features, logits = (torch.cat(each)[places] for each in zip(*self._kept, strict=True))
        return features, logits
