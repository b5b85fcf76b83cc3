"""Feature dimensionalities against the fractions at which they cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["FRACTIONS", "dimensionality_clusters", "nearest_fraction"]

FRACTIONS: Final[Mapping[Fraction, str]] = MappingProxyType(
    {
        Fraction(1): "dedicated",
        Fraction(3, 4): "tetrahedron",
        Fraction(2, 3): "triangle",
        Fraction(1, 2): "digon",
        Fraction(2, 5): "pentagon",
        Fraction(3, 8): "square antiprism",
    }
)
"""Dimensions per feature of the shapes that Elhage et al. 2022 find."""

# Half of the distance between 3/8 and 2/5, the two that are nearest to each other.
_WITHIN: Final = 1 / 80


def nearest_fraction(dimensionality: float) -> tuple[Fraction, float]:
    """Return the nearest of `FRACTIONS` to a feature dimensionality, and the distance from it.

    Parameters
    ----------
    dimensionality : float
        D_i, in [0, 1] up to rounding.

    Returns
    -------
    fraction : Fraction
    distance : float
        Not negative.

    Raises
    ------
    ValueError
        If it is no dimensionality.

    Examples
    --------
    >>> nearest_fraction(0.5)
    (Fraction(1, 2), 0.0)
    >>> nearest_fraction(0.375 + 2**-10)
    (Fraction(3, 8), 0.0009765625)
    """
    if not -1e-9 <= dimensionality <= 1 + 1e-9:
        raise ValueError(
            f"a feature dimensionality lies in [0, 1], got {dimensionality}; "
            f"feature_dimensionality computes it from W"
        )
    nearest = min(FRACTIONS, key=lambda fraction: abs(dimensionality - fraction))
    return nearest, float(abs(dimensionality - nearest))


def dimensionality_clusters(
    dimensionality: ArrayLike, *, within: float = _WITHIN
) -> dict[Fraction | None, int]:
    """Count the feature dimensionalities near each of `FRACTIONS`.

    Parameters
    ----------
    dimensionality : array_like
        D_i of represented features, of any shape.
    within : float
        How near. At the default, 1/80, the counts do not overlap.

    Returns
    -------
    dict
        From every fraction, largest first, to the number of features whose nearest fraction it is
        and that are near to it; from ``None`` to the number of the others.

    Raises
    ------
    ValueError
        If a number is no dimensionality, or `within` is not positive.

    Examples
    --------
    >>> counts = dimensionality_clusters([0.5, 0.501, 0.4, 0.45])
    >>> {str(fraction): count for fraction, count in counts.items() if count}
    {'1/2': 2, '2/5': 1, 'None': 1}
    """
    if not within > 0:
        raise ValueError(f"within must be positive, got {within}; 1/80 is the default")
    counts: Counter[Fraction | None] = Counter()
    for value in np.asarray(dimensionality, dtype=np.float64).ravel().tolist():
        fraction, distance = nearest_fraction(value)
        counts[fraction if distance <= within else None] += 1
    return {fraction: counts[fraction] for fraction in (*FRACTIONS, None)}
