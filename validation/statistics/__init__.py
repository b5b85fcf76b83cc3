"""Statistics of trained models: where phases change, whether losses are predicted, features."""

from .boundaries import closed_form_boundary, exact_boundary, trained_boundary
from .equivalence import (
    replicas_needed,
    share_test,
    share_test_power,
    typical_excess_power,
    typical_excess_test,
)
from .multiplicity import benjamini_hochberg, holm
from .predicted_loss import loss_tests
from .transition import Transition, fit_transition, simulated_counts

__all__ = [
    "Transition",
    "benjamini_hochberg",
    "closed_form_boundary",
    "exact_boundary",
    "fit_transition",
    "holm",
    "loss_tests",
    "replicas_needed",
    "share_test",
    "share_test_power",
    "simulated_counts",
    "trained_boundary",
    "typical_excess_power",
    "typical_excess_test",
]
