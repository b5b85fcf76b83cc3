"""How superposition begins as features become sparser, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from .columns import SUPERPOSED
from .drawing import BLUE, DENSITY_AXIS, GREEN, VERMILION
from .measurement import Measured, Measurement
from .models import REPRESENTED

__all__ = ["draw_counts", "exact_value", "mean_of_models", "superposition"]

_ANTIPODAL: Final = -0.9
_SPARSE: Final = 0.03  # where positive interference is looked for
_POSITIVE, _NEGATIVE = 0.05, -0.01

Average = Callable[[xr.DataArray], Measurement]


def mean_of_models(values: xr.DataArray) -> Measurement:
    """Return the mean over trained models, without those that are NaN.

    Examples
    --------
    >>> mean_of_models(xr.DataArray([1.0, 1.0, np.nan], dims="replica"))
    Measurement(value=1.0, low=1.0, high=1.0, seeds=2)
    """
    return Measurement.mean(values.values)


def exact_value(values: xr.DataArray) -> Measurement:
    """Return the value of the one model there is, which no seed enters.

    Examples
    --------
    >>> exact_value(xr.DataArray([0.5], dims="replica"))
    Measurement(value=0.5, low=0.5, high=0.5, seeds=0)
    """
    value = float(values.squeeze("replica"))
    return Measurement.exact(value) if np.isfinite(value) else Measurement.unknown()


def superposition(data: xr.Dataset, average: Average) -> dict[str, Measured]:
    """Measure which features superposition begins with, and how they are arranged.

    Superposition begins at the greatest density at which at least half of the models have a feature
    in superposition.

    Parameters
    ----------
    data : xarray.Dataset
        What `describe_columns` returns, of dimensions (density, replica, feature), and `importance`.
    average : callable
        What is measured of one number for each replica, NaN where it has no meaning.

    Returns
    -------
    dict
        `least_important_first`: share of the pairs of represented features, one in superposition
        and one not, in which the latter is more important. `antipodal_at_first` and
        `antipodal_at_last`: share of the features in superposition that have an antipodal partner,
        where it begins and at the least density. `positive_with_negative_bias`: share of the
        represented features with a positive overlap and a negative bias, at low densities.
    """
    is_represented = data.norm > REPRESENTED
    shared = is_represented & (data.interference > SUPERPOSED)
    antipodal = _share(shared & (data.lowest_cosine < _ANTIPODAL), shared)
    first = _onset(shared)
    sparse = data.sel(density=data.density.values[data.density.values <= _SPARSE])
    both = (sparse.highest_overlap > _POSITIVE) & (sparse.b < _NEGATIVE)
    positive = _share(both & (sparse.norm > REPRESENTED), sparse.norm > REPRESENTED)
    earlier = _precedence(data.importance.values, is_represented & ~shared, shared)
    last = float(data.density.min())
    return {
        "least_important_first": _at(first, earlier, average),
        "antipodal_at_first": _at(first, antipodal, average),
        "antipodal_at_last": _at(last, antipodal, average),
        "positive_with_negative_bias": {
            f"s = {s:g}": average(positive.sel(density=s)) for s in sparse.density.values
        },
    }


def _onset(shared: xr.DataArray) -> float | None:
    """Return the greatest density at which half of the models have a feature in superposition."""
    often = shared.any("feature").mean("replica") >= 0.5
    return float(often.density.where(often).max()) if bool(often.any()) else None


def _precedence(importance: Any, apart: xr.DataArray, shared: xr.DataArray) -> xr.DataArray:
    """Return the share of pairs in which the one apart is more important than the one that shares.

    NaN where a model lacks one of the two kinds.
    """
    above = xr.DataArray(importance[:, np.newaxis] > importance, dims=("feature", "other"))
    others = shared.rename(feature="other")
    pairs = apart.sum("feature") * others.sum("other")
    ordered = xr.dot(apart * 1.0, above * 1.0, others * 1.0, dim=("feature", "other"))
    shares: xr.DataArray = ordered / pairs.where(pairs > 0)
    return shares


def _share(part: xr.DataArray, whole: xr.DataArray) -> xr.DataArray:
    total = whole.sum("feature")
    return part.sum("feature") / total.where(total > 0)


def _at(density: float | None, values: xr.DataArray, average: Average) -> Measured:
    if density is None:
        return Measurement.unknown()
    return {f"s = {density:g}": average(values.sel(density=density))}


def draw_counts(ax: Axes, data: xr.Dataset) -> None:
    """Draw how many features are represented, in superposition and in antipodal pairs.

    Parameters
    ----------
    ax : Axes
    data : xarray.Dataset
        As for `superposition`, and with a dimension hidden.
    """
    is_represented = data.norm > REPRESENTED
    shared = is_represented & (data.interference > SUPERPOSED)
    pairs = shared & (data.lowest_cosine < _ANTIPODAL)
    for values, name, style, color in (
        (is_represented, "represented", "-o", BLUE),
        (shared, "in superposition", "-s", VERMILION),
        (pairs, "in an antipodal pair", "-^", GREEN),
    ):
        mean = values.sum("feature").mean("replica")
        ax.plot(mean.density, mean, style, color=color, label=name, markersize=4)
    ax.axhline(data.sizes["hidden"], color="0.3", linestyle="--", linewidth=1, label="dimensions")
    ax.set(**DENSITY_AXIS, ylabel="number of features")
    ax.legend(fontsize=8)
