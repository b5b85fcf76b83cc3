"""The memory that compiled training works in: one for each worker."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .lane_products import BLOCK

__all__ = ["Scratch", "new_scratch"]


class Scratch(NamedTuple):
    """Memory of one worker; blocks are one-dimensional, `BLOCK` entries for each row."""

    words: NDArray[np.uint64]
    halves: NDArray[np.int32]
    uniform: NDArray[np.float64]
    x: NDArray[Any]
    target: NDArray[Any]
    h: NDArray[Any]
    delta: NDArray[Any]
    back: NDArray[Any]
    overlaps: NDArray[Any]
    gradient: NDArray[Any]
    zeros: NDArray[Any]
    on: NDArray[np.int64]
    live: NDArray[np.int64]
    every: NDArray[np.int64]


def new_scratch(
    n_features: int, n_hidden: int, n_parameters: int, n_streams: int, dtype: Any
) -> Scratch:
    """Return memory for models of a size; `n_streams` as in `GateTables`."""
    n, m = n_features, n_hidden
    words = np.empty(BLOCK // 2, dtype=np.uint64)
    # A row of zeros follows those of x and of its targets: the values of any feature that is off.
    return Scratch(
        words=words,
        halves=words.view(np.int32),
        uniform=np.empty(n_streams * BLOCK),
        x=np.zeros((n + 1) * BLOCK, dtype=dtype),
        target=np.zeros((n + 1) * BLOCK, dtype=dtype),
        h=np.empty(m * BLOCK, dtype=dtype),
        delta=np.empty(n * BLOCK, dtype=dtype),
        back=np.empty(m * BLOCK, dtype=dtype),
        overlaps=np.empty(m * n, dtype=dtype),
        gradient=np.empty(n_parameters, dtype=dtype),
        zeros=np.zeros(max(n, m), dtype=dtype),
        on=np.empty(n, dtype=np.int64),
        live=np.empty(n, dtype=np.int64),
        every=np.arange(max(n, m)),
    )
