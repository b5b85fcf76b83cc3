"""Descend the loss of a family in floats, from chamber to chamber."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from scipy.optimize import minimize as scipy_minimize

from ..fields import UndecidedSignError
from .certified_roots import (
    UncertifiedRootError,
)
from .chambers import Chamber, LossTerms
from .evaluation import FloatContext, compile_expressions, compile_with_jacobian

if TYPE_CHECKING:
    from .families import Family

__all__ = ["Atlas"]

_DENOMINATOR = 10**12  # samples are rounded to rationals with this denominator
_FLAT = 1e-9  # gradient, and then step, at which a search in floats has arrived
_DIFFERENCE = 1e-6
_POLISHING_STEPS = 25
_EDGE = 1e-6  # positive parameters below this have descended to their bound
_OFF_THE_WALL = 1e-9  # the loss is continuous, so that a search may take either side


class Atlas:
    """The chambers of a family that were met so far, by the signs at their points.

    A chamber's loss is derived once, and compiled once.

    Parameters
    ----------
    family
        The family.
    terms
        Densities, importances and penalty; they may contain symbols.
    """

    def __init__(self, family: Family, terms: LossTerms) -> None:
        """Start without chambers."""
        self.family = family
        self.terms = terms
        self.symbols = tuple(sorted(terms.free_symbols, key=str))
        self._found: dict[tuple[bool, ...], tuple[Chamber, Callable[..., list[Any]]]] = {}
        values = [value for _, _, value in family.vertex_values()]
        self._values = compile_expressions(values, family.parameters)

    def chamber(self, point: Sequence[float]) -> Chamber:
        """Return the chamber of a point, which is not to lie on a wall."""
        return self._at(point)[0]

    def loss_and_gradient(
        self, point: Sequence[float], values: Sequence[float] = ()
    ) -> tuple[float, list[float], list[float]]:
        """Return the loss and its derivatives in parameters and symbols, in floats.

        `values` are those of the symbols in `terms`, in the order of their names.
        """
        loss, *slopes = self._at(point)[1](FloatContext, *point, *values)
        return loss, slopes[: len(point)], slopes[len(point) :]

    def _at(self, point: Sequence[float]) -> tuple[Chamber, Callable[..., list[Any]]]:
        for shift in (0.0, _OFF_THE_WALL):
            moved = [value + shift * (k + 1) for k, value in enumerate(point)]
            pattern = tuple(value > 0 for value in self._values(FloatContext, *moved))
            if pattern in self._found:
                return self._found[pattern]
            try:
                chamber = self._derive(moved)
            except UndecidedSignError:
                continue
            symbols = [*self.family.parameters, *self.symbols]
            function = compile_with_jacobian([chamber.loss], symbols, len(symbols))
            self._found[pattern] = chamber, function
            return chamber, function
        raise UncertifiedRootError("the point lies on a wall between chambers", point)

    def _derive(self, point: Sequence[float]) -> Chamber:
        sample = {
            x: sympy.Rational(round(value * _DENOMINATOR), _DENOMINATOR)
            for x, value in zip(self.family.parameters, point, strict=True)
        }
        signs = tuple(self.family._signs(sample))
        return Chamber(self.family, signs, tuple(sample.items()), self.terms)

    def descend(
        self, start: Sequence[float], values: Sequence[float] = ()
    ) -> tuple[float, list[float]] | None:
        """Return loss and point of the minimum below a start, in floats, or ``None``.

        Parameters that are positive by assumption stay so: beyond zero lies another family.
        There is no result if the descent ends at such a bound or does not end.
        """

        def function(point: Any) -> tuple[float, Any]:
            try:
                loss, gradient, _ = self.loss_and_gradient(point.tolist(), values)
            except (UndecidedSignError, ZeroDivisionError, OverflowError):
                return np.inf, np.zeros_like(point)
            return loss, np.array(gradient)

        lower = [1e-9 if x.is_positive else None for x in self.family.parameters]
        found = scipy_minimize(
            function,
            np.array(start, dtype=float),
            jac=True,
            method="L-BFGS-B",
            bounds=[(low, None) for low in lower],
            options={"maxiter": 2000, "ftol": 1e-16, "gtol": _FLAT},
        )
        point = self._polish(found.x, values)
        if point is None or any(
            low is not None and x < _EDGE for x, low in zip(point, lower, strict=True)
        ):
            return None
        return self.loss_and_gradient(point, values)[0], point

    def _polish(self, point: Any, values: Sequence[float]) -> list[float] | None:
        """Go on by Newton's method, with differences of the exact gradient for the Hessian.

        Near the end of a line of minima the loss is too flat for descent alone. Returns ``None``
        where the Hessian is not positive definite or the steps do not become small.
        """

        def gradient(x: Any) -> Any:
            return np.array(self.loss_and_gradient(x.tolist(), values)[1])

        shifts = _DIFFERENCE * np.eye(len(point))
        for _ in range(_POLISHING_STEPS):
            try:
                rows = [gradient(point + h) - gradient(point - h) for h in shifts]
                hessian = np.array(rows) / (2 * _DIFFERENCE)
                np.linalg.cholesky((hessian + hessian.T) / 2)
                step = np.linalg.solve(hessian, gradient(point))
            except (UndecidedSignError, ArithmeticError, np.linalg.LinAlgError):
                return None
            point = point - step
            if float(np.abs(step).max()) < _FLAT:
                return [float(x) for x in point]
        return None
