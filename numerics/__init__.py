"""Exact population losses, their minima, and models trained on samples or on the exact loss."""

from .basins import Basin, BasinEnds, BasinProbabilities, basin_ends, basin_probabilities
from .certified import (
    CellCertificate,
    CertifiedMinimum,
    Minimizers,
    certified_minimum,
    certify_cell,
)
from .curvature import Curvature, curvature
from .descent import Descent, descend
from .exact import LossAndGradient, population_loss, population_loss_and_grad
from .gradient_flow import Flow, gradient_flow
from .hessian import population_hessian
from .minima import GlobalMinimum, Minimum, global_minimum, is_dead, random_starts
from .population_training import PopulationTraining, train_on_population
from .protocols import PROTOCOLS, Normal, Plateau, Protocol, XavierNormal, Zero, resolve_protocol
from .sampling import training_batch
from .small_starts import critical_angle, same_sign_probability
from .training import TrainingResult, train

__all__ = [
    "PROTOCOLS",
    "Basin",
    "BasinEnds",
    "BasinProbabilities",
    "CellCertificate",
    "CertifiedMinimum",
    "Curvature",
    "Descent",
    "Flow",
    "GlobalMinimum",
    "LossAndGradient",
    "Minimizers",
    "Minimum",
    "Normal",
    "Plateau",
    "PopulationTraining",
    "Protocol",
    "TrainingResult",
    "XavierNormal",
    "Zero",
    "basin_ends",
    "basin_probabilities",
    "certified_minimum",
    "certify_cell",
    "critical_angle",
    "curvature",
    "descend",
    "global_minimum",
    "gradient_flow",
    "is_dead",
    "population_hessian",
    "population_loss",
    "population_loss_and_grad",
    "random_starts",
    "resolve_protocol",
    "same_sign_probability",
    "train",
    "train_on_population",
    "training_batch",
]
