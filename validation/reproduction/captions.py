"""Captions: what every figure says of how it was made."""

from __future__ import annotations

from collections.abc import Iterable

import xarray as xr

__all__ = ["listed", "sentence"]


def listed(values: Iterable[float]) -> str:
    """Return numbers as a list in words.

    Examples
    --------
    >>> listed([1, 0.2, 0.1])
    '1, 0.2 and 0.1'
    """
    words = [f"{value:.4g}" for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def sentence(data: xr.Dataset, text: str) -> str:
    """Return a caption: the text, then protocol, number of models and seed of the dataset."""
    models = f"{data.sizes['replica']} models a point" if "replica" in data.sizes else "models"
    return f"{text} Trained by {data.attrs['protocol']}, {models}, seed {data.attrs['seed']}."
