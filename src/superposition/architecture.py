"""Which network computes x̂: the package's tied model, and the two-layer models of the literature.

An architecture has an encoder ``W`` of shape (n_hidden, n_features), a decoder ``V`` of shape
(n_features, n_hidden) and an output bias ``b``. It computes, and is asked for,

    h = ρ(W x),   x̂ = σ(V h + b),   L = Σ_i I_i E (t(x_i) − x̂_i)²,

with ρ the identity or ReLU, t(x) = x or |x|, and V = Wᵀ where the weights are tied. The output
activation σ is an argument of its own, as everywhere in the package. Like `model`, this module
holds names and checks only.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from .model import Activation, check_activation

__all__ = [
    "ABSOLUTE_VALUE",
    "ARCHITECTURES",
    "RELU_HIDDEN",
    "TIED",
    "Architecture",
    "Target",
    "resolve_architecture",
]

Target = Literal["identity", "absolute"]


@dataclass(frozen=True)
class Architecture:
    """What a model computes between its inputs and its outputs, and what it is asked for.

    Attributes
    ----------
    name : str
        For people; two architectures of different names may be the same model.
    tied : bool
        Whether the decoder is the transpose of the encoder. Otherwise it has weights of its own.
    hidden : {"linear", "relu"}
        Activation ρ of the hidden layer.
    target : {"identity", "absolute"}
        What output i is compared with: x_i or |x_i|.

    Raises
    ------
    ValueError
        If the name is empty or no text, `tied` is no bool, or an activation or target is unknown.

    Examples
    --------
    >>> Architecture("untied", tied=False)
    Architecture(name='untied', tied=False, hidden='linear', target='identity')
    """

    name: str
    tied: bool = True
    hidden: Activation = "linear"
    target: Target = "identity"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name of an architecture must be a text, got {self.name!r}")
        if not isinstance(self.tied, bool):
            raise ValueError(f"tied must be True or False, got {self.tied!r}")
        try:
            check_activation(self.hidden)
        except ValueError as error:
            raise ValueError(f"hidden {error}") from None
        if self.target not in get_args(Target):
            raise ValueError(
                f"target must be one of {', '.join(get_args(Target))}, got {self.target!r}"
            )

    @property
    def is_standard(self) -> bool:
        """Whether it is x̂ = σ(WᵀW x + b), asked for x: the model of the rest of the package."""
        return self.tied and self.hidden == "linear" and self.target == "identity"


TIED: Final = Architecture("tied")
"""x̂ = σ(WᵀW x + b): the default everywhere."""

RELU_HIDDEN: Final = Architecture("relu-hidden", hidden="relu")
"""h = ReLU(W x), x̂ = σ(Wᵀh + b): the privileged basis of Elhage et al. 2022."""

ABSOLUTE_VALUE: Final = Architecture("absolute-value", tied=False, hidden="relu", target="absolute")
"""h = ReLU(W x), ŷ = σ(V h + b), asked for |x|: the computation in superposition of Elhage et al.
2022, whose inputs are uniform on [−1, 1] where they are on."""

ARCHITECTURES: Final = MappingProxyType(
    {architecture.name: architecture for architecture in (TIED, RELU_HIDDEN, ABSOLUTE_VALUE)}
)
"""The named architectures."""


def resolve_architecture(architecture: str | Architecture) -> Architecture:
    """Return the architecture that is meant.

    Raises
    ------
    ValueError
        If it is neither an `Architecture` nor a name of `ARCHITECTURES`.

    Examples
    --------
    >>> resolve_architecture("relu-hidden").hidden
    'relu'
    """
    if isinstance(architecture, Architecture):
        return architecture
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise ValueError(
            f"architecture must be an Architecture or one of {', '.join(ARCHITECTURES)}, "
            f"got {architecture!r}"
        )
    return ARCHITECTURES[architecture]
