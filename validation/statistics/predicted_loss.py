"""Where on a phase diagram trained models have the loss that theory, or the optimum, predicts."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from .equivalence import share_test, typical_excess_test
from .multiplicity import holm

__all__ = ["loss_tests"]

Floats = NDArray[np.float64]

_LONG_NAMES = {
    "within_share": "share of replicas with a loss within the margin of the prediction",
    "within_p": "p-value of: no more than the given share is within the margin",
    "within_p_holm": "the same, adjusted for all points of the prediction",
    "typical_excess": "geometric mean of the excess over the optimum, in the optimum's basin",
    "typical_p": "p-value of: the typical excess is at least the margin",
    "typical_p_holm": "the same, adjusted for all points",
    "in_basin": "replicas in the optimum's basin",
}


def _relative_excess(loss: Floats, predicted: Floats) -> Floats:
    """Return loss over prediction, minus 1; NaN where the prediction is 0."""
    positive = np.where(predicted > 0, predicted, np.nan)[..., np.newaxis]
    return np.asarray(loss / positive - 1)


def _adjusted(p: Floats) -> Floats:
    return holm(p.ravel()).reshape(p.shape)


def _typical(excess: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Geometric mean of the counted values; NaN where there are none."""
    counted = counted & (excess > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(counted, np.log(excess), 0.0).sum(axis=-1)
        return np.asarray(
            np.exp(logs / np.where(counted.any(axis=-1), counted.sum(axis=-1), np.nan))
        )


def loss_tests(dataset: xr.Dataset, *, margin: float = 0.01, share: float = 0.5) -> xr.Dataset:
    """Test at every point whether trained models have the predicted loss, up to a margin.

    The null hypotheses say that they have not; `equivalence` states them, and why.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `phase_diagram` returns it.
    margin : float
        Relative to the predicted loss, positive.
    share : float
        In (0, 1); see `share_test`.

    Returns
    -------
    xarray.Dataset
        Along `prediction` (theory, optimum), density and importance: `within_share`, `within_p`,
        `within_p_holm`; over density and importance: `typical_excess`, `typical_p`,
        `typical_p_holm` and `in_basin`. Rejecting where a value of Holm's is at most α bounds the
        chance of any false rejection among all points of a map by α. At points where the prediction
        is 0 nothing is tested, and p is 1.

    Raises
    ------
    ValueError
        If `margin` or `share` is out of range.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> diagram = phase_diagram(density=[0.2], importance=[0.05, 0.5], replicas=8, starts=16)
    >>> found = loss_tests(diagram).sel(density=0.2)
    >>> found.within_share.values.round(2).tolist()
    [[1.0, 0.0], [1.0, 0.88]]
    >>> bool((found.within_p.sel(prediction="optimum") < 0.05).all())
    True
    """
    loss: Floats = dataset["trained_loss"].values
    excess = {
        name: _relative_excess(loss, dataset[f"{name}_loss"].values)
        for name in ("theory", "optimum")
    }
    within = np.stack([abs(values) <= margin for values in excess.values()])
    basin = dataset["stuck"].values == 0
    typical_p = typical_excess_test(excess["optimum"], margin=margin, counted=basin)
    within_p = share_test(within, share=share)
    plane = ("density", "importance")
    columns = {
        "within_share": (("prediction", *plane), within.mean(axis=-1)),
        "within_p": (("prediction", *plane), within_p),
        "within_p_holm": (("prediction", *plane), np.stack([_adjusted(p) for p in within_p])),
        "typical_excess": (plane, _typical(excess["optimum"], basin)),
        "typical_p": (plane, typical_p),
        "typical_p_holm": (plane, _adjusted(typical_p)),
        "in_basin": (plane, basin.sum(axis=-1)),
    }
    return xr.Dataset(
        {
            name: (dims, values, {"long_name": _LONG_NAMES[name]})
            for name, (dims, values) in columns.items()
        },
        coords={
            "prediction": np.array(list(excess), dtype=object),
            "density": dataset["density"],
            "importance": dataset["importance"],
        },
        attrs={
            "configuration": dataset.attrs.get("configuration", "{}"),
            "tests": json.dumps({"margin": margin, "share": share}),
        },
    )
