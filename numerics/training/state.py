"""What training some models is about, and how far it has come, in plain arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["TrainingState", "fill_snapshots", "new_state"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class TrainingState(NamedTuple):
    """Models on their way, one per row of every array; what a checkpoint has to hold.

    Attributes
    ----------
    parameters : ndarray of the dtype of training, shape (models, size)
        W row by row, then b.
    first, second : ndarray of the same dtype and shape
        What the optimizer remembers: velocities or averages.
    steps_done : ndarray of int64, shape (models,)
        Equal to the number of steps of the protocol for a model that is finished.
    stopped_at : ndarray of int64, shape (models,)
        Updates made by models that are finished; 0 for the others.
    window_loss, best_loss : ndarray of float64, shape (models,)
        Sum of the losses of the current window, and the least mean of a window so far.
    stale : ndarray of int64, shape (models,)
        Windows since the last improvement.
    losses : ndarray of float64, shape (models, n_recorded)
        NaN where not recorded, or not yet.
    snapshots : ndarray of float64, shape (models, n_snapshots, size)
        Parameters after the numbers of updates that were asked for.
    """

    parameters: NDArray[Any]
    first: NDArray[Any]
    second: NDArray[Any]
    steps_done: Integers
    stopped_at: Integers
    window_loss: Floats
    best_loss: Floats
    stale: Integers
    losses: Floats
    snapshots: Floats

    def take(self, models: Any) -> TrainingState:
        """Return a copy of some models."""
        return TrainingState(*(np.array(values[models]) for values in self))

    def put(self, models: Any, part: TrainingState) -> None:
        """Overwrite some models with what `take` returned, trained further."""
        for values, new in zip(self, part, strict=True):
            values[models] = new


def new_state(parameters: NDArray[Any], n_recorded: int, n_snapshots: int) -> TrainingState:
    """Return models that have made no step."""
    n_models, size = parameters.shape
    return TrainingState(
        parameters=parameters,
        first=np.zeros_like(parameters),
        second=np.zeros_like(parameters),
        steps_done=np.zeros(n_models, dtype=np.int64),
        stopped_at=np.zeros(n_models, dtype=np.int64),
        window_loss=np.zeros(n_models),
        best_loss=np.full(n_models, np.inf),
        stale=np.zeros(n_models, dtype=np.int64),
        losses=np.full((n_models, n_recorded), np.nan),
        snapshots=np.zeros((n_models, n_snapshots, size)),
    )


def fill_snapshots(state: TrainingState, weight_steps: Integers) -> None:
    """Let models that are finished have their last weights in all snapshots from then on."""
    for k, step in enumerate(weight_steps):
        over = (state.stopped_at > 0) & (state.stopped_at <= step)
        state.snapshots[over, k] = state.parameters[over]
