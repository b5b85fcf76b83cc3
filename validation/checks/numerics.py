"""Checks of the numerics against other numerics: differences, bounds, plain NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...numerics import (
    Normal,
    Protocol,
    certified_minimum,
    certify_cell,
    critical_angle,
    descend,
    global_minimum,
    gradient_flow,
    population_hessian,
    population_loss,
    population_loss_and_grad,
    train,
    training_batch,
)
from ...theory import feature_dimensionality
from ..statistics import exact_boundary, feature_accuracy
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


def _many_features(rng: np.random.Generator) -> Iterator[Check]:
    """Compare sets that do not see each other, turned so that their couplings are roundings."""
    sets, size, density = 6, 4, 0.15
    n, m = size * sets, 2 * sets
    W, b = np.zeros((m, n)), 0.1 * rng.normal(size=n)
    members = [slice(size * k, size * (k + 1)) for k in range(sets)]
    for k, own in enumerate(members):
        W[2 * k : 2 * k + 2, own] = rng.normal(size=(2, size))
    mixed = np.linalg.qr(rng.normal(size=(m, m)))[0] @ W
    parts = [
        population_loss(W[:, own], b[own], density=density, importance=np.ones(size))
        for own in members
    ]
    whole = population_loss(mixed, b, density=density, importance=np.ones(n))
    yield Check(
        "many-features",
        f"the loss of {n} features in {m} dimensions, of which sets of {size} interact",
        "independence",
        f"the sum of {sets} closed forms of {size} features",
        float(abs(whole / sum(parts) - 1)),
        1e-9,
    )
    n, importance = 8, rng.random(8)
    W, b = rng.normal(size=(1, 3, n)) / 2, rng.normal(size=(1, n)) / 5
    arguments: dict[str, Any] = {"density": 0.2, "importance": importance, "rtol": 1e-12}
    at = population_loss_and_grad(W, b, **arguments)
    direction = rng.normal(size=(1, W.size + n))
    above, below = (
        population_loss(*_along(W, b, direction, sign * _STEP), **arguments)[0] for sign in (1, -1)
    )
    slope = (np.concatenate([at.dW.ravel(), at.db.ravel()]) * direction[0]).sum()
    yield Check(
        "many-features-gradient",
        "the gradient of a sum over nodes is the derivative of its loss",
        "definition of the gradient",
        "central differences, a random (8, 3) model",
        float(abs((above - below) / (2 * _STEP) - slope) / np.abs(direction).sum()),
        1e-6,  # the third derivative times the step squared
    )


def _small_couplings(rng: np.random.Generator) -> Iterator[Check]:
    """Compare digons with noise, which training ends in, with closed forms and their own bound."""
    deviation = 0.0
    for n in (6, 12):
        W = np.zeros((n // 2, n))
        W[np.arange(n) // 2, np.arange(n)] = 0.95 * (-1.0) ** np.arange(n)
        W += 1e-6 * rng.normal(size=W.shape)
        b = 0.05 + 0.01 * rng.normal(size=n)
        model: dict[str, Any] = {"density": 0.2, "importance": np.ones(n)}
        found = population_loss_and_grad(W, b, **model)
        deviation = max(deviation, float(found.error / found.loss))
        half = population_loss(W, b, density=0.2, importance=np.arange(n) % 2)
        other = population_loss(W, b, density=0.2, importance=(np.arange(n) + 1) % 2)
        deviation = max(deviation, float(abs((half + other) / found.loss - 1)))
    yield Check(
        "small-couplings",
        "noise of 1e-6 on digons costs no accuracy: the bound is kept, and losses of outputs add up",
        "definition of rtol",
        "the bound that is returned, and the outputs in two halves, n = 6 and 12",
        deviation,
        1e-9,
    )


def _turn(rng: np.random.Generator) -> Iterator[Check]:
    """Where the second column is zero, only the biases turn it."""
    W, b = rng.normal(size=(_MODELS, 1, 2)), 0.3 * rng.normal(size=(_MODELS, 2))
    W[:, 0, 1] = 0.0
    density = rng.random(_MODELS)
    at = population_loss_and_grad(W, b, density=density, importance=[1, 0.8])
    claim = density / 2 * W[:, 0, 0] * at.db.sum(axis=1)
    yield Check(
        "turn",
        "at W_2 = 0 the slope in W_2 is (s/2) W_1 times that in both biases together",
        "derivation",
        f"the exact gradient of {_MODELS} random (2, 1) models",
        float(abs(at.dW[:, 0, 1] - claim).max()),
        1e-13,
    )
    low = 0.05
    yield Check(
        "critical-angle",
        "small starts of one sign closer than s²/4 to an axis end with two signs, at low density",
        "derivation",
        f"the unstable manifold of W = 0 at s = {low}",
        float(abs(critical_angle(low) / (low**2 / 4) - 1)),
        0.1,  # the next order in s
    )


def _cells(rng: np.random.Generator) -> Iterator[Check]:
    phases: dict[str, list[tuple[float, float]]] = {
        "dedicated": [(-0.1, 0.1)],
        "pair": [(-1 / 0.6, -0.6)],
    }
    boundary, reach = 0.535738764065, 2e-3
    found = [
        certify_cell(density=0.5, importance=[1.0, ratio], phases=phases)
        for ratio in (boundary - reach, boundary + reach)
    ]
    proved = [cell.phase if cell.certified else "" for cell in found]
    yield Check(
        "certified-phases",
        f"at s = 1/2 the phase changes from dedicated to pair near r = {boundary}",
        "interval arithmetic on the equations of the boundary",
        f"branch and bound over all weights, {reach} to both sides",
        0.0 if proved == ["dedicated", "pair"] else np.inf,
        0.0,
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


def _engines() -> Iterator[Check]:
    protocol = Protocol(
        name="check", optimizer="adam", learning_rate=0.01, steps=50, batch_size=20,
        schedule="cosine",
    )  # fmt: skip
    results = [
        train(
            5, 2, density=0.3, importance=np.ones(5), protocol=protocol, replicas=3,
            dtype=torch.float64, engine=engine,
        )
        for engine in ("fused", "torch")
    ]  # fmt: skip
    yield Check(
        "engines",
        "compiled training and training in tensors follow one path",
        "same inputs, same optimizer",
        f"{protocol.steps} steps of three (5, 2) models in float64",
        float(abs(results[0].W - results[1].W).max()),
        1e-10,  # rounding, which Adam's division by small second moments enlarges
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
    yield from _engines()
    yield Check(
        "training",
        "the trainer follows the gradient of the loss on its batches",
        "definition of stochastic gradient descent",
        f"{steps} steps in plain NumPy on the same inputs",
        float(max(abs(trained.W[0] - W).max(), abs(trained.b[0] - b).max())),
        1e-12,
    )


def _statistics(rng: np.random.Generator) -> Iterator[Check]:
    W = rng.normal(size=(3, 8))
    accuracy = feature_accuracy(W, np.zeros(8), density=0.3, activation="linear")
    yield Check(
        "feature-accuracy",
        "the squared correlation of x_i with its linear reconstruction is the dimensionality D_i",
        "derivation",
        "the definition of D_i, a random (8, 3) model",
        float(abs(accuracy.correlation - np.array(feature_dimensionality(W), dtype=float)).max()),
        1e-9,  # a difference of two losses
    )
    density = 0.5
    ratio = float(exact_boundary(density, (0.3, 0.7)))
    ends = descend(
        np.array([[[1.0, 0.0]], [[0.9, -0.9]]]), np.full((2, 2), 0.1), density=density,
        importance=[1.0, ratio], method="bfgs",
    )  # fmt: skip
    yield Check(
        "exact-boundary",
        f"at s = {density} and r = {ratio:.10f} dedicated feature and pair have one loss",
        "definition of a boundary",
        "descent from both, and a search for the root",
        float(abs(ends.loss[0] / ends.loss[1] - 1)),
        1e-9,
    )


NUMERIC_GROUPS: tuple[Callable[[np.random.Generator], Iterator[Check]], ...] = (
    _derivatives,
    _many_features,
    _small_couplings,
    _turn,
    _certified,
    _cells,
    _flow,
    _training,
    _statistics,
)
