"""Roe's features. Oracles: sampling, an identity with dimensionality, simulation of the null."""

from __future__ import annotations

import numpy as np
import pytest

from superposition import Correlated, Independent, ValueDistribution
from superposition.features import FeatureDistribution
from superposition.numerics import population_loss, train, training_batch
from superposition.theory import feature_dimensionality
from superposition.validation.statistics import (
    feature_accuracy,
    feature_test,
    holm,
    initial_networks,
    random_accuracy,
    rank_p_values,
    superiority_test,
)
from superposition.validation.statistics.accuracy import FeatureAccuracy


def network(n: int, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 0.8 * rng.normal(size=(m, n)), 0.1 * rng.normal(size=n)


@pytest.mark.parametrize(
    ("features", "density"),
    [
        (Independent(), [0.3, 0.3, 0.3, 0.3]),
        (Independent(), [0.1, 0.9, 0.5, 0.2]),
        (Correlated([(0, 1)]), [0.4, 0.4, 0.2, 0.6]),
        (Independent(ValueDistribution([1], symmetric=True)), [0.5] * 4),
    ],
    ids=["equal", "unequal", "correlated", "symmetric"],
)
@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_accuracy_against_sampling(
    features: FeatureDistribution, density: list[float], activation: str
) -> None:
    """The squared correlation of k pairs has a standard error below 1/√k; five of them."""
    W, b = network(4, 2, seed=1)
    k = 100_000
    x = training_batch(density, k, features=features, seed=2)
    output = x @ (W.T @ W) + b
    if activation == "relu":
        output = np.maximum(output, 0)
    found = feature_accuracy(W, b, density=density, features=features, activation=activation)
    for i in range(4):
        sampled = np.corrcoef(x[:, i], output[:, i])[0, 1] ** 2
        assert found.correlation[i] == pytest.approx(sampled, abs=5 / np.sqrt(k))
        squares = (x[:, i] - output[:, i]) ** 2
        error = squares.std() / np.sqrt(k)
        assert found.loss[i] == pytest.approx(squares.mean(), abs=5 * error)
        variance = found.loss[i] / (1 - found.relative[i])
        assert variance == pytest.approx(x[:, i].var(), rel=0.05)


def test_linear_correlation_is_the_dimensionality_of_a_feature() -> None:
    """‖W_i‖² / Σ_j (Ŵ_i·W_j)², Elhage et al. 2022, for independent features of one density."""
    for n, m in ((2, 1), (5, 2), (12, 3)):
        W, b = network(n, m, seed=n)
        found = feature_accuracy(W, b, density=0.3, activation="linear")
        np.testing.assert_allclose(found.correlation, feature_dimensionality(W), atol=1e-9)


def test_losses_add_up_and_constants_have_no_accuracy() -> None:
    W, b = network(5, 2, seed=3)
    W[:, 4], b[4] = 0.0, 0.15  # the best constant: E x = s/2
    found = feature_accuracy(W, b, density=0.3)
    total = population_loss(W, b, density=0.3, importance=np.ones(5))
    assert found.loss.sum() == pytest.approx(float(total), rel=1e-9)
    assert found.relative[4] == pytest.approx(0.0, abs=1e-9)
    assert found.correlation[4] == 0.0
    some = feature_accuracy(W, b, density=0.3, outputs=[1, 4])
    np.testing.assert_allclose(some.correlation, found.correlation[[1, 4]], atol=1e-12)


def test_input_that_never_varies_is_refused() -> None:
    with pytest.raises(ValueError, match="every input must vary"):
        feature_accuracy([[1.0, 0.0]], [0.0, 0.0], density=0.0)
    with pytest.raises(ValueError, match="statistic must be one of correlation, loss"):
        feature_test([[1.0, 0.0]], [0, 0], density=0.5, statistic="norm")  # type: ignore[arg-type]


def test_rank_p_values_by_counting() -> None:
    rng = np.random.default_rng(4)
    value, null = rng.integers(0, 6, (7, 3)) / 5, rng.integers(0, 6, (19, 3)) / 5
    for row, p in zip(value, rank_p_values(value, null), strict=True):
        assert p.tolist() == [(1 + (null[:, k] >= row[k]).sum()) / 20 for k in range(3)]


def test_p_values_of_random_networks_are_uniform() -> None:
    """Networks of other seeds than the null's: any level is kept, within five standard errors.

    The null sample is one of 999 networks, whose own ranks vary: the rate has that error too.
    """
    networks = 2000
    W, b = initial_networks(4, 2, networks, seed=11)
    p = feature_test(W, b, density=0.3).p_value
    for level in (0.05, 0.25, 0.5, 0.9):
        error = np.sqrt(level * (1 - level) * (1 / networks + 1 / 999))
        for k in range(4):
            assert (p[:, k] <= level).mean() == pytest.approx(level, abs=5 * error)
    family = (holm(p) <= 0.05).any(axis=1).mean()
    assert family <= 0.05 + 5 * np.sqrt(0.05 * (1 / networks + 1 / 999))


def test_one_feature_stands_for_all_where_they_are_alike() -> None:
    arguments = {"density": 0.3, "protocol": "roe2023", "seed": 5}
    found = random_accuracy(4, 2, 400, **arguments).correlation  # type: ignore[arg-type]
    assert (found == found[:, :1]).all()
    W, b = initial_networks(4, 2, 400, protocol="roe2023", seed=5)
    each = feature_accuracy(W, b, density=0.3).correlation
    np.testing.assert_allclose(found[:, 0], each[:, 0], atol=1e-5)
    # Two samples of one law: the largest distance of their distribution functions (Smirnov).
    for k in range(1, 4):
        at = np.sort(each[:, k])
        distance = abs((found[:, 0] <= at[:, np.newaxis]).mean(axis=1) - np.arange(1, 401) / 400)
        assert distance.max() < 1.95 * np.sqrt(2 / 400)  # level 0.001
    unlike = random_accuracy(4, 2, 5, density=[0.1, 0.2, 0.3, 0.4]).correlation
    assert np.ptp(unlike, axis=1).min() > 0


def test_start_of_a_trained_network_is_not_in_its_null() -> None:
    W, _ = initial_networks(3, 1, 20, seed=0)
    started = train(3, 1, density=0.3, importance=np.ones(3), replicas=20, record_weights=[0])
    assert not np.isclose(W[:, np.newaxis], started.W_history[np.newaxis, :, 0]).any()


def test_dropped_features_pass_by_loss_and_not_by_correlation() -> None:
    """20 features in 5 dimensions, all on: training keeps the five most important ones."""
    importance = 0.7 ** np.arange(20)
    model = train(20, 5, density=1.0, importance=importance, replicas=8)
    # The null sample is small: rank tests of one network are not what is tested here.
    null = random_accuracy(20, 5, 200, density=1.0)
    found = feature_accuracy(model.W, model.b, density=1.0, rtol=1e-6)

    def significant(value: np.ndarray, random: np.ndarray) -> np.ndarray:
        return holm(superiority_test(value, random)[1]) <= 0.05

    kept = np.arange(20) < 5
    np.testing.assert_array_equal(significant(found.correlation, null.correlation), kept)
    assert significant(-found.loss, -null.loss).all()
    assert isinstance(found, FeatureAccuracy)


def test_superiority_by_counting_pairs_and_its_level() -> None:
    rng = np.random.default_rng(6)
    value, null = (
        rng.integers(0, 5, (8, 2)).astype(float),
        rng.integers(0, 5, (30, 2)).astype(float),
    )
    pairs = value[:, np.newaxis] - null
    expected = (pairs > 0).mean(axis=(0, 1)) + 0.5 * (pairs == 0).mean(axis=(0, 1))
    np.testing.assert_allclose(superiority_test(value, null)[0], expected, rtol=1e-12)
    sets = 4000
    p = superiority_test(rng.random((10, sets)), rng.random((200, sets)))[1]
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / sets))
