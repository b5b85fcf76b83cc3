"""Superposition in a privileged basis: a ReLU on the hidden layer, against none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray
from scipy.stats import special_ortho_group

from ....numerics import population_loss, sampled_loss, two_layer_loss
from ..captions import listed, sentence
from ..columns import constant_loss
from ..drawing import (
    BLUE,
    DENSITY_AXIS,
    VERMILION,
    draw_best_and_all,
    draw_mean_and_range,
)
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import by_density
from ..neuron_drawing import draw_stacks, feature_scale, neuron_order
from ..two_layer_models import gain_of_best, train_two_layer

__all__ = ["EXPERIMENTS"]

_ARCHITECTURES: Final = ("relu-hidden", "tied")
_NAMES: Final = {"relu-hidden": "ReLU on $h$", "tied": "none on $h$"}
_COLORS: Final = {"relu-hidden": VERMILION, "tied": BLUE}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Settings:
    density: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    n_features: int = 10
    n_hidden: int = 5
    decay: float = 0.75
    protocol: str = "elhage2022"
    replicas: int = 1000
    kept: int = 10
    samples: int = 1 << 16
    rotations: int = 32


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    n, m = settings.n_features, settings.n_hidden
    importance = np.asarray(settings.decay ** np.arange(n), dtype=np.float64)
    parts = [_trained(settings, run, importance, architecture) for architecture in _ARCHITECTURES]
    data = xr.concat(
        parts, xr.Variable("architecture", list(_ARCHITECTURES)), data_vars="all",
        combine_attrs="drop_conflicts",
    )  # fmt: skip
    data["importance"] = ("feature", importance)
    data["top_loss"] = ("density", constant_loss(settings.density, importance[m:]))
    data["rotated_identity"] = _rotated_identity(settings.density)
    return data


def _trained(settings: _Settings, run: Run, importance: Floats, architecture: str) -> xr.Dataset:
    models = train_two_layer(
        run, architecture, settings.n_features, settings.n_hidden, density=settings.density,
        importance=importance, architecture=architecture, protocol=settings.protocol,
        replicas=settings.replicas, kept=settings.kept, samples=settings.samples,
    )  # fmt: skip
    turns = special_ortho_group(settings.n_hidden, seed=run.seed).rvs(settings.rotations)
    change = [
        _rotation_change(models.isel(rank=0).sel(density=s), turns, importance, architecture)
        for s in settings.density
    ]
    return models.drop_vars("V").assign(rotated=(("density", "rotation"), np.array(change)))


def _rotation_change(model: xr.Dataset, Q: Floats, importance: Floats, architecture: str) -> Floats:
    """Return L(QW, b)/L(W, b) − 1 of every rotation: exact without ReLU on h, else sampled."""
    W = model.W.values.astype(np.float64)
    turned = np.concatenate([W[np.newaxis], Q @ W])
    common: dict[str, Any] = {"density": float(model.density), "importance": importance}
    if architecture == "tied":
        loss = population_loss(turned, model.b.values, **common)
    else:
        # The same inputs for all rotations.
        loss = sampled_loss(
            turned, None, model.b.values, **common, architecture=architecture, samples=1 << 14
        ).loss
    return np.asarray(loss[1:] / loss[0] - 1)


def _rotated_identity(density: tuple[float, ...]) -> Any:
    """Return what two features with a neuron each lose by a turn of 45°, over the loss of none."""
    W = np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2)
    s = np.asarray(density)[:, np.newaxis]
    loss = two_layer_loss(
        W, None, np.zeros(2), density=s[:, 0], importance=[1, 1], architecture="relu-hidden"
    )
    return ("density", loss / constant_loss(s[:, 0], [1, 1]))


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    relu, tied = (data.sel(architecture=name) for name in _ARCHITECTURES)
    dense, sparse = float(data.density.max()), float(data.density.min())
    seeds = data.sizes["replica"]
    return {
        "dense_monosemantic": Measurement.mean(relu.monosemantic.sel(density=dense)),
        "sparse_monosemantic": Measurement.mean(relu.monosemantic.sel(density=sparse)),
        "greatest_rise": Measurement.exact(_greatest_rise(relu.monosemantic), data.sizes["rank"]),
        "dense_gain": gain_of_best(relu.sel(density=dense), relu.top_loss.sel(density=dense)),
        "sparse_gain": gain_of_best(relu.sel(density=sparse), relu.top_loss.sel(density=sparse)),
        "rotation_cost": by_density(
            relu.rotated, lambda change: Measurement.exact(float(change.min()), seeds)
        ),
        "rotated_identity": Measurement.exact(float(data.rotated_identity.min())),
        "tied_rotation_change": Measurement.exact(float(abs(tied.rotated).max()), seeds),
        "tied_dense_monosemantic": Measurement.mean(tied.monosemantic.sel(density=dense)),
    }


def _greatest_rise(share: xr.DataArray) -> float:
    mean = share.mean("rank").sortby("density", ascending=False)
    return float(mean.diff("density").max())


def _draw(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(13, 7.4), layout="constrained")
    upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=[1.7, 1]))
    _draw_models(upper, data)
    losses, shares, rotations = lower.subplots(1, 3)
    _draw_losses(losses, data)
    _draw_shares(shares, data)
    _draw_rotations(rotations, data)
    return figure


def _draw_models(figure: SubFigure, data: xr.Dataset) -> None:
    count, n = data.sizes["density"], data.sizes["feature"]
    axes = figure.subplots(2, count, squeeze=False)
    for row, architecture in zip(axes, _ARCHITECTURES, strict=True):
        for ax, s in zip(row, data.density.values, strict=True):
            W = data.W.sel(architecture=architecture, density=s).isel(rank=0).values
            W = W[neuron_order(W)]
            draw_stacks(ax, W, W.T, W, n)
        row[0].set_ylabel(f"{_NAMES[architecture]}\nweights of each neuron", fontsize=9)
    for ax, s in zip(axes[0], data.density.values, strict=True):
        ax.set_title(f"$s$ = {s:g}", fontsize=9)
    figure.colorbar(feature_scale(n), ax=axes, label="feature, by importance", aspect=40, pad=0.01)


def _draw_losses(ax: Axes, data: xr.Dataset) -> None:
    for name in _ARCHITECTURES:
        loss = data.sel(architecture=name).loss / data.top_loss
        label = f"{_NAMES[name]}, best model"
        draw_best_and_all(ax, loss.isel(rank=0), loss, _COLORS[name], label)
    ax.axhline(1, color="0.3", linestyle="--", linewidth=1, label="a neuron for each first feature")
    ax.set(**DENSITY_AXIS, yscale="log", ylim=(None, 1.5), ylabel="relative sampled loss")
    ax.legend(fontsize=8, loc="lower right")


def _draw_shares(ax: Axes, data: xr.Dataset) -> None:
    for name in _ARCHITECTURES:
        share = data.sel(architecture=name).monosemantic
        draw_mean_and_range(ax, share, _COLORS[name], _NAMES[name])
    ax.set(**DENSITY_AXIS, ylim=(-0.03, 1.03), ylabel="share of monosemantic neurons")
    ax.legend(fontsize=8)


def _draw_rotations(ax: Axes, data: xr.Dataset) -> None:
    for name in _ARCHITECTURES:
        change = 1 + data.sel(architecture=name).rotated
        ax.plot(change.density, change.values, ".", color=_COLORS[name], alpha=0.4, markersize=4)
        ax.plot([], [], "o", color=_COLORS[name], markersize=4, label=_NAMES[name])
    ax.set(**DENSITY_AXIS, yscale="log", ylabel="loss after random rotation / before")
    ax.legend(fontsize=8)


def _caption(data: xr.Dataset) -> str:
    n, m = data.sizes["feature"], data.sizes["hidden"]
    return sentence(
        data,
        f"Best of the models of n = {n} features in m = {m} neurons with and without a ReLU on the "
        f"hidden layer, at densities s = P(x_i ≠ 0) of {listed(data.density.values)}; importances "
        f"fall by a factor of {data.importance.values[1]:g}. A stack of bars for every neuron has "
        f"its weights; the square below it is blue where one feature has nine tenths of their "
        f"squares, orange where none has, and gray where the neuron is not live. Below: losses, "
        f"relative to a neuron for each of the {m} most important features; shares of the "
        f"{data.sizes['rank']} best models, with their range; losses of the best model after random "
        f"rotations, relative to that before.",
    )


EXPERIMENTS: Final = (
    Experiment(
        name="privileged-basis",
        title="Superposition in a privileged basis: 10 features in 5 neurons",
        source="Elhage et al. 2022, superposition in a privileged basis",
        tiny=_Settings(
            density=(1.0, 0.1),
            protocol="elhage2022,steps=20,batch_size=32",
            replicas=3,
            samples=1 << 10,
            rotations=2,
        ),
        quick=_Settings(density=(1.0, 0.3, 0.1, 0.03, 0.01), protocol="annealed", replicas=30),
        full=_Settings(),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)
