"""Weights of neurons as Elhage et al. 2022 show them: a stack of bars for every neuron."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import ArrayLike, NDArray

from .drawing import BLUE, ORANGE
from .neurons import LIVE, MONOSEMANTIC, neuron_sizes, top_shares

__all__ = ["draw_stacks", "feature_scale", "neuron_order"]

_HIDDEN_BELOW: Final = 0.03  # of the greatest weight: bars that nobody would see
_DEAD: Final = "0.6"

Floats = NDArray[np.float64]


def feature_scale(count: int) -> ScalarMappable:
    """Return the colors of features by importance: dark the first, light the last of `count`."""
    return ScalarMappable(Normalize(0, count - 0.5), "viridis")


def neuron_order(W: ArrayLike) -> NDArray[np.intp]:
    """Return the neurons in the order of the feature that each reads most.

    Examples
    --------
    >>> neuron_order([[0, 1], [2, 1]])
    array([1, 0])
    """
    return np.argsort(abs(np.asarray(W)).argmax(axis=-1), kind="stable")


def draw_stacks(ax: Axes, W: ArrayLike, V: ArrayLike, shown: ArrayLike, colors: int) -> None:
    """Draw the weights of every neuron as a stack of bars, a color for every feature.

    Below each neuron a mark says what it is: blue monosemantic, orange polysemantic, gray not live.

    Parameters
    ----------
    ax : Axes
    W : array_like, shape (m, n)
    V : array_like, shape (n, m)
    shown : array_like, shape (m, n)
        The weights that are drawn: W, the transpose of V, or either rescaled.
    colors : int
        Features that have colors of their own; those beyond have that of the last.
    """
    weights = np.asarray(shown, dtype=np.float64)
    scale = feature_scale(colors)
    for sign in (1, -1):
        _draw_side(ax, weights, sign, scale)
    ax.axhline(0, color="0.3", linewidth=0.6)
    ax.set(xlim=(-0.7, len(weights) - 0.3), xticks=[])
    ax.tick_params(labelsize=7)
    _draw_marks(ax, neuron_sizes(W, V) > LIVE, top_shares(W) >= MONOSEMANTIC)


def _draw_marks(ax: Axes, live: NDArray[np.bool_], single: NDArray[np.bool_]) -> None:
    """Draw the marks in a strip that is added below."""
    marks = np.where(live, np.where(single, BLUE, ORANGE), _DEAD)
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.12 * (high - low), high)
    ax.scatter(np.arange(len(marks)), np.full(len(marks), 0.05), c=list(marks), marker="s",
               s=min(18, 400 / len(marks)), transform=ax.get_xaxis_transform())  # fmt: skip


def _draw_side(ax: Axes, weights: Floats, sign: int, scale: ScalarMappable) -> None:
    """Draw the weights of one sign, the greatest next to the axis."""
    side = np.where(sign * weights > _HIDDEN_BELOW * abs(weights).max(), abs(weights), 0.0)
    order = np.argsort(-side, axis=1, kind="stable")
    bottom = np.zeros(len(side))
    for feature in order.T[: int((side > 0).sum(axis=1).max())]:
        heights = side[np.arange(len(side)), feature]
        drawn = heights > 0
        colors = scale.to_rgba(np.minimum(feature, scale.norm.vmax or 0)[drawn])
        ax.bar(np.flatnonzero(drawn), sign * heights[drawn], 0.85, bottom=sign * bottom[drawn],
               color=list(colors), edgecolor="white", linewidth=0.2)  # fmt: skip
        bottom += heights
