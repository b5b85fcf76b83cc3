"""The dataset of a sweep: its dimensions and labels, and the diagrams in it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ...theory import candidates
from ..phases import phase_names
from .axes import FIELDS, SweepConfiguration, size_label
from .points import VARIABLES

__all__ = ["dimensions", "frame", "select_diagram", "variable_attributes"]

_AXIS_NAMES = {
    "size": "model size: n_features in n_hidden dimensions",
    "protocol": "name of the training protocol",
    "penalty": "interference penalty λ",
    "seed": "seed of the search's starts and of the training",
}


def dimensions(configuration: SweepConfiguration, name: str) -> tuple[str, ...]:
    """Return the dimensions of a variable."""
    return (*configuration.dims, *VARIABLES[name].dims)


def variable_attributes(name: str, phases: tuple[str, ...]) -> dict[str, Any]:
    """Return the attributes of a variable; those of codes follow the CF conventions."""
    attributes: dict[str, Any] = {"long_name": VARIABLES[name].long_name}
    if name.endswith("_phase"):  # CF conventions, section 3.5: flags
        attributes["flag_values"] = list(range(len(phases)))
        attributes["flag_meanings"] = " ".join(phase.replace(" ", "_") for phase in phases)
    return attributes


def frame(configuration: SweepConfiguration, versions: dict[str, str]) -> xr.Dataset:
    """Return the dataset without its variables: coordinates and attributes."""
    base = configuration.base
    coordinates: dict[str, Any] = {}
    for axis, _ in configuration.axes:
        labels = configuration.labels(axis)
        texts = isinstance(labels[0], str)
        values = np.array(labels, dtype=object if texts else None)
        coordinates[axis] = (axis, values, {"long_name": _AXIS_NAMES[axis]})
    if "size" in coordinates:
        for field, column in zip(FIELDS["size"], np.array(configuration.sizes).T, strict=True):
            coordinates[field] = ("size", column)
    return xr.Dataset(
        coords={
            **coordinates,
            "density": (
                "density",
                np.array(base.density),
                {"long_name": "feature density s = P(x_i ≠ 0)"},
            ),
            "importance": (
                "importance",
                np.array(base.importance),
                {"long_name": "relative importance r of the last feature"},
            ),
            "candidate": np.array(configuration.candidates, dtype=object),
            "replica": np.arange(base.replicas),
        },
        attrs={
            "title": _title(configuration),
            "configuration": configuration.to_json(),
            "versions": json.dumps(versions, sort_keys=True),
        },
    )


def _title(configuration: SweepConfiguration) -> str:
    sizes = " and ".join(str(size) for size in configuration.sizes)
    over = ", ".join(name for name, _ in configuration.axes)
    return f"Phase diagram of {sizes} models" if not over else f"Phase diagrams over {over}"


def with_variables(
    frame: xr.Dataset, configuration: SweepConfiguration, arrays: dict[str, NDArray[Any]]
) -> xr.Dataset:
    """Return the dataset of given arrays."""
    return frame.assign(
        {
            name: (
                dimensions(configuration, name),
                arrays[name],
                variable_attributes(name, configuration.phases),
            )
            for name in VARIABLES
        }
    )


def select_diagram(dataset: xr.Dataset, **chosen: Any) -> xr.Dataset:
    """Return one phase diagram of a sweep, as `phase_diagram` would compute it.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `sweep`.
    **chosen
        A value for every dimension that the sweep has beside density and importance: ``size`` as
        a pair (n_features, n_hidden) or as it is called there, ``protocol`` by name, ``penalty``,
        ``seed``.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ValueError
        If a dimension is left open, is not one of the sweep's, or does not have the value.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> settings = {"dimensions": ["penalty"], "penalty": [0.0, 0.5], "n_features": 2, "n_hidden": 1}
    >>> swept = xr.Dataset(
    ...     {"theory_loss": (("penalty", "density"), [[1.0], [2.0]])},
    ...     {"penalty": [0.0, 0.5], "density": [0.1]},
    ...     {"configuration": json.dumps(settings)},
    ... )
    >>> float(select_diagram(swept, penalty=0.5).theory_loss[0])
    2.0
    """
    settings: dict[str, Any] = json.loads(dataset.attrs["configuration"])
    axes = settings.pop("dimensions", [])
    if set(chosen) != set(axes):
        raise ValueError(
            f"choose a value for each dimension of the sweep ({', '.join(axes) or 'it has none'}), "
            f"got {', '.join(chosen) or 'nothing'}"
        )
    labels = {axis: _place(dataset, axis, value) for axis, value in chosen.items()}
    one = dataset.isel(labels).drop_vars([*axes, *FIELDS["size"]], errors="ignore")
    for axis, place in labels.items():
        settings |= {field: settings[field][place] for field in FIELDS[axis]}
    if "size" in axes:
        one = _of_size(one, settings["n_features"], settings["n_hidden"])
    size = (settings["n_features"], settings["n_hidden"])
    return one.assign_attrs(
        title=f"Phase diagram of {size} models", configuration=json.dumps(settings, sort_keys=True)
    )


def _place(dataset: xr.Dataset, axis: str, value: Any) -> int:
    wanted = size_label(*value) if axis == "size" and not isinstance(value, str) else value
    labels = dataset[axis].values.tolist()
    if wanted not in labels:
        raise ValueError(
            f"the sweep has no {axis} {wanted!r}; it has {', '.join(map(repr, labels))}"
        )
    return int(labels.index(wanted))


def _of_size(one: xr.Dataset, n_features: int, n_hidden: int) -> xr.Dataset:
    """Undo what made the diagram of a size fit beside those of others."""
    names = phase_names(n_features, n_hidden)
    first = next(name for name in one.data_vars if str(name).endswith("_phase"))
    shared = one[first].attrs["flag_meanings"].split(" ")
    codes = np.full(len(shared), -1, dtype=np.int8)
    for code, name in enumerate(names):
        codes[shared.index(name.replace(" ", "_"))] = code
    one = one.isel(hidden=slice(n_hidden), feature=slice(n_features)).sel(
        candidate=[candidate.name for candidate in candidates(n_features, n_hidden)]
    )
    recoded = {
        str(name): (array.dims, codes[array.values], variable_attributes(str(name), names))
        for name, array in one.data_vars.items()
        if str(name).endswith("_phase")
    }
    return one.assign(recoded)
