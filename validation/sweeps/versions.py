"""What the numbers of a dataset were computed with."""

from __future__ import annotations

import platform
from importlib.metadata import version

from ... import __version__

__all__ = ["FORMAT", "library_versions", "merged"]

FORMAT = 1
"""Raised whenever the layout of stored datasets changes."""

_LIBRARIES = ("numba", "numpy", "torch")


def library_versions() -> dict[str, str]:
    """Return the versions of what numbers come from, and of the format they are kept in.

    Examples
    --------
    >>> list(library_versions())
    ['format', 'numba', 'numpy', 'python', 'superposition', 'torch']
    """
    found = {name: version(name) for name in _LIBRARIES}
    found |= {
        "python": platform.python_version(),
        "superposition": __version__,
        "format": str(FORMAT),
    }
    return dict(sorted(found.items()))


def merged(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
    """Return versions of which parts of a dataset have one and parts the other.

    Examples
    --------
    >>> merged({"numpy": "2.3.1", "torch": "2.9.0"}, {"numpy": "2.4.0", "torch": "2.9.0"})
    {'numpy': '2.3.1, 2.4.0', 'torch': '2.9.0'}
    """
    return {
        name: ", ".join(dict.fromkeys([*first[name].split(", "), *second[name].split(", ")]))
        for name in first
    }
