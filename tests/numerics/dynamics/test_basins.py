"""Where starts end, against SciPy's integrator, theory's stability lines, and symmetries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from superposition.numerics import Normal, Protocol
from superposition.numerics.dynamics.basin_routes import basin_ends
from superposition.numerics.dynamics.basins import (
    BASINS,
    basin_of,
    basin_probabilities,
    wilson_interval,
)
from superposition.numerics.dynamics.gradient_flow import gradient_flow
from superposition.numerics.dynamics.small_starts import critical_angle, same_sign_probability
from superposition.numerics.minima.curvature import curvature
from superposition.theory import s
from superposition.theory.landscape import stability_line

OPPOSITE, SAME, FIRST, SECOND, DEAD, NONE = range(len(BASINS))

SGD = Protocol(
    name="sgd", optimizer="sgd", learning_rate=0.05, steps=4000, batch_size=64,
    weight_init=Normal(1.0),
)  # fmt: skip


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (10, 10), (512, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_interval(count: int, total: int, confidence: float) -> None:
    """Oracle: SciPy."""
    theirs = stats.binomtest(count, total).proportion_ci(confidence, method="wilson")
    ours = wilson_interval(count, total, confidence)
    np.testing.assert_allclose(ours, (theirs.low, theirs.high), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("arguments", [(1, 0), (-1, 5), (6, 5), (1, 5, 1.0)])
def test_wilson_interval_of_nonsense(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"counts must be between|confidence must be in"):
        wilson_interval(*arguments)


@pytest.mark.parametrize(
    ("W", "b", "name"),
    [
        ([[1, -0.9]], [0, 0], "opposite signs"),
        ([[-1, -0.4]], [0, 0], "same sign"),
        ([[-1, 1e-4]], [0, 0.2], "first only"),
        ([[1e-4, 1]], [0.2, 0], "second only"),
        ([[1, 0]], [0, -0.1], "dead output"),
        ([[1e-4, 0]], [0.1, 0.1], "no feature"),
    ],
)
def test_names(W: Any, b: Any, name: str) -> None:
    assert BASINS[int(basin_of(W, b))] == name


def test_names_are_for_two_features() -> None:
    with pytest.raises(ValueError, match=r"basins have names for W of shape \(..., 1, 2\)"):
        basin_of(np.ones((2, 3)), np.ones(3))


@pytest.mark.parametrize(("density", "r"), [(0.05, 1.0), (0.3, 0.7), (0.8, 0.95)])
def test_ends_are_those_of_another_integrator(density: float, r: float) -> None:
    """Oracle: LSODA at a tight tolerance, from the same starts."""
    model: dict[str, Any] = {"density": density, "importance": [1, r]}
    ends = basin_ends(2, 1, **model, starts=8, seed=5)
    assert ends.settled.all()
    flow = gradient_flow(
        ends.start, np.zeros(2), **model, solver="LSODA", tolerance=1e-6, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(ends.W, flow.W, rtol=0, atol=1e-4)
    np.testing.assert_allclose(ends.b, flow.b, rtol=0, atol=1e-4)
    assert (ends.loss <= flow.loss * (1 + 1e-12)).all()


def test_importance_and_labels_may_be_exchanged() -> None:
    """Oracle: the loss at (1, r) with features exchanged is r times that at (1, 1/r)."""
    one = basin_probabilities(2, 1, density=0.3, importance=[1, 0.25], starts=400, seed=1)
    two = basin_probabilities(2, 1, density=0.3, importance=[1, 4.0], starts=400, seed=2)
    exchanged = {"first only": "second only", "opposite signs": "opposite signs"}
    shares = {basin.name: basin.probability for basin in two.basins}
    for basin in one.basins:
        p = basin.probability
        error = np.sqrt(2 * p * (1 - p) / 400)
        assert abs(p - shares.get(exchanged.get(basin.name, basin.name), 0.0)) <= 5 * error
    assert one.optimum == pytest.approx(two.optimum * 0.25, rel=1e-9)


def test_shares_and_intervals() -> None:
    found = basin_probabilities(2, 1, density=0.3, importance=[1, 1], starts=100)
    assert [basin.name for basin in found.basins] == ["opposite signs", "same sign"]
    assert sum(basin.minimum.count for basin in found.basins) + found.unsettled == found.starts
    for basin in found.basins:
        assert basin.kind == "minimum"
        assert basin.interval[0] < basin.probability < basin.interval[1]
    assert found.basins[0].minimum.loss == pytest.approx(found.optimum, rel=1e-9)


def test_a_saddle_that_catches_starts() -> None:
    """A kink lets the dedicated feature attract starts on one side where it is no minimum.

    Oracle: theory's second variations, by which it is stable to a second weight of equal sign and
    unstable to one of opposite sign; and LSODA, which also ends there.
    """
    density, r = 0.5, 0.6
    opposed, aligned = (
        float(stability_line(aligned=side).relative_importance.subs(s, density))
        for side in (False, True)
    )
    assert opposed < r < aligned
    found = basin_probabilities(2, 1, density=density, importance=[1, r], starts=60)
    trap = next(basin for basin in found.basins if basin.name == "first only")
    assert trap.kind == "saddle"
    assert trap.interval[0] > 0.3
    model: dict[str, Any] = {"density": density, "importance": [1, r]}
    flow = gradient_flow([[0.9, 0.5]], [0, 0], **model, solver="LSODA", tolerance=1e-8, rtol=1e-9,
                         atol=1e-13)  # fmt: skip
    np.testing.assert_allclose(flow.W, [[1, 0]], atol=1e-5)
    assert flow.W[0, 1] > 0
    assert curvature([[1, 0]], [0, density / 2], **model).kind == "saddle"


def test_starts_are_shared() -> None:
    ends = basin_ends(
        2, 1, density=[0.2, 0.6], importance=[[1, 1]], scale=[0.1, 2.0], starts=4, seed=9
    )
    np.testing.assert_allclose(ends.start[0] * 20, ends.start[1], rtol=1e-14)
    more = basin_ends(2, 1, density=0.2, importance=[1, 1], scale=0.1, starts=6, seed=9)
    np.testing.assert_array_equal(more.start[:4], ends.start[0])
    np.testing.assert_array_equal(more.W[:4], ends.W[0])


def test_small_steps_end_where_flow_does() -> None:
    """Oracle: gradient flow; SGD with a small rate follows it, but for starts on a boundary."""
    model: dict[str, Any] = {"density": 0.4, "importance": [1, 0.8], "starts": 60}
    flow, sgd = basin_ends(2, 1, **model), basin_ends(2, 1, **model, route=SGD)
    assert sgd.settled.all()
    assert (basin_of(flow.W, flow.b) == basin_of(sgd.W, sgd.b)).mean() >= 0.95
    sampled = basin_ends(2, 1, **model, route=replace(SGD, steps=500), sampled=True)
    assert (basin_of(flow.W, flow.b) == basin_of(sampled.W, sampled.b)).mean() >= 0.8


def test_diverged_training_is_not_settled() -> None:
    wild = replace(SGD, learning_rate=50.0, steps=30)
    ends = basin_ends(2, 1, density=0.4, importance=[1, 1], starts=5, route=wild)
    assert not ends.settled.any()
    assert np.isfinite(ends.optimum)


def test_three_features() -> None:
    found = basin_probabilities(3, 2, density=0.1, importance=[1, 1, 1], starts=20)
    assert found.unsettled == 0
    assert [basin.name for basin in found.basins] == [""]
    assert found.basins[0].interval[1] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": 0.0}, "scale must be finite and above 0, got 0.0"),
        ({"sampled": True}, "gradient flow has no samples; pass a Protocol as route"),
        ({"density": [0.1, 0.2]}, None),
        ({"starts": 0}, "the number of starts must be an integer of at least 1, got 0"),
        ({"confidence": 2.0}, r"confidence must be in \(0, 1\), got 2.0"),
        ({"route": "downhill"}, "protocol must be a Protocol or one of"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str | None) -> None:
    arguments: dict[str, Any] = {"density": 0.1, "importance": [1, 1], "starts": 2} | changes
    if message is None:  # two densities are one per feature; two models are refused
        assert basin_probabilities(2, 1, **arguments).starts == 2
        arguments["density"], message = [[0.1], [0.2]], r"one model, got a batch of shape \(2,\)"
    with pytest.raises(ValueError, match=message):
        basin_probabilities(2, 1, **arguments)


# --- small starts --------------------------------------------------------------------------------


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_first_stage_is_a_kick(density: float) -> None:
    """Oracle: the exponential of the integral of M, worked out in `small_starts`."""
    T, sigma = 4.0, 1e-7
    W = sigma * np.array([[[1.0, 1.0]], [[1.0, -1.0]]])
    flow = gradient_flow(
        W, np.zeros(2), density=density, importance=[1, 1], until=T, tolerance=1e-12, rtol=1e-9,
        atol=1e-17,
    )  # fmt: skip
    v = density / 3 - density**2 / 4
    growth = np.exp(4 * v * T + np.array([density**2 * (1 - np.exp(-2 * T)), 0.0]))
    np.testing.assert_allclose(abs(flow.W[:, 0, 0]) / sigma, growth, rtol=1e-5)
    np.testing.assert_allclose(flow.W[:, 0, 1] / flow.W[:, 0, 0], [1, -1], rtol=1e-6)


def test_critical_angle_at_low_density() -> None:
    """Oracle: the push along the axis, (s/2) Δ(b_1 + b_2) with b_1 falling from s/2 to 0."""
    density = np.array([0.05, 0.1, 0.2])
    np.testing.assert_allclose(
        critical_angle(density) / density**2, 0.25, rtol=0, atol=0.1 * density.max() ** 2
    )
    probability = same_sign_probability(density)
    np.testing.assert_allclose(
        probability, 0.5 + density**2 / (2 * np.pi), rtol=0, atol=density.max() ** 4
    )


def test_small_starts_end_as_predicted() -> None:
    """Oracle: gradient flow from σ = 0.01, start by start."""
    density = np.array([0.3, 0.6, 0.9])
    ends = basin_ends(2, 1, density=density, importance=[[1, 1]], scale=0.01, starts=200)
    names = basin_of(ends.W, ends.b)
    assert set(np.unique(names)) == {OPPOSITE, SAME}
    first, second = ends.start[..., 0, 0], ends.start[..., 0, 1]
    slope = np.exp(density**2) * np.tan(np.pi / 4 - critical_angle(density))
    predicted = abs(first - second) < slope[:, None] * abs(first + second)
    # A start is off by about σ² in its direction: none of 600 is expected to be that close.
    assert ((names == SAME) == predicted).all()
    probability = same_sign_probability(density)
    error = np.sqrt(probability * (1 - probability) / 200)
    assert (abs((names == SAME).mean(axis=-1) - probability) <= 5 * error).all()


def test_unequal_importance_selects_opposite_signs() -> None:
    """With r ≠ 1 the slower feature comes late, when the biases have pushed it to the other sign.

    Oracle: the power law of `small_starts` says that lost starts become fewer with σ.
    """
    ends = basin_ends(
        2, 1, density=0.3, importance=[[1, 0.5]], scale=[1e-1, 1e-3, 1e-5], starts=100
    )
    lost = basin_of(ends.W, ends.b) != OPPOSITE
    assert (lost[1:] <= lost[:-1]).all()
    counts = lost.sum(axis=-1)
    assert counts[0] > 1.3 * counts[1] > 5 * counts[2]


@pytest.mark.parametrize("density", [0.0, 1.0, [0.1, -0.2]])
def test_small_starts_have_a_density(density: Any) -> None:
    with pytest.raises(ValueError, match=r"density must be in \(0, 1\), got"):
        critical_angle(density)


def test_the_smallest_starts_leave_the_saddle_beside_which_they_begin() -> None:
    """What the scale decides is when they leave, not whither: the limit of small starts."""
    model: dict[str, Any] = {"density": 0.3, "importance": [1, 1], "starts": 24}
    small, tiny = (basin_ends(2, 1, **model, scale=scale) for scale in (1e-5, 1e-12))
    assert tiny.settled.all()
    assert (tiny.kind == "minimum").all()
    np.testing.assert_array_equal(basin_of(tiny.W, tiny.b), basin_of(small.W, small.b))
