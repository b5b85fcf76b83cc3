"""Loss and gradient of one model on one batch, made and used a block of examples at a time.

The formulas are those of `two_layer_gradient`. With h = ρ(W x), z = V h + b, x̂ = σ(z), the target
t(x) and c_i = 2 I_i/batch · scale,

    δ_i = c_i (x̂_i − t_i) σ'(z_i),   dL/dV = Σ δ hᵀ,   dL/db = Σ δ,
    dL/dW = Σ (Vᵀδ ∘ ρ'(W x)) xᵀ,

summed over the examples of a block, which never leaves the cache; where V = Wᵀ the transpose of
dL/dV is added to dL/dW. Features that are off in all of a block, and outputs that are clipped in all
of it, take no part in the products. An example with nothing on has h = 0 and x̂ = σ(b): blocks of
them are counted, not computed, and the zeros that fill the last block up are counted as −1 each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...architecture import Architecture
from ...model import Activation
from ..compiled import compiled_on_borrowed
from .fused_outputs import add_idle, back_through_outputs, squared_errors
from .fused_scratch import Scratch
from .lane_inputs import InputTables, fill_block
from .lane_products import BLOCK, add_overlaps, combine
from .lanes import (
    LANES,
    absolute,
    add,
    add_totals,
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

__all__ = ["Network", "evaluate", "network_of"]


class Network(NamedTuple):
    """What a model computes and is asked for, as compiled functions take it.

    Attributes
    ----------
    n_hidden : int
    is_tied : bool
        Whether V = Wᵀ. The parameters are W row by row, V row by row if it is another, and b.
    is_rectified : bool
        Whether ρ is ReLU rather than the identity.
    is_absolute : bool
        Whether t(x) is |x| rather than x.
    is_pair : bool
        Whether it is the standard model of two features in one dimension.
    bound : ndarray of the dtype of training, shape (1,)
        Outputs are z where z is above it and 0 elsewhere: 0, or −∞ for linear outputs.
    """

    n_hidden: int
    is_tied: bool
    is_rectified: bool
    is_absolute: bool
    is_pair: bool
    bound: NDArray[Any]


def network_of(
    architecture: Architecture, activation: Activation, n_features: int, n_hidden: int, dtype: Any
) -> Network:
    """Return the description of models of a size."""
    return Network(
        n_hidden=n_hidden,
        is_tied=architecture.tied,
        is_rectified=architecture.hidden == "relu",
        is_absolute=architecture.target == "absolute",
        is_pair=architecture.is_standard and (n_features, n_hidden) == (2, 1),
        bound=np.array([0.0 if activation == "relu" else -np.inf], dtype=dtype),
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
    network: Network,
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
    parameters : array
        As `Network` says.
    importance : array, shape (n,)
    penalty : float
    scale : float
        Factor of the objective, not of the loss.
    network : Network
    wants_loss : bool

    Returns
    -------
    float
        Σ_i I_i mean (t_i − x̂_i)², with the interference penalty.
    """
    n = len(importance)
    gradient, b = scratch.gradient, parameters[len(parameters) - n :]
    gradient[:] = 0.0
    factor, bound = scale * 2 / batch_size, network.bound[0]
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
            if network.is_pair:
                errors += _add_block_of_pair(
                    scratch, n_on, parameters, importance, factor, bound, wants_loss
                )
            else:
                errors += _add_block(
                    scratch, n_on, network, parameters, b, importance, factor, wants_loss
                )
    errors += add_idle(gradient, b, importance, factor, bound, idle)
    loss = errors / batch_size
    if penalty != 0:
        loss += _add_penalty(gradient, parameters, n, penalty, scale)
    return loss


@compiled_on_borrowed
def _add_block(
    scratch: Scratch,
    n_on: int,
    network: Network,
    parameters: Any,
    b: Any,
    importance: Any,
    factor: Any,
    wants_loss: bool,
) -> float:
    n, m, bound = len(importance), network.n_hidden, network.bound[0]
    x, h, delta, back = scratch.x, scratch.h, scratch.delta, scratch.back
    # V[i, a] is entry i · by_output + a · by_hidden of the decoder.
    decoder, by_output, by_hidden = parameters, 1, n
    if not network.is_tied:
        decoder, by_output, by_hidden = parameters[m * n :], m, 1
    combine(parameters, n, 1, scratch.zeros, m, x, scratch.on, n_on, h)
    if network.is_rectified:
        _keep_where_on(h, h, m)
    combine(decoder, by_output, by_hidden, b, n, h, scratch.every, m, delta)
    target = x
    if network.is_absolute:
        target = scratch.target
        _write_absolute_values(x, n_on, target)
    errors = 0.0
    if wants_loss:
        errors = squared_errors(scratch, n_on, target, importance, bound)
    n_live = back_through_outputs(scratch, n_on, target, importance, factor, bound)
    combine(decoder, by_hidden, by_output, scratch.zeros, m, delta, scratch.live, n_live, back)
    if network.is_rectified:
        _keep_where_on(back, h, m)
    _add_products(scratch, back, m, x, scratch.on, n_on, n)
    if network.is_tied:
        _add_products(scratch, h, m, delta, scratch.live, n_live, n)
    else:
        _add_products_of_decoder(scratch, delta, scratch.live, n_live, h, m, n)
    return errors


@compiled_on_borrowed
def _keep_where_on(block: Any, decides: Any, n_rows: int) -> None:
    """Set entries of some rows to 0 where those of another block are not above 0."""
    zero = splat(block.dtype.type(0))
    for place in range(0, n_rows * BLOCK, LANES):
        store(block, place, keep_above(load(block, place), load(decides, place), zero))


@compiled_on_borrowed
def _write_absolute_values(block: Any, n_rows: int, result: Any) -> None:
    """Write the absolute values of some rows to another block."""
    for place in range(0, n_rows * BLOCK, LANES):
        store(result, place, absolute(load(block, place)))


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
def _add_products_of_decoder(
    scratch: Scratch, delta: Any, rows: Any, n_rows: int, h: Any, m: int, n: int
) -> None:
    """Add Σ_l delta[k]_l h[a]_l to entry (rows[k], a) of dL/dV."""
    gradient, overlaps = scratch.gradient[m * n :], scratch.overlaps
    if n_rows == n:
        add_overlaps(delta, n, h, m, gradient)
        return
    overlaps[: n_rows * m] = 0.0
    add_overlaps(delta, n_rows, h, m, overlaps)
    for k in range(n_rows):
        for a in range(m):
            gradient[rows[k] * m + a] += overlaps[k * m + a]


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
