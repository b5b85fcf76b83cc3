"""Why a trained phase diagram differs from the theory: every difference switched one at a time.

Between the closed forms and a picture of trained models lie the theory's approximation, the data,
the reading rule, the noise of sampled gradients, and minima that training does not leave. Maps are
computed with every combination of them, and the disagreement with the theory is divided among them:
along one order (`ladder`), and averaged over all orders (`shares`), which is Shapley's value, the
only division that is symmetric and adds up (Shapley 1953).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import factorial
from pathlib import Path
from typing import Any, Final

import numpy as np
import sympy
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...features import CoActive, FeatureDistribution, Independent
from ...model import Activation, check_activation
from ...numerics import (
    Protocol,
    descend,
    population_loss,
    random_starts,
    train,
    train_on_population,
)
from ...theory import candidates, r, s
from ..phases import classify
from ..readings import CLASSES, READINGS, class_of_phase, judge
from ..sweeps.configuration import PhaseDiagramConfiguration
from ..sweeps.storage import OtherConfigurationError

__all__ = [
    "FACTORS",
    "FILE_NAME",
    "Rung",
    "attribution",
    "ladder",
    "load_maps",
    "picture",
    "readings_table",
    "shares",
]

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
Places = frozenset[str]

FACTORS: Final = ("reading", "noise", "inputs", "mask")
"""What is switched, in the order of `ladder`.

reading
    From the best of the replicas to the majority of thresholded classes.
noise
    From the exact gradient of the population loss to that of sampled batches.
inputs
    From independent features to co-active ones.
mask
    From a mask per example to a mask per batch.
"""

_INPUTS: Final[dict[str, FeatureDistribution]] = {
    "independent": Independent(),
    "co-active": CoActive(),
}
FILE_NAME: Final = "attribution.nc"
_STARTS = 24
_TIED = 1e-9
_MODELS_PER_BLOCK = 200_000


@dataclass(frozen=True)
class Rung:
    """One step from the theory to the picture.

    Attributes
    ----------
    change : str
        What was switched.
    agreement : float
        Share of points with the class of the theory, after it.
    changed : float
        Share of points whose class the step changed.
    """

    change: str
    agreement: float
    changed: float


@dataclass(frozen=True)
class _Study:
    """What the maps of one attribution have in common."""

    activation: Activation
    protocol: Protocol
    density: Floats
    importance: Floats
    replicas: int
    seed: int

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.density), len(self.importance)

    @property
    def model(self) -> dict[str, Any]:
        """Density and importance of every point, and the activation."""
        importance = np.ones((*self.shape, 2))
        importance[..., 1] = self.importance
        density = np.broadcast_to(self.density[:, np.newaxis], self.shape)
        return {"density": density, "importance": importance, "activation": self.activation}


def _study_of(configuration: PhaseDiagramConfiguration) -> _Study:
    if configuration.density[0] == 0.0:
        raise ValueError("density must be above 0: at 0 every model is equally good")
    return _Study(
        configuration.activation, configuration.protocol, np.array(configuration.density),
        np.array(configuration.importance), configuration.replicas, configuration.seed,
    )  # fmt: skip


def _theory(study: _Study, features: FeatureDistribution) -> Codes:
    losses = []
    for candidate in candidates(2, 1):
        expression = candidate.loss(activation=study.activation, features=features)
        loss = sympy.lambdify((s, r), expression, "numpy")
        values = loss(study.density[:, np.newaxis], study.importance)
        losses.append(np.broadcast_to(values, study.shape))
    stacked = np.stack(losses, axis=-1)
    lowest = stacked.min(axis=-1, keepdims=True)
    return class_of_phase((stacked <= lowest * (1 + _TIED)).argmax(axis=-1))


def _optimum(study: _Study, features: FeatureDistribution) -> tuple[Codes, Codes]:
    """Return the class of the exact optimum, by its phase and by the thresholds of `judge`."""
    by_phase, by_thresholds = np.empty(study.shape, np.int8), np.empty(study.shape, np.int8)
    starts_W, starts_b = random_starts(2, 1, _STARTS, study.seed)
    rows = max(1, _MODELS_PER_BLOCK // (len(study.importance) * _STARTS))
    for first in range(0, len(study.density), rows):
        part = slice(first, first + rows)
        density = study.model["density"][part]
        shape = (*density.shape, _STARTS)
        found = descend(
            np.broadcast_to(starts_W, (*shape, 1, 2)),
            np.broadcast_to(starts_b, (*shape, 2)),
            density=np.broadcast_to(density[..., np.newaxis], shape),
            importance=study.model["importance"][part][..., np.newaxis, :],
            activation=study.activation,
            features=features,
        )
        best = found.loss.argmin(axis=-1)[..., np.newaxis]
        W = np.take_along_axis(found.W, best[..., np.newaxis, np.newaxis], axis=2)[:, :, 0]
        b = np.take_along_axis(found.b, best[..., np.newaxis], axis=2)[:, :, 0]
        phase = classify(W, b, density, activation=study.activation, features=features)
        by_phase[part], by_thresholds[part] = class_of_phase(phase), judge(W)
    return by_phase, by_thresholds


def _trained(
    study: _Study, features: FeatureDistribution, noise: str, mask: Any, checkpoint: Path | None,
    progress: bool,
) -> dict[str, Codes]:  # fmt: skip
    """Train all models one way, and read them by every rule."""
    arguments: dict[str, Any] = {
        **study.model, "features": features, "protocol": replace(study.protocol, mask=mask),
        "replicas": study.replicas, "seed": study.seed,
    }  # fmt: skip
    if noise == "exact":
        result: Any = train_on_population(2, 1, **arguments)
    else:
        result = train(2, 1, **arguments, checkpoint=checkpoint, progress=progress)
    sound = ~result.diverged
    W = np.where(sound[..., np.newaxis, np.newaxis], result.W, 0.0)
    b = np.where(sound[..., np.newaxis], result.b, 0.0)
    loss = population_loss(
        W, b, density=arguments["density"][..., np.newaxis],
        importance=arguments["importance"][..., np.newaxis, :], activation=study.activation,
        features=features,
    )  # fmt: skip
    loss = np.where(sound, loss, np.inf)
    phase = classify(
        W, b, arguments["density"][..., np.newaxis], activation=study.activation, features=features
    )
    return {name: rule(W, phase, loss) for name, rule in READINGS.items()}


def _trainings() -> Iterator[tuple[str, str, str]]:
    """Name the ways to train: inputs, noise and mask. Without noise there is no mask."""
    for inputs in _INPUTS:
        yield inputs, "exact", "example"
        yield inputs, "sampled", "example"
        yield inputs, "sampled", "batch"


def attribution(
    *,
    activation: str = "relu",
    density: ArrayLike,
    importance: ArrayLike,
    protocol: str | Protocol | None = None,
    replicas: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Compute the maps of two features in one dimension with every combination of the factors.

    Parameters
    ----------
    activation : {"relu", "linear"}
    density, importance : array_like
        The grid: densities in (0, 1] and relative importances of the last feature, increasing.
    protocol : str or Protocol, optional
        How models are trained; Roe's by default, for the activation. Its mask is one of the
        factors and not used.
    replicas : int, optional
        10 by default, or 1 for linear models, as in Roe's replication.
    seed : int
    out : path, optional
        Folder for the maps (``attribution.nc``) and checkpoints: an interrupted call with the same
        arguments goes on there, and one that is complete is read.
    progress : bool

    Returns
    -------
    xarray.Dataset
        Classes (`readings.CLASSES`) over density and importance: `theory` and `optimum` (by phase)
        and `optimum_thresholds` along `inputs`; and `trained` along `inputs`, `noise`, `mask` and
        `reading`. Where gradients are exact both masks are one map.

    Raises
    ------
    ValueError
        If an argument is out of range.
    OtherConfigurationError
        If `out` holds the maps of other arguments.

    Examples
    --------
    >>> from superposition.validation import attribution
    >>> short = "roe2023,steps=200"
    >>> maps = attribution(density=[0.1, 0.9], importance=[0.5, 2], protocol=short, replicas=2)
    >>> maps.trained.dims
    ('inputs', 'noise', 'mask', 'reading', 'density', 'importance')
    """
    kind = check_activation(activation)
    if protocol is None:
        protocol = "roe2023" if kind == "relu" else "roe2023-linear"
    if replicas is None:
        replicas = 10 if kind == "relu" else 1
    configuration = PhaseDiagramConfiguration.validated(
        2, 1, density=density, importance=importance, replicas=replicas, starts=_STARTS, seed=seed,
        protocol=protocol, penalty=0.0, activation=kind,
    )  # fmt: skip
    study = _study_of(configuration)
    if out is None:
        return _maps(study, configuration, None, progress)
    file = Path(out) / FILE_NAME
    if file.exists():
        return _same_maps(file, configuration)
    file.parent.mkdir(parents=True, exist_ok=True)
    maps = _maps(study, configuration, file.parent, progress)
    save_maps(maps, file)
    for checkpoint in file.parent.glob("*.checkpoint"):
        checkpoint.unlink()
    return maps


def _maps(
    study: _Study, configuration: PhaseDiagramConfiguration, folder: Path | None, progress: bool
) -> xr.Dataset:
    noises, masks = ("exact", "sampled"), ("example", "batch")
    trained = np.empty((2, 2, 2, len(READINGS), *study.shape), np.int8)
    for inputs, noise, mask in _trainings():
        checkpoint = None if folder is None else folder / f"{inputs}-{mask}.checkpoint"
        read = _trained(study, _INPUTS[inputs], noise, mask, checkpoint, progress)
        place = list(_INPUTS).index(inputs), noises.index(noise)
        where = masks.index(mask) if noise == "sampled" else slice(None)
        for k, codes in enumerate(read.values()):
            trained[(*place, where, k)] = codes
    optimum = [_optimum(study, features) for features in _INPUTS.values()]
    plane = ("density", "importance")
    names = {"inputs": _INPUTS, "noise": noises, "mask": masks, "reading": READINGS}
    return xr.Dataset(
        {
            "theory": (("inputs", *plane), np.stack([_theory(study, f) for f in _INPUTS.values()])),
            "optimum": (("inputs", *plane), np.stack([phase for phase, _ in optimum])),
            "optimum_thresholds": (("inputs", *plane), np.stack([code for _, code in optimum])),
            "trained": ((*names, *plane), trained),
        },
        coords={
            "density": study.density,
            "importance": study.importance,
            **{name: np.array(list(values), dtype=object) for name, values in names.items()},
        },
        attrs={
            "title": f"Theory and trained {study.activation} models of two features",
            "classes": ", ".join(CLASSES),
            "configuration": configuration.to_json(),
        },
    )


def readings_table(
    *,
    density: ArrayLike,
    importance: ArrayLike,
    protocol: str | Protocol,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    replicas: int = 10,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, tuple[float, float]]:
    """Train by a protocol and compare what every rule reads with theory and exact optimum.

    Parameters
    ----------
    density, importance, activation, replicas, seed, progress
        As in `attribution`.
    protocol : str or Protocol
        Taken as it is, mask and all.
    features : feature distribution, optional
        What models are trained on, and what theory and optimum are those of. None is
        `Independent`.

    Returns
    -------
    dict
        For each of `READINGS` the share of points with the class of the closed forms, and with
        that of the exact optimum.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    configuration = PhaseDiagramConfiguration.validated(
        2, 1, density=density, importance=importance, replicas=replicas, starts=_STARTS, seed=seed,
        protocol=protocol, penalty=0.0, activation=activation, features=features,
    )  # fmt: skip
    study = _study_of(configuration)
    theory = _theory(study, configuration.features)
    optimum, _ = _optimum(study, configuration.features)
    read = _trained(study, configuration.features, "sampled", study.protocol.mask, None, progress)
    return {
        name: (_agreement(codes, theory), _agreement(codes, optimum))
        for name, codes in read.items()
    }


def save_maps(maps: xr.Dataset, file: Path) -> None:
    """Write maps to one file, which appears when it is complete."""
    unfinished = file.with_suffix(".unfinished")
    maps.to_netcdf(unfinished, engine="scipy")
    unfinished.replace(file)


def load_maps(file: str | Path) -> xr.Dataset:
    """Read the maps that `attribution` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    with xr.open_dataset(file, engine="scipy") as maps:
        return maps.load()


def _same_maps(file: Path, configuration: PhaseDiagramConfiguration) -> xr.Dataset:
    maps = load_maps(file)
    differences = configuration.differences(maps.attrs["configuration"])
    if differences:
        raise OtherConfigurationError(file.parent, differences)
    return maps


def _switched(maps: xr.Dataset, on: Places) -> Codes:
    """Return the trained map with some factors switched."""
    choice = {
        "reading": "roe2023" if "reading" in on else "best",
        "noise": "sampled" if "noise" in on else "exact",
        "inputs": "co-active" if "inputs" in on else "independent",
        "mask": "batch" if "mask" in on else "example",
    }
    return np.asarray(maps.trained.sel(choice).values)


def picture(maps: xr.Dataset) -> Codes:
    """Return the map that the replication drew: every factor switched."""
    return _switched(maps, frozenset(FACTORS))


def _agreement(first: Codes, second: Codes) -> float:
    return float((first == second).mean())


def ladder(maps: xr.Dataset) -> tuple[Rung, ...]:
    """Go from the theory to the picture of the replication, one switch at a time.

    Parameters
    ----------
    maps : xarray.Dataset
        From `attribution`.

    Returns
    -------
    tuple of Rung
        The first is the exact optimum, the second the best of the replicas, trained on the exact
        gradient; then `FACTORS` follow.
    """
    theory = maps.theory.sel(inputs="independent").values
    stages = [
        ("the exact optimum in place of closed forms", maps.optimum.sel(inputs="independent")),
        ("training on the exact gradient, best replica", _switched(maps, frozenset())),
    ]
    words = {
        "reading": "majority of thresholded classes",
        "noise": "sampled gradients",
        "inputs": "co-active features",
        "mask": "one mask per batch",
    }
    for k, factor in enumerate(FACTORS):
        stages.append((words[factor], _switched(maps, frozenset(FACTORS[: k + 1]))))
    rungs, before = [], theory
    for change, stage in stages:
        now = np.asarray(stage)
        rungs.append(Rung(change, _agreement(now, theory), 1 - _agreement(now, before)))
        before = now
    return tuple(rungs)


def shares(maps: xr.Dataset) -> dict[str, float]:
    """Divide the disagreement between theory and picture among its causes.

    Parameters
    ----------
    maps : xarray.Dataset
        From `attribution`.

    Returns
    -------
    dict
        Shares of all points, which add up to the disagreement. "theory" is what the exact optimum
        disagrees in, "training" what the best replica on the exact gradient adds; the others
        are `FACTORS`, each averaged over all orders in which they can be switched. Negative where
        a cause brings the picture nearer to the theory.
    """
    theory = maps.theory.sel(inputs="independent").values
    optimum = 1 - _agreement(maps.optimum.sel(inputs="independent").values, theory)

    def disagreement(on: Places) -> float:
        return 1 - _agreement(_switched(maps, on), theory)

    found = {"theory": optimum, "training": disagreement(frozenset()) - optimum}
    found.update({factor: _shapley(factor, disagreement) for factor in FACTORS})
    return found


def _shapley(factor: str, value: Callable[[Places], float]) -> float:
    others = [other for other in FACTORS if other != factor]
    n, total = len(FACTORS), 0.0
    for chosen in product((False, True), repeat=len(others)):
        on = frozenset(name for name, is_on in zip(others, chosen, strict=True) if is_on)
        weight = factorial(len(on)) * factorial(n - 1 - len(on)) / factorial(n)
        total += weight * (value(on | {factor}) - value(on))
    return total
