"""Exact losses of toy models of superposition, derived with SymPy."""

from .bias import OptimalBias, UnsolvedBiasError
from .boundaries import PhaseBoundary, TriplePoint, boundaries, phase_boundary, triple_points
from .catalogue import named_configuration
from .certificates import Certificate, UndecidedCertificateError, certify, refutation
from .configurations import Configuration, candidates
from .derivation import Derivation, derivation
from .fields import UndecidedSignError
from .geometry import dimensions_per_feature, feature_dimensionality, interference
from .limits import (
    allocate_capacity,
    asymptotics,
    capacity,
    capacity_frontier,
    capacity_report,
    multilinear_expansion,
    one_active_loss,
    one_hot_potential,
    one_hot_report,
    polygon_critical_points,
    sparsity_expansion,
    stationary_series,
)
from .linear import linear_critical_points, linear_loss, linear_report
from .loss import derive_loss, expected_loss, optimal_bias
from .moments import input_moments
from .polytopes import (
    antipodal_pair,
    bipyramid,
    cross_polytope,
    cube,
    direct_sum,
    orthogonal_basis,
    regular_polygon,
    regular_simplex,
    square_antiprism,
)
from .symbols import OPTIMAL, lam, r, s

__all__ = [
    "OPTIMAL",
    "Certificate",
    "Configuration",
    "Derivation",
    "OptimalBias",
    "PhaseBoundary",
    "TriplePoint",
    "UndecidedCertificateError",
    "UndecidedSignError",
    "UnsolvedBiasError",
    "allocate_capacity",
    "antipodal_pair",
    "asymptotics",
    "bipyramid",
    "boundaries",
    "candidates",
    "capacity",
    "capacity_frontier",
    "capacity_report",
    "certify",
    "cross_polytope",
    "cube",
    "derivation",
    "derive_loss",
    "dimensions_per_feature",
    "direct_sum",
    "expected_loss",
    "feature_dimensionality",
    "input_moments",
    "interference",
    "lam",
    "linear_critical_points",
    "linear_loss",
    "linear_report",
    "multilinear_expansion",
    "named_configuration",
    "one_active_loss",
    "one_hot_potential",
    "one_hot_report",
    "optimal_bias",
    "orthogonal_basis",
    "phase_boundary",
    "polygon_critical_points",
    "r",
    "refutation",
    "regular_polygon",
    "regular_simplex",
    "s",
    "sparsity_expansion",
    "square_antiprism",
    "stationary_series",
    "triple_points",
]
