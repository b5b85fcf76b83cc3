"""Computation in superposition: |x| of more features than there are pairs of neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from ....features import Independent
from ....values import ValueDistribution
from ..captions import listed, sentence
from ..drawing import (
    BLUE,
    DENSITY_AXIS,
    GREEN,
    PURPLE,
    VERMILION,
    draw_best_and_all,
    draw_mean_and_range,
)
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import by_density
from ..neuron_drawing import draw_stacks, feature_scale, neuron_order
from ..neurons import Motifs, computed_features, find_motifs
from ..two_layer_models import (
    SmallOptimum,
    gain_of_best,
    least_loss,
    monosemantic_loss,
    train_two_layer,
)

__all__ = ["EXPERIMENTS"]

_FEATURES: Final = Independent(ValueDistribution([1], symmetric=True))
_SMALL: Final = (2, 3)  # features and neurons of the exact optimum
_SPARSE: Final = 0.1  # and below

# The source's notebook counts the models of a pack among the fans of Xavier's initialization, which
# makes √(2/((10 + 100) 40)) of 10 models. From a greater start most outputs are negative for most
# inputs at low density, where their ReLU has no gradient, and stay so.
_SMALL_START: Final = ",weight_init=0.02"


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Settings:
    density: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
    n_features: int = 100
    n_hidden: int = 40
    decay: float = 0.8
    protocol: str = f"elhage2022{_SMALL_START}"
    replicas: int = 30
    kept: int = 5
    samples: int = 1 << 16
    starts: int = 64


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    n, m = settings.n_features, settings.n_hidden
    importance = settings.decay ** np.arange(n)
    models = train_two_layer(
        run, "models", n, m, density=settings.density, importance=importance,
        architecture="absolute-value", protocol=settings.protocol, replicas=settings.replicas,
        kept=settings.kept, samples=settings.samples, features=_FEATURES,
    )  # fmt: skip
    found = np.array(
        [[find_motifs(*_weights(models, s, k)) for k in models["rank"]] for s in settings.density]
    )
    described = {
        **{f"best_{name}": models[name].isel(rank=0) for name in ("W", "V", "b")},
        "motif": (("density", "rank", "kind"), found),
        "computed": (("density", "rank", "feature"), computed_features(models.W, models.V)),
        "monosemantic_loss": (
            "density", monosemantic_loss(m, density=settings.density, importance=importance)
        ),
        "importance": ("feature", importance),
    }  # fmt: skip
    data = models.drop_vars(["W", "V", "b"]).assign(described).merge(_small_optima(settings, run))
    return data.assign_coords(kind=list(Motifs._fields))


def _weights(models: xr.Dataset, s: float, k: int) -> tuple[Floats, Floats]:
    model = models.sel(density=s).isel(rank=int(k))
    return model.W.values, model.V.values


def _small_optima(settings: _Settings, run: Run) -> xr.Dataset:
    """Search the least exact loss of so few features that it is exact, at every density.

    Then again from what was found at all densities: a basin that few random starts reach at one
    density may be wide at another.
    """
    n, m = _SMALL
    importance = settings.decay ** np.arange(n)

    def searched(starts: int, also: Sequence[SmallOptimum] = ()) -> list[SmallOptimum]:
        return [
            least_loss(
                n, m, density=s, importance=importance, features=_FEATURES, starts=starts,
                seed=run.seed, also=also,
            )
            for s in settings.density
        ]  # fmt: skip

    best = searched(0, searched(settings.starts))
    single = monosemantic_loss(m, density=settings.density, importance=importance)
    return xr.Dataset(
        {
            "small_W": (("density", "small_hidden", "small_feature"), [each.W for each in best]),
            "small_V": (("density", "small_feature", "small_hidden"), [each.V for each in best]),
            "small_loss": ("density", [each.loss for each in best]),
            "small_monosemantic_loss": ("density", single),
        }
    )


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    densities = data.density.values
    dense, sparse = data.sel(density=densities.max()), data.sel(density=densities.min())
    low = data.sel(density=densities[densities <= _SPARSE])
    small = 1 - data.small_loss / data.small_monosemantic_loss
    seeds = data.sizes["replica"]
    pairs = data.sizes["hidden"] // 2
    motifs = find_motifs(sparse.small_W.values, sparse.small_V.values)
    return {
        "dense_monosemantic": Measurement.mean(dense.monosemantic),
        "sparse_monosemantic": by_density(low.monosemantic, Measurement.mean),
        "dense_misplaced": Measurement.exact(_misplaced(dense, pairs), seeds),
        "sparse_computed": by_density(low.computed.sum("feature") / pairs, Measurement.mean),
        "dense_gain": gain_of_best(dense, dense.monosemantic_loss),
        "sparse_gain": by_density(low, lambda part: gain_of_best(part, part.monosemantic_loss)),
        "motifs": by_density(
            data.motif.sel(kind="inhibited").isel(rank=0),
            lambda count: Measurement.exact(float(count), seeds),
        ),
        "asymmetric": by_density(data.motif, lambda found: _part(found, "asymmetric", "shared")),
        "inhibited": by_density(data.motif, lambda found: _part(found, "inhibited", "asymmetric")),
        "optimum_gain": Measurement.exact(float(small.sel(density=densities.min()))),
        "optimum_dense_gain": Measurement.exact(float(small.sel(density=densities.max()))),
        "optimum_motifs": Measurement.exact(motifs.inhibited),
    }


def _misplaced(data: xr.Dataset, pairs: int) -> float:
    """Return how many features the best model computes wrongly or does not compute."""
    wanted = np.arange(data.sizes["feature"]) < pairs
    return float((data.computed.isel(rank=0).values != wanted).sum())


def _part(found: xr.DataArray, part: str, whole: str) -> Measurement:
    """Return the mean over models of the share of pairs; models without any such pair say nothing."""
    total = found.sel(kind=whole)
    return Measurement.mean(found.sel(kind=part) / total.where(total > 0))


def _draw(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(14, 8), layout="constrained")
    upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=[1.7, 1]))
    _draw_models(upper, data)
    axes = lower.subplots(1, 4)
    _draw_losses(axes[0], data)
    _draw_shares(axes[1], data)
    _draw_motifs(axes[2], data)
    _draw_small(axes[3], data)
    return figure


def _balanced(W: Floats, V: Floats) -> tuple[Floats, Floats]:
    """Return W and the transpose of V with rows of equal length: a rescaling of ReLU neurons."""
    into, out = np.linalg.norm(W, axis=1), np.linalg.norm(V, axis=0)
    scale = np.sqrt(np.divide(out, into, out=np.ones_like(out), where=(into > 0) & (out > 0)))
    return W * scale[:, None], (V / scale).T


def _draw_models(figure: SubFigure, data: xr.Dataset) -> None:
    count, colors = data.sizes["density"], min(data.sizes["feature"], max(data.sizes["hidden"], 20))
    axes = figure.subplots(2, count, squeeze=False)
    for column, s in zip(axes.T, data.density.values, strict=True):
        model = data.sel(density=s)
        W, V = model.best_W.values, model.best_V.values
        order = neuron_order(W)
        for ax, shown in zip(column, _balanced(W[order], V[:, order]), strict=True):
            draw_stacks(ax, W[order], V[:, order], shown, colors)
        column[0].set_title(f"$s$ = {s:g}", fontsize=9)
    axes[0, 0].set_ylabel("weights into each neuron", fontsize=9)
    axes[1, 0].set_ylabel("weights out of each neuron", fontsize=9)
    figure.colorbar(feature_scale(colors), ax=axes, label="feature, by importance", aspect=40,
                    pad=0.01, extend="max" if colors < data.sizes["feature"] else "neither")  # fmt: skip


def _draw_losses(ax: Axes, data: xr.Dataset) -> None:
    loss = data.loss / data.monosemantic_loss
    draw_best_and_all(ax, loss.isel(rank=0), loss, VERMILION, "trained")
    small = data.small_loss / data.small_monosemantic_loss
    ax.plot(small.density, small, "-s", color=BLUE, markersize=4, label="optimum, 2 in 3 neurons")
    ax.axhline(1, color="0.3", linestyle="--", linewidth=1, label="best monosemantic")
    ax.set(**DENSITY_AXIS, yscale="log", ylabel="relative loss")
    ax.legend(fontsize=8)


def _draw_shares(ax: Axes, data: xr.Dataset) -> None:
    pairs = data.sizes["hidden"] // 2
    computed = data.computed.sum("feature") / pairs
    for values, name, color in (
        (data.monosemantic, "monosemantic neurons", BLUE),
        (computed, "features computed / pairs of neurons", GREEN),
    ):
        draw_mean_and_range(ax, values, color, name)
    highest = 1.3 * max(1.0, float(computed.max()))
    ax.set(**DENSITY_AXIS, ylim=(-0.03, highest), ylabel="share")
    ax.legend(fontsize=8)


def _draw_motifs(ax: Axes, data: xr.Dataset) -> None:
    names = ("sharing a neuron", "asymmetric", "and inhibited")
    styles = (("-o", VERMILION, 4), ("-s", PURPLE, 8), ("--.", BLUE, 6))
    for kind, name, (style, color, size) in zip(Motifs._fields, names, styles, strict=True):
        count = data.motif.sel(kind=kind).mean("rank")
        ax.plot(count.density, count, style, color=color, markersize=size, label=name)
    ax.set(**DENSITY_AXIS, ylabel="pairs of features")
    ax.legend(fontsize=8)


def _draw_small(ax: Axes, data: xr.Dataset) -> None:
    """Draw the weights of the small optimum at the least density as numbers on colors."""
    sparse = data.sel(density=data.density.values.min())
    into, out = _balanced(sparse.small_W.values, sparse.small_V.values)
    both = np.concatenate([into, out], axis=1)
    reach = abs(both).max()
    ax.imshow(both, cmap="PuOr", vmin=-1.3 * reach, vmax=1.3 * reach, aspect="auto")
    for (row, column), value in np.ndenumerate(both):
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8)
    ax.axvline(into.shape[1] - 0.5, color="black", linewidth=1.5)
    labels = [f"{way} {k + 1}" for way in ("in", "out") for k in range(into.shape[1])]
    ax.set_xticks(range(both.shape[1]), labels, fontsize=8)
    ax.set(yticks=range(len(both)), ylabel="neuron")
    ax.set_yticklabels([f"{k + 1}" for k in range(len(both))])
    ax.set_title(f"optimum, 2 in 3 neurons, $s$ = {float(sparse.density):g}", fontsize=9)


def _caption(data: xr.Dataset) -> str:
    n, m = data.sizes["feature"], data.sizes["hidden"]
    return sentence(
        data,
        f"Best of the models that compute |x| of n = {n} features, uniform on [−1, 1] where on, in "
        f"m = {m} neurons, at densities s = P(x_i ≠ 0) of {listed(data.density.values)}; importances "
        f"fall by a factor of {data.importance.values[1]:g}. A stack of bars for every neuron has "
        f"its weights, scaled to equal lengths in and out; the square below it is blue where it "
        f"reads one feature, orange where it reads several, and gray where it is not live. Below: "
        f"losses relative to those of the best models whose neurons work for one feature each; "
        f"monosemantic neurons and computed features of the {data.sizes['rank']} best models, with "
        f"their range; pairs that share a neuron, of them the asymmetric ones, of them the "
        f"inhibited ones; the model of least exact loss of two features in three neurons.",
    )


EXPERIMENTS: Final = (
    Experiment(
        name="absolute-value",
        title="Computation in superposition: |x| of 100 features in 40 neurons",
        source="Elhage et al. 2022, computation in superposition",
        tiny=_Settings(
            density=(1.0, 0.1),
            n_features=6,
            n_hidden=4,
            replicas=3,
            starts=1,
            protocol="elhage2022,steps=20,batch_size=32",
            samples=1 << 10,
        ),
        quick=_Settings(
            density=(1.0, 0.3, 0.1, 0.03, 0.01),
            n_features=20,
            n_hidden=8,
            protocol=f"annealed,learning_rate=0.003,batch_size=512{_SMALL_START}",
            replicas=10,
            starts=12,
        ),
        full=_Settings(),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)
