"""Two sets of correlated features: an orthogonal basis for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from ....features import Correlated
from ....numerics import descend, population_loss
from ..captions import listed, sentence
from ..columns import unit_columns
from ..drawing import BLUE, VERMILION, draw_gram, panels
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import REPRESENTED, best_replica, train_along_density

__all__ = ["EXPERIMENTS", "opposite_bases_loss", "within_and_across"]

Floats = NDArray[np.float64]
Sets = Sequence[tuple[int, ...]]

_N, _M = 20, 10
_PRECISE: Final = 1e-9


def within_and_across(W: ArrayLike) -> tuple[Floats, Floats]:
    """Return the root mean square cosine inside two equal sets of features, and between them.

    The first half of the features is one set, the second half the other. Dropped features do not
    count.

    Parameters
    ----------
    W : array_like, shape (m, n), n even

    Examples
    --------
    >>> within, across = within_and_across([[1.0, 0, -1, 0], [0, 1, 0, -1]])
    >>> float(within), round(float(across), 3)
    (0.0, 0.707)
    """
    weights = np.asarray(W, dtype=np.float64)
    there = np.linalg.norm(weights, axis=0) > REPRESENTED
    squares = (unit_columns(weights).T @ unit_columns(weights)) ** 2
    first = np.arange(weights.shape[1]) < weights.shape[1] // 2
    both = np.outer(there, there) & ~np.eye(len(there), dtype=bool)
    inside = both & (first[:, None] == first)
    return (
        np.sqrt(squares[inside].mean()) if inside.any() else np.asarray(np.nan),
        np.sqrt(squares[both & ~inside].mean()) if (both & ~inside).any() else np.asarray(np.nan),
    )


@dataclass(frozen=True)
class _Settings:
    density: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01)
    protocol: str = "elhage2022"
    replicas: int = 10
    iterations: int = 400


def _sets_of_ten() -> Sets:
    half = _N // 2
    return [tuple(range(half)), tuple(range(half, _N))]


def _descended(best: xr.Dataset, iterations: int) -> xr.Dataset:
    """Lead the best models of all densities down the exact loss."""
    found = descend(
        best.W.values, best.b.values, density=best.density.values, importance=np.ones(_N),
        features=Correlated(_sets_of_ten()), max_iterations=iterations, tolerance=1e-7,
    )  # fmt: skip
    return xr.Dataset(
        {
            "descended_W": (("density", "hidden", "feature"), found.W),
            "descended_loss": ("density", found.loss),
        }
    )


def opposite_bases_loss(s: float) -> float:
    """Return the least loss of two opposite orthogonal bases, of one length and one bias.

    Every feature sees the others as every other does, so that a common length and bias stay common
    under descent.
    """
    eye = np.eye(_M)
    W, b = np.hstack([eye, -eye]), np.ones(_N)

    def loss(at: Floats) -> float:
        return float(
            population_loss(
                at[0] * W, at[1] * b, density=s, importance=np.ones(_N),
                features=Correlated(_sets_of_ten()),
            )
        )  # fmt: skip

    return float(minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", tol=_PRECISE).fun)


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    s = np.array(settings.density)
    shared: dict[str, Any] = {
        "density": s[:, None], "importance": np.ones(_N), "protocol": settings.protocol,
        "replicas": settings.replicas,
    }  # fmt: skip
    data = train_along_density(
        run, "correlated", _N, _M, features=Correlated(_sets_of_ten()), **{**shared, "density": s}
    )
    control = run.train("independent", _N, _M, **shared)
    best = best_replica(data)
    cosines = [_cosines(W) for W in (data.W.values, control.W)]
    where = ("density", "replica")
    measured = xr.Dataset(
        {
            "within": (("inputs", *where), np.stack([each[0] for each in cosines])),
            "across": (("inputs", *where), np.stack([each[1] for each in cosines])),
            "represented": (where, (np.linalg.norm(data.W, axis=-2) > REPRESENTED).sum(axis=-1)),
            "trained_loss": data.trained_loss,
            "bases_loss": ("density", [opposite_bases_loss(float(each)) for each in s]),
        },
        coords={"density": s, "inputs": ["correlated", "independent"]},
        attrs=data.attrs,
    )  # fmt: skip
    return measured.merge(_descended(best, settings.iterations))


def _cosines(W: Floats) -> Floats:
    """Return those of `within_and_across` for models of shape (..., m, n), shape (2, ...)."""
    rows = W.reshape(-1, *W.shape[-2:])
    found = np.array([within_and_across(each) for each in rows])
    return np.moveaxis(found.reshape(*W.shape[:-2], 2), -1, 0)


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    within: dict[str, Measurement] = {}
    ratio, shared, of_best = dict(within), dict(within), dict(within)
    replicas = data.sizes["replica"]
    for s in data.density.values:
        name, part = f"s = {s:g}", data.sel(density=s)
        ours, control = part.within.values
        within[name] = Measurement.median(ours)
        ratio[name] = Measurement.median(control / ours)
        shared[name] = Measurement.median(part.represented.values / _M)
        inside, _ = within_and_across(part.descended_W.values)
        of_best[name] = Measurement.exact(float(inside), replicas)
    return {
        "cosine_within_sets": within,
        "cosine_within_sets_of_best": of_best,
        "cosine_ratio_to_independent": ratio,
        "features_per_dimension": shared,
    }


def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(2, data.sizes["density"])
    for column, s in enumerate(data.density.values):
        part = data.sel(density=s)
        scale = draw_gram(axes[0, column], part.descended_W.values)
        for edge in (axes[0, column].axhline, axes[0, column].axvline):
            edge(_N / 2 - 0.5, color="0.3", linewidth=0.8)
        axes[0, column].set_title(f"density $s$ = {s:g}")
        _draw_cosines(axes[1, column], part)
    axes[1, 0].legend(fontsize="small")
    figure.colorbar(scale, ax=axes[0, :], shrink=0.8, label="$W^TW$, best minimum")
    axes[1, 0].set_ylabel("root mean square cosine")
    return figure


def _draw_cosines(ax: Axes, part: xr.Dataset) -> None:
    for k, (inputs, color) in enumerate(zip(("correlated", "independent"), (BLUE, VERMILION),
                                            strict=True)):  # fmt: skip
        for j, values in enumerate((part.within, part.across)):
            there = values.sel(inputs=inputs).values
            ax.plot(np.full(len(there), 2 * j + k), there, "o", color=color, markersize=3.5,
                    alpha=0.6, label=None if j else inputs)  # fmt: skip
    ax.axhline(1 / np.sqrt(_M), color="0.5", linestyle=":", linewidth=1)
    ax.set(ylim=(0, 0.45), xlim=(-0.6, 3.6))
    ax.set_xticks([0.5, 2.5], ["within sets", "across"])


def _caption(data: xr.Dataset) -> str:
    gain = data.bases_loss / data.descended_loss
    return sentence(
        data,
        f"n = {_N} features in m = {_M} dimensions, two sets of ten that are on "
        f"together, at densities s = P(x_i ≠ 0) of {listed(data.density.values)}. Top: WᵀW of the "
        "model of least exact loss, led down to its minimum; lines part the sets. Two opposite "
        f"bases would cost {listed(gain.values)} times as much. Bottom: cosines of every model (blue), "
        "and of models of independent features (red) in the same two sets; dotted, random "
        "directions.",
    )


EXPERIMENTS: Final = (
    Experiment(
        name="local-bases",
        title="Two correlated sets of ten features in ten dimensions",
        source="Elhage et al. 2022, local almost-orthogonal bases",
        tiny=_Settings(
            density=(0.1,), protocol="elhage2022,steps=50,batch_size=64", replicas=2, iterations=2
        ),
        quick=_Settings(density=(0.3, 0.1, 0.03), replicas=5, iterations=60),
        full=_Settings(replicas=40),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)
