"""The loss curve of Roe's one-neuron ReLU models, beside exact losses and what they could be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ....features import CoActive, FeatureDistribution, Independent
from ....numerics import TrainingResult, descend, population_loss, random_starts, resolve_protocol
from ..drawing import BLUE, GREEN, ORANGE, VERMILION, panels
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement

__all__ = ["EXPERIMENTS"]

_N, _M = 2, 1
_DATA: Final[Mapping[str, tuple[str, FeatureDistribution]]] = {
    "text": ("roe2023", Independent()),
    "code": ("roe2023-code", CoActive()),
}
"""Protocol and features, as the text describes them and as the code draws them."""

_TITLES: Final = {"text": "features as the text has them", "code": "features as the code has them"}

_RESAMPLES: Final = 2000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Settings:
    densities: int
    importances: int
    starts: int = 16
    records: int = 60
    shortened: str = ""

    def grid(self) -> tuple[Floats, Floats]:
        """Return densities and importances, midpoints of equal parts of the source's ranges."""
        density = (np.arange(self.densities) + 0.5) / self.densities
        return density, 9.9 * (np.arange(self.importances) + 0.5) / self.importances


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    parts = [_curves(settings, run, name) for name in _DATA]
    data = xr.concat(parts, xr.Variable("data", list(_DATA)), data_vars="all")
    density, importance = settings.grid()
    coordinates = {"density": density, "relative_importance": importance}
    return data.assign_coords(coordinates).assign_attrs(seed=run.seed)


def _curves(settings: _Settings, run: Run, name: str) -> xr.Dataset:
    protocol, features = _DATA[name]
    protocol += settings.shortened
    steps = resolve_protocol(protocol).steps
    model = _models(settings, features)
    shown = np.unique(np.linspace(0, steps, settings.records + 1).astype(int))
    half = steps // 2
    result = run.train(
        name, _N, _M, protocol=protocol, record_every=max(1, steps // settings.records),
        record_weights=np.union1d(shown, [half]),
        **{**model, "density": model["density"][..., np.newaxis]},  # the same for both features
    )  # fmt: skip
    exact = _exact_history(result, model)
    at = result.weight_steps.tolist().index
    final = exact[..., -1]
    descended = _descended(result.W, result.b, model)[:, :, 0]
    optimum = np.minimum(_least(settings, run.seed, model), descended)
    by_point = {
        "half": exact[..., at(half)],
        "final": final,
        "descended": descended,
        "optimum": optimum,
    }
    by_step = {
        "exact": (result.weight_steps, exact),
        "sampled": (result.recorded_steps, result.loss_history[:, :, 0]),
    }
    found = xr.Dataset()
    for key, values in by_point.items():
        found[key] = (("density", "relative_importance"), values.astype(np.float32))
    for key, (recorded, losses) in by_step.items():
        found[key] = (f"{key}_step", losses.mean(axis=(0, 1)))
        found = found.assign_coords({f"{key}_step": recorded})
    return found


def _models(settings: _Settings, features: FeatureDistribution) -> dict[str, Any]:
    density, importance = settings.grid()
    weights = np.stack([np.ones_like(importance), importance], axis=-1)
    return {
        "density": np.broadcast_to(density[:, np.newaxis], (len(density), len(importance))),
        "importance": weights,
        "features": features,
    }


def _with_replicas(model: dict[str, Any]) -> dict[str, Any]:
    """Return the grid with one more axis, for several models at each point."""
    return {
        **model,
        "density": model["density"][..., np.newaxis],
        "importance": model["importance"][..., np.newaxis, :],
    }


def _exact_history(result: TrainingResult, model: dict[str, Any]) -> Floats:
    """Return exact losses of shape (density, importance, recorded)."""
    W, b = result.W_history[:, :, 0], result.b_history[:, :, 0]
    return np.asarray(population_loss(W, b, **_with_replicas(model)))


def _descended(W: Floats, b: Floats, model: dict[str, Any]) -> Floats:
    return np.asarray(descend(W, b, **_with_replicas(model)).loss)


def _least(settings: _Settings, seed: int, model: dict[str, Any]) -> Floats:
    """Return the least loss that descents from random starts find at every point of the grid."""
    W, b = random_starts(_N, _M, settings.starts, seed)
    shape = model["density"].shape
    starts = np.broadcast_to(W, (*shape, *W.shape)), np.broadcast_to(b, (*shape, *b.shape))
    return np.asarray(_descended(*starts, model).min(axis=-1))


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    found: dict[str, dict[str, Measurement]] = {
        "late_fall": {}, "share_of_local_minima": {}, "excess": {},
    }  # fmt: skip
    for name in data.data.values:
        here = data[["half", "final", "descended", "optimum"]].sel(data=name).astype(np.float64)
        excess = here.final - here.optimum
        for quantity, part, whole in (
            ("late_fall", here.half - here.final, here.half),
            ("share_of_local_minima", here.descended - here.optimum, excess),
            ("excess", excess, here.optimum),
        ):
            found[quantity][str(name)] = _ratio(part.values.ravel(), whole.values.ravel())
    return found


def _ratio(part: Floats, whole: Floats) -> Measurement:
    """Return the mean of `part` over that of `whole`, with an interval from resampled models."""
    rng = np.random.default_rng(0)
    if not whole.any():
        return Measurement.unknown()
    drawn = rng.integers(len(part), size=(_RESAMPLES, len(part)))
    values = part[drawn].mean(axis=1) / whole[drawn].mean(axis=1)
    return Measurement.redrawn(part.mean() / whole.mean(), values, len(part))


def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(1, data.sizes["data"], width=4.6, height=3.6)
    for ax, name in zip(axes[0], data.data.values, strict=True):
        _draw_curve(ax, data.sel(data=name))
        ax.set_title(_TITLES[str(name)])
    axes[0, 0].set_ylabel("loss, mean over models")
    axes[0, 0].legend(fontsize=8)
    return figure


def _draw_curve(ax: Axes, data: xr.Dataset) -> None:
    ax.plot(
        data.sampled_step, data.sampled, color=ORANGE, linewidth=1, label="sampled, as recorded"
    )
    ax.plot(data.exact_step, data.exact, color=BLUE, linewidth=2, label="exact")
    ax.axhline(float(data.descended.mean()), color=VERMILION, linestyle="--",
               label="exact, descended from the end")  # fmt: skip
    ax.axhline(float(data.optimum.mean()), color=GREEN, linestyle=":", linewidth=2,
               label="exact optimum")  # fmt: skip
    ax.set(yscale="log", xlabel="step")


def _caption(data: xr.Dataset) -> str:
    counts = data.sizes["density"], data.sizes["relative_importance"]
    return (
        f"Mean loss of {counts[0] * counts[1]} ReLU models of n = 2 features in m = 1 dimension, one "
        f"for each of {counts[0]} densities s = P(x_i ≠ 0) in (0, 1) and {counts[1]} importances "
        f"(1, r) with r in (0, 9.9), on batches of 64 and exactly; then what descent without noise "
        f"reaches from the trained weights, and the least that any start reaches. Trained by "
        f"roe2023 on independent features, and by roe2023-code on features that are on together, "
        f"one mask for a batch. Seed {data.attrs['seed']}."
    )


EXPERIMENTS: Final = (
    Experiment(
        name="roe-11",
        title="Loss curve of one-neuron ReLU models",
        source="Roe's replication, figure 11",
        tiny=_Settings(2, 2, 4, 4, ",steps=20,batch_size=8"),
        quick=_Settings(20, 20),
        full=_Settings(100, 50, starts=32),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)
