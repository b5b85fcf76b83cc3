"""The certificate of a minimum: the least curvature to all sides, against sampling and theory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy

from superposition.numerics import descend, population_loss
from superposition.numerics.loss.hessian import population_hessian
from superposition.numerics.minima.curvature import curvature
from superposition.theory.landscape.partial_superposition import continuous_end
from superposition.theory.symbols import r

DEDICATED = [[1.0, 0.0]]


def test_dedicated_feature_loses_its_stability_where_the_theory_proves() -> None:
    """Theory expands the loss at [1, 0] on its kink and certifies the root; this is its oracle."""
    for density in (0.55, 0.65, 0.75):
        end = float(continuous_end(sympy.Rational(str(density)), digits=12)[r])
        # Superposition pays on the side of more importance.
        for importance, kind in ((end - 2e-3, "minimum"), (end + 2e-3, "saddle")):
            at = curvature(DEDICATED, [0, density / 2], density=density, importance=[1, importance])
            assert at.kind == kind, (density, importance, at.value)


@pytest.mark.parametrize(("density", "importance"), [(0.3, 0.5), (0.6, 0.3), (0.62, 0.7)])
def test_no_sampled_direction_is_below_the_least_curvature(
    density: float, importance: float
) -> None:
    """2 (L(x + tv) − L(x))/t² over many v; its error is a third derivative times t."""
    at = curvature(DEDICATED, [0, density / 2], density=density, importance=[1, importance])
    model: dict[str, Any] = {"density": density, "importance": [1, importance]}
    t = 1e-4
    v = np.random.default_rng(0).standard_normal((20_000, 4))
    v[0] = np.append(at.W.ravel(), at.b)  # the direction that is claimed
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    x = np.array([1, 0, 0, density / 2]) + t * v
    bottom = population_loss(DEDICATED, [0, density / 2], **model)
    rise = population_loss(x[:, np.newaxis, :2], x[:, 2:], **model) - bottom
    sampled = 2 * rise / t**2
    assert sampled[0] == pytest.approx(float(at.value), abs=1e-3)
    assert sampled.min() > float(at.value) - 1e-3
    # One Hessian says nothing here: it depends on the side.
    shifts = [population_hessian([[1, e]], [e, density / 2], **model) for e in (1e-9, -1e-9)]
    assert abs(shifts[0] - shifts[1]).max() > 0.1


def test_same_sign_minimum_is_smooth_and_has_the_hessians_eigenvalue() -> None:
    found = descend([[1.0, 0.3]], [0, 0.1], density=0.3, importance=[1, 1])
    at = curvature(found.W, found.b, density=0.3, importance=[1, 1])
    eigenvalues = np.linalg.eigvalsh(
        population_hessian(found.W, found.b, density=0.3, importance=[1, 1])
    )
    assert at.kind == "minimum"
    assert float(at.value) == pytest.approx(eigenvalues[0], rel=1e-9)


def test_rotations_are_left_out() -> None:
    """A triangle turned by any angle: the Hessian has a zero, the certificate does not see it."""
    angles = 0.3 + 2 * np.pi * np.arange(3) / 3
    found = descend(
        0.8 * np.array([np.cos(angles), np.sin(angles)]), [0.1] * 3, density=0.6, importance=[1] * 3
    )
    model: dict[str, Any] = {"density": 0.6, "importance": [1] * 3}
    eigenvalues = np.linalg.eigvalsh(population_hessian(found.W, found.b, **model))
    assert abs(eigenvalues[0]) < 1e-8
    assert eigenvalues[1] > 1e-3
    at = curvature(found.W, found.b, **model)
    assert at.kind == "minimum"
    assert float(at.value) == pytest.approx(eigenvalues[1], rel=1e-6)


def test_differences_certify_four_features() -> None:
    """Two antipodal pairs, where no closed form of the second derivatives is written."""
    W = [[0.9, -0.9, 0, 0], [0, 0, 0.9, -0.9]]
    found = descend(W, [0.1] * 4, density=0.1, importance=[1] * 4)
    at = curvature(found.W, found.b, density=0.1, importance=[1] * 4)
    assert found.converged
    assert at.kind == "minimum"


def test_kinds() -> None:
    model: dict[str, Any] = {"density": 0.5, "importance": [1, 1]}
    assert curvature([[0.0, 0.0]], [0.25, 0.25], **model).kind == "saddle"
    dead = curvature([[1.0, 0.0]], [0.0, -0.2], **model)  # the bias of a dead output is free
    assert dead.kind == "degenerate"
    assert curvature([[0.5, 0.4]], [0.0, 0.0], **model).kind == "not stationary"


def test_batches_have_the_values_of_single_models() -> None:
    density = np.array([0.3, 0.6, 0.9])
    W = np.broadcast_to(DEDICATED, (3, 1, 2))
    b = np.stack([np.zeros(3), density / 2], axis=-1)
    batch = curvature(W, b, density=density, importance=[1, 0.5])
    for k in range(3):
        one = curvature(W[k], b[k], density=density[k], importance=[1, 0.5])
        np.testing.assert_allclose(batch.value[k], one.value, rtol=1e-12)
        assert batch.kind[k] == one.kind
