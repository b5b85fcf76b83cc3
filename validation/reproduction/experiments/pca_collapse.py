"""Correlated pairs that get dense: the partners of one pair after the other become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ....features import Correlated
from ....numerics import global_minimum
from ..captions import sentence
from ..drawing import BLUE, VERMILION
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import best_replica
from .correlated import PairSettings, draw_pairs, pairs_of, trained_and_optima

__all__ = ["EXPERIMENTS", "collapsed_pairs", "share_of_sums", "unevenness"]

_PAIRS: Final = 3
_COLLAPSED: Final = 0.1
"""Distance between the columns of partners below which they count as one."""

Floats = NDArray[np.float64]


def collapsed_pairs(W: ArrayLike) -> NDArray[np.int64]:
    """Return how many pairs (0, 1), (2, 3), … have columns within 0.1 of each other.

    A model cannot tell the partners of such a pair apart; both may be dropped.

    Examples
    --------
    >>> int(collapsed_pairs([[1.0, 1.02, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]))
    1
    """
    weights = np.asarray(W, dtype=np.float64)
    apart = np.linalg.norm(weights[..., 0::2] - weights[..., 1::2], axis=-2)
    return np.asarray((apart <= _COLLAPSED).sum(axis=-1))


def share_of_sums(W: ArrayLike) -> Floats:
    """Return the share of ‖W‖_F² that reads the sums of partners, not their differences.

    Examples
    --------
    >>> float(share_of_sums([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]))
    0.666...
    """
    weights = np.asarray(W, dtype=np.float64)
    sums = ((weights[..., 0::2] + weights[..., 1::2]) ** 2).sum(axis=(-2, -1)) / 2
    return np.asarray(sums / (weights**2).sum(axis=(-2, -1)))


def unevenness(W: ArrayLike) -> float:
    """Return by what share the least eigenvalue of WWᵀ is below the greatest: 0 in all directions.

    Examples
    --------
    >>> unevenness([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    0.5
    """
    weights = np.asarray(W, dtype=np.float64)
    eigenvalues = np.linalg.eigvalsh(weights @ weights.T)
    return float(1 - eigenvalues[0] / eigenvalues[-1])


@dataclass(frozen=True)
class _Settings:
    pairs: PairSettings = field(
        default_factory=lambda: PairSettings(density=_grid(25), replicas=30)
    )
    width: float = 1e-3


_DENSE: Final = (0.5, 0.7, 0.9)
"""Where pairs are judged to be dense."""


def _grid(points: int) -> tuple[float, ...]:
    spaced = (round(float(s), 4) for s in np.geomspace(0.01, max(_DENSE), points))
    return tuple(sorted({*spaced, *_DENSE}))


def refined(
    density: ArrayLike, states: ArrayLike, state_at: Callable[[float], int], width: float
) -> tuple[Floats, NDArray[np.int64]]:
    """Look between densities where a count changes by more than 1, until they are close.

    Parameters
    ----------
    density : array_like, shape (k,)
        Increasing.
    states : array_like of int, shape (k,)
    state_at : callable
        Density → count.
    width : float
        Relative distance of densities below which a change counts as one.

    Returns
    -------
    density, states : ndarray
        All that were looked at, in order.

    Examples
    --------
    >>> refined([0.1, 0.4], [0, 2], lambda s: int(s > 0.15) + int(s > 0.25), 0.01)
    (array([0.1, 0.2, 0.4]), array([0, 1, 2]))
    """
    pending = list(zip(np.asarray(density, dtype=float), np.asarray(states), strict=True))[::-1]
    done = [pending.pop()]
    while pending:
        (low, first), (high, last) = done[-1], pending[-1]
        if abs(int(last) - int(first)) > 1 and high > low * (1 + width):
            middle = float(np.sqrt(low * high))
            pending.append((middle, np.int64(state_at(middle))))
        else:
            done.append(pending.pop())
    return np.array([s for s, _ in done]), np.array([int(state) for _, state in done])


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    features = Correlated(pairs_of(_PAIRS))
    data = trained_and_optima(run, "models", _PAIRS, features, settings.pairs)

    def state_at(s: float) -> int:
        found = global_minimum(
            2 * _PAIRS, 2, density=s, importance=np.ones(2 * _PAIRS), features=features,
            starts=settings.pairs.starts, seed=run.seed,
        )  # fmt: skip
        return int(collapsed_pairs(found.W))

    states = collapsed_pairs(data.optimum_W.values)
    path, along = refined(data.density.values, states, state_at, settings.width)
    best = best_replica(data)
    return xr.Dataset(
        {
            "optimum_W": data.optimum_W,
            "best_W": best.W.drop_vars("replica", errors="ignore"),
            "collapsed": (("density", "replica"), collapsed_pairs(data.W.values)),
            "trained_loss": data.trained_loss,
            "optimum_loss": data.optimum_loss,
            "states": ("path", along),
        },
        coords={"density": data.density, "path": path},
        attrs=data.attrs,
    )


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    dense = [s for s in _DENSE if s in data.density.values]
    share = {
        f"s = {s:g}": Measurement.exact(float(share_of_sums(data.optimum_W.sel(density=s))))
        for s in dense
    }
    best = collapsed_pairs(data.best_W.values)
    sparsest = collapsed_pairs(data.optimum_W.isel(density=0).values)
    return {
        "share_of_sums": share,
        "unevenness": {
            f"s = {s:g}": Measurement.exact(unevenness(data.optimum_W.sel(density=s)))
            for s in dense
        },
        "collapsed_at_sparse_end": Measurement.exact(int(sparsest)),
        "largest_step": Measurement.exact(int(abs(np.diff(data.states.values)).max(initial=0))),
        "intermediate_states_of_best": Measurement.exact(
            len({1, 2} & set(best.tolist())), data.sizes["replica"]
        ),
    }


def _representative(data: xr.Dataset, count: int) -> list[float]:
    """Return a density of each stretch of the grid with one number of collapsed pairs."""
    states = collapsed_pairs(data.optimum_W.values)
    edges = np.flatnonzero(np.diff(states)) + 1
    middles = [part[len(part) // 2] for part in np.split(np.arange(len(states)), edges)]
    ends = [0, *middles, len(states) - 1]
    chosen = sorted(set(ends))
    return [float(s) for s in data.density.values[chosen]][:count]


def _draw_states(ax: Axes, data: xr.Dataset) -> None:
    mean = data.collapsed.mean("replica")
    ax.plot(data.density, mean, "o", color=VERMILION, markersize=3.5, label="mean of trained")
    best = collapsed_pairs(data.best_W.values)
    ax.plot(data.density, best, "x", color="black", markersize=5, label="best trained")
    ax.step(data.path, data.states, where="mid", color=BLUE, label="exact optimum")
    ax.set(xscale="log", ylabel="collapsed pairs", yticks=range(_PAIRS + 1),
           xlabel="density $s$")  # fmt: skip
    ax.legend(fontsize=7)


def _draw_sums(ax: Axes, data: xr.Dataset) -> None:
    dims = ("density", "hidden", "feature")
    best, optimum = data.best_W.transpose(*dims), data.optimum_W.transpose(*dims)
    ax.plot(data.density, share_of_sums(best.values), "x", color="black", label="best trained")
    ax.plot(data.density, share_of_sums(optimum.values), color=BLUE, label="exact optimum")
    ax.set(xscale="log", ylim=(0, 1.05), xlabel="density $s$", ylabel="share of the sums in $W$")
    ax.legend(fontsize=7, loc="lower right")


def _draw(data: xr.Dataset) -> Figure:
    shown = _representative(data, 6)
    figure = Figure(figsize=(2.0 * max(len(shown), 3), 6.4), layout="constrained")
    grid = figure.add_gridspec(3, 2 * len(shown), height_ratios=[1, 1, 1.2])
    for row, (name, W) in enumerate((("exact optimum", data.optimum_W),
                                     ("best trained", data.best_W))):  # fmt: skip
        for k, s in enumerate(shown):
            ax = figure.add_subplot(grid[row, 2 * k : 2 * k + 2])
            draw_pairs(ax, W.sel(density=s).values)
            ax.set_title(f"$s$ = {s:.3g}" if row == 0 else "", fontsize=9)
            ax.set_ylabel(name if k == 0 else "")
    _draw_states(figure.add_subplot(grid[2, : len(shown)]), data)
    _draw_sums(figure.add_subplot(grid[2, len(shown) :]), data)
    return figure


def _caption(data: xr.Dataset) -> str:
    low, high = data.density.values[[0, -1]]
    return sentence(
        data,
        f"Three pairs of correlated features (n = {2 * _PAIRS}) in m = 2 dimensions as they get "
        f"dense, s = P(x_i ≠ 0) from {low:g} to {high:g}; partners have one color. Below: pairs "
        f"whose columns are within {_COLLAPSED:g} of each other, and the share of the squares of W "
        "that reads the sums of partners.",
    )


EXPERIMENTS: Final = (
    Experiment(
        name="pca-collapse",
        title="Three correlated pairs in two dimensions as they get dense",
        source="Elhage et al. 2022, collapsing of correlated features",
        tiny=_Settings(PairSettings((0.01, 0.5), "elhage2022,steps=50,batch_size=64", 2, 2), 0.5),
        quick=_Settings(PairSettings(density=_grid(13), replicas=10, starts=16), width=1e-2),
        full=_Settings(),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)
