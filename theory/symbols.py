"""The letters of the theory, each with the assumptions that its meaning allows."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

import sympy

__all__ = ["OPTIMAL", "Optimal", "lam", "r", "s"]

s: Final = sympy.Symbol("s", positive=True)
"""Density, P(x_i ≠ 0), in (0, 1]. The literature often calls it sparsity, which is 1 − s."""

r: Final = sympy.Symbol("r", positive=True)
"""Relative importance of the last feature."""

lam: Final = sympy.Symbol("lam", nonnegative=True)
"""Weight λ of the interference penalty Σ_{i≠j} (W_i · W_j)²."""


class Optimal(Enum):
    """The type of `OPTIMAL`, so that ``Expr | Optimal`` can be written and checked."""

    OPTIMAL = "OPTIMAL"

    def __repr__(self) -> str:
        """Return the name under which users import the marker."""
        return self.name


OPTIMAL: Final[Literal[Optimal.OPTIMAL]] = Optimal.OPTIMAL
"""Stands for a bias entry that is to be replaced by its minimizer, which is derived."""
