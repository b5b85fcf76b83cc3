"""Statistics of trained models: where phases change, whether losses are predicted, features."""

from .accuracy import FeatureAccuracy, feature_accuracy
from .boundaries import (
    BEFORE,
    BEYOND,
    candidate_boundary,
    closed_form_boundary,
    exact_boundary,
    trained_boundary,
)
from .equivalence import (
    replicas_needed,
    share_test,
    share_test_power,
    typical_excess_power,
    typical_excess_test,
)
from .feature_test import (
    FeatureTest,
    feature_test,
    initial_networks,
    random_accuracy,
    rank_p_values,
    superiority_test,
)
from .multiplicity import benjamini_hochberg, holm
from .predicted_loss import loss_tests
from .transition import Transition, fit_transition, simulated_counts

__all__ = [
    "BEFORE",
    "BEYOND",
    "FeatureAccuracy",
    "FeatureTest",
    "Transition",
    "benjamini_hochberg",
    "candidate_boundary",
    "closed_form_boundary",
    "exact_boundary",
    "feature_accuracy",
    "feature_test",
    "fit_transition",
    "holm",
    "initial_networks",
    "loss_tests",
    "random_accuracy",
    "rank_p_values",
    "replicas_needed",
    "share_test",
    "share_test_power",
    "simulated_counts",
    "superiority_test",
    "trained_boundary",
    "typical_excess_power",
    "typical_excess_test",
]
