"""Second derivatives of the exact loss, against second differences without rounding."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from superposition import Correlated, Independent, ValueDistribution
from superposition.numerics.loss.hessian import has_exact_hessian, population_hessian

Floats = NDArray[np.float64]
Losses = Callable[..., list[Fraction]]
Total = Callable[..., Fraction]

STEP = Fraction(1, 2**24)  # a second difference in fractions errs by STEP² L⁗/12 only


@pytest.fixture(scope="module")
def second_difference(exact_losses: Losses) -> Total:
    """(L(x + hv) − 2 L(x) + L(x − hv)) / h² in rational arithmetic, penalty included."""

    def loss(x: list[Fraction], m: int, n: int, model: dict[str, Any]) -> Fraction:
        W = [x[h * n : h * n + n] for h in range(m)]
        outputs = exact_losses(
            W, x[m * n :], model["density"], model.get("activation", "relu"), model.get("features")
        )
        total = sum(Fraction(i) * e for i, e in zip(model["importance"], outputs, strict=True))
        for i in range(n):
            for j in range(i):
                coupling = sum((row[i] * row[j] for row in W), Fraction(0))
                total += 2 * Fraction(model.get("penalty", 0.0)) * coupling**2
        return Fraction(total)

    def difference(W: Floats, b: Floats, v: list[int], model: dict[str, Any]) -> Fraction:
        m, n = W.shape
        x = [Fraction(float(entry)) for entry in (*W.ravel(), *b)]
        sides = [[e + k * STEP * d for e, d in zip(x, v, strict=True)] for k in (-1, 0, 1)]
        below, at, above = (loss(side, m, n, model) for side in sides)
        return (below - 2 * at + above) / STEP**2

    return difference


def random_model(n: int, m: int, seed: int) -> tuple[Floats, Floats, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    model = {"density": rng.uniform(0.1, 1, n), "importance": rng.uniform(0.5, 2, n)}
    return rng.standard_normal((m, n)), rng.normal(scale=0.3, size=n), model


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2)])
@pytest.mark.parametrize("penalty", [0.0, 0.25])
def test_closed_form_is_the_second_difference(
    n: int, m: int, penalty: float, second_difference: Total
) -> None:
    for seed in range(3):
        W, b, model = random_model(n, m, seed)
        model["penalty"] = penalty
        hessian = population_hessian(
            W, b, density=model["density"][np.newaxis], importance=model["importance"][np.newaxis],
            penalty=penalty,
        )[0]  # fmt: skip
        for v in np.random.default_rng(seed).integers(-2, 3, (3, m * n + n)):
            exact = float(second_difference(W, b, v.tolist(), model))
            np.testing.assert_allclose(v @ hessian @ v, exact, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("activation", "features"),
    [
        ("linear", Independent()),
        ("relu", Correlated([(0, 1)])),
        ("relu", Independent(ValueDistribution([0, 2]))),
    ],
)
def test_differences_are_within_what_is_stated(
    activation: str, features: Any, second_difference: Total
) -> None:
    W, b, model = random_model(3, 2, 5)
    model |= {"density": np.full(3, 0.4), "activation": activation, "features": features}
    assert not has_exact_hessian(features, 3, activation)
    hessian = population_hessian(W, b, **model)
    for v in np.random.default_rng(2).integers(-2, 3, (3, 9)):
        exact = float(second_difference(W, b, v.tolist(), model))
        assert abs(v @ hessian @ v - exact) < 1e-11 * abs(hessian).max() * float(v @ v)


def test_four_features_of_which_one_is_nothing() -> None:
    """W_4 = 0 without importance: the block of the others is the closed form for three features."""
    W, b, model = random_model(3, 2, 7)
    closed = population_hessian(W, b, density=0.4, importance=model["importance"])
    by_differences = population_hessian(
        np.concatenate([W, np.zeros((2, 1))], axis=1),
        np.append(b, 0.1),
        density=0.4,
        importance=np.append(model["importance"], 0.0),
    )
    kept = np.array([0, 1, 2, 4, 5, 6, 8, 9, 10])
    np.testing.assert_allclose(by_differences[np.ix_(kept, kept)], closed, atol=1e-10)


def test_shapes_broadcast() -> None:
    W, b, _ = random_model(2, 1, 0)
    importance = np.array([[1.0, 0.5], [1.0, 1.0], [1.0, 2.0]])
    hessian = population_hessian(
        W, b, density=[[0.1], [0.9]], importance=importance, penalty=[[0.0], [0.1]]
    )
    assert hessian.shape == (2, 3, 4, 4)
    one = population_hessian(W, b, density=0.9, importance=importance[2], penalty=0.1)
    np.testing.assert_array_equal(hessian[1, 2], one)
    none = population_hessian(np.zeros((0, 1, 2)), np.zeros(2), density=0.5, importance=[1, 1])
    assert none.shape == (0, 4, 4)


def test_wrong_weights_are_named() -> None:
    with pytest.raises(ValueError, match="W must have shape"):
        population_hessian([1.0, 2.0], [0.0, 0.0], density=0.5, importance=[1, 1])
