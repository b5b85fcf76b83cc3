"""Pairs of features that are not independent: correlated and anticorrelated partners."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ....features import Anticorrelated, Correlated, FeatureDistribution
from ..captions import listed, sentence
from ..columns import unit_columns
from ..drawing import BLUE, GREEN, VERMILION, panels
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import REPRESENTED, exact_optima, train_along_density

__all__ = [
    "EXPERIMENTS", "PairSettings", "draw_pairs", "neighbors", "pairs_of", "partner_cosines",
    "trained_and_optima",
]  # fmt: skip

_SET_COLORS: Final = (BLUE, VERMILION, GREEN)
_ORTHOGONAL: Final = 0.1
_ANTIPODAL: Final = -0.9
_SHOWN: Final = 4

Floats = NDArray[np.float64]
Sets = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class PairSettings:
    """How pairs of features are trained and their exact optima searched."""

    density: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01)
    protocol: str = "elhage2022"
    replicas: int = 100
    starts: int = 64


def pairs_of(count: int) -> Sets:
    """Return the sets (0, 1), (2, 3), … of partners."""
    return [(2 * k, 2 * k + 1) for k in range(count)]


def partner_cosines(W: ArrayLike) -> Floats:
    """Return the cosines between the partners (0, 1), (2, 3), …; 0 where one has no column.

    Parameters
    ----------
    W : array_like, shape (..., m, n), n even

    Returns
    -------
    ndarray of shape (..., n / 2)

    Examples
    --------
    >>> partner_cosines([[1.0, -2.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    array([-1.,  0.])
    """
    units = unit_columns(W)
    cosines: Floats = (units[..., 0::2] * units[..., 1::2]).sum(axis=-2)
    return cosines


def neighbors(W: ArrayLike) -> NDArray[np.bool_]:
    """Tell which partners (0, 1), (2, 3), … are side by side in the plane.

    Both are represented, less than a right angle apart, and no other represented feature lies
    between them.

    Parameters
    ----------
    W : array_like, shape (2, n), n even

    Returns
    -------
    ndarray of bool, shape (n / 2,)

    Examples
    --------
    >>> angles = np.pi / 3 * np.array([0, 1, 2, 4, 3, 5])
    >>> neighbors([np.cos(angles), np.sin(angles)])
    array([ True, False, False])
    """
    weights = np.asarray(W, dtype=np.float64)
    there = np.linalg.norm(weights, axis=0) > REPRESENTED
    angles = np.arctan2(weights[1], weights[0])
    return np.array(
        [
            there[a] and there[b] and _side_by_side(np.delete(angles, [a, b])[_others(there, a, b)],
                                                   angles[a], angles[b])
            for a, b in pairs_of(weights.shape[1] // 2)
        ]
    )  # fmt: skip


def _others(there: NDArray[np.bool_], a: int, b: int) -> NDArray[np.bool_]:
    return np.delete(there, [a, b])


def _side_by_side(others: Floats, first: float, second: float) -> bool:
    turn = _wrapped(second - first)
    along = _wrapped(others - first) * np.sign(turn)
    return bool(abs(turn) < np.pi / 2 and not ((along > 0) & (along < abs(turn))).any())


def _wrapped(angle: Any) -> Any:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def trained_and_optima(
    run: Run,
    label: str,
    pairs: int,
    features: FeatureDistribution,
    settings: PairSettings,
) -> xr.Dataset:
    """Train models of so many pairs in the plane, and find the exact optima, at all densities."""
    n = 2 * pairs
    shared: dict[str, Any] = {
        "density": settings.density, "importance": np.ones(n), "features": features,
    }  # fmt: skip
    trained = train_along_density(
        run, label, n, 2, protocol=settings.protocol, replicas=settings.replicas, **shared
    )
    optima = exact_optima(n, 2, starts=settings.starts, seed=run.seed, **shared)
    return xr.merge([trained, optima], combine_attrs="drop_conflicts")


def _named(data: xr.Dataset, pairs: int) -> xr.Dataset:
    """Tell the variables of models of so many pairs from those of others."""
    names = {name: f"{name}_{pairs}" for name in data.data_vars}
    return data.rename(names).rename({"feature": f"feature_{pairs}"})


def _compute_correlated(settings: PairSettings, run: Run) -> xr.Dataset:
    parts = [
        _named(trained_and_optima(run, f"pairs-{pairs}", pairs, Correlated(pairs_of(pairs)),
                                   settings), pairs)
        for pairs in (2, 3)
    ]  # fmt: skip
    return xr.merge(parts, combine_attrs="drop_conflicts")


def _compute_anticorrelated(settings: PairSettings, run: Run) -> xr.Dataset:
    return _named(trained_and_optima(run, "models", 2, Anticorrelated(pairs_of(2)), settings), 2)


def _at(data: xr.Dataset, s: float) -> tuple[dict[str, float], str]:
    return {"density": s}, f"s = {s:g}"


def _all_represented(W: Floats) -> NDArray[np.bool_]:
    return np.asarray((np.linalg.norm(W, axis=-2) > REPRESENTED).all(axis=-1))


def _worst_optimum(data: xr.Dataset, pairs: int) -> dict[str, Measurement]:
    """Return the largest |cosine| of partners in the optimum; 1 where a feature is dropped."""
    found = {}
    for s in data.density.values:
        here, name = _at(data, s)
        W = data[f"optimum_W_{pairs}"].sel(here).values
        worst = abs(partner_cosines(W)).max() if _all_represented(W) else 1.0
        found[name] = Measurement.exact(float(worst))
    return found


def _measure_correlated(data: xr.Dataset) -> Mapping[str, Measured]:
    orthogonal, side_by_side, apart = {}, {}, {}
    for s in data.density.values:
        here, name = _at(data, s)
        two, three = data.W_2.sel(here).values, data.W_3.sel(here).values
        right = (abs(partner_cosines(two)) <= _ORTHOGONAL).all(axis=-1) & _all_represented(two)
        orthogonal[name] = Measurement.share_of(right)
        side_by_side[name] = Measurement.share_of([neighbors(W).all() for W in three])
        best = neighbors(data.optimum_W_3.sel(here).values)
        apart[name] = Measurement.exact(int((~best).sum()))
    return {
        "worst_cosine_of_two_pairs": _worst_optimum(data, 2),
        "share_orthogonal_of_two_pairs": orthogonal,
        "worst_cosine_of_three_pairs": _worst_optimum(data, 3),
        "pairs_not_side_by_side": apart,
        "share_side_by_side": side_by_side,
    }


def _measure_anticorrelated(data: xr.Dataset) -> Mapping[str, Measured]:
    worst, share = {}, {}
    for s in data.density.values:
        here, name = _at(data, s)
        best, trained = data.optimum_W_2.sel(here).values, data.W_2.sel(here).values
        worst[name] = Measurement.exact(float(partner_cosines(best).max()))
        share[name] = Measurement.share_of((partner_cosines(trained) <= _ANTIPODAL).all(axis=-1))
    return {"worst_cosine": worst, "share_antipodal": share}


def draw_pairs(ax: Axes, W: Floats) -> None:
    """Draw the columns of W, shape (2, n), in a color for each pair."""
    for k, (x, y) in enumerate(W.T):
        color = _SET_COLORS[k // 2]
        ax.plot([0, x], [0, y], color=color, linewidth=1.8)
        ax.plot(x, y, "o", color=color, markersize=5)
    reach = 1.5
    ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[-1, 0, 1],
           yticks=[-1, 0, 1])  # fmt: skip


def _draw_row(axes: NDArray[np.object_], data: xr.Dataset, pairs: int, s: float) -> None:
    here = data.sel(density=s)
    draw_pairs(axes[0], here[f"optimum_W_{pairs}"].values)
    for k in range(_SHOWN):
        if k < here.sizes["replica"]:
            draw_pairs(axes[k + 1], here[f"W_{pairs}"].isel(replica=k).values)
        else:
            axes[k + 1].set_axis_off()
    axes[0].set_ylabel(f"{pairs} sets of 2, $s$ = {s:g}")


def _draw(data: xr.Dataset) -> Figure:
    shown = [pairs for pairs in (2, 3) if f"W_{pairs}" in data]
    rows = [(pairs, s) for pairs in shown for s in data.density.values]
    figure, axes = panels(len(rows), _SHOWN + 1, width=1.8, height=1.8)
    for row, (pairs, s) in enumerate(rows):
        _draw_row(axes[row], data, pairs, float(s))
    axes[0, 0].set_title("exact optimum", fontsize=9)
    for k in range(_SHOWN):
        axes[0, k + 1].set_title(f"trained, seed {k}", fontsize=9)
    return figure


def _caption_correlated(data: xr.Dataset) -> str:
    return sentence(
        data,
        "Columns of W for two and for three pairs of correlated features (n = 4 and 6) in m = 2 "
        "dimensions; partners have one color, are on together, and have values of their own. "
        f"Densities s = P(x_i ≠ 0) are {listed(data.density.values)}.",
    )


def _caption_anticorrelated(data: xr.Dataset) -> str:
    return sentence(
        data,
        "Columns of W for two pairs of anticorrelated features (n = 4) in m = 2 dimensions; "
        "partners have one color and are never on together. "
        f"Densities s = P(x_i ≠ 0) are {listed(data.density.values)}.",
    )


_TINY: Final = PairSettings(
    density=(0.1,), protocol="elhage2022,steps=50,batch_size=64", replicas=2, starts=2
)


def _experiment(
    name: str,
    compute: Callable[[PairSettings, Run], xr.Dataset],
    measure: Callable[[xr.Dataset], Mapping[str, Measured]],
    caption: Callable[[xr.Dataset], str],
) -> Experiment[PairSettings]:
    return Experiment(
        name=name,
        title=f"{name.capitalize()} pairs of features in two dimensions",
        source=f"Elhage et al. 2022, {name} features",
        tiny=_TINY,
        quick=PairSettings(replicas=30, starts=32),
        full=PairSettings(),
        compute=compute,
        measure=measure,
        draw=_draw,
        caption=caption,
    )


EXPERIMENTS: Final = (
    _experiment("correlated", _compute_correlated, _measure_correlated, _caption_correlated),
    _experiment(
        "anticorrelated", _compute_anticorrelated, _measure_anticorrelated, _caption_anticorrelated
    ),
)
