"""The outputs of a block of examples: their errors, and what of them goes back.

Row i of `scratch.delta` holds z_i before, and afterwards δ_i for the outputs that pass anything. The
targets of a block are those of the features that are on, in the order of `scratch.on`, and a row of
zeros behind all.
"""

from __future__ import annotations

from typing import Any

from ..compiled import compiled_on_borrowed
from .fused_scratch import Scratch
from .lane_products import BLOCK
from .lanes import (
    LANES,
    add,
    is_above,
    keep_above,
    load,
    multiply,
    multiply_add,
    splat,
    store,
    subtract,
    total,
)

__all__ = ["add_idle", "back_through_outputs", "squared_errors"]


@compiled_on_borrowed
def back_through_outputs(
    scratch: Scratch, n_on: int, target: Any, importance: Any, factor: Any, bound: Any
) -> int:
    """Replace z by δ, keep the rows in which an output is not clipped, and add up dL/db."""
    n = len(importance)
    delta = scratch.delta
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
            error = multiply(subtract(z, load(target, own * BLOCK + l)), weight)
            kept = keep_above(error, z, limit)
            passed |= is_above(z, limit)
            slope = add(slope, kept)
            store(delta, n_live * BLOCK + l, kept)
        scratch.gradient[len(scratch.gradient) - n + i] += total(slope)
        scratch.live[n_live] = i
        n_live += passed > 0
    return n_live


@compiled_on_borrowed
def squared_errors(scratch: Scratch, n_on: int, target: Any, importance: Any, bound: Any) -> float:
    """Return Σ_i I_i (x̂_i − t_i)² over the examples of a block; `scratch.delta` holds z."""
    n = len(importance)
    limit = splat(bound)
    errors = 0.0
    next_on = 0
    for i in range(n):
        own = n
        if next_on < n_on and scratch.on[next_on] == i:
            own = next_on
            next_on += 1
        squares = splat(scratch.delta.dtype.type(0))
        for l in range(0, BLOCK, LANES):
            z = load(scratch.delta, i * BLOCK + l)
            error = subtract(keep_above(z, z, limit), load(target, own * BLOCK + l))
            squares = multiply_add(error, error, squares)
        errors += importance[i] * total(squares)
    return errors


@compiled_on_borrowed
def add_idle(gradient: Any, b: Any, importance: Any, factor: Any, bound: Any, count: int) -> float:
    """Add `count` examples with nothing on, and return their squared errors."""
    n = len(b)
    errors = 0.0
    for i in range(n):
        output = b[i] if b[i] > bound else b.dtype.type(0)
        gradient[len(gradient) - n + i] += importance[i] * factor * count * output
        errors += importance[i] * count * output * output
    return errors
