"""Roe's definition of a feature as a test against randomly initialized networks.

Roe's replication, section 2: features are aspects of the input that a network represents accurately
with a significantly higher probability than a randomly initialized network. Two tests come of it.
Both have the null hypothesis that the accuracy of aspect i is a draw from the accuracies of
networks as the protocol initializes them.

`feature_test`
    Of one network. The p-value is the rank among N random networks, (1 + number that are at least
    as accurate) / (N + 1): exact, because under the null hypothesis all ranks are equally likely.
    A single network can be accurate by chance, and where few features compete many random ones are.
`superiority_test`
    Of replicas: the probability that a trained network is more accurate than a random one,
    by the test of Mann and Whitney (1947). This is the definition by the letter.

What is *accurate*? With the loss E(x_i − x̂_i)² for it, the definition fails: networks with large
random weights are worse than an output that hardly changes, so that aspects which training has
dropped are "represented". Relative to the best constant, 1 − E(x_i − x̂_i)²/Var x_i, it is the same
test, because ranks stay what they are. The repaired statistic is the squared correlation of x_i with
x̂_i: what an affine function of the output can tell of the input. A constant output has 0 and is
never significant, and the scale of random weights does not matter. For linear outputs it is the
dimensionality of the feature (`accuracy.feature_accuracy`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ...features import FeatureDistribution, check_features
from ...numerics import Protocol, resolve_protocol, train
from .accuracy import FeatureAccuracy, feature_accuracy
from .multiplicity import benjamini_hochberg, holm

__all__ = [
    "FeatureTest",
    "Statistic",
    "feature_test",
    "initial_networks",
    "random_accuracy",
    "rank_p_values",
    "superiority_test",
]

Floats = NDArray[np.float64]
Statistic = Literal["correlation", "loss"]

# Starts are drawn from streams that have a number: far from those of trained models, which are
# counted from 0, so that no network is compared with its own start.
_STREAM: Final = 1 << 40
_RTOL = 1e-6  # ranks need no more


@dataclass(frozen=True)
class FeatureTest:
    """Which aspects of the input are features of networks.

    Attributes
    ----------
    statistic : {"correlation", "loss"}
    value : ndarray, shape (..., n_features)
        Accuracy: the squared correlation, or minus the loss.
    null : ndarray, shape (networks, n_features)
        The same of random networks.
    p_value : ndarray, shape (..., n_features)
    benjamini_hochberg, holm : ndarray, shape (..., n_features)
        Adjusted for the features of one network.
    """

    statistic: Statistic
    value: Floats
    null: Floats
    p_value: Floats
    benjamini_hochberg: Floats
    holm: Floats


def rank_p_values(value: ArrayLike, null: ArrayLike) -> Floats:
    """Return (1 + number of null values that are at least as large) / (N + 1).

    Parameters
    ----------
    value : array_like, shape (..., k)
    null : array_like, shape (N, k)

    Returns
    -------
    ndarray, shape (..., k)
        Exact p-values if `value` is drawn as `null` is; ties make them larger.

    Examples
    --------
    >>> rank_p_values([0.5, 0.0], [[0.1, 0.0], [0.2, 0.0], [0.7, 0.0]]).tolist()
    [0.5, 1.0]
    """
    values, drawn = np.asarray(value, dtype=np.float64), np.sort(np.asarray(null), axis=0)
    ranks = np.empty(values.shape)
    for k in range(drawn.shape[1]):
        below = np.searchsorted(drawn[:, k], values[..., k], side="left")
        ranks[..., k] = 1 + len(drawn) - below
    return ranks / (len(drawn) + 1)


def initial_networks(
    n_features: int,
    n_hidden: int,
    networks: int,
    *,
    protocol: str | Protocol = "annealed",
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Draw networks as a protocol initializes them, apart from all that `train` starts from.

    Parameters
    ----------
    n_features, n_hidden, networks : int
    protocol : str or Protocol
    seed : int

    Returns
    -------
    W : ndarray, shape (networks, n_hidden, n_features)
    b : ndarray, shape (networks, n_features)

    Raises
    ------
    ValueError
        If a number is not positive, or the protocol unknown.

    Examples
    --------
    >>> W, b = initial_networks(2, 1, 1000, protocol="roe2023")  # N(0, 1.5²) and N(0, 0.5²)
    >>> bool(abs(W.std() - 1.5) < 0.15), bool(abs(b.std() - 0.5) < 0.05)
    (True, True)
    """
    one_step = replace(resolve_protocol(protocol), steps=1, batch_size=1, warmup=0, plateau=None)
    started = train(
        n_features, n_hidden, density=1.0, importance=np.ones(n_features), protocol=one_step,
        replicas=networks, seed=seed, record_weights=[0], model_index=_STREAM,
    )  # fmt: skip
    return started.W_history[:, 0], started.b_history[:, 0]


def random_accuracy(
    n_features: int,
    n_hidden: int,
    networks: int,
    *,
    density: ArrayLike,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    protocol: str | Protocol = "annealed",
    seed: int = 0,
) -> FeatureAccuracy:
    """Compute the accuracies of random networks: the null distribution of both tests.

    Features that are on independently with one density have one law, because the entries of a
    start have. Then one feature of every network is computed, for all.

    Parameters
    ----------
    n_features, n_hidden, networks : int
    density : float or array_like, shape (n_features,)
    activation : {"relu", "linear"}
    features : feature distribution, optional
        None is `Independent`.
    protocol : str or Protocol
        How the networks are initialized.
    seed : int

    Returns
    -------
    FeatureAccuracy
        With entries of shape (networks, n_features).

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> random_accuracy(5, 2, 99, density=0.2).correlation.shape
    (99, 5)
    """
    W, b = initial_networks(n_features, n_hidden, networks, protocol=protocol, seed=seed)
    alike = check_features(features).is_independent(n_features) and np.ptp(density) == 0
    found = feature_accuracy(
        W, b, density=density, activation=activation, features=features, rtol=_RTOL,
        outputs=[0] if alike else None,
    )  # fmt: skip
    shape = (networks, n_features)
    parts = (found.loss, found.relative, found.correlation)
    return FeatureAccuracy(*(np.broadcast_to(part, shape) for part in parts))


def superiority_test(value: ArrayLike, null: ArrayLike) -> tuple[Floats, Floats]:
    """Test whether trained networks are more accurate than random ones with higher probability.

    Parameters
    ----------
    value : array_like, shape (replicas, k)
        Accuracies of replicas, by feature.
    null : array_like, shape (networks, k)
        Those of random networks.

    Returns
    -------
    probability : ndarray, shape (k,)
        Share of the pairs in which the replica is more accurate; ties count one half.
    p_value : ndarray, shape (k,)
        Of Mann and Whitney's test, one-sided, by its normal limit with correction for ties.

    Examples
    --------
    >>> probability, p = superiority_test([[3.0], [4.0], [5.0]], [[1.0], [2.0], [3.5]])
    >>> round(float(probability[0]), 3), bool(p[0] < 0.1)
    (0.889, True)
    """
    values, drawn = np.asarray(value, dtype=np.float64), np.asarray(null, dtype=np.float64)
    found = stats.mannwhitneyu(values, drawn, alternative="greater", method="asymptotic", axis=0)
    return np.asarray(found.statistic / (len(values) * len(drawn))), np.asarray(found.pvalue)


def _value(accuracy: FeatureAccuracy, statistic: Statistic) -> Floats:
    return accuracy.correlation if statistic == "correlation" else -accuracy.loss


def feature_test(
    W: ArrayLike,
    b: ArrayLike,
    *,
    density: ArrayLike,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    protocol: str | Protocol = "annealed",
    networks: int = 999,
    seed: int = 0,
    statistic: Statistic = "correlation",
) -> FeatureTest:
    """Test which aspects of the input a network represents better than random networks do.

    Parameters
    ----------
    W : array_like, shape (..., n_hidden, n_features)
    b : array_like, shape (..., n_features)
        One network or several, each tested by itself.
    density : float or array_like, shape (n_features,)
    activation : {"relu", "linear"}
    features : feature distribution, optional
        None is `Independent`.
    protocol : str or Protocol
        Whose initial networks are the null hypothesis.
    networks : int
        Their number N; p-values are at least 1/(N + 1).
    seed : int
        Of the random networks.
    statistic : {"correlation", "loss"}
        "loss" is the definition taken by the letter, with the fault that is told above.

    Returns
    -------
    FeatureTest

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    Three of five features are dropped. By their loss they pass for features:

    >>> W = np.eye(2, 5)
    >>> dropped = {"W": W, "b": [0, 0, 0.5, 0.5, 0.5], "density": 1.0, "protocol": "roe2023"}
    >>> (feature_test(**dropped).p_value < 0.05).tolist()
    [True, True, False, False, False]
    >>> (feature_test(**dropped, statistic="loss").p_value < 0.05).tolist()
    [True, True, True, True, True]
    """
    if statistic not in get_args(Statistic):
        raise ValueError(
            f"statistic must be one of {', '.join(get_args(Statistic))}, got {statistic!r}"
        )
    weights = np.asarray(W, dtype=np.float64)
    m, n = weights.shape[-2:]
    model: dict[str, Any] = {"density": density, "activation": activation, "features": features}
    random = random_accuracy(n, m, networks, protocol=protocol, seed=seed, **model)
    null = _value(random, statistic)
    value = _value(feature_accuracy(weights, b, **model), statistic)
    p = rank_p_values(value, null)
    return FeatureTest(statistic, value, null, p, benjamini_hochberg(p), holm(p))
