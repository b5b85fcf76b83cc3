"""A validated request to train models, which the engines carry out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol as Interface

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...architecture import Architecture
from ...features import FeatureDistribution
from ...model import Activation
from ..arguments import broadcast_to_grid
from ..sampling.random_words import BIASES, DECODER, WEIGHTS, model_keys, standard_normals
from .protocols import Protocol
from .state import TrainingState, new_state

__all__ = [
    "Engine",
    "TrainingPlan",
    "initial_parameters",
    "keys_of",
    "parameter_shapes",
    "split_parameters",
    "start_of",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingPlan:
    """What to train; model number g · replicas + k is replica k of grid point g.

    Attributes
    ----------
    density, importance : ndarray, shape (points, n_features)
    penalty, model_index : ndarray, shape (points,)
    initial : tuple of ndarray, or None
        W, V if it is not Wᵀ, and b of every model to start from.
    recorded_steps : ndarray, shape (n_recorded,)
        Steps whose loss is recorded.
    weight_steps : ndarray, shape (n_snapshots,)
        Numbers of updates after which the weights are recorded.
    """

    protocol: Protocol
    architecture: Architecture
    activation: Activation
    seed: int
    replicas: int
    n_hidden: int
    features: FeatureDistribution
    density: Floats
    importance: Floats
    penalty: Floats
    model_index: Integers
    initial: tuple[Floats, ...] | None
    recorded_steps: Integers
    weight_steps: Integers
    device: torch.device
    dtype: torch.dtype

    @property
    def n_features(self) -> int:
        """Number of features n."""
        return int(self.density.shape[-1])

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters of one model, in the order of the rows of its state."""
        return parameter_shapes(self.n_features, self.n_hidden, self.architecture)

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


def parameter_shapes(
    n_features: int, n_hidden: int, architecture: Architecture
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of W, of V unless it is Wᵀ, and of b.

    Examples
    --------
    >>> from superposition.architecture import ABSOLUTE_VALUE
    >>> parameter_shapes(3, 2, ABSOLUTE_VALUE)
    {'W': (2, 3), 'V': (3, 2), 'b': (3,)}
    """
    decoder = {} if architecture.tied else {"V": (n_features, n_hidden)}
    return {"W": (n_hidden, n_features), **decoder, "b": (n_features,)}


def split_parameters(rows: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return the named parameters that an array or a tensor of shape (..., size) holds."""
    parts, start = {}, 0
    for name, shape in shapes.items():
        end = start + prod(shape)
        parts[name] = rows[..., start:end].reshape(*rows.shape[:-1], *shape)
        start = end
    return parts


def initial_parameters(
    initial: Sequence[ArrayLike],
    models: tuple[int, ...],
    shapes: dict[str, tuple[int, ...]],
) -> tuple[Floats, ...]:
    """Return the parameters that models start from, each of shape (*models, *its shape).

    Raises
    ------
    ValueError
        If `initial` is not one array for each shape, does not broadcast to them, or is not finite.
    """
    try:
        arrays = [np.asarray(values, dtype=np.float64) for values in initial]
        named = dict(zip(shapes, arrays, strict=True))
    except (TypeError, ValueError):
        wanted = [f"{name} of shape {(*models, *shape)}" for name, shape in shapes.items()]
        raise ValueError(
            f"initial must be {'a pair' if len(shapes) == 2 else 'a triple'} of arrays, "
            f"{', '.join(wanted[:-1])} and {wanted[-1]}, got {initial!r}"
        ) from None
    for name, values in named.items():
        if not np.isfinite(values).all():
            raise ValueError(f"initial {name} must be finite, got a NaN or infinite entry")
    return tuple(
        broadcast_to_grid(f"initial {name}", values, (*models, *shapes[name]))
        for name, values in named.items()
    )


def keys_of(plan: TrainingPlan, models: Integers, stream: int) -> torch.Tensor:
    """Return the keys of a stream of some models, on the CPU."""
    points, copies = models // plan.replicas, models % plan.replicas
    index, replica = (torch.as_tensor(values) for values in (plan.model_index[points], copies))
    return model_keys(plan.seed, index, replica, stream)


def start_of(plan: TrainingPlan) -> TrainingState:
    """Return all models of a plan before their first step."""
    parameters = _drawn(plan) if plan.initial is None else plan.initial
    sizes = [prod(shape) for shape in plan.shapes.values()]
    rows = [values.reshape(plan.n_models, k) for values, k in zip(parameters, sizes, strict=True)]
    return new_state(
        np.concatenate(rows, axis=1).astype(plan.number),
        len(plan.recorded_steps),
        len(plan.weight_steps),
    )


def _drawn(plan: TrainingPlan) -> tuple[Floats, ...]:
    """Return the starts that the protocol draws: one stream of random numbers for each parameter."""
    protocol, models = plan.protocol, np.arange(plan.n_models)
    sources = {
        "W": (WEIGHTS, protocol.weight_init),
        "V": (DECODER, protocol.weight_init),
        "b": (BIASES, protocol.bias_init),
    }
    drawn = []
    for name, shape in plan.shapes.items():
        stream, law = sources[name]
        rows, columns = shape if len(shape) == 2 else (1, *shape)
        values = standard_normals(keys_of(plan, models, stream), rows, columns)
        values *= law.standard_deviation(plan.n_features, plan.n_hidden)
        drawn.append(values)
    return tuple(drawn)
