"""The loss that anyone would estimate: its mean over sampled inputs, the gradient by autograd.

One batch after another in float64, as float32 rounding ends at 1e-7, on one core. The standard
error falls as 1/√draws, so what an error needs is extrapolated from what was measured. An error
here is one standard error; the exact loss is compared by a bound, which favors sampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from plain_loop import clocked, plain_loss

Floats = NDArray[np.float64]

NUMBERS = 2**20  # in a batch of inputs: 8 MB, which is faster per draw than more or less


@dataclass(frozen=True)
class Sampling:
    """What sampling the loss of a model costs.

    Attributes
    ----------
    seconds : float
        Processor seconds of one draw, with the gradient.
    spread : float
        Standard deviation of the loss on one input, relative to the mean.
    """

    seconds: float
    spread: float

    def seconds_to(self, error: float) -> float:
        """Return the processor seconds after which the relative standard error is `error`."""
        return self.seconds * (self.spread / error) ** 2

    def error_after(self, seconds: float) -> float:
        """Return the relative standard error after so many processor seconds."""
        return self.spread * math.sqrt(self.seconds / seconds)


def sample(
    W: torch.Tensor, b: torch.Tensor, density: float, draws: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss of `draws` inputs and its standard deviation, after a backward pass."""
    shape = (1, draws, b.shape[0])
    x = torch.rand(shape, dtype=torch.float64) * (torch.rand(shape) < density)
    losses = plain_loss(x, W[None], b[None], torch.ones_like(b)[None])
    torch.autograd.backward(losses.mean())
    return losses.detach().mean(), losses.detach().std()


def sampling(W: Floats, b: Floats, density: float, enough: float = 0.3) -> Sampling:
    """Measure the plain estimate of the loss of one model with importances 1."""
    weights = torch.tensor(W, requires_grad=True)
    biases = torch.tensor(b, requires_grad=True)
    draws = max(16, NUMBERS // len(b))
    batches: list[tuple[torch.Tensor, torch.Tensor]] = []

    def work() -> None:
        batches.append(sample(weights, biases, density, draws))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work()
        seconds = clocked(work, enough).processor / draws
    finally:
        torch.set_num_threads(threads)
    mean, deviation = torch.tensor(batches).mean(dim=0).tolist()
    return Sampling(seconds, deviation / mean)
