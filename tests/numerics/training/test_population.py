"""Training without noise against torch.optim, gradient flow, and the mean of sampled training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from superposition.numerics import (
    PROTOCOLS,
    Normal,
    Plateau,
    Protocol,
    population_loss,
    population_loss_and_grad,
    train,
)
from superposition.numerics.dynamics.gradient_flow import gradient_flow
from superposition.numerics.training.population import initial_weights, train_on_population

Floats = NDArray[np.float64]

PLAIN = Protocol(
    name="plain",
    optimizer="sgd",
    learning_rate=0.1,
    steps=60,
    batch_size=64,
    weight_init=Normal(0.8),
    bias_init=Normal(0.1),
)

OPTIMIZERS = {
    "sgd": replace(PLAIN, schedule="cosine"),
    "momentum": replace(PLAIN, momentum=0.9, learning_rate=0.02),
    "adam": replace(PLAIN, optimizer="adam", betas=(0.8, 0.99), eps=1e-3),
    "adamw": replace(PLAIN, optimizer="adamw", weight_decay=0.1, schedule="cosine"),
    "rmsprop": replace(PLAIN, optimizer="rmsprop", learning_rate=0.01, alpha=0.9),
    "rmsprop with momentum": replace(
        PLAIN, optimizer="rmsprop", learning_rate=0.003, momentum=0.7, reduction="mean", eps=1e-4
    ),
}


def torch_optimizer(protocol: Protocol, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    rate, eps = protocol.learning_rate, protocol.eps
    match protocol.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, lr=rate, momentum=protocol.momentum)
        case "adam":
            return torch.optim.Adam(parameters, lr=rate, betas=protocol.betas, eps=eps)
        case "adamw":
            return torch.optim.AdamW(
                parameters, lr=rate, betas=protocol.betas, eps=eps,
                weight_decay=protocol.weight_decay,
            )  # fmt: skip
        case _:
            return torch.optim.RMSprop(
                parameters, lr=rate, alpha=protocol.alpha, eps=eps, momentum=protocol.momentum
            )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_that_of_torch(name: str) -> None:
    """Oracle: a plain loop, autograd through the exact loss, and `torch.optim`."""
    protocol = OPTIMIZERS[name]
    model: dict[str, Any] = {"density": 0.4, "importance": [1, 0.6], "penalty": 0.05}
    ours = train_on_population(
        2, 1, **model, protocol=protocol, seed=3, record_weights=True,
        record_steps=np.arange(protocol.steps + 1),
    )  # fmt: skip
    W, b = (torch.tensor(part[0, 0], requires_grad=True) for part in initial_weights(
        protocol, 2, 1, seed=3))  # fmt: skip
    optimizer = torch_optimizer(protocol, [W, b])
    for step in range(protocol.steps):
        np.testing.assert_allclose(ours.W_history[0, step], W.detach(), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(ours.b_history[0, step], b.detach(), rtol=1e-11, atol=1e-13)
        for group in optimizer.param_groups:
            group["lr"] = protocol.learning_rate_at(step)
        loss = population_loss(W, b, **model)
        if protocol.reduction == "mean":
            loss = loss / 2
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    np.testing.assert_allclose(ours.W[0], W.detach(), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(ours.b[0], b.detach(), rtol=1e-11, atol=1e-13)
    assert abs(ours.W - ours.W_history[:, 0]).max() > 0.05


def test_starts_are_those_of_train() -> None:
    """Oracle: `train` with a learning rate that moves nothing."""
    still = replace(PLAIN, steps=1, learning_rate=1e-300)
    grid: dict[str, Any] = {"density": [0.1, 0.3], "importance": np.ones((2, 3)), "replicas": 4}
    sampled = train(3, 2, **grid, protocol=still, seed=7, dtype=torch.float64)
    ours = train_on_population(3, 2, **grid, protocol=still, seed=7)
    np.testing.assert_array_equal(ours.W, sampled.W)
    np.testing.assert_array_equal(ours.b, sampled.b)
    W, b = initial_weights(still, 3, 2, models=2, replicas=4, seed=7)
    np.testing.assert_array_equal(W, ours.W)
    np.testing.assert_array_equal(b, ours.b)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_one_step_is_the_mean_of_sampled_steps(reduction: Any) -> None:
    """Oracle: one SGD step of `train` averaged over 4000 replicas, within 5 standard errors."""
    protocol = replace(PLAIN, steps=1, reduction=reduction)
    start = np.array([[0.7, -0.4]]), np.array([0.1, -0.05])
    model: dict[str, Any] = {"density": 0.4, "importance": [1, 0.6], "penalty": 0.1}
    sampled = train(
        2, 1, **model, protocol=protocol, replicas=4000, initial=start, dtype=torch.float64
    )
    ours = train_on_population(2, 1, **model, protocol=protocol, initial=start)
    for name in ("W", "b"):
        draws = getattr(sampled, name)
        error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
        assert (abs(draws.mean(axis=0) - getattr(ours, name)[0]) <= 5 * error).all()
        assert error.max() < 1e-3


def test_small_rates_tend_to_gradient_flow() -> None:
    """Oracle: gradient flow; the error of Euler's method is proportional to the rate."""
    model: dict[str, Any] = {"density": 0.3, "importance": [1, 0.8]}
    start = np.array([[0.9, -0.5]]), np.zeros(2)
    flow = gradient_flow(*start, **model, until=8.0, rtol=1e-10, atol=1e-12)
    errors = []
    for steps in (200, 400, 800):
        protocol = replace(PLAIN, steps=steps, learning_rate=8.0 / steps)
        trained = train_on_population(2, 1, **model, protocol=protocol, initial=start)
        errors.append(abs(trained.W[0] - flow.W).max())
    assert errors[2] < 2e-3
    np.testing.assert_allclose(np.divide(errors[:2], errors[1:]), 2, rtol=0.1)


def test_history_is_exact() -> None:
    model: dict[str, Any] = {"density": [[0.1], [0.9]], "importance": [[[1, 0.5], [1, 2]]]}
    result = train_on_population(
        2, 1, **model, protocol=OPTIMIZERS["adam"], replicas=3, record_steps=[0, 7, 60],
        record_weights=True,
    )  # fmt: skip
    assert result.W_history.shape == (2, 2, 3, 3, 1, 2)
    density, importance = np.array([[0.1], [0.9]])[..., None, None], np.array([[1, 0.5], [1, 2.0]])
    importance = importance[None, :, None, None, :]
    losses = population_loss(
        result.W_history, result.b_history, density=density, importance=importance
    )
    np.testing.assert_array_equal(result.loss_history, losses)
    np.testing.assert_array_equal(result.loss_history[..., -1], result.loss)
    np.testing.assert_array_equal(result.W_history[..., -1, :, :], result.W)
    at = population_loss_and_grad(
        result.W, result.b, density=density[..., 0], importance=importance[..., 0, :]
    )
    norm = np.sqrt((at.dW**2).sum(axis=(-2, -1)) + (at.db**2).sum(axis=-1))
    np.testing.assert_allclose(result.gradient_norm, norm, rtol=1e-12)


def test_stops_on_a_plateau_where_the_full_run_was() -> None:
    protocol = replace(PLAIN, steps=3000)
    options: dict[str, Any] = {"density": 0.3, "importance": [1, 1], "replicas": 6}
    everything: dict[str, Any] = {"record_steps": np.arange(3001), "record_weights": True}
    full = train_on_population(2, 1, **options, protocol=protocol, **everything)
    assert (full.stopped_at == 3000).all()
    patient = train_on_population(
        2, 1, **options, protocol=protocol, patience=50, progress=1e-4, record_steps=[0, 3000]
    )
    by_gradient = train_on_population(2, 1, **options, protocol=protocol, tolerance=1e-4)
    for result in (patient, by_gradient):
        assert (result.stopped_at < 3000).all()
        rows = np.arange(6), result.stopped_at
        np.testing.assert_array_equal(result.W, full.W_history[rows])
        np.testing.assert_array_equal(result.b, full.b_history[rows])
        np.testing.assert_array_equal(result.loss_history[:, -1], result.loss)
    # The rule, from the full history: looks are 50 steps apart.
    for k, stop in enumerate(patient.stopped_at):
        looks = full.loss_history[k, : stop + 1 : 50]
        falls = 1 - looks[1:] / looks[:-1]
        assert stop % 50 == 0
        assert (falls[:-1] > 1e-4).all()
        assert falls[-1] <= 1e-4
    norms = by_gradient.gradient_norm
    assert ((norms <= 1e-4 * 0.6) & (norms > 0.9e-4 * 0.6)).all()


def test_divergence_is_told() -> None:
    wild = replace(PLAIN, learning_rate=50.0)
    result = train_on_population(2, 1, density=0.5, importance=[1, 1], protocol=wild, replicas=3)
    assert result.diverged.all()
    assert result.W.shape == (3, 1, 2)
    tame = train_on_population(2, 1, density=0.5, importance=[1, 1], protocol=PLAIN)
    assert not tame.diverged.any()


def test_divergence_of_many_features_is_no_warning() -> None:
    """Losses of more than seven features call Python, whose overflows would warn."""
    start = np.full((2, 1, 8), 0.1), np.zeros((2, 8))
    start[0][0] = 1e160
    result = train_on_population(
        8, 1, density=0.3, importance=np.ones(8), protocol=replace(PLAIN, steps=1), replicas=2,
        initial=start,
    )  # fmt: skip
    assert result.diverged.tolist() == [True, False]


def test_weights_decay_and_coast_where_the_gradient_vanishes() -> None:
    """Without a tolerance nothing ends early; the oracle is the recursion, solved by hand.

    At density 0 only biases above 0 cost anything, and the gradient is zero from the start.
    """
    nothing: dict[str, Any] = {"density": 0.0, "importance": [1, 1]}
    start = np.array([[0.8, -0.5]]), np.array([-0.1, 0.0])
    decaying = replace(PLAIN, optimizer="adamw", momentum=0.0, weight_decay=0.5, learning_rate=0.1)
    decayed = train_on_population(2, 1, **nothing, protocol=decaying, initial=start)
    kept = np.prod([1 - 0.5 * decaying.learning_rate_at(t) for t in range(decaying.steps)])
    np.testing.assert_allclose(decayed.W[0], kept * start[0], rtol=1e-12)
    assert decayed.stopped_at.item() == decaying.steps
    # One feature with b > 0 and W = 0 moves until b = 0, where momentum carries it on: b ← b + v.
    coasting = replace(PLAIN, optimizer="sgd", momentum=0.5, learning_rate=0.25, steps=3)
    start = np.zeros((1, 2)), np.array([1.0, 0.0])
    coasted = train_on_population(
        2, 1, density=0.0, importance=[1, 0], protocol=coasting, initial=start
    )
    b, velocity = 1.0, 0.0
    for step in range(3):
        velocity = 0.5 * velocity + 2 * max(b, 0.0)  # the loss is max(b, 0)²
        b -= coasting.learning_rate_at(step) * velocity
    np.testing.assert_allclose(coasted.b[0], [b, 0.0], rtol=1e-12)
    stopped = train_on_population(
        2, 1, **nothing, protocol=decaying, tolerance=1e-12, initial=(np.ones((1, 2)), [-1, -1])
    )
    assert stopped.stopped_at.item() == 0


def test_an_empty_grid_has_empty_results() -> None:
    result = train_on_population(2, 1, density=np.empty((0, 1)), importance=[1, 1], protocol=PLAIN)
    assert result.W.shape == (0, 1, 1, 2)


def test_results_do_not_depend_on_company() -> None:
    grid: dict[str, Any] = {"importance": [[1, 1]], "protocol": PLAIN, "seed": 2}
    one = train_on_population(2, 1, density=[0.2, 0.6], replicas=5, workers=1, **grid)
    two = train_on_population(2, 1, density=[0.2, 0.6], replicas=5, workers=2, **grid)
    fewer = train_on_population(2, 1, density=[0.2], replicas=3, **grid)
    for name in ("W", "b", "loss", "gradient_norm", "loss_history", "stopped_at"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        np.testing.assert_array_equal(getattr(fewer, name)[0], getattr(one, name)[0, :3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replicas": 0}, "replicas must be an integer of at least 1, got 0"),
        ({"patience": 0}, "patience must be an integer of at least 1, got 0"),
        ({"tolerance": -1.0}, "tolerance must be finite and at least 0, got -1.0"),
        ({"progress": 1.0}, r"progress must be in \[0, 1\), got 1.0"),
        ({"record_steps": [61]}, r"record_steps must be integers between 0 and 60, got \[61\]"),
        ({"record_steps": [0.5]}, "record_steps must be integers"),
        (
            {"initial": (np.ones((2, 2)), np.ones(2))},
            r"initial W must broadcast to shape \(1, 1, 2\)",
        ),
        ({"initial": np.ones((1, 2))}, "initial must be a pair of arrays, W of shape"),
        ({"initial": 5}, "initial must be a pair of arrays, .* got 5"),
        ({"seed": "one"}, "seed must be an integer, got 'one'"),
        ({"penalty": [0.1, 0.2]}, r"penalty must broadcast to shape \(\), got shape \(2,\)"),
        ({"initial": (np.full((1, 2), np.nan), np.ones(2))}, "W must be finite"),
        ({"protocol": "none"}, "protocol must be a Protocol or one of"),
        ({"density": -0.1}, "density"),
        ({"penalty": -0.1}, "penalty"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"density": 0.1, "importance": [1, 1], "protocol": PLAIN} | changes
    with pytest.raises(ValueError, match=message):
        train_on_population(2, 1, **arguments)


def test_rule_for_noisy_losses_is_refused() -> None:
    protocol = replace(PROTOCOLS["annealed"], steps=5, plateau=Plateau())
    with pytest.raises(ValueError, match="patience="):
        train_on_population(2, 1, density=0.5, importance=[1, 1], protocol=protocol)
