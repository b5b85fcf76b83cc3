"""One statement with the evidence for or against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import sympy

__all__ = ["EXACT", "Check", "same"]

EXACT: Final = 1e-12
"""The accuracy that `population_loss` states, relative."""


@dataclass(frozen=True)
class Check:
    """One statement with the evidence for or against it.

    Attributes
    ----------
    name : str
    statement : str
    source : str
        Where the statement is made.
    oracle : str
        What the statement was compared with.
    deviation : float
        Largest deviation found; 0 where the comparison is exact.
    tolerance : float
        Largest deviation that the oracle's accuracy explains.
    """

    name: str
    statement: str
    source: str
    oracle: str
    deviation: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the deviation is within the tolerance."""
        return self.deviation <= self.tolerance


def same(first: Any, second: Any) -> float:
    """Return 0 if two expressions are identical, else infinity: an exact comparison."""
    return 0.0 if sympy.simplify(first - second) == 0 else np.inf
