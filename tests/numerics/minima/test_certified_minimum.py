"""Certified minima of two features in one dimension, against searches and exact losses."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import sympy

from superposition.numerics import global_minimum, population_loss
from superposition.numerics.minima.certified import CertifiedMinimum, Minimizers, certified_minimum
from superposition.numerics.minima.certified.cores import Core
from superposition.numerics.minima.certified.minimum import _distinct
from superposition.numerics.minima.certified.region import search_region
from superposition.theory import expected_loss

Losses = Callable[..., list[Fraction]]

TRIPLE_POINT = (0.51173803211760022659, 0.56413136534766603230)  # three phases tie
PAIR_ENDS = (0.70640369267321760, 1.0)  # pair and partial superposition tie
PAIR_MEETS_DEDICATED = (0.5, 0.53573876406532962)

MODELS = [
    (1e-4, 1.0, 0.0),
    (0.02, 1.0, 0.0),
    (0.05, 0.1, 0.0),
    (0.3, 0.3, 0.0),
    (0.5, 1.0, 0.0),
    (0.5, 3.0, 0.0),
    (0.6, 0.62, 0.0),
    (0.8, 0.9, 0.0),
    (0.9, 0.2, 0.0),
    (1.0, 0.8, 0.0),
    (0.2, 1.0, 0.01),
    (0.4, 0.9, 0.05),
    (0.3, 1.0, 0.5),
    (*TRIPLE_POINT, 0.0),
    (*PAIR_ENDS, 0.0),
    (*PAIR_MEETS_DEDICATED, 0.0),
]


def exact_loss(found: CertifiedMinimum, density: Any, importance: Any, penalty: float, losses: Losses) -> Fraction:  # fmt: skip
    """Σ I_i E (x_i − x̂_i)² + 2 λ (W₁W₂)² in fractions, of the model that was returned."""
    W = [Fraction(float(w)) for w in found.W[0]]
    outputs = losses(found.W.tolist(), found.b.tolist(), density)
    total = sum((Fraction(i) * x for i, x in zip(importance, outputs, strict=True)), Fraction(0))
    return total + 2 * Fraction(penalty) * (W[0] * W[1]) ** 2


@pytest.mark.parametrize(("density", "relative", "penalty"), MODELS)
def test_bounds_enclose_what_searches_find(
    density: float, relative: float, penalty: float, exact_losses: Losses
) -> None:
    """No descent goes below `lower`; the returned model has, in fractions, at most `upper`."""
    importance = [1.0, relative]
    found = certified_minimum(density=density, importance=importance, penalty=penalty)
    assert found.certified
    assert 0 < found.lower <= found.upper
    assert found.gap <= found.rtol == 1e-6
    searched = global_minimum(
        2, 1, density=density, importance=importance, penalty=penalty, starts=100, seed=5
    )
    # The loss that descent reports is rounded, to about 1e-15 of the largest term.
    assert searched.loss >= found.lower - 1e-15
    assert searched.loss <= found.upper * (1 + 1e-9)
    exact = exact_loss(found, density, importance, penalty, exact_losses)
    assert Fraction(found.lower) <= exact <= Fraction(found.upper)
    assert found.minimizers
    assert any(holds(m, searched.W, searched.b, relative == 1.0) for m in found.minimizers)


def holds(minimizers: Minimizers, W: Any, b: Any, alike: bool) -> bool:
    """Whether a model or a symmetric copy is in a box, as far as descent converged."""
    slack = 1e-6
    orders = [[0, 1], [1, 0]] if alike else [[0, 1]]
    return any(
        ((minimizers.W[0] - slack <= copy) & (copy <= minimizers.W[1] + slack)).all()
        and ((minimizers.b[0] - slack <= b[order]) & (b[order] <= minimizers.b[1] + slack)).all()
        for order in orders
        for copy in (W[:, order], -W[:, order])
    )


@pytest.mark.parametrize(
    ("density", "relative", "sign", "ratio"),
    [
        (0.1, 1.0, -1, (0.999, 1.0)),  # antipodal, and equal by symmetry
        (0.3, 0.3, -1, (0.85, 0.86)),  # antipodal
        (0.8, 1.0, -1, (0.47, 0.49)),  # partial superposition
        (0.9, 0.2, 0, (0.0, 1e-6)),  # dedicated
    ],
)
def test_the_optimum_is_unique_up_to_symmetry(
    density: float, relative: float, sign: int, ratio: tuple[float, float]
) -> None:
    """The four phases, at points well inside of them (theory/landscape proves where they end)."""
    found = certified_minimum(density=density, importance=[1, relative])
    assert found.certified
    assert found.unique
    (minimizers,) = found.minimizers
    assert minimizers.sign == sign
    assert ratio[0] <= minimizers.length_ratio[0] <= minimizers.length_ratio[1] <= ratio[1]


def test_ties_have_as_many_minimizers_as_phases_meet() -> None:
    """At a float next to a tie both minima are below `upper`, or cannot be told from it."""
    pair, partial = certified_minimum(density=PAIR_ENDS[0], importance=[1, 1]).minimizers
    assert pair.at_most_one
    assert partial.at_most_one
    assert pair.length_ratio[0] > 0.999
    assert partial.length_ratio[1] < 0.57
    found = certified_minimum(density=TRIPLE_POINT[0], importance=[1, TRIPLE_POINT[1]])
    assert not found.unique
    assert sorted(m.sign for m in found.minimizers) == [-1, 0]  # the other two meet continuously


def test_opposed_and_aligned_tie_at_full_density() -> None:
    """x and 1 − x have the same law there, and flipping a column costs nothing."""
    found = certified_minimum(density=1, importance=[1, 1])
    assert found.certified
    assert sorted(m.sign for m in found.minimizers) == [-1, 1]
    assert all(m.at_most_one for m in found.minimizers)


def test_dropped_feature_has_the_loss_of_theory() -> None:
    """r (s/3 − s²/4), derived by SymPy; and so has the antipodal pair its polynomial."""
    for density, relative in ((Fraction(3, 4), Fraction(1, 4)), (Fraction(1), Fraction(1, 2))):
        found = certified_minimum(density=float(density), importance=[1, float(relative)])
        theory = expected_loss(
            [[1, 0]], [0, density / 2], density=density, importance=(1, relative)
        )
        assert found.lower <= float(theory) <= found.upper * (1 + 1e-15)
        assert sympy.Abs(theory - sympy.Rational(found.upper)) < 1e-12


def test_exchanging_the_features_exchanges_the_answer() -> None:
    first = certified_minimum(density=[0.3, 0.5], importance=[1, 0.4])
    second = certified_minimum(density=[0.5, 0.3], importance=[0.4, 1])
    assert (first.lower, first.upper) == pytest.approx((second.lower, second.upper), rel=1e-6)
    assert first.certified
    np.testing.assert_allclose(np.abs(first.W), np.abs(second.W[:, ::-1]), atol=1e-3)
    loss = population_loss(second.W, second.b, density=[0.5, 0.3], importance=[0.4, 1])
    assert second.lower <= float(loss) <= second.upper * (1 + 1e-12)
    assert second.minimizers[0].lengths.shape == (2, 2)
    assert holds(second.minimizers[0], second.W, second.b, False)


def test_doubling_importance_doubles_the_bounds() -> None:
    """Exactly, because doubling floats is exact."""
    one = certified_minimum(density=0.4, importance=[1, 0.5])
    two = certified_minimum(density=0.4, importance=[2, 1])
    assert two.upper == 2 * one.upper
    assert two.lower == pytest.approx(2 * one.lower, rel=1e-12)


def test_a_penalty_beyond_all_thresholds_leaves_the_dropped_feature() -> None:
    found = certified_minimum(density=0.2, importance=[1, 1], penalty=10.0)
    assert found.unique
    assert found.upper == pytest.approx(0.2 / 3 - 0.01, rel=1e-12)
    assert found.minimizers[0].length_ratio[1] < 1e-6


def test_small_budgets_leave_a_gap_and_say_so() -> None:
    gaps = []
    searched = global_minimum(2, 1, density=0.5, importance=[1, 1], starts=50).loss
    for budget in (100, 1000, 5000, 400_000):
        found = certified_minimum(density=0.5, importance=[1, 1], max_boxes=budget)
        assert found.lower <= searched * (1 + 1e-12)
        assert found.upper >= searched * (1 - 1e-12)
        assert found.certified == (found.gap <= 1e-6)
        gaps.append(found.gap)
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.1
    assert gaps[-1] < 1e-6


def test_a_wider_gap_takes_fewer_boxes() -> None:
    budget = 10_000
    coarse = certified_minimum(density=0.8, importance=[1, 1], rtol=0.2, max_boxes=budget)
    fine = certified_minimum(density=0.8, importance=[1, 1], max_boxes=budget)
    assert coarse.certified
    assert not fine.certified
    assert fine.gap > 1e-6


@pytest.mark.parametrize(
    ("density", "importance"), [(0, [1, 1]), (0.5, [1, 0]), (0.5, [0, 1]), ([0.5, 0], [1, 1])]
)
def test_nothing_is_lost_where_one_feature_does_not_count(density: Any, importance: Any) -> None:
    found = certified_minimum(density=density, importance=importance)
    assert found.lower == found.upper == found.gap == 0.0
    assert found.certified
    loss = population_loss(found.W, found.b, density=density, importance=importance)
    assert float(loss) == 0.0


def test_a_first_weight_of_zero_has_both_signs_in_the_search_region() -> None:
    """The feature of the larger I s is dropped: x of density 1 is the cheaper one to replace."""
    found = certified_minimum(density=[1.0, 0.5], importance=[1, 1.99])
    assert found.certified
    assert found.unique
    assert found.minimizers[0].lengths[:, 0].max() < 1e-3
    assert found.upper == pytest.approx(1 / 12, rel=1e-6)


@pytest.mark.parametrize(("density", "relative"), [(0.05, 1.0), (0.5, 0.3), (1.0, 1.0)])
def test_biases_outside_of_the_region_kill_an_output_or_keep_it_above_one(
    density: float, relative: float
) -> None:
    """The oracle is the preactivation at the vertices of the inputs, where its extremes are."""
    importance, densities = np.array([1.0, relative]), np.full(2, density)
    loss = float((importance * (density / 3 - density**2 / 4)).min()) * (1 - 1e-9)
    region = search_region(importance, densities, loss)
    vertices = np.array(list(product((0.0, 1.0), repeat=2)))
    for W in product(*region[:2]):
        preactivation = vertices @ np.outer(W, W)
        for i in range(2):
            assert region[2 + i, 0] <= -preactivation[:, i].max()  # below, the output is dead
            assert region[2 + i, 1] >= 1 - preactivation[:, i].min()  # above, it is at least 1


def test_boxes_that_overlap_hold_two_minimizers_unless_a_core_says_otherwise() -> None:
    """One minimizer is a copy of another only where its whole box is in the core of that."""
    sides = np.array([[0.0, 0.1], [0.0, 0.1], [0.0, 0.1], [0.0, 0.1]])
    one, other = 1.0 + sides, 1.09 + sides  # they overlap
    cores = [Core(one, 0.0, one), Core(other, 0.0, other)]
    clusters = [(one, True), (other, True)]
    assert len(_distinct(clusters, cores, alike=False)) == 2
    wide = [Core(1.0 + 2 * sides, 0.0, one), cores[1]]
    assert len(_distinct(clusters, wide, alike=False)) == 1


def test_length_ratio_and_sign_of_a_box() -> None:
    def box(low: list[float], high: list[float]) -> Minimizers:
        return Minimizers(np.array([[low], [high]]), np.zeros((2, 2)), True)

    rng = np.random.default_rng(0)
    for _ in range(50):
        ends = np.sort(rng.normal(size=(2, 2)), axis=0)
        some = box(ends[0].tolist(), ends[1].tolist())
        W = rng.uniform(ends[0], ends[1], size=(500, 2))
        ratios = np.abs(W).min(axis=1) / np.abs(W).max(axis=1)
        assert some.length_ratio[0] <= ratios.min()
        assert ratios.max() <= some.length_ratio[1]
        signs = np.sign(W.prod(axis=1))
        assert some.sign == 0 or (signs == some.sign).all()
    assert box([1.0, -0.5], [1.0, -0.5]).length_ratio == (0.5, 0.5)
    assert box([1.0, -0.5], [1.0, -0.4]).sign == -1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"density": 1.5, "importance": [1, 1]}, "density"),
        ({"density": 0.5, "importance": [1, 1, 1]}, r"shape \(\.\.\., 2\)"),
        ({"density": [0.1, 0.5, 0.9], "importance": [1, 1]}, "one model"),
        ({"density": 0.5, "importance": [1, 1], "penalty": -1.0}, "penalty"),
        ({"density": 0.5, "importance": [1, 1], "rtol": 0.0}, "rtol must be positive"),
        ({"density": 0.5, "importance": [1, 1], "max_boxes": 0}, "max_boxes must be an integer"),
        ({"density": 0.5, "importance": [1, 1], "max_boxes": 1.5}, "max_boxes must be an integer"),
        ({"density": 0.5, "importance": [1, 1], "penalty": [1, 2]}, "penalty must be one number"),
        ({"density": 0.3, "importance": [1, 1e-20]}, "rounding hides the minimum of this model"),
        ({"density": 1e-17, "importance": [1, 1], "penalty": 10}, "rounding hides the minimum"),
        ({"density": 1e-200, "importance": [1e-200, 1e-200]}, "rounding hides the minimum"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        certified_minimum(**arguments)
