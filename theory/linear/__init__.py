"""Linear models: loss, critical points and training in closed form."""

from .loss import (
    LinearProblem,
    linear_loss,
    linear_optimal_bias,
    linear_problem,
    weighted_pca_loss,
)
from .one_neuron import OneNeuronPoint, one_neuron_critical_points, one_neuron_stationarity
from .points import (
    EigenDirection,
    LinearCriticalPoint,
    eigen_directions,
    is_complete,
    linear_critical_points,
)
from .report import linear_report
from .training import ValleyTraining, valley_training

__all__ = [
    "EigenDirection",
    "LinearCriticalPoint",
    "LinearProblem",
    "OneNeuronPoint",
    "ValleyTraining",
    "eigen_directions",
    "is_complete",
    "linear_critical_points",
    "linear_loss",
    "linear_optimal_bias",
    "linear_problem",
    "linear_report",
    "one_neuron_critical_points",
    "one_neuron_stationarity",
    "valley_training",
    "weighted_pca_loss",
]
