"""Configurations by name, for the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from .configurations import Configuration
from .polytopes import (
    BIPYRAMIDS,
    POLYGONS,
    antipodal_pair,
    bipyramid,
    cross_polytope,
    cube,
    direct_sum,
    orthogonal_basis,
    regular_polygon,
    regular_simplex,
    square_antiprism,
)

__all__ = ["CONFIGURATION_NAMES", "named_configuration"]

_NAMED: Final[Mapping[str, Callable[[], Configuration]]] = {
    "digon": antipodal_pair,
    "antipodal pair": antipodal_pair,
    **{name: partial(regular_polygon, k) for k, name in POLYGONS.items()},
    "tetrahedron": lambda: regular_simplex(3),
    "octahedron": lambda: cross_polytope(3),
    "cube": cube,
    "square antiprism": square_antiprism,
    **{name: partial(bipyramid, k) for k, name in BIPYRAMIDS.items()},
}

_COUNTED: Final[Mapping[str, tuple[str, Callable[[int], Configuration]]]] = {
    "polygon": ("corners", regular_polygon),
    "simplex": ("corners", lambda corners: regular_simplex(corners - 1)),
    "bipyramid": ("corners of the polygon", bipyramid),
    "basis": ("features", lambda size: orthogonal_basis(size, size)),
}

CONFIGURATION_NAMES: Final = (
    *_NAMED,
    *(f"{name} N" for name in _COUNTED),
    "cross-polytope N",
    "basis M of N",
)
"""What `named_configuration` accepts; N counts corners, that is features, and M dimensions."""


def named_configuration(text: str) -> Configuration:
    """Return the configuration of a name such as "pentagon" or "triangle + digon".

    Parameters
    ----------
    text
        One of `CONFIGURATION_NAMES`, or several joined by "+", which is their direct sum (tegum
        product). Case and spaces do not matter.

    Raises
    ------
    ValueError
        If a part is no such name, or its number does not fit.

    Examples
    --------
    >>> named_configuration("polygon 8").n_features
    8
    >>> print(named_configuration("digon + basis 1 of 2").description)
    antipodal pair + basis 1 of 2: W = [1, -1, 0, 0; 0, 0, 1, 0], b = [0, 0, 0, optimal]
    """
    parts = [_part(part, text) for part in text.split("+")]
    return parts[0] if len(parts) == 1 else direct_sum(*parts)


def _part(part: str, text: str) -> Configuration:
    name = " ".join(part.lower().split())
    if name in _NAMED:
        return _NAMED[name]()
    if match := re.fullmatch(r"basis (\d+) of (\d+)", name):
        return orthogonal_basis(int(match[2]), int(match[1]))
    if match := re.fullmatch(r"cross-polytope (\d*[02468])", name):
        return cross_polytope(int(match[1]) // 2)
    match = re.fullmatch(r"([a-z]+) (\d+)", name)
    if match and match[1] in _COUNTED:
        return _counted(match[1], int(match[2]))
    raise ValueError(
        f"{name!r} in {text!r} is no known configuration; known are "
        f"{', '.join(CONFIGURATION_NAMES)} (N corners, an even number of them for the "
        f"cross-polytope; M dimensions), and several of them joined by +"
    )


def _counted(name: str, count: int) -> Configuration:
    counted, make = _COUNTED[name]
    try:
        return make(count)
    except ValueError:
        least = 3 if make in (regular_polygon, bipyramid) else 2 if name == "simplex" else 1
        raise ValueError(
            f"{name} {count} does not exist: it needs at least {least} {counted}"
        ) from None
