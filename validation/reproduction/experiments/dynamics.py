"""Learning dynamics of two sets of three correlated features: plateaus, levels, octahedron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks

from ....features import Correlated
from ....numerics import global_minimum, gradient_flow, population_loss, resolve_protocol
from ....numerics.training.population import initial_weights
from ....theory import feature_dimensionality
from ...geometry.dimensionality import FRACTIONS
from ..captions import sentence
from ..columns import cosine_deviation
from ..drawing import BLUE, VERMILION, panels
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement

__all__ = ["EXPERIMENTS", "LEVELS", "plateaus", "rest", "stages"]

_N, _M = 6, 3
_FEATURES: Final = Correlated([(0, 1, 2), (3, 4, 5)])

LEVELS: Final = (0.0, *sorted(float(fraction) for fraction in FRACTIONS))
"""Dimensionalities of the polytopes that the source names, of a dropped and of a single feature."""

_LEVEL_TOLERANCE: Final = 0.03
_SLOW: Final = 0.1
_DROP: Final = 0.05
_OCTAHEDRON: Final = (-1, 0, 0, 0, 0)  # cosines of a corner with the others
_NEAR: Final = 0.1
_SHOWN: Final = 2

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class _Settings:
    density: float = 0.05
    protocol: str = "elhage2022"
    replicas: int = 100
    records: int = 200
    until: float = 1e4
    shrink: float = 1000.0
    """By what the weights of the protocol's start are divided for a small one."""
    starts: int = 64


@dataclass(frozen=True)
class Plateau:
    """A stretch of a loss curve, from `start` to `end`, and the drop behind it, to `dropped`."""

    start: float
    end: float
    dropped: float


def plateaus(time: ArrayLike, loss: ArrayLike) -> tuple[Plateau, ...]:
    """Return the plateaus of a loss curve that a sudden drop follows.

    On a plateau the loss falls at less than a tenth of the speed that it reaches in the drop behind
    it. The drop is at least 5 % of the whole fall, and takes no longer than the plateau.

    Parameters
    ----------
    time : array_like, shape (k,)
        Increasing.
    loss : array_like, shape (k,)

    Examples
    --------
    >>> plateaus([0, 1, 2, 3, 4, 5], [1, 0.99, 0.98, 0.5, 0.0, 0.0])
    (Plateau(start=0.0, end=2.0, dropped=4.0),)
    """
    when, values = np.asarray(time, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    speed = -np.diff(values) / np.diff(when)
    floor = 1e-6 * max(speed.max(), np.finfo(float).tiny)
    # A peak of the speed from which it falls to a tenth on both sides before it is exceeded.
    decades = np.log10(np.maximum(speed, floor))
    peaks, _ = find_peaks(np.append(decades, np.log10(floor)), prominence=-np.log10(_SLOW))
    found = (_plateau(when, values, speed, int(peak)) for peak in peaks)
    return tuple(each for each in found if each is not None)


def _plateau(when: Floats, values: Floats, speed: Floats, peak: int) -> Plateau | None:
    slow = np.flatnonzero(speed < _SLOW * speed[peak])
    end = int(slow[slow < peak].max(initial=-1)) + 1
    later = slow[slow > peak]
    dropped = int(later[0]) if len(later) else len(speed)
    start = end
    while start > 0 and speed[start - 1] < _SLOW * speed[peak]:
        start -= 1
    fall = values[end] - values[dropped]
    whole = values[0] - values.min()
    if start == end or fall < _DROP * whole or when[end] - when[start] < when[dropped] - when[end]:
        return None
    return Plateau(float(when[start]), float(when[end]), float(when[dropped]))


def stages(time: ArrayLike, loss: ArrayLike) -> tuple[Plateau, ...]:
    """Return the plateaus of a loss curve over the logarithm of time that lie between two drops.

    From small weights the first drop takes long to come and the next ones longer by factors, so
    that stages have equal lengths in the logarithm of time. A stage is a plateau by the rule of
    `plateaus`, with a drop of at least 5 % of the whole fall before it too: in the logarithm of
    time any curve begins flat.

    Parameters
    ----------
    time : array_like, shape (k,)
        Increasing from 0 or more; a loss at 0 has no place and is left out.
    loss : array_like, shape (k,)

    Returns
    -------
    tuple of Plateau
        Their ends are logarithms of times.

    Examples
    --------
    >>> time = [0, 1, 10, 100, 1000, 1e4, 1e5]
    >>> [float(each.start) for each in stages(time, [1, 1, 0.5, 0.49, 0.48, 0, 0])]
    [2.302...]
    """
    when, values = np.asarray(time, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    when, values = when[when > 0], values[when > 0]
    fallen = values[0] - _DROP * (values[0] - values.min())
    log = np.log(when)
    return tuple(
        plateau
        for plateau in plateaus(log, values)
        if values[np.searchsorted(log, plateau.start)] < fallen
    )


def rest(time: ArrayLike, values: ArrayLike) -> Booleans:
    """Tell in which intervals each curve rests between two moves.

    It moves at less than a tenth of its highest speed, and did or will move faster before and after.

    Parameters
    ----------
    time : array_like, shape (k,)
    values : array_like, shape (k, curves)

    Returns
    -------
    ndarray of bool, shape (k - 1, curves)

    Examples
    --------
    >>> rest([0, 1, 2, 3, 4, 5], [[0.0], [0.0], [1.0], [1.0], [2.0], [2.0]])[:, 0]
    array([False, False,  True, False, False])
    """
    when = np.asarray(time, dtype=np.float64)
    speed = abs(np.diff(np.asarray(values, dtype=np.float64), axis=0)) / np.diff(when)[:, None]
    moving = speed >= _SLOW * speed.max(axis=0, keepdims=True)
    before = np.logical_or.accumulate(moving, axis=0)
    behind = np.logical_or.accumulate(moving[::-1], axis=0)[::-1]
    return np.asarray(~moving & before & behind)


def share_of_rest_on_levels(time: ArrayLike, values: ArrayLike) -> float:
    """Return the share of the time of rest that curves spend within 0.03 of a level; NaN without.

    Examples
    --------
    >>> share_of_rest_on_levels([0, 1, 2, 3, 4, 5], [[0], [0.5], [0.51], [0.9], [0.91], [0]])
    0.5
    """
    curves, when = np.asarray(values, dtype=np.float64), np.asarray(time, dtype=np.float64)
    resting = rest(when, curves)
    middle = (curves[1:] + curves[:-1]) / 2
    near = (abs(middle[..., None] - np.array(LEVELS)) <= _LEVEL_TOLERANCE).any(axis=-1)
    weight = np.diff(when)[:, None] * resting
    return float((weight * near).sum() / weight.sum()) if weight.sum() > 0 else np.nan


def _from_flow(settings: _Settings, run: Run, shrink: float) -> xr.Dataset:
    """Follow gradient flow from the protocol's start, made smaller."""
    W, b = initial_weights(settings.protocol, _N, _M, replicas=settings.replicas, seed=run.seed)
    grid = np.geomspace(settings.until / 1e4, settings.until, settings.records)
    found = gradient_flow(
        W[0] / shrink, b[0], density=settings.density, importance=np.ones(_N), features=_FEATURES,
        until=settings.until, times=np.append(0.0, grid), tolerance=1e-8,
    )  # fmt: skip
    return _curves(np.append(0.0, grid), found.W_at, found.loss_at)


def _from_training(settings: _Settings, run: Run) -> xr.Dataset:
    steps = resolve_protocol(settings.protocol).steps
    when = np.unique(np.linspace(0, steps, settings.records + 1).astype(np.int64))
    found = run.train(
        "models", _N, _M, density=settings.density, importance=np.ones(_N), features=_FEATURES,
        protocol=settings.protocol, replicas=settings.replicas, record_weights=when,
    )  # fmt: skip
    loss = population_loss(
        found.W_history, found.b_history, density=settings.density, importance=np.ones(_N),
        features=_FEATURES,
    )  # fmt: skip
    return _curves(found.weight_steps.astype(float), found.W_history, loss)


def _curves(time: Floats, W: Floats, loss: Floats) -> xr.Dataset:
    """Measure every run, and keep the curves of the first ones."""
    D = feature_dimensionality(W)
    runs = [plateaus(time, each) for each in loss]
    return xr.Dataset(
        {
            "plateaus": ("replica", [len(each) for each in runs]),
            "stages": ("replica", [len(stages(time, each)) for each in loss]),
            "levels": ("replica", [share_of_rest_on_levels(time, each) for each in D]),
            "deviation": ("replica", [cosine_deviation(each, _OCTAHEDRON) for each in W[:, -1]]),
            "end_loss": ("replica", loss[:, -1]),
            "loss": (("shown", "time"), loss[:_SHOWN]),
            "D": (("shown", "time", "feature"), D[:_SHOWN]),
            "slow": (("shown", "time"), [_slow(time, each) for each in runs[:_SHOWN]]),
        },
        coords={"time": time},
    )


def _slow(time: Floats, found: tuple[Plateau, ...]) -> Booleans:
    inside = [(time >= each.start) & (time <= each.end) for each in found]
    return np.asarray(np.any(inside or [time < 0], axis=0))


_ROUTES: Final = {
    "flow": "gradient flow",
    "small": "gradient flow, small start",
    "trained": "AdamW",
}
_QUANTITIES: Final = (
    "share_with_plateau", "share_with_stage", "share_of_rest_on_levels", "share_octahedron",
)  # fmt: skip


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    parts = {
        "flow": _from_flow(settings, run, 1.0),
        "small": _from_flow(settings, run, settings.shrink),
        "trained": _from_training(settings, run),
    }
    named = [
        part.rename({name: f"{name}_{route}" for name in (*part.data_vars, "time")})
        for route, part in parts.items()
    ]
    best = global_minimum(
        _N, _M, density=settings.density, importance=np.ones(_N), features=_FEATURES,
        starts=settings.starts, seed=run.seed,
    )  # fmt: skip
    return xr.merge(
        [*named, xr.Dataset({"optimum_W": (("hidden", "feature"), best.W), "optimum": best.loss})]
    ).assign_attrs(
        protocol=resolve_protocol(settings.protocol).name, seed=run.seed, density=settings.density
    )


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    found: dict[str, Measured] = {
        "deviation_of_optimum": Measurement.exact(
            cosine_deviation(data.optimum_W.values, _OCTAHEDRON)
        )
    }
    by_route: dict[str, tuple[Measurement, ...]] = {
        route: (
            Measurement.share_of(data[f"plateaus_{route}"] > 0),
            Measurement.share_of(data[f"stages_{route}"] > 0),
            Measurement.mean(data[f"levels_{route}"].values),
            Measurement.share_of(data[f"deviation_{route}"] <= _NEAR),
        )
        for route in _ROUTES
    }
    for k, name in enumerate(_QUANTITIES):
        found[f"{name}_trained"] = by_route["trained"][k]
        found[f"{name}_flow"] = {
            "start of the protocol": by_route["flow"][k],
            "a thousandth of it": by_route["small"][k],
        }
    return found


def _draw_loss(ax: Axes, data: xr.Dataset, route: str, shown: int) -> None:
    time, loss = data[f"time_{route}"], data[f"loss_{route}"].isel(shown=shown)
    ax.plot(time, loss, color=BLUE, linewidth=1.3)
    slow = data[f"slow_{route}"].isel(shown=shown).astype(bool)
    ax.plot(time, loss.where(slow), color=VERMILION, linewidth=2.5)
    ax.axhline(float(data.optimum), color="0.5", linestyle=":", linewidth=1)
    ax.set(ylim=(0, None), xticklabels=[])


def _draw_levels(ax: Axes, data: xr.Dataset, route: str, shown: int) -> None:
    for level in LEVELS:
        ax.axhline(level, color="0.85", linewidth=0.8, zorder=0)
    D = data[f"D_{route}"].isel(shown=shown)
    for i in range(_N):
        ax.plot(data[f"time_{route}"], D.isel(feature=i), linewidth=1.1,
                color=(BLUE, VERMILION)[i // (_N // 2)])  # fmt: skip
    ax.set(ylim=(-0.03, 1.05))


def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(2, len(_ROUTES) * _SHOWN, width=2.3, height=2.0)
    for k, (route, title) in enumerate(_ROUTES.items()):
        for shown in range(_SHOWN):
            top, bottom = axes[:, _SHOWN * k + shown]
            if shown >= data.sizes["shown"]:
                top.set_axis_off()
                bottom.set_axis_off()
                continue
            _draw_loss(top, data, route, shown)
            _draw_levels(bottom, data, route, shown)
            top.set_title(f"{title}\nseed {shown}", fontsize=8)
            for ax in (top, bottom):
                if route != "trained":
                    ax.set(xscale="log", xlim=(1, None))
            bottom.set_xlabel("step" if route == "trained" else "time $t$")
    axes[0, 0].set_ylabel("exact loss")
    axes[1, 0].set_ylabel("dimensionality $D_i$")
    return figure


def _caption(data: xr.Dataset) -> str:
    return sentence(
        data,
        f"Exact loss (top; plateaus in red, optimum dotted) and dimensionality of the features "
        f"(bottom, a color for each set) of two sets of three correlated features in m = {_M} "
        f"dimensions, density s = P(x_i ≠ 0) = {data.attrs['density']:g}, under gradient flow from "
        "the protocol's start and from a thousandth of it, and in training. Gray: 0, 3/8, 2/5, 1/2, "
        "2/3, 3/4, 1.",
    )


EXPERIMENTS: Final = (
    Experiment(
        name="dynamics",
        title="Learning dynamics of two sets of three correlated features",
        source="Elhage et al. 2022, superposition and learning dynamics",
        tiny=_Settings(protocol="elhage2022,steps=50,batch_size=64", replicas=2, records=20,
                       until=100.0, starts=2),
        quick=_Settings(replicas=20, until=2000.0, starts=16),
        full=_Settings(),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)  # fmt: skip
