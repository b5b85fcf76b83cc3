"""What a phase diagram is computed from: everything that its numbers depend on."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ..model import (
    Activation,
    check_activation,
    check_density,
    check_importance,
    check_penalty,
    check_sizes,
)
from ..numerics import Protocol, resolve_protocol

# Raised whenever a change of the code changes the numbers of an equal configuration.
RESULTS_VERSION = 1


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
    ) -> PhaseDiagramConfiguration:
        """Check every value and return the configuration.

        Raises
        ------
        ValueError
            If a value is out of range; the message says which and what is accepted.
        """
        check_sizes(n_features, n_hidden)
        _at_least_one("replicas", replicas)
        _at_least_one("starts", starts)
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed must be an integer of at least 0, got {seed!r}")
        importance = check_importance(importance)
        if (importance == 0).any():
            raise ValueError("relative importance must be positive, got 0")
        return cls(
            int(n_features),
            int(n_hidden),
            _grid("density", check_density(density)),
            _grid("importance", importance),
            int(replicas),
            int(starts),
            int(seed),
            resolve_protocol(protocol),
            float(check_penalty(penalty)),
            check_activation(activation),
        )

    def to_json(self) -> str:
        """Return the configuration as JSON text, the same for equal configurations."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        # By repr, which names the class of an initialization; the source text changes no number.
        values["protocol"] = {
            field.name: repr(getattr(self.protocol, field.name))
            for field in fields(self.protocol)
            if field.name != "source"
        }
        return json.dumps(values, sort_keys=True)

    def differences(self, other_json: str) -> tuple[str, ...]:
        """Name the fields in which this configuration differs from one given as JSON."""
        mine = cast(dict[str, Any], json.loads(self.to_json()))
        other = cast(dict[str, Any], json.loads(other_json))
        return tuple(
            field.name for field in fields(self) if mine.get(field.name) != other.get(field.name)
        )


def settings_of(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the configuration stored in a dataset, as `PhaseDiagramConfiguration.to_json` wrote it.

    Raises
    ------
    ValueError
        If the dataset has none.
    """
    if "configuration" not in dataset.attrs:
        raise ValueError("the dataset has no configuration; was it made by phase_diagram?")
    return cast(dict[str, Any], json.loads(dataset.attrs["configuration"]))
