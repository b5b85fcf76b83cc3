"""The refined diagram, against certified numbers of the theory, symmetry, and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
import xarray as xr

from superposition.numerics import descend
from superposition.theory import r, s
from superposition.theory.landscape.partial_superposition import continuous_end, tricritical_points
from superposition.theory.landscape.transitions import dedicated_phase, meet, opposed_phase
from superposition.validation.exact.diagram import check_points, exact_phase_diagram, spot_check

# Certified by interval arithmetic in `theory.landscape`, as the page on transitions prints them.
TRIPLE_R, TRIPLE_S = 0.56413136534766603230, 0.51173803211760022659
PAIR_LASTS_TO = 0.70640369267321760


@pytest.fixture(scope="module")
def diagram() -> xr.Dataset:
    """All of the plane, symmetric about r = 1 in its logarithm."""
    return exact_phase_diagram(
        density=np.linspace(0.005, 1, 200), importance=np.geomspace(0.1, 10, 200)
    )


@pytest.fixture(scope="module")
def close() -> xr.Dataset:
    """The region in which partial superposition begins."""
    return exact_phase_diagram(
        density=np.linspace(0.5, 0.54, 81), importance=np.linspace(0.55, 0.6, 81), spacing=16
    )


def of_kind(diagram: xr.Dataset, kind: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Density, importance and jump of the vertices of one kind."""
    some = diagram.boundary_kind.values == kind
    return (
        diagram.boundary_density.values[some],
        diagram.boundary_importance.values[some],
        diagram.boundary_jump.values[some],
    )


def test_few_points_are_evaluated_and_none_is_left_out(diagram: xr.Dataset) -> None:
    assert float(diagram.evaluated.mean()) < 0.1
    assert int(diagram.optimum_phase.min()) >= 0
    assert bool((np.isfinite(diagram.optimum_loss) == diagram.evaluated).all())


def test_independent_searches_agree(diagram: xr.Dataset) -> None:
    """In the plane, and within two points of every boundary, where filling could be wrong."""
    far = spot_check(diagram, points=1000, starts=48)
    assert far.rate == 0
    rng = np.random.default_rng(0)
    at = rng.integers(0, diagram.sizes["vertex"], 1000)
    near = np.stack(
        [
            np.searchsorted(diagram.density, diagram.boundary_density.values[at]),
            np.searchsorted(diagram.importance, diagram.boundary_importance.values[at]),
        ],
        axis=-1,
    )
    near = np.clip(near + rng.integers(-2, 3, near.shape), 0, 199)
    check = check_points(diagram, near)
    assert check.rate == 0
    assert len(check.lower) == 0


def test_spot_check_sees_a_wrong_phase_and_a_wrong_loss(diagram: xr.Dataset) -> None:
    broken = diagram.copy(deep=True)
    broken.optimum_phase[50:100] = 4
    broken.optimum_loss[150:] *= 1.001
    check = spot_check(broken, points=300, starts=16)
    assert check.rate == pytest.approx(0.25, abs=0.1)
    assert len(check.lower) > 0


def test_exchanging_the_features_mirrors_the_diagram(diagram: xr.Dataset) -> None:
    """L(1, r) = r L(1/r, 1): the codes 0 and 1, ignoring the first or the last, change places."""
    phase = diagram.optimum_phase.values
    mirrored = np.array([1, 0, 2, 3, 4, 5, 6], dtype=np.int8)[phase[:, ::-1]]
    np.testing.assert_array_equal(phase, mirrored)


def test_line_of_jumps_is_where_the_theory_proves_it(diagram: xr.Dataset) -> None:
    pair = opposed_phase("antipodal", (1.0, 0.7, 0.05, 0.2))
    density, importance, jump = of_kind(diagram, 0)
    line = (density < 0.5) & (importance < 1)
    assert line.sum() > 100
    assert (jump[line] > 0.5).all()
    on_grid = np.flatnonzero(line & np.isclose(density, 0.4, atol=1e-12))
    point = meet([pair, dedicated_phase()], at={s: sympy.Rational(2, 5)}, guess={r: 0.34})
    assert len(on_grid) == 1
    assert importance[on_grid[0]] == pytest.approx(float(point.r), abs=1e-11)


def test_continuous_line_is_where_the_dedicated_feature_loses_its_stability(
    diagram: xr.Dataset,
) -> None:
    """Theory expands around [1, 0]; the diagram follows partial superposition to its end."""
    density, importance, jump = of_kind(diagram, 1)
    lower = importance < 1
    assert (np.sort(jump[lower])[:-1] == 0).all()  # the last vertex is where it becomes a jump
    order = np.flatnonzero(lower & (jump == 0))[::12]
    errors = [
        importance[k] - float(continuous_end(sympy.Rational(str(density[k])), digits=9)[r])
        for k in order
    ]
    assert len(errors) >= 5
    assert np.abs(errors).max() < 2e-6


def test_continuous_line_ends_within_a_square_of_the_certified_points(diagram: xr.Dataset) -> None:
    density, importance, _ = of_kind(diagram, 1)
    lower = importance < 1
    ends = tricritical_points(digits=9)
    step_s, step_r = 0.005, np.log(100) / 199
    for k, end in zip((density[lower].argmin(), density[lower].argmax()), ends, strict=True):
        assert abs(density[lower][k] - float(end[s])) < 3 * step_s
        assert abs(np.log(importance[lower][k] / float(end[r]))) < 3 * step_r


def test_pair_meets_two_mirrored_solutions_at_equal_importance() -> None:
    diagram = exact_phase_diagram(
        density=np.linspace(0.69, 0.72, 61), importance=np.linspace(0.99, 1.0101, 32), spacing=15
    )
    assert diagram.sizes["triple"] == 1
    assert float(diagram.triple_importance[0]) == pytest.approx(1, abs=1e-9)
    assert float(diagram.triple_density[0]) == pytest.approx(PAIR_LASTS_TO, abs=1e-10)


def test_triple_point_with_a_jump_of_three_thousandths(close: xr.Dataset) -> None:
    assert close.sizes["triple"] == 1
    assert float(close.triple_density[0]) == pytest.approx(TRIPLE_S, abs=5e-6)
    assert float(close.triple_importance[0]) == pytest.approx(TRIPLE_R, abs=5e-6)


def test_three_features_in_two_dimensions() -> None:
    """At r = 1 the triangle gives way to a digon and a dedicated feature at s = 0.52184.

    `tests/numerics/minima/test_multistart.py` finds that number from the two minima alone.
    """
    diagram = exact_phase_diagram(
        3, 2, density=np.linspace(0.5, 0.54, 9), importance=np.linspace(0.9, 1.101, 12),
        spacing=8, starts=24,
    )  # fmt: skip
    assert spot_check(diagram, points=40, starts=24).rate == 0
    at_one = abs(diagram.triple_importance.values - 1) < 1e-6
    assert at_one.any()
    assert diagram.triple_density.values[at_one][0] == pytest.approx(0.52184, abs=1e-5)


def test_branches_of_one_phase_are_told_apart() -> None:
    """Above s = 0.706 partial superposition and its mirror image meet on the line r = 1."""
    diagram = exact_phase_diagram(
        density=np.linspace(0.75, 0.8, 11), importance=np.linspace(0.97, 1.031, 12), spacing=6
    )
    assert set(diagram.optimum_phase.values.ravel().tolist()) == {3}
    density, importance, jump = of_kind(diagram, 0)
    assert len(density) >= 11
    np.testing.assert_allclose(importance, 1, atol=1e-10)
    assert (jump > 0.5).all()


def test_losses_are_those_of_descent(diagram: xr.Dataset) -> None:
    i, j = 80, 100
    while not bool(diagram.evaluated[i, j]):
        i += 1
    ends = descend(
        np.random.default_rng(0).standard_normal((32, 1, 2)), np.zeros((32, 2)),
        density=float(diagram.density[i]), importance=[1, float(diagram.importance[j])],
    )  # fmt: skip
    assert float(diagram.optimum_loss[i, j]) == pytest.approx(float(ends.loss.min()), rel=1e-11)


@pytest.mark.parametrize(
    ("density", "message"),
    [([0.5], "at least 2"), ([0.5, 0.4], "increasing"), ([0.5, 1.5], "must lie in")],
)
def test_axes_are_checked(density: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact_phase_diagram(density=density, importance=[0.5, 1.0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spacing": 0}, "spacing must be an integer of at least 1, got 0"),
        ({"spacing": 1.5}, "spacing must be an integer of at least 1, got 1.5"),
        ({"penalty": [0.1, 0.2]}, r"penalty must be one number, got \[0.1, 0.2\]"),
        ({"features": "sparse"}, "features must be None or a feature distribution"),
        ({"starts": 0}, "number of starts must be an integer of at least 1, got 0"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    axes: dict[str, Any] = {"density": [0.3, 0.4], "importance": [0.5, 1.0]}
    with pytest.raises(ValueError, match=message):
        exact_phase_diagram(**{**axes, **changes})


def test_a_spot_check_needs_points(diagram: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="points must be an integer of at least 1, got 0"):
        spot_check(diagram, points=0)


def test_a_grid_of_one_square_that_boundaries_cross() -> None:
    """No cell is filled; the corners are what a search at each of them says."""
    axes: dict[str, Any] = {"density": [0.2, 0.9], "importance": [0.5, 2.0]}
    diagram = exact_phase_diagram(**axes)
    corners = np.stack(np.meshgrid([0, 1], [0, 1], indexing="ij"), axis=-1).reshape(-1, 2)
    assert check_points(diagram, corners).rate == 0
    assert bool(diagram.evaluated.all())
    assert len(np.unique(diagram.optimum_phase)) == 3
