"""A dataset as JSON text that a page can hold: exact numbers, nothing that ends a script."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["MOST_BYTES", "as_script", "encode", "fitting"]

MOST_BYTES = 24_000_000  # of numbers in one page; above that a phone's browser gives up
_WEIGHTS = ("trained_W", "trained_b", "slice_loss")  # left out where the page would grow too large
_KEPT = ("long_name", "flag_values", "flag_meanings")


def fitting(dataset: xr.Dataset, most: int = MOST_BYTES) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Return the dataset with at most so many bytes, and the names that were left out for it.

    Raises
    ------
    ValueError
        If it does not fit without the weights of the replicas either.
    """
    left_out = []
    for name in _WEIGHTS:
        if dataset.nbytes > most and name in dataset:
            dataset = dataset.drop_vars(name)
            left_out.append(name)
    if dataset.nbytes > most:
        raise ValueError(
            f"a page holds up to {most / 1e6:.0f} MB of numbers, this dataset has "
            f"{dataset.nbytes / 1e6:.0f} MB without the replicas' weights; report a smaller grid"
        )
    return dataset, tuple(left_out)


def encode(dataset: xr.Dataset) -> dict[str, Any]:
    """Return a dataset as a dictionary that JSON can hold, its numbers bit by bit.

    Numbers are little-endian in base64; text is a list. The attributes that say what a variable
    means are kept.

    Examples
    --------
    >>> import xarray as xr
    >>> encode(xr.Dataset({"loss": ("point", [0.5])}))["variables"]["loss"]["data"]
    'AAAAAAAA4D8='
    """
    return {
        "attributes": {key: str(value) for key, value in dataset.attrs.items()},
        "variables": {str(name): _encode(dataset[name]) for name in dataset.variables},
    }


def _encode(variable: xr.DataArray) -> dict[str, Any]:
    described: dict[str, Any] = {
        key: _plain(variable.attrs[key]) for key in _KEPT if key in variable.attrs
    }
    described |= {"dims": [str(dim) for dim in variable.dims], "shape": list(variable.shape)}
    values: NDArray[Any] = np.ascontiguousarray(variable.values)
    if values.dtype.kind not in "fiu":
        return described | {"dtype": "text", "data": [str(value) for value in values.ravel()]}
    if values.dtype.kind in "iu" and values.dtype.itemsize > 4:
        values = values.astype(np.int32)  # counts; a browser has no use for 64-bit integers
    little = values.astype(values.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return described | {"dtype": values.dtype.name, "data": data}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def as_script(value: Any) -> str:
    r"""Return strict JSON that is safe within an HTML script element.

    Examples
    --------
    >>> as_script("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
