"""Expansions and limiting cases in which the loss is known in closed form."""

from .asymptotics import Asymptotics, StationarySeries, asymptotics, stationary_series
from .capacity import (
    CapacityAllocation,
    FrontierPoint,
    allocate_capacity,
    capacity,
    capacity_frontier,
    capacity_loss,
    capacity_report,
    feature_kurtosis,
    marginal_benefit,
    quadratic_loss,
)
from .expansions import (
    MultilinearExpansion,
    SparsityExpansion,
    multilinear_expansion,
    one_active_loss,
    sparsity_expansion,
)
from .one_hot import one_hot_potential
from .one_hot_polygons import (
    CriticalPolygon,
    hessian_eigenvalues,
    one_hot_report,
    polygon_critical_points,
)

__all__ = [
    "Asymptotics",
    "CapacityAllocation",
    "CriticalPolygon",
    "FrontierPoint",
    "MultilinearExpansion",
    "SparsityExpansion",
    "StationarySeries",
    "allocate_capacity",
    "asymptotics",
    "capacity",
    "capacity_frontier",
    "capacity_loss",
    "capacity_report",
    "feature_kurtosis",
    "hessian_eigenvalues",
    "marginal_benefit",
    "multilinear_expansion",
    "one_active_loss",
    "one_hot_potential",
    "one_hot_report",
    "polygon_critical_points",
    "quadratic_loss",
    "sparsity_expansion",
    "stationary_series",
]
