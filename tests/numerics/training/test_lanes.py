"""Vectors in registers and products of blocks, against NumPy on the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from superposition.numerics.training.lane_products import BLOCK, add_overlaps, combine
from superposition.numerics.training.lanes import (
    LANES,
    absolute,
    add,
    add_totals,
    is_above,
    keep_above,
    load,
    magnitudes,
    multiply,
    multiply_add,
    signed_magnitudes,
    splat,
    spread,
    store,
    subtract,
    total,
)

Array = NDArray[Any]
compiled: Callable[..., Any] = numba.njit
both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@compiled
def arithmetic(a: Array, b: Array, c: Array, out: Array) -> Any:
    """Every operation once, from entry 1 on, so that nothing is aligned."""
    x, y, z = load(a, 1), load(b, 1), load(c, 1)
    store(out, 0, add(x, y))
    store(out, LANES, subtract(x, y))
    store(out, 2 * LANES, multiply(x, y))
    store(out, 3 * LANES, multiply_add(x, y, z))
    store(out, 4 * LANES, keep_above(x, y, z))
    store(out, 5 * LANES, spread(a, 3))
    store(out, 6 * LANES, splat(b[5]))
    add_totals(out, 7 * LANES, x, y, z, multiply(x, x))
    return is_above(x, y), total(x)


@both_types
def test_operations(dtype: Any) -> None:
    # Small integers: every sum and product is exact, whatever the order and the fusion.
    a, b, c = np.random.default_rng(0).integers(-9, 9, (3, LANES + 1)).astype(dtype)
    out = np.ones(8 * LANES, dtype=dtype)
    mask, whole = arithmetic(a, b, c, out)
    x, y, z = a[1:], b[1:], c[1:]
    rows = out.reshape(8, LANES)
    for row, expected in zip(
        rows,
        [x + y, x - y, x * y, x * y + z, np.where(y > z, x, 0), a[3], b[5]],
        strict=False,
    ):
        np.testing.assert_array_equal(row, np.broadcast_to(expected, LANES))
    np.testing.assert_array_equal(rows[7, :4], 1 + np.array([x, y, z, x * x]).sum(axis=1))
    np.testing.assert_array_equal(rows[7, 4:], 1)
    assert [mask >> k & 1 for k in range(LANES)] == (x > y).tolist()
    assert whole == x.sum()


@compiled
def sizes(integers: Array, scale: Any, out: Array) -> None:
    store(out, 0, magnitudes(integers, 0, splat(scale)))
    store(out, LANES, signed_magnitudes(integers, 0, splat(scale)))
    store(out, 2 * LANES, absolute(load(out, LANES)))


@both_types
def test_magnitudes_up_to_one(dtype: Any) -> None:
    integers = np.zeros(LANES, dtype=np.int32)
    integers[:7] = 0, 1, -1, 2**31 - 1, -(2**31), 2**30, -(2**30) - 2**10
    out = np.empty(3 * LANES, dtype=dtype)
    sizes(integers, dtype(2.0**-30), out)
    tiny = 2.0**-30
    plain, signed, unsigned = out.reshape(3, LANES)[:, :7].tolist()
    assert plain == unsigned == [0, tiny, tiny, 0, 0, 1, 0]
    assert signed == [0, tiny, -tiny, 0, 0, 1, 0]


@both_types
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("columns", [1, 2, 4, 7, 9])
def test_products_of_blocks(rows: int, columns: int, dtype: Any) -> None:
    rng = np.random.default_rng([rows, columns])
    A = rng.integers(-9, 9, (rows, columns + 3)).astype(dtype)
    block, other = (rng.integers(-9, 9, (k, BLOCK)).astype(dtype) for k in (columns, rows))
    offsets = rng.integers(-9, 9, rows).astype(dtype)
    chosen = np.sort(rng.permutation(columns + 3)[:columns])
    expected = offsets[:, None] + A[:, chosen] @ block
    for flat, strides in ((A, (columns + 3, 1)), (A.T.copy(), (1, rows))):
        result = np.full((rows + 1, BLOCK), 77, dtype=dtype)
        combine(
            flat.ravel(), *strides, offsets, rows, block.ravel(), chosen, columns, result.ravel()
        )
        np.testing.assert_array_equal(result[:rows], expected)
        assert (result[rows] == 77).all()
    overlaps = np.ones((rows, columns), dtype=dtype)
    add_overlaps(other.ravel(), rows, block.ravel(), columns, overlaps.ravel())
    np.testing.assert_array_equal(overlaps, 1 + other @ block.T)
