"""Roe's diagrams of two features in one dimension: figures 10, 12 and 13, and how models start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import sympy
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ....features import CoActive, FeatureDistribution, Independent
from ....numerics import Normal, resolve_protocol
from ....theory import candidates, phase_boundary, r, s, triple_points
from ...comparison.attribution_figure import CLASS_COLORS, draw_classes
from ...comparison.maps import optimum_maps, theory_map, trained_maps
from ...phases import phase_names
from ...readings import CLASSES, FIRST_ONLY, LAST_ONLY, NOT_ONE, class_of_phase
from ...sweeps.configuration import PhaseDiagramConfiguration
from ...sweeps.run import phase_diagram
from ..captions import sentence
from ..drawing import BLUE, VERMILION, panels
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement

__all__ = ["EXPERIMENTS"]

Codes = NDArray[np.int8]

_STARTS: Final = 24
_RESAMPLES: Final = 1000
_PLANE: Final = ("density", "importance")
_OPPOSED: Final = ("superpose both", "partial superposition")

_DATA: Final[Mapping[str, tuple[FeatureDistribution, str]]] = {
    "described": (Independent(), ""),
    "code": (CoActive(), "-code"),
}
"""The data that the text describes and those that the code draws, with the protocol's suffix."""


@dataclass(frozen=True)
class _Grid:
    """The replication's grid: evenly spaced, without r = 0, where nothing is asked of a feature."""

    densities: int = 1000
    lowest_density: float = 0.001
    importances: int = 99
    lowest_importance: float = 0.1
    highest_importance: float = 9.9

    @property
    def density(self) -> NDArray[np.float64]:
        return np.linspace(self.lowest_density, 1, self.densities)

    @property
    def importance(self) -> NDArray[np.float64]:
        return np.linspace(self.lowest_importance, self.highest_importance, self.importances)


@dataclass(frozen=True)
class _Settings:
    grid: _Grid = _Grid()
    protocol: str = "roe2023"
    changes: str = ""
    replicas: int = 10
    activation: str = "relu"


_COARSE: Final = _Grid(20, 0.05, 20, 0.25, 9.75)
_TINY: Final = _Grid(3, 0.2, 3, 0.2, 6.2)
_LINEAR: Final = _Settings(protocol="roe2023-linear", replicas=1, activation="linear")


def _configuration(settings: _Settings, seed: int, data: str) -> PhaseDiagramConfiguration:
    features, suffix = _DATA[data]
    return PhaseDiagramConfiguration.validated(
        2, 1, density=settings.grid.density, importance=settings.grid.importance,
        replicas=settings.replicas, starts=_STARTS, seed=seed, penalty=0.0,
        protocol=settings.protocol + suffix + settings.changes, activation=settings.activation,
        features=features,
    )  # fmt: skip


def _plane(settings: _Settings) -> dict[str, NDArray[np.float64]]:
    return {"density": settings.grid.density, "importance": settings.grid.importance}


def _compute_theory(settings: _Settings, run: Run) -> xr.Dataset:
    configuration = _configuration(settings, run.seed, "described")
    phase, _ = optimum_maps(configuration)
    return xr.Dataset(
        {
            "theory": (_PLANE, theory_map(configuration)),
            "optimum": (_PLANE, class_of_phase(phase)),
            "relative_error": ("equation", np.array([_error_of(name) for name in _EQUATIONS])),
            "meeting_points": len(triple_points(candidates(2, 1))),
        },
        coords={**_plane(settings), "equation": ["(2)", "(3)", "(4)"]},
        attrs={"seed": run.seed, "boundary": str(_boundary())},
    )


_EQUATIONS: Final = {
    # As printed: the weights, and the loss that is claimed for them.
    "ignore last": s / 3 - s**2 / 4,
    "ignore first": r * (s / 3 - s**2 / 4),
    "superpose both": (1 + r) * s**2 / 6,
}


def _boundary() -> sympy.Expr:
    named = {candidate.name: candidate for candidate in candidates(2, 1)}
    (solution,) = phase_boundary(named["ignore last"], named["superpose both"])
    return solution


def _error_of(name: str) -> float:
    """Return how far a printed loss is from the derived one at s = r = 1/2, relative."""
    derived = next(each for each in candidates(2, 1) if each.name == name).loss()
    difference = sympy.simplify((_EQUATIONS[name] - derived) / derived)
    return abs(float(difference.subs({s: sympy.Rational(1, 2), r: sympy.Rational(1, 2)})))


def _measure_theory(data: xr.Dataset) -> Mapping[str, Measured]:
    return {
        "relative_error_of_equation": {
            str(equation): Measurement.exact(float(data.relative_error.sel(equation=equation)))
            for equation in data.equation.values
        },
        "meeting_points": Measurement.exact(float(data.meeting_points)),
        "agreement_with_optimum": Measurement.exact(float((data.theory == data.optimum).mean())),
    }


def _draw_theory(data: xr.Dataset) -> Figure:
    figure, axes = panels(1, 2, width=4, height=3.4)
    titles = ("closed forms (figure 10)", "exact optimum")
    for ax, name, title in zip(axes[0], ("theory", "optimum"), titles, strict=True):
        draw_classes(ax, data, data[name].values, title)
    axes[0, 1].set_ylabel("")
    _class_legend(figure)
    return figure


def _caption_theory(data: xr.Dataset) -> str:
    return (
        f"Two ReLU features in one dimension: which features the best weights represent, by the "
        f"closed forms of three configurations and by the exact optimum, at {data.density.size} "
        f"densities s = P(x_i ≠ 0) by {data.importance.size} relative importances r. Nothing is "
        f"trained; search with seed {data.attrs['seed']}."
    )


def _compute_trained(settings: _Settings, run: Run) -> xr.Dataset:
    maps: dict[str, list[Codes]] = {
        name: [] for name in ("theory", "opposed", "optimum", "picture", "phases")
    }
    for data in _DATA:
        configuration = _configuration(settings, run.seed, data)
        phase, classes = optimum_maps(configuration)
        opposed = np.isin(phase, [phase_names(2, 1).index(name) for name in _OPPOSED])
        read = trained_maps(configuration, "sampled", run.checkpoint(data), progress=run.progress)
        maps["theory"].append(theory_map(configuration))
        maps["opposed"].append(opposed.astype(np.int8))
        maps["optimum"].append(classes)
        maps["picture"].append(read["roe2023"])
        maps["phases"].append(read["majority"])
    return xr.Dataset(
        {name: (("data", *_PLANE), np.stack(each)) for name, each in maps.items()},
        coords={**_plane(settings), "data": list(_DATA)},
        attrs={
            "protocol": settings.protocol + settings.changes, "seed": run.seed,
            "replicas": settings.replicas, "activation": settings.activation,
        },
    )  # fmt: skip


def _shares(data: xr.Dataset, where: xr.DataArray, holds: xr.DataArray) -> dict[str, Measurement]:
    """Return the share of points of a region with a property, for each of the data.

    Every point has models of its own.
    """
    where = where.broadcast_like(holds)
    found = {}
    for name in _DATA:
        chosen = holds.sel(data=name).values[where.sel(data=name).values]
        found[name] = (
            Measurement.share_of(chosen, seeds=int(data.attrs["replicas"]))
            if chosen.size
            else Measurement.unknown()
        )
    return found


def _measure_relu(data: xr.Dataset) -> Mapping[str, Measured]:
    r_, s_ = data.importance, data.density
    regions = {
        "first_only_where_expected": ((s_ >= 0.8) & (r_ <= 0.3), FIRST_ONLY),
        "last_only_where_expected": ((s_ >= 0.8) & (r_ >= 5), LAST_ONLY),
        "not_one_where_expected": ((s_ <= 0.2) & (r_ >= 0.3) & (r_ <= 3), NOT_ONE),
    }
    found: dict[str, Measured] = {
        quantity: _shares(data, where, data.picture == code)
        for quantity, (where, code) in regions.items()
    }
    return {
        **found,
        # The white points are taken as they are found.
        "opposed_in_white": _shares(data, data.picture == NOT_ONE, data.opposed == 1),
        "disagreement_due_to_thresholds": {name: _removed(data, name) for name in _DATA},
        "picture_agrees_with_optimum": _agreement(data),
    }


def _removed(data: xr.Dataset, name: str) -> Measurement:
    """Return the part of the disagreement with the theory that the loose reading removes.

    The theory is that of independent features, whatever the models were trained on. Interval:
    percentiles of points drawn anew with their models.
    """
    theory, here = data.theory.sel(data="described"), data.sel(data=name)
    strict, loose = (np.ravel(theory != read) for read in (here.picture, here.phases))
    kinds = np.bincount(2 * strict + loose, minlength=4)
    again = np.random.default_rng(0).multinomial(kinds.sum(), kinds / kinds.sum(), size=_RESAMPLES)

    def removed(counts: Any) -> Any:
        _, only_loose, only_strict, both = np.moveaxis(counts, -1, 0)
        before, after = only_strict + both, only_loose + both
        # No disagreement has no part that could be removed.
        return np.where(before > 0, (before - after) / np.maximum(before, 1), 0.0)

    return Measurement.redrawn(removed(kinds), removed(again), int(data.attrs["replicas"]))


def _agreement(data: xr.Dataset) -> dict[str, Measurement]:
    return _shares(data, xr.ones_like(data.picture, dtype=bool), data.picture == data.optimum)


def _measure_linear(data: xr.Dataset) -> Mapping[str, Measured]:
    # Where r = 1 the optimum is a circle of equally good weights, and says nothing.
    elsewhere = abs(data.importance - 1) > 1e-9
    alone = (data.optimum != NOT_ONE).where(elsewhere).mean(_PLANE)
    return {
        "one_feature_optimum": {
            name: Measurement.exact(float(alone.sel(data=name))) for name in _DATA
        },
        "not_one_trained": _shares(data, elsewhere, data.picture == NOT_ONE),
        "picture_agrees_with_optimum": _agreement(data),
    }


def _draw_trained(data: xr.Dataset) -> Figure:
    figure, axes = panels(2, 3, width=3.5, height=3.2)
    columns = {"theory": "closed forms", "optimum": "exact optimum", "picture": "trained"}
    rows = {"described": "independent features", "code": "features on together"}
    for row, (name, words) in enumerate(rows.items()):
        for column, (variable, title) in enumerate(columns.items()):
            ax = axes[row, column]
            draw_classes(ax, data, data[variable].sel(data=name).values, f"{title}, {words}")
            if column:
                ax.set_ylabel("")
            if not row:
                ax.set_xlabel("")
    _class_legend(figure)
    return figure


def _class_legend(figure: Figure) -> None:
    handles = [
        Patch(facecolor=color, edgecolor="black", linewidth=0.5, label=name)
        for name, color in zip(CLASSES, CLASS_COLORS, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def _caption_trained(data: xr.Dataset) -> str:
    described = sentence(
        data.expand_dims(replica=int(data.attrs["replicas"])),
        f"Two features in one dimension, {data.attrs['activation']} models, at "
        f"{data.density.size} densities s = P(x_i ≠ 0) by {data.importance.size} relative "
        f"importances r. A point has the class that more than half of its models share: one weight "
        f"above 0.8 in size and the other below 0.2. Top: the data that the text describes; bottom: "
        f"the data that the code draws, in which both features are on together, with one mask for "
        f"a whole batch.",
    )
    return described


@dataclass(frozen=True)
class _StartSettings:
    densities: int = 24
    importances: int = 16
    replicas: int = 20
    protocol: str = "roe2023"


def _compute_starts(settings: _StartSettings, run: Run) -> xr.Dataset:
    wide = resolve_protocol(settings.protocol)
    unit = replace(
        wide, name=f"{wide.name} from N(0, 1)", weight_init=Normal(1.0), bias_init=Normal(1.0)
    )
    density = np.geomspace(0.02, 1, settings.densities)
    importance = np.geomspace(0.11, 9.1, settings.importances)
    diagrams = [
        phase_diagram(
            density=density, importance=importance, replicas=settings.replicas, seed=run.seed, protocol=protocol, starts=32,
            progress=run.progress,
        )
        for protocol in (wide, unit)
    ]  # fmt: skip
    stuck = np.stack([np.asarray(each["stuck"], dtype=np.int8) for each in diagrams])
    return xr.Dataset(
        {"stuck": (("start", *_PLANE, "replica"), stuck)},
        coords={"density": density, "importance": importance, "start": ["wide", "unit"]},
        attrs={"protocol": wide.name, "seed": run.seed},
    )


def _measure_starts(data: xr.Dataset) -> Mapping[str, Measured]:
    shares = (data.stuck == 1).mean(list(_PLANE))
    difference = (shares.sel(start="wide") - shares.sel(start="unit")).values
    return {"more_stuck_than_unit_starts": Measurement.mean(difference)}


def _draw_starts(data: xr.Dataset) -> Figure:
    figure, axes = panels(1, 1, width=5, height=3.4)
    ax: Axes = axes[0, 0]
    shares = (data.stuck == 1).mean(["importance", "replica"])
    labels = {"wide": "N(0, 1.5²), N(0, 0.5²)", "unit": "N(0, 1), N(0, 1)"}
    for name, color, line in (("wide", BLUE, "-"), ("unit", VERMILION, "--")):
        ax.plot(data.density, shares.sel(start=name), line, color=color, label=labels[name])
    ax.set(
        xscale="log", ylim=(0, 1), xlabel="feature density $s = P(x_i \\neq 0)$",
        ylabel="share of models in a minimum\nother than the best",
    )  # fmt: skip
    ax.legend(title="start of weights, biases")
    return figure


def _caption_starts(data: xr.Dataset) -> str:
    return sentence(
        data,
        f"Two ReLU features in one dimension, mean over {data.importance.size} relative importances "
        f"from {float(data.importance[0]):.2g} to {float(data.importance[-1]):.2g}, independent "
        f"features.",
    )


EXPERIMENTS: Final = (
    Experiment(
        name="roe-10",
        title="The theoretical diagram of two features in one dimension (figures 8 to 10)",
        source="Roe's replication, section 4.2",
        tiny=_Settings(grid=_TINY),
        quick=_Settings(grid=_Grid(100, 0.01, 99)),
        full=_Settings(),
        compute=_compute_theory,
        measure=_measure_theory,
        draw=_draw_theory,
        caption=_caption_theory,
    ),
    Experiment(
        name="roe-12",
        title="A million trained ReLU models (figures 9 and 12)",
        source="Roe's replication, section 4.3",
        tiny=_Settings(grid=_TINY, changes=",steps=50", replicas=2),
        quick=_Settings(grid=_COARSE, replicas=10),
        full=_Settings(),
        compute=_compute_trained,
        measure=_measure_relu,
        draw=_draw_trained,
        caption=_caption_trained,
    ),
    Experiment(
        name="roe-13",
        title="A hundred thousand trained linear models (figures 9 and 13)",
        source="Roe's replication, section 4.4",
        tiny=replace(_LINEAR, grid=_TINY, changes=",steps=50"),
        quick=replace(_LINEAR, grid=_Grid(40, 0.025, 40, 0.25, 9.75)),
        full=_LINEAR,
        compute=_compute_trained,
        measure=_measure_linear,
        draw=_draw_trained,
        caption=_caption_trained,
    ),
    Experiment(
        name="roe-starts",
        title="Whether wide starts avoid local minima",
        source="Roe's replication, section 4.3",
        tiny=_StartSettings(2, 2, 2, "roe2023,steps=50"),
        quick=_StartSettings(8, 6, 20),
        full=_StartSettings(),
        compute=_compute_starts,
        measure=_measure_starts,
        draw=_draw_starts,
        caption=_caption_starts,
    ),
)
