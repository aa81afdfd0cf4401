"""The weights of a rival in training, their average, and the way back."""

import copy

import torch
from torch import Tensor, nn

from benchmarks.rivals.rival import Rival

# The average of the weights reaches back over a share of the training: its relative width is about
# 5%, whatever the length (power function, Karras et al. 2024, equation 2).
_POWER = 16

# Steps between two copies of the state.
_APART = 100


class State:
    """What the steps of a training change, apart from what the rival's objective carries."""

    def __init__(self, rival: Rival) -> None:
        self.recipe = rival.recipe
        self.parameters = list(rival.parameters())
        self.averages = [parameter.detach().clone() for parameter in self.parameters]
        self.optimiser = torch.optim.AdamW(
            self.parameters,
            self.recipe.learning_rate,
            betas=self.recipe.betas,
            weight_decay=self.recipe.weight_decay,
            fused=True,
        )
        self.steps = self.restarts = 0
        self._earlier = self._last = self._copied()

    def follow(self, loss: Tensor, learning_rate: float) -> bool:
        """Take one step down the loss; or go back and say False if the training has diverged."""
        if not abs(loss.item()) <= self.recipe.diverged:
            self.restarts += 1
            self._go_back()
            return False
        if self.steps and self.steps % _APART == 0:
            self._earlier, self._last = self._last, self._copied()
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, self.recipe.longest)
        self.optimiser.step()
        self._average()
        self.steps += 1
        return True

    @torch.no_grad()
    def take_averages(self) -> None:
        """Give the rival the averaged weights."""
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            parameter.copy_(average)

    @torch.no_grad()
    def _average(self) -> None:
        share = 1 - (1 - 1 / (self.steps + 1)) ** (_POWER + 1)
        for average, parameter in zip(self.averages, self.parameters, strict=True):
            average.lerp_(parameter, share)

    @torch.no_grad()
    def _go_back(self) -> None:
        """Be as at the last copy but one, which is from well before the trouble."""
        weights, averages, optimiser = self._earlier
        for now, then in zip(
            (*self.parameters, *self.averages), (*weights, *averages), strict=True
        ):
            now.copy_(then)
        self.optimiser.load_state_dict(copy.deepcopy(optimiser))
        self._last = self._earlier

    def _copied(self) -> tuple[list[Tensor], list[Tensor], dict[str, object]]:
        return (
            [parameter.detach().clone() for parameter in self.parameters],
            [average.clone() for average in self.averages],
            copy.deepcopy(self.optimiser.state_dict()),
        )
