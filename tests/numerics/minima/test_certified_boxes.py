"""Bounds of the loss over boxes, and the pieces of them, against the exact loss and its gradient.

Random boxes are of every size from 2⁻¹ to 2⁻⁸, at random places and at local minima. Nothing is
compared to rounding: a bound that is not one is wrong by much more somewhere in these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, optimize

from superposition.numerics import descend, population_loss, population_loss_and_grad, random_starts
from superposition.numerics.minima.certified.boxes import (
    CONVEX,
    EMPTY,
    HIGH,
    LOW,
    Model,
    Workspace,
    _fill_slopes,
    bound_box,
    loss_at,
    workspace,
)
from superposition.numerics.minima.certified.cores import core_around
from superposition.numerics.minima.certified.quadratic import (
    convexifying_shift,
    is_positive,
    least_eigenvalue,
    minimum_over_cube,
)
from superposition.numerics.minima.certified.region import largest_coupling, search_region
from superposition.numerics.minima.certified.search import (
    ACROSS,
    INSIDE,
    OUTSIDE,
    next_generation,
    place,
)

Floats = NDArray[np.float64]
ROUNDING = 1e-12


def model_of(first: float, second: float, s: float, s_other: float, penalty: float) -> Model:
    return Model(((first, first), (second, second)), ((s, s), (s_other, s_other)), penalty)


CASES = {
    "equal": (1.0, 1.0, 0.5, 0.5, 0.0),
    "sparse": (1.0, 0.3, 0.05, 0.05, 0.0),
    "dense": (1.0, 0.7, 1.0, 1.0, 0.0),
    "penalty": (1.0, 0.9, 0.3, 0.3, 0.2),
    "two densities": (0.5, 2.0, 0.2, 0.8, 0.05),
}


def loss(points: Floats, case: tuple[float, ...]) -> Floats:
    """L at points (..., 4), by the quadrature that the rest of the package uses."""
    W, b = points[..., np.newaxis, :2], points[..., 2:]
    exact = population_loss(W, b, density=np.array([case[2:4]]), importance=np.array(case[:2]))
    return np.asarray(exact + 2 * case[4] * points[..., 0] ** 2 * points[..., 1] ** 2)


def gradient(points: Floats, case: tuple[float, ...]) -> Floats:
    W, b = points[..., np.newaxis, :2], points[..., 2:]
    at = population_loss_and_grad(
        W, b, density=np.array([case[2:4]]), importance=np.array(case[:2])
    )
    tax = 4 * case[4] * points[..., 0] * points[..., 1]
    dW = np.asarray(at.dW)[..., 0, :] + tax[..., np.newaxis] * points[..., 1::-1]
    return np.concatenate([dW, np.asarray(at.db)], axis=-1)


def random_boxes(case: tuple[float, ...], count: int, seed: int) -> Iterator[Floats]:
    """Half of them around the ends of descents, half anywhere."""
    rng = np.random.default_rng(seed)
    W, b = random_starts(2, 1, count // 2, seed)
    density, importance = np.array([case[2:4]]), np.array(case[:2])
    ends = descend(W, b, density=density, importance=importance, penalty=case[4])
    minima = np.concatenate([ends.W[:, 0], ends.b], axis=-1)
    anywhere = rng.normal(size=(count - len(minima), 4)) * [1.0, 1.0, 0.5, 0.5]
    for place_ in np.concatenate([minima, anywhere]):
        width = 2.0 ** -rng.uniform(1, 8) * rng.uniform(0.3, 1.0, size=4)
        low = place_ - rng.uniform(size=4) * width
        yield np.stack([low, low + width], axis=-1)


def inside(box: Floats, count: int, rng: np.random.Generator) -> Floats:
    return np.asarray(box[:, 0] + rng.uniform(size=(count, 4)) * (box[:, 1] - box[:, 0]))


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[float, ...]:
    return tuple(request.param)


@pytest.fixture
def work() -> Workspace:
    return workspace()


# --- the loss at points, and bounds over boxes --------------------------------------------------


def test_loss_at_points_is_the_exact_loss(case: tuple[float, ...], work: Workspace) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 4)).astype(np.float32).astype(np.float64)
    for point, expected in zip(points, loss(points, case), strict=True):
        lower, upper = loss_at(point, model_of(*case), work.moments)
        assert lower - ROUNDING <= expected <= upper + ROUNDING
        assert upper - lower < ROUNDING


def test_bounds_hold_and_tighten(case: tuple[float, ...], work: Workspace) -> None:
    """At 200 points a box; in small boxes, the bound is of second order, as Taylor's is."""
    rng = np.random.default_rng(1)
    kinds = set()
    for box in random_boxes(case, 150, seed=2):
        lower, kind, split = bound_box(box, model_of(*case), math.inf, True, work)
        kinds.add(kind)
        points = inside(box, 200, rng)
        assert loss(points, case).min() >= lower - ROUNDING
        assert split in range(4)
        if kind == EMPTY:
            slopes = gradient(points, case)
            assert ((slopes > 0).all(axis=0) | (slopes < 0).all(axis=0)).any()
    assert {EMPTY, CONVEX} <= kinds


def test_bounds_tighten_faster_than_boxes_shrink(work: Workspace) -> None:
    """Around a minimum the curvature bound misses by (its spread) · (half width)²: third order."""
    found = descend([[1.0, -1.0]], [0.1, 0.1], density=0.5, importance=[1, 1])
    point = np.concatenate([found.W[0], found.b])
    missing = []
    for half in (2.0**-4, 2.0**-5, 2.0**-6):
        box = np.stack([point - half, point + half], axis=-1)
        lower, _, _ = bound_box(box, model_of(*CASES["equal"]), math.inf, True, work)
        missing.append(float(found.loss) - lower)
    assert missing[1] < missing[0] / 4
    assert missing[2] < missing[1] / 4


def test_slopes_enclose_the_gradient(case: tuple[float, ...], work: Workspace) -> None:
    rng = np.random.default_rng(3)
    model = model_of(*case)
    for box in random_boxes(case, 60, seed=4):
        bound_box(box, model, math.inf, True, work)  # leaves the moments at the corners
        weights = (tuple(box[0]), tuple(box[1]))
        _fill_slopes(work.moments, weights, model, LOW, HIGH, work.gradient)
        slopes = gradient(inside(box, 50, rng), case)
        assert (slopes >= work.gradient[:, 0] - ROUNDING).all()
        assert (slopes <= work.gradient[:, 1] + ROUNDING).all()


def test_matrix_is_below_the_curvature(case: tuple[float, ...], work: Workspace) -> None:
    """Along random segments ∇L(y) − ∇L(x) has at least the growth that the matrix promises."""
    rng = np.random.default_rng(5)
    checked = 0
    for box in random_boxes(case, 100, seed=6):
        work.matrix[:] = np.nan
        _, kind, _ = bound_box(box, model_of(*case), math.inf, True, work)
        if kind == EMPTY or np.isnan(work.matrix).any():
            continue
        starts, ends = inside(box, 60, rng), inside(box, 60, rng)
        growth = ((gradient(ends, case) - gradient(starts, case)) * (ends - starts)).sum(axis=-1)
        steps = (ends - starts) / work.radius
        promised = np.einsum("ni,ij,nj->n", steps, work.matrix, steps)
        assert (growth >= promised - ROUNDING).all()
        checked += 1
    assert checked >= 15


def test_matrix_of_a_small_box_is_the_curvature(case: tuple[float, ...], work: Workspace) -> None:
    """Against central differences of the gradient; half widths of 2⁻²⁰ move it by about 1e-5."""
    half, step = 2.0**-20, 1e-6
    rng = np.random.default_rng(13)
    points = rng.uniform([0.4, 0.4, -0.3, -0.3], [1.2, 1.2, 0.3, 0.3], size=(12, 4))
    points[::2, 1] *= -1
    for point in points:
        box = np.stack([point - half, point + half], axis=-1)
        bound_box(box, model_of(*case), math.inf, False, work)
        moved = point + step * np.concatenate([np.eye(4), -np.eye(4)])
        rises = gradient(moved, case)
        curvature = (rises[:4] - rises[4:]) / (2 * step)
        found = work.matrix / np.outer(work.radius, work.radius)
        np.testing.assert_allclose(found, curvature, atol=2e-3)


def test_intervals_of_importance_and_density_cover_all_models(work: Workspace) -> None:
    wide = Model(((1.0, 1.0), (0.5, 0.55)), ((0.4, 0.44), (0.4, 0.44)), 0.0)
    rng = np.random.default_rng(7)
    for box in random_boxes(CASES["equal"], 40, seed=8):
        lower, kind, _ = bound_box(box, wide, math.inf, True, work)
        for importance in (0.5, 0.53, 0.55):
            for density in (0.4, 0.43, 0.44):
                case = (1.0, importance, density, density, 0.0)
                points = inside(box, 30, rng)
                assert loss(points, case).min() >= lower - ROUNDING
                if kind == EMPTY:
                    slopes = gradient(points, case)
                    assert ((slopes > 0).all(axis=0) | (slopes < 0).all(axis=0)).any()


def test_tiny_boxes_are_bounded_by_distance_only(work: Workspace) -> None:
    """No number of single precision is in them, and a point outside would prove nothing."""
    point = np.array([0.1, -0.7, 0.1, 0.1])
    box = np.stack([point, point + 1e-12], axis=-1)
    lower, kind, _ = bound_box(box, model_of(*CASES["equal"]), math.inf, True, work)
    assert kind != CONVEX
    assert 0 < lower <= loss(point, CASES["equal"])


# --- cores ---------------------------------------------------------------------------------------


def test_core_holds_the_minimum_that_descent_finds(work: Workspace) -> None:
    for case in (CASES["equal"], CASES["sparse"]):
        found = descend([[1.0, -0.8]], [0.1, 0.1], density=case[2], importance=case[:2])
        minimum = np.concatenate([found.W[0], found.b])
        start = (minimum + 1e-3).astype(np.float32).astype(np.float64)
        core = core_around(start, model_of(*case), work)
        assert core is not None
        assert place(core.minimizer, core.box) in (INSIDE, ACROSS)
        # Descent ends within about 1e-9 of the minimum.
        assert (core.minimizer[:, 0] - 1e-8 <= minimum).all()
        assert (minimum <= core.minimizer[:, 1] + 1e-8).all()
        assert core.lower <= float(found.loss)


def test_no_core_at_a_maximum(work: Workspace) -> None:
    """At W = 0 both weights gain by growing."""
    assert core_around(np.array([0.0, 0.0, 0.25, 0.25]), model_of(*CASES["equal"]), work) is None


# --- quadratics ------------------------------------------------------------------------------------


def random_symmetric(rng: np.random.Generator, least: float) -> Floats:
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    values = np.array([least, *rng.uniform(0.1, 2.0, size=3)])
    matrix = rotation * values @ rotation.T
    return np.asarray((matrix + matrix.T) / 2)


def least_of_quadratic(matrix: Floats, slope: Floats, start: Floats) -> float:
    """Descend in the cube by SciPy."""

    def quadratic(u: Floats) -> float:
        return float(slope @ u + u @ matrix @ u / 2)

    def change(u: Floats) -> Floats:
        return np.asarray(slope + matrix @ u)

    found = optimize.minimize(quadratic, start, jac=change, bounds=[(-1, 1)] * 4)
    return float(found.fun)


def test_definiteness_is_told_by_the_least_eigenvalue() -> None:
    rng = np.random.default_rng(9)
    room = np.empty((4, 4))
    for least in (1e-3, 1e-10, -1e-15, -1e-10, -1e-3, -1.0):
        matrix = random_symmetric(rng, least)
        assert is_positive(matrix, 0.0, room) == (least > 1e-12)
        assert least_eigenvalue(matrix, room) == pytest.approx(least, abs=1e-12)
        shift = convexifying_shift(matrix, np.empty((4, 4)), room)
        assert (shift == 0.0) == (least > 1e-12)
        assert shift >= -least
        assert shift <= max(0.0, -least) + 1e-9


def test_minimum_over_the_cube_is_below_and_close() -> None:
    """Against bounded minimization by SciPy, for convex quadratics and for shifted ones."""
    rng = np.random.default_rng(10)
    for least in (0.5, 0.01, -0.2):
        for _ in range(4):
            matrix, slope = random_symmetric(rng, least), rng.normal(size=4)
            shift = max(0.0, -least) * 1.000001
            bound = minimum_over_cube(matrix, shift, np.stack([slope] * 2, axis=-1), np.empty(4))

            best = min(
                least_of_quadratic(matrix, slope, start) for start in rng.uniform(-1, 1, (3, 4))
            )
            assert bound <= best + 1e-12
            # The shift costs at most 2·shift; the guess misses by what 12 rounds leave.
            assert bound >= best - 2 * shift - 0.05


def test_minimum_over_the_cube_takes_all_slopes() -> None:
    matrix = np.eye(4)
    slopes = np.array([[-0.1, 0.3]] * 4)
    bound = minimum_over_cube(matrix, 0.0, slopes, np.empty(4))
    corners = np.array(np.meshgrid(*slopes)).reshape(4, -1).T
    lowest = min(-(np.array(p) @ np.array(p)) / 2 for p in corners)
    assert bound <= lowest


# --- the region --------------------------------------------------------------------------------


@pytest.mark.parametrize("g", [1.0, 1.3, 2.0, 5.0, 40.0])
def test_least_error_of_a_coupling(g: float) -> None:
    """v(g) = ((g − 1)/(g + 1))²/3, against minimized quadrature of its definition."""

    def error(y: float) -> float:
        cut = min(max(-y / g, 0.0), 1.0)
        value, _ = integrate.quad(
            lambda x: (x - max(0.0, g * x + y)) ** 2, 0, 1, points=[cut], epsabs=1e-13
        )
        return float(value)

    grid = np.linspace(-g, 1, 400)
    best = optimize.minimize_scalar(
        error, bounds=(-g, 1.0), method="bounded", options={"xatol": 1e-9}
    )
    least = min([float(best.fun), *map(error, grid)])
    assert least == pytest.approx(((g - 1) / (g + 1)) ** 2 / 3, abs=1e-6)
    assert least >= ((g - 1) / (g + 1)) ** 2 / 3 - 1e-12


@pytest.mark.parametrize("share", [0.0, 1e-6, 0.3, 0.9, 0.9999])
def test_largest_coupling_is_proved_and_close(share: float) -> None:
    known = share * 0.7 * 0.4 / 3
    g = largest_coupling(0.7, 0.4, known)
    root = math.sqrt(share)
    assert g == pytest.approx((1 + root) / (1 - root), rel=1e-5)
    value = (Fraction(g) - 1) ** 2 / (Fraction(g) + 1) ** 2 / 3
    assert Fraction(0.7) * Fraction(0.4) * value > Fraction(known)


def test_no_largest_coupling_beyond_a_dead_output() -> None:
    with pytest.raises(ValueError, match=r"below importance · density / 3"):
        largest_coupling(1.0, 0.3, 0.1)


def test_region_holds_every_local_minimum_below_the_dropped_feature() -> None:
    """All that descent finds with a loss below that of dropping a feature."""
    for case in CASES.values():
        dropped = min(i * (s / 3 - s * s / 4) for i, s in zip(case[:2], case[2:4], strict=True))
        dropped *= 1 + 1e-9  # descent ends at the dropped feature itself, up to rounding
        region = search_region(np.array(case[:2]), np.array(case[2:4]), dropped)
        W, b = random_starts(2, 1, 60, seed=11)
        found = descend(2 * W, b, density=np.array([case[2:4]]), importance=np.array(case[:2]))
        points = np.concatenate([found.W[:, 0], found.b], axis=-1)[found.loss <= dropped]
        points[points[:, 0] < 0, :2] *= -1
        assert len(points)
        assert ((region[:, 0] <= points) & (points <= region[:, 1])).all()


# --- one generation ------------------------------------------------------------------------------


def test_place_of_a_box_against_a_core() -> None:
    core = np.array([[0.0, 1.0]] * 4)
    assert place(core, core) == INSIDE
    assert place(core + 0.5, core) == ACROSS
    assert place(core + 1.0, core) == OUTSIDE


def is_rightly_done(
    box: Floats, case: tuple[float, ...], known: float, rng: np.random.Generator
) -> bool:
    """Whether, at 60 points, the loss is above what is known, or some slope has one sign."""
    points = inside(box, 60, rng)
    slopes = gradient(points, case)
    sloped = ((slopes > 0).all(axis=0) | (slopes < 0).all(axis=0)).any()
    return bool(loss(points, case).min() > known or sloped)


def test_children_and_what_is_done_make_up_the_parents(work: Workspace) -> None:
    """Every box is cut in two, or inside the core, or done with for a reason that points confirm."""
    case = CASES["equal"]
    region = search_region(np.ones(2), np.full(2, 0.5), 0.0763)[np.newaxis]
    boxes, core = region, np.array([[[0.96, 0.98], [-0.98, -0.96], [0.09, 0.11], [0.09, 0.11]]])
    entered, rng = np.zeros(1, dtype=bool), np.random.default_rng(12)
    minimum = np.array([0.96897, -0.96897, 0.09768, 0.09768])
    for _ in range(25):
        count = len(boxes)
        children, kept = np.empty((2 * count, 4, 2)), np.empty((count, 4, 2))
        n, n_kept = next_generation(
            boxes, count, model_of(*case), False, 0.0763, math.inf, core, entered, np.empty((0, 2)),
            children, np.empty(2 * count), kept, np.empty(count), work,
        )  # fmt: skip
        assert n_kept == 0
        assert n % 2 == 0
        cut = set()
        for first, second in children[:n].reshape(-1, 2, 4, 2):
            whole = np.stack([first[:, 0], second[:, 1]], axis=-1)
            cut.add(tuple(whole.ravel()))
            assert (first != second).any(axis=1).sum() == 1
        assert cut <= {tuple(box.ravel()) for box in boxes}
        for box in boxes[rng.uniform(size=count) < 0.2]:
            if tuple(box.ravel()) in cut or place(box, core[0]) == INSIDE:
                continue
            assert is_rightly_done(box, case, 0.0763, rng)
        boxes = children[:n]
        lost = not ((boxes[..., 0] <= minimum) & (minimum <= boxes[..., 1])).all(axis=-1).any()
        assert not lost or entered[0]


def test_only_what_is_above_the_known_loss_is_done_with_where_directions_are_given(
    work: Workspace,
) -> None:
    """No point of a box that is dropped has a lower loss; U is well above the minimum, 0.0763."""
    case, known = CASES["equal"], 0.1
    boxes = np.array([[[0.7, 1.2], [-1.2, -0.7], [0.0, 0.25], [0.0, 0.25]]])
    rng = np.random.default_rng(14)
    dropped = 0
    for _ in range(13):
        count = len(boxes)
        children = np.empty((2 * count, 4, 2))
        n, _ = next_generation(
            boxes, count, model_of(*case), False, known, math.inf, np.empty((0, 4, 2)),
            np.zeros(0, dtype=bool), np.array([[100.0, 101.0]]), children, np.empty(2 * count),
            np.empty((count, 4, 2)), np.empty(count), work,
        )  # fmt: skip
        pairs = children[:n].reshape(-1, 2, 4, 2)
        cut = {tuple(np.stack([a[:, 0], b[:, 1]], axis=-1).ravel()) for a, b in pairs}
        for box in boxes:
            if tuple(box.ravel()) not in cut:
                dropped += 1
                assert loss(inside(box, 300, rng), case).min() > known
        boxes = children[:n]
    assert dropped > 200
