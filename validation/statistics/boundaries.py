"""Boundaries of a phase diagram in r, density by density: trained models, exact optimum, theory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import numpy as np
import sympy
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...numerics import descend, random_starts
from ...theory import Configuration, candidates, phase_boundary, s
from ..comparison.agreement import phases_of
from ..phases import classify, phase_names
from .transition import fit_transition

__all__ = [
    "BEFORE",
    "BEYOND",
    "candidate_boundary",
    "closed_form_boundary",
    "exact_boundary",
    "trained_boundary",
]

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]

BEFORE: Final = ("ignore last",)
BEYOND: Final = ("superpose both", "partial superposition")
_HALVINGS = 40
_STARTS = 32


def _codes(chosen: Sequence[str], names: Sequence[str]) -> list[int]:
    unknown = [name for name in chosen if name not in names]
    if unknown or not chosen:
        raise ValueError(f"a side of a boundary is made of {', '.join(names)}, got {chosen!r}")
    return [names.index(name) for name in chosen]


def trained_boundary(
    dataset: xr.Dataset,
    *,
    before: Sequence[str] = BEFORE,
    beyond: Sequence[str] = BEYOND,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> xr.Dataset:
    """Locate, at each density, the relative importance at which trained models change phase.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `phase_diagram` returns it, with at least three importances.
    before, beyond : sequences of str
        Names of the phases on the side of small r and on that of large r. Models in any other
        phase say nothing about this boundary and are left out.
    level : float
        Of the intervals.
    resamples, seed : int
        Of the bootstrap over replicas.

    Returns
    -------
    xarray.Dataset
        Along `density`: `location` with its interval `low` and `high`, as values of r;
        `width`, that of the transition in log r; `stay_behind`, the share of models that stay in
        the phases `before` however large r is; `models`, how many were used. NaN where all used
        models are on one side.

    Raises
    ------
    ValueError
        If a phase has no such name, or a value is out of range.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> grid = {"density": [0.2], "importance": np.geomspace(0.05, 0.5, 8)}
    >>> found = trained_boundary(phase_diagram(**grid, replicas=4, starts=16))
    >>> bool((found.low <= found.location).all() and (found.location <= found.high).all())
    True
    """
    names = phases_of(dataset)
    phase: Codes = dataset["trained_phase"].values
    far = np.isin(phase, _codes(beyond, names))
    used = far | np.isin(phase, _codes(before, names))
    importance = np.asarray(dataset["importance"], dtype=np.float64)
    counts, trials = (side.sum(axis=-1).astype(np.int64) for side in (far, used))
    found = fit_transition(
        np.log(importance), counts, trials, level=level, resamples=resamples, seed=seed
    )
    columns = {
        "location": (np.exp(found.location), "r at which half of the models have changed phase"),
        "low": (np.exp(found.low), "lower end of its interval"),
        "high": (np.exp(found.high), "upper end of its interval"),
        "width": (found.width, "width of the transition in log r"),
        "stay_behind": (found.stay_behind, "share of models that stay behind"),
        "models": (trials.sum(axis=-1), "models used"),
    }
    return xr.Dataset(
        {
            name: ("density", values, {"long_name": text})
            for name, (values, text) in columns.items()
        },
        coords={"density": dataset["density"]},
        attrs={
            "configuration": dataset.attrs.get("configuration", "{}"),
            "bootstrap": json.dumps({"resamples": resamples, "level": level, "seed": seed}),
        },
    )


def candidate_boundary(dataset: xr.Dataset, *, before: str, beyond: str) -> Floats:
    """Return r at which two candidates of a phase diagram have equal losses, at each density.

    Of any inputs, activation and penalty: a candidate's loss is linear in the importances, so that
    its values at two of them tell it everywhere.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `phase_diagram` returns it, with at least two importances.
    before, beyond : str
        Names of candidates.

    Returns
    -------
    ndarray, shape (densities,)
        NaN where the losses are equal at no r > 0.

    Raises
    ------
    ValueError
        If a candidate has no such name, or there is one importance only.

    Examples
    --------
    >>> loss = xr.DataArray(
    ...     [[[1.0, 3.0], [2.0, 3.0]]],
    ...     {"importance": [1.0, 2.0], "candidate": ["a", "b"]},
    ...     ("density", "importance", "candidate"),
    ... )
    >>> candidate_boundary(xr.Dataset({"candidate_loss": loss}), before="a", beyond="b").tolist()
    [3.0]
    """
    names = dataset["candidate"].values.tolist()
    _codes((before, beyond), names)
    r = np.asarray(dataset["importance"], dtype=np.float64)
    if len(r) < 2:
        raise ValueError(f"a boundary in r needs at least two importances, got {r.tolist()}")
    first, last = (
        np.asarray(dataset["candidate_loss"].isel(importance=k).sel(candidate=before))
        - np.asarray(dataset["candidate_loss"].isel(importance=k).sel(candidate=beyond))
        for k in (0, -1)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        located = r[0] - first * (r[-1] - r[0]) / (last - first)
    return np.where((located > 0) & np.isfinite(located), located, np.nan)


def _named(name: str, size: tuple[int, int]) -> Configuration:
    known = {candidate.name: candidate for candidate in candidates(*size)}
    if name not in known:
        raise ValueError(f"a candidate of {size} models is one of {', '.join(known)}, got {name!r}")
    return known[name]


def closed_form_boundary(
    density: ArrayLike,
    *,
    before: str = BEFORE[0],
    beyond: str = BEYOND[0],
    n_features: int = 2,
    n_hidden: int = 1,
) -> Floats:
    """Return r at which the closed-form losses of two candidates are equal.

    Parameters
    ----------
    density : array_like, shape (...)
    before, beyond : str
        Names of candidates.
    n_features, n_hidden : int
        Sizes of the model.

    Returns
    -------
    ndarray, shape (...)
        NaN where the losses are equal at no r > 0.

    Raises
    ------
    ValueError
        If a candidate has no such name, or the losses differ by a factor that r does not enter.

    Examples
    --------
    >>> closed_form_boundary([0.2, 0.5]).round(6).tolist()  # 2s/(4 − 5s)
    [0.133333, 0.666667]
    """
    values = np.asarray(density, dtype=np.float64)
    sides = [_named(name, (n_features, n_hidden)) for name in (before, beyond)]
    solutions = phase_boundary(*sides)
    if len(solutions) != 1:
        raise ValueError(
            f"the losses of {before} and {beyond} are equal at {len(solutions)} values of r, so "
            f"that there is no boundary in r between them; name other candidates"
        )
    (solution,) = solutions
    with np.errstate(divide="ignore"):
        located = np.broadcast_to(sympy.lambdify(s, solution, "numpy")(values), values.shape)
    return np.where((located > 0) & np.isfinite(located), located, np.nan)


def exact_boundary(
    density: ArrayLike,
    between: tuple[float, float],
    *,
    beyond: Sequence[str] = BEYOND,
    n_features: int = 2,
    n_hidden: int = 1,
    starts: int = _STARTS,
    seed: int = 0,
) -> Floats:
    """Return r at which the exact optimum enters the phases `beyond`.

    By bisection in log r on the phase of the optimum, which is found by descent from random
    starts; to about 1e-11 of r, where the optimum is found at every step.

    Parameters
    ----------
    density : array_like, shape (k,)
    between : pair of float
        Values of r, one below all boundaries and one above; positive.
    beyond : sequence of str
        Names of phases.
    n_features, n_hidden : int
        Sizes of the model.
    starts, seed : int
        Of the search.

    Returns
    -------
    ndarray, shape (k,)
        NaN where the optimum is not outside `beyond` at the lower value and in it at the upper.

    Raises
    ------
    ValueError
        If a phase has no such name, or the values of r are not positive and increasing.

    Examples
    --------
    >>> bool(exact_boundary([0.2], (0.05, 0.5)) < closed_form_boundary([0.2]))
    True
    """
    values = np.asarray(density, dtype=np.float64)
    if not 0 < between[0] < between[1] < np.inf:
        raise ValueError(f"between must be two values of r, 0 < low < high, got {between}")
    size = (n_features, n_hidden)
    codes = _codes(beyond, phase_names(*size))
    low, high = (np.full(values.shape, np.log(end)) for end in between)

    def is_beyond(log_r: Floats) -> NDArray[np.bool_]:
        return np.isin(_optimal_phase(size, values, np.exp(log_r), starts, seed), codes)

    enclosed = ~is_beyond(low) & is_beyond(high)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        right = is_beyond(middle)
        low, high = np.where(right, low, middle), np.where(right, middle, high)
    return np.where(enclosed, np.exp(0.5 * (low + high)), np.nan)


def _optimal_phase(
    size: tuple[int, int], density: Floats, r: Floats, starts: int, seed: int
) -> Codes:
    """Return the phase of the lowest of many descents for each model."""
    n, m = size
    start_W, start_b = random_starts(n, m, starts, seed)
    shape = (*density.shape, starts)
    importance = np.ones((*r.shape, 1, n))
    importance[..., -1] = r[..., np.newaxis]
    found = descend(
        np.broadcast_to(start_W, (*shape, m, n)),
        np.broadcast_to(start_b, (*shape, n)),
        density=np.broadcast_to(density[..., np.newaxis], shape),
        importance=importance,
    )
    best = found.loss.argmin(axis=-1)[..., np.newaxis]
    W = np.take_along_axis(found.W, best[..., np.newaxis, np.newaxis], axis=-3)[..., 0, :, :]
    b = np.take_along_axis(found.b, best[..., np.newaxis], axis=-2)[..., 0, :]
    return classify(W, b, density)
