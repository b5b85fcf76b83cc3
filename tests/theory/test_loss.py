"""The expected loss against independent routes: quadrature, sampling, limits, symmetries."""

from fractions import Fraction
from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings, strategies as st

from superposition.theory import (
    OPTIMAL,
    UndecidedSignError,
    derive_loss,
    expected_loss,
    lam,
    r,
    regular_polygon,
    regular_simplex,
    s,
)

F = Fraction
HALF = F(1, 2)
DIGITS = 30


# --- the closed forms of the sources ---------------------------------------------------------


def test_closed_forms_of_the_theory_notebook() -> None:
    pair = expected_loss([[1, -1]], importance=(1, r))
    assert sympy.expand(pair - (1 + r) * s**2 / 6) == 0
    dropped = expected_loss([[1, 0]], [0, OPTIMAL], importance=(1, r))
    assert sympy.expand(dropped - r * (s / 3 - s**2 / 4)) == 0
    assert expected_loss([[1, -1]]) == s**2 / 3


def test_equations_2_and_3_of_the_replication_have_swapped_labels() -> None:
    """Roe's (2) gives s/3 − s²/4 to [1, 0] and (3) gives r(s/3 − s²/4) to [0, 1].

    With importances (1, r) the feature that [1, 0] drops is the one of importance r.
    """
    roe_1_0 = s / 3 - s**2 / 4
    roe_0_1 = r * (s / 3 - s**2 / 4)
    derived_1_0 = expected_loss([[1, 0]], [0, OPTIMAL], importance=(1, r))
    derived_0_1 = expected_loss([[0, 1]], [OPTIMAL, 0], importance=(1, r))
    assert sympy.expand(derived_1_0 - roe_1_0) != 0
    assert sympy.expand(derived_1_0 - roe_0_1) == 0
    assert sympy.expand(derived_0_1 - roe_1_0) == 0


def test_counterexample_to_the_open_problem_49_is_certified_in_exact_arithmetic() -> None:
    loss = expected_loss([[F(31, 32), F(-31, 32)]], [F(1, 10)] * 2, density=HALF)
    assert loss.is_Rational
    v = sympy.Rational(1, 6) - sympy.Rational(1, 16)
    conjectured = min(v, sympy.Rational(1, 12))  # min{(n−m)v, ms²/3 + (n−2m)v} at n = 2, m = 1
    assert loss < conjectured


# --- quadrature of the definition ------------------------------------------------------------


def box_integral(couplings: list[Any], own: int | None, target: bool, bias: Any) -> Any:
    """Return ∫_{[0,1]^k} (t − (g·x + β)₊)², t = x_own or an x outside g if only `target`.

    Each level is split where a kink may enter or leave the levels inside it, and a Gauss rule
    of six nodes is exact for the polynomials between, of degree at most k + 2 ≤ 5.
    """

    def level(depth: int, shift: Any, x_own: Any) -> Any:
        if depth == len(couplings):
            rectified = max(shift, mpmath.mpf(0))
            if target and own is None:
                return mpmath.mpf(1) / 3 - rectified + rectified**2
            return (x_own - rectified) ** 2
        g = couplings[depth]
        rest = couplings[depth + 1 :]
        inner = [sum(choice) for choice in product(*((0, h) for h in rest))]
        kinks = {-(shift + value) / g for value in inner}
        splits = [0, *sorted(kink for kink in kinks if 0 < kink < 1), 1]
        return mpmath.quad(
            lambda x: level(depth + 1, shift + g * x, x if depth == own else x_own),
            splits,
            method="gauss-legendre",
            maxdegree=2,
        )

    return level(0, mpmath.mpf(bias), mpmath.mpf(0))


def quadrature_loss(W: Any, b: Any, density: Any) -> Any:
    weights = mpmath.matrix([[mpmath.mpf(F(e).numerator) / F(e).denominator for e in q] for q in W])
    gram = weights.T * weights
    n = len(b)
    total = mpmath.mpf(0)
    for i in range(n):
        for on in product((False, True), repeat=n):
            weight = mpmath.mpf(1)
            for j in range(n):
                p = mpmath.mpf(F(density[j]).numerator) / F(density[j]).denominator
                weight *= p if on[j] else 1 - p
            active = [j for j in range(n) if on[j] and gram[i, j] != 0]
            own = active.index(i) if i in active else None
            bias = mpmath.mpf(F(b[i]).numerator) / F(b[i]).denominator
            couplings = [gram[i, j] for j in active]
            total += weight * box_integral(couplings, own, on[i], bias)
    return total


QUADRATURE_CASES = {
    "antipodal": ([[1, -1]], [0, 0], [HALF, HALF]),
    "unequal pair, positive biases": ([[1, F(-3, 4)]], [F(1, 10), F(1, 5)], [F(1, 3), F(3, 4)]),
    "same sign, negative biases": ([[F(4, 5), F(3, 5)]], [F(-1, 4), F(-1, 3)], [HALF, F(1, 5)]),
    "dropped feature": ([[F(3, 2), 0]], [F(-1, 8), F(1, 8)], [F(2, 3), F(2, 3)]),
    "dead outputs": ([[1, -1]], [-2, -3], [HALF, HALF]),
    "tiny coupling": ([[1, F(1, 10**6)]], [F(-1, 10), F(1, 10)], [HALF, HALF]),
    "always active": ([[F(1, 2), F(1, 2)]], [1, 2], [HALF, HALF]),
    "three in two": (
        [[1, F(-1, 2), F(-1, 3)], [0, F(3, 4), F(-4, 5)]],
        [F(1, 10), F(-1, 10), 0],
        [HALF, F(1, 4), F(9, 10)],
    ),
    "three in one, kinks in the box": (
        [[1, F(-1, 2), F(-1, 3)]],
        [F(1, 20), F(1, 7), F(-1, 9)],
        [F(3, 10)] * 3,
    ),
}


@pytest.mark.parametrize("case", QUADRATURE_CASES.values(), ids=QUADRATURE_CASES.keys())
def test_quadrature_of_the_definition(case: Any) -> None:
    W, b, density = case
    exact = expected_loss(W, b, density=density)
    with mpmath.workdps(DIGITS):
        reference = quadrature_loss(W, b, density)
        ours = mpmath.mpf(exact.p) / exact.q
        # The rule is exact, so that only rounding is left: some 10³ operations at 30 digits.
        # Dividing by a coupling of 1e−12 to place a kink costs up to 12 of them.
        assert abs(ours - reference) < mpmath.mpf(10) ** -17


# --- sampling --------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize(("m", "n"), [(1, 2), (2, 3), (2, 5), (3, 6)])
def test_sampling_with_error_bars(activation: str, m: int, n: int) -> None:
    rng = np.random.default_rng([m, n])
    W = rng.integers(-4, 5, (m, n)) / 4
    b = rng.integers(-4, 5, n) / 8
    density = rng.integers(1, 8, n) / 8
    importance = rng.integers(1, 8, n) / 4
    exact = expected_loss(W, b, density=density, importance=importance, activation=activation)
    x = rng.random((400_000, n)) * (rng.random((400_000, n)) < density)
    z = x @ (W.T @ W) + b
    errors = ((x - (np.maximum(z, 0) if activation == "relu" else z)) ** 2) @ importance
    standard_error = errors.std() / np.sqrt(len(errors))
    # Five standard errors: a right formula fails one test in two million.
    assert abs(errors.mean() - float(exact)) < 5 * standard_error


# --- linear activation against moments -------------------------------------------------------


def moment_loss(W: Any, b: Any, density: Any) -> sympy.Expr:
    """Return Σ_i bias_i² + Σ_ij (δ_ij − G_ij)² Var x_j from means and variances alone."""
    gram = sympy.Matrix(W).T * sympy.Matrix(W)
    n = gram.shape[0]
    mean = [p / 2 for p in density]
    variance = [p / 3 - p**2 / 4 for p in density]
    total = sympy.S.Zero
    for i in range(n):
        total += (b[i] + sum(gram[i, j] * mean[j] for j in range(n)) - mean[i]) ** 2
        total += sum((int(i == j) - gram[i, j]) ** 2 * variance[j] for j in range(n))
    return total


def test_linear_activation_is_the_moment_formula_in_symbols() -> None:
    w1, w2, b1, b2 = sympy.symbols("w1 w2 b1 b2", real=True)
    p, q = sympy.symbols("p q", positive=True)
    ours = expected_loss([[w1, w2]], [b1, b2], density=[p, q], activation="linear")
    assert sympy.expand(ours - moment_loss([[w1, w2]], [b1, b2], [p, q])) == 0


def test_linear_activation_optimal_bias_restores_the_means() -> None:
    W = [[1, HALF, -HALF], [0, 1, 1]]
    ours = expected_loss(W, OPTIMAL, activation="linear")
    b = [s / 2 - sum(g * s / 2 for g in row) for row in _gram(W)]
    assert sympy.expand(ours - moment_loss(W, b, [s] * 3)) == 0


def _gram(W: Any) -> list[list[Any]]:
    gram: list[list[Any]] = (sympy.Matrix(W).T * sympy.Matrix(W)).tolist()
    return gram


# --- limits ----------------------------------------------------------------------------------


def test_sparse_limit_is_the_loss_of_lone_features() -> None:
    """For s → 0 the loss is s · Σ_i Σ_j of the errors with x_j alone on, if b = 0."""
    W = [[1, F(-1, 2), F(1, 3)], [0, F(3, 4), F(2, 3)]]
    gram = _gram(W)
    lone = sympy.S.Zero
    for i, j in product(range(3), repeat=2):
        g = max(gram[i][j], sympy.S.Zero)
        lone += ((int(i == j)) - g) ** 2 / sympy.Integer(3)
    assert sympy.diff(expected_loss(W), s).subs(s, 0) == lone
    assert expected_loss(W).subs(s, 0) == 0


def test_dense_limit_has_one_active_set() -> None:
    model = derive_loss([[1, F(-1, 2)]], [F(1, 4), 0])
    for output in model.outputs:
        (all_on,) = [term.loss for term in output.terms if len(term.active) == 2]
        assert output.loss.subs(s, 1) == all_on


def test_density_zero_and_one_as_numbers() -> None:
    assert expected_loss([[1, -1]], density=0) == 0
    assert expected_loss([[1, -1]], density=1) == sympy.Rational(1, 3)


# --- symmetries ------------------------------------------------------------------------------

quarters = st.integers(-6, 6).map(lambda k: F(k, 4))
hypothesis_settings = settings(max_examples=15, derandomize=True, deadline=None)


def matrices(m: int, n: int) -> Any:
    return st.lists(st.lists(quarters, min_size=n, max_size=n), min_size=m, max_size=m)


def biases(n: int) -> Any:
    return st.lists(quarters, min_size=n, max_size=n)


@hypothesis_settings
@given(W=matrices(2, 3), b=biases(3), order=st.permutations(range(3)))
def test_permuting_the_features_permutes_nothing_else(W: Any, b: Any, order: Any) -> None:
    density = sympy.symbols("p:3", positive=True)
    importance = sympy.symbols("i:3", positive=True)
    one = expected_loss(W, b, density=density, importance=importance)
    other = expected_loss(
        [[row[j] for j in order] for row in W],
        [b[j] for j in order],
        density=[density[j] for j in order],
        importance=[importance[j] for j in order],
    )
    assert sympy.expand(one - other) == 0


@hypothesis_settings
@given(W=matrices(2, 3), b=biases(3), activation=st.sampled_from(["relu", "linear"]))
def test_rotating_the_hidden_space_changes_nothing(W: Any, b: Any, activation: str) -> None:
    Q = sympy.Matrix([[F(3, 5), F(-4, 5)], [F(4, 5), F(3, 5)]])
    one = expected_loss(W, b, activation=activation, penalty=lam)
    assert one == expected_loss(Q * sympy.Matrix(W), b, activation=activation, penalty=lam)


@hypothesis_settings
@given(W=matrices(2, 2), b=biases(2), signs=st.tuples(*[st.sampled_from([-1, 1])] * 2))
def test_reflecting_a_hidden_dimension_changes_nothing(W: Any, b: Any, signs: Any) -> None:
    reflected = [[sign * entry for entry in row] for sign, row in zip(signs, W, strict=True)]
    assert expected_loss(W, b) == expected_loss(reflected, b)


@hypothesis_settings
@given(W=matrices(1, 3), b=biases(3), density=st.integers(0, 8).map(lambda k: F(k, 8)))
def test_a_number_for_the_density_is_the_polynomial_there(W: Any, b: Any, density: Any) -> None:
    assert expected_loss(W, b, density=density) == expected_loss(W, b).subs(s, density)


@hypothesis_settings
@given(W=matrices(2, 3), b=biases(3))
def test_loss_is_positive_and_vanishes_only_when_nothing_is_on(W: Any, b: Any) -> None:
    loss = expected_loss(W, b, density=HALF)
    assert loss > 0  # two dimensions cannot hold three features exactly


# --- exact input -----------------------------------------------------------------------------


def test_floats_are_the_rationals_they_store() -> None:
    W, b = [[0.75, -0.1]], [0.3, 0]
    exact = [[F(0.75), F(-0.1)]]
    assert expected_loss(W, b) == expected_loss(exact, [F(0.3), 0])
    assert expected_loss(np.array(W), np.array(b)) == expected_loss(W, b)
    assert expected_loss([[1.0, -1.0]], density=0.5) == sympy.Rational(1, 12)
    assert expected_loss(sympy.Matrix([[1.0, -1.0]])) == s**2 / 3


def test_algebraic_weights_stay_exact() -> None:
    root = sympy.sqrt(2)
    assert expected_loss([[1 / root, -1 / root], [1 / root, 1 / root]]) == 0
    triangle = expected_loss(regular_simplex(2).W)
    assert triangle == s**3 / 8 + 3 * s**2 / 8
    assert sympy.expand(expected_loss(regular_polygon(3).W) - triangle) == 0


def test_pentagon_is_a_polynomial_over_the_golden_field_and_agrees_with_floats() -> None:
    pentagon = regular_polygon(5)
    exact = expected_loss(pentagon.W)
    assert sympy.Poly(exact, s, extension=True).domain == sympy.QQ.algebraic_field(sympy.sqrt(5))
    floats = expected_loss(pentagon.W_array(), density=0.75)
    # The weights are rounded to 2^−53, and the loss has derivatives of order one in 20 couplings.
    assert abs(float(exact.subs(s, 0.75)) - float(floats)) < 1e-14


def test_penalty_is_the_sum_over_ordered_pairs() -> None:
    w = sympy.Symbol("w", positive=True)
    assert expected_loss([[1, -1]], penalty=lam) == s**2 / 3 + 2 * lam
    with_penalty = expected_loss([[w, -w]], penalty=1)
    assert sympy.expand(with_penalty - expected_loss([[w, -w]])) == 2 * w**4


# --- symbols in W and b ----------------------------------------------------------------------


def test_symbols_with_assumptions_give_the_loss_of_the_chamber() -> None:
    w, v = sympy.symbols("w v", positive=True)
    loss = expected_loss([[w, -w - v]])
    numbers = {w: F(3, 4), v: F(1, 2)}
    assert loss.subs(numbers).expand() == expected_loss([[F(3, 4), F(-5, 4)]])
    with pytest.raises(UndecidedSignError, match=r"w\*\*2 - 1 is undecided"):
        expected_loss([[w, 0]], [-1, 0])


def test_sample_picks_the_chamber() -> None:
    w, c = sympy.symbols("w c")
    loss = expected_loss([[1, w]], [c, 0], sample={w: F(-1, 2), c: F(1, 10)})
    there = {w: F(-1, 3), c: F(1, 20)}  # another point of the same chamber
    assert loss.subs(there).expand() == expected_loss([[1, F(-1, 3)]], [F(1, 20), 0])


def test_weights_may_be_functions_of_a_symbol() -> None:
    angle = sympy.Symbol("angle", real=True)
    W = [[sympy.cos(angle), sympy.sqrt(2) * sympy.sin(angle)]]
    loss = expected_loss(W, sample={angle: 1})
    at = {angle: sympy.pi / 3}
    assert sympy.expand(loss.subs(at) - expected_loss([[w.subs(at) for w in W[0]]])) == 0


def test_biases_may_contain_the_density() -> None:
    loss = expected_loss([[1, 0]], [0, s / 2])
    assert sympy.expand(loss - (s / 3 - s**2 / 4)) == 0
    # 1 − s ≥ 0 follows from the range of the density, not from SymPy's assumptions.
    assert sympy.expand(expected_loss([[1, 0]], [0, 1 - s])).subs(s, 1) == sympy.Rational(1, 3)


def test_undecided_sign_names_the_expression() -> None:
    w = sympy.Symbol("w")
    with pytest.raises(UndecidedSignError, match="the sign of w is undecided") as caught:
        expected_loss([[1, w]])
    assert caught.value.expression == w
    with pytest.raises(UndecidedSignError, match="where it is zero"):
        expected_loss([[1, w]], sample={w: 0})


# --- bad input -------------------------------------------------------------------------------

BAD_INPUT: list[tuple[Any, dict[str, Any], str]] = [
    ([[1, 0], [1]], {}, "rows of lengths 2, 1"),
    ([1, -1], {}, r"shape \(n_hidden, n_features\)"),
    ([], {}, "at least one row"),
    ([["1", "x"]], {}, "must be a number or a SymPy expression, got '1'"),
    ([[1, float("nan")]], {}, r"W\[0, 1\] must be finite and real, got nan"),
    ([[1, sympy.I]], {}, "must be finite and real"),
    ([[1, 0]], {"b": [0]}, "b must have n_features = 2 entries"),
    ([[1, 0]], {"b": 0}, "b must have n_features = 2 entries"),
    ([[1, 0]], {"density": 1.5}, r"must lie in \[0, 1\], got 3/2"),
    ([[1, 0]], {"density": [0.5, -0.5]}, r"must lie in \[0, 1\], got -1/2"),
    ([[1, 0]], {"density": [0.5] * 3}, "one value or n_features = 2 values, got 3"),
    ([[1, 0]], {"importance": -1}, "at least 0, got -1"),
    ([[1, 0]], {"importance": [1, float("inf")]}, r"importance\[1\] must be finite"),
    ([[1, 0]], {"activation": "gelu"}, "relu, linear, got 'gelu'"),
    ([[1, 0]], {"penalty": -1}, "penalty must be finite and at least 0"),
    ([[1, 0]], {"features": "correlated"}, "feature distribution"),
]


@pytest.mark.parametrize(("W", "options", "message"), BAD_INPUT)
def test_bad_input_is_refused_with_a_reason(W: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expected_loss(W, **options)
