"""The exact loss against rational arithmetic, mpmath, sampling, moments and symmetries.

Tolerances: for n ≤ 3 the loss of every output is promised to 1e-12 relative to itself (measured:
below 3e-14 with couplings up to 1e4, 2e-15 otherwise); for more features to machine precision
times (loss + Σ s_i/3), of which `RECURRENCE` allows 22 units (measured: 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from mpmath import mp
from numpy.typing import NDArray

from superposition.numerics import population_loss, population_loss_and_grad
from superposition.numerics.loss import laws, quadrature, recurrence

RELATIVE = 1e-12
RECURRENCE = 5e-15
SIGMAS = 5

Floats = NDArray[np.float64]
Losses = Callable[..., list[Fraction]]
Model = tuple[Floats, Floats, Floats]  # W, b, density


def losses_per_output(model: Model, activation: str = "relu") -> Floats:
    W, b, density = model
    n = len(b)
    return population_loss(W, b, density=density[None], importance=np.eye(n), activation=activation)


def errors_per_output(
    model: Model, oracle: Losses, activation: str = "relu"
) -> Iterator[tuple[float, float]]:
    """Yield the absolute error and the exact loss of each output."""
    computed = losses_per_output(model, activation)
    exact = oracle(*model, activation)
    for value, truth in zip(computed, exact, strict=True):
        yield float(abs(Fraction(float(value)) - truth)), float(truth)


def assert_relative(model: Model, oracle: Losses) -> None:
    for i, (error, truth) in enumerate(errors_per_output(model, oracle)):
        assert error <= RELATIVE * truth, (i, error, truth, model)


def model(W: Any, b: Any, density: Any) -> Model:
    weights = np.array(W, dtype=np.float64)
    return (
        weights,
        np.array(b, dtype=np.float64),
        np.broadcast_to(density, weights.shape[-1:]).astype(float),
    )


def random_models(n: int, m: int, count: int, seed: int) -> Iterator[Model]:
    """Weights and biases over many orders of magnitude, with kinks at vertices of the box.

    An output that is never on has no loss of its own to measure an error against: where its kink
    is at a vertex of the box, its loss is all in the last digits of W. Densities are above 0 here.
    """
    rng = np.random.default_rng([n, m, seed])
    magnitudes = [0.0, 0.0, 0.0, -3.0, -9.0, -150.0, 1.0, 2.0]
    for _ in range(count):
        shape = (m, n) if rng.random() < 0.5 else (1, n)
        W = rng.standard_normal((m, n)) * 10 ** rng.choice(magnitudes, size=shape)
        b = rng.standard_normal(n) * 10 ** rng.choice(
            [0.0, 0.0, -1.0, -5.0, -12.0, 1.0, 3.0], size=n
        )
        kind = rng.integers(4)
        if kind == 0:
            b[:] = 0
        elif kind == 1:
            i = rng.integers(n)
            b[i] = -((W.T @ W)[i] * (rng.random(n) < 0.5)).sum()
        yield W, b, rng.choice([1.0, 0.5, 0.1, 1e-6, 0.9, 0.3, 1e-12], size=n)


def quadrature_loss(W: Any, b: Any, density: Any, digits: int = 40) -> list[mp.mpf]:
    """The definition, one nested integral per set of features that are on, split at the kinks."""
    n = len(b)
    with mp.workdps(digits):
        G = [[mp.fsum(mp.mpf(u[i]) * mp.mpf(u[j]) for u in W) for j in range(n)] for i in range(n)]

        def integral(i: int, active: list[int], fixed: dict[int, mp.mpf]) -> mp.mpf:
            z = mp.mpf(b[i]) + mp.fsum(G[i][j] * x for j, x in fixed.items())
            if not active:
                return (fixed.get(i, mp.mpf(0)) - max(z, mp.mpf(0))) ** 2
            first, rest = active[0], active[1:]
            breaks = {mp.mpf(0), mp.mpf(1)}
            if G[i][first] != 0:
                corners = product(*([mp.mpf(0), G[i][j]] for j in rest))
                kinks = {-(z + mp.fsum(corner)) / G[i][first] for corner in corners}
                breaks |= {kink for kink in kinks if 0 < kink < 1}
            inner = [fixed | {first: mp.mpf(0)}]

            def at(x: mp.mpf) -> mp.mpf:
                inner[0] = fixed | {first: x}
                return integral(i, rest, inner[0])

            # degree 2 of mpmath's rule has 12 nodes: exact for the polynomials between the kinks
            return mp.quad(at, sorted(breaks), method="gauss-legendre", maxdegree=2, error=False)

        losses = []
        for i in range(n):
            loss = mp.mpf(0)
            for on in product([False, True], repeat=n):
                pairs = zip(on, density, strict=True)
                weight = mp.fprod(mp.mpf(s) if yes else 1 - mp.mpf(s) for yes, s in pairs)
                if weight:
                    loss += weight * integral(i, [j for j in range(n) if on[j]], {})
            losses.append(loss)
        return losses


ROTATION = np.array([[0.8, -0.6], [0.6, 0.8]])
TWO_KINKS = [[0.9, -0.7, 0.4], [0.2, 0.5, -0.8]]

NAMED: dict[str, Model] = {
    "zero-weights": model([[0, 0]], [0.3, -0.3], 0.5),
    "zero-weights-zero-bias": model([[0, 0, 0]], [0, 0, 0], 0.5),
    "identity-is-perfect": model(np.eye(3), [0, 0, 0], [0.5, 1, 1e-6]),
    "antipodal": model([[1, -1]], [0, 0], 0.5),
    "coupling-1e-9": model([[1, 1e-9]], [0.1, -0.05], 0.5),
    "coupling-minus-1e-9": model([[1, -1e-9, 1]], [1e-10, 0, -0.25], [0.5, 1, 0.1]),
    "coupling-1e-300": model([[1, 1e-300, -1e-300]], [0, 0, 0.25], 0.5),
    "coupling-subnormal": model([[1, 1e-310, -1e-310]], [0, 0, -1e-310], 0.5),
    "orthogonal-columns": model([[1, 0, 1], [0, 1, 0]], [0, -0.5, 0.1], 0.3),
    "orthogonal-but-for-1e-17": model([[0.6, -0.8], [0.8, 0.6]], [0, 0], 0.3),
    "near-rotation": model(ROTATION + 1e-9, [1e-10, -1e-10], 0.5),
    "near-rotation-16-digits": model(ROTATION * (1 + 2e-16), [0, 0], 0.5),
    "dead-outputs": model([[1, -1, 0.5]], [-10, -1e3, -2], 0.5),
    "huge-bias": model([[1, -1]], [1e8, -1e8], 0.5),
    "huge-weights": model([[1e4, -1e3, 1]], [1, -1, 1e3], 0.5),
    "kinks-inside": model(TWO_KINKS, [-0.1, 0.2, -0.05], 0.5),
    "kinks-outside": model(TWO_KINKS, [3, 3, 3], 0.5),
    "kink-at-vertex-e1": model([[1, -0.5, 0.25]], [-1, 0.125, 0.125], 0.5),
    "kink-at-vertex-e1+e2": model([[1, -0.5, 0.25]], [-0.5, 0.25, -0.125], 1),
    "kink-at-origin": model([[1, -0.5, 0.25]], [0, 0, 0], 0.5),
    "kink-along-an-edge": model([[1, -1, 0.5]], [0, 0, 0], 0.7),
    "density-0": model(TWO_KINKS, [-0.1, 0.2, 0.3], 0),
    "density-1": model(TWO_KINKS, [-0.1, 0.2, 0.3], 1),
    "density-1e-6": model(TWO_KINKS, [-0.1, 0, -1e-7], 1e-6),
    "density-1e-300": model(TWO_KINKS, [-0.1, 0, -1e-7], 1e-300),
    "densities-differ": model(TWO_KINKS, [-0.1, 0.2, 0.3], [0, 1, 1e-6]),
}


@pytest.mark.parametrize("name", NAMED)
def test_loss_of_every_output_at_awkward_points(name: str, exact_losses: Losses) -> None:
    assert_relative(NAMED[name], exact_losses)


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_loss_of_every_output_at_random_points(n: int, m: int, exact_losses: Losses) -> None:
    for point in random_models(n, m, count=150, seed=0):
        assert_relative(point, exact_losses)


@pytest.mark.parametrize("distance", [1e-1, 1e-4, 1e-9, 1e-13, 1e-16])
@pytest.mark.parametrize("n", [2, 3])
def test_loss_near_perfect_reconstruction(n: int, distance: float, exact_losses: Losses) -> None:
    rng = np.random.default_rng([n, int(-np.log10(distance))])
    for _ in range(40):
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        W = Q + distance * rng.standard_normal((n, n))
        b = rng.choice([0, distance], size=n) * rng.standard_normal(n)
        assert_relative((W, b, rng.choice([1, 0.5, 1e-3, 1e-6], size=n)), exact_losses)


ORACLE_CHECKS = ["zero-weights", "antipodal", "kinks-inside", "kinks-outside",
                 "kink-at-vertex-e1", "kink-along-an-edge", "densities-differ",
                 "coupling-1e-9", "near-rotation"]  # fmt: skip


@pytest.mark.parametrize("name", ORACLE_CHECKS)
def test_rational_oracle_is_the_definition(name: str, exact_losses: Losses) -> None:
    W, b, density = (part.tolist() for part in NAMED[name])
    for exact, integral in zip(
        exact_losses(W, b, density), quadrature_loss(W, b, density), strict=True
    ):
        with mp.workdps(40):
            truth = mp.mpf(exact.numerator) / exact.denominator
            assert abs(integral - truth) <= mp.mpf("1e-36") * max(truth, mp.mpf("1e-3"))


def recurrence_models(n: int, count: int) -> Iterator[Model]:
    rng = np.random.default_rng(n)
    for _ in range(count):
        m = int(rng.integers(1, n + 1))
        shape = (m, n) if rng.random() < 0.5 else (1, n)
        W = rng.standard_normal((m, n)) / np.sqrt(m)
        W *= 10 ** rng.choice([0.0, 0.0, 0.0, -3.0, -9.0, -150.0], size=shape)
        b = rng.standard_normal(n) * 10 ** rng.choice([0.0, 0.0, -1.0, -5.0, -12.0, 1.0], size=n)
        kind = rng.integers(4)
        if kind == 0:
            b[:] = 0
        elif kind == 1:
            i = rng.integers(n)
            b[i] = -((W.T @ W)[i] * (rng.random(n) < 0.5)).sum()
        yield W, b, rng.choice([1, 0, 0.5, 0.1, 1e-6, 0.9, 0.3], size=n)


def regular_polygon(n: int, radius: float = 1.0) -> Floats:
    angles = 2 * np.pi * np.arange(n) / n
    return radius * np.array([np.cos(angles), np.sin(angles)])


RECURRENCE_NAMED: dict[str, Model] = {
    "square": model([[1, 0, -1, 0], [0, 1, 0, -1]], [0] * 4, 0.3),
    "pentagon": model(regular_polygon(5), [-0.1] * 5, 0.1),
    "hexagon": model(regular_polygon(6), [0] * 6, 1.0),
    "tiny-and-large-couplings": model([[1, 1e-9, -1, 1e-5, 0.5]], [0, 0, 0.1, -1e-6, -0.5], 0.5),
    "all-dead": model([[1, 1, 1, 1]], [-10, -20, -1e3, -5], 0.5),
    "none-cut-off": model([[0.5, 0.5, 0.5, 0.5]], [0.1, 0.2, 0.3, 4], 0.5),
    "identity": model(np.eye(4), [0] * 4, 0.5),
    "densities-0-and-1": model(regular_polygon(5), [0.05] * 5, [0, 1, 0.5, 1, 0]),
}


def assert_absolute(point: Model, oracle: Losses) -> None:
    scale = point[2].sum() / 3
    for i, (error, truth) in enumerate(errors_per_output(point, oracle)):
        assert error <= RECURRENCE * (truth + scale), (i, error, truth, point)


@pytest.mark.parametrize("name", RECURRENCE_NAMED)
def test_recurrence_at_awkward_points(name: str, exact_losses: Losses) -> None:
    assert_absolute(RECURRENCE_NAMED[name], exact_losses)


@pytest.mark.parametrize(("n", "count"), [(4, 100), (5, 40), (6, 10), (8, 3)])
def test_recurrence_at_random_points(
    n: int, count: int, exact_losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(laws, "RECURRENCE_FEATURES", 8)  # more would be a sum over nodes
    for point in recurrence_models(n, count):
        assert_absolute(point, exact_losses)


def test_recurrence_agrees_with_quadrature_per_output() -> None:
    """Two routes, one for n ≤ 3 and one for any n, on the same three couplings."""
    moments = recurrence.workspace(3)
    one, other = np.empty(3), np.empty(3)
    for W, b, density in random_models(3, 2, count=300, seed=1):
        G = W.T @ W
        for i in range(3):
            e = 1 - G[i, i]
            value, slope = quadrature.loss_of_output(i, G[i], e, b[i], density, one)
            check, check_slope = recurrence.loss_of_output(
                i, G[i], e, b[i], density, other, moments
            )
            size = 1 + abs(b[i]) + abs(G[i]).sum()
            assert abs(value - check) <= RECURRENCE * size**2
            assert abs(slope - check_slope) <= RECURRENCE * size
            assert abs(one - other).max() <= RECURRENCE * size


# --- gradients ---------------------------------------------------------------------------------


def exact_gradient(
    point: Model, importance: Sequence[float], oracle: Losses
) -> tuple[Floats, Floats]:
    """Central difference of the rational loss: with this step its error is below 1e-40."""
    h = Fraction(1, 2**80)
    W = [[Fraction(w) for w in row] for row in point[0].tolist()]
    b = [Fraction(value) for value in point[1].tolist()]

    def loss() -> Fraction:
        outputs = oracle(W, b, point[2].tolist())
        return sum((Fraction(i) * x for i, x in zip(importance, outputs, strict=True)), Fraction(0))

    def slope(row: list[Fraction], place: int) -> float:
        at = row[place]
        row[place] = at + h
        above = loss()
        row[place] = at - h
        below = loss()
        row[place] = at
        return float((above - below) / (2 * h))

    return np.array([[slope(row, j) for j in range(len(b))] for row in W]), np.array(
        [slope(b, j) for j in range(len(b))]
    )


def assert_gradient(point: Model, importance: Sequence[float], oracle: Losses) -> None:
    W, b, density = point
    at = population_loss_and_grad(W, b, density=density, importance=importance)
    dW, db = exact_gradient(point, importance, oracle)
    # Both parts are sums whose terms are of the size of W, times couplings and biases.
    size = 1 + abs(b).max() + abs(W.T @ W).max()
    scale = float(np.dot(density, importance)) * size * (1 + abs(W).max())
    assert abs(at.dW - dW).max() <= RELATIVE * scale
    assert abs(at.db - db).max() <= RELATIVE * scale


@pytest.mark.parametrize(
    "name", ["coupling-1e-9", "antipodal", "kinks-inside", "kinks-outside", "dead-outputs",
             "near-rotation", "kink-at-vertex-e1", "kink-along-an-edge", "densities-differ",
             "density-1", "density-1e-6", "zero-weights"],
)  # fmt: skip
def test_gradient_at_awkward_points(name: str, exact_losses: Losses) -> None:
    point = NAMED[name]
    assert_gradient(point, [1.0, 0.3, 2.0][: len(point[1])], exact_losses)


@pytest.mark.parametrize(
    ("n", "m", "count"), [(1, 1, 10), (2, 1, 20), (2, 3, 10), (3, 2, 20), (4, 2, 5), (5, 2, 2)]
)
def test_gradient_at_random_points(n: int, m: int, count: int, exact_losses: Losses) -> None:
    rng = np.random.default_rng([n, m])
    for _ in range(count):
        point = (
            rng.standard_normal((m, n)),
            rng.normal(scale=0.5, size=n),
            rng.choice([0.05, 0.5, 1.0], size=n),
        )
        assert_gradient(point, rng.uniform(0, 2, n).tolist(), exact_losses)


def test_gradient_with_penalty() -> None:
    W = np.array([[0.9, -0.7, 0.4], [0.2, 0.5, -0.8]])
    arguments: dict[str, Any] = {"density": 0.5, "importance": [1, 1, 1]}
    plain = population_loss_and_grad(W, np.zeros(3), **arguments)
    penalized = population_loss_and_grad(W, np.zeros(3), penalty=0.25, **arguments)
    off = W.T @ W * (1 - np.eye(3))
    np.testing.assert_allclose(penalized.loss - plain.loss, 0.25 * (off**2).sum(), rtol=1e-13)
    np.testing.assert_allclose(penalized.dW - plain.dW, 0.25 * 4 * W @ off, rtol=1e-13)
    np.testing.assert_array_equal(penalized.db, plain.db)


@pytest.mark.parametrize("n", [2, 4])
def test_gradient_at_a_kink_is_that_of_the_active_side(n: int) -> None:
    """A feature without weight and bias keeps z = 0: the only kink that has a probability.

    The derivative in b_i from above is −2 E x_i = −s, from below 0: a descent direction exists.
    """
    W = np.eye(1, n)
    arguments: dict[str, Any] = {"density": 0.5, "importance": np.ones(n)}
    at = population_loss_and_grad(W, np.zeros(n), **arguments)
    np.testing.assert_allclose(at.db, [0.0] + [-0.5] * (n - 1), rtol=1e-15)
    step = 1e-9
    above = population_loss(W, step * np.eye(n)[1], **arguments)
    below = population_loss(W, -step * np.eye(n)[1], **arguments)
    np.testing.assert_allclose((above - at.loss) / step, -0.5, atol=1e-6)  # rounding / step
    assert below == at.loss


# --- sampling, and the linear activation -------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (5, 2), (8, 3)])
def test_loss_within_the_error_bars_of_sampling(n: int, m: int, activation: str) -> None:
    rng = np.random.default_rng([n, m])
    W = rng.standard_normal((m, n)) / np.sqrt(m)
    b = rng.normal(scale=0.2, size=n)
    density = rng.uniform(0.2, 1, n)
    importance = rng.uniform(0.5, 2, n)
    draws = 200_000
    x = rng.random((draws, n)) * (rng.random((draws, n)) < density)
    z = x @ W.T @ W + b
    errors = ((x - (np.maximum(z, 0) if activation == "relu" else z)) ** 2) @ importance
    exact = population_loss(W, b, density=density, importance=importance, activation=activation)
    assert abs(errors.mean() - exact) <= SIGMAS * errors.std() / np.sqrt(draws)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (3, 2), (6, 2)])
def test_linear_loss_is_that_of_the_moments(n: int, m: int, exact_losses: Losses) -> None:
    rng = np.random.default_rng([n, m])
    for _ in range(20):
        point = (
            rng.standard_normal((m, n)),
            rng.standard_normal(n),
            rng.choice([0.0, 0.1, 1.0], n),
        )
        for error, truth in errors_per_output(point, exact_losses, "linear"):
            assert error <= 1e-13 * (truth + 1)


def test_linear_loss_for_fifty_features() -> None:
    rng = np.random.default_rng(0)
    W, b, importance = rng.normal(size=(7, 50)) / 7, rng.normal(size=50), rng.random(50)
    density = rng.random(50)
    gap = np.eye(50) - W.T @ W
    moments = np.outer(density, density) / 4
    np.fill_diagonal(moments, density / 3)
    errors = np.einsum("ij,jk,ik->i", gap, moments, gap) - gap @ density * b + b**2
    loss = population_loss(W, b, density=density, importance=importance, activation="linear")
    np.testing.assert_allclose(loss, errors @ importance, rtol=1e-13)


# --- symmetries --------------------------------------------------------------------------------

numbers = st.floats(-2, 2, allow_nan=False, allow_subnormal=False)
derandomized = settings(derandomize=True, deadline=None, max_examples=60)


@st.composite
def models(draw: st.DrawFn, sizes: tuple[int, ...] = (2, 3, 4)) -> Model:
    n = draw(st.sampled_from(sizes))
    m = draw(st.integers(1, 3))
    W = draw(st.lists(numbers, min_size=m * n, max_size=m * n))
    b = draw(st.lists(numbers, min_size=n, max_size=n))
    density = draw(st.lists(st.floats(0, 1), min_size=n, max_size=n))
    return np.reshape(W, (m, n)), np.array(b), np.array(density)


@derandomized
@given(models(), st.floats(0, 7))
def test_rotating_hidden_space_changes_nothing(point: Model, angle: float) -> None:
    W, b, density = point
    Q = np.linalg.qr(np.cos(angle * np.arange(1, 10).reshape(3, 3) ** 2))[0]
    padded = np.vstack([W, np.zeros((3 - len(W), W.shape[1]))])
    arguments: dict[str, Any] = {"density": density, "importance": np.ones(len(b))}
    before = population_loss(W, b, **arguments)
    np.testing.assert_allclose(
        population_loss(Q @ padded, b, **arguments), before, rtol=1e-12, atol=1e-13
    )


@derandomized
@given(models(), st.randoms(use_true_random=False))
def test_permuting_features_permutes_outputs(point: Model, random: Any) -> None:
    W, b, density = point
    order = list(range(len(b)))
    random.shuffle(order)
    moved = losses_per_output((W[:, order], b[order], density[order]))
    np.testing.assert_allclose(moved, losses_per_output(point)[order], rtol=1e-12, atol=1e-13)


@derandomized
@given(models(), st.integers(0, 3))
def test_flipping_the_sign_of_a_column_when_every_feature_is_on(point: Model, choice: int) -> None:
    """At density 1 the law of x_k is that of 1 − x_k, so G_ik x_k can be G_ik − G_ik x_k.

    Output i ≠ j replaces x_j, which b_i + G_ij makes up for; output j replaces all others.
    """
    W, b, _ = point
    every = np.ones(len(b))
    j = choice % len(b)
    flipped = W.copy()
    flipped[:, j] *= -1
    shifted = b + W.T @ W[:, j]
    shifted[j] = b[j] + W[:, j] @ W.sum(axis=1) - W[:, j] @ W[:, j]
    moved = losses_per_output((flipped, shifted, every))
    before = losses_per_output((W, b, every))
    np.testing.assert_allclose(moved, before, rtol=1e-12, atol=1e-13)


# --- batches and tensors -----------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_batch_is_bitwise_a_loop(n: int, activation: str) -> None:
    rng = np.random.default_rng(n)
    W, b = rng.standard_normal((4, 1, 2, n)), rng.standard_normal((5, n))
    density, importance = rng.random((3, 1, 1, n)), rng.random((4, 1, n))
    penalty = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    batch = population_loss_and_grad(
        W, b, density=density, importance=importance, penalty=penalty, activation=activation
    )
    assert batch.loss.shape == (3, 4, 5)
    for d, i, k in np.ndindex(3, 4, 5):
        one = population_loss_and_grad(
            W[i, 0], b[k], density=density[d, 0, 0], importance=importance[i, 0],
            penalty=penalty[k], activation=activation,
        )  # fmt: skip
        assert batch.loss[d, i, k] == one.loss
        np.testing.assert_array_equal(batch.dW[d, i, k], one.dW)
        np.testing.assert_array_equal(batch.db[d, i, k], one.db)


def test_density_is_per_feature_only_with_more_axes_than_the_batch() -> None:
    W, b = np.array([[[1.0, -0.5]], [[0.3, 0.8]]]), np.zeros((2, 2))
    per_model = population_loss(W, b, density=[0.1, 0.9], importance=[1, 1])
    per_feature = population_loss(W, b, density=[[0.1, 0.9]], importance=[1, 1])
    for k, s in enumerate([0.1, 0.9]):
        assert per_model[k] == population_loss(W[k], b[k], density=s, importance=[1, 1])
        assert per_feature[k] == population_loss(W[k], b[k], density=[0.1, 0.9], importance=[1, 1])
    assert (per_model != per_feature).all()


def test_single_model_has_a_zero_dimensional_loss() -> None:
    loss = population_loss([[1, -1]], [0, 0], density=0.5, importance=[1, 1])
    assert loss.shape == ()
    assert loss.dtype == np.float64


def test_inputs_are_left_alone() -> None:
    W, b, density = NAMED["kinks-inside"]
    copies = W.copy(), b.copy()
    population_loss_and_grad(W, b, density=density, importance=np.ones(3), penalty=1.0)
    np.testing.assert_array_equal(W, copies[0])
    np.testing.assert_array_equal(b, copies[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensor_in_tensor_out(dtype: torch.dtype) -> None:
    W, b = torch.tensor([[0.5, -0.25]], dtype=dtype), torch.zeros(2, dtype=dtype)
    arguments: dict[str, Any] = {"density": 0.5, "importance": [1, 0.5]}
    loss = population_loss(W, b, **arguments)
    exact = population_loss(W.numpy(), b.numpy(), **arguments)
    assert isinstance(loss, torch.Tensor)
    assert (loss.dtype, loss.device, loss.shape) == (dtype, W.device, ())
    assert loss.item() == torch.tensor(exact, dtype=dtype).item()  # rounded once, at the end
    parts = population_loss_and_grad(W, b, **arguments)
    for part, shape in ((parts.loss, ()), (parts.dW, (1, 2)), (parts.db, (2,))):
        assert isinstance(part, torch.Tensor)
        assert (part.dtype, part.shape) == (dtype, shape)


def test_tensors_of_parameters_are_accepted() -> None:
    W, b = torch.tensor([[0.5, -0.25]]), torch.zeros(2)
    from_tensors = population_loss(
        W,
        b,
        density=torch.tensor(0.5),
        importance=torch.tensor([1, 0.5]),
        penalty=torch.tensor(0.1),
    )
    assert from_tensors == population_loss(W, b, density=0.5, importance=[1, 0.5], penalty=0.1)


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_autograd_passes_gradcheck(n: int, activation: str) -> None:
    generator = torch.Generator().manual_seed(n)
    W = torch.randn(2, 1, n, dtype=torch.float64, generator=generator, requires_grad=True)
    b = torch.randn(n, dtype=torch.float64, generator=generator, requires_grad=True)

    def loss(W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return population_loss(
            W, b, density=[[0.3] * n], importance=[1.0] * n, penalty=0.1, activation=activation
        )

    assert torch.autograd.gradcheck(loss, (W, b))


def test_autograd_sums_over_what_was_broadcast() -> None:
    W = torch.tensor(
        [[[0.9, -0.7]], [[0.2, 0.6]], [[-1.1, 0.3]]], dtype=torch.float64, requires_grad=True
    )
    b = torch.tensor([0.1, -0.2], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64)
    arguments: dict[str, Any] = {"density": 0.4, "importance": [1, 1]}
    (population_loss(W, b, **arguments) * weights).sum().backward()
    at = population_loss_and_grad(W.detach().numpy(), b.detach().numpy(), **arguments)
    assert W.grad is not None
    assert b.grad is not None
    np.testing.assert_allclose(W.grad.numpy(), at.dW * weights.numpy()[:, None, None], rtol=1e-15)
    np.testing.assert_allclose(b.grad.numpy(), weights.numpy() @ at.db, rtol=1e-14)


def test_autograd_refuses_a_second_derivative() -> None:
    W = torch.tensor([[0.9, -0.7]], requires_grad=True)
    loss = population_loss(W, torch.zeros(2), density=0.4, importance=[1, 1])
    with pytest.raises(RuntimeError, match="once"):
        torch.autograd.grad(loss, W, create_graph=True)


# --- wrong arguments ---------------------------------------------------------------------------

VALID: dict[str, Any] = {"W": [[1, 0]], "b": [0, 0], "density": 0.5, "importance": [1, 1]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"W": [[1, 0], [0]]}, "rectangular arrays of numbers", id="ragged-W"),
        pytest.param({"W": [["a", 0]]}, "rectangular arrays of numbers", id="text-in-W"),
        pytest.param({"W": [1, 0]}, r"W must have shape .* got W \(2,\)", id="W-without-rows"),
        pytest.param({"b": [0, 0, 0]}, r"got W \(1, 2\) and b \(3,\)", id="b-too-long"),
        pytest.param({"W": [[np.nan, 0]]}, "W must be finite", id="NaN-in-W"),
        pytest.param({"b": [np.inf, 0]}, "b must be finite", id="infinite-b"),
        pytest.param({"density": 1.5}, r"density .* \[0, 1\], got 1.5", id="density-1.5"),
        pytest.param({"density": np.nan}, "density .* got nan", id="density-NaN"),
        pytest.param({"density": [0.1, 0.2, 0.3], "W": np.ones((2, 1, 2))},
                     r"leading dimensions must broadcast, got density \(3,\)", id="density-shape"),
        pytest.param({"importance": [1, -1]}, "importance .* got -1", id="importance-negative"),
        pytest.param({"importance": [1, np.inf]}, "importance .* got inf", id="importance-inf"),
        pytest.param({"importance": [1, 1, 1]},
                     r"shape \(\.\.\., 2\).* got shape \(3,\)", id="importance-shape"),
        pytest.param({"importance": 1},
                     r"one value per feature, got shape \(\)", id="importance-scalar"),
        pytest.param({"penalty": -0.1}, "penalty .* got -0.1", id="penalty-negative"),
        pytest.param({"activation": "gelu"}, "one of relu, linear, got 'gelu'", id="activation"),
        pytest.param({"features": "uniform"}, "features must be None", id="features"),
        pytest.param({"rtol": 1e-16}, "rtol must be between 1e-14 and 1, got 1e-16", id="rtol"),
        pytest.param({"W": np.ones((2, 1, 2)), "b": np.ones((3, 2))},
                     r"W and b must broadcast, got \(2,\) and \(3,\)", id="batches-do-not-fit"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("function", [population_loss, population_loss_and_grad])
def test_wrong_arguments(
    function: Callable[..., Any], changes: dict[str, Any], message: str
) -> None:
    arguments = VALID | changes
    with pytest.raises(ValueError, match=message):
        function(arguments.pop("W"), arguments.pop("b"), **arguments)
