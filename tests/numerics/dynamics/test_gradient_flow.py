"""Gradient flow against a closed form, fixed small steps, SciPy, and what it has to conserve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from superposition import Anticorrelated, Correlated, Independent, ValueDistribution
from superposition.numerics import descend, population_loss, population_loss_and_grad
from superposition.numerics.dynamics.gradient_flow import SOLVERS, gradient_flow

Floats = NDArray[np.float64]

TIMES = [0.0, 0.5, 3.0, 10.0]
PAIR: dict[str, Any] = {"density": 0.3, "importance": [1, 0.7]}


def random_models(n: int, m: int, count: int, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, m, n)), 0.3 * rng.standard_normal((count, n))


# --- against other ways to integrate -------------------------------------------------------------


@pytest.mark.parametrize("solver", ["compiled", "LSODA"])
def test_closed_form_of_a_linear_model(solver: str) -> None:
    """Oracle: for features of mean zero L = v ‖WᵀW − 1‖² + b², v = E x², a matrix Riccati equation.

    Singular vectors stay, and each squared singular value solves a logistic equation of rate 8v.
    """
    s = 0.4
    features = Independent(values=ValueDistribution([1], symmetric=True))
    W = np.random.default_rng(1).standard_normal((2, 3))
    flow = gradient_flow(
        W, [0.2, -0.1, 0.3], density=s, importance=np.ones(3), activation="linear",
        features=features, until=10.0, times=TIMES, rtol=1e-10, atol=1e-12, solver=solver,
    )  # fmt: skip
    left, singular, right = np.linalg.svd(W, full_matrices=False)
    for k, t in enumerate(TIMES):
        squares = 1 / (1 + (1 / singular**2 - 1) * np.exp(-8 * s / 3 * t))
        exact = left @ np.diag(np.sqrt(squares)) @ right
        np.testing.assert_allclose(flow.W_at[k], exact, rtol=0, atol=1e-8)
        b = np.array([0.2, -0.1, 0.3]) * np.exp(-2 * t)
        np.testing.assert_allclose(flow.b_at[k], b, rtol=0, atol=1e-8)


def test_error_falls_with_the_tolerance() -> None:
    """Oracle: the closed form above. The pair has order 5, its error estimate order 4."""
    features = Independent(values=ValueDistribution([1], symmetric=True))
    exact = 1 / np.sqrt(1 + (1 / 0.1**2 - 1) * np.exp(-8 * 0.4 / 3 * 5.0))
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        flow = gradient_flow(
            [[0.1]], [0], density=0.4, importance=[1], activation="linear", features=features,
            until=5.0, rtol=rtol, atol=1e-14,
        )  # fmt: skip
        errors.append(abs(flow.W[0, 0] - exact))
    assert errors[0] < 1e-3
    assert errors[1] < errors[0] / 20
    assert errors[2] < errors[1] / 20


@pytest.mark.parametrize(
    ("n", "m", "features"),
    [(2, 1, None), (3, 2, None), (3, 2, Correlated([(0, 1)])), (3, 1, Anticorrelated([(0, 2)]))],
)
def test_small_steps_of_fixed_length(n: int, m: int, features: Any) -> None:
    """Oracle: the classical Runge–Kutta method of order 4 with equal steps."""
    W, b = random_models(n, m, 4, seed=n)
    model: dict[str, Any] = {
        "density": 0.3, "importance": np.linspace(1, 0.5, n), "features": features, "penalty": 0.02,
    }  # fmt: skip

    def velocity(W: Floats, b: Floats) -> tuple[Floats, Floats]:
        at = population_loss_and_grad(W, b, **model)
        return -at.dW, -at.db

    flow = gradient_flow(W, b, until=1.0, times=[1.0], rtol=1e-9, atol=1e-11, **model)
    h = 1.0 / 1000
    for _ in range(1000):
        k1 = velocity(W, b)
        k2 = velocity(W + h / 2 * k1[0], b + h / 2 * k1[1])
        k3 = velocity(W + h / 2 * k2[0], b + h / 2 * k2[1])
        k4 = velocity(W + h * k3[0], b + h * k3[1])
        W = W + h / 6 * (k1[0] + 2 * k2[0] + 2 * k3[0] + k4[0])
        b = b + h / 6 * (k1[1] + 2 * k2[1] + 2 * k3[1] + k4[1])
    # A step across a kink of the gradient has an error of order h² = 1e-6, times a jump below 1.
    np.testing.assert_allclose(flow.W, W, rtol=0, atol=1e-6)
    np.testing.assert_allclose(flow.b, b, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(flow.W_at[:, 0], flow.W)


@pytest.mark.parametrize("solver", SOLVERS[1:])
def test_solvers_of_scipy_agree(solver: str) -> None:
    """The third start crosses an axis twice, and ends in another basin than its sign says."""
    W, b = np.array([[[1.3, -0.5]], [[0.3, 0.05]], [[0.4, -0.01]]]), np.zeros(2)
    options: dict[str, Any] = {"until": 20.0, "times": TIMES, "rtol": 1e-8, "atol": 1e-10}
    ours = gradient_flow(W, b, **options, **PAIR)
    theirs = gradient_flow(W, b, solver=solver, **options, **PAIR)
    for name in ("W", "b", "W_at", "b_at", "loss_at"):
        np.testing.assert_allclose(
            getattr(theirs, name), getattr(ours, name), rtol=0, atol=3e-6, err_msg=name
        )
    assert (theirs.time == 20).all()
    assert not theirs.converged.any()


@pytest.mark.parametrize("solver", ["compiled", "LSODA"])
def test_ends_at_the_tolerance(solver: str) -> None:
    flow = gradient_flow([[1.3, -0.5]], [0, 0], tolerance=1e-5, solver=solver, **PAIR)
    assert flow.converged
    scale = 0.3 * 1.7
    assert 0.5e-5 * scale < flow.gradient_norm < 1.01e-5 * scale
    at = population_loss_and_grad(flow.W, flow.b, **PAIR)
    norm = np.sqrt((at.dW**2).sum() + (at.db**2).sum())
    np.testing.assert_allclose(flow.gradient_norm, norm, rtol=1e-12)
    assert flow.loss == at.loss


# --- what the flow has to do ---------------------------------------------------------------------


@pytest.mark.parametrize("density", [0.02, 0.3, 1.0])
def test_loss_falls(density: float) -> None:
    W, b = random_models(3, 2, 8)
    flow = gradient_flow(
        W, b, density=density, importance=[1, 1, 0.5], times=np.geomspace(0.01, 1e3, 200)
    )
    steps = np.diff(flow.loss_at, axis=-1)
    assert steps.max() <= 1e-6 * flow.loss_at.max() * 1e-3
    assert (
        flow.loss_at[:, -1] < population_loss(W, b, density=density, importance=[1, 1, 0.5])
    ).all()


def test_ends_in_minima() -> None:
    """Oracle: descent that starts where the flow has ended does not get lower."""
    W, b = random_models(2, 1, 30)
    flow = gradient_flow(W, 0 * b, tolerance=1e-8, rtol=1e-8, **PAIR)
    assert flow.converged.all()
    below = descend(flow.W, flow.b, **PAIR)
    same = np.abs(below.W - flow.W).max(axis=(-2, -1)) < 1e-3
    assert same.sum() >= 25  # descent may leave a shallow minimum
    np.testing.assert_allclose(flow.loss[same], below.loss[same], rtol=1e-8)


def test_columns_keep_their_span() -> None:
    """dW/dt = W S: what is not in the span of the columns at the start never is."""
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    W = basis[:, :1] @ rng.standard_normal((1, 4))
    flow = gradient_flow(W, np.zeros(4), density=0.2, importance=np.ones(4), until=50.0)
    # Rounding grows like everything else beside a saddle: from 1e-16, exponentially.
    assert abs(basis[:, 1:].T @ flow.W).max() < 1e-10
    assert abs(flow.W - W).max() > 0.1


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("features", [None, Correlated([(0, 1)])])
def test_hidden_space_does_not_turn(activation: str, features: Any) -> None:
    """Noether for a gradient: it is orthogonal to rotations, so that dW Wᵀ is symmetric."""
    W, b = random_models(3, 2, 20)
    at = population_loss_and_grad(
        W, b, density=0.4, importance=[1, 2, 0.3], activation=activation, features=features,
        penalty=0.1,
    )  # fmt: skip
    turning = at.dW @ np.swapaxes(W, -1, -2)
    np.testing.assert_allclose(turning, np.swapaxes(turning, -1, -2), rtol=0, atol=1e-13)
    assert abs(turning).max() > 0.1


def test_commutes_with_rotations() -> None:
    W, b = random_models(3, 2, 3)
    Q = np.linalg.qr(np.random.default_rng(2).standard_normal((2, 2)))[0]
    model: dict[str, Any] = {"density": 0.2, "importance": [1, 1, 0.5], "until": 30.0}
    turned = gradient_flow(Q @ W, b, **model)
    np.testing.assert_allclose(turned.W, Q @ gradient_flow(W, b, **model).W, rtol=0, atol=1e-5)


def test_importance_sets_the_clock() -> None:
    """Three times the loss is three times the speed."""
    W, b = random_models(2, 1, 3)
    options: dict[str, Any] = {"density": 0.3, "rtol": 1e-9, "atol": 1e-12}
    slow = gradient_flow(W, b, importance=[1, 0.5], penalty=0.01, until=6.0, **options)
    fast = gradient_flow(W, b, importance=[3, 1.5], penalty=0.03, until=2.0, **options)
    np.testing.assert_allclose(fast.W, slow.W, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (4, 2)])
def test_biases_push_a_column_that_is_zero(n: int, m: int) -> None:
    """Where W_j = 0: dW_j/dt = Σ_i W_i (E x_j db_i/dt + E x_i db_j/dt), so zero is no barrier."""
    rng = np.random.default_rng(n)
    W, b = random_models(n, m, 10)
    W[..., -1] = 0.0
    b = abs(b)
    density = rng.uniform(0.1, 0.9, (1, n))
    at = population_loss_and_grad(W, b, density=density, importance=rng.uniform(0.2, 2, n))
    pushes = 0.5 * density[0, -1] * at.db + 0.5 * density * at.db[:, -1:]
    expected = np.einsum("kmi,ki->km", W, pushes)
    np.testing.assert_allclose(at.dW[..., -1], expected, rtol=0, atol=1e-14)
    assert abs(expected).max() > 0.01


def test_signs_are_not_conserved() -> None:
    """A start with opposite signs ends with equal ones, and one crosses the axis twice."""
    flow = gradient_flow([[0.6, -0.02]], [0, 0], density=0.5, importance=[1, 1])
    assert flow.W.prod() > 0.1
    flow = gradient_flow([[0.4, -0.01]], [0, 0], times=[0, 4, 30], **PAIR)
    assert (np.sign(flow.W_at.prod(axis=(-2, -1))) == [-1, 1, -1]).all()


# --- the interface -------------------------------------------------------------------------------


def test_batch_is_a_loop_whatever_the_workers() -> None:
    W, b = random_models(2, 1, 9)
    density, importance = np.array([0.05, 0.4]), np.array([[1.0, 0.3], [1, 1]])
    model: dict[str, Any] = {"density": density, "importance": importance, "times": [1.0, 1e9]}
    one = gradient_flow(W[:, None], b[:, None], workers=1, **model)
    two = gradient_flow(W[:, None], b[:, None], workers=2, **model)
    assert one.W_at.shape == (9, 2, 2, 1, 2)
    for name in vars(one):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    alone = gradient_flow(W[4], b[4], density=0.4, importance=[1, 1], times=[1.0, 1e9])
    for name in ("W", "b", "loss", "time", "evaluations", "W_at"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(one, name)[4, 1])


def test_trajectory_rests_at_its_end() -> None:
    flow = gradient_flow([[1.0, -0.5]], [0, 0], times=[0, 0, 5, 1e6], **PAIR)
    np.testing.assert_array_equal(flow.W_at[0], [[1.0, -0.5]])
    np.testing.assert_array_equal(flow.W_at[1], [[1.0, -0.5]])
    np.testing.assert_array_equal(flow.W_at[3], flow.W)
    assert flow.time < 1e6


def test_scipy_starts_at_a_minimum() -> None:
    found = descend([[1, -1]], [0, 0], **PAIR)
    flow = gradient_flow(found.W, found.b, solver="LSODA", **PAIR)
    assert flow.converged
    assert flow.time == 0


def test_scipy_that_does_not_end_is_stopped() -> None:
    with pytest.raises(RuntimeError, match="LSODA did not end within 5 steps' worth of gradients"):
        gradient_flow([[1, -0.5]], [0, 0], solver="LSODA", max_steps=5, **PAIR)


def test_an_empty_batch_has_empty_results() -> None:
    for solver in ("compiled", "LSODA"):
        flow = gradient_flow(
            np.empty((0, 1, 2)), np.empty((0, 2)), times=[1], solver=solver, **PAIR
        )
        assert flow.W_at.shape == (0, 1, 1, 2)


def test_too_few_steps_are_reported() -> None:
    flow = gradient_flow([[1, -0.5]], [0, 0], max_steps=3, **PAIR)
    assert not flow.converged
    assert flow.evaluations <= 19


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"until": 0.0}, "until must be above 0, got 0.0"),
        ({"tolerance": 0.0}, "tolerance must be finite and above 0, got 0.0"),
        ({"tolerance": [1e-3, 1e-4]}, r"tolerance must broadcast to shape \(\), got shape \(2,\)"),
        ({"rtol": np.nan}, "rtol must be finite and above 0, got nan"),
        ({"atol": -1.0}, "atol must be finite and above 0, got -1.0"),
        ({"times": [1.0, 0.5]}, "times must not decrease, got"),
        ({"times": [-1.0]}, "times must be finite and between 0 and until = inf, got"),
        ({"times": [3.0], "until": 2.0}, "times must be finite and between 0 and until = 2.0"),
        ({"solver": "Euler"}, "solver must be one of compiled, LSODA, .*, got 'Euler'"),
        ({"max_steps": 0}, "max_steps must be an integer of at least 1, got 0"),
        ({"max_steps": 1.5}, "max_steps must be an integer of at least 1, got 1.5"),
        ({"rtol": [1e-6]}, r"rtol must be one number, got \[1e-06\]"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"density": 2.0}, "density"),
        ({"activation": "tanh"}, "activation must be one of relu, linear, got 'tanh'"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gradient_flow([[1, -0.5]], [0, 0], **(PAIR | changes))
