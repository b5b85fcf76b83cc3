"""Formulas as MathML, which browsers typeset without anything from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

import sympy
from sympy import mathml

from ...theory import OPTIMAL, Configuration, PhaseBoundary, s

__all__ = ["biases", "boundary_range", "formula"]


def formula(*parts: Any) -> str:
    """Return expressions, with text such as "=" or "s" between them, as one MathML element.

    Examples
    --------
    >>> print(formula("L=", s**2))
    <math displaystyle="true"><mtext>L=</mtext><msup><mi>s</mi><mn>2</mn></msup></math>
    """
    inner = "".join(_part(part) for part in parts)
    return f'<math displaystyle="true">{inner}</math>'


def _part(part: Any) -> str:
    if isinstance(part, str):
        return f"<mtext>{escape(part)}</mtext>".replace(" ", "\u00a0")  # others collapse
    return str(mathml(sympy.sympify(part), printer="presentation"))


def biases(configuration: Configuration) -> str:
    """Return the biases of a configuration as MathML.

    Examples
    --------
    >>> biases(Configuration("pair", [[1, -1]])).count("<mn>0</mn>")
    2
    """
    parts: list[Any] = ["("]
    for k, bias in enumerate(configuration.b):
        parts += [", "] if k else []
        parts.append("optimal" if bias is OPTIMAL else bias)
    return formula(*parts, ")")


def boundary_range(boundary: PhaseBoundary) -> str:
    """Return where a boundary is one, an inequality of the symbol that it is not solved for.

    Examples
    --------
    >>> from superposition.theory import boundaries, candidates
    >>> "4" in boundary_range(boundaries(candidates(2, 1))[0])
    True
    """
    free = sympy.Symbol("r") if boundary.solve_for == s else s
    pieces = boundary.valid.args if isinstance(boundary.valid, sympy.Union) else (boundary.valid,)
    parts: list[Any] = []
    for piece in pieces:
        parts += [" or "] if parts else []
        parts += _inequality(piece, free)
    return formula(*parts)


def _inequality(piece: sympy.Set, free: sympy.Symbol) -> list[Any]:
    if isinstance(piece, sympy.FiniteSet):
        return [free, " = ", *piece]
    parts: list[Any] = []
    if piece.start.is_finite:
        parts += [piece.start, " < " if piece.left_open else " ≤ "]
    parts.append(free)
    if piece.end.is_finite:
        parts += [" < " if piece.right_open else " ≤ ", piece.end]
    return parts
