"""Demonstrating superposition: linear and ReLU models of many features, from dense to sparse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ....numerics import population_loss
from ..captions import listed, sentence
from ..columns import constant_loss, describe_columns, misplaced
from ..drawing import BLUE, DENSITY_AXIS, VERMILION, draw_best_and_all
from ..experiment import Experiment, Run
from ..gallery import ShownModel, draw_models
from ..measurement import Measured, Measurement
from ..models import best_replica, by_density, train_along_density
from ..onset import draw_counts, mean_of_models, superposition

__all__ = ["EXPERIMENTS"]

_ACTIVATIONS: Final = ("linear", "relu")


@dataclass(frozen=True)
class _Settings:
    n_features: int
    n_hidden: int
    decay: float
    replicas: int
    density: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    protocol: str = "elhage2022"


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    n, m = settings.n_features, settings.n_hidden
    importance = settings.decay ** np.arange(n)
    parts = [_trained(settings, run, importance, activation) for activation in _ACTIVATIONS]
    data = xr.concat(
        parts, xr.Variable("activation", list(_ACTIVATIONS)), data_vars="all",
        combine_attrs="drop_conflicts",
    )  # fmt: skip
    data["importance"] = ("feature", importance)
    data["top_loss"] = ("density", constant_loss(settings.density, importance[m:]))
    data["bound_gap"] = ("density", [_bound_gap(m, importance, s) for s in settings.density])
    return data


def _trained(settings: _Settings, run: Run, importance: Any, activation: str) -> xr.Dataset:
    models = train_along_density(
        run, activation, settings.n_features, settings.n_hidden, density=settings.density,
        importance=importance, protocol=settings.protocol, replicas=settings.replicas,
        activation=activation,
    )  # fmt: skip
    best = best_replica(models)
    shown = {"best_W": best.W.astype(np.float32), "best_b": best.b.astype(np.float32)}
    return models.drop_vars(["W", "b", "importance"]).merge(describe_columns(models)).assign(shown)


def _bound_gap(m: int, importance: Any, s: float) -> float:
    """Return by what share keeping the first m features exceeds the bound for linear models.

    Of any map of rank m the loss is at least the sum of the n − m least eigenvalues of D C, with
    the importances D and the covariance C of the inputs (Eckart and Young 1936).
    """
    n = len(importance)
    W, b = np.eye(m, n), np.where(np.arange(n) < m, 0.0, s / 2)
    loss = float(population_loss(W, b, density=s, importance=importance, activation="linear"))
    scale = np.sqrt(importance)
    eigenvalues = np.linalg.eigvalsh((s / 3 - s**2 / 4) * np.diag(scale**2))
    return loss / float(eigenvalues[: n - m].sum()) - 1


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    relu = data.sel(activation="relu")
    return {
        **_linear(data.sel(activation="linear")),
        **_gains(relu),
        **superposition(relu, mean_of_models),
    }


def _linear(data: xr.Dataset) -> dict[str, Measured]:
    wrong = misplaced(data.norm, data.sizes["hidden"])
    best = wrong.isel(replica=_best(data))
    excess = data.trained_loss.fillna(np.inf).min("replica") / data.top_loss - 1
    replicas = data.sizes["replica"]
    return {
        "linear_optimum_gap": _each(data.bound_gap, 0),
        "linear_misplaced": _each(best, replicas),
        "linear_excess": _each(excess, replicas),
        "linear_share": by_density(wrong == 0, Measurement.share_of),
    }


def _gains(data: xr.Dataset) -> dict[str, Measured]:
    """Return what ReLU models gain over keeping the first features, densely and sparsely."""
    replicas, dense = data.sizes["replica"], {"density": [1.0]}
    gain = 1 - data.trained_loss.fillna(np.inf).min("replica") / data.top_loss
    wrong = misplaced(data.norm, data.sizes["hidden"]).isel(replica=_best(data))
    return {
        "relu_dense_misplaced": _each(wrong.sel(dense), replicas),
        "relu_dense_gain": _each(gain.sel(dense), replicas),
        "relu_gain": _each(gain.where(gain.density < 1, drop=True), replicas),
    }


def _best(data: xr.Dataset) -> xr.DataArray:
    chosen: xr.DataArray = data.trained_loss.fillna(np.inf).argmin("replica")
    return chosen


def _each(values: xr.DataArray, seeds: int) -> dict[str, Measurement]:
    return by_density(values, lambda value: Measurement.exact(float(value), seeds))


def _draw(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(13, 6.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[1.9, 1], squeeze=False)[:, 0]
    draw_models(upper, _shown(data))
    left, right = lower.subplots(1, 2)
    _draw_losses(left, data)
    draw_counts(right, data.sel(activation="relu"))
    return figure


def _shown(data: xr.Dataset) -> list[ShownModel]:
    chosen = [("linear", s) for s in (data.density.values[0], data.density.values[-1])]
    chosen += [("relu", s) for s in data.density.values]
    names = {"linear": "linear", "relu": "ReLU"}
    found = []
    for activation, s in chosen:
        model = data.sel(activation=activation, density=s)
        title = f"{names[activation]}\n$s$ = {s:g}"
        found.append(ShownModel(title, model.best_W.values, model.best_b.values))
    return found


def _draw_losses(ax: Axes, data: xr.Dataset) -> None:
    for activation, name, color in (("linear", "linear", BLUE), ("relu", "ReLU", VERMILION)):
        loss = data.trained_loss.sel(activation=activation) / data.top_loss
        draw_best_and_all(ax, loss.min("replica"), loss, color, f"{name}, best model")
    ax.axhline(1, color="0.3", linestyle="--", linewidth=1, label="most important features only")
    ax.set(**DENSITY_AXIS, ylim=(0, 1.15), ylabel="relative exact loss")
    ax.legend(fontsize=8)


def _caption(data: xr.Dataset) -> str:
    n, m = data.sizes["feature"], data.sizes["hidden"]
    return sentence(
        data,
        f"Best of the linear and ReLU models of n = {n} features in m = {m} dimensions at "
        f"densities s = P(x_i ≠ 0) of {listed(data.density.values)}; importances fall by a factor "
        f"of {data.importance.values[1]:g}. Bars are colored by interference Σ_{{j≠i}} (Ŵ_i·W_j)². "
        f"Below: exact losses relative to keeping the {m} most "
        f"important features, which is the least loss of linear models; mean numbers of features.",
    )


_TWENTY: Final = _Settings(n_features=20, n_hidden=5, decay=0.7, replicas=20)
_EIGHTY: Final = _Settings(n_features=80, n_hidden=20, decay=0.9, replicas=10)
_SHORT: Final = "elhage2022,steps=20,batch_size=32"


def _experiment(full: _Settings, quick_replicas: int, also: str) -> Experiment[_Settings]:
    n, m = full.n_features, full.n_hidden
    return Experiment(
        name=f"demonstrating-{n}",
        title=f"Demonstrating superposition: {n} features in {m} dimensions, linear and ReLU",
        source=f"Elhage et al. 2022, demonstrating superposition; {also}",
        tiny=replace(full, density=(1.0, 0.1, 0.01), protocol=_SHORT, replicas=2),
        quick=replace(full, replicas=quick_replicas),
        full=full,
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    )


EXPERIMENTS: Final = (
    _experiment(_TWENTY, 6, "figure 3 of Roe"),
    _experiment(_EIGHTY, 3, "figure 7 of Roe"),
)
