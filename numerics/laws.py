"""What the compiled losses have to know of the distribution of the features, for many models."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..features import FeatureDistribution, GateKind, Independent
from ..values import ValueDistribution
from . import general_recurrence, recurrence
from .arguments import Floats
from .joint_states import JointStates, joint_states, set_probabilities

__all__ = ["MAX_RELU_FEATURES", "Laws", "laws_of", "mean_and_covariance", "workspace"]

MAX_RELU_FEATURES = 10
QUADRATURE_FEATURES = 3


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

    None means independent features with uniform values, of which the density says all: compiled
    code is then compiled without a trace of the others.
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
    return Laws(
        joint_states(features, n),
        set_probabilities(features, density),
        np.empty((models, 0)),
        np.empty((models, 0, 0)),
    )


def workspace(features: FeatureDistribution, n_features: int, linear: bool) -> Floats:
    """Return the scratch memory that the loss of a model needs: empty where it needs none.

    Raises
    ------
    ValueError
        If the exact ReLU loss is not written for as many features.
    """
    if linear:
        return np.empty((0, 0))
    if not _is_standard(features, n_features):
        return general_recurrence.workspace(joint_states(features, n_features))
    if n_features <= QUADRATURE_FEATURES:
        return np.empty((0, 0))
    if n_features > MAX_RELU_FEATURES:
        raise ValueError(
            f"the exact ReLU loss is available for n_features up to {MAX_RELU_FEATURES}, "
            f"got {n_features}; use activation='linear', or a model with fewer features"
        )
    return recurrence.workspace(n_features)


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
