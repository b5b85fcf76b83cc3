"""Exact population losses, their minima, and models trained on samples."""

from .descent import Descent, descend
from .exact import LossAndGradient, population_loss, population_loss_and_grad
from .minima import GlobalMinimum, Minimum, global_minimum, is_dead, random_starts
from .protocols import PROTOCOLS, Normal, Protocol, XavierNormal, Zero, resolve_protocol
from .sampling import training_batch
from .training import TrainingResult, train

__all__ = [
    "PROTOCOLS",
    "Descent",
    "GlobalMinimum",
    "LossAndGradient",
    "Minimum",
    "Normal",
    "Protocol",
    "TrainingResult",
    "XavierNormal",
    "Zero",
    "descend",
    "global_minimum",
    "is_dead",
    "population_loss",
    "population_loss_and_grad",
    "random_starts",
    "resolve_protocol",
    "train",
    "training_batch",
]
