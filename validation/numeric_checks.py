"""Checks of the numerics against other numerics: differences, bounds, plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..numerics import (
    Normal,
    Protocol,
    certified_minimum,
    descend,
    global_minimum,
    gradient_flow,
    population_hessian,
    population_loss,
    population_loss_and_grad,
    train,
    training_batch,
)
from .check import Check

Floats = NDArray[np.float64]

_MODELS = 50
_STEP = 1e-4


def _along(W: Floats, b: Floats, direction: Floats, step: float) -> tuple[Floats, Floats]:
    size = W[0].size
    moved = W + step * direction[:, :size].reshape(W.shape)
    return moved, b + step * direction[:, size:]


def _derivatives(rng: np.random.Generator) -> Iterator[Check]:
    """Exact derivatives against central differences, of models without kinks nearby."""
    W, b = rng.normal(size=(_MODELS, 2, 3)) / np.sqrt(2), rng.normal(size=(_MODELS, 3)) / 4
    direction = rng.normal(size=(_MODELS, W[0].size + 3))
    model: dict[str, Any] = {"density": 0.1 + 0.9 * rng.random(_MODELS), "importance": [1, 0.7, 2]}
    at = population_loss_and_grad(W, b, **model)
    gradient = np.concatenate([at.dW.reshape(_MODELS, -1), at.db], axis=1)
    hessian = population_hessian(W, b, **model)
    ends = [_along(W, b, direction, sign * _STEP) for sign in (1, -1)]
    losses = [population_loss(*end, **model) for end in ends]
    slopes = [population_loss_and_grad(*end, **model) for end in ends]
    slopes_flat = [np.concatenate([x.dW.reshape(_MODELS, -1), x.db], axis=1) for x in slopes]
    exact = np.einsum("ki,ki->k", gradient, direction)
    scale = np.linalg.norm(gradient, axis=1) * np.linalg.norm(direction, axis=1)
    yield Check(
        "gradient",
        "the exact gradient is the derivative of the exact loss",
        "definition of the gradient",
        f"central differences, {_MODELS} random (3, 2) models",
        float(np.max(abs((losses[0] - losses[1]) / (2 * _STEP) - exact) / scale)),
        1e-5,  # the third derivative times the step squared, and jumps of the second
    )
    turned = np.einsum("kij,kj->ki", hessian, direction)
    differences = (slopes_flat[0] - slopes_flat[1]) / (2 * _STEP)
    off = np.linalg.norm(differences - turned, axis=1) / np.linalg.norm(turned, axis=1)
    yield Check(
        "hessian",
        "the exact Hessian is the derivative of the exact gradient, at nearly every model",
        "definition of the Hessian",
        f"central differences, the middle one of {_MODELS} random (3, 2) models",
        float(np.median(off)),
        1e-5,
    )


def _certified(rng: np.random.Generator) -> Iterator[Check]:
    deviation = 0.0
    for density, ratio in zip(0.05 + 0.9 * rng.random(3), rng.uniform(0.2, 0.9, 3), strict=True):
        proved = certified_minimum(density=density, importance=[1, ratio])
        found = global_minimum(2, 1, density=density, importance=[1, ratio], starts=64).loss
        # Below the lower bound, or off the upper one: either would show an error.
        deviation = max(deviation, proved.lower / found - 1, abs(proved.upper / found - 1))
        deviation = max(deviation, 0.0 if proved.certified else np.inf)
    yield Check(
        "certified-minimum",
        "the search finds the global minimum of (2, 1), proved to a relative gap of 1e-6",
        "branch and bound in interval arithmetic",
        "descent from random starts at 3 random (s, r)",
        deviation,
        1e-6,
    )


def _flow(rng: np.random.Generator) -> Iterator[Check]:
    model: dict[str, Any] = {"density": 0.3, "importance": [1, 0.8]}
    ends = gradient_flow(rng.normal(size=(_MODELS, 1, 2)), np.zeros((_MODELS, 2)), **model)
    below = descend(ends.W, ends.b, **model)
    yield Check(
        "gradient-flow",
        "gradient flow ends where descent finds nothing lower",
        "definition of a stationary point",
        f"exact descent from the ends of {_MODELS} flows, s = 0.3, r = 0.8",
        float(np.median(ends.loss / below.loss - 1)),
        1e-9,  # a gradient of 1e-6 of its scale: the error of the loss is of second order
    )


def _training(rng: np.random.Generator) -> Iterator[Check]:
    steps, rate, density = 20, 0.05, 0.4
    protocol = Protocol(
        name="check", optimizer="sgd", learning_rate=rate, steps=steps, batch_size=32,
        weight_init=Normal(0.5), bias_init=Normal(0.1),
    )  # fmt: skip
    W, b = rng.normal(size=(2, 3)) / 2, rng.normal(size=3) / 10
    importance = np.array([1.0, 0.5, 2.0])
    trained = train(
        3, 2, density=density, importance=importance, protocol=protocol, dtype=torch.float64,
        initial=(W[np.newaxis], b[np.newaxis]),
    )  # fmt: skip
    for step in range(steps):
        x = training_batch([density] * 3, 32, step=step)
        hidden = x @ W.T
        z = hidden @ W + b
        error = 2 * importance * (np.maximum(z, 0) - x) * (z > 0) / len(x)
        dW = hidden.T @ error + (x.T @ error @ W.T).T
        W, b = W - rate * dW, b - rate * error.sum(axis=0)
    yield Check(
        "training",
        "the trainer follows the gradient of the loss on its batches",
        "definition of stochastic gradient descent",
        f"{steps} steps in plain NumPy on the same inputs",
        float(max(abs(trained.W[0] - W).max(), abs(trained.b[0] - b).max())),
        1e-12,
    )


NUMERIC_GROUPS: tuple[Callable[[np.random.Generator], Iterator[Check]], ...] = (
    _derivatives,
    _certified,
    _flow,
    _training,
)
