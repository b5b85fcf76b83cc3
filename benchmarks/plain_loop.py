"""What anyone would write first, and the clock: the yardstick of the benchmarks.

All models in one tensor, autograd, `torch.optim.Adam`, `torch.rand` data, a fresh mask per model,
example and feature. It is timed on one core and on all of them, because on a machine with other
work threads that wait for each other can make small steps slower; the ratios are of like to like.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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


def clock_for(cores: int) -> Callable[[], float]:
    """On one core, the time that the processor spends on this program; on more, wall time."""
    return time.process_time if cores == 1 else time.perf_counter


def interleaved_seconds(
    works: Sequence[Callable[[], Any]], rounds: int, cores: int = 1
) -> list[float]:
    """Median time of each work over `rounds` rounds.

    All works take their turn in every round, so that what else the machine does meets all of them.
    The clock is that of `clock_for`.
    """
    clock = clock_for(cores)
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, own in zip(works, times, strict=True):
            start = clock()
            work()
            own.append(clock() - start)
    return [statistics.median(own) for own in times]


class Clocked(NamedTuple):
    """Median seconds of a work: those that the processor spends on it, on all cores, and wall."""

    processor: float
    wall: float


def clocked(work: Callable[[], Any], enough: float = 0.3) -> Clocked:
    """Time a work until `enough` processor seconds are spent, at least once."""
    times: list[Clocked] = []
    while sum(each.processor for each in times) < enough:
        wall, processor = time.perf_counter(), time.process_time()
        work()
        times.append(Clocked(time.process_time() - processor, time.perf_counter() - wall))
    return Clocked(*(statistics.median(column) for column in zip(*times, strict=True)))


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


def load() -> str:
    """Say how many cores other work kept busy over the last minute: wall times mean little then."""
    busy, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"{busy:.1f} of {cores} cores busy over the minute before"
