"""Five features in two dimensions: orthogonal, two antipodal pairs, pentagon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ..captions import listed, sentence
from ..columns import cosine_deviation
from ..drawing import draw_columns, panels
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import best_replica, exact_optima, represented, train_along_density

__all__ = ["EXPERIMENTS"]

_N, _M = 5, 2
_EXPECTED: Final = {1.0: 2, 0.2: 4, 0.1: 5}
"""Features that the source finds represented, by density."""

_SHAPES: Final[Mapping[float, tuple[float, ...]]] = {
    1.0: (0.0,),
    0.2: (-1.0, 0.0, 0.0),
    0.1: tuple(np.cos(2 * np.pi * np.arange(1, _N) / _N)),
}
"""Cosines of a column with the others: orthogonal, two antipodal pairs, pentagon."""


@dataclass(frozen=True)
class _Settings:
    density: tuple[float, ...] = tuple(_EXPECTED)
    decay: float = 0.9
    protocol: str = "elhage2022"
    replicas: int = 100
    starts: int = 64


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    importance = settings.decay ** np.arange(_N)
    trained = train_along_density(
        run, "models", _N, _M, density=settings.density, importance=importance,
        protocol=settings.protocol, replicas=settings.replicas,
    )  # fmt: skip
    optima = exact_optima(
        _N, _M, density=settings.density, importance=importance, starts=settings.starts,
        seed=run.seed,
    )  # fmt: skip
    return xr.merge([trained, optima], combine_attrs="drop_conflicts")


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    replicas = data.sizes["replica"]
    trained, best = represented(data.W), represented(best_replica(data).W)
    optimum = represented(data.optimum_W)
    off_by_optimum, off_by_best, share_of_models = {}, {}, {}
    shape_of_optimum: dict[str, Measurement] = {}
    shape_of_best: dict[str, Measurement] = {}
    for s, expected in _EXPECTED.items():
        here, where = {"density": s}, f"s = {s:g}"
        off_by_optimum[where] = Measurement.exact(abs(int(optimum.sel(here)) - expected))
        off_by_best[where] = Measurement.exact(abs(int(best.sel(here)) - expected), replicas)
        share_of_models[where] = Measurement.share_of(trained.sel(here) == expected)
        for found, W, seeds in (
            (shape_of_optimum, data.optimum_W, 0),
            (shape_of_best, best_replica(data).W, replicas),
        ):
            columns = W.sel(here).transpose("hidden", "feature").values
            found[where] = Measurement.exact(cosine_deviation(columns, _SHAPES[s]), seeds)
    return {
        "shape_of_optimum": shape_of_optimum,
        "shape_of_best": shape_of_best,
        "off_by_optimum": off_by_optimum,
        "off_by_best": off_by_best,
        "share_of_models": share_of_models,
    }


def _draw(data: xr.Dataset) -> Figure:
    best = best_replica(data)
    figure, axes = panels(2, data.sizes["density"])
    for column, s in enumerate(data.density.values):
        for row, W in enumerate((best.W, data.optimum_W)):
            draw_columns(axes[row, column], W.sel(density=s).values, data.importance.values)
        axes[0, column].set_title(f"density $s$ = {s:g}")
    axes[0, 0].set_ylabel("best trained model")
    axes[1, 0].set_ylabel("exact optimum")
    return figure


def _caption(data: xr.Dataset) -> str:
    return sentence(
        data,
        f"Columns of W of n = {_N} features in m = {_M} dimensions at densities s = P(x_i ≠ 0) of "
        f"{listed(data.density.values)}; importances fall by a factor of "
        f"{data.importance.values[1]:g}, dark is important. The plane is turned and flipped so that "
        f"models can be compared.",
    )


EXPERIMENTS: Final = (
    Experiment(
        name="intro",
        title="Five features in two dimensions",
        source="Elhage et al. 2022, introduction",
        tiny=_Settings(protocol="elhage2022,steps=50,batch_size=64", replicas=2, starts=2),
        quick=_Settings(protocol="elhage2022", replicas=20),
        full=_Settings(),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)
