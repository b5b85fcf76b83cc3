"""What a phase diagram says of its points: closed forms, exact optimum, trained models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from ...features import FeatureDistribution
from ...numerics import descend, population_loss, random_starts, train
from ...theory import candidates, r, s
from ..phases import classify
from .configuration import PhaseDiagramConfiguration

__all__ = [
    "VARIABLES",
    "Points",
    "Variable",
    "compute_points",
    "judged",
    "noise_floor",
    "optimum",
    "theory",
]

Floats = NDArray[np.float64]

_TIED = 1e-9  # relative; minima this close are one loss, and the phase that is named first wins
_STUCK = 1e-6  # relative; a settled loss this far above the optimum is another local minimum
# In units of Σ I_i s_i; see `noise_floor`.
_FLOOR = 1e-12


@dataclass(frozen=True)
class Variable:
    """What a variable of the dataset is.

    Attributes
    ----------
    long_name : str
    dims : tuple of str
        After density and importance.
    dtype : type
        int8 where it counts or codes something; -1 and NaN stand for what is not there.
    """

    long_name: str
    dims: tuple[str, ...] = ()
    dtype: type[np.generic] = np.float64

    @property
    def missing(self) -> float | int:
        """What stands where there is no value."""
        return -1 if self.dtype is np.int8 else np.nan


_ENTRIES = ("hidden", "feature")
_OF_REPLICA = ("replica",)

VARIABLES = {
    "candidate_loss": Variable("closed-form loss of each candidate of the theory", ("candidate",)),
    "theory_phase": Variable("phase of the candidate with the lowest closed-form loss", (), np.int8),
    "theory_loss": Variable("lowest closed-form loss among the candidates"),
    "optimum_phase": Variable("phase of the exact optimum", (), np.int8),
    "optimum_loss": Variable(
        "exact population loss of the optimum, found by descent from random starts"
    ),
    "optimum_W": Variable("weights of the exact optimum", _ENTRIES),
    "optimum_b": Variable("biases of the exact optimum", ("feature",)),
    "optimum_gradient_norm": Variable("norm of the exact gradient at the optimum"),
    "optimum_share": Variable("share of the random starts that reach the optimum"),
    "trained_W": Variable("trained weights", ("replica", *_ENTRIES)),
    "trained_b": Variable("trained biases", ("replica", "feature")),
    "trained_phase": Variable("phase of each trained model", _OF_REPLICA, np.int8),
    "trained_loss": Variable("exact population loss of each trained model", _OF_REPLICA),
    "settled_loss": Variable("exact loss of the local minimum below each trained model", _OF_REPLICA),
    "stuck": Variable(
        "1 where the local minimum below a trained model is not the global one",
        _OF_REPLICA,
        np.int8,
    ),
    "diverged": Variable("1 where training diverged", _OF_REPLICA, np.int8),
    "best_trained_phase": Variable("phase of the replica with the lowest exact loss", (), np.int8),
    "best_trained_loss": Variable("lowest exact loss among the replicas"),
    "stuck_fraction": Variable(
        "share of the replicas that sit above another minimum than the global one"
    ),
    "approximation_gap": Variable("theory_loss - optimum_loss: what the closed forms miss"),
    "optimization_gap": Variable(
        "best_trained_loss - optimum_loss: what the best replica misses"
    ),
    "basin_gap": Variable(
        "settled_loss - optimum_loss: what a replica loses by its local minimum", _OF_REPLICA
    ),
    "protocol_gap": Variable(
        "trained_loss - settled_loss: what a replica loses by not having converged", _OF_REPLICA
    ),
}  # fmt: skip
"""The variables of a phase diagram, each over density and importance, in the dataset's order."""


def noise_floor(density: Floats, importance: Floats) -> Floats:
    """Return the difference of losses below which two minima count as one, whatever their loss.

    Descent ends where the gradient is below 1e-10 · S, S = Σ I_i s_i. With least curvature κ it is
    then within (1e-10 S)²/(2κ) of the bottom: below 1e-12 · S where κ > 5e-9 · S. A criterion that
    is relative to the optimum alone would take that distance for another minimum where the optimum
    is 0, such as for features of which never two are on.

    Parameters
    ----------
    density : ndarray, shape (...)
    importance : ndarray, shape (..., n_features)

    Examples
    --------
    >>> float(noise_floor(np.array(0.5), np.array([1.0, 1.0])))
    1e-12
    """
    floor: Floats = _FLOOR * density * importance.sum(axis=-1)
    return floor


@dataclass(frozen=True)
class Points:
    """Points of one diagram: density and importance of each, and the names of their streams."""

    configuration: PhaseDiagramConfiguration
    density: Floats  # (rows, columns)
    importance: Floats  # (rows, columns, n_features)
    stream: NDArray[np.int64]  # (rows, columns)

    @classmethod
    def of(cls, configuration: PhaseDiagramConfiguration, rows: slice, columns: slice) -> Points:
        """Return a rectangle of the grid of a diagram."""
        all_s, all_r = np.array(configuration.density), np.array(configuration.importance)
        stream = np.arange(all_s.size * all_r.size).reshape(all_s.size, all_r.size)[rows, columns]
        density = np.broadcast_to(all_s[rows, np.newaxis], stream.shape)
        importance = np.ones((*stream.shape, configuration.n_features))
        importance[..., -1] = all_r[columns]
        return cls(configuration, density, importance, stream)

    @property
    def floor(self) -> Floats:
        """See `noise_floor`."""
        return noise_floor(self.density, self.importance)

    def model(self, *, inner: bool = False) -> dict[str, Any]:
        """Return what losses depend on, with an axis for several models of a point if `inner`."""
        configuration = self.configuration
        return {
            "density": self.density[..., np.newaxis] if inner else self.density,
            "importance": self.importance[..., np.newaxis, :] if inner else self.importance,
            "activation": configuration.activation,
            "features": configuration.features,
            "penalty": configuration.penalty,
        }

    def classify(self, W: Floats, b: Floats, density: Floats) -> NDArray[np.int8]:
        """Name the phases of models of these points, given the density of each."""
        configuration = self.configuration
        return classify(
            W, b, density, activation=configuration.activation, features=configuration.features
        )


def compute_points(
    configuration: PhaseDiagramConfiguration, rows: slice, columns: slice, device: str = "cpu"
) -> dict[str, NDArray[Any]]:
    """Compute a rectangle of a diagram; the numbers do not depend on what else is computed.

    Parameters
    ----------
    configuration : PhaseDiagramConfiguration
    rows, columns : slice
        Densities and importances, by their places on the grid.
    device : str
        Torch device for the training.

    Returns
    -------
    dict of ndarray
        Every variable of `VARIABLES`, of shape (rows, columns, ...).
    """
    points = Points.of(configuration, rows, columns)
    values = theory(points) | optimum(points) | _trained(points, device)
    lowest = values["optimum_loss"]
    above = values["settled_loss"] - lowest[..., np.newaxis]
    stuck = above > np.maximum(_STUCK * lowest, points.floor)[..., np.newaxis]
    values["stuck"] = stuck.astype(np.int8)
    values["stuck_fraction"] = stuck.mean(axis=-1)
    values["approximation_gap"] = values["theory_loss"] - lowest
    values["optimization_gap"] = values["best_trained_loss"] - lowest
    values["basin_gap"] = above
    with np.errstate(invalid="ignore"):
        values["protocol_gap"] = values["trained_loss"] - values["settled_loss"]
    return {name: values[name] for name in VARIABLES}


@lru_cache(maxsize=64)
def _closed_forms(
    n_features: int, n_hidden: int, activation: str, features: FeatureDistribution, penalty: float
) -> tuple[Callable[[Floats, Floats], Floats], ...]:
    """Return the candidates' losses as functions of s and r; a chunk does not derive them anew."""
    return tuple(
        sympy.lambdify(
            (s, r),
            candidate.loss(
                activation=activation, features=features, penalty=sympy.Rational(penalty)
            ),
            "numpy",
        )
        for candidate in candidates(n_features, n_hidden)
    )


def theory(points: Points) -> dict[str, Any]:
    """Return the candidates' closed-form losses, and the lowest of them."""
    of = points.configuration
    forms = _closed_forms(of.n_features, of.n_hidden, of.activation, of.features, of.penalty)
    shape = points.density.shape
    candidate_loss = np.stack(
        [
            np.broadcast_to(loss(points.density, points.importance[..., -1]), shape)
            for loss in forms
        ],
        axis=-1,
    )
    # The candidates' codes are their places, so that a tie goes to the first named here too.
    lowest = candidate_loss.min(axis=-1)
    tied = candidate_loss <= lowest[..., np.newaxis] * (1 + _TIED)
    return {
        "candidate_loss": candidate_loss,
        "theory_phase": tied.argmax(axis=-1).astype(np.int8),
        "theory_loss": lowest,
    }


def optimum(points: Points) -> dict[str, Any]:
    """Search the exact optimum at every point; among equal minima take the phase named first.

    Such ties are symmetries.
    """
    of = points.configuration
    n, m = of.n_features, of.n_hidden
    starts_W, starts_b = random_starts(n, m, of.starts, of.seed)
    shape = (*points.density.shape, of.starts)
    found = descend(
        np.broadcast_to(starts_W, (*shape, m, n)),
        np.broadcast_to(starts_b, (*shape, n)),
        **points.model(inner=True),
    )
    lowest = found.loss.min(axis=-1)
    tied = found.loss <= (lowest * (1 + _TIED) + points.floor)[..., np.newaxis]
    phase = np.full(shape, np.iinfo(np.int8).max, dtype=np.int8)
    phase[tied] = points.classify(
        found.W[tied],
        found.b[tied],
        np.broadcast_to(points.density[..., np.newaxis], shape)[tied],
    )
    best = phase.argmin(axis=-1)

    def of_best(values: NDArray[Any]) -> NDArray[Any]:
        index = best.reshape(best.shape + (1,) * (values.ndim - best.ndim))
        return np.take_along_axis(values, index, axis=best.ndim).squeeze(axis=best.ndim)

    found_there = {
        "optimum_phase": of_best(phase),
        "optimum_loss": of_best(found.loss),
        "optimum_W": of_best(found.W),
        "optimum_b": of_best(found.b),
        "optimum_gradient_norm": of_best(found.gradient_norm),
        "optimum_share": tied.mean(axis=-1),
    }
    _leave_saddles(points, found_there)
    return found_there


def _leave_saddles(points: Points, optimum: dict[str, Any]) -> None:
    """Replace an optimum that is a saddle, which some starts descend to, by what lies below it."""
    below = descend(optimum["optimum_W"], optimum["optimum_b"], **points.model(), certify=True)
    lower = below.loss < optimum["optimum_loss"] * (1 - _TIED) - points.floor
    if not lower.any():
        return
    optimum["optimum_phase"][lower] = points.classify(
        below.W[lower], below.b[lower], points.density[lower]
    )
    optimum["optimum_loss"][lower] = below.loss[lower]
    optimum["optimum_W"][lower] = below.W[lower]
    optimum["optimum_b"][lower] = below.b[lower]
    optimum["optimum_gradient_norm"][lower] = below.gradient_norm[lower]
    optimum["optimum_share"][lower] = 0.0  # no start led here


def judged(
    points: Points, W: Floats, b: Floats, diverged: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Return the models of every point with their exact loss: zeros and infinity if diverged."""
    sound = ~diverged
    W = np.where(sound[..., np.newaxis, np.newaxis], W, 0.0)
    b = np.where(sound[..., np.newaxis], b, 0.0)
    loss = population_loss(W, b, **points.model(inner=True))
    return W, b, np.where(sound, loss, np.inf)


def _trained(points: Points, device: str) -> dict[str, Any]:
    """Train the replicas, judge them by their exact loss, and let each settle into its minimum."""
    of = points.configuration
    result = train(
        of.n_features,
        of.n_hidden,
        **points.model(),
        protocol=of.protocol,
        replicas=of.replicas,
        seed=of.seed,
        model_index=points.stream,
        device=device,
    )
    W, b, loss = judged(points, result.W, result.b, result.diverged)
    settled = descend(W, b, **points.model(inner=True))
    sound = ~result.diverged
    density = np.broadcast_to(points.density[..., np.newaxis], sound.shape)
    phase = points.classify(result.W, result.b, density)
    best = loss.argmin(axis=-1)[..., np.newaxis]
    return {
        "trained_W": result.W,
        "trained_b": result.b,
        "trained_phase": phase,
        "trained_loss": loss,
        "settled_loss": np.where(sound, settled.loss, np.inf),
        "diverged": result.diverged.astype(np.int8),
        "best_trained_phase": np.take_along_axis(phase, best, axis=-1).squeeze(-1),
        "best_trained_loss": loss.min(axis=-1),
    }
