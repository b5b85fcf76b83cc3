"""Read one class out of several trained models of one point: the rules of the sources, by name.

Two features in one dimension. A reading answers which single feature is represented: the first
only, the last only, or not one of them alone (both, partly, or none). The rules differ in how
they judge a model, and in how the models of a point make one verdict. None looks at the sign of W,
which changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .phases import phase_names

__all__ = ["CLASSES", "FIRST_ONLY", "LAST_ONLY", "NOT_ONE", "READINGS", "class_of_phase", "judge"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]

FIRST_ONLY: Final = 0
LAST_ONLY: Final = 1
NOT_ONE: Final = 2
CLASSES: Final = ("first only", "last only", "not one alone")
"""Names of the classes; the code of a class is its place."""

_PRESENT, _ABSENT = 0.8, 0.2
_HALF = 0.5


def class_of_phase(phase: NDArray[np.integer]) -> Codes:
    """Return the class of each phase code of two features in one dimension.

    Examples
    --------
    >>> names = phase_names(2, 1)
    >>> codes = np.array([names.index("ignore last"), names.index("superpose both")])
    >>> class_of_phase(codes).tolist() == [FIRST_ONLY, NOT_ONE]
    True
    """
    names = phase_names(2, 1)
    table = np.full(len(names), NOT_ONE, dtype=np.int8)
    table[names.index("ignore last")] = FIRST_ONLY
    table[names.index("ignore first")] = LAST_ONLY
    return table[np.asarray(phase)]


def judge(W: ArrayLike) -> Codes:
    """Class models by thresholds: one weight above 0.8 in size, and the other below 0.2.

    Roe's replication, section 4.3 and its code.

    Parameters
    ----------
    W : array_like, shape (..., 1, 2)

    Returns
    -------
    ndarray of int8, shape (...)

    Examples
    --------
    >>> judge([[[-1, 0.1]], [[0.1, 0.9]], [[1, -1]], [[0.7, 0]]]).tolist()
    [0, 1, 2, 2]
    """
    size = np.abs(np.asarray(W, dtype=np.float64)[..., 0, :])
    present, absent = size > _PRESENT, size < _ABSENT
    first, last = present[..., 0] & absent[..., 1], present[..., 1] & absent[..., 0]
    return np.where(first, FIRST_ONLY, np.where(last, LAST_ONLY, NOT_ONE)).astype(np.int8)


def _majority(codes: Codes) -> Codes:
    """Return the class of more than half of the models along the last axis, else `NOT_ONE`."""
    counts = np.stack([(codes == code).sum(axis=-1) for code in range(len(CLASSES))])
    winner = counts.argmax(axis=0)
    return np.where(2 * counts.max(axis=0) > codes.shape[-1], winner, NOT_ONE).astype(np.int8)


def _of_means(norm: Floats, overlap: Floats) -> Codes:
    """Class by averaged lengths, and by the share that the last feature gives to the first."""
    first, last = norm[..., 0] >= _HALF, norm[..., 1] >= _HALF
    alone = last & ~first | last & (overlap < _HALF)
    return np.where(alone, LAST_ONLY, np.where(first & ~last, FIRST_ONLY, NOT_ONE)).astype(np.int8)


def _weighted(W: Floats, weight: Floats) -> Codes:
    """Average lengths and (Ŵ_last · W_first)² of the models along the last axis of `weight`."""
    norm = np.abs(W[..., 0, :])
    # In one dimension the unit vector of the last feature is a sign, or nothing.
    overlap = norm[..., 0] ** 2 * (norm[..., 1] > 0)
    total = weight.sum(axis=-1)
    return _of_means(
        (norm * weight[..., np.newaxis]).sum(axis=-2) / total[..., np.newaxis],
        (overlap * weight).sum(axis=-1) / total,
    )


def _best(W: Floats, phase: Codes, loss: Floats) -> Codes:
    best = loss.argmin(axis=-1)[..., np.newaxis]
    return class_of_phase(np.take_along_axis(phase, best, axis=-1)[..., 0])


def _majority_of_phases(W: Floats, phase: Codes, loss: Floats) -> Codes:
    return _majority(class_of_phase(phase))


def _majority_of_thresholds(W: Floats, phase: Codes, loss: Floats) -> Codes:
    return _majority(judge(W))


def _mean(W: Floats, phase: Codes, loss: Floats) -> Codes:
    return _weighted(W, np.ones_like(loss))


def _mean_without_worst(W: Floats, phase: Codes, loss: Floats) -> Codes:
    keep = np.ones_like(loss)
    if loss.shape[-1] > 1:
        np.put_along_axis(keep, loss.argmax(axis=-1)[..., np.newaxis], 0.0, axis=-1)
    return _weighted(W, keep)


def _mean_by_loss(W: Floats, phase: Codes, loss: Floats) -> Codes:
    lowest = np.maximum(loss.min(axis=-1, keepdims=True), np.finfo(float).tiny)
    return _weighted(W, (lowest / np.maximum(loss, lowest)) ** 2)


Reading = Callable[[Floats, Codes, Floats], Codes]

READINGS: Final = MappingProxyType(
    {
        "best": _best,
        "majority": _majority_of_phases,
        "roe2023": _majority_of_thresholds,
        "elhage2022": _mean_without_worst,
        "ymgw55": _mean,
        "zfurman56": _mean_by_loss,
    }
)
"""Rules from W (..., replicas, 1, 2), phases and exact losses (..., replicas) to classes (...).

best
    The phase (`phases`) of the model with the lowest exact loss.
majority
    The phase of more than half of the models.
roe2023
    The class by thresholds (`judge`) of more than half of the models: Roe's replication.
elhage2022
    The model with the highest loss is dropped; lengths, and the squared overlap of the last
    feature with the other, are averaged, and 1/2 is the threshold of both: Elhage et al. 2022,
    whose figure draws these two as a color.
ymgw55
    The same averages of all models.
zfurman56
    The same averages, weighted by the inverse squared loss.
"""
