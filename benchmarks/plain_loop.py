"""What anyone would write first, and the clock: the yardstick of the benchmarks.

All models in one tensor, autograd, `torch.optim.Adam`, `torch.rand` data, a fresh mask per model,
example and feature. It is timed on one core and on all of them, because on a machine with other
work threads that wait for each other can make small steps slower; the ratios are of like to like.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def median_seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median wall time of `work` over `repeats` calls, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def best_seconds(works: Sequence[Callable[[], Any]], repeats: int, cores: int = 1) -> list[float]:
    """Least time of each work over `repeats` rounds, after one call that is not counted.

    All works take their turn in every round, so that what else the machine does meets all of them.
    On one core it is the time that the processor spends on the work, else wall time.
    """
    clock = time.process_time if cores == 1 else time.perf_counter
    for work in works:
        work()
    best = [math.inf] * len(works)
    for _ in range(repeats):
        for k, work in enumerate(works):
            start = clock()
            work()
            best[k] = min(best[k], clock() - start)
    return best


def plain_loss(
    x: torch.Tensor, W: torch.Tensor, b: torch.Tensor, importance: torch.Tensor
) -> torch.Tensor:
    """Loss of shape (models, batch) on inputs of shape (models, batch, n)."""
    output = torch.relu(x @ W.mT @ W + b[:, None])
    return ((x - output) ** 2 * importance[:, None]).sum(dim=-1)


class PlainLoop:
    """A loop over steps that trains all models at once.

    Parameters
    ----------
    n_hidden : int
    density : ndarray of shape (models,)
    importance : ndarray of shape (models, n_features)
    batch_size : int
    learning_rate : float
    """

    def __init__(
        self,
        n_hidden: int,
        density: Floats,
        importance: Floats,
        batch_size: int = 64,
        learning_rate: float = 1e-2,
    ) -> None:
        models, n = importance.shape
        self.W = (torch.randn(models, n_hidden, n) / n_hidden**0.5).requires_grad_()
        self.b = torch.zeros(models, n, requires_grad=True)
        self._density = torch.tensor(density, dtype=torch.float32)[:, None, None]
        self._importance = torch.tensor(importance, dtype=torch.float32)
        self._shape = (models, batch_size, n)
        self._optimizer = torch.optim.Adam([self.W, self.b], lr=learning_rate)

    def run(self, steps: int) -> None:
        """Make `steps` updates."""
        for _ in range(steps):
            x = torch.rand(self._shape) * (torch.rand(self._shape) < self._density)
            loss = plain_loss(x, self.W, self.b, self._importance).mean(dim=1).sum()
            self._optimizer.zero_grad()
            torch.autograd.backward(loss)
            self._optimizer.step()


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns aligned to the right, the first to the left."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    for row in [header, *rows]:
        first, *rest = (
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]))


def core_counts() -> list[int]:
    """One core, and all of them."""
    return sorted({1, os.cpu_count() or 1})
