"""Descent, global minima and training on features of every distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from superposition import (
    Anticorrelated,
    CoActive,
    Correlated,
    Independent,
    OneHot,
    ValueDistribution,
)
from superposition.features import FeatureDistribution
from superposition.numerics import (
    Protocol,
    descend,
    global_minimum,
    is_dead,
    population_loss,
    population_loss_and_grad,
    random_starts,
    train,
)
from superposition.numerics.minima.descent import Descent
from superposition.numerics.minima.multistart import distinct_minima
from superposition.numerics.sampling.batches import training_batch

Floats = NDArray[np.float64]
Losses = Callable[..., list[Fraction]]

RISING = ValueDistribution([0, 2])
SYMMETRIC = ValueDistribution([1], symmetric=True)
CASES: dict[str, tuple[FeatureDistribution, list[float]]] = {
    "correlated": (Correlated([(0, 2)]), [0.3, 0.6, 0.3]),
    "anticorrelated": (Anticorrelated([(0, 2)]), [0.3, 0.6, 0.5]),
    "co-active": (CoActive(), [0.3] * 3),
    "one-hot": (OneHot(), [0.1, 0.3, 0.6]),
    "rising": (Independent(RISING), [0.3, 0.6, 0.5]),
    "symmetric": (Independent(SYMMETRIC), [0.3, 0.6, 0.5]),
    "co-active-symmetric": (CoActive(SYMMETRIC), [0.3] * 3),
}
every = pytest.mark.parametrize(("features", "density"), CASES.values(), ids=CASES)


# --- descent and minima ------------------------------------------------------------------------


@every
@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_descent_ends_where_the_gradient_vanishes(
    features: FeatureDistribution, density: list[float], activation: str, exact_losses: Losses
) -> None:
    arguments: dict[str, Any] = {
        "density": np.array(density), "importance": [1.0, 1.0, 1.0], "features": features,
        "activation": activation,
    }  # fmt: skip
    W, b = random_starts(3, 1, count=1, seed=3)
    found = descend(W[0], b[0], **arguments)
    assert found.converged
    at = population_loss_and_grad(found.W, found.b, **arguments)
    assert found.loss == at.loss
    norm = np.sqrt((at.dW**2).sum() + (at.db**2).sum())
    assert norm <= 1e-10 * sum(density)
    exact = sum(exact_losses(found.W, found.b, density, activation, features))
    assert float(found.loss) == pytest.approx(float(exact), rel=1e-12, abs=1e-18)
    rng = np.random.default_rng(0)
    for _ in range(20):  # a minimum: no step of a hundredth leads lower
        dW, db = rng.normal(size=(1, 3)), rng.normal(size=3)
        step = 0.01 / np.sqrt((dW**2).sum() + (db**2).sum())
        moved = population_loss(found.W + step * dW, found.b + step * db, **arguments)
        assert moved >= found.loss - 1e-15


def test_batches_of_descents_are_bitwise_a_loop_whatever_the_workers() -> None:
    W, b = random_starts(3, 2, count=6)
    features = Anticorrelated([(0, 1)])
    density = np.linspace(0.1, 0.5, 6)[:, None] * [1, 0.5, 1]
    arguments: dict[str, Any] = {"importance": [1, 1, 1], "features": features}
    batch = descend(W, b, density=density, workers=2, **arguments)
    for k in range(6):
        alone = descend(W[k], b[k], density=density[k], workers=1, **arguments)
        np.testing.assert_array_equal(alone.W, batch.W[k])
        assert alone.loss == batch.loss[k]


@pytest.mark.parametrize("density", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("values", [None, RISING], ids=["uniform", "rising"])
def test_exclusive_features_share_a_dimension_without_loss(
    density: float, values: ValueDistribution | None
) -> None:
    """W = (1, −1), b = 0: while one feature is on the other's output is cut off at 0."""
    law = {} if values is None else {"values": values}
    features = Anticorrelated([(0, 1)], **law)
    arguments: dict[str, Any] = {"density": density, "importance": [1, 2], "features": features}
    assert population_loss([[1, -1]], [0, 0], **arguments) == 0
    found = global_minimum(2, 1, starts=32, **arguments)
    assert found.loss <= 1e-18
    np.testing.assert_allclose(abs(found.W), [[1, 1]], atol=1e-6)
    assert found.W.prod() < 0
    assert sum(minimum.loss < 1e-12 for minimum in found.minima) == 1


@pytest.mark.parametrize(("s", "r"), list(product([0.05, 0.3, 0.9], [0.3, 0.7, 1.0])))
def test_features_that_are_on_together_are_never_antipodal(s: float, r: float) -> None:
    """The best weights have one sign, and beat feature 0 alone, which an antipodal pair does not.

    Given the gate, W = (1, −1) without bias errs by the smaller value on both outputs, and the
    mean of its square is 1/6; feature 0 alone leaves the mean square of the other, 1/3.
    """
    arguments: dict[str, Any] = {"density": s, "importance": [1, r], "features": CoActive()}
    found = global_minimum(2, 1, starts=32, **arguments)
    assert found.W.prod() >= -1e-9
    antipodal = population_loss([[1, -1]], [0, 0], **arguments)
    assert antipodal == pytest.approx((1 + r) * s / 6, rel=1e-14)
    assert found.loss < r * s / 3 <= (1 + r) * s / 6


def test_features_are_exchanged_only_where_their_gates_are_alike() -> None:
    """Feature 2 is in no set, so keeping it is not a copy of keeping feature 0; feature 1 is."""
    kept = np.eye(3)[:, None, :]
    ends = Descent(
        W=kept, b=np.zeros((3, 3)), loss=np.full(3, 0.1), gradient_norm=np.zeros(3),
        converged=np.ones(3, dtype=bool), evaluations=np.ones(3, dtype=np.int64),
    )  # fmt: skip
    for features, kinds in [
        (None, 1),
        (CoActive(), 1),
        (Correlated([(0, 1)]), 2),
        (Anticorrelated([(1, 2)]), 2),
    ]:
        found = distinct_minima(ends, np.full(3, 0.3), np.ones(3), features=features)
        assert len(found) == kinds


def test_partners_and_strangers_are_not_exchanged() -> None:
    """Both pair two features antipodally: once two partners, once two of different sets."""
    pairs = np.array([[[1.0, -1.0, 0.0, 0.0]], [[1.0, 0.0, -1.0, 0.0]]])
    ends = Descent(
        W=pairs, b=np.zeros((2, 4)), loss=np.full(2, 0.1), gradient_norm=np.zeros(2),
        converged=np.ones(2, dtype=bool), evaluations=np.ones(2, dtype=np.int64),
    )  # fmt: skip
    density, importance = np.full(4, 0.3), np.ones(4)
    assert len(distinct_minima(ends, density, importance)) == 1
    sets = Correlated([(0, 1), (2, 3)])
    assert len(distinct_minima(ends, density, importance, features=sets)) == 2


def test_flipped_columns_are_one_minimum_where_values_are_symmetric() -> None:
    found = global_minimum(
        2, 1, density=0.3, importance=[1, 1], starts=64, features=Independent(SYMMETRIC)
    )
    losses = [minimum.loss for minimum in found.minima]
    assert (np.diff(losses) > 1e-6).all()


@pytest.mark.parametrize(
    ("features", "dead"),
    [
        (None, [False, False]),
        (CoActive(), [False, False]),
        (OneHot(), [True, False]),
        (Anticorrelated([(0, 1)]), [True, False]),
        (OneHot(SYMMETRIC), [True, False]),
    ],
    ids=repr,
)
def test_dead_outputs(features: FeatureDistribution | None, dead: list[bool]) -> None:
    """z_0 = x_0 + x_1 − 1.5 needs both features on."""
    W, b = np.array([[1.0, 1.0]]), np.array([-1.5, -0.5])
    assert is_dead(W, b, features).tolist() == dead
    x = training_batch([0.5, 0.5], 5000, features=features)
    assert ((np.maximum(x @ W.T @ W + b, 0) == 0).all(axis=0) == dead).all()


# --- training ----------------------------------------------------------------------------------

BRIEF = Protocol(name="brief", optimizer="sgd", learning_rate=0.1, steps=20, batch_size=9)


def plain_training(
    W: Floats, b: Floats, density: list[float], features: FeatureDistribution, **place: Any
) -> tuple[Floats, Floats]:
    """One model with autograd, on the data that `train` says it uses."""
    weights, biases = torch.tensor(W, requires_grad=True), torch.tensor(b, requires_grad=True)
    for step in range(BRIEF.steps):
        batch = training_batch(density, BRIEF.batch_size, features=features, step=step, **place)
        x = torch.from_numpy(batch)
        loss = (x - torch.relu(x @ weights.T @ weights + biases)).square().sum(dim=1).mean()
        slopes = torch.autograd.grad(loss, (weights, biases))
        with torch.no_grad():
            weights -= BRIEF.learning_rate * slopes[0]
            biases -= BRIEF.learning_rate * slopes[1]
    return weights.detach().numpy(), biases.detach().numpy()


@every
@pytest.mark.parametrize("n", [3, 8])
def test_training_is_the_plain_loop_on_the_same_data(
    features: FeatureDistribution, density: list[float], n: int
) -> None:
    """Eight features are trained by matrix products, with padded batches."""
    if n == 8:
        rest = [0.0] * 5 if isinstance(features, OneHot) else [density[0]] * 5
        density = [*density, *rest]
    start = random_starts(n, 2, count=2, seed=1)
    result = train(
        n, 2, density=[density], importance=np.ones((1, n)), features=features, seed=7,
        replicas=2, model_index=[5], dtype=torch.float64, protocol=BRIEF, initial=start,
    )  # fmt: skip
    for replica in range(2):
        W, b = plain_training(
            start[0][replica], start[1][replica], density, features,
            seed=7, model_index=5, replica=replica,
        )  # fmt: skip
        np.testing.assert_allclose(result.W[0, replica], W, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(result.b[0, replica], b, rtol=1e-9, atol=1e-12)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_packing_changes_no_bit(
    features: FeatureDistribution, density: list[float], dtype: torch.dtype
) -> None:
    other = [0.2, 0.2, 0.6] if isinstance(features, OneHot) else [0.2] * 3
    common: dict[str, Any] = {"features": features, "protocol": BRIEF, "seed": 5, "dtype": dtype}
    pack = train(
        3, 2, density=[density, other], importance=np.ones((2, 3)), replicas=5, chunk_size=10,
        workers=1, **common,
    )  # fmt: skip
    chunked = train(
        3, 2, density=[density, other], importance=np.ones((2, 3)), replicas=5, chunk_size=3,
        workers=2, **common,
    )  # fmt: skip
    alone = train(
        3, 2, density=[other], importance=np.ones((1, 3)), replicas=2, model_index=[1], **common
    )
    np.testing.assert_array_equal(pack.W, chunked.W)
    np.testing.assert_array_equal(pack.b, chunked.b)
    np.testing.assert_array_equal(pack.loss_history, chunked.loss_history)
    np.testing.assert_array_equal(pack.W[1:, :2], alone.W)


def test_training_finds_the_lossless_pair() -> None:
    protocol = replace(BRIEF, optimizer="adam", learning_rate=0.02, steps=1500, batch_size=32)
    features = Anticorrelated([(0, 1)])
    result = train(
        2, 1, density=0.4, importance=[1, 1], features=features, replicas=8, protocol=protocol
    )
    losses = population_loss(result.W, result.b, density=0.4, importance=[1, 1], features=features)
    assert losses.min() < 1e-4
    assert result.W[losses.argmin()].prod() < -0.9


# --- wrong arguments ---------------------------------------------------------------------------

CALLS: dict[str, Callable[..., Any]] = {
    "population_loss": lambda **options: population_loss([[1, -1]], [0, 0], **options),
    "population_loss_and_grad": lambda **o: population_loss_and_grad([[1, -1]], [0, 0], **o),
    "descend": lambda **options: descend([[1, -1]], [0, 0], **options),
    "global_minimum": lambda **options: global_minimum(2, 1, **options),
    "train": lambda **options: train(2, 1, protocol=BRIEF, **options),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("features", "density", "message"),
    [
        ("uniform", 0.1, "features must be None or a feature distribution"),
        (CoActive(), [0.1, 0.2], "on together, so their densities must be equal"),
        (Anticorrelated([(0, 1)]), 0.6, "must sum to at most 1"),
        (OneHot(), 0.4, "must sum to 1"),
        (Correlated([(0, 2)]), 0.4, "sets may name the features 0, …, 1, got 2"),
    ],
    ids=["no-distribution", "co-active", "anticorrelated", "one-hot", "no-such-feature"],
)
def test_features_that_cannot_be(
    call: Callable[..., Any], features: Any, density: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call(density=density, importance=[1, 1], features=features)
