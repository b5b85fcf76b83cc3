"""What the evaluations of sampled losses and gradients have in common, whatever the architecture."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...architecture import TIED, Architecture
from ...model import Activation

__all__ = [
    "MATRIX_ALIGNMENT",
    "MATRIX_MODELS",
    "PackedModels",
    "SampledGradient",
    "activate",
    "aligned_rows",
    "mask_",
    "round_up",
]

# Matrix products of a model were seen to differ in the last bit where the matrices of a pack are not
# all aligned to 64 bytes, and where there is only one, which takes another code path.
MATRIX_ALIGNMENT = 16
MATRIX_MODELS = 2


@dataclass(frozen=True)
class PackedModels:
    """Models that are evaluated together, and what each is asked to do.

    Attributes
    ----------
    W : torch.Tensor, shape (models, n_hidden, n_features)
    b, importance : torch.Tensor, shape (models, n_features)
    penalty : torch.Tensor of shape (models,), or None
        None where it is zero for all, as it is for any architecture but the standard one.
    activation : {"relu", "linear"}
    batch_size : int
    scale : float
        Factor of the whole objective.
    V : torch.Tensor of shape (models, n_features, n_hidden), or None
        The decoder; None where it is the transpose of W.
    architecture : Architecture
    """

    W: torch.Tensor
    b: torch.Tensor
    importance: torch.Tensor
    penalty: torch.Tensor | None
    activation: Activation
    batch_size: int
    scale: float
    V: torch.Tensor | None = None
    architecture: Architecture = TIED


class SampledGradient(ABC):
    """Parameters of a pack of models, with the gradient of the sampled objective.

    Attributes
    ----------
    parameters, gradients : tuple of torch.Tensor
        Of equal shapes; an optimizer changes the former in place.
    features_first, multiple : layout of the inputs, as `InputSampler` takes them.
    """

    features_first: bool
    multiple: int
    _models: PackedModels

    parameters: tuple[torch.Tensor, ...]
    gradients: tuple[torch.Tensor, ...]

    @abstractmethod
    def evaluate(self, negated: torch.Tensor) -> None:
        """Set `gradients` to the gradient at `parameters` on the inputs −`negated`."""

    @abstractmethod
    def last_loss(self) -> torch.Tensor:
        """Loss of shape (models,) of the last evaluation: sum over features, mean over examples."""

    @abstractmethod
    def flattened(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Tensors like `parameters` as rows: W row by row, V if it is not Wᵀ, b; (models, size)."""

    @abstractmethod
    def assign(self, tensors: Sequence[torch.Tensor], rows: torch.Tensor) -> None:
        """Overwrite tensors like `parameters` with what `flattened` would return."""


def round_up(value: int, multiple: int) -> int:
    """Return the least multiple that is not below `value`."""
    return -(-value // multiple) * multiple


def aligned_rows(n_hidden: int, n_features: int) -> int:
    """Return to how many rows W has to be padded such that matrices fill whole cache lines."""
    # A multiple of 4 makes the square matrices W Wᵀ fit as well.
    return round_up(n_hidden, max(4, MATRIX_ALIGNMENT // math.gcd(n_features, MATRIX_ALIGNMENT)))


def activate(z: torch.Tensor, activation: Activation) -> torch.Tensor:
    """Return σ(z)."""
    return torch.relu(z) if activation == "relu" else z


def mask_(delta: torch.Tensor, z: torch.Tensor, activation: Activation) -> None:
    """Multiply `delta` with σ'(z), in place."""
    if activation == "relu":
        torch.ops.aten.threshold_backward.grad_input(delta, z, 0.0, grad_input=delta)
