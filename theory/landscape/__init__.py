"""How losses vary: families with free parameters, stability, transitions between minima."""

from .antipodal import antipodal_end
from .certified_roots import CertifiedRoot, Enclosure, UncertifiedRootError, certify_root
from .chambers import Chamber, FamilyMinimum
from .families import (
    Family,
    antipodal_family,
    isosceles_family,
    polygon_family,
    symmetric_pair_family,
)
from .partial_superposition import (
    PartialEnd,
    TripleMeeting,
    continuous_end,
    first_order_end,
    tricritical_points,
    triple_meeting,
)
from .penalty import (
    ClassicalThreshold,
    PenaltyPeak,
    classical_threshold,
    critical_penalty,
    highest_penalty,
    symmetry_breaking,
)
from .stability import (
    BestVariation,
    StabilityLine,
    Variation,
    best_variation,
    stability_line,
    vary,
)
from .transitions import (
    BranchPoint,
    Meeting,
    Phase,
    dedicated_phase,
    meet,
    mirror,
    opposed_phase,
    trace,
)

__all__ = [
    "BestVariation",
    "BranchPoint",
    "CertifiedRoot",
    "Chamber",
    "ClassicalThreshold",
    "Enclosure",
    "Family",
    "FamilyMinimum",
    "Meeting",
    "PartialEnd",
    "PenaltyPeak",
    "Phase",
    "StabilityLine",
    "TripleMeeting",
    "UncertifiedRootError",
    "Variation",
    "antipodal_end",
    "antipodal_family",
    "best_variation",
    "certify_root",
    "classical_threshold",
    "continuous_end",
    "critical_penalty",
    "dedicated_phase",
    "first_order_end",
    "highest_penalty",
    "isosceles_family",
    "meet",
    "mirror",
    "opposed_phase",
    "polygon_family",
    "stability_line",
    "symmetric_pair_family",
    "symmetry_breaking",
    "trace",
    "tricritical_points",
    "triple_meeting",
    "vary",
]
