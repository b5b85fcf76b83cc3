"""Superposition of exact optima: what trained models of many features cannot be held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ..captions import listed
from ..columns import constant_loss, describe_columns, misplaced
from ..drawing import DENSITY_AXIS, VERMILION
from ..experiment import Experiment, Run
from ..gallery import ShownModel, draw_models
from ..measurement import Measured, Measurement
from ..models import by_density, exact_optima
from ..onset import draw_counts, exact_value, superposition

__all__ = ["EXPERIMENTS"]

_N, _M = 6, 2
_SPARSE: Final = 0.3  # and below: where trained models are looked at as sparse


@dataclass(frozen=True)
class _Settings:
    density: tuple[float, ...] = (1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.03, 0.01, 0.003, 0.001)
    decay: float = 0.7
    starts: int = 64


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    importance = settings.decay ** np.arange(_N)
    found = exact_optima(
        _N, _M, density=settings.density, importance=importance, starts=settings.starts,
        seed=run.seed,
    )  # fmt: skip
    models = found.rename(optimum_W="W", optimum_b="b").expand_dims("replica")
    top = constant_loss(settings.density, importance[_M:])
    return (
        models.merge(describe_columns(models), overwrite_vars="b")
        .assign(importance=("feature", importance), top_loss=("density", top))
        .assign_attrs(seed=run.seed, starts=settings.starts, decay=settings.decay)
    )


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    gain = (1 - data.optimum_loss / data.top_loss).squeeze("replica")
    wrong = misplaced(data.norm, _M).squeeze("replica")
    dense = {"density": [1.0]}
    return {
        **superposition(data, exact_value),
        "relu_dense_misplaced": by_density(wrong.sel(dense), Measurement.exact),
        "relu_dense_gain": by_density(gain.sel(dense), Measurement.exact),
        "relu_gain": by_density(gain.where(gain.density <= _SPARSE, drop=True), Measurement.exact),
    }


def _draw(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(14, 5.6), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[1.7, 1], squeeze=False)[:, 0]
    one = data.isel(replica=0)
    draw_models(
        upper,
        [
            ShownModel(f"$s$ = {s:g}", one.W.sel(density=s).values, one.b.sel(density=s).values)
            for s in data.density.values
        ],
    )
    left, right = lower.subplots(1, 2)
    left.plot(data.density, one.optimum_loss / data.top_loss, "-o", color=VERMILION, markersize=4)
    left.axhline(1, color="0.3", linestyle="--", linewidth=1)
    left.set(**DENSITY_AXIS, ylim=(0, 1.15), ylabel="relative exact loss")
    draw_counts(right, data)
    return figure


def _caption(data: xr.Dataset) -> str:
    return (
        f"Exact optima of ReLU models of n = {_N} features in m = {_M} dimensions at densities "
        f"s = P(x_i ≠ 0) of {listed(data.density.values)}; importances fall by a factor of "
        f"{data.attrs['decay']:g}. WᵀW and b; ‖W_i‖, colored by interference Σ_{{j≠i}} (Ŵ_i·W_j)²; "
        f"loss relative to keeping the {_M} most important features. The best of "
        f"{data.attrs['starts']} descents on the exact loss, nothing is trained; seed "
        f"{data.attrs['seed']}."
    )


EXPERIMENTS: Final = (
    Experiment(
        name="demonstrating-optimum",
        title="Demonstrating superposition by exact optima: 6 features in 2 dimensions",
        source="Elhage et al. 2022, demonstrating superposition",
        tiny=_Settings(density=(1.0, 0.01), starts=2),
        quick=_Settings(starts=24),
        full=_Settings(starts=256),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)
