"""What the maps of a report show: a value for every grid point, with a title and a meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..comparison.agreement import phases_of, relative_gaps

__all__ = ["Kind", "Panel", "panels", "phases_shown"]

Floats = NDArray[np.float64]

FLOOR = 1e-6  # relative; smaller gaps are drawn as this one: no map needs more than a ppm


class Kind(Enum):
    """How the values of a map are to be drawn."""

    PHASE = "phase"
    SHARE = "share"
    GAP = "gap"


@dataclass(frozen=True)
class Panel:
    """One map over density and relative importance.

    Attributes
    ----------
    name : str
        Lower-case, unique; a variable of the dataset where it shows one.
    title, meaning : str
        A few words, and a sentence.
    kind : Kind
    values : ndarray, shape (n_density, n_importance)
        Phase codes, shares in [0, 1], or gaps relative to the optimum's loss.
    """

    name: str
    title: str
    meaning: str
    kind: Kind
    values: Floats


_PHASES = (
    ("theory_phase", "Closed-form theory", "The lowest of the closed forms."),
    ("optimum_phase", "Exact optimum", "The lowest minimum of the exact loss."),
    ("best_trained_phase", "Best trained replica", "The replica with the lowest exact loss."),
)
_GAPS = (
    ("approximation_gap", "Closed forms above the optimum", "What the theory misses."),
    ("optimization_gap", "Best replica above the optimum", "What the best of the replicas misses."),
    ("basin_gap", "Lost to local minima", "Mean over the replicas: the minimum below each of them."),
    ("protocol_gap", "Lost by not converging", "Mean over the replicas: down to that minimum."),
)  # fmt: skip


def panels(dataset: xr.Dataset) -> tuple[Panel, ...]:
    """Return the maps of a report in their order: three of phases, one of shares, four of gaps.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `phase_diagram` returns it.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> diagram = phase_diagram(density=[0.1, 0.9], importance=[0.5, 1], replicas=1, starts=16)
    >>> [panel.kind.value for panel in panels(diagram)]
    ['phase', 'phase', 'phase', 'share', 'gap', 'gap', 'gap', 'gap']
    """
    return tuple(_panels(dataset))


def _panels(dataset: xr.Dataset) -> Iterator[Panel]:
    for name, title, meaning in _PHASES:
        yield Panel(name, title, meaning, Kind.PHASE, dataset[name].values.astype(np.float64))
    replicas = dataset.sizes["replica"]
    yield Panel(
        "stuck_fraction",
        "Replicas in another minimum",
        f"Share of the {replicas} replicas that sit above a local minimum that is not the optimum.",
        Kind.SHARE,
        dataset["stuck_fraction"].values,
    )
    gaps = relative_gaps(dataset)
    for name, title, meaning in _GAPS:
        gap = gaps[name]
        each = gap if gap.ndim == 3 else gap[..., np.newaxis]
        yield Panel(name, title, meaning, Kind.GAP, _mean_of_finite(each))


def _mean_of_finite(gap: Floats) -> Floats:
    """Average over the last axis, without replicas that diverged; NaN where all did."""
    sound = np.isfinite(gap)
    total = np.where(sound, gap, 0.0).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / sound.sum(axis=-1))


def phases_shown(dataset: xr.Dataset) -> tuple[int, ...]:
    """Return the codes of the phases that occur in one of the maps, in order."""
    found = {int(code) for name, *_ in _PHASES for code in np.unique(dataset[name].values)}
    return tuple(sorted(found & set(range(len(phases_of(dataset))))))
