"""The exact loss of models in which every output depends on one or two features."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...architecture import Architecture
from ...features import FeatureDistribution, Gate, GateKind
from ..arguments import Floats
from .averages import GaussRule, gauss_rule, mean_over_one, mean_over_two
from .models import TwoLayerModels, rectified, two_layer_models

__all__ = ["two_layer_loss"]

Integers = NDArray[np.int64]

# Nodes that are evaluated at once: some arrays of this size fit into the memory of any machine.
_NODES_AT_ONCE = 1 << 20


def two_layer_loss(
    W: ArrayLike,
    V: ArrayLike | None,
    b: ArrayLike,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    architecture: str | Architecture,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
) -> Floats:
    """Exact expected loss Σ_i I_i E(t(x_i) − x̂_i)² of x̂ = σ(V ρ(W x) + b), where few interact.

    Output i depends on feature j if it is its own, i = j, or there is a hidden dimension a with
    V_ia ≠ 0 and W_aj ≠ 0. Where an output depends on at most two features, its squared error is
    integrated exactly, on the parts on which it is a polynomial (`averages`).

    Parameters
    ----------
    W : array_like, shape (..., n_hidden, n_features)
        The encoder.
    V : array_like, shape (..., n_features, n_hidden), or None
        The decoder. None is the transpose of W, where the architecture is tied.
    b : array_like, shape (..., n_features)
    density : array_like, shape (...) or (..., n_features)
        P(x_i ≠ 0), in [0, 1], by the rule of `broadcast_parameters`.
    importance : array_like, shape (..., n_features)
        Finite and non-negative.
    architecture : str or Architecture
        A name of `ARCHITECTURES`, or a specification.
    activation : {"relu", "linear"}
        Of the outputs.
    features : feature distribution, optional
        None is `Independent`, with values uniform on [0, 1]. Any density of values will do.

    Returns
    -------
    ndarray of float64, shape (...)
        Accurate relative to itself, up to a few units in the last place of what the rounding of
        the parameters means.

    Raises
    ------
    ValueError
        If an output depends on three or more features (`sampled_loss` takes any model), a shape
        does not fit, a value is out of range, the decoder of a tied architecture is not the
        transpose of the encoder, or densities do not belong to `features`.

    Examples
    --------
    |x| = ReLU(x) + ReLU(−x); one hidden dimension leaves the half of E x² = s/3 that it cannot see.

    >>> from superposition import Independent, ValueDistribution
    >>> signed = Independent(ValueDistribution([1], symmetric=True))
    >>> common = {"density": 0.5, "importance": [1], "features": signed}
    >>> two_layer_loss([[1], [-1]], [[1, 1]], [0], **common, architecture="absolute-value")
    array(0.)
    >>> half = two_layer_loss([[1]], [[1]], [0], **common, architecture="absolute-value")
    >>> print(f"{half:.6f}")  # s/6
    0.083333
    """
    models = two_layer_models(W, V, b, density, importance, architecture, activation, features)
    partner = _partners(models).ravel()
    model, output = np.indices(models.b.shape).reshape(2, -1)
    rule = gauss_rule(models.features.values)
    losses = np.empty(model.shape)
    size = max(1, _NODES_AT_ONCE // (3 * (models.W.shape[1] + 2) * len(rule.corners)))
    for start in range(0, len(losses), size):
        rows = slice(start, start + size)
        losses[rows] = _losses(models, model[rows], output[rows], partner[rows], rule)
    weighted = losses.reshape(models.b.shape) * models.importance
    return np.asarray(weighted.sum(axis=1)).reshape(models.shape)


def _partners(models: TwoLayerModels) -> Integers:
    """Return on which other feature each output depends, or itself; shape (models, n_features)."""
    reads, writes = models.W != 0, models.V != 0
    depends = np.matmul(writes.astype(np.float64), reads.astype(np.float64)) > 0
    n_features = depends.shape[-1]
    depends |= np.eye(n_features, dtype=np.bool_)
    _check_interactions(models.shape, depends)
    others = depends & ~np.eye(n_features, dtype=np.bool_)
    return np.where(others.any(axis=-1), others.argmax(axis=-1), np.arange(n_features))


def _check_interactions(shape: tuple[int, ...], depends: NDArray[np.bool_]) -> None:
    many = np.argwhere(depends.sum(axis=-1) > 2)
    if len(many) == 0:
        return
    model, output = many[0]
    reach = ", ".join(map(str, np.flatnonzero(depends[model, output])))
    place = ", ".join(map(str, np.unravel_index(model, shape)))
    raise ValueError(
        f"output {output}{f' of model ({place})' if shape else ''} depends on the features {reach}, "
        f"and the exact loss is for at most two; set weights to 0 that should be, or use "
        f"sampled_loss"
    )


def _losses(
    models: TwoLayerModels, model: Integers, output: Integers, partner: Integers, rule: GaussRule
) -> Floats:
    """Return E (t(x_i) − x̂_i)² of some outputs; all indices have shape (rows,)."""
    b, decoder = models.b[model, output], models.V[model, output]
    encoder = np.stack([models.W[model, :, output], models.W[model, :, partner]], axis=-1)
    on = _probabilities(models, model, output, partner)
    relu, signs = models.rectified_output, models.signs
    share = 1 / len(signs)
    losses = on.neither * rectified(b, relu) ** 2
    for sign in signs:
        slopes = np.einsum("ra,rac->rc", decoder, models.hidden(sign * encoder))
        for probability, slope, target in (
            (on.own, slopes[:, 0], models.target_slope(sign)),
            (on.other, slopes[:, 1], 0),
        ):
            mean = mean_over_one(b, slope, np.full_like(b, target), rule, relu)
            losses += share * probability * mean
    rows = np.flatnonzero(on.both)
    for sign, other in product(signs, signs):
        mean = mean_over_two(
            b[rows],
            decoder[rows],
            encoder[rows] * (sign, other),
            models.target_slope(sign),
            rule,
            relu=relu,
            relu_hidden=models.rectified_hidden,
        )
        losses[rows] += share**2 * on.both[rows] * mean
    return losses


class _PairProbabilities(NamedTuple):
    """Which of an output's own feature and its partner are on, if it has one; shape (rows,)."""

    neither: Floats
    own: Floats
    other: Floats
    both: Floats


def _probabilities(
    models: TwoLayerModels, model: Integers, output: Integers, partner: Integers
) -> _PairProbabilities:
    own, other = models.density[model, output], models.density[model, partner]
    gates = models.features.gates(models.density.shape[1])
    gate = _gate_of_each(gates, models.density.shape[1])
    alone, apart = output == partner, gate[output] != gate[partner]
    # Two members of one gate are on together, or never both.
    together = np.array([one.kind is GateKind.TOGETHER for one in gates])[gate[output]]
    return _PairProbabilities(
        neither=np.select(
            [alone, apart, together],
            [1 - own, (1 - own) * (1 - other), 1 - own],
            np.maximum(1 - own - other, 0),
        ),
        own=np.select([alone, apart, together], [own, own * (1 - other), 0], own),
        other=np.select([alone, apart, together], [0, (1 - own) * other, 0], other),
        both=np.select([alone, apart, together], [0, own * other, own], 0),
    )


def _gate_of_each(gates: tuple[Gate, ...], n_features: int) -> Integers:
    """Return the number of the gate of each feature."""
    gate = np.empty(n_features, dtype=np.int64)
    for k, one in enumerate(gates):
        gate[list(one.members)] = k
    return gate
