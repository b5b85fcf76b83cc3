"""Rows of models as Elhage et al. 2022 show them: WᵀW with b, and norms below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from .drawing import draw_bias, draw_gram, draw_norms, interference_scale

__all__ = ["ShownModel", "draw_models"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ShownModel:
    """A model with the title above it.

    Attributes
    ----------
    title : str
    W : ndarray, shape (m, n)
    b : ndarray, shape (n,)
    """

    title: str
    W: Floats
    b: Floats


def draw_models(figure: Figure | SubFigure, models: Sequence[ShownModel], label: str = "") -> None:
    """Draw models side by side: WᵀW with b beside it, below the bars of ‖W_i‖ with interference.

    Parameters
    ----------
    figure : Figure or SubFigure
        Empty; with layout "constrained".
    models : sequence of ShownModel
    label : str
        To the left of the heat maps.
    """
    count = len(models)
    axes = figure.subplots(2, count + 1, width_ratios=[*([1] * count), 0.07], squeeze=False)
    reach = max(1.3, *(1.05 * float(np.linalg.norm(model.W, axis=0).max()) for model in models))
    for column, model in zip(axes.T, models, strict=False):
        image = draw_gram(column[0], model.W)
        draw_bias(column[0].inset_axes((1.04, 0, 0.06, 1)), model.b)
        column[0].set_title(model.title, fontsize=9)
        _draw_bars(column[1], model.W, reach)
    axes[0, 0].set_ylabel(f"{label}\n$W^T W$ and $b$" if label else "$W^T W$ and $b$", fontsize=9)
    axes[1, 0].set_ylabel("feature, by importance", fontsize=9)
    figure.colorbar(image, cax=axes[0, -1], label="entries")
    figure.colorbar(interference_scale(), cax=axes[1, -1], label="interference")


def _draw_bars(ax: Any, W: Floats, reach: float) -> None:
    draw_norms(ax, W)
    ax.set_xlim(0, reach)
    ax.set_xticks([0, 1])
    ax.set_xlabel(r"$\|W_i\|$", fontsize=9)
    ax.axvline(1, color="0.7", linewidth=0.6, zorder=0)
