"""Optimal biases against an independent fine minimization and closed forms."""

from fractions import Fraction
from typing import Any

import mpmath
import pytest
import sympy

from superposition.theory import (
    OPTIMAL,
    UnsolvedBiasError,
    expected_loss,
    optimal_bias,
    regular_polygon,
    regular_simplex,
    s,
)

F = Fraction


def fine_minimum(W: Any, output: int, density: Any) -> tuple[float, float]:
    """Return bias and loss of one output by a grid and golden sections on given-bias losses."""
    n = len(W[0])
    importance = [int(i == output) for i in range(n)]

    def loss(bias: Any) -> Any:
        b = [0] * n
        b[output] = sympy.Rational(float(bias))
        value = expected_loss(W, b, density=density, importance=importance)
        return mpmath.mpf(value.p) / value.q

    grid = [mpmath.mpf(k) / 32 for k in range(-96, 49)]
    best = min(grid, key=loss)
    lower, upper = best - mpmath.mpf(1) / 32, best + mpmath.mpf(1) / 32
    ratio = (mpmath.sqrt(5) - 1) / 2
    for _ in range(45):
        left, right = upper - ratio * (upper - lower), lower + ratio * (upper - lower)
        lower, upper = (lower, right) if loss(left) <= loss(right) else (left, upper)
    return float(lower), float(loss(lower))


@pytest.mark.parametrize("density", [F(1, 10), F(1, 2), F(9, 10), 1], ids=str)
@pytest.mark.parametrize(
    "W",
    [
        [[1, -1]],
        [[1, 1]],
        [[F(1, 2), F(3, 2)]],
        [[F(1, 3), 2]],
        [[F(3, 4), F(-1, 2)]],
        [[0, 1]],
    ],
    ids=str,
)
def test_numeric_density_against_fine_minimization(W: Any, density: Any) -> None:
    exact = optimal_bias(W, 0, density=density)
    bias, loss = fine_minimum(W, 0, density)
    # Floats hold the loss to 1e−16; around a minimum of curvature one that leaves 1e−8 in β.
    assert float(exact.loss) == pytest.approx(loss, abs=1e-15)
    assert float(exact.bias) == pytest.approx(bias, abs=1e-7)


def test_dropped_feature_is_reconstructed_by_its_mean() -> None:
    optimum = optimal_bias([[1, 0]], 1)
    assert optimum.bias == s / 2
    assert sympy.expand(optimum.loss - (s / 3 - s**2 / 4)) == 0


def test_output_that_is_always_active_has_the_bias_of_least_squares() -> None:
    W = [[F(1, 2), F(1, 2)]]
    assert sympy.expand(optimal_bias(W, 0).bias - s * (1 - F(1, 4) - F(1, 4)) / 2) == 0


def test_regimes_of_the_density_end_where_the_losses_cross() -> None:
    optimum = optimal_bias([[F(1, 2), F(3, 2)]], 0)
    first, second = optimum.regimes
    end = first.density_range.end
    assert second.density_range == sympy.Interval(end, 1)
    assert abs((first.loss - second.loss).subs(s, end).evalf(40)) < 1e-30
    for density in (F(1, 20), F(1, 5), F(6, 25), F(1, 4), F(1, 2), F(19, 20)):
        numeric = optimal_bias([[F(1, 2), F(3, 2)]], 0, density=density)
        symbolic = optimum.bias.subs(s, sympy.Rational(density))
        assert abs((numeric.bias - symbolic).evalf(30)) < 1e-25
        difference = numeric.loss - optimum.loss.subs(s, sympy.Rational(density))
        assert abs(difference.evalf(30)) < 1e-25


def test_output_that_is_better_dead() -> None:
    """With ‖W_i‖ = 2 reading x_i back as 4x_i costs more than the mean square of x_i may save."""
    optimum = optimal_bias([[2]], 0)
    x, beta = sympy.symbols("x beta")
    by_hand = s * sympy.integrate((x - (4 * x + beta)) ** 2, (x, -beta / 4, 1))
    by_hand += s * sympy.integrate(x**2, (x, 0, -beta / 4))
    assert sympy.diff(by_hand, beta).subs(beta, optimum.bias).expand() == 0
    assert sympy.expand(by_hand.subs(beta, optimum.bias) - optimum.loss) == 0
    # Ten inputs of coupling 3 against one of 1/100: never worth switching on.
    assert optimal_bias([[F(1, 10), 30]], 0, density=1).loss < sympy.Rational(1, 3)


def test_densities_zero_and_one() -> None:
    assert optimal_bias([[1, 0]], 1, density=0).loss == 0
    assert optimal_bias([[1, 0]], 1, density=1).bias == sympy.Rational(1, 2)


def test_density_may_be_an_expression() -> None:
    sparsity = sympy.Symbol("S", positive=True)
    assert sympy.expand(optimal_bias([[1, 0]], 1, density=1 - sparsity).bias) == (
        sympy.Rational(1, 2) - sparsity / 2
    )


def test_each_feature_may_have_its_own_density() -> None:
    p, q = sympy.symbols("p q", positive=True)
    assert optimal_bias([[1, 0]], 1, density=[p, q]).bias == q / 2
    with pytest.raises(UnsolvedBiasError, match="several densities, p, q"):
        optimal_bias([[1, 1]], 1, density=[p, q])


def test_algebraic_couplings() -> None:
    # W = (1, −1/2, −1/2) has the triangle's couplings to its first output, without roots.
    triangle = optimal_bias(regular_simplex(2).W, 0, density=F(1, 2))
    bias, loss = fine_minimum([[1, F(-1, 2), F(-1, 2)]], 0, F(1, 2))
    assert float(triangle.loss) == pytest.approx(loss, abs=1e-15)
    pentagon = regular_polygon(5)
    optimum = optimal_bias(pentagon.W, 0, density=F(1, 2))
    bias, loss = fine_minimum(pentagon.W_array().tolist(), 0, F(1, 2))
    # The reference has the pentagon's weights rounded to floats.
    assert float(optimum.loss) == pytest.approx(loss, abs=1e-14)
    assert float(optimum.bias) == pytest.approx(bias, abs=1e-7)


def test_unsolved_bias_says_what_was_not_solved() -> None:
    with pytest.raises(UnsolvedBiasError, match=r"output 1 .* degree 3 .* pass a number") as caught:
        expected_loss([[1, -1]], [0, OPTIMAL])
    assert caught.value.output == 1
    w = sympy.Symbol("w", positive=True)
    with pytest.raises(UnsolvedBiasError, match="contain symbols"):
        expected_loss([[w, -w]], OPTIMAL)


def test_unsolved_equation_holds_at_the_numeric_minimizer() -> None:
    with pytest.raises(UnsolvedBiasError) as caught:
        optimal_bias([[1, -1]], 0)
    bias = optimal_bias([[1, -1]], 0, density=F(1, 2)).bias
    assert caught.value.equation is not None
    density, beta = sorted(caught.value.equation.free_symbols, key=str, reverse=True)
    value = caught.value.equation.subs({density: sympy.Rational(1, 2), beta: bias})
    assert abs(value.evalf(30)) < 1e-25


def test_optimal_is_never_worse_than_any_given_bias() -> None:
    optimal = expected_loss([[1, -1]], OPTIMAL, density=F(1, 2))
    for numerator in range(-4, 5):
        given = expected_loss([[1, -1]], [F(numerator, 16)] * 2, density=F(1, 2))
        assert optimal < given


@pytest.mark.parametrize("output", [2, -1, 0.5, True])
def test_output_must_be_a_feature(output: Any) -> None:
    with pytest.raises(ValueError, match=r"output must be a feature 0, …, 1"):
        optimal_bias([[1, 0]], output)
