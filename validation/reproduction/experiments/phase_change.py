"""Superposition as a phase change: (2, 1) and (3, 2), by theory, exact optimum and training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ....numerics import global_minimum
from ...comparison.agreement import phases_of
from ...comparison.plots import boundaries_of, draw_boundaries, phase_colors, prepare_axes
from ...readings import READINGS, class_of_phase
from ...sweeps.configuration import settings_of
from ...sweeps.run import phase_diagram
from ..captions import sentence
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement

__all__ = ["EXPERIMENTS"]

Floats = NDArray[np.float64]

_KEPT: Final = (
    "theory_phase", "theory_loss", "candidate_loss", "optimum_phase", "optimum_loss",
    "best_trained_phase", "stuck_fraction",
)  # fmt: skip
_reading: Final = READINGS["elhage2022"]  # the worst is dropped, lengths are averaged
_HALVINGS: Final = 36
_PRESENT: Final = 0.02  # of the larger weight: the smaller one is there
_SIMPLEX: Final = "simplex"
_SOURCE: Final = "Elhage et al. 2022, superposition as a phase change"


@dataclass(frozen=True)
class _Settings:
    n_features: int = 2
    n_hidden: int = 1
    densities: int = 48
    importances: int = 48
    replicas: int = 10
    protocol: str = "elhage2022"
    starts: int = 64
    jumps_at: tuple[float, ...] = ()


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    diagram = phase_diagram(
        settings.n_features, settings.n_hidden,
        density=np.geomspace(0.01, 1, settings.densities),
        importance=np.geomspace(0.1, 10, settings.importances), replicas=settings.replicas,
        seed=run.seed, protocol=settings.protocol, starts=settings.starts,
        out=run.checkpoint("diagram"), progress=run.progress,
    )  # fmt: skip
    kept = diagram[list(_KEPT)].assign_attrs(
        protocol=settings.protocol, seed=run.seed, replicas=settings.replicas
    )
    if (settings.n_features, settings.n_hidden) == (2, 1):
        trained = ("trained_W", "trained_phase", "trained_loss")
        read = _reading(*(diagram[name].values for name in trained))
        kept["reading"] = (("density", "importance"), read)
    if settings.jumps_at:
        jumps = [_jump(r, run.seed) for r in settings.jumps_at]
        kept = kept.assign_coords(transition=np.array(settings.jumps_at))
        kept["transition_density"] = ("transition", np.array([s for s, _ in jumps]))
        kept["jump"] = ("transition", np.array([jump for _, jump in jumps]))
    return kept


def _ratio(s: float, r: float, seed: int) -> float:
    """Return the smaller weight of the exact optimum over the larger."""
    found = global_minimum(2, 1, density=s, importance=[1, r], starts=32, seed=seed)
    small, large = np.sort(np.abs(found.W[0]))
    return float(small / large)


def _jump(r: float, seed: int) -> tuple[float, float]:
    """Return the density below which the second weight is there, and its ratio right below.

    By bisection; a weight that grows from zero is just above `_PRESENT` there.
    """
    low, high = 0.02, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _ratio(middle, r, seed) > _PRESENT else (low, middle)
    return low, _ratio(low, r, seed)


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    # Every point has models of its own.
    replicas = int(data.attrs["replicas"])
    excess = (data.theory_loss - data.optimum_loss) / data.optimum_loss
    triangle = [code for code, name in enumerate(phases_of(data)) if name == _SIMPLEX]
    exact = (data.theory_phase == data.optimum_phase).mean()
    found: dict[str, Measured] = {
        "best_agrees_with_theory": Measurement.share_of(
            data.best_trained_phase == data.theory_phase, seeds=replicas
        ),
        "best_agrees_with_optimum": Measurement.share_of(
            data.best_trained_phase == data.optimum_phase, seeds=replicas
        ),
        "theory_agrees_with_optimum": Measurement.exact(float(exact)),
        "largest_excess_of_theory": Measurement.exact(float(excess.max())),
        "share_of_triangle": Measurement.exact(float(data.optimum_phase.isin(triangle).mean())),
    }
    if "reading" in data:
        theory = class_of_phase(data.theory_phase.values)
        found["reading_agrees_with_theory"] = Measurement.share_of(
            data.reading == theory, seeds=replicas
        )
    if "jump" in data:
        found["jump_of_the_smaller_weight"] = {
            f"r = {float(r):g}": Measurement.exact(float(data.jump.sel(transition=r)))
            for r in data.transition.values
        }
    return found


_MAPS: Final = {
    "theory_phase": "closed forms",
    "optimum_phase": "exact optimum",
    "best_trained_phase": "best of ten trained",
}


def _draw(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(11.5, 7.6), layout="constrained")
    top, bottom = cast(Any, figure.subfigures(2, 1, height_ratios=(1.12, 1)))
    lines = boundaries_of(settings_of(data))
    phases = phases_of(data)
    palette = phase_colors(len(phases))
    norm = BoundaryNorm(np.arange(len(phases) + 1) - 0.5, len(phases))
    shown: set[int] = set()
    axes = top.subplots(1, 3, sharex=True, sharey=True)
    for ax, (name, title) in zip(axes, _MAPS.items(), strict=True):
        x, y = prepare_axes(ax, data)
        ax.pcolormesh(
            x, y, data[name].values, cmap=ListedColormap(palette), norm=norm, rasterized=True
        )
        shown |= set(np.unique(data[name].values).tolist())
        draw_boundaries(ax, lines)
        ax.set(title=title, xlabel="relative importance $r$")
    axes[0].set_ylabel("feature density $s = P(x_i \\neq 0)$")
    handles = [Patch(facecolor=palette[code], label=phases[code]) for code in sorted(shown)]
    top.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)
    _draw_ratio(bottom.add_subplot(1, 3, 1), data)
    _draw_slice(bottom.add_subplot(1, 3, 2), data)
    _draw_surfaces(bottom.add_subplot(1, 3, 3, projection="3d"), data)
    return figure


def _draw_ratio(ax: Axes, data: xr.Dataset) -> None:
    """Draw log10 of the least loss with superposition over the least without."""
    names = [str(name) for name in data.candidate.values]
    superposed = [name for name in names if "superpose" in name]
    alone = [name for name in names if "superpose" not in name]
    ratio = np.log10(
        data.candidate_loss.sel(candidate=superposed).min("candidate")
        / data.candidate_loss.sel(candidate=alone).min("candidate")
    )
    x, y = prepare_axes(ax, data)
    mesh = ax.pcolormesh(x, y, ratio.values, cmap="PuOr_r", vmin=-1, vmax=1, rasterized=True)
    ax.contour(data.importance, data.density, ratio.values, levels=[0], colors="black")
    ax.set(
        title="closed forms: which is lower",
        xlabel="relative importance $r$",
        ylabel="feature density $s$",
    )
    bar = ax.figure.colorbar(mesh, ax=ax, extend="both")
    bar.set_label("log$_{10}$ loss with / without superposition")


def _draw_slice(ax: Axes, data: xr.Dataset) -> None:
    """Draw all losses along density at the importance next to 1/2."""
    k = int(np.abs(np.log(data.importance.values / 0.5)).argmin())
    here = data.isel(importance=k)
    colors = phase_colors(len(phases_of(data)))
    for code, name in enumerate(data.candidate.values):
        ax.plot(here.density, here.candidate_loss.sel(candidate=name), color=colors[code],
                label=str(name))  # fmt: skip
    ax.plot(here.density, here.optimum_loss, "k--", label="exact optimum")
    ax.set(
        title=f"losses at $r$ = {float(here.importance):.2f}", xlabel="feature density $s$",
        ylabel="loss", ylim=(0, 1.6 * float(here.optimum_loss.max())), xlim=(0, 1),
    )  # fmt: skip
    ax.legend(fontsize="small")


def _draw_surfaces(ax: Any, data: xr.Dataset) -> None:
    """Draw the loss of every candidate as a surface over both logarithms."""
    x, y = np.meshgrid(np.log10(data.importance.values), np.log10(data.density.values))
    colors = phase_colors(len(phases_of(data)))
    for code, name in enumerate(data.candidate.values):
        loss = np.log10(data.candidate_loss.sel(candidate=name).values)
        ax.plot_surface(x, y, loss, color=colors[code], alpha=0.55, linewidth=0, rasterized=True)
    ax.set(
        title="closed forms: log$_{10}$ loss", xlabel="log$_{10}$ $r$", ylabel="log$_{10}$ $s$",
    )  # fmt: skip
    ax.view_init(elev=18, azim=-125)


def _caption(data: xr.Dataset) -> str:
    settings = settings_of(data)
    return sentence(
        data.expand_dims(replica=int(data.attrs["replicas"])),
        f"{settings['n_features']} ReLU features in {settings['n_hidden']} dimensions at "
        f"{data.density.size} densities s = P(x_i ≠ 0) by {data.importance.size} relative "
        f"importances r of the last feature, both evenly spaced in their logarithms. Black lines: "
        f"boundaries of the closed forms.",
    )


_THREE: Final[dict[str, Any]] = {"n_features": 3, "n_hidden": 2}
_SMALL: Final[dict[str, Any]] = {
    "densities": 2, "importances": 2, "replicas": 2, "protocol": "elhage2022,steps=50", "starts": 4,
}  # fmt: skip
_QUICK: Final[dict[str, Any]] = {
    "densities": 14, "importances": 14, "protocol": "elhage2022,steps=5000,batch_size=512",
}  # fmt: skip
_R: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

EXPERIMENTS: Final = (
    Experiment(
        name="phase-2-1",
        title="Two features in one dimension",
        source=_SOURCE,
        tiny=_Settings(**_SMALL, jumps_at=(0.3,)),
        quick=_Settings(**_QUICK, jumps_at=_R),
        full=_Settings(jumps_at=_R),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
    Experiment(
        name="phase-3-2",
        title="Three features in two dimensions",
        source=_SOURCE,
        tiny=_Settings(**_THREE, **_SMALL),
        quick=_Settings(**_THREE, **_QUICK),
        full=_Settings(**_THREE),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)
