"""Exact population losses, their minima, and models trained on samples."""

from .descent import Descent, descend
from .exact import LossAndGradient, population_loss, population_loss_and_grad
from .minima import GlobalMinimum, Minimum, global_minimum, is_dead, random_starts

__all__ = [
    "Descent",
    "GlobalMinimum",
    "LossAndGradient",
    "Minimum",
    "descend",
    "global_minimum",
    "is_dead",
    "population_loss",
    "population_loss_and_grad",
    "random_starts",
]
