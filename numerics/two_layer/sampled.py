"""The loss of any two-layer model: inputs with two or more features on are sampled, others exact.

At low density nearly all inputs have no feature on, or one, and a plain mean over samples learns
nothing from them. Their share of the loss is integrated (`averages`); only inputs with two or more
features on are drawn, from the law given that there are two. Whatever is left of the error falls
with their probability, as s² for independent features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...architecture import Architecture
from ...features import FeatureDistribution, Gate, GateKind
from ..arguments import Floats, check_integer
from ..sampling.quantile import Quantile
from .averages import gauss_rule, mean_over_one
from .models import TwoLayerModels, rectified, two_layer_models

__all__ = ["SampledLoss", "sampled_loss"]

# Inputs that are drawn and evaluated at once. A part of the definition of what is drawn: every
# block has random numbers of its own.
_BLOCK = 4096


@dataclass(frozen=True)
class SampledLoss:
    """Estimated losses, one per model of the batch.

    Attributes
    ----------
    loss : ndarray of shape (...)
    standard_error : ndarray of shape (...)
        Estimate of the standard deviation of `loss`; 0 where nothing had to be sampled.
    sampled_probability : ndarray of shape (...)
        P(two or more features are on): the part of the inputs that is sampled.
    samples : int
        How many of these were drawn for each model.
    seed : int
    """

    loss: Floats
    standard_error: Floats
    sampled_probability: Floats
    samples: int
    seed: int


def sampled_loss(
    W: ArrayLike,
    V: ArrayLike | None,
    b: ArrayLike,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    architecture: str | Architecture,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    samples: int = 1 << 16,
    seed: int = 0,
) -> SampledLoss:
    """Estimate the loss Σ_i I_i E(t(x_i) − x̂_i)² of any x̂ = σ(V ρ(W x) + b), with its error.

    Parameters
    ----------
    W, V, b, density, importance, architecture, activation, features
        As in `two_layer_loss`; any number of features may interact.
    samples : int
        Inputs with two or more features on, at least 2. The standard error falls as 1/√samples.
    seed : int
        Models of equal densities see the same inputs, so that differences between their losses are
        more accurate than the losses. They are not those of `train`, whatever its seed.

    Returns
    -------
    SampledLoss

    Raises
    ------
    ValueError
        As `two_layer_loss`, but for interactions; if `samples` is below 2, or `seed` no integer.

    Notes
    -----
    Inputs are drawn in blocks of 4096, one model after the other: memory does not grow with
    `samples`, and the result for a model depends on nothing but itself.

    Examples
    --------
    >>> W = np.cos(np.outer(range(3), range(8)))  # 8 features in 3 dimensions
    >>> found = sampled_loss(W, None, np.zeros(8), density=0.1, importance=np.ones(8),
    ...     architecture="relu-hidden")
    >>> bool(found.standard_error < 0.01 * found.loss)
    True
    """
    check_integer("samples", samples, at_least=2)
    check_integer("seed", seed)
    models = two_layer_models(W, V, b, density, importance, architecture, activation, features)
    laws, which = np.unique(models.density, axis=0, return_inverse=True)
    exact, mean, error, probability = np.zeros((4, len(models.b)))
    for k, law in enumerate(laws):
        counts = _counts(models.features.gates(len(law)), law)
        own = np.flatnonzero(which.ravel() == k)
        probability[own] = counts.two_or_more
        exact[own] = [_integrated(models, int(model), counts) for model in own]
        if counts.two_or_more > 0:
            mean[own], error[own] = _sampled(models, own, counts, int(samples), int(seed))
    return SampledLoss(
        loss=(exact + probability * mean).reshape(models.shape),
        standard_error=(probability * error).reshape(models.shape),
        sampled_probability=probability.reshape(models.shape),
        samples=int(samples),
        seed=int(seed),
    )


class _Counts(NamedTuple):
    """How many features are on, for one law of the inputs.

    Attributes
    ----------
    gates : tuple of Gate
    density : ndarray of shape (n_features,)
    on : ndarray of shape (gates,)
        Probability that a gate switches features on.
    size : ndarray of shape (gates,)
        How many.
    later : ndarray of shape (gates + 1, 3)
        P(two or more in the end | so many before this gate), with 2 for two or more.
    nothing : float
        P(no feature is on).
    only : ndarray of shape (n_features,)
        P(this feature is on and no other).
    """

    gates: tuple[Gate, ...]
    density: Floats
    on: Floats
    size: NDArray[np.int64]
    later: Floats
    nothing: float
    only: Floats

    @property
    def two_or_more(self) -> float:
        """P(two or more features are on)."""
        return float(self.later[0, 0])


def _counts(gates: tuple[Gate, ...], density: Floats) -> _Counts:
    together = [gate.kind is GateKind.TOGETHER for gate in gates]
    size = np.array(
        [len(gate.members) if all_on else 1 for gate, all_on in zip(gates, together, strict=True)]
    )
    on = np.array([_probability_on(gate, density) for gate in gates])
    later = np.zeros((len(gates) + 1, 3))
    later[-1, 2] = 1
    for g in reversed(range(len(gates))):
        for count in range(3):
            after = later[g + 1, min(2, count + size[g])]
            later[g, count] = on[g] * after + (1 - on[g]) * later[g + 1, count]
    only = np.zeros_like(density)
    for g, gate in enumerate(gates):
        if size[g] == 1:
            members = list(gate.members)
            only[members] = density[members] * np.prod(np.delete(1 - on, g))
    return _Counts(gates, density, on, size, later, float(np.prod(1 - on)), only)


def _probability_on(gate: Gate, density: Floats) -> float:
    match gate.kind:
        case GateKind.TOGETHER:
            return float(density[gate.members[0]])
        case GateKind.AT_MOST_ONE:
            return min(float(density[list(gate.members)].sum()), 1.0)
        case GateKind.EXACTLY_ONE:
            return 1.0


def _integrated(models: TwoLayerModels, model: int, counts: _Counts) -> float:
    """Return the share of the loss that inputs with no feature on, or one, have."""
    W, V, b, importance = (
        values[model] for values in (models.W, models.V, models.b, models.importance)
    )
    relu, rule = models.rectified_output, gauss_rule(models.features.values)
    loss = counts.nothing * (importance @ rectified(b, relu) ** 2)
    for sign in models.signs:
        slopes = V @ models.hidden(sign * W)
        target = models.target_slope(sign) * np.eye(len(b))
        means = mean_over_one(b[:, None], slopes, target, rule, relu)
        loss += importance @ means @ counts.only / len(models.signs)
    return float(loss)


def _sampled(
    models: TwoLayerModels, own: NDArray[np.int64], counts: _Counts, samples: int, seed: int
) -> tuple[Floats, Floats]:
    """Return mean and standard error of the losses of inputs with two or more features on."""
    sizes = np.diff([*range(0, samples, _BLOCK), samples])
    means, squares = np.empty((2, len(sizes), len(own)))
    draw = _Draw(models, counts, seed)
    for block, size in enumerate(sizes):
        x = draw(block)[:, :size]
        for k, model in enumerate(own):
            losses = _losses_of_inputs(models, model, x)
            means[block, k] = losses.mean()
            squares[block, k] = ((losses - means[block, k]) ** 2).sum()
    mean = sizes @ means / samples
    # What the blocks vary inside, and between each other: no difference of large sums.
    total = squares.sum(axis=0) + sizes @ (means - mean) ** 2
    return mean, np.sqrt(total / (samples - 1) / samples)


def _losses_of_inputs(models: TwoLayerModels, model: int, x: Floats) -> Floats:
    """Return Σ_i I_i (t(x_i) − x̂_i)² of inputs of shape (n_features, inputs)."""
    hidden = models.hidden(models.W[model] @ x)
    outputs = models.V[model] @ hidden + models.b[model][:, None]
    errors = rectified(outputs, models.rectified_output) - (abs(x) if models.absolute else x)
    return np.asarray(models.importance[model] @ errors**2)


class _Draw:
    """Inputs given that two or more features are on, one gate after the other."""

    def __init__(self, models: TwoLayerModels, counts: _Counts, seed: int) -> None:
        self._counts, self._seed = counts, seed % 2**64
        self._quantile = Quantile(models.features.values)
        self._symmetric = models.features.values.symmetric

    def __call__(self, block: int) -> Floats:
        """Return the inputs of a block, shape (n_features, inputs)."""
        random = np.random.default_rng([self._seed, block])
        shape = (len(self._counts.density), _BLOCK)
        x = self._quantile(torch.from_numpy(random.random(shape))).numpy()
        if self._symmetric:
            x = np.where(random.random(shape) < 0.5, x, -x)
        return np.where(self._features_on(random), x, 0.0)

    def _features_on(self, random: np.random.Generator) -> NDArray[np.bool_]:
        counts = self._counts
        result = np.zeros((len(counts.density), _BLOCK), dtype=np.bool_)
        count = np.zeros(_BLOCK, dtype=np.int64)
        for g, gate in enumerate(counts.gates):
            more = np.minimum(2, count + counts.size[g])
            on = counts.on[g] * counts.later[g + 1, more]
            off = (1 - counts.on[g]) * counts.later[g + 1, count]
            chosen = random.random(_BLOCK) * (on + off) < on
            count = np.where(chosen, more, count)
            result[list(gate.members)] = chosen & self._members(gate, random)
        return result

    def _members(self, gate: Gate, random: np.random.Generator) -> NDArray[np.bool_]:
        """Return which members a gate switches on, if any: shape (members, inputs), or (1, 1)."""
        if gate.kind is GateKind.TOGETHER:
            return np.ones((1, 1), dtype=np.bool_)
        ends = np.cumsum(self._counts.density[list(gate.members)])
        # A gate without density is never on: no member has a place.
        ends /= ends[-1] or 1.0
        place = np.searchsorted(ends, random.random(_BLOCK), side="right")
        return np.asarray(np.arange(len(ends))[:, None] == place)
