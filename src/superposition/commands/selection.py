"""Which diagram of a sweep a command is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

__all__ = ["chosen_place"]

at_option = click.option(
    "--at", "places", multiple=True, metavar="AXIS=VALUE",
    help="Of a sweep: which diagram, by a value for each of its axes, such as size=3,2 or "
    "penalty=0.1.",
)  # fmt: skip


def chosen_place(places: tuple[str, ...]) -> dict[str, Any]:
    """Read AXIS=VALUE into the keywords of `select_diagram`.

    Raises
    ------
    ValueError
        If one is not of that form, names no axis, or its value is none of the axis.

    Examples
    --------
    >>> chosen_place(("size=3,2", "penalty=0.1"))
    {'size': (3, 2), 'penalty': 0.1}
    """
    chosen: dict[str, Any] = {}
    for place in places:
        axis, equals, value = (part.strip() for part in place.partition("="))
        if not equals or axis not in _READERS or axis in chosen:
            raise ValueError(
                f"--at takes AXIS=VALUE once for each axis of {', '.join(_READERS)}, got {place!r}"
            )
        try:
            chosen[axis] = _READERS[axis](value)
        except ValueError as error:
            raise ValueError(f"{value!r} is no value for --at {axis}=...") from error
    return chosen


def _size(text: str) -> tuple[int, int]:
    n_features, n_hidden = text.split(",")
    return int(n_features), int(n_hidden)


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "size": _size,
    "protocol": str,
    "penalty": float,
    "seed": int,
}
