"""Predicted training times against exact gradient descent and trained models."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from scipy.integrate import quad

from superposition.features import CoActive, Independent
from superposition.numerics import train
from superposition.numerics.training.protocols import Protocol
from superposition.theory import OPTIMAL, r, s
from superposition.theory.linear import linear_critical_points, linear_loss, valley_training
from superposition.values import ValueDistribution

F = Fraction
ROE: dict[str, Any] = {"learning_rate": F(1, 100), "batch_size": 128}
DIAGONAL = np.sqrt(0.5)


def test_the_valley_by_its_derivatives() -> None:
    """On the circle no force acts across it, and the loss is v (sin² θ + r cos² θ)."""
    rho, theta = sympy.symbols("rho theta", positive=True)
    W = [[rho * sympy.cos(theta), rho * sympy.sin(theta)]]
    loss = linear_loss(W, OPTIMAL, importance=(1, r))
    v = s / 3 - s**2 / 4
    assert sympy.simplify(sympy.diff(loss, rho).subs(rho, 1)) == 0
    stated = v * (sympy.sin(theta) ** 2 + r * sympy.cos(theta) ** 2)
    assert sympy.simplify(loss.subs(rho, 1) - stated) == 0


def exact_descent(density: float, ratio: float, rate: float, mean: float, variance: float) -> int:
    """Count steps of gradient descent on the population loss until the lesser weight is 0.2."""
    D, mu = np.array([1, ratio]), np.full(2, mean)
    W = np.array([DIAGONAL, DIAGONAL])
    b = mu - W * (W @ mu)
    for step in range(200_000):
        if np.abs(W).min() < 0.2:
            return step
        residual = np.eye(2) - np.outer(W, W)
        offset = D * (residual @ mu - b)
        X = variance * (residual * D[:, None] + (residual * D[:, None]).T)
        X += np.outer(offset, mu) + np.outer(mu, offset)
        W, b = W + 2 * rate * X @ W, b + 2 * rate * offset
    raise AssertionError("descent did not arrive")


@pytest.mark.parametrize(("density", "ratio"), [(0.1, 0.9), (0.5, 0.95), (1.0, 1.05), (0.9, 1.1)])
def test_steps_of_gradient_descent(density: float, ratio: float) -> None:
    """The valley is exact for slow motion: corrections are of order |1 − r|."""
    v = density / 3 - density**2 / 4
    counted = exact_descent(density, ratio, 0.05, density / 2, v)
    predicted = valley_training(
        "sgd", density=density, relative_importance=ratio, learning_rate=0.05, batch_size=1
    )
    assert float(predicted.steps) == pytest.approx(counted, rel=abs(1 - ratio))


def test_error_of_the_slow_limit_is_of_the_order_of_the_contrast() -> None:
    errors = []
    for contrast in (0.2, 0.1, 0.05):
        counted = exact_descent(1.0, 1 - contrast, 0.02, 0.5, 1 / 12)
        predicted = valley_training(
            "sgd", density=1, relative_importance=1 - contrast, learning_rate=0.02, batch_size=1
        )
        errors.append(abs(float(predicted.steps) / counted - 1))
    assert errors[1] / errors[2] > 1.6  # at least halved with the contrast, up to whole steps
    assert errors[0] / errors[1] > 1.6


def test_rate_is_the_smallest_hessian_eigenvalue_without_bias_motion() -> None:
    """With symmetric values the mean is 0 and the bias does not move: the Hessian is all."""
    symmetric = Independent(ValueDistribution([1], symmetric=True))
    ratio = F(1, 2)
    keep_first, *_ = linear_critical_points(2, 1, importance=(1, ratio), features=symmetric)
    slow = keep_first.hessian_eigenvalues[1][0]
    training = valley_training(
        "sgd", relative_importance=ratio, features=symmetric, learning_rate=1, batch_size=1
    )
    assert sympy.simplify(training.rate - slow) == 0


def trained_weights(optimizer: Any, density: float, ratio: float, steps: int, on_valley: bool,
                    learning_rate: float = 0.01, replicas: int = 48) -> Any:  # fmt: skip
    """Train models from the middle of the valley, or from the minimum; r below 1."""
    mean = density / 2
    W = np.array([[DIAGONAL, DIAGONAL]]) if on_valley else np.array([[1.0, 0.0]])
    b = mean * (np.ones(2) - W[0] * W[0].sum())
    protocol = Protocol(
        name="constant", optimizer=optimizer, learning_rate=learning_rate,
        steps=steps, batch_size=128,
    )  # fmt: skip
    result = train(
        2, 1, density=density, importance=[1, ratio], activation="linear", protocol=protocol,
        replicas=replicas, initial=(W, b),
    )  # fmt: skip
    return result.W[:, 0, :]


@pytest.mark.parametrize(("density", "ratio"), [(0.05, 0.8), (0.3, 0.9), (0.9, 0.9)])
def test_steps_of_adam(density: float, ratio: float) -> None:
    """The median of trained models passes the threshold within a fifth of the prediction.

    The median of 48 models with the predicted spread of angles moves by less than that.
    """
    training = valley_training("adam", density=density, relative_importance=ratio, **ROE)
    early = trained_weights("adam", density, ratio, round(0.8 * float(training.steps)), True)
    late = trained_weights("adam", density, ratio, round(1.25 * float(training.steps)), True)
    assert np.median(abs(late[:, 1])) < 0.2 < np.median(abs(early[:, 1]))


@pytest.mark.parametrize(
    ("optimizer", "density", "ratio", "rate", "steps"),
    [("adam", 1.0, 0.9, 0.01, 1000), ("adam", 0.05, 0.8, 0.01, 500), ("sgd", 0.9, 0.8, 0.2, 800)],
)
def test_spread_of_trained_models(
    optimizer: str, density: float, ratio: float, rate: float, steps: int
) -> None:
    """400 models estimate a standard deviation to 3.5 %; three of these errors are allowed."""
    training = valley_training(
        optimizer, density=density, relative_importance=ratio,
        learning_rate=rate, batch_size=128,
    )  # fmt: skip
    assert float(training.rate) * steps > 4  # long enough to forget the start
    weights = trained_weights(optimizer, density, ratio, steps, False, rate, replicas=400)
    measured = np.sqrt(np.square(weights[:, 1]).mean())
    assert measured == pytest.approx(float(training.spread), rel=3 * 0.035)


def test_adam_moves_no_faster_than_its_rate() -> None:
    """Without noise a step is a sign: (W₁, W₂) = (cos θ, sin θ) moves by the rate in each."""
    training = valley_training(
        "adam", density=F(1, 2), relative_importance=F(1, 2),
        learning_rate=F(1, 100), batch_size=10**14,
    )  # fmt: skip

    def inverse_speed(angle: float) -> float:
        return float((np.sin(angle) ** 3 + np.cos(angle) ** 3) / 0.01)

    steps = quad(inverse_speed, np.arcsin(0.2), np.pi / 4)[0]
    assert float(training.steps) == pytest.approx(steps, rel=1e-4)


def test_mirror_images_take_equally_long() -> None:
    """Adam does not see the scale of the loss: importances (1, r) and (1/r, 1) are the same."""
    here = valley_training("adam", density=F(1, 3), relative_importance=F(1, 2), **ROE)
    there = valley_training("adam", density=F(1, 3), relative_importance=2, **ROE)
    for name in ("rate", "steps", "spread"):
        assert float(getattr(here, name)) == pytest.approx(float(getattr(there, name)), rel=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_equal_importance_never_converges(optimizer: str) -> None:
    training = valley_training(optimizer, density=F(1, 2), relative_importance=1, **ROE)
    assert (training.rate, training.steps, training.spread) == (0, sympy.oo, sympy.oo)
    assert not training.converges_within(10**9)


def test_verdicts() -> None:
    def verdict(optimizer: str, density: Any, ratio: Any) -> bool:
        training = valley_training(optimizer, density=density, relative_importance=ratio, **ROE)
        return training.converges_within(6000)

    assert verdict("sgd", F(1, 2), F(1, 2))
    assert not verdict("sgd", F(1, 100), F(1, 2))
    assert verdict("adam", F(1, 100), F(1, 2))
    assert not verdict("adam", F(1, 2), F(999, 1000))
    # Fast enough, but noise carries the weight back.
    noisy = valley_training("adam", density=F(1, 2), relative_importance=F(993, 1000), **ROE)
    assert noisy.steps < 6000
    assert not noisy.converges_within(6000)
    with pytest.raises(ValueError, match="numbers only"):
        valley_training("sgd", **ROE).converges_within(6000)


def test_start_beyond_the_threshold_takes_no_time() -> None:
    training = valley_training("adam", density=F(1, 2), relative_importance=F(1, 2), start=F(1, 10),
                               **ROE)  # fmt: skip
    assert training.steps == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": CoActive()}, "must be independent"),
        ({"density": [F(1, 2), 1]}, "one positive density"),
        ({"relative_importance": 0}, "r must be positive"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"start": 2}, "start must lie"),
        ({"threshold": 1}, "threshold in"),
    ],
)
def test_bad_input(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        valley_training("sgd", **{**ROE, **changes})


def test_unknown_optimizer() -> None:
    with pytest.raises(ValueError, match="optimizer must be one of sgd, adam"):
        valley_training("rmsprop", **ROE)
