"""Descent, the search for the global minimum, and what exact minima say about the literature.

Losses that a test states are recomputed in rational arithmetic at the minimum that was found, so
that they are upper bounds of the true minimum whatever the descent did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize

from superposition.numerics import (
    Descent,
    descend,
    global_minimum,
    is_dead,
    population_loss,
    population_loss_and_grad,
    random_starts,
)
from superposition.numerics.minima.multistart import distinct_minima

Floats = NDArray[np.float64]
Losses = Callable[..., list[Fraction]]
TotalLoss = Callable[..., float]

TOLERANCE = 1e-10  # of `descend`, times Σ_i I_i s_i
SAME_MINIMUM = 1e-12  # loss is flat at a minimum: 1e-10 in the gradient is below this in the loss


@pytest.fixture(scope="module")
def exact_total(exact_losses: Losses) -> TotalLoss:
    """Σ_i I_i E (x_i − x̂_i)² in rational arithmetic, rounded at the end."""

    def total(W: Any, b: Any, density: Any, importance: Sequence[float]) -> float:
        outputs = exact_losses(W, b, density)
        return float(sum(Fraction(i) * x for i, x in zip(importance, outputs, strict=True)))

    return total


def dropped(s: float) -> float:
    """Loss of a feature of importance 1 that is not represented, at its best bias s/2."""
    return s / 3 - s**2 / 4


def descend_from(
    starts: Sequence[Sequence[Sequence[float]]], biases: Any, s: float, importance: Any
) -> Descent:
    W = np.array(starts, dtype=np.float64)
    b = np.broadcast_to(np.asarray(biases, dtype=np.float64), (len(W), W.shape[-1]))
    return descend(W, b, density=s, importance=importance)


# --- descent -----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 2)])
def test_descent_ends_where_the_gradient_vanishes(n: int, m: int, activation: str) -> None:
    W, b = random_starts(n, m, count=24, seed=n)
    importance = np.linspace(1, 0.5, n)
    found = descend(W, b, density=0.3, importance=importance, activation=activation)
    at = population_loss_and_grad(
        found.W, found.b, density=0.3, importance=importance, activation=activation
    )
    np.testing.assert_array_equal(found.loss, at.loss)
    norms = np.sqrt((at.dW**2).sum(axis=(-2, -1)) + (at.db**2).sum(axis=-1))
    np.testing.assert_allclose(found.gradient_norm, norms, rtol=1e-12)
    assert found.converged.all()
    assert norms.max() <= TOLERANCE * 0.3 * importance.sum()
    before = population_loss(W, b, density=0.3, importance=importance, activation=activation)
    assert (found.loss <= before).all()


@pytest.mark.parametrize(
    ("n", "m", "s"), [(2, 1, 0.1), (2, 1, 0.5), (3, 2, 0.05), (3, 2, 0.9), (4, 2, 0.3)]
)
def test_descent_agrees_with_scipy(n: int, m: int, s: float) -> None:
    """From near a minimum, SciPy's BFGS on the same loss ends at the same value."""
    importance = np.linspace(1, 0.7, n)
    W, b = random_starts(n, m, count=6, seed=1)
    first = descend(W, b, density=s, importance=importance)
    rng = np.random.default_rng(0)
    starts = first.W + 0.03 * rng.standard_normal(W.shape), first.b + 0.03 * rng.random(b.shape)
    second = descend(*starts, density=s, importance=importance)

    def objective(x: Floats) -> tuple[float, Floats]:
        at = population_loss_and_grad(
            x[: m * n].reshape(m, n), x[m * n :], density=s, importance=importance
        )
        return float(at.loss), np.concatenate([at.dW.ravel(), at.db])

    compared = 0
    for k, (W_k, b_k) in enumerate(zip(*starts, strict=True)):
        x = np.concatenate([W_k.ravel(), b_k])
        theirs = optimize.minimize(objective, x, jac=True, method="BFGS", options={"gtol": 1e-9})
        # A start beside a saddle may leave it on another side; its ends are then not compared.
        if abs(theirs.fun - first.loss[k]) <= 1e-6 * first.loss[k]:
            assert abs(theirs.fun - second.loss[k]) <= 1e-11
            compared += 1
    assert compared >= 5


def test_batch_is_bitwise_a_loop_whatever_the_workers() -> None:
    density, importance = np.array([0.05, 0.3, 0.9]), np.array([[1.0, 0.2], [1, 1], [1, 3]])
    W, b = random_starts(2, 1, count=60, seed=3)
    arguments: dict[str, Any] = {"density": density, "importance": importance}
    one = descend(W[:, None], b[:, None], workers=1, **arguments)
    two = descend(W[:, None], b[:, None], workers=2, **arguments)
    assert one.loss.shape == (60, 3)
    for name in ("W", "b", "loss", "gradient_norm", "converged", "evaluations"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for k, j in [(0, 0), (17, 1), (59, 2)]:
        alone = descend(W[k], b[k], density=density[j], importance=importance[j])
        assert alone.loss == one.loss[k, j]
        np.testing.assert_array_equal(alone.W, one.W[k, j])


def test_too_few_iterations_are_reported() -> None:
    found = descend(*random_starts(3, 2, 4), density=0.2, importance=[1, 1, 1], max_iterations=2)
    assert not found.converged.any()
    assert (found.gradient_norm > TOLERANCE).all()


def test_starts_are_left_alone_and_penalty_reaches_descent() -> None:
    W, b = random_starts(2, 1, count=8)
    copy = W.copy()
    free = descend(W, b, density=0.1, importance=[1, 1])
    penalized = descend(W, b, density=0.1, importance=[1, 1], penalty=10.0)
    np.testing.assert_array_equal(W, copy)
    assert (free.W[:, 0].prod(axis=-1) < -0.5).any()
    assert (abs(penalized.W[:, 0].prod(axis=-1)) < 0.1).all()


# --- the search --------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 5])
def test_more_starts_begin_with_the_same_ones(n: int) -> None:
    few, many = random_starts(n, 2, count=3, seed=4), random_starts(n, 2, count=50, seed=4)
    np.testing.assert_array_equal(few[0], many[0][:3])
    assert not np.array_equal(few[0], random_starts(n, 2, count=3, seed=5)[0])


@pytest.mark.parametrize("starts", [1, 7, 64])
def test_counts_add_up_to_the_starts(starts: int) -> None:
    found = global_minimum(3, 2, density=0.4, importance=[1, 1, 0.8], starts=starts)
    assert sum(minimum.count for minimum in found.minima) + found.unconverged == starts
    assert found.starts == starts
    losses = [minimum.loss for minimum in found.minima]
    assert losses == sorted(losses)
    assert (found.loss, found.gradient_norm) == (losses[0], found.minima[0].gradient_norm)
    assert found.W is found.minima[0].W
    assert found.b is found.minima[0].b


def test_search_is_a_function_of_its_seed() -> None:
    arguments: dict[str, Any] = {"density": 0.3, "importance": [1, 1, 1], "starts": 16}
    first, second = (global_minimum(3, 2, **arguments, seed=9) for _ in range(2))
    np.testing.assert_array_equal(first.W, second.W)
    assert not np.array_equal(first.W, global_minimum(3, 2, **arguments, seed=10).W)


@pytest.mark.parametrize(
    ("n", "m", "s", "kinds"),
    [
        # digon + dedicated in all three assignments, and the triangle
        pytest.param(3, 2, 0.42, 2, id="3-in-2"),
        # two digons, and three features sharing what is left
        pytest.param(4, 2, 0.3, 2, id="4-in-2"),
    ],
)
def test_symmetric_copies_are_one_minimum(n: int, m: int, s: float, kinds: int) -> None:
    found = global_minimum(n, m, density=s, importance=np.ones(n), starts=128)
    assert len(found.minima) == kinds
    gaps = np.diff([minimum.loss for minimum in found.minima])
    assert (gaps > 1e-3).all()


def test_only_equal_features_are_exchanged() -> None:
    """[0, 1] is a copy of [1, 0] where the features agree in density and importance, else not."""
    ends = Descent(
        W=np.array([[[1.0, 0.0]], [[0.0, -1.0]]]),
        b=np.array([[0.0, 0.25], [0.25, 0.0]]),
        loss=np.array([0.1, 0.1]),
        gradient_norm=np.zeros(2),
        converged=np.ones(2, dtype=bool),
        evaluations=np.ones(2, dtype=np.int64),
    )
    equal, other = np.array([0.5, 0.5]), np.array([0.5, 0.6])
    for density, importance, kinds in [(equal, equal, 1), (other, equal, 2), (equal, other, 2)]:
        assert len(distinct_minima(ends, density, importance)) == kinds


def test_unconverged_descents_are_no_minima() -> None:
    W, b = random_starts(2, 1, count=4)
    ends = descend(W, b, density=0.5, importance=[1, 1], max_iterations=1)
    assert distinct_minima(ends, np.array([0.5, 0.5]), np.ones(2)) == ()


def test_penalty_reaches_the_search() -> None:
    arguments: dict[str, Any] = {"density": 0.1, "importance": [1, 1], "starts": 16}
    assert global_minimum(2, 1, **arguments).W.prod() < -0.5
    found = global_minimum(2, 1, penalty=10.0, **arguments)
    assert abs(found.W.prod()) < 0.1
    assert found.loss <= dropped(0.1) * (1 + SAME_MINIMUM)


VALID: dict[str, Any] = {"density": 0.5, "importance": [1, 1]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"density": [0.1, 0.2, 0.3]}, r"one model, got a batch .*\(3,\)", id="batch"),
        pytest.param({"density": 1.5}, "density .* got 1.5", id="density"),
        pytest.param({"starts": 0}, "number of starts .* got 0", id="no-starts"),
        pytest.param({"starts": 1.5}, "number of starts .* got 1.5", id="half-starts"),
        pytest.param({"seed": -1}, "seed must be an integer of at least 0, got -1", id="seed"),
        # As many penalties as starts, which must not be dealt out to them.
        pytest.param(
            {"starts": 3, "penalty": [0, 1, 2]}, r"one model, got a batch .*\(3,\)", id="penalties"
        ),
        pytest.param({"importance": [1, 1, 1]}, "importance must have shape", id="importance"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        global_minimum(2, 1, **(VALID | arguments))


def test_wrong_sizes() -> None:
    with pytest.raises(ValueError, match="n_hidden must be an integer of at least 1, got 0"):
        global_minimum(2, 0, density=0.5, importance=[1, 1])


@pytest.mark.parametrize(
    ("W", "b", "dead"),
    [
        ([[1, 0]], [0, 0], [False, True]),
        ([[1, 0]], [-1, 1e-12], [True, False]),
        ([[1, -1]], [-1, -0.99], [True, False]),
        ([[1, 1]], [-1.9, -2], [False, True]),
    ],
)
def test_dead_outputs(W: Any, b: Any, dead: list[bool]) -> None:
    assert is_dead(W, b).tolist() == dead
    x = np.stack(np.meshgrid([0, 1], [0, 1]), axis=-1).reshape(-1, 2)
    outputs = np.maximum(x @ np.array(W).T @ np.array(W) + b, 0)  # largest at a vertex
    assert ((outputs == 0).all(axis=0) == dead).all()


# --- minima that are known ---------------------------------------------------------------------


@pytest.mark.parametrize("r", [0.1, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("s", [0.05, 0.5, 1.0])
def test_linear_model_keeps_the_more_valuable_feature(s: float, r: float) -> None:
    """At r = 1 every W of length 1 is a minimum: a circle, counted once."""
    found = global_minimum(
        2, 1, density=s, importance=[1, r], activation="linear", starts=32, seed=1
    )
    assert len(found.minima) == 1
    np.testing.assert_allclose(found.loss, min(1, r) * dropped(s), rtol=SAME_MINIMUM)
    np.testing.assert_allclose((found.W**2).sum(), 1, rtol=1e-6)


def test_dropped_feature_takes_bias_half_the_density(exact_total: TotalLoss) -> None:
    found = global_minimum(2, 1, density=0.5, importance=[1, 0.1], starts=64)
    np.testing.assert_allclose(abs(found.W), [[1, 0]], atol=1e-7)
    np.testing.assert_allclose(found.b, [0, 0.25], atol=1e-7)
    np.testing.assert_allclose(found.loss, 0.1 * dropped(0.5), rtol=SAME_MINIMUM)
    assert exact_total([[1, 0]], [0, 0.25], 0.5, [1, 0.1]) == pytest.approx(found.loss, rel=1e-15)


def test_antipodal_pair_beats_its_closed_form(exact_total: TotalLoss) -> None:
    """MAIS-O49 conjectures 1/12 at s = 1/2; a shorter pair with positive biases is below it."""
    register = exact_total([[31 / 32, -31 / 32]], [Fraction(1, 10)] * 2, 0.5, [1, 1])
    found = global_minimum(2, 1, density=0.5, importance=[1, 1], starts=64)
    exact = exact_total(found.W, found.b, 0.5, [1, 1])
    assert exact < register < 1 / 12
    np.testing.assert_allclose(found.loss, exact, rtol=1e-12)
    np.testing.assert_allclose(found.W[0, 0], -found.W[0, 1], rtol=1e-7)
    np.testing.assert_allclose(found.b[0], found.b[1], rtol=1e-6)


def test_one_feature_in_one_dimension_is_reconstructed() -> None:
    found = global_minimum(1, 1, density=0.3, importance=[1], starts=8)
    assert found.loss <= 1e-18  # a gradient of 1e-10 leaves its square


# --- SCIENCE: what exact minima add to the published diagrams ----------------------------------


def test_three_candidates_are_an_upper_bound_by_up_to_a_seventh() -> None:
    """[1, 0], [0, 1] and [1, −1] at b = 0 against the optimum of (2, 1); the gap peaks at r = 1."""
    s, r = np.meshgrid(np.linspace(0.03, 0.99, 33), np.geomspace(0.1, 1, 9), indexing="ij")
    W, b = random_starts(2, 1, count=32)
    found = descend(
        W[:, None, None],
        b[:, None, None],
        density=s,
        importance=np.stack([np.ones_like(r), r], axis=-1),
    )
    optimum = np.where(found.converged, found.loss, np.inf).min(axis=0)
    candidates = np.minimum(r * (s / 3 - s**2 / 4), (1 + r) * s**2 / 6)
    gap = 1 - optimum / candidates
    assert gap.min() >= -1e-13
    assert 0.138 < gap.max() < 0.141  # 14.0 % at s = 0.57, r = 1
    place = np.unravel_index(gap.argmax(), gap.shape)
    assert r[place] == 1
    assert s[place] == pytest.approx(4 / 7, abs=0.01)


def superposed_loss(s: float, r: float) -> float:
    """Loss of the local minimum below the antipodal pair."""
    return float(descend_from([[[1.02, -0.7]]], [0.01, 0.1], s, [1, r]).loss[0])


@pytest.mark.parametrize(("r", "boundary"), [(0.1, 0.18125), (0.3, 0.37569)])
def test_boundary_of_the_antipodal_phase_moves(
    r: float, boundary: float, exact_total: TotalLoss
) -> None:
    """Superposition holds beyond s = 4r/(2 + 5r), where the closed forms cross."""
    closed_forms = 4 * r / (2 + 5 * r)
    found = optimize.brentq(
        lambda s: superposed_loss(s, r) - r * dropped(s), closed_forms, 1.15 * closed_forms
    )
    assert found == pytest.approx(boundary, abs=1e-4)
    for s, sign in ((boundary - 1e-3, -1), (boundary + 1e-3, 1)):
        at = descend_from([[[1.02, -0.7]]], [0.01, 0.1], s, [1, r])
        difference = exact_total(at.W[0], at.b[0], s, [1, r]) - r * dropped(s)
        assert np.sign(difference) == sign


def test_antipodal_pair_still_wins_above_four_sevenths_at_equal_importance() -> None:
    for s in (0.6, 0.65, 0.7):
        found = global_minimum(2, 1, density=s, importance=[1, 1], starts=32)
        np.testing.assert_allclose(found.W[0, 0], -found.W[0, 1], rtol=1e-6)
        assert found.loss < 0.98 * dropped(s)


def ratio_at_optimum(s: float, r: float) -> float:
    """|W| of the lesser feature over that of the greater, with the sign of their product."""
    found = global_minimum(2, 1, density=s, importance=[1, r], starts=48)
    lesser, greater = sorted(found.W[0].tolist(), key=abs)
    return float(lesser / greater)


def test_partial_superposition_near_equal_importance(exact_total: TotalLoss) -> None:
    found = global_minimum(2, 1, density=0.72, importance=[1, 0.9], starts=64)
    first, second = found.W[0].tolist()
    assert first * second < 0
    assert 0.3 < abs(second / first) < 0.35
    exact = exact_total(found.W, found.b, 0.72, [1, 0.9])
    np.testing.assert_allclose(found.loss, exact, rtol=1e-12)
    dedicated, antipodal = 0.9 * dropped(0.72), 1.9 * 0.72**2 / 6
    assert exact < 0.995 * min(dedicated, antipodal)


def partial_minimum(s: float, r: float) -> tuple[float, float]:
    """Ratio of lengths and loss of the minimum below a partially superposed start."""
    found = descend([[1.0, -0.3]], [0.05, 0.4], density=s, importance=[1, r], tolerance=1e-13)
    return float(found.W[0, 1] / found.W[0, 0]), float(found.loss)


def test_transition_to_dedicated_is_continuous_and_linear_at_middle_importance() -> None:
    """At r = 0.7 the ratio vanishes like s_c − s: the kink of ReLU makes a cubic term."""
    below = np.array([0.63118, 0.63120])
    ratios = np.array([partial_minimum(s, 0.7)[0] for s in below])
    slope = (ratios[1] - ratios[0]) / (below[1] - below[0])
    critical = below[1] - ratios[1] / slope
    assert critical == pytest.approx(0.631221, abs=2e-6)
    assert partial_minimum(critical + 1e-4, 0.7)[0] == pytest.approx(0, abs=1e-6)
    # Five times the distance, five times the ratio, to first order; a square root gives 2.2.
    near, far = (partial_minimum(critical - d, 0.7)[0] for d in (2e-5, 1e-4))
    assert far / near == pytest.approx(5, abs=0.25)


def test_transition_to_dedicated_is_first_order_near_equal_importance() -> None:
    """At r = 0.95 two minima cross: [1, 0] is stable below the crossing, partial above it."""
    ignored = [0.95 * dropped(s) for s in (0.9140, 0.9148)]
    ratios, losses = zip(*(partial_minimum(s, 0.95) for s in (0.9140, 0.9148)), strict=True)
    assert max(ratios) < -0.05
    assert losses[0] < ignored[0] - 1e-7
    assert losses[1] > ignored[1] + 1e-9
    kept = descend(
        [[1, -1e-4]], [1e-4, 0.457], density=0.9140, importance=[1, 0.95], tolerance=1e-13
    )
    assert abs(kept.W[0, 1]) < 1e-9  # the dedicated feature is a minimum of its own there
    assert float(kept.loss) == pytest.approx(ignored[0], rel=1e-14)


def test_transition_to_dedicated_is_a_jump_at_small_importance() -> None:
    """At r = 0.3 both minima exist on either side of where they cross, s = 0.3757."""
    assert ratio_at_optimum(0.375, 0.3) < -0.6
    assert abs(ratio_at_optimum(0.376, 0.3)) < 1e-6
    found = global_minimum(2, 1, density=0.38, importance=[1, 0.3], starts=64)
    ratios = [minimum.W.min() / minimum.W.max() for minimum in found.minima[1:]]
    assert any(abs(minimum.W).min() > 0.6 for minimum in found.minima[1:]), ratios


def test_aligned_and_opposed_minima_tie_at_full_density(exact_total: TotalLoss) -> None:
    """At density 1, x and 1 − x have the same law, and that maps one to the other."""
    found = global_minimum(2, 1, density=1, importance=[1, 1], starts=64)
    opposed, aligned = sorted(found.minima[:2], key=lambda minimum: minimum.W.prod())
    assert opposed.W.prod() < 0 < aligned.W.prod()
    np.testing.assert_allclose(opposed.loss, aligned.loss, rtol=SAME_MINIMUM)
    W, b = opposed.W, opposed.b
    weak = int(abs(W[0]).argmin())
    flipped, shifted = W.copy(), b + W[0] * W[0, weak]
    flipped[0, weak] *= -1
    shifted[weak] = b[weak] + W[0, weak] * W[0, 1 - weak]
    order = slice(None) if abs(aligned.W[0]).argmin() == weak else slice(None, None, -1)
    sign = np.sign(flipped[0].sum() * aligned.W[0].sum())
    np.testing.assert_allclose(sign * flipped[:, order], aligned.W, atol=1e-6)
    np.testing.assert_allclose(shifted[order], aligned.b, atol=1e-6)
    exact = exact_total(aligned.W, aligned.b, 1, [1, 1])
    np.testing.assert_allclose(aligned.loss, exact, rtol=1e-12)
    assert exact < 0.9995 * dropped(1)


def test_same_sign_local_minimum(exact_total: TotalLoss) -> None:
    """About half of all starts of (2, 1) end where both weights have one sign."""
    found = global_minimum(2, 1, density=0.3, importance=[1, 1], starts=256)
    assert len(found.minima) == 2
    best, stuck = found.minima
    assert best.W.prod() < 0 < stuck.W.prod()
    assert stuck.loss == pytest.approx(0.0753732774572737, rel=1e-12)
    assert 0.4 < stuck.count / 256 < 0.6
    # It is a local minimum of the exact loss, not of its implementation.
    exact = exact_total(stuck.W, stuck.b, 0.3, [1, 1])
    np.testing.assert_allclose(stuck.loss, exact, rtol=1e-12)
    rng = np.random.default_rng(0)
    for _ in range(200):
        step = rng.standard_normal(4)
        step *= 10 ** rng.uniform(-4, -2) / np.linalg.norm(step)
        assert exact_total(stuck.W + step[:2], stuck.b + step[2:], 0.3, [1, 1]) > exact


ANGLES = np.pi / 2 + 2 * np.pi * np.arange(3) / 3


def triangle(s: float) -> tuple[Floats, Floats]:
    ends = descend([np.cos(ANGLES), np.sin(ANGLES)], [0.1] * 3, density=s, importance=[1, 1, 1])
    return ends.W, ends.b


def digon(s: float) -> tuple[Floats, Floats]:
    """The best antipodal pair in one dimension, and a feature of its own in the other."""
    ends = descend([[0.9, -0.9]], [0.15] * 2, density=s, importance=[1, 1])
    W = np.zeros((2, 3))
    W[0, :2], W[1, 2] = ends.W[0], 1
    return W, np.append(ends.b, 0)


@pytest.mark.parametrize(
    ("s", "winner"), [(0.42, digon), (0.521, digon), (0.523, triangle), (0.56, triangle)]
)
def test_triangle_is_the_optimum_on_the_dense_side_only(
    s: float, winner: Callable[[float], tuple[Floats, Floats]], exact_total: TotalLoss
) -> None:
    losses = {kind: exact_total(*kind(s), s, [1, 1, 1]) for kind in (triangle, digon)}
    assert min(losses, key=lambda kind: losses[kind]) is winner
    found = global_minimum(3, 2, density=s, importance=[1, 1, 1], starts=64)
    np.testing.assert_allclose(found.loss, losses[winner], rtol=1e-10)
    G = found.W.T @ found.W
    cosines = np.sort((G / np.sqrt(np.outer(G.diagonal(), G.diagonal())))[np.triu_indices(3, 1)])
    expected = [-1, 0, 0] if winner is digon else [-0.5] * 3
    np.testing.assert_allclose(cosines, expected, atol=1e-6)


def test_triangle_and_digon_cross_once() -> None:
    def difference(s: float) -> float:
        losses = [
            population_loss(*kind(s), density=s, importance=[1, 1, 1]) for kind in (triangle, digon)
        ]
        return float(losses[0] - losses[1])

    assert optimize.brentq(difference, 0.42, 0.56) == pytest.approx(0.52184, abs=1e-5)
    signs = [np.sign(difference(s)) for s in (0.05, 0.2, 0.35, 0.5, 0.55, 0.6, 0.7)]
    assert signs == [1, 1, 1, 1, -1, -1, -1]


def test_notebooks_show_a_table_of_the_minima() -> None:
    found = global_minimum(2, 1, density=0.3, importance=[1, 0.8], starts=32, certify=True)
    html = found._repr_html_()
    rows = ElementTree.fromstring(html).findall("tr")[1:]
    assert len(rows) == len(found.minima)
    for row, minimum in zip(rows, found.minima, strict=True):
        cells = [cell.text for cell in row.findall("td")]
        assert cells[:3] == [
            f"{minimum.loss:.9g}", f"{minimum.count / 32:.1%}", minimum.kind
        ]  # fmt: skip
