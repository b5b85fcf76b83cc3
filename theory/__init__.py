"""Exact losses of toy models of superposition, derived with SymPy."""

from .bias import OptimalBias, UnsolvedBiasError
from .boundaries import PhaseBoundary, TriplePoint, boundaries, phase_boundary, triple_points
from .configurations import Configuration, candidates
from .derivation import Derivation, derivation
from .fields import UndecidedSignError
from .geometry import dimensions_per_feature, feature_dimensionality, interference
from .loss import derive_loss, expected_loss, optimal_bias
from .polytopes import regular_polygon, regular_simplex
from .symbols import OPTIMAL, lam, r, s

__all__ = [
    "OPTIMAL",
    "Configuration",
    "Derivation",
    "OptimalBias",
    "PhaseBoundary",
    "TriplePoint",
    "UndecidedSignError",
    "UnsolvedBiasError",
    "boundaries",
    "candidates",
    "derivation",
    "derive_loss",
    "dimensions_per_feature",
    "expected_loss",
    "feature_dimensionality",
    "interference",
    "lam",
    "optimal_bias",
    "phase_boundary",
    "r",
    "regular_polygon",
    "regular_simplex",
    "s",
    "triple_points",
]
