"""The optimal bias of one output: what was found, and how an honest failure looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy

__all__ = ["BiasPiece", "BiasRegime", "OptimalBias", "UnsolvedBiasError", "beta"]

beta = sympy.Symbol("beta", real=True)
"""The bias while it is a variable."""


class UnsolvedBiasError(ValueError):
    """An `OPTIMAL` bias has no closed form that this package can find.

    Attributes
    ----------
    output : int
        Index of the output.
    reason : str
        Why not.
    equation : sympy.Expr or None
        Expression in `beta` whose root is the minimizer.

    Examples
    --------
    The best bias of an antipodal pair solves a cubic whose coefficients contain the density. A
    number for the density makes it an algebraic number, which is found exactly:

    >>> from superposition.theory import OPTIMAL, expected_loss
    >>> expected_loss([[1, -1]], [OPTIMAL, 0])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    superposition.theory.bias.UnsolvedBiasError: the optimal bias of output 0 ...
    >>> loss = expected_loss([[1, -1]], [OPTIMAL, OPTIMAL], density=0.5)
    >>> round(float(loss), 6)
    0.076651
    """

    def __init__(self, output: int, reason: str, equation: sympy.Expr | None = None) -> None:
        self.output = output
        self.reason = reason
        self.equation = equation
        super().__init__(
            f"the optimal bias of output {output} has no closed form: {reason}; "
            f"pass a number for the density or a value for the bias"
        )


@dataclass(frozen=True)
class BiasPiece:
    """An interval of biases on which the error is one polynomial.

    Attributes
    ----------
    lower, upper
        Ends of the interval, possibly infinite.
    loss
        The error as a polynomial in `beta` and the density.
    """

    lower: sympy.Expr
    upper: sympy.Expr
    loss: sympy.Expr


@dataclass(frozen=True)
class BiasRegime:
    """The minimizer for a range of densities.

    Attributes
    ----------
    density_range
        Closed interval of densities; the one point for a numeric density.
    bias, loss
        The minimizer and the error there.
    equation
        Irreducible expression in `beta` that vanishes at the minimizer.
    piece
        The piece on which the minimizer lies.
    """

    density_range: sympy.Set
    bias: sympy.Expr
    loss: sympy.Expr
    equation: sympy.Expr
    piece: BiasPiece


@dataclass(frozen=True)
class OptimalBias:
    """The global minimizer of one output's error over its bias.

    Where a stretch of biases is equally good (an output that is best left dead) its end is
    returned.

    Attributes
    ----------
    output
        Index of the output.
    density
        The density that the regimes distinguish.
    pieces
        The error on each piece, in ascending order of the bias.
    regimes
        The minimizer, in ascending order of the density.
    """

    output: int
    density: sympy.Expr
    pieces: tuple[BiasPiece, ...]
    regimes: tuple[BiasRegime, ...]

    @cached_property
    def bias(self) -> sympy.Expr:
        """The minimizer; a Piecewise in the density if there are several regimes."""
        return self._by_density([regime.bias for regime in self.regimes])

    @cached_property
    def loss(self) -> sympy.Expr:
        """The minimal error; a Piecewise in the density if there are several regimes."""
        return self._by_density([regime.loss for regime in self.regimes])

    def _by_density(self, values: Sequence[sympy.Expr]) -> sympy.Expr:
        ends = [self.density <= regime.density_range.end for regime in self.regimes[:-1]]
        return sympy.Piecewise(*zip(values, [*ends, True], strict=True))
