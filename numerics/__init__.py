"""Exact population losses, their minima, and models trained on samples or on the exact loss."""

from .dynamics.basins import Basin, BasinEnds, BasinProbabilities, basin_ends, basin_probabilities
from .dynamics.gradient_flow import Flow, gradient_flow
from .dynamics.small_starts import critical_angle, same_sign_probability
from .loss.exact import LossAndGradient, population_loss, population_loss_and_grad
from .loss.hessian import population_hessian
from .minima.certified import (
    CellCertificate,
    CertifiedMinimum,
    Minimizers,
    certified_minimum,
    certify_cell,
)
from .minima.curvature import Curvature, curvature
from .minima.descent import Descent, descend
from .minima.multistart import GlobalMinimum, Minimum, global_minimum, is_dead, random_starts
from .sampling.batches import training_batch
from .training.named_protocols import PROTOCOLS, resolve_protocol
from .training.population import PopulationTraining, train_on_population
from .training.protocols import Normal, Plateau, Protocol, XavierNormal, Zero
from .training.train import TrainingResult, train
from .two_layer.exact import two_layer_loss
from .two_layer.sampled import SampledLoss, sampled_loss

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
    "SampledLoss",
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
    "sampled_loss",
    "train",
    "train_on_population",
    "training_batch",
    "two_layer_loss",
]
