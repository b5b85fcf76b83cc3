"""Training protocols: named, frozen descriptions of how a model is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from ..sampling.batches import Mask

__all__ = [
    "Normal",
    "Plateau",
    "Protocol",
    "XavierNormal",
    "Zero",
]

OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop"]
Schedule = Literal["constant", "cosine", "linear", "exponential", "step"]
Reduction = Literal["sum", "mean"]


@dataclass(frozen=True)
class Zero:
    """All entries start at zero."""

    def standard_deviation(self, n_features: int, n_hidden: int) -> float:
        """Return 0, whatever the sizes."""
        return 0.0


@dataclass(frozen=True)
class Normal:
    """Entries start as independent N(0, std²).

    Raises
    ------
    ValueError
        If `std` is negative or not finite.

    Examples
    --------
    >>> Normal(1.5).standard_deviation(n_features=2, n_hidden=1)
    1.5
    """

    std: float

    def __post_init__(self) -> None:
        _require("std", self.std, "finite and at least 0", self.std >= 0)

    def standard_deviation(self, n_features: int, n_hidden: int) -> float:
        """Return `std`, whatever the sizes."""
        return self.std


@dataclass(frozen=True)
class XavierNormal:
    """Entries start as independent N(0, 2/(m + n)), the fans of one model's (m, n) weights.

    Glorot and Bengio 2010, equation 12, for a normal law. Implementations that hand a whole pack
    of models to `torch.nn.init.xavier_normal_` count the models as a fan and start too small.

    Examples
    --------
    >>> XavierNormal().standard_deviation(n_features=5, n_hidden=3)
    0.5
    """

    def standard_deviation(self, n_features: int, n_hidden: int) -> float:
        """Return √(2/(m + n))."""
        return math.sqrt(2 / (n_hidden + n_features))


Initialization = Zero | Normal | XavierNormal


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """When a model has ceased to improve, and is left as it is.

    Losses of single batches are noise, so that they are averaged over windows of steps. A model
    stops after `patience` windows in a row none of which had a mean below (1 − `improvement`) times
    the least mean before it. Models stop one by one; none is affected by another.

    Attributes
    ----------
    window : int
        Steps, at least 1.
    patience : int
        Windows, at least 1.
    improvement : float
        Relative, in [0, 1).

    Raises
    ------
    ValueError
        If a value is out of its range.

    Examples
    --------
    >>> Plateau(window=500).patience
    3
    """

    window: int = 200
    patience: int = 3
    improvement: float = 0.01

    def __post_init__(self) -> None:
        _require_count("window", self.window, least=1)
        _require_count("patience", self.patience, least=1)
        _require("improvement", self.improvement, "in [0, 1)", 0 <= self.improvement < 1)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How to train: optimizer, schedule, amount of data, and where to start.

    The objective of a step is the mean over the batch of Σ_i I_i (x_i − x̂_i)², plus the
    interference penalty if there is one, all divided by n if `reduction` is "mean". That scale
    matters where the optimizer is not scale-free: SGD's learning rate, Adam's `eps`, and the
    strength of the weight decay against the loss.

    Attributes
    ----------
    name : str
    optimizer : {"sgd", "adam", "adamw", "rmsprop"}
        With the meaning of `torch.optim`. The tied W is one parameter; W and b have one group.
    learning_rate : float
        Positive.
    steps, batch_size : int
        At least 1. Every step has fresh data, drawn per model, per example and per feature.
    schedule : {"constant", "cosine", "linear", "exponential", "step"}
        How the learning rate falls after the warmup from `learning_rate` to its fraction
        f = `final_rate`, in terms of u = (t − warmup)/(steps − warmup) at step t. "cosine":
        f + (1 − f)(1 + cos πu)/2; "linear": 1 − (1 − f)u; "exponential": f^u; "step": f^(k/drops)
        in the part k = 0, …, drops of drops + 1 equal parts of training.
    warmup : int
        The rate of step t is multiplied by (t + 1)/(warmup + 1) in the first `warmup` steps;
        fewer than `steps`.
    final_rate : float
        In [0, 1]; above 0 for "exponential" and "step". "constant" does not use it.
    drops : int
        At least 1; of "step".
    plateau : Plateau or None
        When to stop a model before `steps`; None is never.
    weight_init, bias_init : Zero, Normal or XavierNormal
    reduction : {"sum", "mean"}
        Over features. "sum" is the convention of this package.
    weight_decay : float
        Decoupled, of W and b, and of "adamw" only: the other optimizers accept 0 only, so that
        no loss is changed silently.
    momentum : float
        In [0, 1); of "sgd" and "rmsprop".
    betas : (float, float)
        In [0, 1); of "adam" and "adamw".
    alpha : float
        In [0, 1); smoothing of "rmsprop".
    eps : float
        Positive; of all but "sgd".
    mask : {"example", "batch"}
        Whether it is drawn for each example which features are on, or once for a whole batch. The
        law of one example is the same, the noise of a batch is not.
    source : str
        Where the protocol comes from, or how it was chosen.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Examples
    --------
    Derive a protocol from a named one:

    >>> from dataclasses import replace
    >>> from superposition.numerics import PROTOCOLS
    >>> short = replace(PROTOCOLS["roe2023"], name="roe2023-short", steps=100)
    >>> short.optimizer, short.steps, short.learning_rate_at(50)
    ('adam', 100, 0.01)
    """

    name: str
    optimizer: OptimizerName
    learning_rate: float
    steps: int
    batch_size: int
    schedule: Schedule = "constant"
    weight_init: Initialization = field(default_factory=XavierNormal)
    bias_init: Initialization = field(default_factory=Zero)
    reduction: Reduction = "sum"
    weight_decay: float = 0.0
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    alpha: float = 0.99
    eps: float = 1e-8
    warmup: int = 0
    final_rate: float = 0.0
    drops: int = 2
    plateau: Plateau | None = None
    mask: Mask = "example"
    source: str = ""

    def __post_init__(self) -> None:
        _require_name("optimizer", self.optimizer, get_args(OptimizerName))
        _require_name("schedule", self.schedule, get_args(Schedule))
        _require_name("reduction", self.reduction, get_args(Reduction))
        _require_name("mask", self.mask, get_args(Mask))
        for name in ("steps", "batch_size", "drops"):
            _require_count(name, getattr(self, name), least=1)
        self._check_schedule()
        _require("learning_rate", self.learning_rate, "finite and above 0", self.learning_rate > 0)
        _require("eps", self.eps, "finite and above 0", self.eps > 0)
        for name in ("momentum", "alpha"):
            value = getattr(self, name)
            _require(name, value, "in [0, 1)", 0 <= value < 1)
        if len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers, got {self.betas!r}")
        for value in self.betas:
            _require("betas", value, "in [0, 1)", 0 <= value < 1)
        _require("weight_decay", self.weight_decay, "finite and at least 0", self.weight_decay >= 0)
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(
                f"weight_decay is decoupled and needs optimizer='adamw', got {self.weight_decay} "
                f"with {self.optimizer!r}"
            )
        for name in ("weight_init", "bias_init"):
            value = getattr(self, name)
            if not isinstance(value, Initialization):
                raise ValueError(
                    f"{name} must be Zero(), Normal(std) or XavierNormal(), got {value!r}"
                )

    def _check_schedule(self) -> None:
        _require_count("warmup", self.warmup, least=0)
        below = f"less than the {self.steps} steps of training"
        _require("warmup", self.warmup, below, self.warmup < self.steps)
        _require("final_rate", self.final_rate, "in [0, 1]", 0 <= self.final_rate <= 1)
        if self.schedule in ("exponential", "step") and self.final_rate == 0:
            raise ValueError(
                f"schedule {self.schedule!r} needs a final_rate above 0, the fraction of the "
                f"learning rate that it ends with, such as 0.01"
            )
        if not isinstance(self.plateau, Plateau | None):
            raise ValueError(f"plateau must be None or a Plateau(...), got {self.plateau!r}")

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of the update of `step`, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / (self.warmup + 1)
        done, final = (step - self.warmup) / (self.steps - self.warmup), self.final_rate
        match self.schedule:
            case "constant":
                return self.learning_rate
            case "cosine":
                fraction = final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
            case "linear":
                fraction = 1 - (1 - final) * done
            case "exponential":
                fraction = final**done
            case "step":
                fraction = final ** (min(int(done * (self.drops + 1)), self.drops) / self.drops)
        return self.learning_rate * fraction


def _require(name: str, value: float, requirement: str, satisfied: bool) -> None:
    if not (satisfied and math.isfinite(value)):
        raise ValueError(f"{name} must be {requirement}, got {value!r}")


def _require_count(name: str, value: int, least: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    _require(name, value, f"an integer of at least {least}", whole and value >= least)


def _require_name(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise ValueError(f"{name} must be one of {', '.join(accepted)}, got {value!r}")
