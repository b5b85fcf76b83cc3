"""The interference penalty: closed forms against brute force, exact thresholds against descent."""

from typing import Any

import numpy as np
import pytest
import sympy

from superposition.numerics import descend, global_minimum, population_loss
from superposition.theory import boundaries, candidates, lam, r, s, triple_points
from superposition.theory.landscape.families import symmetric_pair_family
from superposition.theory.landscape.penalty import (
    classical_threshold,
    critical_penalty,
    highest_penalty,
    symmetry_breaking,
)
from superposition.theory.landscape.transitions import Phase, meet, opposed_phase

Q = sympy.Rational
CLASSICAL = classical_threshold()


def test_surface_of_the_register() -> None:
    # MAIS-O51, with 2λ(W₁W₂)² as penalty
    stated = r * (s / 3 - s**2 / 4) / 2 - (1 + r) * s**2 / 12
    assert sympy.expand(CLASSICAL.surface - stated) == 0


def test_classical_losses_cross_on_the_surface() -> None:
    for importance, density in ((0.4, 0.2), (1.0, 0.5), (0.8, 0.1)):
        penalty = float(CLASSICAL.surface.subs({r: importance, s: density}))
        terms: dict[str, Any] = {"density": density, "importance": [1, importance]}
        dropped = population_loss([[1, 0]], [0, density / 2], **terms)
        gaps = [
            float(population_loss([[1, -1]], [0, 0], penalty=x, **terms) - dropped)
            for x in (penalty - 1e-6, penalty, penalty + 1e-6)
        ]
        assert gaps[0] < 0 < gaps[2]
        assert abs(gaps[1]) < 1e-15


def test_maximum_over_densities_and_over_the_plane() -> None:
    densities = np.linspace(0.001, 1, 1000)
    for importance in (0.2, 0.7, 1.0):
        surface = sympy.lambdify((r, s), CLASSICAL.surface)(importance, densities)
        assert abs(surface.max() - float(CLASSICAL.maximum.subs(r, importance))) < 1e-6
        best = float(CLASSICAL.best_density.subs(r, importance))
        assert abs(densities[surface.argmax()] - best) < 1e-3
    assert CLASSICAL.maximum.subs(r, 1) == Q(1, 42)
    assert CLASSICAL.best_density.subs(r, 1) == Q(2, 7)
    assert sympy.factor(sympy.diff(CLASSICAL.maximum, r)).is_positive  # so r = 1 is the highest
    # For r > 1 the mirror image r λ_c(1/r, s) falls: its derivative along r is −s²/12.
    mirrored = sympy.expand(r * CLASSICAL.surface.subs(r, 1 / r))
    assert sympy.expand(sympy.diff(mirrored, r) + s**2 / 12) == 0


def test_triple_points_are_those_of_the_diagram_at_fixed_penalty() -> None:
    for penalty in (Q(0), Q(1, 100), Q(1, 50)):
        exact = {sympy.nsimplify(x.subs(lam, penalty)) for x in CLASSICAL.triple_points} - {0}
        found = triple_points(candidates(2, 1), penalty=penalty)
        assert {point.s for point in found} == exact
        assert all(point.r == 1 for point in found)
    names = {(x.first.name, x.second.name) for x in boundaries(candidates(2, 1), penalty=Q(1, 41))}
    assert names == {("ignore first", "ignore last")}  # no pair above 1/42


def test_boundary_and_least_importance() -> None:
    penalty = Q(1, 100)
    least = CLASSICAL.least_importance.subs(lam, penalty)
    boundary = CLASSICAL.boundary.subs(lam, penalty)
    density = CLASSICAL.best_density.subs(r, least)
    assert abs(float(boundary.subs(s, density) - least)) < 1e-14
    on_grid = sympy.lambdify(s, boundary)(np.linspace(0.05, 0.75, 701))
    assert abs(on_grid.min() - float(least)) < 1e-5


@pytest.mark.parametrize(
    ("importance", "density", "rival"),
    [
        pytest.param(Q(1), Q(2, 7), "dedicated", id="where the classical surface is highest"),
        pytest.param(Q(7, 10), Q(3, 10), "dedicated", id="unequal importances"),
        pytest.param(Q(3, 10), Q(1, 5), "dedicated", id="small importance"),
        pytest.param(Q(9, 10), Q(3, 5), "partial", id="to partial superposition"),
    ],
)
def test_exact_optimum_jumps_at_the_critical_penalty(
    importance: Any, density: Any, rival: Any
) -> None:
    found = critical_penalty(importance, density)
    assert found.points[1].phase.name == rival
    assert found.are_minima
    assert found.kind == "first order"
    critical = float(found.values[lam])
    assert critical > float(CLASSICAL.surface.subs({r: importance, s: density}))
    for side, point in zip((-1e-6, 1e-6), found.points, strict=True):
        best = global_minimum(
            2,
            1,
            density=float(density),
            importance=[1, float(importance)],
            penalty=critical + side,
            starts=64,
        )
        lengths = np.sort(np.abs(best.W[0]))
        expected = sorted(abs(float(x)) for x in point.W[0])
        np.testing.assert_allclose(lengths, expected, atol=1e-3)
        assert abs(best.loss - float(found.loss)) < 1e-5


def test_highest_penalty_is_the_maximum_over_densities() -> None:
    peak = highest_penalty(1)
    assert peak.rival == "dedicated"
    assert peak.penalty.lower > Q(1, 42)
    beside = [
        critical_penalty(1, sympy.Rational(round(float(peak.s), 3)) + shift).values[lam]
        for shift in (-Q(1, 50), 0, Q(1, 50))
    ]
    assert beside[1].upper <= peak.penalty.upper
    assert max(beside[0].upper, beside[2].upper) < beside[1].lower


def test_symmetric_pair_is_a_saddle_beyond_the_breaking_of_symmetry() -> None:
    breaking = symmetry_breaking(Q(1, 10))
    critical = float(breaking[lam])
    found = descend(
        np.full((2, 1, 2), [0.75, -0.74]),
        [0.02, 0.03],
        density=0.1,
        importance=[1, 1],
        penalty=critical * (1 + np.array([-0.02, 1e-4])),
    )
    uneven = np.abs(np.abs(found.W[:, 0, 0]) - np.abs(found.W[:, 0, 1]))
    assert uneven[0] < 1e-4
    assert uneven[1] > 0.04


def test_uneven_pair_takes_over_with_a_small_jump_before_the_symmetric_one_is_a_saddle() -> None:
    symmetric = Phase("symmetric", symmetric_pair_family(), (0.737, 0.0256))
    uneven = opposed_phase("uneven", (0.76, 0.71, 0.024, 0.027))
    critical = symmetry_breaking(Q(1, 10))[lam]
    found = meet([symmetric, uneven], at={r: Q(1), s: Q(1, 10)}, guess={lam: float(critical)},
                 penalty=lam)  # fmt: skip
    assert found.are_minima
    assert found.values[lam].upper < critical.lower
    lengths = found.points[1].W[0]
    assert Q(1, 50) < lengths[0].lower + lengths[1].lower < Q(1, 20)


def test_the_penalty_that_the_pair_pays() -> None:
    found = critical_penalty(1, Q(2, 7))
    point = found.points[0]
    W = [[float(x) for x in point.W[0]]]
    loss = population_loss(
        W,
        [float(x) for x in point.b],
        density=2 / 7,
        importance=[1, 1],
        penalty=float(found.values[lam]),
    )
    assert abs(float(loss) - float(found.loss)) < 1e-14
    # The slope of the optimal loss along λ is the interference itself.
    interference = 2 * (W[0][0] * W[0][1]) ** 2
    assert abs(float(point.slope(lam)) - interference) < 1e-14


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="exchange the features"):
        critical_penalty(2, Q(1, 2))
    with pytest.raises(ValueError, match="got r = 1, s = 1;"):
        critical_penalty(1, 1)


@pytest.mark.parametrize(
    ("importance", "density", "rival"),
    [(Q(1, 20), Q(1, 20), "dedicated"), (Q(1), Q(1, 400), "dedicated"), (Q(1), Q(69, 100), "partial"),
     (Q(7, 10), Q(14, 25), "partial")],
)  # fmt: skip
def test_thresholds_at_low_density_and_close_to_the_end_of_the_pair(
    importance: sympy.Rational, density: sympy.Rational, rival: str
) -> None:
    """Against the optimum of the numerics on both sides of λ_c."""
    found = critical_penalty(importance, density, digits=12)
    assert found.are_minima
    assert found.points[1].phase.name == rival
    critical = float(found.values[lam])
    model: dict[str, Any] = {"density": float(density), "importance": [1, float(importance)]}
    for factor, point in ((0.999, found.points[0]), (1.001, found.points[1])):
        W = global_minimum(2, 1, **model, penalty=factor * critical, starts=64).W[0]
        # The pair is soft close to λ_c at equal importance: only what it is can be compared.
        expected = min(abs(float(x)) for x in point.W[0]) > 0.1
        assert (np.abs(W).min() > 0.1) == expected


def test_beyond_the_end_of_the_pair_there_is_no_threshold() -> None:
    with pytest.raises(ValueError, match=r"up to the density 0\.48458793 only"):
        critical_penalty(Q(1, 2), Q(9, 10))
