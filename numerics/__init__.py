"""Exact population losses, their minima, and models trained on samples."""

from .exact import LossAndGradient, population_loss, population_loss_and_grad

__all__ = ["LossAndGradient", "population_loss", "population_loss_and_grad"]
