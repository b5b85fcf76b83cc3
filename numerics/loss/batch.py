"""Losses and gradients of many models, shared among threads: by models, or by outputs of one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...features import FeatureDistribution
from ..arguments import Floats
from ..compiled import compiled
from .contour.model import CLOSED_ROUNDING, summed_model_in_threads, summed_model_on
from .laws import QUADRATURE_FEATURES, Laws, Workspace, laws_of, workspace
from .one_model import model_loss_and_gradient

__all__ = ["Losses", "Rows", "losses_of_rows"]

Integers = NDArray[np.int64]

_SHARED_FEATURES = 24  # from so many features on, the outputs of one model are worth threads


@dataclass(frozen=True)
class Rows:
    """Arguments of the losses of many models, one row for each.

    Attributes
    ----------
    W : ndarray of shape (models, n_hidden, n_features)
    b, density, importance : ndarray of shape (models, n_features)
    penalty : ndarray of shape (models,)
    linear : bool
    """

    W: Floats
    b: Floats
    density: Floats
    importance: Floats
    penalty: Floats
    linear: bool


@dataclass(frozen=True)
class Losses:
    """Losses of many models, one row for each.

    Attributes
    ----------
    loss : ndarray of shape (models,)
    dW : ndarray of shape (models, n_hidden, n_features)
    db : ndarray of shape (models, n_features)
    errors : ndarray of shape (models, 2)
        Bounds on the errors of the loss and of any entry of its gradient.
    """

    loss: Floats
    dW: Floats
    db: Floats
    errors: Floats


@compiled
def _batch_loss_and_gradient(
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    penalty: Floats,
    linear: bool,
    laws: Laws | None,
    loss: Floats,
    dW: Floats,
    db: Floats,
    work: Workspace,
) -> None:
    n = W.shape[2]
    gram = np.empty((n, n))
    dgram = np.empty((n, n))
    for k in range(W.shape[0]):
        loss[k] = model_loss_and_gradient(
            W[k], b[k], density[k], importance[k], penalty[k], linear, laws, k, dW[k], db[k], gram,
            dgram, work,
        )  # fmt: skip


def _estimate_rounding(rows: Rows, out: Losses, relative: bool) -> None:
    """Set the errors of closed forms: what their tests allow, with room."""
    empty = 0.0 if relative else (rows.importance * rows.density).sum(axis=1)
    out.errors[:, 0] = CLOSED_ROUNDING * (out.loss + empty)
    lengths = abs(rows.W).sum(axis=1)  # at least those of the columns
    size = 1.0 + abs(rows.b).max(axis=1) + lengths.max(axis=1) * lengths.sum(axis=1)
    weight = rows.importance.sum(axis=1) + rows.penalty
    out.errors[:, 1] = CLOSED_ROUNDING * weight * size * (1.0 + lengths.max(axis=1))


def _summed_losses(rows: Rows, works: Sequence[Workspace], out: Losses) -> None:
    """Compute models whose outputs are sums over nodes, each with all threads."""
    sums = [work.sums for work in works if work.sums is not None]
    with ThreadPoolExecutor(len(sums)) as pool:
        for k in range(len(rows.W)):
            out.loss[k] = summed_model_in_threads(
                rows.W[k], rows.b[k], rows.density[k], rows.importance[k], float(rows.penalty[k]),
                out.dW[k], out.db[k], works[0].moments, sums, pool,
            )  # fmt: skip
            out.errors[k] = sums[0].errors


def losses_of_rows(
    rows: Rows,
    features: FeatureDistribution,
    rtol: float,
    gradient: bool,
    device: torch.device | None = None,
) -> Losses:
    """Return the losses of all models, with the gradients if they are wanted.

    Sums over nodes run on `device`, if it is given and not the CPU; all else on the CPU.
    The result does not depend on the number of threads.
    """
    models, _, n = rows.W.shape
    laws = laws_of(features, rows.density, rows.linear)
    out = Losses(
        np.empty(models), np.empty_like(rows.W), np.empty((models, n)), np.empty((models, 2))
    )

    def new_workspace() -> Workspace:
        return workspace(features, n, rows.linear, rtol, gradient)

    work = new_workspace()
    if work.sums is None:
        _batch_loss_and_gradient(
            rows.W, rows.b, rows.density, rows.importance, rows.penalty, rows.linear, laws,
            out.loss, out.dW, out.db, work,
        )  # fmt: skip
        _estimate_rounding(rows, out, rows.linear or n <= QUADRATURE_FEATURES)
        return out
    if device is not None and device.type != "cpu":
        for k in range(models):
            out.loss[k] = summed_model_on(
                device, rows.W[k], rows.b[k], rows.density[k], rows.importance[k],
                float(rows.penalty[k]), out.dW[k], out.db[k], work.moments, work.sums,
            )  # fmt: skip
            out.errors[k] = work.sums.errors
        return out
    threads = (os.cpu_count() or 1) if n >= _SHARED_FEATURES else 1
    _summed_losses(rows, [work, *(new_workspace() for _ in range(threads - 1))], out)
    return out
