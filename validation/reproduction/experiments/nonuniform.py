"""One feature that differs from the others: pentagon against two digons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import brentq, isotonic_regression

from ....numerics import descend, global_minimum, population_loss
from ..captions import sentence
from ..drawing import BLUE, GREEN, VERMILION, panels
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import REPRESENTED

__all__ = ["EXPERIMENTS"]

_N, _M = 5, 2
_VARIED: Final = ("density", "importance")
_GEOMETRIES: Final = ("pentagon", "two digons")
_COLORS: Final = {"pentagon": BLUE, "two digons": VERMILION}

_SOURCE: Final = 2.5
"""How many times sparser the feature is where the source finds the change."""

_SAME_BRANCH: Final = 0.5
"""Change of WᵀW, in the Frobenius norm, from one grid point to the next above which a descent has
left its branch; along a branch on the grids here it is below 0.25."""

_RESAMPLES: Final = 1000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Settings:
    density: float = 0.05
    octaves: tuple[float, float] = (-3.0, 1.0)
    points: int = 33
    baselines: tuple[float, ...] = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)
    starts: int = 64
    smaller: tuple[float, ...] = (1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8)
    protocol: str = "elhage2022"
    replicas: int = 100


@dataclass(frozen=True)
class _Point:
    """A local minimum where the last feature has `relative` times what the others have."""

    W: Floats
    b: Floats
    loss: float


def _inputs(varied: str, relative: float, density: float) -> dict[str, Any]:
    factors = np.append(np.ones(_N - 1), relative)
    if varied == "density":
        return {"density": density * factors, "importance": np.ones(_N)}
    return {"density": np.full(_N, density), "importance": factors}


def _start(geometry: str) -> tuple[Floats, Floats]:
    if geometry == "pentagon":
        angles = 2 * np.pi * np.arange(_N) / _N
        return np.stack([np.cos(angles), np.sin(angles)]), np.full(_N, -0.1)
    return np.array([[1.0, -1, 0, 0, 0], [0, 0, 1, -1, 0]]), np.zeros(_N)


def _descended(W: Floats, b: Floats, inputs: Mapping[str, Any]) -> _Point:
    # Saddles are left: a dropped feature stays dropped by symmetry alone where it should not.
    end = descend(W, b, **inputs, certify=True)
    return _Point(end.W, end.b, float(end.loss))


def _branch(geometry: str, varied: str, relative: Floats, density: float) -> list[_Point | None]:
    """Follow a geometry along the grid from where it is best, until it is no minimum any more."""
    first = int(np.argmin(abs(np.log(relative)))) if geometry == "pentagon" else 0
    found: list[_Point | None] = [None] * len(relative)
    for way in (range(first, len(relative)), range(first, -1, -1)):
        at = _descended(*_start(geometry), _inputs(varied, relative[first], density))
        for k in way:
            moved = _descended(at.W, at.b, _inputs(varied, relative[k], density))
            if np.linalg.norm(moved.W.T @ moved.W - at.W.T @ at.W) > _SAME_BRANCH:
                break
            found[k] = at = moved
    return found


def _slope(at: _Point, varied: str, relative: float, density: float) -> float:
    """Return dL/d log(relative) along a branch: the loss is linear in what is varied."""
    ends = [
        float(population_loss(at.W, at.b, **_inputs(varied, value, density))) for value in (0, 1)
    ]
    return (ends[1] - ends[0]) * relative


def _bracket(
    pairs: Sequence[tuple[_Point | None, _Point | None]], relative: Floats
) -> tuple[int, int] | None:
    """Return the highest neighbors, up to 1, between which the sign of the difference changes."""
    signs = [
        (k, p.loss < q.loss)
        for k, (p, q) in enumerate(pairs)
        if p is not None and q is not None and relative[k] <= 1 + 1e-9
    ]
    changes = [(j, k) for (j, a), (k, b) in pairwise(signs) if a != b]
    return changes[-1] if changes else None


def _crossing(
    branches: Mapping[str, list[_Point | None]], varied: str, relative: Floats, density: float
) -> xr.Dataset:
    """Locate where the losses cross, below a relative value of 1, and describe both minima there.

    Returns `crossing`, infinitely small (0) where there is none, `crossing_slope`
    dL/d log(relative), `crossing_length` of the varied column, and `crossing_W`.
    """
    pairs = list(zip(*branches.values(), strict=True))
    found = _bracket(pairs, relative)
    if found is None:
        return _described(0.0, [_Point(np.zeros((_M, _N)), np.zeros(_N), 0.0)] * 2, [0.0, 0.0])
    below, above = found

    def minima(log: float) -> list[_Point]:
        inputs = _inputs(varied, float(np.exp(log)), density)
        return [_descended(p.W, p.b, inputs) for p in pairs[above] if p is not None]

    def difference(log: float) -> float:
        one, other = minima(log)
        return one.loss - other.loss

    ends = float(np.log(relative[below])), float(np.log(relative[above]))
    log = brentq(difference, *ends, xtol=1e-9)
    value, there = float(np.exp(log)), minima(log)
    return _described(value, there, [_slope(p, varied, value, density) for p in there])


def _described(relative: float, minima: Sequence[_Point], slopes: Sequence[float]) -> xr.Dataset:
    W = np.stack([point.W for point in minima])
    return xr.Dataset(
        {
            "crossing": ((), relative),
            "crossing_slope": ("geometry", np.array(slopes)),
            "crossing_length": ("geometry", np.linalg.norm(W[..., -1], axis=-1)),
            "crossing_W": (("geometry", "hidden", "feature"), W),
        }
    )


def _branches(varied: str, relative: Floats, density: float) -> dict[str, list[_Point | None]]:
    return {name: _branch(name, varied, relative, density) for name in _GEOMETRIES}


def _along(varied: str, relative: Floats, settings: _Settings, seed: int) -> xr.Dataset:
    """Return both branches, the crossing and the exact optimum over what is varied."""
    branches = _branches(varied, relative, settings.density)
    shape = (len(_GEOMETRIES), len(relative))
    loss, length = np.full(shape, np.nan), np.full(shape, np.nan)
    for j, points in enumerate(branches.values()):
        for k, point in enumerate(points):
            if point is not None:
                loss[j, k], length[j, k] = point.loss, np.linalg.norm(point.W[:, -1])
    searched = [
        global_minimum(
            _N, _M, **_inputs(varied, value, settings.density), starts=settings.starts, seed=seed
        ).loss
        for value in relative
    ]  # fmt: skip
    return xr.Dataset(
        {
            "loss": (("geometry", "relative"), loss),
            "length": (("geometry", "relative"), length),
            # The search may miss a branch; the optimum is no higher than either.
            "optimum_loss": ("relative", np.fmin(searched, np.nanmin(loss, axis=0))),
        },
        coords={"geometry": list(_GEOMETRIES), "relative": relative},
    ).merge(_crossing(branches, varied, relative, settings.density))


def _exact(settings: _Settings, run: Run) -> xr.Dataset:
    relative = 2.0 ** np.linspace(*settings.octaves, settings.points)
    parts = [_along(varied, relative, settings, run.seed) for varied in _VARIED]
    data: xr.Dataset = xr.concat(parts, "varied").assign_coords(varied=list(_VARIED))
    sparser = relative[relative <= 1 + 1e-9]
    crossings = [
        float(_crossing(_branches("density", sparser, s), "density", sparser, s).crossing)
        for s in settings.baselines
    ]
    return xr.merge(
        [
            data,
            xr.Dataset(
                {"crossing_at": ("baseline", crossings)}, {"baseline": list(settings.baselines)}
            ),
        ]
    ).assign_attrs(density=settings.density)


def _trained(settings: _Settings, run: Run) -> xr.Dataset:
    smaller = np.array(settings.smaller, dtype=np.float64)
    factors = np.where(np.arange(_N) == _N - 1, 1 / smaller[:, None], 1.0)
    plain = np.ones_like(factors)
    found = run.train(
        "models", _N, _M, density=settings.density * np.stack([factors, plain]),
        importance=np.stack([plain, factors]), protocol=settings.protocol,
        replicas=settings.replicas,
    )  # fmt: skip
    length = np.where(found.diverged, np.nan, np.linalg.norm(found.W[..., -1], axis=-1))
    return xr.Dataset(
        {"trained_length": (("varied", "smaller", "replica"), length)},
        coords={"smaller": smaller},
        attrs={"protocol": found.protocol.name, "seed": run.seed},
    )


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    return xr.merge(
        [_exact(settings, run), _trained(settings, run)], combine_attrs="drop_conflicts"
    )


def half_dropped(smaller: Floats, dropped: NDArray[np.bool_]) -> float:
    """Return where half of the models have dropped the feature; infinite if they never do.

    Parameters
    ----------
    smaller : ndarray of shape (k,)
        How many times smaller the feature is, increasing.
    dropped : ndarray of bool, shape (k, replicas)

    Notes
    -----
    Shares are made monotone by least squares and joined by straight lines over the logarithm.
    """
    share = isotonic_regression(dropped.mean(axis=1)).x
    if share[-1] < 0.5:
        return np.inf
    k = int(np.argmax(share >= 0.5))
    if k == 0:
        return float(smaller[0])
    low, high = np.log(smaller[k - 1 : k + 1])
    part = (0.5 - share[k - 1]) / (share[k] - share[k - 1])
    return float(np.exp(low + part * (high - low)))


def _trained_crossing(data: xr.Dataset, varied: str) -> Measurement:
    # A diverged model, of no length, has not dropped the feature for a reason of its loss.
    dropped = (data.trained_length < REPRESENTED).sel(varied=varied).values
    smaller, replicas = data.smaller.values, data.sizes["replica"]
    rng = np.random.default_rng(int(data.attrs["seed"]))
    draws = rng.integers(replicas, size=(_RESAMPLES, len(smaller), replicas))
    again = [half_dropped(smaller, np.take_along_axis(dropped, draw, axis=1)) for draw in draws]
    return Measurement.redrawn(half_dropped(smaller, dropped), again, replicas)


def _times(relative: float) -> float:
    """Return how many times smaller the feature is: infinitely, where there is no crossing."""
    return 1 / relative if relative > 0 else np.inf


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    slope, length = abs(data.crossing_slope), data.crossing_length
    steepest = slope.max("geometry")
    kink = (steepest - slope.min("geometry")) / steepest.where(steepest > 0, 1)
    jump = length.max("geometry") - length.min("geometry")
    gap = data.loss.min("geometry") / data.optimum_loss - 1
    worst = gap.sel(varied="density").where(data.relative <= 1, drop=True).max()
    return {
        "crossing": Measurement.exact(_times(float(data.crossing.sel(varied="density")))),
        "trained_crossing": _trained_crossing(data, "density"),
        "jump": {name: Measurement.exact(float(jump.sel(varied=name))) for name in _VARIED},
        "kink": {name: Measurement.exact(float(kink.sel(varied=name))) for name in _VARIED},
        "gap_to_optimum": Measurement.exact(float(worst)),
    }


def _relative_axis(ax: Axes, varied: str) -> None:
    ax.set_xscale("log", base=2)
    ax.set_xticks([1 / 8, 1 / 4, 1 / 2, 1, 2], ["1/8", "1/4", "1/2", "1", "2"])
    ax.set_xlabel(f"{varied} of one feature / that of the others")


def _draw_losses(ax: Axes, data: xr.Dataset) -> None:
    best = data.optimum_loss
    for name in _GEOMETRIES:
        ax.plot(data.relative, data.loss.sel(geometry=name) / best, color=_COLORS[name], label=name)
    ax.plot(data.relative, best / best, color="black", linestyle="--", linewidth=0.8,
            label="exact optimum")  # fmt: skip
    ax.set(ylim=(0.97, 1.6), ylabel="loss / least loss")


def _draw_lengths(ax: Axes, data: xr.Dataset) -> None:
    for name in _GEOMETRIES:
        ax.plot(data.relative, data.length.sel(geometry=name), color=_COLORS[name])
    share = (data.trained_length >= REPRESENTED).mean("replica")
    ax.plot(1 / data.smaller, share, "ko", markersize=3.5,
            label="share of trained models\nthat represent it")  # fmt: skip
    ax.set(ylim=(-0.05, 1.75), ylabel="length of its column", yticks=[0, 0.5, 1])


def _draw_baselines(ax: Axes, data: xr.Dataset) -> None:
    times = 1 / data.crossing_at.where(data.crossing_at > 0)
    ax.plot(data.baseline, times, "o-", color=GREEN, markersize=3.5, label="exact crossing")
    ax.axhline(_SOURCE, color="0.4", linestyle="--", linewidth=0.9, label="the source: 2.5")
    ax.set(xscale="log", yscale="log", xlim=(0.008, 0.25), ylim=(1, 9),
           xlabel="density $s$ of the others", ylabel="times sparser at the crossing")  # fmt: skip
    for axis, ticks in ((ax.xaxis, (0.01, 0.02, 0.05, 0.1, 0.2)), (ax.yaxis, (1, 2, 3, 4, 6, 8))):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.legend(fontsize=7)


def _draw_geometries(ax: Axes, data: xr.Dataset) -> None:
    for name in _GEOMETRIES:
        W = data.crossing_W.sel(geometry=name).values
        for k, (x, y) in enumerate(W.T):
            ax.plot([0, x], [0, y], color=_COLORS[name], linewidth=1.8)
            ax.plot(x, y, "s" if k == _N - 1 else "o", color=_COLORS[name], markersize=5)
    ax.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1],
           title="where they cross; square: varied")  # fmt: skip
    ax.title.set_fontsize(9)


def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(2, 3, width=3.6, height=2.8)
    for column, varied in enumerate(_VARIED):
        part = data.sel(varied=varied)
        _draw_losses(axes[0, column], part)
        _draw_lengths(axes[1, column], part)
        for ax in axes[:, column]:
            ax.axvline(float(part.crossing), color="0.4", linestyle=":", linewidth=1)
            _relative_axis(ax, varied)
    axes[0, 0].legend(fontsize=7, loc="upper right")
    axes[1, 0].legend(fontsize=7, loc="upper left")
    _draw_baselines(axes[0, 2], data)
    _draw_geometries(axes[1, 2], data.sel(varied="density"))
    return figure


def _baseline_of_source(data: xr.Dataset) -> float:
    """Return the density of the others at which the exact crossing is where the source has it."""
    times = 1 / data.crossing_at.where(data.crossing_at > 0).dropna("baseline")
    order = np.argsort(times.values)
    logs = np.log(times.values[order]), np.log(times.baseline.values[order])
    inside = len(order) > 1 and logs[0][0] <= np.log(_SOURCE) <= logs[0][-1]
    return float(np.exp(np.interp(np.log(_SOURCE), *logs))) if inside else np.nan


def _caption(data: xr.Dataset) -> str:
    times = {name: _times(float(data.crossing.sel(varied=name))) for name in _VARIED}
    s, baseline = data.attrs["density"], _baseline_of_source(data)
    elsewhere = "" if np.isnan(baseline) else (
        f" The crossing moves with the density of the others (top right): it would be at "
        f"{_SOURCE:g} for s = {baseline:.3f}."
    )  # fmt: skip
    return sentence(
        data,
        f"Least losses of the pentagon and of two digons for n = {_N} features in m = {_M} "
        f"dimensions, over the density s = P(x_i ≠ 0) (left) and importance (middle) of one "
        f"feature; the others have s = {s:g} and importance 1. They cross (dotted) where it is "
        f"{times['density']:.3f} times as sparse, or {times['importance']:.3f} times less "
        f"important. Lines end where a geometry is no local minimum any more.{elsewhere}",
    )


EXPERIMENTS: Final = (
    Experiment(
        name="non-uniform",
        title="One feature that is sparser or less important: pentagon and two digons",
        source="Elhage et al. 2022, non-uniform superposition",
        tiny=_Settings(octaves=(-2.5, 0.0), points=7, baselines=(), starts=2, smaller=(1, 4),
                       protocol="elhage2022,steps=50,batch_size=64", replicas=2),
        quick=_Settings(baselines=(0.02, 0.05, 0.1, 0.2), starts=16, replicas=20),
        full=_Settings(),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)  # fmt: skip
