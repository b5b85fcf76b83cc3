"""The optimizers of `torch.optim`, on parameters that are stepped in place without autograd.

Each operation is one correctly rounded elementwise operation. Fused ones (`addcmul`, `lerp`,
`add` with a factor) round differently in a vector's body and in its tail, and would make a model's
result depend on its place in the pack.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch

from .protocols import Protocol

__all__ = ["Optimizer", "make_optimizer"]


class Optimizer(ABC):
    """Updates `parameters` in place from gradients of the same shapes.

    Parameters
    ----------
    parameters : sequence of torch.Tensor
    protocol : Protocol

    Attributes
    ----------
    steps_done : int
    first, second : tuple of torch.Tensor
        What is remembered of each parameter from step to step: velocities or averages, zero at the
        start. Copy to them, and set `steps_done`, to go on from there.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], protocol: Protocol) -> None:
        self._parameters = tuple(parameters)
        self._protocol = protocol
        self._scratch = self._zeros()
        self.steps_done = 0
        self.first, self.second = self._zeros(), self._zeros()

    def _zeros(self) -> tuple[torch.Tensor, ...]:
        return tuple(torch.zeros_like(parameter) for parameter in self._parameters)

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Make one update at the learning rate that the protocol has at this step."""
        rate = self._protocol.learning_rate_at(self.steps_done)
        self.steps_done += 1
        decay = 1 - rate * self._protocol.weight_decay
        for index, (parameter, gradient) in enumerate(
            zip(self._parameters, gradients, strict=True)
        ):
            if decay != 1:
                parameter.mul_(decay)
            parameter.sub_(self._update(index, gradient, rate))

    @abstractmethod
    def _update(self, index: int, gradient: torch.Tensor, rate: float) -> torch.Tensor:
        """Return what to subtract from parameter `index`; `gradient` is left as it is."""


class _SGD(Optimizer):
    def _update(self, index: int, gradient: torch.Tensor, rate: float) -> torch.Tensor:
        if self._protocol.momentum:
            gradient = self.first[index].mul_(self._protocol.momentum).add_(gradient)
        return torch.mul(gradient, rate, out=self._scratch[index])


class _Adam(Optimizer):
    """Adam, and AdamW through the decay that `step` applies.

    The averages are kept without their factors 1 − β, which join the learning rate and eps: three
    operations fewer per step, where a step of few small models is mostly the cost of calling.
    """

    def _update(self, index: int, gradient: torch.Tensor, rate: float) -> torch.Tensor:
        beta1, beta2 = self._protocol.betas
        scale1 = (1 - beta1) / (1 - beta1**self.steps_done)
        scale2 = math.sqrt((1 - beta2) / (1 - beta2**self.steps_done))
        update = torch.mul(gradient, gradient, out=self._scratch[index])
        second = self.second[index].mul_(beta2).add_(update)
        torch.sqrt(second, out=update).add_(self._protocol.eps / scale2)
        first = self.first[index].mul_(beta1).add_(gradient)
        return torch.div(first, update, out=update).mul_(rate * scale1 / scale2)


class _RMSprop(Optimizer):
    def _update(self, index: int, gradient: torch.Tensor, rate: float) -> torch.Tensor:
        alpha = self._protocol.alpha
        update = torch.mul(gradient, gradient, out=self._scratch[index]).mul_(1 - alpha)
        square = self.second[index].mul_(alpha).add_(update)
        torch.sqrt(square, out=update).add_(self._protocol.eps)
        torch.div(gradient, update, out=update)
        if self._protocol.momentum:
            velocity = self.first[index].mul_(self._protocol.momentum).add_(update)
            return torch.mul(velocity, rate, out=update)
        return update.mul_(rate)


def make_optimizer(parameters: Sequence[torch.Tensor], protocol: Protocol) -> Optimizer:
    """Return the optimizer that `protocol` names, on `parameters`."""
    kinds: dict[str, Callable[[Sequence[torch.Tensor], Protocol], Optimizer]] = {
        "sgd": _SGD,
        "adam": _Adam,
        "adamw": _Adam,
        "rmsprop": _RMSprop,
    }
    return kinds[protocol.optimizer](parameters, protocol)
