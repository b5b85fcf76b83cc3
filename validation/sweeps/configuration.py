"""What a phase diagram is computed from: everything that its numbers depend on."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, cast

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...features import (
    Anticorrelated,
    CoActive,
    Correlated,
    FeatureDistribution,
    Independent,
    OneHot,
    check_features,
    check_joint_density,
)
from ...model import (
    Activation,
    check_activation,
    check_density,
    check_importance,
    check_penalty,
    check_sizes,
)
from ...numerics import Protocol, resolve_protocol
from ...values import ValueDistribution

# Raised whenever a change of the code changes the numbers of an equal configuration.
RESULTS_VERSION = 3


def _grid(name: str, values: NDArray[np.float64]) -> tuple[float, ...]:
    if values.ndim != 1 or values.size == 0:
        raise ValueError(
            f"{name} must be a non-empty sequence of grid values, got shape {values.shape}"
        )
    if (np.diff(values) <= 0).any():
        raise ValueError(f"{name} must increase strictly along the grid")
    return tuple(values.tolist())


def _at_least_one(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


_DISTRIBUTIONS = {
    kind.__name__: kind for kind in (Independent, Correlated, Anticorrelated, CoActive, OneHot)
}


def _features_settings(features: FeatureDistribution) -> dict[str, Any]:
    """Describe a distribution by what JSON can hold; `features_of` reads it back."""
    name = type(features).__name__
    if _DISTRIBUTIONS.get(name) is not type(features):
        raise ValueError(
            f"features must be one of {', '.join(_DISTRIBUTIONS)}, which can be stored with "
            f"the data, got {features!r}"
        )
    values = features.values
    settings: dict[str, Any] = {
        "name": name,
        "values": [str(coefficient) for coefficient in values.coefficients],
        "symmetric": values.symmetric,
    }
    if isinstance(features, Correlated | Anticorrelated):
        settings["sets"] = [list(members) for members in features.sets]
    return settings


@dataclass(frozen=True)
class PhaseDiagramConfiguration:
    """Everything that the numbers of a phase diagram depend on.

    Two diagrams of equal configuration are equal; the configuration is stored with the data, and a
    folder is only completed or reused by the configuration that began it.

    Attributes
    ----------
    n_features, n_hidden : int
    density : tuple of float
        The densities of the grid, increasing, in [0, 1].
    importance : tuple of float
        The relative importances r of the last feature, increasing, finite and positive.
    replicas : int
        Trained models per grid point.
    starts : int
        Random starts of the search for the exact optimum, per grid point.
    seed : int
    protocol : Protocol
        How the models are trained.
    penalty : float
        Interference penalty λ.
    activation : {"relu", "linear"}
    features : FeatureDistribution
        What the inputs are drawn from.
    results_version : int
        Version of the code as far as numbers depend on it.
    """

    n_features: int
    n_hidden: int
    density: tuple[float, ...]
    importance: tuple[float, ...]
    replicas: int
    starts: int
    seed: int
    protocol: Protocol
    penalty: float
    activation: Activation
    features: FeatureDistribution
    results_version: int = RESULTS_VERSION

    @classmethod
    def validated(
        cls,
        n_features: int,
        n_hidden: int,
        *,
        density: ArrayLike,
        importance: ArrayLike,
        replicas: int,
        starts: int,
        seed: int,
        protocol: str | Protocol,
        penalty: float,
        activation: str,
        features: FeatureDistribution | None = None,
    ) -> PhaseDiagramConfiguration:
        """Check every value and return the configuration.

        Raises
        ------
        ValueError
            If a value is out of range; the message says which and what is accepted.
        """
        check_sizes(n_features, n_hidden)
        features = check_features(features)
        _features_settings(features)  # raises where it cannot be stored
        _at_least_one("replicas", replicas)
        _at_least_one("starts", starts)
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed must be an integer of at least 0, got {seed!r}")
        importance = check_importance(importance)
        if (importance == 0).any():
            raise ValueError("relative importance must be positive, got 0")
        grid = _grid("density", check_density(density))
        check_joint_density(features, np.repeat(np.array(grid)[:, np.newaxis], n_features, axis=1))
        return cls(
            int(n_features),
            int(n_hidden),
            grid,
            _grid("importance", importance),
            int(replicas),
            int(starts),
            int(seed),
            resolve_protocol(protocol),
            float(check_penalty(penalty)),
            check_activation(activation),
            features,
        )

    def to_json(self) -> str:
        """Return the configuration as JSON text, the same for equal configurations."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        # By repr, which names the class of an initialization; the source text changes no number.
        values["features"] = _features_settings(self.features)
        values["protocol"] = {
            field.name: repr(getattr(self.protocol, field.name))
            for field in fields(self.protocol)
            if field.name != "source"
        }
        return json.dumps(values, sort_keys=True)

    def differences(self, other_json: str) -> tuple[str, ...]:
        """Name the fields in which this configuration differs from one given as JSON."""
        return differing_settings(self.to_json(), other_json)


def differing_settings(one_json: str, other_json: str) -> tuple[str, ...]:
    """Name the settings in which two configurations differ, in the order of the first.

    Examples
    --------
    >>> differing_settings('{"penalty": 0, "seed": 1}', '{"penalty": 0, "seed": 2}')
    ('seed',)
    """
    one = cast(dict[str, Any], json.loads(one_json))
    other = cast(dict[str, Any], json.loads(other_json))
    return tuple(name for name in {**one, **other} if one.get(name) != other.get(name))


def settings_of(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the configuration stored in a dataset, as `PhaseDiagramConfiguration.to_json` wrote it.

    Raises
    ------
    ValueError
        If the dataset has none, or is a sweep of several diagrams.
    """
    if "configuration" not in dataset.attrs:
        raise ValueError("the dataset has no configuration; was it made by phase_diagram?")
    settings = cast(dict[str, Any], json.loads(dataset.attrs["configuration"]))
    if "dimensions" in settings:
        raise ValueError(
            f"the dataset is a sweep of several phase diagrams; choose one with select_diagram "
            f"(dimensions: {', '.join(settings['dimensions'])})"
        )
    return settings


def features_of(settings: dict[str, Any]) -> FeatureDistribution:
    """Return the distribution of the inputs that stored settings describe.

    Examples
    --------
    >>> stored = {"name": "CoActive", "values": ["0", "2"], "symmetric": False}
    >>> features_of({"features": stored})
    CoActive(values=ValueDistribution([0, 2]))
    """
    stored = settings["features"]
    kind = _DISTRIBUTIONS[stored["name"]]
    coefficients = [Fraction(coefficient) for coefficient in stored["values"]]
    values = ValueDistribution(coefficients, symmetric=stored["symmetric"])
    if "sets" in stored:
        return kind(stored["sets"], values)  # type: ignore[call-arg]
    return kind(values)  # type: ignore[arg-type]
