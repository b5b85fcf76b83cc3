"""One linear neuron with correlated features against numeric derivatives, roots and descent."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from scipy.optimize import root

from superposition.features import Anticorrelated, CoActive
from superposition.theory import OPTIMAL, r, s
from superposition.theory.linear import (
    linear_critical_points,
    linear_loss,
    one_neuron_critical_points,
    one_neuron_stationarity,
    weighted_pca_loss,
)
from superposition.values import ValueDistribution

F = Fraction
CASES: dict[str, dict[str, Any]] = {
    "co-active": {"density": F(1, 2), "importance": (1, F(1, 2)), "features": CoActive()},
    "co-active, dense": {"density": F(99, 100), "importance": (1, 3), "features": CoActive()},
    "anticorrelated": {"density": [F(1, 2), F(1, 3)], "importance": (1, 2),
                       "features": Anticorrelated([(0, 1)])},
    "sparse and uneven": {"density": F(1, 100), "importance": (1, F(1, 10)),
                          "features": CoActive()},
    "ramp": {"density": F(1, 5), "importance": (3, 2),
             "features": CoActive(ValueDistribution([0, 2]))},
    "two minima": {"density": (1, F(1, 10)), "importance": (1, 5)},
    "independent": {"density": F(1, 2), "importance": (1, 2)},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_points_are_all_critical_points(name: str) -> None:
    """Derivatives of the closed form of the loss; every root that Newton finds is on the list."""
    arguments = CASES[name]
    points = one_neuron_critical_points(**arguments)
    w = sympy.symbols("w_1 w_2", real=True)
    loss = linear_loss([list(w)], OPTIMAL, **arguments)
    gradient = [sympy.diff(loss, x) for x in w]
    slope = sympy.lambdify([w], gradient)
    hessian = sympy.lambdify([w], sympy.hessian(loss, w))
    value = sympy.lambdify([w], loss)
    known = []
    for point in points:
        W = np.array([float(x) for x in point.W])
        assert np.abs(slope(W)).max() < 1e-13
        assert float(point.loss) == pytest.approx(value(W), abs=1e-14)
        assert (np.linalg.eigvalsh(hessian(W)) < 0).sum() == point.index
        known += [W, -W]
    rng = np.random.default_rng(0)
    for start in rng.normal(size=(60, 2)):
        found = root(slope, start, jac=hessian, tol=1e-13)
        if found.success:
            assert min(np.abs(found.x - W).max() for W in known) < 1e-7
    losses = [float(point.loss) for point in points]
    assert losses == sorted(losses)
    assert points[0].index == 0


@pytest.mark.parametrize("density", [F(1, 10), F(1, 2), F(9, 10)], ids=str)
def test_equal_importance_agrees_with_eigenvectors(density: Any) -> None:
    points = one_neuron_critical_points(density=density, features=CoActive())
    both, difference, none = linear_critical_points(2, 1, density=density, features=CoActive())
    assert [point.loss for point in points] == [both.loss, difference.loss, none.loss]
    assert [point.index for point in points] == [both.index(), difference.index(), none.index()]
    assert points[0].loss == sympy.sympify(density) / 12  # what values vary within a pair


def test_tied_weights_miss_weighted_pca_exactly() -> None:
    """The counterexample is settled without a float: a polynomial without roots."""
    arguments: dict[str, Any] = {
        "density": F(1, 2),
        "importance": (1, F(1, 2)),
        "features": CoActive(),
    }
    bound = weighted_pca_loss(2, 1, **arguments)
    loss = one_neuron_critical_points(**arguments)[0].loss
    # At the best length a direction t costs tr(D C) − N²/(A B): a polynomial that is positive
    # everywhere shows that all cost more than a number above the bound.
    t = sympy.Symbol("t", real=True)
    C = sympy.Matrix([[F(5, 48), F(1, 16)], [F(1, 16), F(5, 48)]])
    D = sympy.diag(1, F(1, 2))
    x = sympy.Matrix([1, t])
    N, A, B = (x.T * M * x for M in ((D * C + C * D) / 2, D, C))
    least = sympy.Rational(298, 10_000)
    gap = sympy.Poly(sympy.expand((sympy.trace(D * C) - least) * A[0] * B[0] - N[0] ** 2), t)
    assert gap.count_roots() == 0
    assert gap.eval(0) > 0
    assert bound < least < loss


def test_stationarity_is_the_derivative() -> None:
    polynomial = one_neuron_stationarity(importance=(1, r), features=CoActive())
    t = polynomial.gen
    angle = sympy.atan(t)
    rho = sympy.Symbol("rho", positive=True)
    loss = linear_loss(
        [[rho * sympy.cos(angle), rho * sympy.sin(angle)]],
        OPTIMAL, importance=(1, r), features=CoActive(),
    )  # fmt: skip
    at = {s: F(1, 3), r: F(3, 4), t: F(2, 5)}
    at = {symbol: sympy.sympify(value) for symbol, value in at.items()}
    in_rho = sympy.Poly(loss.subs({s: at[s], r: at[r]}), rho)
    best = -(in_rho.coeff_monomial(rho**2) ** 2) / (4 * in_rho.coeff_monomial(rho**4))
    slope = sympy.diff(best, t).subs(t, at[t])
    assert sympy.sign(slope.evalf()) == -sympy.sign(polynomial.as_expr().subs(at))
    critical = one_neuron_critical_points(
        density=at[s], importance=(1, at[r]), features=CoActive()
    )[0]
    ratio = critical.W[1] / critical.W[0]
    assert abs(sympy.diff(best, t).subs(t, ratio.evalf(30)).evalf()) < 1e-13


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"density": s}, "rational numbers"),
        ({"density": F(1, 2)}, "circle"),
        ({"density": F(1, 2), "importance": (1, 0)}, "positive"),
        ({"density": F(1, 2), "importance": (1, 1, 1)}, "2 values"),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        one_neuron_critical_points(**arguments)
