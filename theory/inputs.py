"""What callers pass, turned into exact SymPy objects or refused with a reason.

A float is taken for the rational number that it stores: 0.5 is 1/2, and 0.1 is
3602879701896397/36028797018963968. So every result stays exact and a float input is never
silently replaced by a prettier number; write ``Fraction(1, 10)`` where 1/10 is meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from ..features import FeatureDistribution, GateKind
from .symbols import OPTIMAL, Optimal

__all__ = [
    "as_exact",
    "read_bias",
    "read_density",
    "read_importance",
    "read_joint_density",
    "read_penalty",
    "read_weights",
]


def as_exact(value: Any, name: str = "value") -> sympy.Expr:
    """Return `value` as an exact SymPy expression; floats become the rationals they store.

    Raises
    ------
    ValueError
        If `value` is neither a number nor a SymPy expression, or is not finite and real.

    Examples
    --------
    >>> as_exact(0.75)
    3/4
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, Fraction, np.integer, np.floating, sympy.Expr)
    ):
        raise ValueError(f"{name} must be a number or a SymPy expression, got {value!r}")
    if isinstance(value, sympy.Expr):
        expression = value.replace(lambda e: e.is_Float, sympy.Rational)
    elif isinstance(value, (float, np.floating)):
        expression = sympy.Rational(float(value)) if np.isfinite(value) else sympy.nan
    else:
        expression = sympy.sympify(int(value) if isinstance(value, np.integer) else value)
    if expression.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo) or expression.is_real is False:
        raise ValueError(f"{name} must be finite and real, got {value!r}")
    return expression


def read_weights(W: Any) -> sympy.ImmutableMatrix:
    """Return W, of shape (m, n) = (n_hidden, n_features), as an exact immutable matrix.

    Raises
    ------
    ValueError
        If W is not a rectangle of numbers or expressions with at least one row and one column.
    """
    if isinstance(W, sympy.MatrixBase):
        rows: list[Any] = W.tolist()
    else:
        try:
            rows = [_as_row(row) for row in W]
        except TypeError as error:
            raise ValueError(
                f"W must be of shape (n_hidden, n_features), one row per hidden dimension, got {W!r}"
            ) from error
    lengths = [len(row) for row in rows]
    if not lengths or min(lengths) == 0:
        raise ValueError(f"W must have at least one row and one column, got {W!r}")
    if len(set(lengths)) > 1:
        raise ValueError(
            f"W must be of shape (n_hidden, n_features) with rows of one length, "
            f"got rows of lengths {', '.join(map(str, lengths))}"
        )
    return sympy.ImmutableMatrix(
        [
            [as_exact(entry, f"W[{j}, {i}]") for i, entry in enumerate(row)]
            for j, row in enumerate(rows)
        ]
    )


def _as_row(row: Any) -> list[Any]:
    if isinstance(row, (str, bytes)):
        raise TypeError("a string is not a row of W")
    return list(row)


def _read_vector(values: Any, n_features: int, name: str) -> tuple[sympy.Expr, ...]:
    """Return n exact entries from one value for all or one value per feature."""
    if isinstance(values, sympy.MatrixBase):
        values = values.flat()
    if isinstance(values, np.ndarray) and values.ndim == 0:
        values = values.item()
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        return (as_exact(values, name),) * n_features
    entries = tuple(values)
    if len(entries) != n_features:
        raise ValueError(
            f"{name} must be one value or n_features = {n_features} values, got {len(entries)}"
        )
    return tuple(as_exact(entry, f"{name}[{i}]") for i, entry in enumerate(entries))


def read_density(density: Any, n_features: int) -> tuple[sympy.Expr, ...]:
    """Return one exact density per feature; numbers must lie in [0, 1].

    Raises
    ------
    ValueError
        If a number lies outside [0, 1] or the count is neither one nor `n_features`.
    """
    densities = _read_vector(density, n_features, "density")
    for value in densities:
        if value.is_negative or (value.is_number and not bool((value >= 0) & (value <= 1))):
            raise ValueError(
                f"density is the probability that a feature is on and must lie in [0, 1], "
                f"got {value}"
            )
    return densities


def read_joint_density(
    density: Any, features: FeatureDistribution, n_features: int
) -> tuple[sympy.Expr, ...]:
    """Return one exact density per feature, such that they can belong to `features`.

    Where exactly one feature is on and all have one symbol for their density, it stands for the
    only value it can have, 1/n_features.

    Raises
    ------
    ValueError
        For the reasons of `read_density`; if features that are on together have different
        densities; if densities of features of which at most one is on sum to a number above 1,
        or of which exactly one is on, not to 1.

    Examples
    --------
    >>> from superposition import OneHot
    >>> read_joint_density(sympy.Symbol("s"), OneHot(), 4)
    (1/4, 1/4, 1/4, 1/4)
    """
    densities = read_density(density, n_features)
    gates = features.gates(n_features)
    if any(gate.kind is GateKind.EXACTLY_ONE for gate in gates) and (
        len(set(densities)) == 1 and densities[0].is_Symbol
    ):
        densities = (sympy.Rational(1, n_features),) * n_features
    for gate in gates:
        own = [densities[j] for j in gate.members]
        excess = sympy.expand(sympy.Add(*own) - 1)
        match gate.kind:
            case GateKind.TOGETHER:
                bad = any(sympy.expand(value - own[0]) != 0 for value in own)
            case GateKind.AT_MOST_ONE:
                bad = bool(excess.is_positive)
            case GateKind.EXACTLY_ONE:
                bad = excess != 0
        if bad:
            raise ValueError(f"{gate.requirement}, got {', '.join(map(str, own))}")
    return densities


def read_importance(importance: Any, n_features: int) -> tuple[sympy.Expr, ...]:
    """Return one exact importance per feature; ``None`` is all ones.

    Raises
    ------
    ValueError
        If an importance is known to be negative or the count is neither one nor `n_features`.
    """
    importances = _read_vector(1 if importance is None else importance, n_features, "importance")
    for value in importances:
        if value.is_negative:
            raise ValueError(f"importance must be finite and at least 0, got {value}")
    return importances


def read_penalty(penalty: Any) -> sympy.Expr:
    """Return the exact penalty weight λ.

    Raises
    ------
    ValueError
        If it is known to be negative, or no number.
    """
    value = as_exact(penalty, "penalty")
    if value.is_negative:
        raise ValueError(f"penalty must be finite and at least 0, got {value}")
    return value


def read_bias(b: Any, n_features: int) -> tuple[sympy.Expr | Optimal, ...]:
    """Return n biases, each an exact expression or `OPTIMAL`; ``None`` is all zeros.

    A single `OPTIMAL` is all entries optimal.

    Raises
    ------
    ValueError
        If there are not `n_features` entries.
    """
    if b is None:
        return (sympy.S.Zero,) * n_features
    if b is OPTIMAL:
        return (OPTIMAL,) * n_features
    entries = tuple(b.flat() if isinstance(b, sympy.MatrixBase) else b) if _is_list(b) else None
    if entries is None or len(entries) != n_features:
        raise ValueError(
            f"b must have n_features = {n_features} entries, numbers, expressions or OPTIMAL, "
            f"got {b!r}"
        )
    return tuple(
        OPTIMAL if entry is OPTIMAL else as_exact(entry, f"b[{i}]")
        for i, entry in enumerate(entries)
    )


def _is_list(b: Any) -> bool:
    is_scalar_array = isinstance(b, np.ndarray) and b.ndim == 0
    return isinstance(b, Iterable) and not isinstance(b, (str, bytes)) and not is_scalar_array
