"""What learns in the rounds: a network's weights, their optimiser, and their average."""

import copy
import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from deceive.common import processes
from deceive.training.averaging import following

# The learning rate rises over this many rounds.
WARMING = 100


class Learner:
    """A module that takes an optimiser step a round, and its slowly following average.

    Args:
        module: what learns; its parameters are taught in place.
        rate: the highest learning rate. It rises over the first 100 rounds and falls along a cosine
            to a twentieth.
        averaging: the share of itself that the average keeps in a round.
        rounds: how many there will be.

    Attributes:
        averaged: the average, a copy of the module.
    """

    def __init__(self, module: nn.Module, *, rate: float, averaging: float, rounds: int) -> None:
        self.module, self.rounds = module, rounds
        self.averaged = copy.deepcopy(module).requires_grad_(False)
        self._follow = following(averaging)
        self.parameters, self._averages = [*module.parameters()], [*self.averaged.parameters()]
        # Without a first moment: what deceived the network a few rounds ago no longer does.
        self.optimiser = torch.optim.Adam(self.parameters, rate, betas=(0.0, 0.99), fused=True)
        for parameter in self.parameters:  # so that there is a state to load into
            self.optimiser.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        self.go_on(0, 1.0)

    def go_on(self, number: int, slowed: float) -> None:
        """Continue after this many rounds, with a factor of the learning rate."""

        def factor(played: int) -> float:
            coming = played + 1
            fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * coming / self.rounds))
            return slowed * fall * min(1, coming / WARMING)

        self.schedule = LambdaLR(self.optimiser, factor, last_epoch=number - 1)

    def step(self, signs: Tensor) -> None:
        """Step along the gradients, which all processes average, and so they do `signs`."""
        processes.average_([*(cast(Tensor, p.grad) for p in self.parameters), signs])
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.schedule.step()
        # The network before the first round counts as one.
        self._follow(self._averages, self.parameters, self.schedule.last_epoch)

    def state(self) -> dict[str, Tensor]:
        """The weights, their average and the optimiser's memory, by name."""
        state = {f"network.{k}": v for k, v in self.module.state_dict().items()}
        state |= {f"averaged.{k}": v for k, v in self.averaged.state_dict().items()}
        for number, parameter in enumerate(self.parameters):
            for name, tensor in self.optimiser.state[parameter].items():
                state[f"optimiser.{number}.{name}"] = tensor
        return state
