"""The inputs of training, made a block of examples at a time inside compiled functions.

The numbers are those of `sampling.batches`, word by word: a model sees the same data whichever engine
trains it. A 64-bit hash for two numbers costs about a nanosecond in vector registers, so that
skipping from one active feature to the next, whose logarithms do not vectorize, would pay only at
densities below about 0.02, and would need a stream of its own.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ...features import FeatureDistribution
from ..compiled import compiled_on_borrowed
from ..sampling.batches import Mask, is_plainly_drawn, uniform_scale
from ..sampling.gated import GateTables, gate_tables
from ..sampling.quantile import CellTables, cell_tables
from ..sampling.random_words import GOLDEN
from .lane_products import BLOCK
from .lanes import (
    LANES,
    is_above,
    magnitudes,
    multiply_add,
    signed_magnitudes,
    splat,
    store,
)

__all__ = ["InputTables", "absorb_word", "fill_block", "input_tables"]

Floats = NDArray[np.float64]

_WORD_MASK = 0xFFFF_FFFF_FFFF_FFFF
_GOLDEN: Final = np.uint64(GOLDEN & _WORD_MASK)
_FIRST_FACTOR: Final = np.uint64(0xBF58_476D_1CE4_E5B9)
_SECOND_FACTOR: Final = np.uint64(0x94D0_49BB_1331_11EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)

_PAIRS: Final = BLOCK // 2
_QUANTILE_STEPS: Final = 3


class InputTables(NamedTuple):
    """What the inputs of some models are drawn from, as compiled functions take it.

    Attributes
    ----------
    is_plain : bool
        Whether features are independent and the sizes of their values uniform on [0, 1]; else
        `gates` and `cells` say what they are.
    scale : ndarray of the dtype of training, shape (models, n_features)
        As `uniform_scale` makes it; of plain inputs.
    gates : GateTables
    cells : CellTables
    is_uniform, is_symmetric : bool
        Whether absolute values are uniform on [0, 1], and whether signs are random.
    """

    is_plain: bool
    scale: NDArray[Any]
    gates: GateTables
    cells: CellTables
    is_uniform: bool
    is_symmetric: bool


def input_tables(
    features: FeatureDistribution, density: Floats, dtype: torch.dtype, mask: Mask = "example"
) -> InputTables:
    """Return the tables of a distribution, for densities of shape (models, n_features)."""
    # Another order of the entries in memory is another type, and would be compiled anew.
    density = np.ascontiguousarray(density)
    values = features.values
    is_plain = is_plainly_drawn(features, density.shape[1], mask)
    number = np.float32 if dtype == torch.float32 else np.float64
    # Plain inputs have no use for the tables of gates, but compiled code wants the same types.
    return InputTables(
        is_plain=is_plain,
        scale=uniform_scale(density, dtype).astype(number),
        gates=gate_tables(features, density[:1] if is_plain else density, mask == "batch"),
        cells=cell_tables(values),
        is_uniform=len(values.coefficients) == 1,
        is_symmetric=values.symmetric,
    )


@compiled_on_borrowed
def _mixed(word: Any) -> Any:
    """Return SplitMix64's finaliser of a word: `random_words.mix64_` of one number."""
    word = (word ^ (word >> _30)) * _FIRST_FACTOR
    word = (word ^ (word >> _27)) * _SECOND_FACTOR
    return word ^ (word >> _31)


@compiled_on_borrowed
def absorb_word(key: Any, word: int) -> Any:
    """Hash one more word into a key: `random_words.batch_keys` of one number."""
    return _mixed(key + np.uint64(word) * _GOLDEN)


@compiled_on_borrowed
def _hash_row(key: Any, row: int, first_pair: int, words: Any) -> None:
    start = key + ((np.uint64(row) << _32) + np.uint64(first_pair)) * _GOLDEN
    for p in range(_PAIRS):
        words[p] = _mixed(start + np.uint64(p) * _GOLDEN)


@compiled_on_borrowed
def fill_block(
    tables: InputTables,
    model: int,
    key: Any,
    first: int,
    count: int,
    words: Any,
    halves: Any,
    uniform: Any,
    block: Any,
    rows: Any,
) -> int:
    """Draw a block of examples, and keep the features that are on in any of them.

    Parameters
    ----------
    tables : InputTables
    model : int
        Row of the tables.
    key : uint64
        Of the batch.
    first : int
        Number of the block's first example in its batch; a multiple of `BLOCK`.
    count : int
        Examples that the batch has from there on. Those that it has not are set to zero.
    words, halves : arrays
        Scratch: BLOCK/2 uint64, and the same memory as int32.
    uniform : array of float64
        Scratch: BLOCK for each stream, and two more; of inputs that are not plain.
    block : array
        Receives row k, example l at k · BLOCK + l: the values of feature rows[k].
    rows : array of int64

    Returns
    -------
    int
        How many features are kept.
    """
    n_features = tables.scale.shape[1]
    if not tables.is_plain:
        _draw_streams(tables.gates.n_streams, key, first, words, halves, uniform)
        if tables.gates.per_batch:
            _repeat_first(n_features, tables.gates.n_streams, key, words, halves, uniform)
    kept = 0
    for i in range(n_features):
        place = kept * BLOCK
        if tables.is_plain:
            _hash_row(key, i, first // 2, words)
            scale = splat(tables.scale[model, i])
            is_on = _fill_plain(halves, scale, tables.is_symmetric, block, place)
        else:
            is_on = _fill_gated(tables, model, i, uniform, block, place)
        for l in range(count, BLOCK):
            block[place + l] = 0.0
        rows[kept] = i
        kept += is_on
    return kept


@compiled_on_borrowed
def _fill_plain(halves: Any, scale: Any, is_symmetric: bool, block: Any, place: int) -> bool:
    """Write the values of a feature, and say whether it is on in an example."""
    zero = splat(block.dtype.type(0))
    squares = zero
    for l in range(0, BLOCK, LANES):
        values = (
            signed_magnitudes(halves, l, scale) if is_symmetric else magnitudes(halves, l, scale)
        )
        squares = multiply_add(values, values, squares)
        store(block, place + l, values)
    return bool(is_above(squares, zero) > 0)


@compiled_on_borrowed
def _draw_streams(
    n_streams: int, key: Any, first: int, words: Any, halves: Any, uniform: Any
) -> None:
    """Write numbers uniform on (0, 1], with random signs, one row for each stream."""
    for row in range(n_streams):
        _hash_row(key, row, first // 2, words)
        for l in range(BLOCK):
            v = float(halves[l])
            uniform[row * BLOCK + l] = np.copysign(max(abs(v), 1.0) * 2.0**-31, v)


@compiled_on_borrowed
def _repeat_first(
    first_row: int, n_streams: int, key: Any, words: Any, halves: Any, uniform: Any
) -> None:
    """Overwrite the streams after the features' with the first number of each."""
    for row in range(first_row, n_streams):
        _hash_row(key, row, 0, words)
        decides = max(abs(float(halves[0])), 1.0) * 2.0**-31
        for l in range(BLOCK):
            uniform[row * BLOCK + l] = decides


@compiled_on_borrowed
def _fill_gated(
    tables: InputTables, model: int, i: int, uniform: Any, block: Any, place: int
) -> bool:
    """Write the values of a feature, and say whether it is on in an example."""
    gates = tables.gates
    lower, upper, scale = gates.lower[model, i], gates.upper[model, i], gates.scale[model, i]
    switch = gates.selector[i] * BLOCK
    is_on = False
    for l in range(BLOCK):
        decides, own = abs(uniform[switch + l]), uniform[i * BLOCK + l]
        x = 0.0
        if lower < decides <= upper:
            x = min(abs(own) * scale, 1.0)
            if not tables.is_uniform:
                x = _quantile(tables.cells, x)
            if tables.is_symmetric:
                x = np.copysign(x, own)
            is_on = True
        block[place + l] = x
    return is_on


@compiled_on_borrowed
def _quantile(cells: CellTables, u: float) -> Any:
    """Return x with P(x) = u: `Quantile` of one number."""
    cell, end = 0, len(cells.slope)
    while end - cell > 1:
        middle = (cell + end) // 2
        if cells.u[middle] < u:
            cell = middle
        else:
            end = middle
    low, high = cells.x[cell], cells.x[cell + 1]
    x = (u - cells.u[cell]) * cells.slope[cell] + low
    for _ in range(_QUANTILE_STEPS):
        x = min(max(x, low), high)
        missing = _horner(cells.cumulative, x) * x - u
        x -= missing / max(_horner(cells.density, x), 1e-300)
    return min(max(x, low), high)


@compiled_on_borrowed
def _horner(coefficients: Any, x: float) -> Any:
    total = coefficients[-1]
    for k in range(len(coefficients) - 2, -1, -1):
        total = total * x + coefficients[k]
    return float(total)
