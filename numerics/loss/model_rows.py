"""A batch of models as rows of plain arrays, and the threads that work through them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...features import FeatureDistribution, check_features
from ...model import check_activation, check_penalty
from ..arguments import Floats, broadcast_parameters, check_weights
from .laws import Laws, Workspace, laws_of, workspace

_MODELS_PER_TASK = 256
_RTOL = 1e-12  # of losses that are sums over nodes, so that their gradient is smooth enough


@dataclass(frozen=True)
class ModelRows:
    """Weights and descriptions of models, one per row; W and b are copies that may be overwritten.

    Attributes
    ----------
    shape : tuple of int
        Leading shape of the batch that the rows are the flattened form of.
    W : ndarray of shape (models, n_hidden, n_features)
    b : ndarray of shape (models, n_features)
    density, importance : ndarray of shape (models, n_features)
    penalty : ndarray of shape (models,)
    linear : bool
    features : FeatureDistribution
    """

    shape: tuple[int, ...]
    W: Floats
    b: Floats
    density: Floats
    importance: Floats
    penalty: Floats
    linear: bool
    features: FeatureDistribution

    @property
    def scale(self) -> Floats:
        """Σ_i I_i s_i of each model, the scale of its gradients."""
        return np.asarray((self.density * self.importance).sum(axis=-1))

    def laws(self, part: slice) -> Laws | None:
        """Return the laws of the inputs of these rows."""
        return laws_of(self.features, self.density[part], self.linear)

    def workspace(self) -> Workspace:
        """Return new scratch memory for the loss of one model at a time."""
        return workspace(self.features, self.W.shape[-1], self.linear, _RTOL)


def model_rows(
    W: ArrayLike,
    b: ArrayLike,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    activation: str,
    features: FeatureDistribution | None,
    penalty: ArrayLike,
) -> ModelRows:
    """Check and broadcast the arguments of a computation on many models.

    Raises
    ------
    ValueError
        As `population_loss` does.
    """
    features = check_features(features)
    linear = check_activation(activation) == "linear"
    penalty = check_penalty(penalty)
    W = np.asarray(W, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    n, m, shape = check_weights(W, b)
    shape, density, importance = broadcast_parameters(
        n, density, importance, np.broadcast_shapes(shape, penalty.shape), features
    )

    def rows(values: Floats, *tail: int) -> Floats:
        return np.array(np.broadcast_to(values, shape + tail), order="C").reshape(-1, *tail)

    return ModelRows(
        shape, rows(W, m, n), rows(b, n), rows(density, n), rows(importance, n), rows(penalty),
        linear, features,
    )  # fmt: skip


def in_threads(task: Callable[[slice], None], count: int, workers: int | None) -> None:
    """Call `task` on slices that cover range(count), in threads; an interrupt drops the rest.

    Raises
    ------
    ValueError
        If `workers` is given and below 1.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    workers = workers or os.cpu_count() or 1
    size = max(1, min(_MODELS_PER_TASK, count // (4 * workers)))
    pool = ThreadPoolExecutor(workers)
    try:
        parts = [slice(start, min(start + size, count)) for start in range(0, count, size)]
        for future in [pool.submit(task, part) for part in parts]:
            future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
