"""Phase boundaries and triple points, against brute force on a grid."""

import numpy as np
import pytest
import sympy

from superposition import CoActive, Independent, ValueDistribution
from superposition.features import FeatureDistribution
from superposition.numerics import population_loss
from superposition.theory import (
    OPTIMAL,
    Configuration,
    boundaries,
    candidates,
    lam,
    phase_boundary,
    r,
    regular_simplex,
    s,
    triple_points,
)

SEVENTH = sympy.Rational(4, 7)


def test_boundaries_of_the_sources() -> None:
    first, last, both = candidates(2, 1)
    (ours,) = phase_boundary(last, both)
    assert sympy.simplify(ours - 2 * s / (4 - 5 * s)) == 0
    (mirror,) = phase_boundary(first, both)
    assert sympy.simplify(mirror - (4 - 5 * s) / (2 * s)) == 0
    assert phase_boundary(first, last) == [1]


def test_boundary_solved_for_density_is_the_same_curve() -> None:
    _, last, both = candidates(2, 1)
    (of_s,) = phase_boundary(last, both)
    (of_r,) = phase_boundary(last, both, solve_for=s)
    assert sympy.simplify(of_s.subs(s, of_r) - r) == 0


def test_boundary_in_the_penalty() -> None:
    _, last, both = candidates(2, 1)
    (penalty,) = phase_boundary(last, both, penalty=lam, solve_for=lam)
    zero = last.loss(penalty=penalty) - both.loss(penalty=penalty)
    assert sympy.expand(zero) == 0


def test_boundary_out_of_range_is_no_boundary() -> None:
    ignore_first, _, first_two, _ = candidates(3, 2)
    assert phase_boundary(ignore_first, first_two) == []  # neither loss depends on r
    assert phase_boundary(ignore_first, first_two, solve_for=s) == [SEVENTH]
    dearer = Configuration("dearer", [[1, -1]], [-2, -2])  # (1 + r)s/3 > (1 + r)s²/6
    assert phase_boundary(dearer, Configuration("pair", [[1, -1]]), solve_for=s) == []


def test_equal_losses_have_no_boundary() -> None:
    pair = candidates(2, 1)[2]
    with pytest.raises(ValueError, match="same loss everywhere"):
        phase_boundary(pair, Configuration("turned", [[-1, 1]]))


def test_triple_point_of_the_sources() -> None:
    (point,) = triple_points(candidates(2, 1))
    assert tuple(point) == (1, SEVENTH)
    assert len(point.configurations) == 3
    assert point.loss == sympy.Rational(16, 147)


def test_all_boundaries_of_three_features_in_two_dimensions() -> None:
    found = {
        (b.first.name, b.second.name): (b.solve_for, b.solution, b.valid)
        for b in boundaries(candidates(3, 2))
    }
    half_open = sympy.Interval.Lopen(0, SEVENTH)
    assert found == {
        ("ignore first", "ignore last"): (r, 1, sympy.Interval(SEVENTH, 1)),
        ("ignore first", "superpose first two"): (s, SEVENTH, sympy.Interval(1, sympy.oo)),
        ("ignore last", "superpose last two"): (r, 2 * s / (4 - 5 * s), half_open),
        ("superpose first two", "superpose last two"): (r, 1, half_open),
    }
    (point,) = triple_points(candidates(3, 2))
    assert tuple(point) == (1, SEVENTH)
    assert len(point.configurations) == 4  # all four meet in one point


def test_unit_triangle_is_never_the_lowest() -> None:
    """With zero bias and unit length it loses to the pair: s²(3 + s)/8 > s²/3 at r = 1."""
    with_triangle = [*candidates(3, 2), regular_simplex(2)]
    assert boundaries(with_triangle) == boundaries(candidates(3, 2))
    assert triple_points(with_triangle) == triple_points(candidates(3, 2))


def test_boundary_of_two_alone_ends_before_its_pole() -> None:
    first, last, both = candidates(2, 1)
    for pair in ((last, both), (first, both)):
        (boundary,) = boundaries(pair)
        assert boundary.valid == sympy.Interval.open(0, sympy.Rational(4, 5))


def test_lines_of_constant_density_end_at_density_one() -> None:
    """A dropped feature with biases c and d costs the same at s = c + d."""

    def dropped(bias: sympy.Expr) -> Configuration:
        return Configuration(f"dropped, {bias}", [[0, 1]], [bias, 0])

    quarter = sympy.Rational(1, 4)
    (line,) = boundaries([dropped(quarter), dropped(2 * quarter)])
    assert (line.solve_for, line.solution) == (s, 3 * quarter)
    assert line.valid == sympy.Interval.open(0, sympy.oo)
    assert boundaries([dropped(3 * quarter), dropped(2 * quarter)]) == ()


def test_penalty_moves_the_triple_point_and_a_strong_one_removes_it() -> None:
    """At r = 1 the pair wins for s/3 − s²/4 > s²/3 + 2λ, so λ = 1/50 leaves a window of s."""
    penalty = sympy.Rational(1, 50)
    points = triple_points(candidates(2, 1), penalty=penalty)
    assert [p.r for p in points] == [1, 1]
    for point in points:
        assert sympy.expand(point.s / 3 - 7 * point.s**2 / 12 - 2 * penalty) == 0
    # s/3 − 7s²/12 is at most 1/21, so that the pair is gone above λ = 1/42.
    assert len(triple_points(candidates(2, 1), penalty=sympy.Rational(1, 43))) == 2
    assert triple_points(candidates(2, 1), penalty=sympy.Rational(1, 41)) == ()


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (4, 2), (5, 2)])
def test_boundaries_separate_the_lowest_on_a_grid(n: int, m: int) -> None:
    """Points just beside a claimed boundary have the two as their lowest; no others are adjacent."""
    found = candidates(n, m)
    losses = [sympy.lambdify((s, r), c.loss()) for c in found]
    for boundary in boundaries(found):
        pair = {found.index(boundary.first), found.index(boundary.second)}
        inside = boundary.valid
        low = float(inside.start)
        high = min(float(inside.end), 5.0)
        for share in (0.1, 0.5, 0.9):
            other = low + share * (high - low)
            unknown = float(boundary.solution.subs({s: other, r: other}))
            density, importance = (other, unknown) if boundary.solve_for == r else (unknown, other)
            values = np.array([loss(density, importance) for loss in losses])
            assert np.allclose(values[list(pair)], values.min(), rtol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (4, 2)])
def test_wherever_the_lowest_changes_there_is_a_boundary(n: int, m: int) -> None:
    found = candidates(n, m)
    losses = [sympy.lambdify((s, r), c.loss()) for c in found]
    densities = np.linspace(0.013, 0.993, 50)
    importances = np.geomspace(0.1003, 9.87, 51)
    grid = np.meshgrid(densities, importances, indexing="ij")
    lowest = np.argmin([np.broadcast_to(loss(*grid), grid[0].shape) for loss in losses], axis=0)
    known = boundaries(found)

    def crossed(at: tuple[float, float], to: tuple[float, float], pair: set[int]) -> bool:
        """Say whether the segment crosses a boundary between the two, within its range."""
        for b in known:
            if {found.index(b.first), found.index(b.second)} != pair:
                continue
            value = sympy.lambdify((s, r), b.solve_for - b.solution)
            if value(*at) * value(*to) <= 0:
                return True
        return False

    changes = 0
    for i, j in np.ndindex(lowest.shape):
        for k, l in ((i + 1, j), (i, j + 1)):
            if k < lowest.shape[0] and l < lowest.shape[1] and lowest[i, j] != lowest[k, l]:
                changes += 1
                at = (float(densities[i]), float(importances[j]))
                to = (float(densities[k]), float(importances[l]))
                # Beside a triple point a step may jump over a third phase.
                if not crossed(at, to, {int(lowest[i, j]), int(lowest[k, l])}):
                    assert abs(at[0] - 4 / 7) < 0.05
                    assert abs(np.log(at[1])) < 0.15
    assert changes > 40


def test_losses_must_be_polynomials_in_s_and_r() -> None:
    W = [[sympy.Rational(1, 2), sympy.Rational(3, 2)]]
    two_regimes = Configuration("regimes", W, [OPTIMAL, 0])
    with pytest.raises(ValueError, match=r"polynomials in s and r alone, got .* for regimes"):
        boundaries([two_regimes, candidates(2, 1)[0]])


def test_more_than_two_lowest_are_grouped() -> None:
    points = triple_points(candidates(5, 2))
    assert [tuple(p) for p in points] == [(1, SEVENTH)]
    assert {len(p.configurations) for p in points} == {7}


def test_boundary_states_its_equation_and_densities() -> None:
    for boundary in boundaries(candidates(3, 2)):
        assert boundary.equation == sympy.Eq(boundary.solve_for, boundary.solution)
        assert boundary.density_range.is_subset(sympy.Interval(0, 1))


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        # E u = 2/3 and E u² = 1/2, so a dropped feature costs s/2 − 4s²/9; the pair s²(1 + r)/3.
        (Independent(ValueDistribution([0, 2])), 6 * s / (9 - 14 * s)),
        (CoActive(), None),
    ],
)
def test_boundaries_of_other_distributions(
    features: FeatureDistribution, expected: sympy.Expr | None
) -> None:
    """Oracle: exact losses of `numerics` are equal on the line; without a line, one is lower."""
    _, last, both = candidates(2, 1)
    solutions = phase_boundary(last, both, features=features)
    lines = boundaries(candidates(2, 1), features=features)

    def losses(density: float, importance: float) -> list[float]:
        return [
            float(
                population_loss(
                    c.W_array(), [0, 2 / 3 * density] if c is last and expected else
                    [0, density / 2] if c is last else [0, 0],
                    density=density, importance=[1, importance], features=features,
                )
            )
            for c in (last, both)
        ]  # fmt: skip

    if expected is None:
        assert [line.solution for line in lines] == [1]
        assert all(losses(d, 1.0)[0] < losses(d, 1.0)[1] for d in (0.01, 0.5, 1.0))
        return
    assert len(solutions) == 1
    assert sympy.simplify(solutions[0] - expected) == 0
    at = float(solutions[0].subs(s, sympy.Rational(1, 4)))
    dropped, pair = losses(0.25, at)
    assert dropped == pytest.approx(pair, rel=1e-12)
    (point,) = triple_points(candidates(2, 1), features=features)
    assert (point.r, point.s) == (1, sympy.Rational(9, 20))


def test_notebooks_show_the_equation() -> None:
    (boundary, *_) = boundaries(candidates(2, 1))
    assert boundary._repr_latex_() == rf"$\displaystyle {sympy.latex(boundary.equation)}$"
