"""A validated request to train models, which the engines carry out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol as Interface

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution
from ...model import Activation
from ..arguments import broadcast_to_grid
from ..sampling.random_words import BIASES, WEIGHTS, model_keys, standard_normals
from .protocols import Protocol
from .state import TrainingState, new_state

__all__ = ["Engine", "TrainingPlan", "initial_pair", "keys_of", "start_of"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingPlan:
    """What to train; model number g · replicas + k is replica k of grid point g.

    Attributes
    ----------
    density, importance : ndarray, shape (points, n_features)
    penalty, model_index : ndarray, shape (points,)
    initial : pair of ndarray, or None
        W and b of every model to start from.
    recorded_steps : ndarray, shape (n_recorded,)
        Steps whose loss is recorded.
    weight_steps : ndarray, shape (n_snapshots,)
        Numbers of updates after which the weights are recorded.
    """

    protocol: Protocol
    activation: Activation
    seed: int
    replicas: int
    n_hidden: int
    features: FeatureDistribution
    density: Floats
    importance: Floats
    penalty: Floats
    model_index: Integers
    initial: tuple[Floats, Floats] | None
    recorded_steps: Integers
    weight_steps: Integers
    device: torch.device
    dtype: torch.dtype

    @property
    def n_features(self) -> int:
        """Number of features n."""
        return int(self.density.shape[-1])

    @property
    def n_models(self) -> int:
        """Grid points times replicas."""
        return len(self.density) * self.replicas

    @property
    def number(self) -> type[np.floating[Any]]:
        """The NumPy type of the computation."""
        return np.float32 if self.dtype == torch.float32 else np.float64

    @property
    def scale(self) -> float:
        """Factor of the objective."""
        return 1.0 if self.protocol.reduction == "sum" else 1.0 / self.n_features


class Engine(Interface):
    """Something that trains models of a plan."""

    def advance(self, models: Integers, state: TrainingState, check: Callable[[], None]) -> None:
        """Make updates of some models, a second's work or less where that is possible.

        Parameters
        ----------
        models : ndarray of int64, shape (k,)
            Their numbers in the plan.
        state : TrainingState
            Of these models, k rows; changed in place.
        check : callable
            Called now and then; raises where the work is not wanted anymore.
        """
        ...

    def chunk_size(self, workers: int) -> int:
        """How many models to hand over at once when there are so many workers."""
        ...


def initial_pair(
    initial: tuple[ArrayLike, ArrayLike], models: tuple[int, ...], m: int, n: int
) -> tuple[Floats, Floats]:
    """Return W of shape (*models, m, n) and b of shape (*models, n) that models start from.

    Raises
    ------
    ValueError
        If `initial` is no pair, does not broadcast to these shapes, or is not finite.
    """
    try:
        W, b = (np.asarray(values, dtype=np.float64) for values in initial)
    except (TypeError, ValueError):
        raise ValueError(
            f"initial must be a pair of arrays, W of shape {(*models, m, n)} and b of shape "
            f"{(*models, n)}, got {initial!r}"
        ) from None
    for name, values in (("initial W", W), ("initial b", b)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, got a NaN or infinite entry")
    return (
        broadcast_to_grid("initial W", W, (*models, m, n)),
        broadcast_to_grid("initial b", b, (*models, n)),
    )


def keys_of(plan: TrainingPlan, models: Integers, stream: int) -> torch.Tensor:
    """Return the keys of a stream of some models, on the CPU."""
    points, copies = models // plan.replicas, models % plan.replicas
    index, replica = (torch.as_tensor(values) for values in (plan.model_index[points], copies))
    return model_keys(plan.seed, index, replica, stream)


def start_of(plan: TrainingPlan) -> TrainingState:
    """Return all models of a plan before their first step."""
    n, m, protocol = plan.n_features, plan.n_hidden, plan.protocol
    if plan.initial is None:
        models = np.arange(plan.n_models)
        W = standard_normals(keys_of(plan, models, WEIGHTS), m, n)
        W *= protocol.weight_init.standard_deviation(n, m)
        b = standard_normals(keys_of(plan, models, BIASES), 1, n)[:, 0]
        b *= protocol.bias_init.standard_deviation(n, m)
    else:
        W, b = plan.initial
    rows = np.concatenate([W.reshape(len(W), m * n), b], axis=1).astype(plan.number)
    return new_state(rows, len(plan.recorded_steps), len(plan.weight_steps))
