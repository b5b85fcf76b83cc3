"""Small couplings: against rational arithmetic, the recurrence, and quadrature.

Small couplings reach far up the line in the complex plane. Models that reconstruct nearly
perfectly, and pairs with a little noise, are full of them; training ends there.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from superposition import UNIFORM, Anticorrelated, CoActive, Independent, ValueDistribution
from superposition.features import FeatureDistribution
from superposition.numerics import population_loss, population_loss_and_grad
from superposition.numerics.loss import batch, laws, quadrature, recurrence
from superposition.numerics.loss.contour import small_couplings
from superposition.numerics.loss.contour.loss import contour_work, loss_of_output
from superposition.numerics.loss.contour.merged import merge
from superposition.numerics.loss.contour.plan import MAX_NODES
from superposition.numerics.loss.contour.transform import value_transform
from superposition.numerics.loss.exact import LossAndGradient

RTOL = 1e-9

Floats = NDArray[np.float64]
Losses = Callable[..., list[Fraction]]

VALUES = {
    "uniform": UNIFORM,
    "2u": ValueDistribution([0, 2]),
    "symmetric": ValueDistribution([1], symmetric=True),
}


def nearly(kind: str, n: int, noise: float, seed: int = 0) -> tuple[Floats, Floats]:
    """Weights of nearly perfect reconstruction, or of pairs, and biases away from 0."""
    rng = np.random.default_rng([n, seed])
    if kind == "perfect":
        W = np.eye(n)
    else:
        W = np.zeros((n // 2, n))
        for k in range(n // 2):
            W[k, 2 * k], W[k, 2 * k + 1] = 1.0, -1.0
    return W + noise * rng.normal(size=W.shape), -0.1 - 0.2 * rng.random(n)


@pytest.fixture
def only_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all outputs be sums over nodes, of merged features where that is possible."""
    monkeypatch.setattr(laws, "RECURRENCE_FEATURES", 0)
    monkeypatch.setattr(laws, "RECURRENCE_STATES", 0)
    monkeypatch.setattr(small_couplings, "MANY_NODES", 0)


def difference(one: LossAndGradient, other: LossAndGradient) -> float:
    return float(max(abs(one.dW - other.dW).max(), abs(one.db - other.db).max()))


@pytest.mark.usefixtures("only_sums")
@pytest.mark.parametrize("noise", [1e-7, 1e-4, 1e-2])
@pytest.mark.parametrize("kind", ["perfect", "pairs"])
@pytest.mark.parametrize("name", VALUES)
def test_loss_against_rational_arithmetic(
    name: str, kind: str, noise: float, exact_losses: Losses
) -> None:
    features = Anticorrelated([(0, 1)], VALUES[name])
    W, b = nearly(kind, 4, noise)
    density = 0.2
    at = population_loss_and_grad(
        W, b, density=density, importance=np.ones(4), features=features, rtol=RTOL
    )
    exact = sum(exact_losses(W, b, density, "relu", features), Fraction(0))
    assert abs(Fraction(float(at.loss)) - exact) <= Fraction(float(at.error))
    assert at.error <= RTOL * exact


@pytest.mark.parametrize(
    "features", [Independent(), Independent(VALUES["2u"]), Independent(VALUES["symmetric"])]
)
@pytest.mark.parametrize("kind", ["perfect", "pairs"])
@pytest.mark.parametrize(("noise", "rtol"), [(1e-4, RTOL), (0.03, 1e-3)])
def test_gradient_against_recurrences(
    noise: float,
    rtol: float,
    features: FeatureDistribution,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    W, b = nearly(kind, 6, noise)
    density = np.linspace(0.01, 0.5, 6)
    arguments: dict[str, Any] = {
        "density": density, "importance": np.ones(6), "features": features
    }  # fmt: skip
    monkeypatch.setattr(laws, "RECURRENCE_STATES", 10**6)
    closed = population_loss_and_grad(W, b, **arguments)
    monkeypatch.setattr(laws, "RECURRENCE_FEATURES", 0)
    monkeypatch.setattr(laws, "RECURRENCE_STATES", 0)
    monkeypatch.setattr(small_couplings, "MANY_NODES", 0)
    merged = population_loss_and_grad(W, b, rtol=rtol, **arguments)
    assert difference(merged, closed) <= merged.gradient_error + 1e-14
    assert merged.gradient_error <= 10 * rtol
    assert abs(merged.loss - closed.loss) <= merged.error + 1e-14
    assert merged.error <= rtol * closed.loss


@pytest.mark.parametrize("kind", ["perfect", "pairs"])
def test_tolerances_are_reached_at_what_training_finds(kind: str) -> None:
    """They were missed by a factor of a thousand, after seconds for each output."""
    W, b = nearly(kind, 12, 1e-6)
    at = population_loss_and_grad(W, b, density=0.05, importance=np.ones(12))
    assert at.error <= RTOL * at.loss
    assert at.gradient_error <= 1e-8
    # to the second order in the noise: the mean of the gradients with it and without
    clean, _ = nearly(kind, 12, 0.0)
    less = population_loss_and_grad(clean, b, density=0.05, importance=np.ones(12))
    change = ((W - clean) * (at.dW + less.dW) / 2).sum()
    assert at.loss - less.loss == pytest.approx(change, abs=1e-3 * abs(change))


@pytest.mark.usefixtures("only_sums")
@pytest.mark.parametrize("noise", [1e-8, 1e-10])
def test_small_couplings_that_cannot_be_merged(noise: float, exact_losses: Losses) -> None:
    """Features that are on together: rtol is missed, by a bound that is of use all the same."""
    W, b = nearly("perfect", 3, noise)
    features = CoActive(VALUES["2u"])
    at = population_loss_and_grad(W, b - 0.2, density=1.0, importance=np.ones(3), features=features)
    exact = sum(exact_losses(W, b - 0.2, 1.0, "relu", features), Fraction(0))
    assert abs(Fraction(float(at.loss)) - exact) <= Fraction(float(at.error))
    assert at.error < 1e-4 * exact


@pytest.mark.usefixtures("only_sums")
def test_devices_merge_too() -> None:
    W, b = nearly("pairs", 8, 1e-5)
    rows = batch.Rows(W[None], b[None], np.full((1, 8), 0.1), np.ones((1, 8)), np.zeros(1), False)
    features = Independent(VALUES["2u"])
    here = batch.losses_of_rows(rows, features, RTOL, True)
    there = batch.losses_of_rows(rows, features, RTOL, True, torch.device("meta"))
    np.testing.assert_allclose(there.loss, here.loss, rtol=1e-13)
    np.testing.assert_allclose(there.dW, here.dW, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", VALUES)
def test_points_have_the_moments_of_the_sum(name: str) -> None:
    """Weights and shares reproduce E D^k and E x_j D^k: against 10⁶ draws, within 5 sigma."""
    values = VALUES[name]
    work = contour_work(Independent(values), 4)
    couplings, density = np.array([1.0, 1e-3, -2e-3, 0.5e-3]), np.array([0.5, 0.3, 0.1, 0.9])
    found = merge(0, -0.4, couplings, density, 1e-9, 1e-9, work.law, work.gates)
    assert found.is_merged.tolist() == [False, True, True, True]
    rng = np.random.default_rng(0)
    size = np.sqrt(rng.random((10**6, 4))) if name == "2u" else rng.random((10**6, 4))
    sign = rng.choice([-1, 1], size=size.shape) if values.symmetric else 1
    x = (rng.random(size.shape) < density) * size * sign
    D = x @ np.where(found.is_merged, couplings, 0.0)
    for power in range(5):
        for j in (None, 1, 2, 3):
            draws = (D * 1e3) ** power * (1 if j is None else x[:, j])
            weight = found.weight if j is None else found.share[j]
            error = abs(weight @ (found.shift * 1e3) ** power - draws.mean())
            assert error <= 5 * draws.std() / 1e3 + 1e-12


@pytest.mark.parametrize("noise", [1e-3, 1e-2, 0.1])
def test_bounds_of_merging_hold(noise: float) -> None:
    """Whatever is merged: against the recurrence, for biases at all distances from the kinks."""
    n, rng = 7, np.random.default_rng(0)
    work, scratch = contour_work(Independent(), n), recurrence.workspace(n)
    merged = 0
    for _ in range(60):
        small = noise * rng.choice([-1.0, -0.5, 0.5, 1.0], size=n - 3)
        couplings = np.array([1.0, -0.7, 0.4 * rng.integers(2), *small])
        density = rng.choice([0.02, 0.3, 0.9], size=n)
        kink = rng.choice([0.0, -0.3, -1.0]) - 0.5 * (small @ density[3:])
        bias = float(kink + noise * rng.uniform(-5, 5))
        tolerance = float(10.0 ** rng.uniform(-10, -1))
        exact, gradient, here = np.empty(n), np.zeros(n), np.empty(n)
        loss, slope = recurrence.loss_of_output(0, couplings, 0.0, bias, density, exact, scratch)
        law = merge(0, bias, couplings, density, tolerance, tolerance, work.law, work.gates)
        others = np.where(law.is_merged, 0.0, couplings)
        for k in range(len(law.shift)):
            f, df = recurrence.loss_of_output(
                0, others, 0.0, bias + law.shift[k], density, here, scratch
            )
            loss -= law.weight[k] * f
            slope -= law.weight[k] * df
            gradient += np.where(law.is_merged, law.share[:, k] * df, law.weight[k] * here)
        if len(law.shift):
            merged += 1
            assert abs(loss) <= law.loss_error + 1e-13 <= tolerance + 1e-13
            errors = abs(np.append(gradient - exact, slope))
            assert errors.max() <= law.gradient_error + 1e-13
    assert merged > 10


def test_a_kink_that_only_the_tail_of_the_sum_reaches_counts() -> None:
    n = 7
    couplings, density = np.full(n, 0.1), np.full(n, 0.5)
    couplings[0] = 1.0
    bias = -0.25 * 0.1 * (n - 1) - 0.21  # the outer points of the sum are 0.2 from its mean
    work, scratch, here = contour_work(Independent(), n), recurrence.workspace(n), np.empty(n)
    law = merge(0, bias, couplings, density, 1.0, 1.0, work.law, work.gates)
    loss, _ = recurrence.loss_of_output(0, couplings, 0.0, bias, density, here, scratch)
    alone = np.where(law.is_merged, 0.0, couplings)
    found = [
        recurrence.loss_of_output(0, alone, 0.0, bias + shift, density, here, scratch)[0]
        for shift in law.shift
    ]
    assert 1e-9 < abs(law.weight @ found - loss) <= law.loss_error


def test_what_dropped_couplings_do_to_derivatives_is_bounded() -> None:
    """A small own coupling has a sharp kink: the derivative there changes with the spread.

    The kink is where z = 0 with the own feature at 1, and the mean of the other is put there.
    """
    couplings, density = np.array([0.01, 1e-4, 0.0]), np.array([0.9, 0.5, 0.0])
    b = -0.01 - 2.5e-5
    exact = np.empty(3)
    _, slope = quadrature.loss_of_output(0, couplings, 0.99, b, density, exact)
    dropped = 0
    for tolerance in 10.0 ** np.arange(-8, 2):
        work, gradient = contour_work(Independent(), 3), np.empty(3)
        found = loss_of_output(
            0, couplings, 0.99, b, density, tolerance, tolerance, MAX_NODES, work, gradient
        )
        dropped += work.output.g[1] == 0.0
        errors = abs(np.append(gradient - exact, found.slope - slope))
        assert errors.max() <= found.gradient_error
    assert dropped > 1


@pytest.mark.usefixtures("only_sums")
def test_rounding_of_the_penalty_counts(exact_losses: Losses) -> None:
    rng = np.random.default_rng(0)
    features = Independent(VALUES["2u"])
    for _ in range(10):
        W, b = 3 * rng.normal(size=(2, 3)), rng.normal(size=3)
        at = population_loss_and_grad(
            W, b, density=0.1, importance=np.ones(3), features=features, penalty=1e6
        )
        exact = sum(exact_losses(W, b, 0.1, "relu", features), Fraction(0))
        rational = [[Fraction(w) for w in row] for row in W]
        for i in range(3):
            for j in range(3):
                if i != j:
                    exact += 10**6 * sum((row[i] * row[j] for row in rational), Fraction(0)) ** 2
        assert abs(Fraction(float(at.loss)) - exact) <= Fraction(float(at.error))


def test_tiny_and_vanishing_densities_stay_finite() -> None:
    rng = np.random.default_rng(16)
    W, b = rng.normal(size=(3, 9)), -0.2 * rng.random(9)
    density = np.array([0.01, 1e-300, 0.0] * 3)
    importance = np.array([1e-300, 1.0, 1.0] * 3)
    at = population_loss_and_grad(W, b, density=density, importance=importance)
    assert np.isfinite([at.loss, at.error, at.gradient_error]).all()
    assert np.isfinite(at.dW).all()
    assert np.isfinite(at.db).all()


def test_zeros_and_losses_without_gradient() -> None:
    """The gradient's error is not known then; 0 times infinity made a warning, which is an error."""
    W, b = nearly("pairs", 10, 0.0)
    W[0] = 1.0
    arguments: dict[str, Any] = {"density": 0.1, "importance": np.ones(10)}
    at = population_loss_and_grad(W, b, **arguments)
    assert population_loss(W, b, **arguments) == pytest.approx(float(at.loss), rel=RTOL)


def test_laws_of_high_degree_are_not_merged() -> None:
    law = value_transform(ValueDistribution([0] * 9 + [10]))
    work = contour_work(Independent(), 3)
    couplings, density = np.array([1.0, 1e-6, 1e-6]), np.full(3, 0.1)
    assert len(merge(0, -0.4, couplings, density, 1.0, 1.0, law, work.gates).shift) == 0
