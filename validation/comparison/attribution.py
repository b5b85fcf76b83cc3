"""Why a trained phase diagram differs from the theory: every difference switched one at a time.

Between the closed forms and a picture of trained models lie the theory's approximation, the data,
the reading rule, the noise of sampled gradients, and minima that training does not leave. Maps are
computed with every combination of them; `shares` divides the disagreement with the theory among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...features import CoActive, FeatureDistribution, Independent
from ...model import check_activation
from ...numerics import Protocol
from ...numerics.sampling.batches import Mask
from ..readings import CLASSES, READINGS, class_of_phase
from ..sweeps.configuration import PhaseDiagramConfiguration
from ..sweeps.storage import OtherConfigurationError
from .maps import Noise, on_other_data, optimum_maps, theory_map, trained_maps
from .shares import share_of_points

__all__ = ["FILE_NAME", "attribution", "load_maps", "readings_table"]

Codes = NDArray[np.int8]

_INPUTS: Final[dict[str, FeatureDistribution]] = {
    "independent": Independent(),
    "co-active": CoActive(),
}
FILE_NAME: Final = "attribution.nc"
_STARTS = 24
_ALL: Final = slice(None)


def _checked(configuration: PhaseDiagramConfiguration) -> None:
    if configuration.density[0] == 0.0:
        raise ValueError("density must be above 0: at 0 every model is equally good")


def _trainings() -> Iterator[tuple[str, Noise, Mask]]:
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
    _checked(configuration)
    if out is None:
        return _maps(configuration, {}, progress)
    file = Path(out) / FILE_NAME
    if file.exists():
        return _same_maps(file, configuration)
    file.parent.mkdir(parents=True, exist_ok=True)
    checkpoints = {
        (inputs, mask): file.with_name(f"{file.stem}-{inputs}-{mask}.checkpoint")
        for inputs, noise, mask in _trainings()
        if noise == "sampled"
    }
    maps = _maps(configuration, checkpoints, progress)
    save_maps(maps, file)
    for checkpoint in checkpoints.values():
        checkpoint.unlink(missing_ok=True)
    return maps


def _maps(
    configuration: PhaseDiagramConfiguration,
    checkpoints: Mapping[tuple[str, Mask], Path],
    progress: bool,
) -> xr.Dataset:
    noises, masks = ("exact", "sampled"), ("example", "batch")
    shape = len(configuration.density), len(configuration.importance)
    trained = np.empty((2, 2, 2, len(READINGS), *shape), np.int8)
    for inputs, noise, mask in _trainings():
        checkpoint = checkpoints.get((inputs, mask)) if noise == "sampled" else None
        read = trained_maps(
            on_other_data(configuration, _INPUTS[inputs], mask),
            noise,
            checkpoint,
            progress=progress,
        )
        place = list(_INPUTS).index(inputs), noises.index(noise)
        where = masks.index(mask) if noise == "sampled" else _ALL
        for k, codes in enumerate(read.values()):
            trained[(*place, where, k)] = codes
    on = [on_other_data(configuration, features) for features in _INPUTS.values()]
    optima = [optimum_maps(each) for each in on]
    plane = ("density", "importance")
    names = {"inputs": _INPUTS, "noise": noises, "mask": masks, "reading": READINGS}
    return xr.Dataset(
        {
            "theory": (("inputs", *plane), np.stack([theory_map(each) for each in on])),
            "optimum": (
                ("inputs", *plane),
                np.stack([class_of_phase(phase) for phase, _ in optima]),
            ),
            "optimum_thresholds": (("inputs", *plane), np.stack([code for _, code in optima])),
            "trained": ((*names, *plane), trained),
        },
        coords={
            "density": np.array(configuration.density),
            "importance": np.array(configuration.importance),
            **{name: np.array(list(values), dtype=object) for name, values in names.items()},
        },
        attrs={
            "title": f"Theory and trained {configuration.activation} models of two features",
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
    _checked(configuration)
    closed = theory_map(configuration)
    exact = class_of_phase(optimum_maps(configuration)[0])
    read = trained_maps(configuration, "sampled", progress=progress)
    return {
        name: (share_of_points(codes, closed), share_of_points(codes, exact))
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
