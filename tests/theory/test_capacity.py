"""Capacity in the quadratic model of Scherlis et al., against optimization over weights."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize

from superposition.theory import OPTIMAL, expected_loss, feature_dimensionality, regular_simplex, s
from superposition.theory.limits.capacity import (
    allocate_capacity,
    capacity,
    capacity_frontier,
    capacity_loss,
    capacity_report,
    feature_kurtosis,
    marginal_benefit,
    quadratic_loss,
)
from superposition.theory.polytopes import regular_polygon, square_antiprism
from superposition.values import ValueDistribution

F = Fraction
kappa, share = sympy.symbols("kappa C", positive=True)


def model_loss(W: Any, values: Any, kurtosis: float) -> tuple[float, Any]:
    """The quadratic model's loss and gradient, in NumPy."""
    error = W.T @ W - np.diag(values)
    weights = 2 + (kurtosis - 3) * np.eye(len(values))
    return float((weights * error**2).sum()), 4 * W @ (weights * error)


def least_loss(values: Any, n_hidden: int, kurtosis: float, starts: int = 12) -> float:
    rng = np.random.default_rng(0)
    n = len(values)

    def at(flat: Any) -> Any:
        loss, gradient = model_loss(flat.reshape(n_hidden, n), values, kurtosis)
        return loss, gradient.ravel()

    options: Any = {"gtol": 1e-10, "maxiter": 2000}
    return min(
        float(minimize(at, rng.normal(size=n_hidden * n), jac=True, options=options).fun)
        for _ in range(starts)
    )


# --- the quadratic model -----------------------------------------------------------------------


def test_quadratic_loss_is_the_variance_of_the_error() -> None:
    """Oracle: moments of independent inputs of mean 0 and variance 1, taken term by term."""
    W = sympy.Matrix([[1, F(1, 2), -1], [0, F(2, 3), F(1, 3)]])
    values = [2, 1, F(1, 2)]
    x = sympy.symbols("x:3")
    hidden = W * sympy.Matrix(x)
    error = sum(v * x_i**2 for v, x_i in zip(values, x, strict=True)) - hidden.dot(hidden)
    moments = {0: 1, 1: 0, 2: 1, 3: 0, 4: kappa}

    def mean(polynomial: Any) -> Any:
        terms = sympy.Poly(polynomial, *x).terms()
        return sum(c * sympy.Mul(*(moments[p] for p in powers)) for powers, c in terms)

    variance = sympy.expand(mean(error**2) - mean(error) ** 2)
    assert sympy.expand(quadratic_loss(W, values, kurtosis=kappa) - variance) == 0
    numeric, _ = model_loss(np.array(W, dtype=float), np.array(values, dtype=float), 7.0)
    assert float(quadratic_loss(W, values, kurtosis=7)) == pytest.approx(numeric, rel=1e-13)


def test_loss_of_a_capacity_is_the_least_over_lengths() -> None:
    square = sympy.Symbol("q", positive=True)
    terms = (kappa - 1) * (1 - square) ** 2 + 2 * square**2 * (1 / share - 1)
    best = sympy.solve(terms.diff(square), square)
    assert len(best) == 1
    expected = sympy.simplify(terms.subs(square, best[0]))
    assert sympy.simplify(capacity_loss(share, kurtosis=kappa) - expected) == 0


def test_marginal_benefit_is_the_slope_and_bends_at_kurtosis_three() -> None:
    slope = capacity_loss(share, kurtosis=kappa).diff(share)
    assert sympy.simplify(slope + marginal_benefit(share, kurtosis=kappa)) == 0
    bend = sympy.factor(slope.diff(share))
    assert sympy.simplify(bend.subs(kappa, 3)) == 0
    for k, c in ((2, 0), (2, 1), (F(5, 2), F(1, 2))):
        assert bend.subs({kappa: k, share: c}) < 0
    for k, c in ((4, 0), (4, 1), (50, F(1, 2))):
        assert bend.subs({kappa: k, share: c}) > 0
    assert capacity_loss(1, kurtosis=kappa) == 0
    assert sympy.simplify(capacity_loss(0, kurtosis=kappa) - (kappa - 1)) == 0


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.sampled_from([F(3, 2), 2, 3, 4, 9]),
)
def test_no_weights_are_below_the_loss_of_their_capacities(
    rows: list[list[int]], values: list[int], kurtosis: Any
) -> None:
    bound = sum(
        v**2 * capacity_loss(c, kurtosis=kurtosis)
        for v, c in zip(values, capacity(rows), strict=True)
    )
    assert quadratic_loss(rows, values, kurtosis=kurtosis) >= bound


ALLOCATIONS: dict[str, tuple[list[Any], int, Any]] = {
    "shared by equals": ([1, 1, 1], 2, 9),
    "five in two": ([1, 1, 1, 1, 1], 2, 4),
    "one dedicated": ([4, 1, 1], 2, 9),
    "one dropped": ([F(5, 2), 2, F(1, 4)], 1, 5),
    "all shared, unequal": ([F(6, 5), 1, F(4, 5), 1], 2, 20),
    "all or nothing": ([3, 2, 1, 1], 2, 2),
    "nothing lacks": ([3, 2, 0], 2, 5),
    "boundary": ([3, 2, 1], 2, 3),
}


@pytest.mark.parametrize("case", ALLOCATIONS)
def test_allocation_is_the_least_loss_over_all_weights(case: str) -> None:
    """Oracle: descent on the matrix model, which knows of no capacities."""
    values, m, kurtosis = ALLOCATIONS[case]
    allocation = allocate_capacity(values, m, kurtosis=kurtosis)
    floats = np.array(values, dtype=float)
    # Flat directions at the boundary κ = 3 end a descent early, so a part in 10⁸.
    assert float(allocation.loss) == pytest.approx(
        least_loss(floats, m, float(kurtosis)), abs=1e-8, rel=1e-8
    )
    assert allocation.is_all_or_nothing == (case in {"all or nothing", "nothing lacks", "boundary"})


@pytest.mark.parametrize("case", ALLOCATIONS)
def test_allocation_spends_everything_at_equal_marginal_benefit(case: str) -> None:
    values, m, kurtosis = ALLOCATIONS[case]
    allocation = allocate_capacity(values, m, kurtosis=kurtosis)
    shares, benefits = allocation.capacities, allocation.marginal_benefit
    assert sum(shares) == min(m, sum(v > 0 for v in values))
    sharing = {b for c, b in zip(shares, benefits, strict=True) if 0 < c < 1}
    assert len(sharing) <= 1
    for price in sharing:
        assert all(b >= price for c, b in zip(shares, benefits, strict=True) if c == 1)
        assert all(b <= price for c, b in zip(shares, benefits, strict=True) if c == 0)
        # ‖W_i‖²/C_i in common: the columns are a tight frame of their space.
        quotients = {
            q / c for c, q in zip(shares, allocation.squared_lengths, strict=True) if 0 < c < 1
        }
        assert len(quotients) == 1
    total = sum(
        v**2 * capacity_loss(c, kurtosis=kurtosis) for v, c in zip(values, shares, strict=True)
    )
    assert sympy.simplify(total - allocation.loss) == 0


def test_a_tight_frame_attains_the_allocation_exactly() -> None:
    """Equal values, n in m dimensions: any tight frame of the predicted length."""
    for frame in (regular_simplex(2), regular_polygon(5), square_antiprism()):
        n, m = frame.n_features, frame.n_hidden
        allocation = allocate_capacity([1] * n, m, kurtosis=6)
        assert allocation.capacities == (sympy.Rational(m, n),) * n
        W = frame.W * sympy.sqrt(allocation.squared_lengths[0])
        assert sympy.simplify(quadratic_loss(W, [1] * n, kurtosis=6) - allocation.loss) == 0


def test_kurtosis_of_sparse_inputs() -> None:
    """E x⁴/(E x²)² = (s/5)/(s/3)² for uniform values; by quadrature for another density."""
    assert feature_kurtosis(s) == sympy.Rational(9, 5) / s
    assert feature_kurtosis(F(3, 5)) == 3
    rising = ValueDistribution([0, 2], symmetric=True)
    nodes, weights = np.polynomial.legendre.leggauss(5)
    u, w = (nodes + 1) / 2, weights / 2 * (nodes + 1)
    second, fourth = (0.25 * (w * u**p).sum() for p in (2, 4))
    assert float(feature_kurtosis(F(1, 4), rising)) == pytest.approx(fourth / second**2)


def test_linear_model_is_at_the_boundary() -> None:
    """E‖x − WᵀWx‖² at mean 0 and variance σ² is σ²/2 times the quadratic loss at κ = 3, v = 1."""
    W = [[1, F(1, 2), -1], [0, F(2, 3), F(1, 3)]]
    variance = sympy.Rational(1, 12)  # of a value uniform on [0, 1], with density 1
    linear = expected_loss(W, [OPTIMAL] * 3, density=1, activation="linear")
    assert linear == variance / 2 * quadratic_loss(W, [1, 1, 1], kurtosis=3)


# --- capacity of ReLU models -------------------------------------------------------------------


def test_capacity_is_feature_dimensionality() -> None:
    W = np.random.default_rng(0).normal(size=(3, 2, 5))
    np.testing.assert_array_equal(capacity(W), feature_dimensionality(W))
    gram = np.einsum("kai,kaj->kij", W, W)
    expected = np.einsum("kii->ki", gram) ** 2 / (gram**2).sum(axis=2)
    np.testing.assert_allclose(capacity(W), expected, rtol=1e-13)


def test_frontier_shares_below_the_triple_point() -> None:
    """The antipodal pair costs s²/6 per feature, half of a dropped one (s/3 − s²/4)/2 at 4/7."""
    pair = regular_simplex(1)
    below, above = (
        capacity_frontier([pair], density=sympy.Rational(4, 7) + step)
        for step in (-sympy.Rational(1, 1000), sympy.Rational(1, 1000))
    )
    assert [point.name for point in below] == ["dropped", "antipodal pair", "dedicated"]
    assert [point.name for point in above] == ["dropped", "dedicated"]
    at = capacity_frontier([pair], density=sympy.Rational(4, 7))
    assert [point.name for point in at] == ["dropped", "dedicated"]


def test_frontier_is_the_lower_convex_hull() -> None:
    """Oracle: every mixture of two points by its definition, on a grid of capacities."""
    shapes = [regular_simplex(m) for m in (1, 2, 3)] + [regular_polygon(k) for k in (5, 6)]
    density = sympy.Rational(1, 10)
    hull = capacity_frontier(shapes, density=density)
    points = [
        (
            float(F(c.n_hidden, c.n_features)),
            float(c.loss(density=density, importance=1)) / c.n_features,
        )
        for c in shapes
    ] + [(0.0, float(density / 3 - density**2 / 4)), (1.0, 0.0)]
    for spent in np.linspace(0, 1, 41):
        best = min(
            low + (high - low) * (spent - c) / (d - c) if d > c else low
            for c, low in points
            for d, high in points
            if c <= spent <= d and (d > c or c == spent)
        )
        found = np.interp(spent, [float(p.capacity) for p in hull], [float(p.loss) for p in hull])
        assert found == pytest.approx(best, abs=1e-15)


# --- refusals and reports ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: allocate_capacity([1, -1], 1, kurtosis=4), "at least 0, got -1"),
        (lambda: allocate_capacity([1, 1], 1, kurtosis=1), "must exceed 1"),
        (lambda: allocate_capacity([1, 1], 0, kurtosis=4), "n_hidden must be an integer"),
        (lambda: allocate_capacity([kappa, 1], 1, kurtosis=4), "needs numbers"),
        (lambda: quadratic_loss([[1, 1]], [1], kurtosis=4), "n_features = 2 numbers, got 1"),
        (lambda: feature_kurtosis(F(1, 2), ValueDistribution([1])), "must be symmetric"),
        (lambda: feature_kurtosis(0), "density is 0"),
        (lambda: capacity_frontier([], density=s), r"number in \(0, 1\], got s"),
    ],
)
def test_bad_input_is_refused(call: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        call()


def test_report_says_whether_the_rank_is_used_up() -> None:
    assert "sum of C_i              2\n" in capacity_report(regular_polygon(5).W)
    assert capacity_report([[1, 0, 1], [0, 1, 1]]).endswith("no")
