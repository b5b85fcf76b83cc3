"""The models of Roe's replication, by its recipes: figures 2, 4, 5 and 6.

Its text gives optimizer, rate, steps and batch for figures 4 to 6. Taken from elsewhere: importances
0.7^i (0.9^i of five features) and the start (Xavier, b = 0) are those of the experiment that it
replicates, and figure 2 is trained as its dense models are. Its code draws one mask for a whole
batch; here models are trained both ways. At density 1 there is nothing to mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..captions import listed
from ..columns import SUPERPOSED, constant_loss, describe_columns, misplaced
from ..drawing import draw_columns, panels
from ..experiment import Experiment, Run
from ..gallery import ShownModel, draw_models
from ..measurement import Measured, Measurement
from ..models import (
    REPRESENTED,
    best_replica,
    by_density,
    exact_optima,
    represented,
    train_along_density,
)

__all__ = ["EXPERIMENTS"]

_BASE: Final = "roe2023,weight_init=xavier,bias_init=zero"
_DENSE: Final = f"{_BASE},learning_rate=0.001,steps=20000,batch_size=256"
_RMSPROP: Final = f"{_BASE},optimizer=rmsprop,steps=50000,batch_size=256"
_ADAM: Final = f"{_BASE},steps=100000,batch_size=256"
_TINY: Final = ",steps=20,batch_size=32"

_MASKS: Final = ("example", "batch")
_EXPECTED: Final = {1.0: 2, 0.2: 4, 0.1: 5}
"""Features of five that the source finds represented, by density."""

Floats = NDArray[np.float64]


_SHOWN: Final = {
    2: "Columns of W, dark is important, and those of the exact optimum, turned and flipped alike.",
    5: "WᵀW and b; below ‖W_i‖, colored by interference Σ_{j≠i} (Ŵ_i·W_j)².",
}


@dataclass(frozen=True)
class _Model:
    density: float
    protocol: str
    activation: str = "relu"

    @property
    def title(self) -> str:
        return f"{'ReLU' if self.activation == 'relu' else 'linear'}, s = {self.density:g}"


@dataclass(frozen=True)
class _Settings:
    models: tuple[_Model, ...]
    masks: tuple[str, ...]
    replicas: int
    recipe: str
    n_features: int = 20
    n_hidden: int = 5
    decay: float = 0.7
    shortened: str = ""
    starts: int = 64


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    parts = [
        xr.concat(
            [_trained(settings, run, model, mask) for model in settings.models],
            xr.Variable("model", [model.title for model in settings.models]), data_vars="all",
        )
        for mask in settings.masks
    ]  # fmt: skip
    data = xr.concat(parts, xr.Variable("mask", list(settings.masks)), data_vars="all")
    importance = settings.decay ** np.arange(settings.n_features)
    density = np.array([model.density for model in settings.models])
    data["importance"] = ("feature", importance)
    data["density"] = ("model", density)
    data["top_loss"] = ("model", constant_loss(density, importance[settings.n_hidden :]))
    return data.assign_attrs(recipe=settings.recipe, seed=run.seed)


def _trained(settings: _Settings, run: Run, model: _Model, mask: str) -> xr.Dataset:
    """Train the replicas of one model; the best is kept whole."""
    models = train_along_density(
        run, f"{mask}-{model.activation}-{model.density:g}", settings.n_features,
        settings.n_hidden, density=[model.density],
        importance=settings.decay ** np.arange(settings.n_features),
        protocol=f"{model.protocol},mask={mask}{settings.shortened}", replicas=settings.replicas,
        activation=model.activation,
    ).isel(density=0, drop=True)  # fmt: skip
    best = best_replica(models)
    shown = {"best_W": best.W.astype(np.float32), "best_b": best.b.astype(np.float32)}
    return models.drop_vars(["W", "b", "importance"]).merge(describe_columns(models)).assign(shown)


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    best = data.isel(replica=data.trained_loss.fillna(np.inf).argmin("replica"))
    is_represented = best.norm > REPRESENTED
    shared = is_represented & (best.squared_cosines > SUPERPOSED)
    replicas = data.sizes["replica"]
    found: dict[str, Measured] = {
        "misplaced": _each(misplaced(best.norm, data.sizes["hidden"]), replicas),
        "represented": _each(is_represented.sum("feature"), replicas),
        "superposed": _each(shared.sum("feature"), replicas),
        "orthogonal": _each((is_represented & ~shared).sum("feature"), replicas),
        "gain": _each(1 - best.trained_loss.fillna(np.inf) / data.top_loss, replicas),
    }
    if set(_MASKS) <= set(data.mask.values):
        found["mask_ratio"] = _mask_ratio(data)
    return found


def _mask_ratio(data: xr.Dataset) -> dict[str, Measurement]:
    """Compare replicas that start alike."""
    ratio = data.trained_loss.sel(mask="batch") / data.trained_loss.sel(mask="example")
    return {str(name): Measurement.median(ratio.sel(model=name)) for name in data.model.values}


def _each(values: xr.DataArray, seeds: int) -> dict[str, Measurement]:
    several = values.sizes["mask"] > 1
    return {
        f"{name}, mask by {mask}" if several else str(name): Measurement.exact(
            float(values.sel(mask=mask, model=name)), seeds
        )
        for mask in values.mask.values
        for name in values.model.values
    }


def _draw(data: xr.Dataset) -> Figure:
    rows = data.sizes["mask"]
    figure = Figure(figsize=(1.2 + 2.0 * data.sizes["model"], 4.1 * rows), layout="constrained")
    for part, mask in zip(figure.subfigures(rows, 1, squeeze=False)[:, 0], data.mask, strict=True):
        draw_models(part, _shown(data.sel(mask=mask)), f"mask by {mask.item()}" if rows > 1 else "")
    return figure


def _shown(data: xr.Dataset) -> list[ShownModel]:
    return [
        ShownModel(
            str(name), data.best_W.sel(model=name).values, data.best_b.sel(model=name).values
        )
        for name in data.model.values
    ]


def _caption(data: xr.Dataset) -> str:
    n, m, replicas = data.sizes["feature"], data.sizes["hidden"], data.sizes["replica"]
    return (
        f"Best of {replicas} models of n = {n} features in m = {m} dimensions at densities "
        f"s = P(x_i ≠ 0) of {listed(np.unique(data.density.values)[::-1])}; importances fall by a "
        f"factor of {data.importance.values[1]:g}. {_SHOWN[m]} {data.attrs['recipe']}"
        f"{_mask_words(data)} Starts are Xavier's with b = 0. Seed {data.attrs['seed']}."
    )


def _mask_words(data: xr.Dataset) -> str:
    if data.sizes["mask"] == 1:
        return ""
    return " Masks are drawn for each example, as the text has it, and for a batch, as the code."


def _compute_two(settings: _Settings, run: Run) -> xr.Dataset:
    """Five in two dimensions: all replicas are kept, and the optima beside them."""
    importance = settings.decay ** np.arange(settings.n_features)
    density = [model.density for model in settings.models]
    parts = [
        train_along_density(
            run, mask, settings.n_features, settings.n_hidden, density=density,
            importance=importance, replicas=settings.replicas,
            protocol=f"{settings.models[0].protocol},mask={mask}{settings.shortened}",
        ).drop_vars("importance")
        for mask in settings.masks
    ]  # fmt: skip
    data = xr.concat(parts, xr.Variable("mask", list(settings.masks)), data_vars="all",
                     combine_attrs="drop")  # fmt: skip
    optima = exact_optima(
        settings.n_features, settings.n_hidden, density=density, importance=importance,
        starts=settings.starts, seed=run.seed,
    )  # fmt: skip
    found = xr.merge([data, optima]).assign(importance=("feature", importance))
    return found.assign_attrs(recipe=settings.recipe, seed=run.seed)


def _measure_two(data: xr.Dataset) -> Mapping[str, Measured]:
    replicas = data.sizes["replica"]
    expected = xr.DataArray(
        [_EXPECTED[s] for s in data.density.values], coords={"density": data.density}
    )
    counts = represented(data.W)
    best = counts.isel(replica=data.trained_loss.fillna(np.inf).argmin("replica"))
    off = abs(represented(data.optimum_W) - expected)
    by_best, share = {}, {}
    for mask in data.mask.values:
        for s in data.density.values:
            here, name = {"mask": mask, "density": s}, f"s = {s:g}, mask by {mask}"
            wrong = abs(best.sel(here) - expected.sel(density=s))
            by_best[name] = Measurement.exact(float(wrong), replicas)
            share[name] = Measurement.share_of(counts.sel(here) == expected.sel(density=s))
    return {
        "off_by_best": by_best,
        "share_of_models": share,
        "off_by_optimum": by_density(off, Measurement.exact),
    }


def _draw_two(data: xr.Dataset) -> Figure:
    rows = [(f"mask by {mask}", best_replica(data.sel(mask=mask)).W) for mask in data.mask.values]
    rows.append(("exact optimum", data.optimum_W))
    figure, axes = panels(len(rows), data.sizes["density"])
    for line, (name, W) in zip(axes, rows, strict=True):
        for ax, s in zip(line, data.density.values, strict=True):
            draw_columns(ax, W.sel(density=s).values, data.importance.values)
        line[0].set_ylabel(name)
    for ax, s in zip(axes[0], data.density.values, strict=True):
        ax.set_title(f"density $s$ = {s:g}")
    return figure


def _experiment(
    name: str,
    title: str,
    recipe: str,
    models: tuple[_Model, ...],
    *,
    masks: tuple[str, ...] = _MASKS,
) -> Experiment[_Settings]:
    return Experiment(
        name=name,
        title=title,
        source=f"Roe's replication, figure {name.removeprefix('roe-')}",
        tiny=_Settings(models, masks, 2, recipe, shortened=_TINY),
        quick=_Settings(models, masks, 6, recipe),
        full=_Settings(models, masks, 20, recipe),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    )


def _five_in_two() -> Experiment[_Settings]:
    models = tuple(_Model(s, _DENSE) for s in _EXPECTED)
    recipe = "Adam at a rate of 0.001, 20000 batches of 256, as for the source's dense models."

    def settings(replicas: int, shortened: str = "", starts: int = 64) -> _Settings:
        return _Settings(models, _MASKS, replicas, recipe, 5, 2, 0.9, shortened, starts)

    return Experiment(
        name="roe-2",
        title="Five features in two dimensions, by a recipe of Roe",
        source="Roe's replication, figures 1 and 2",
        tiny=settings(2, _TINY, 2),
        quick=settings(20),
        full=settings(100),
        compute=_compute_two,
        measure=_measure_two,
        draw=_draw_two,
        caption=_caption,
    )


EXPERIMENTS: Final = (
    _five_in_two(),
    _experiment(
        "roe-4",
        "20 features in 5 dimensions, dense, linear and ReLU",
        "Adam at a rate of 0.001, 20000 batches of 256.",
        (_Model(1.0, _DENSE, "linear"), _Model(1.0, _DENSE)),
        masks=("example",),
    ),
    _experiment(
        "roe-5",
        "20 features in 5 dimensions, 70 to 97 % sparse",
        "RMSProp at a rate of 0.01, 50000 batches of 256; Adam, 100000 at s = 0.03.",
        (_Model(0.3, _RMSPROP), _Model(0.1, _RMSPROP), _Model(0.03, _ADAM)),
    ),
    _experiment(
        "roe-6",
        "20 features in 5 dimensions, 99 to 99.9 % sparse",
        "Adam at a rate of 0.01, 100000 batches of 256.",
        (_Model(0.01, _ADAM), _Model(0.003, _ADAM), _Model(0.001, _ADAM)),
    ),
)
