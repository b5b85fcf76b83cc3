"""Two-layer models of an experiment: trained and ranked, and the best that few neurons can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from ...architecture import resolve_architecture
from ...features import FeatureDistribution
from ...numerics import SampledLoss, TrainingResult, sampled_loss, two_layer_loss
from .columns import constant_loss
from .experiment import Run
from .measurement import Measurement
from .neurons import monosemantic_share

__all__ = [
    "SmallOptimum", "gain_of_best", "least_loss", "monosemantic_loss", "train_two_layer",
]  # fmt: skip

Floats = NDArray[np.float64]
Objective = Callable[[Floats], tuple[float, Floats]]

_STEP: Final = 1e-5  # of central differences: their error is about 1e-9 of the loss's scale
_GAIN: Final = 1e-6  # of the loss, below which no other descent goes on
_FLAT: Final = 1e-7  # slope of the loss, over that of dropping all features, at which descents end


def train_two_layer(
    run: Run,
    label: str,
    n_features: int,
    n_hidden: int,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    architecture: str,
    protocol: str,
    replicas: int,
    kept: int,
    samples: int,
    features: FeatureDistribution | None = None,
) -> xr.Dataset:
    """Train models at several densities, rank them by a sampled loss and judge the best by another.

    Parameters
    ----------
    run : Run
    label : str
        Name of the checkpoint.
    n_features, n_hidden : int
    density : array_like, shape (k,)
        One for all features.
    importance : array_like, shape (n_features,)
    architecture, protocol : str
    replicas : int
        Models at each density.
    kept : int
        How many of the best are kept, or all if there are fewer.
    samples : int
        Of the inputs by which the best are judged; they are ranked on an eighth as many others.
    features : feature distribution, optional

    Returns
    -------
    xarray.Dataset
        `ranked_loss` (density, replica), NaN where training diverged. Of the best, in single
        precision: `W` (density, rank, hidden, feature), `V` (density, rank, feature, hidden), `b`;
        and of these numbers `loss` (density, rank), its `standard_error`, and `monosemantic`, the
        share of monosemantic neurons. What the best are judged by had no part in their choice.
    """
    grid = np.asarray(density, dtype=np.float64)
    model: dict[str, Any] = {
        "density": grid[:, np.newaxis], "importance": importance, "architecture": architecture,
        "features": features,
    }  # fmt: skip
    result = run.train(label, n_features, n_hidden, **model, protocol=protocol, replicas=replicas)
    ranked = _ranked_loss(result, model, samples // 8, 2 * run.seed)
    best = np.argsort(np.nan_to_num(ranked, nan=np.inf), axis=1)[:, :kept]
    W, V, b = (_chosen(values, best) for values in (result.W, result.V, result.b))
    judged = _sampled(W, V, b, model, samples, 2 * run.seed + 1)
    points = ("density", "rank")
    return xr.Dataset(
        {
            "ranked_loss": (("density", "replica"), ranked),
            "W": ((*points, "hidden", "feature"), W),
            "V": ((*points, "feature", "hidden"), V),
            "b": ((*points, "feature"), b),
            "loss": (points, judged.loss),
            "standard_error": (points, judged.standard_error),
            "monosemantic": (points, monosemantic_share(W, V)),
        },
        coords={"density": grid},
        attrs={"protocol": result.protocol.name, "seed": run.seed},
    )


def _ranked_loss(result: TrainingResult, model: dict[str, Any], samples: int, seed: int) -> Floats:
    well = ~result.diverged
    W, V = (np.where(well[..., None, None], values, 0.0) for values in (result.W, result.V))
    b = np.where(well[..., None], result.b, 0.0)
    found = _sampled(W, V, b, model, samples, seed)
    return np.where(well, found.loss, np.nan)


def _sampled(
    W: ArrayLike, V: ArrayLike, b: ArrayLike, model: dict[str, Any], samples: int, seed: int
) -> SampledLoss:
    decoder = None if resolve_architecture(model["architecture"]).tied else V
    return sampled_loss(W, decoder, b, **model, samples=samples, seed=seed)


def _chosen(values: Floats, best: NDArray[np.intp]) -> NDArray[np.float32]:
    return values[np.arange(len(best))[:, None], best].astype(np.float32)


def gain_of_best(models: xr.Dataset, reference: xr.DataArray) -> Measurement:
    """Return by what share the best model of one density is below a loss, with 2σ.

    Parameters
    ----------
    models : xarray.Dataset
        What `train_two_layer` returns, at one density.
    reference : xarray.DataArray
        The loss to be below.
    """
    best = models.isel(rank=0)
    gain, error = 1 - float(best.loss / reference), 2 * float(best.standard_error / reference)
    return Measurement(gain, gain - error, gain + error, models.sizes["replica"])


def monosemantic_loss(n_hidden: int, *, density: ArrayLike, importance: ArrayLike) -> Floats:
    """Return the least loss of |x| by neurons that each work for one feature.

    Two neurons compute |x_i| = ReLU(x_i) + ReLU(−x_i). One computes the half of it: with a slope v
    and a bias b the loss is s (1 − v)²/6 − s (1 − v) b/2 + s/6 − s b/2 + b², least at v = 1 − 3 b/2
    with the value s/6 − s²/(16 − 6 s). None leaves the variance s/3 − s²/4. The second neuron saves
    s/6 − s²/(16 − 6 s), which is more than the first saves for any s below 4/3: neurons are best
    given in pairs, in the order of importance.

    Parameters
    ----------
    n_hidden : int
        Number of neurons.
    density : array_like, shape (...)
        One for all features, whose values are uniform on [−1, 1] where they are on.
    importance : array_like, shape (n_features,)

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    >>> float(monosemantic_loss(2, density=1, importance=[1.0, 0.5]))  # 0.5 · 1/12
    0.0416666...
    """
    s = np.asarray(density, dtype=np.float64)
    pairs, single = divmod(n_hidden, 2)
    rest = np.sort(np.asarray(importance, dtype=np.float64))[::-1][pairs:]
    return np.asarray(
        rest[:single].sum() * (s / 6 - s**2 / (16 - 6 * s)) + constant_loss(s, rest[single:])
    )


class SmallOptimum(NamedTuple):
    """The best model that a search found, with its exact loss."""

    W: Floats
    V: Floats
    b: Floats
    loss: float


def least_loss(
    n_features: int,
    n_hidden: int,
    *,
    density: float,
    importance: ArrayLike,
    features: FeatureDistribution,
    starts: int,
    seed: int,
    also: Sequence[SmallOptimum] = (),
) -> SmallOptimum:
    """Search for the least exact loss of h = ReLU(W x), ŷ = ReLU(V h + b) asked for |x|.

    Parameters
    ----------
    n_features : int
        1 or 2, so that the loss is exact.
    n_hidden : int
    density : float
    importance : array_like, shape (n_features,)
    features : feature distribution
    starts : int
        Descents from random weights; a search proves nothing. One more begins at neurons that each
        work for one feature, so that the result is never above `monosemantic_loss`.
    seed : int
    also : sequence of SmallOptimum
        Models to descend from as well, such as optima at other densities.

    Examples
    --------
    >>> from superposition import Independent, ValueDistribution
    >>> features = Independent(ValueDistribution([1], symmetric=True))
    >>> least_loss(1, 2, density=0.1, importance=[1], features=features, starts=0, seed=0).loss
    0.0
    """
    shapes = ((n_hidden, n_features), (n_features, n_hidden), (n_features,))
    ends = np.cumsum([np.prod(shape) for shape in shapes])

    def split(rows: Floats) -> list[Floats]:
        parts = np.split(rows, ends[:-1], axis=-1)
        return [
            part.reshape(*rows.shape[:-1], *shape)
            for part, shape in zip(parts, shapes, strict=True)
        ]

    def losses(rows: Floats) -> Floats:
        return two_layer_loss(
            *split(rows), density=density, importance=importance, features=features,
            architecture="absolute-value",
        )  # fmt: skip

    random = np.random.default_rng([seed, n_features, n_hidden])
    begins = random.normal(size=(starts, ends[-1])) * np.append(
        np.ones(ends[1]), 0.1 * np.ones(n_features)
    )
    rows = [np.concatenate([each.W.ravel(), each.V.ravel(), each.b]) for each in also]
    begins = np.vstack([begins, *rows, _monosemantic_start(n_features, n_hidden)])
    objective = _with_slope(losses, float(constant_loss(density, importance)))
    found = np.stack([_descended(objective, start) for start in begins])
    best = found[int(losses(found).argmin())]
    # A descent may end early, at a kink of second derivatives: another one goes on from there.
    while losses(further := _descended(objective, best)) < losses(best) * (1 - _GAIN):
        best = further
    W, V, b = split(best)
    return SmallOptimum(W, V, b, float(losses(best)))


def _descended(objective: Objective, start: Floats) -> Floats:
    """Return where a descent ends, or its start if that is lower."""
    end = minimize(objective, start, jac=True, method="BFGS", options={"gtol": _FLAT}).x
    return end if objective(end)[0] < objective(start)[0] else start


def _monosemantic_start(n_features: int, n_hidden: int) -> Floats:
    """Return W, V and b in a row: two neurons for each of the first features, one for what rests."""
    W = np.zeros((n_hidden, n_features))
    for neuron in range(min(n_hidden, 2 * n_features)):
        W[neuron, neuron // 2] = 1 - 2 * (neuron % 2)
    return np.concatenate([W.ravel(), abs(W.T).ravel(), np.zeros(n_features)])


def _with_slope(losses: Callable[[Floats], Floats], scale: float) -> Objective:
    """Return the loss over `scale` with its gradient by central differences, all in one batch."""

    def at(point: Floats) -> tuple[float, Floats]:
        steps = _STEP * np.eye(len(point))
        values = losses(np.concatenate([point[np.newaxis], point + steps, point - steps])) / scale
        ahead, behind = np.split(values[1:], 2)
        return float(values[0]), (ahead - behind) / (2 * _STEP)

    return at
