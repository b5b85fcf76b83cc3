"""Families: chambers against the exact loss, minima against the other package's descent."""

from fractions import Fraction
from random import Random
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy

from superposition.numerics import global_minimum, population_loss
from superposition.theory import OPTIMAL, expected_loss, r, s
from superposition.theory.landscape.certified_roots import UncertifiedRootError
from superposition.theory.landscape.families import (
    Family,
    antipodal_family,
    isosceles_family,
    polygon_family,
    symmetric_pair_family,
)

a, c = sympy.symbols("a c", positive=True)
p, q = sympy.symbols("p q", real=True)
Q = sympy.Rational
NEAR = {a: Q(9, 10), c: Q(4, 5), p: Q(1, 10), q: Q(1, 10)}
PAIR = antipodal_family()


def quadrature(W: Any, b: Any, density: Any, importance: Any) -> Any:
    """E Σ I_i (x_i − x̂_i)² of a (2, 1) model from the definition, with mpmath in 20 digits."""
    with mpmath.workdps(20):
        w, shift = [mpmath.mpf(x.p) / x.q for x in W], [mpmath.mpf(x.p) / x.q for x in b]

        def error(x: Any) -> Any:
            hidden = sum(wi * xi for wi, xi in zip(w, x, strict=True))
            return sum(
                importance[i] * (x[i] - max(w[i] * hidden + shift[i], 0)) ** 2 for i in range(2)
            )

        def inner(x0: Any, fixed: Any) -> Any:
            # split where a pre-activation changes its sign
            kinks = [(-shift[i] / w[i] - w[0] * x0) / w[1] for i in range(2)]
            nodes = sorted({0, 1, *(k for k in kinks if 0 < k < 1)})
            return mpmath.quad(lambda x1: error((x0, x1)), nodes)

        outer = [-(shift[i] / w[i] + w[1] * v) / w[0] for i in range(2) for v in (0, 1)]
        nodes = sorted({0, 1, *(k for k in outer if 0 < k < 1)})
        both = mpmath.quad(lambda x0: inner(x0, None), nodes)
        first = mpmath.quad(lambda x0: error((x0, 0)), nodes)
        kinks = [-shift[i] / w[i] / w[1] for i in range(2)]
        second = mpmath.quad(
            lambda x1: error((0, x1)), sorted({0, 1, *(k for k in kinks if 0 < k < 1)})
        )
        d = mpmath.mpf(density.p) / density.q
        single = d * (1 - d) * (first + second)
        return d**2 * both + single + (1 - d) ** 2 * error((0, 0))


def test_loss_of_a_chamber_is_the_definition_by_quadrature() -> None:
    chamber = PAIR.chamber(NEAR, density=Q(1, 3), importance=(1, Q(3, 4)))
    point = {a: Q(19, 20), c: Q(17, 20), p: Q(1, 12), q: Q(1, 9)}
    assert chamber.contains(point)
    exact = chamber.loss.subs(point)
    measured = quadrature((point[a], -point[c]), (point[p], point[q]), Q(1, 3), (1, 0.75))
    assert abs(float(exact) - float(measured)) < 1e-12


def test_loss_holds_at_every_point_of_the_chamber_and_only_there() -> None:
    # Oracle: exact rational arithmetic of expected_loss without symbols.
    random = Random(3)
    chamber = PAIR.chamber(NEAR, density=Q(1, 2), importance=(1, 2))
    inside = outside = 0
    for _ in range(60):
        point = {
            a: Q(random.randint(40, 120), 97),
            c: Q(random.randint(20, 120), 97),
            p: Q(random.randint(-20, 40), 97),
            q: Q(random.randint(-20, 40), 97),
        }
        exact = expected_loss(
            [[point[a], -point[c]]], [point[p], point[q]], density=Q(1, 2), importance=(1, 2)
        )
        same = chamber.loss.subs(point) == exact
        # Corners of tiny measure could in principle agree; none does.
        assert same == chamber.contains(point)
        inside, outside = inside + same, outside + (not same)
    assert inside >= 5
    assert outside >= 5


def test_inequalities_define_the_chamber() -> None:
    random = Random(5)
    chamber = PAIR.chamber(NEAR, density=s, importance=(1, r))
    assert len(chamber.inequalities) < len(chamber.conditions)
    for _ in range(200):
        point = {x: Q(random.randint(1, 99), 97) for x in (a, c)}
        point |= {x: Q(random.randint(-60, 60), 97) for x in (p, q)}
        by_inequalities = all(bool(entry.subs(point)) for entry in chamber.inequalities)
        strictly = all(entry.subs(point) > 0 for entry in chamber.conditions)
        assert by_inequalities == strictly


def test_gradient_and_hessian_are_differences_of_the_exact_loss() -> None:
    chamber = PAIR.chamber(NEAR, density=Q(1, 2), importance=(1, Q(3, 4)))
    step = Q(1, 10**6)
    for i, x in enumerate(PAIR.parameters):
        shifted = [{**NEAR, x: NEAR[x] + k * step} for k in (-1, 0, 1)]
        low, middle, high = (chamber.loss.subs(point) for point in shifted)
        assert abs(float((high - low) / (2 * step) - chamber.gradient[i].subs(NEAR))) < 1e-9
        second = (high - 2 * middle + low) / step**2
        assert abs(float(second - chamber.hessian[i, i].subs(NEAR))) < 1e-9


def test_stationarity_vanishes_where_the_gradient_does() -> None:
    found = PAIR.minimum(density=Q(1, 2), importance=(1, Q(4, 5)), start=NEAR)
    for entry in found.chamber.gradient:
        assert found.root.enclose(entry)[0].sign in (0, None)  # the enclosure holds zero
        assert abs(float(found.root.enclose(entry)[0])) < 1e-28


def test_chambers_met_by_samples_are_distinct() -> None:
    samples = [NEAR, {**NEAR, a: Q(91, 100)}, {**NEAR, p: Q(-1, 10)}]
    found = PAIR.chambers(samples, density=Q(1, 2))
    assert len(found) == 2
    assert found[0].contains(samples[1])
    assert not found[0].contains(samples[2])


def test_the_loss_is_continuous_across_a_wall_and_so_is_its_gradient() -> None:
    wall = {**NEAR, p: Q(0)}
    sides = PAIR.chambers([NEAR, {**NEAR, p: Q(-1, 20)}], density=Q(2, 5))
    assert all(side.contains(wall) for side in sides)
    losses = {side.loss.subs(wall) for side in sides}
    assert len(losses) == 1
    first, second = ([entry.subs(wall) for entry in side.gradient] for side in sides)
    assert first == second


@pytest.mark.parametrize(("density", "importance"), [(0.3, 1.0), (0.6, 0.9)])
def test_minimum_is_the_one_that_descent_finds(density: Any, importance: Any) -> None:
    best = global_minimum(2, 1, density=density, importance=[1, importance], starts=32)
    weights = np.abs(best.W[0])
    found = PAIR.minimum(
        density=Q(density),
        importance=(1, Q(importance)),
        start=dict(zip(PAIR.parameters, (*weights, *best.b), strict=True)),
    )
    assert abs(float(found.loss) - best.loss) < 1e-12
    # Descent stops at a gradient of about 1e-8, and the Hessian's eigenvalues are about 0.1.
    np.testing.assert_allclose([float(found.W[0][0]), -float(found.W[0][1])], weights, atol=1e-5)
    np.testing.assert_allclose([float(x) for x in found.b], best.b, atol=1e-5)
    exact = population_loss(
        [[float(x) for x in row] for row in found.W],
        [float(x) for x in found.b],
        density=density,
        importance=[1, importance],
    )
    assert abs(float(exact) - float(found.loss)) < 1e-14


def test_search_without_a_start_finds_the_lowest_opposed_minimum() -> None:
    best = global_minimum(2, 1, density=0.5, importance=[1, 1], starts=32)
    found = PAIR.minimum(density=Q(1, 2), starts=4)
    assert abs(float(found.loss) - best.loss) < 1e-12
    again = PAIR.minimum(density=Q(1, 2), starts=4)
    assert again.root == found.root  # seeded


def test_elimination_of_the_symmetric_pair() -> None:
    found = symmetric_pair_family().minimum(density=Q(1, 2), start={a: 0.95, p: 0.1})
    polynomial = found.chamber.elimination(a)
    bias = found.chamber.elimination(p)
    # Its root is enclosed, and the four-parameter family has the same minimum.
    factors = [f for f, _ in polynomial.factor_list()[1]]
    roots = [x for f in factors for x in f.real_roots() if x in found.parameters[a]]
    assert len(roots) == 1
    assert any(x in found.parameters[p] for f, _ in bias.factor_list()[1] for x in f.real_roots())
    full = PAIR.minimum(density=Q(1, 2), start=NEAR)
    assert abs(full.parameters[a].midpoint - found.parameters[a].midpoint) < Q(1, 10**28)
    assert abs(full.loss.midpoint - found.loss.midpoint) < Q(1, 10**28)


def test_one_parameter_is_solved_as_an_algebraic_number() -> None:
    family = Family("unit pair", [[1, -1]], [p, p])
    found = family.minimum(density=Q(1, 2), start={p: 0.1})
    assert found.exact is not None
    value = found.exact[p]
    assert value in found.parameters[p]
    assert found.chamber.gradient[0].subs(p, value).equals(0)
    # Oracle: the optimal bias of the fixed weights, derived by another route.
    loss = expected_loss([[1, -1]], OPTIMAL, density=Q(1, 2))
    assert abs(float(loss) - float(found.loss)) < 1e-14
    assert PAIR.minimum(density=Q(1, 2), start=NEAR).exact is None


@pytest.mark.parametrize("corners", [3, 5])
def test_polygon_of_free_radius_and_bias(corners: Any) -> None:
    family = polygon_family(corners)
    radius, bias = family.parameters
    start = {radius: 1.03, bias: {3: 0.01, 5: -0.13}[corners]}
    found = family.minimum(density=Q(1, 5), start=start, digits=20)
    angles = 2 * np.pi * np.arange(corners) / corners
    W = float(found.parameters[radius]) * np.array([np.cos(angles), np.sin(angles)])
    b = [float(found.parameters[bias])] * corners
    exact = population_loss(W, b, density=0.2, importance=[1] * corners)
    assert abs(float(exact) - float(found.loss)) < 1e-14


def test_isosceles_minimum_against_descent() -> None:
    family = isosceles_family()
    start = dict(zip(family.parameters, (0.82, 0.28, 1.0, 0.28, 0.13), strict=True))
    found = family.minimum(density=Q(3, 5), importance=(1, 1, Q(6, 5)), start=start, digits=15)
    best = global_minimum(3, 2, density=0.6, importance=[1, 1, 1.2], starts=48)
    assert abs(float(found.loss) - best.loss) < 1e-12


def test_the_penalty_is_part_of_the_loss() -> None:
    plain = PAIR.chamber(NEAR, density=Q(1, 2))
    taxed = PAIR.chamber(NEAR, density=Q(1, 2), penalty=Q(1, 50))
    assert sympy.simplify(taxed.loss - plain.loss - Q(2, 50) * a**2 * c**2) == 0


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="biases of a family must be expressions"):
        Family("pair", [[a, -c]], OPTIMAL)
    with pytest.raises(ValueError, match="there are none"):
        Family("pair", [[1, -1]])
    with pytest.raises(ValueError, match="the free symbols of W and b, a, c"):
        Family("pair", [[a, -c]], parameters=[a])
    with pytest.raises(ValueError, match="none for p, q"):
        PAIR.chamber({a: 1, c: 1}, density=1)
    with pytest.raises(ValueError, match="got the symbols r, s"):
        PAIR.minimum(density=s, importance=(1, r))
    with pytest.raises(ValueError, match="at least 3 corners"):
        polygon_family(2)
    with pytest.raises(ValueError, match="by the sample"):
        PAIR.chamber({**NEAR, p: 0}, density=1)


def test_a_saddle_is_not_certified_as_a_minimum() -> None:
    # With this penalty the symmetric pair is stationary, and lower when one column shrinks.
    terms: dict[str, Any] = {"density": Q(1, 10), "penalty": Q(1, 40)}
    start = dict(zip(symmetric_pair_family().parameters, (Q(3, 4), Q(1, 40)), strict=True))
    symmetric = symmetric_pair_family().minimum(start=start, **terms)
    weight, bias = (float(x) for x in symmetric.root.enclosures)
    sample = {a: weight, c: weight, p: bias, q: bias}
    chamber = PAIR.chamber(sample, **terms)
    with pytest.raises(UncertifiedRootError, match="Hessian is not proved to be positive definite"):
        chamber.certify([weight, weight, bias, bias])


def test_a_plateau_is_not_certified() -> None:
    with pytest.raises(UncertifiedRootError):
        PAIR.minimum(density=Q(1, 2), start={a: 0.5, c: 0.5, p: -2, q: -2})


def test_floats_are_the_rationals_that_they_store() -> None:
    chamber = PAIR.chamber({a: 0.9, c: 0.8, p: 0.1, q: 0.1}, density=0.5)
    assert dict(chamber.sample)[a] == Q(Fraction(0.9))
