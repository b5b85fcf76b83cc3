"""Exact losses of toy models of superposition, derived with SymPy."""

from .bias import OptimalBias, UnsolvedBiasError
from .boundaries import PhaseBoundary, TriplePoint, boundaries, phase_boundary, triple_points
from .configurations import Configuration, candidates, regular_polygon, regular_simplex
from .fields import UndecidedSignError
from .loss import derive_loss, expected_loss, optimal_bias
from .symbols import OPTIMAL, lam, r, s

__all__ = [
    "OPTIMAL",
    "Configuration",
    "OptimalBias",
    "PhaseBoundary",
    "TriplePoint",
    "UndecidedSignError",
    "UnsolvedBiasError",
    "boundaries",
    "candidates",
    "derive_loss",
    "expected_loss",
    "lam",
    "optimal_bias",
    "phase_boundary",
    "r",
    "regular_polygon",
    "regular_simplex",
    "s",
    "triple_points",
]
