"""How losses vary: families with free parameters, stability, transitions between minima."""

from .certified_roots import CertifiedRoot, Enclosure, UncertifiedRootError, certify_root
from .families import (
    Chamber,
    Family,
    FamilyMinimum,
    antipodal_family,
    isosceles_family,
    polygon_family,
    symmetric_pair_family,
)
from .stability import (
    BestVariation,
    StabilityLine,
    Variation,
    best_variation,
    stability_line,
    vary,
)

__all__ = [
    "BestVariation",
    "CertifiedRoot",
    "Chamber",
    "Enclosure",
    "Family",
    "FamilyMinimum",
    "StabilityLine",
    "UncertifiedRootError",
    "Variation",
    "antipodal_family",
    "best_variation",
    "certify_root",
    "isosceles_family",
    "polygon_family",
    "stability_line",
    "symmetric_pair_family",
    "vary",
]
