"""Trained models as a dataset, each with its exact loss: what most experiments begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution
from ...numerics import Protocol, TrainingResult, global_minimum, population_loss
from .experiment import Run
from .measurement import Measurement

__all__ = [
    "REPRESENTED", "best_replica", "by_density", "exact_optima", "inverse_densities", "represented",
    "train_alike", "train_along_density",
]  # fmt: skip

REPRESENTED: Final = 0.5
"""Length of a column above which its feature counts as represented; optima are near 0 or 1."""

Floats = NDArray[np.float64]
Data = TypeVar("Data", xr.Dataset, xr.DataArray)


def by_density(data: Data, measure: Callable[[Data], Measurement]) -> dict[str, Measurement]:
    """Return what is measured at every density, by conditions named "s = …".

    Examples
    --------
    >>> values = xr.DataArray([2.0, 3.0], coords={"density": [1.0, 0.1]}, dims="density")
    >>> {s: found.value for s, found in by_density(values, Measurement.exact).items()}
    {'s = 1': 2.0, 's = 0.1': 3.0}
    """
    return {f"s = {s:g}": measure(data.sel(density=s)) for s in data.density.values}


def inverse_densities(points: int) -> Floats:
    """Return densities whose inverses are spaced evenly over the logarithm from 1 to 100."""
    return 1 / np.geomspace(1, 100, points)


def train_alike(
    run: Run, n_features: int, n_hidden: int, *, density: Floats, protocol: str, replicas: int
) -> tuple[Floats, TrainingResult]:
    """Train models of independent features of one importance at several densities.

    Returns
    -------
    W : ndarray, shape (k, replicas, n_hidden, n_features)
        Zero for models that diverged.
    result : TrainingResult
    """
    found = run.train(
        "models", n_features, n_hidden, density=density[:, np.newaxis],
        importance=np.ones(n_features), protocol=protocol, replicas=replicas,
    )  # fmt: skip
    return np.where(found.diverged[..., None, None], 0.0, found.W), found


def train_along_density(
    run: Run,
    label: str,
    n_features: int,
    n_hidden: int,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    protocol: str | Protocol,
    replicas: int,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
) -> xr.Dataset:
    """Train models at several densities, which all features of a model share.

    Parameters
    ----------
    run : Run
    label : str
        Name of the checkpoint.
    n_features, n_hidden : int
    density : array_like, shape (k,)
    importance : array_like, shape (n_features,)
    protocol : str or Protocol
    replicas : int
        Models at each density.
    activation : {"relu", "linear"}
    features : feature distribution, optional

    Returns
    -------
    xarray.Dataset
        `W` (density, replica, hidden, feature), `b` (density, replica, feature), and the exact
        population loss `trained_loss` (density, replica), NaN where training diverged.
    """
    grid = np.asarray(density, dtype=np.float64)
    weights = np.asarray(importance, dtype=np.float64)
    model: dict[str, Any] = {"activation": activation, "features": features}
    result = run.train(
        label, n_features, n_hidden, density=grid[:, np.newaxis], importance=weights,
        protocol=protocol, replicas=replicas, **model,
    )  # fmt: skip
    kept = ~result.diverged
    W = np.where(kept[..., None, None], result.W, 0.0)
    b = np.where(kept[..., None], result.b, 0.0)
    loss = population_loss(W, b, density=grid[:, None], importance=weights, **model)
    return xr.Dataset(
        {
            "W": (("density", "replica", "hidden", "feature"), W),
            "b": (("density", "replica", "feature"), b),
            "trained_loss": (("density", "replica"), np.where(kept, loss, np.nan)),
            "importance": ("feature", weights),
        },
        coords={"density": grid},
        attrs={"protocol": result.protocol.name, "seed": run.seed, "activation": activation},
    )


def exact_optima(
    n_features: int,
    n_hidden: int,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    starts: int,
    seed: int,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
) -> xr.Dataset:
    """Find the least population loss at several densities, for as many features as that is fast.

    Parameters
    ----------
    n_features, n_hidden, density, importance, activation, features
        As in `train_along_density`.
    starts : int
        Random starts of the search at each density.
    seed : int

    Returns
    -------
    xarray.Dataset
        `optimum_W` (density, hidden, feature), `optimum_b` (density, feature) and `optimum_loss`
        (density).
    """
    grid = np.asarray(density, dtype=np.float64)
    found = [
        global_minimum(
            n_features, n_hidden, density=float(s), importance=importance, starts=starts, seed=seed,
            activation=activation, features=features,
        )
        for s in grid
    ]  # fmt: skip
    return xr.Dataset(
        {
            "optimum_W": (("density", "hidden", "feature"), np.stack([each.W for each in found])),
            "optimum_b": (("density", "feature"), np.stack([each.b for each in found])),
            "optimum_loss": ("density", np.array([float(each.loss) for each in found])),
        },
        coords={"density": grid},
    )


def represented(W: xr.DataArray) -> xr.DataArray:
    """Return how many features are represented: columns of W longer than `REPRESENTED`.

    Examples
    --------
    >>> int(represented(xr.DataArray([[1.0, -0.9, 0.1]], dims=("hidden", "feature"))))
    2
    """
    return (W**2).sum("hidden").pipe(lambda squares: squares > REPRESENTED**2).sum("feature")


def best_replica(data: xr.Dataset) -> xr.Dataset:
    """Return the replica of least exact loss at every point; a diverged one is never the best.

    Examples
    --------
    >>> loss = xr.DataArray([[0.3, np.nan, 0.1]], dims=("density", "replica"))
    >>> best_replica(xr.Dataset({"trained_loss": loss})).trained_loss.values
    array([0.1])
    """
    chosen = data["trained_loss"].fillna(np.inf).argmin("replica")
    return data.isel(replica=chosen)
