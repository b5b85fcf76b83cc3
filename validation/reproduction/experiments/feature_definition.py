"""Roe's definition of a feature as a test, against lengths of columns and dimensionality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ....theory import feature_dimensionality
from ...statistics.feature_test import feature_test, superiority_test
from ..captions import listed, sentence
from ..drawing import BLUE, DENSITY_AXIS, GREEN, ORANGE, VERMILION, panels
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import REPRESENTED, by_density, train_along_density

__all__ = ["EXPERIMENTS"]

_BY_NETWORK: Final = ("accuracy", "adjusted_p", "norm", "dimensionality")
_LEVEL: Final = 0.05
_DIMENSION: Final = 0.25  # of a dimension; a feature of a pentagon has 2/5


@dataclass(frozen=True)
class _Settings:
    n_features: int
    n_hidden: int
    decay: float
    replicas: int
    density: tuple[float, ...] = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
    networks: int = 999
    protocol: str = "elhage2022"


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    models = train_along_density(
        run, "models", settings.n_features, settings.n_hidden, density=settings.density,
        importance=settings.decay ** np.arange(settings.n_features), protocol=settings.protocol,
        replicas=settings.replicas,
    )  # fmt: skip
    tests = [_tested(models.sel(density=s), settings, run.seed) for s in settings.density]
    data = xr.concat(tests, models.density)
    data["norm"] = np.sqrt((models.W**2).sum("hidden"))
    data["dimensionality"] = (data.norm.dims, feature_dimensionality(models.W.values))
    single = {name: data[name].astype(np.float32) for name in _BY_NETWORK}  # to save space
    return (
        data.assign(single)
        .assign(importance=models.importance)
        .assign_attrs(models.attrs, networks=settings.networks, n_hidden=settings.n_hidden)
    )


def _tested(models: xr.Dataset, settings: _Settings, seed: int) -> xr.Dataset:
    found = feature_test(
        models.W.values, models.b.values, density=float(models.density),
        protocol=settings.protocol, networks=settings.networks, seed=seed,
    )  # fmt: skip
    probability, p_value = superiority_test(found.value, found.null)
    return xr.Dataset(
        {
            "accuracy": (("replica", "feature"), found.value),
            "adjusted_p": (("replica", "feature"), found.benjamini_hochberg),
            "random_median": np.median(found.null),
            "random_high": np.quantile(found.null, 1 - _LEVEL),
            "superiority": ("feature", probability),
            "superiority_p": ("feature", p_value),
        }
    ).drop_vars("density", errors="ignore")


def _counts(data: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return numbers of features by each definition; all but "replicas" by network."""
    superior = (data.superiority > 0.5) & (data.superiority_p < _LEVEL)
    return {
        "norm": (data.norm > REPRESENTED).sum("feature"),
        "test": (data.adjusted_p < _LEVEL).sum("feature"),
        "dimension": (data.dimensionality > _DIMENSION).sum("feature"),
        "replicas": superior.sum("feature"),
    }


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    counts, is_long = _counts(data), data.norm > REPRESENTED
    median = counts["norm"].median("replica")
    agree = (counts["replicas"] == median).mean("density")
    return {
        "test_agrees": _agreement(data.adjusted_p < _LEVEL, is_long),
        "dimension_agrees": _agreement(data.dimensionality > _DIMENSION, is_long),
        "superiority_agrees": Measurement.exact(float(agree), data.sizes["replica"]),
    }


def _agreement(first: xr.DataArray, second: xr.DataArray) -> dict[str, Measurement]:
    """Return in which share of the networks two definitions find the same features."""
    return by_density((first == second).all("feature"), Measurement.share_of)


def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(1, 2, width=4.8, height=4.0)
    _draw_counts(axes[0, 0], data)
    _draw_accuracy(axes[0, 1], data)
    for ax in axes[0]:
        ax.set(**DENSITY_AXIS)
        ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return figure


def _draw_counts(ax: Axes, data: xr.Dataset) -> None:
    counts = _counts(data)
    styles: Mapping[str, tuple[str, str, str]] = {
        "norm": ("$\\|W_i\\|$ > 1/2", BLUE, "-o"),
        "dimension": ("$D_i$ > 1/4", GREEN, "--s"),
        "test": ("tested for one network", VERMILION, "-^"),
        "replicas": ("tested over replicas", ORANGE, "-v"),
    }
    for name, (label, color, style) in styles.items():
        values: Any = counts[name]
        mean = values.mean("replica") if "replica" in values.dims else values
        width = 5 if name == "norm" else 1.5  # lines that coincide are both to be seen
        ax.plot(mean.density, mean, style, color=color, label=label, linewidth=width, markersize=5)
    ax.set(ylabel="features, mean over networks", ylim=(-0.2, None))


def _draw_accuracy(ax: Axes, data: xr.Dataset) -> None:
    is_long = data.norm > REPRESENTED
    for shown, color, label in (
        (is_long, BLUE, "long columns"),
        (~is_long, ORANGE, "short columns"),
    ):
        values = data.accuracy.where(shown).stack(point=("density", "replica", "feature"))
        ax.plot(values.density, values.values, "o", color=color, alpha=0.35, markersize=3, rasterized=True,
                label=f"trained, {label}")  # fmt: skip
    ax.plot(data.density, data.random_median, color="0.4", linestyle="--", label="random, median")
    ax.plot(data.density, data.random_high, color="0.1", label="random, 95 % quantile")
    ax.set(ylabel="squared correlation of $x_i$ and $\\hat{x}_i$")


def _caption(data: xr.Dataset) -> str:
    return sentence(
        data,
        f"Features of ReLU models of n = {data.sizes['feature']} features in m = "
        f"{data.attrs['n_hidden']} dimensions, importances falling "
        f"by a factor of {data.importance.values[1]:g}, at densities s = P(x_i ≠ 0) of "
        f"{listed(data.density.values)}. Left: how many there are by the length of columns, by "
        f"dimensionality, and by Roe's definition, at a level of {_LEVEL:g} after Benjamini and "
        f"Hochberg for one network, of Mann and Whitney over replicas. Right: the statistic of the "
        f"test, and {data.attrs['networks']} random networks.",
    )


def _experiment(name: str, full: _Settings, quick_replicas: int) -> Experiment[_Settings]:
    n, m = full.n_features, full.n_hidden
    return Experiment(
        name=name,
        title=f"A feature by its definition: {n} in {m} against random networks",
        source="Roe's replication, section 2",
        tiny=replace(full, density=(1.0, 0.1), replicas=2, networks=19, protocol=_SHORT),
        quick=replace(full, replicas=quick_replicas),
        full=full,
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    )


_SHORT: Final = "elhage2022,steps=20,batch_size=32"

EXPERIMENTS: Final = (
    _experiment("feature-definition", _Settings(5, 2, 0.9, 200), 40),
    _experiment("feature-definition-20", _Settings(20, 5, 0.7, 100), 40),
)
