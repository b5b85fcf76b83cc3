"""Loss and gradient of one model on one batch, made and used a block of examples at a time.

The formulas are those of `sampled_gradient`. With h = W x and c_i = 2 I_i/batch · scale,

    δ_i = c_i (x̂_i − x_i) σ'(z_i),   dL/dW = Σ (W δ) xᵀ + h δᵀ,   dL/db = Σ δ,

summed over the examples of a block, which never leaves the cache. Features that are off in all of a
block, and outputs that are clipped in all of it, take no part in the products. An example with
nothing on has h = 0 and x̂ = σ(b): blocks of them are counted, not computed, and the zeros that fill
the last block up are counted as −1 each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled_on_borrowed
from .lane_inputs import InputTables, fill_block
from .lane_products import BLOCK, add_overlaps, combine
from .lanes import (
    LANES,
    add,
    add_totals,
    is_above,
    keep_above,
    load,
    multiply,
    multiply_add,
    splat,
    spread,
    store,
    subtract,
    total,
)

__all__ = ["Scratch", "evaluate", "new_scratch"]


class Scratch(NamedTuple):
    """Memory of one worker; blocks are one-dimensional, `BLOCK` entries for each row."""

    words: NDArray[np.uint64]
    halves: NDArray[np.int32]
    uniform: NDArray[np.float64]
    x: NDArray[Any]
    h: NDArray[Any]
    delta: NDArray[Any]
    back: NDArray[Any]
    overlaps: NDArray[Any]
    gradient: NDArray[Any]
    zeros: NDArray[Any]
    on: NDArray[np.int64]
    live: NDArray[np.int64]
    every: NDArray[np.int64]


def new_scratch(n_features: int, n_hidden: int, n_streams: int, dtype: Any) -> Scratch:
    """Return memory for models of a size; `n_streams` as in `GateTables`."""
    n, m = n_features, n_hidden
    words = np.empty(BLOCK // 2, dtype=np.uint64)
    # A row of zeros follows the rows of x: the values of any feature that is off.
    return Scratch(
        words=words,
        halves=words.view(np.int32),
        uniform=np.empty(n_streams * BLOCK),
        x=np.zeros((n + 1) * BLOCK, dtype=dtype),
        h=np.empty(m * BLOCK, dtype=dtype),
        delta=np.empty(n * BLOCK, dtype=dtype),
        back=np.empty(m * BLOCK, dtype=dtype),
        overlaps=np.empty(m * n, dtype=dtype),
        gradient=np.empty((m + 1) * n, dtype=dtype),
        zeros=np.zeros(max(n, m), dtype=dtype),
        on=np.empty(n, dtype=np.int64),
        live=np.empty(n, dtype=np.int64),
        every=np.arange(max(n, m)),
    )


@compiled_on_borrowed
def evaluate(
    scratch: Scratch,
    tables: InputTables,
    model: int,
    key: Any,
    batch_size: int,
    parameters: Any,
    importance: Any,
    penalty: Any,
    scale: Any,
    bound: Any,
    wants_loss: bool,
) -> float:
    """Set `scratch.gradient` to that of the objective on one batch; return the loss if wanted.

    Parameters
    ----------
    scratch : Scratch
    tables : InputTables
    model : int
        Row of the tables.
    key : uint64
        Of the batch.
    batch_size : int
    parameters : array, shape (m·n + n,)
        W row by row, then b.
    importance : array, shape (n,)
    penalty : float
    scale : float
        Factor of the objective, not of the loss.
    bound : float
        Outputs are z where z > bound and 0 elsewhere: 0, or −∞ for linear models.
    wants_loss : bool

    Returns
    -------
    float
        Σ_i I_i mean (x_i − x̂_i)², with the interference penalty.
    """
    n = len(importance)
    gradient, b = scratch.gradient, parameters[len(parameters) - n :]
    gradient[:] = 0.0
    factor = scale * 2 / batch_size
    errors = 0.0
    idle = batch_size
    for first in range(0, batch_size, BLOCK):
        n_on = fill_block(
            tables,
            model,
            key,
            first,
            batch_size - first,
            scratch.words,
            scratch.halves,
            scratch.uniform,
            scratch.x,
            scratch.on,
        )
        if n_on:
            idle -= BLOCK
            if n == 2 and len(parameters) == 4:
                errors += _add_block_of_pair(
                    scratch, n_on, parameters, importance, factor, bound, wants_loss
                )
            else:
                errors += _add_block(
                    scratch, n_on, parameters, b, importance, factor, bound, wants_loss
                )
    errors += _add_idle(gradient, b, importance, factor, bound, idle)
    loss = errors / batch_size
    if penalty != 0:
        loss += _add_penalty(gradient, parameters, n, penalty, scale)
    return loss


@compiled_on_borrowed
def _add_block(
    scratch: Scratch,
    n_on: int,
    W: Any,
    b: Any,
    importance: Any,
    factor: Any,
    bound: Any,
    wants_loss: bool,
) -> float:
    n = len(importance)
    m = len(W) // n - 1
    x, h, delta, back = scratch.x, scratch.h, scratch.delta, scratch.back
    combine(W, n, 1, scratch.zeros, m, x, scratch.on, n_on, h)
    combine(W, 1, n, b, n, h, scratch.every, m, delta)
    errors = 0.0
    if wants_loss:
        errors = _squared_errors(scratch, n_on, importance, bound)
    n_live = _back_through_outputs(scratch, n_on, importance, factor, bound)
    combine(W, n, 1, scratch.zeros, m, delta, scratch.live, n_live, back)
    _add_products(scratch, back, m, x, scratch.on, n_on, n)
    _add_products(scratch, h, m, delta, scratch.live, n_live, n)
    return errors


@compiled_on_borrowed
def _add_block_of_pair(
    scratch: Scratch,
    n_on: int,
    parameters: Any,
    importance: Any,
    factor: Any,
    bound: Any,
    wants_loss: bool,
) -> float:
    """`_add_block` for two features in one dimension, all of it in registers: twice as fast."""
    x, kind = scratch.x, scratch.x.dtype.type
    zero, limit = splat(kind(0)), splat(bound)
    w1, w2 = spread(parameters, 0), spread(parameters, 1)
    b1, b2 = spread(parameters, 2), spread(parameters, 3)
    weight1, weight2 = splat(kind(importance[0] * factor)), splat(kind(importance[1] * factor))
    place1 = 0 if scratch.on[0] == 0 else 2 * BLOCK
    place2 = (n_on - 1) * BLOCK if scratch.on[n_on - 1] == 1 else 2 * BLOCK
    db1, db2, forth1, forth2, back1, back2 = zero, zero, zero, zero, zero, zero
    squares1, squares2 = zero, zero
    for l in range(0, BLOCK, LANES):
        x1, x2 = load(x, place1 + l), load(x, place2 + l)
        h = multiply_add(w1, x1, multiply(w2, x2))
        z1, z2 = multiply_add(w1, h, b1), multiply_add(w2, h, b2)
        delta1 = keep_above(multiply(subtract(z1, x1), weight1), z1, limit)
        delta2 = keep_above(multiply(subtract(z2, x2), weight2), z2, limit)
        back = multiply_add(w1, delta1, multiply(w2, delta2))
        db1, db2 = add(db1, delta1), add(db2, delta2)
        forth1, forth2 = multiply_add(h, delta1, forth1), multiply_add(h, delta2, forth2)
        back1, back2 = multiply_add(back, x1, back1), multiply_add(back, x2, back2)
        if wants_loss:
            error1 = subtract(keep_above(z1, z1, limit), x1)
            error2 = subtract(keep_above(z2, z2, limit), x2)
            squares1 = multiply_add(error1, error1, squares1)
            squares2 = multiply_add(error2, error2, squares2)
    add_totals(scratch.gradient, 0, add(forth1, back1), add(forth2, back2), db1, db2)
    return float(importance[0] * total(squares1) + importance[1] * total(squares2))


@compiled_on_borrowed
def _back_through_outputs(
    scratch: Scratch, n_on: int, importance: Any, factor: Any, bound: Any
) -> int:
    """Replace z by δ, keep the rows in which an output is not clipped, and add up dL/db."""
    n = len(importance)
    x, delta = scratch.x, scratch.delta
    limit = splat(bound)
    next_on, n_live = 0, 0
    for i in range(n):
        own = n
        if next_on < n_on and scratch.on[next_on] == i:
            own = next_on
            next_on += 1
        weight = splat(delta.dtype.type(importance[i] * factor))
        slope, passed = splat(delta.dtype.type(0)), 0
        for l in range(0, BLOCK, LANES):
            z = load(delta, i * BLOCK + l)
            error = multiply(subtract(z, load(x, own * BLOCK + l)), weight)
            kept = keep_above(error, z, limit)
            passed |= is_above(z, limit)
            slope = add(slope, kept)
            store(delta, n_live * BLOCK + l, kept)
        scratch.gradient[len(scratch.gradient) - n + i] += total(slope)
        scratch.live[n_live] = i
        n_live += passed > 0
    return n_live


@compiled_on_borrowed
def _squared_errors(scratch: Scratch, n_on: int, importance: Any, bound: Any) -> float:
    n = len(importance)
    limit = splat(bound)
    errors = 0.0
    next_on = 0
    for i in range(n):
        own = n
        if next_on < n_on and scratch.on[next_on] == i:
            own = next_on
            next_on += 1
        squares = splat(scratch.x.dtype.type(0))
        for l in range(0, BLOCK, LANES):
            z = load(scratch.delta, i * BLOCK + l)
            error = subtract(keep_above(z, z, limit), load(scratch.x, own * BLOCK + l))
            squares = multiply_add(error, error, squares)
        errors += importance[i] * total(squares)
    return errors


@compiled_on_borrowed
def _add_products(
    scratch: Scratch, first: Any, m: int, second: Any, columns: Any, n_columns: int, n: int
) -> None:
    """Add Σ_l first[a]_l second[k]_l to entry (a, columns[k]) of dL/dW."""
    if n_columns == n:
        add_overlaps(first, m, second, n, scratch.gradient)
        return
    overlaps = scratch.overlaps
    overlaps[: m * n_columns] = 0.0
    add_overlaps(first, m, second, n_columns, overlaps)
    for a in range(m):
        for k in range(n_columns):
            scratch.gradient[a * n + columns[k]] += overlaps[a * n_columns + k]


@compiled_on_borrowed
def _add_idle(gradient: Any, b: Any, importance: Any, factor: Any, bound: Any, count: int) -> float:
    """Add `count` examples with nothing on, and return their squared errors."""
    n = len(b)
    errors = 0.0
    for i in range(n):
        output = b[i] if b[i] > bound else b.dtype.type(0)
        gradient[len(gradient) - n + i] += importance[i] * factor * count * output
        errors += importance[i] * count * output * output
    return errors


@compiled_on_borrowed
def _add_penalty(gradient: Any, W: Any, n: int, penalty: Any, scale: Any) -> float:
    """Add the gradient of λ Σ_{i≠j} (W_i·W_j)², and return it."""
    m = len(W) // n - 1
    interference = 0.0
    factor = penalty * scale * 4
    for a in range(m):
        for c in range(m):
            # W (G − diag G) = (W Wᵀ) W − W diag G, without the n × n matrix.
            overlap = 0.0
            for j in range(n):
                overlap += W[a * n + j] * W[c * n + j]
            interference += overlap * overlap
            for j in range(n):
                gradient[a * n + j] += factor * overlap * W[c * n + j]
    for j in range(n):
        square = 0.0
        for a in range(m):
            square += W[a * n + j] * W[a * n + j]
        interference -= square * square
        for a in range(m):
            gradient[a * n + j] -= factor * square * W[a * n + j]
    return float(penalty * interference)
