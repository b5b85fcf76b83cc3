"""What the compiled losses have to know of the distribution of the features, for many models."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...features import FeatureDistribution, GateKind, Independent
from ...values import ValueDistribution
from ..arguments import Floats
from . import general_recurrence, recurrence
from .contour.accuracy import Sums
from .contour.model import sums_of
from .joint_states import JointStates, joint_states, set_probabilities, state_count

__all__ = ["DEFAULT_RTOL", "Laws", "Workspace", "laws_of", "mean_and_covariance", "workspace"]

QUADRATURE_FEATURES = 3
RECURRENCE_FEATURES = 7
"""Where the recurrence and the contour take about equally long."""

RECURRENCE_STATES = 3**7
DEFAULT_RTOL = 1e-9


class Laws(NamedTuple):
    """The law of the inputs of each model; arrays that its loss does not need are empty.

    Attributes
    ----------
    states : JointStates
    probability : ndarray of shape (models, sets)
        From `set_probabilities`.
    mean : ndarray of shape (models, n_features)
    covariance : ndarray of shape (models, n_features, n_features)
    """

    states: JointStates
    probability: Floats
    mean: Floats
    covariance: Floats


def _is_standard(features: FeatureDistribution, n_features: int) -> bool:
    return features.values.is_uniform and features.is_independent(n_features)


def laws_of(features: FeatureDistribution, density: Floats, linear: bool) -> Laws | None:
    """Return the laws of models with these densities, shape (models, n_features).

    None means independent features with uniform values, of which the density says all, or that
    all outputs are sums over nodes (`workspace`): compiled code is then compiled without a trace of
    the others.
    """
    models, n = density.shape
    if _is_standard(features, n):
        return None
    if linear:
        return Laws(
            joint_states(Independent(), 1),
            np.empty((models, 0)),
            *mean_and_covariance(features, density),
        )
    if state_count(features, n) > RECURRENCE_STATES:
        return None
    return Laws(
        joint_states(features, n),
        set_probabilities(features, density),
        np.empty((models, 0)),
        np.empty((models, 0, 0)),
    )


class Workspace(NamedTuple):
    """Scratch memory for the loss of one model at a time; threads must not share it.

    Attributes
    ----------
    moments : ndarray
        Of the recurrences; empty where none is used.
    sums : Sums, optional
        How outputs are summed over nodes. None where every output has a closed form; compiled code
        is then compiled without the sums.
    """

    moments: Floats
    sums: Sums | None


def workspace(
    features: FeatureDistribution,
    n_features: int,
    linear: bool,
    rtol: float = DEFAULT_RTOL,
    gradient: bool = True,
) -> Workspace:
    """Return the scratch memory that the loss of a model needs.

    `rtol` is the relative error of the loss that is aimed at where a sum over nodes is used, and
    without `gradient` such a sum gives the loss only.
    """
    nothing = np.empty((0, 0))
    if linear:
        return Workspace(nothing, None)
    if _is_standard(features, n_features):
        if n_features <= QUADRATURE_FEATURES:
            return Workspace(nothing, None)
        closed = min(n_features, RECURRENCE_FEATURES)
        moments = recurrence.workspace(closed)
        if closed == n_features:
            return Workspace(moments, None)
        return Workspace(moments, sums_of(features, n_features, closed, gradient, rtol))
    if state_count(features, n_features) > RECURRENCE_STATES:
        return Workspace(nothing, sums_of(features, n_features, 0, gradient, rtol))
    return Workspace(general_recurrence.workspace(joint_states(features, n_features)), None)


def _value_moments(values: ValueDistribution) -> tuple[float, float]:
    """Return E u and E u² of a feature that is on."""
    first, second = (
        float(sum(c / (k + 1 + power) for k, c in enumerate(values.coefficients)))
        for power in (1, 2)
    )
    return (0.0 if values.symmetric else first), second


def mean_and_covariance(
    features: FeatureDistribution, density: Floats
) -> tuple[Floats, NDArray[np.float64]]:
    """Return the mean and the covariance of the inputs of each model.

    Parameters
    ----------
    features : FeatureDistribution
    density : ndarray of shape (models, n_features)

    Returns
    -------
    mean : ndarray of shape (models, n_features)
    covariance : ndarray of shape (models, n_features, n_features)

    Examples
    --------
    >>> from superposition import CoActive
    >>> mean_and_covariance(CoActive(), np.array([[1.0, 1.0]]))[1].round(3)
    array([[[0.083, 0.   ],
            [0.   , 0.083]]])
    """
    first, second = _value_moments(features.values)
    models, n = density.shape
    mean = first * density
    covariance = np.zeros((models, n, n))
    for gate in features.gates(n):
        for j in gate.members:
            for k in gate.members:
                both = density[:, j] if gate.kind is GateKind.TOGETHER else 0.0
                covariance[:, j, k] = first * first * (both - density[:, j] * density[:, k])
    diagonal = np.arange(n)
    covariance[:, diagonal, diagonal] = density * (second - first * first * density)
    return mean, covariance
