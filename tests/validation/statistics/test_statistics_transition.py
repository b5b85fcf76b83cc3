"""Location of a transition. Oracles: simulation of coverage, SciPy's optimizer, symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from superposition.validation.statistics import fit_transition, simulated_counts
from superposition.validation.statistics.transition import ACCIDENTS

POSITIONS = np.arange(10.0)


@pytest.mark.parametrize(
    ("width", "stay_behind"),
    [(0.001, 0.0), (0.3, 0.2), (1.0, 0.0)],
    ids=["step", "sharp-with-stuck", "wide"],
)
def test_intervals_cover_as_often_as_they_say(width: float, stay_behind: float) -> None:
    """At least 95 % up to five standard errors, which are 0.0138 for 250 data sets."""
    sets = 250
    location = np.random.default_rng(3).uniform(2.5, 6.5, sets)
    far = simulated_counts(
        POSITIONS, location=location, width=width, stay_behind=stay_behind, trials=8, seed=4
    )
    found = fit_transition(POSITIONS, far, 8, resamples=60)
    covered = ((found.low <= location) & (location <= found.high)).mean()
    assert covered >= 0.95 - 5 * np.sqrt(0.95 * 0.05 / sets)
    # An interval of the whole axis would cover too.
    assert np.median(found.high - found.low) < 3.0


def test_interval_of_a_lower_level_is_shorter_and_covers_less() -> None:
    location = np.random.default_rng(5).uniform(2.5, 6.5, 120)
    far = simulated_counts(POSITIONS, location=location, width=1.0, trials=20, seed=6)
    narrow, wide = (fit_transition(POSITIONS, far, 20, level=x, resamples=60) for x in (0.5, 0.95))
    assert ((narrow.high - narrow.low) < (wide.high - wide.low)).mean() > 0.95
    covered = ((narrow.low <= location) & (location <= narrow.high)).mean()
    assert 0.4 < covered < 0.9


def test_interval_of_separated_sides_is_the_gap() -> None:
    found = fit_transition([0.0, 1.0, 3.0, 4.0], [0, 0, 9, 9], 9)
    assert [float(x) for x in (found.low, found.location, found.high)] == [1.0, 2.0, 3.0]


def test_location_is_that_of_maximum_likelihood() -> None:
    """SciPy's optimizer on the same likelihood, with free parameters; the grid has steps of 0.1."""
    far = simulated_counts(
        POSITIONS, location=[4.3], width=0.8, stay_behind=0.1, trials=400, seed=7
    )[0]

    def cost(parameters: np.ndarray) -> float:
        mu, log_tau, behind = parameters
        p = ACCIDENTS + (1 - behind - ACCIDENTS) / (1 + np.exp((mu - POSITIONS) / np.exp(log_tau)))
        return -float((far * np.log(p) + (400 - far) * np.log(1 - p)).sum())

    best = minimize(cost, [4.0, 0.0, 0.2], method="Nelder-Mead", options={"maxiter": 2000})
    found = fit_transition(POSITIONS, far, 400)
    assert found.location == pytest.approx(best.x[0], abs=0.1)
    assert abs(np.log(found.width) - best.x[1]) < np.log(1.33)  # one value of τ to the next
    assert found.low < 4.3 < found.high


def test_ends_of_an_interval_are_equally_far_for_symmetric_data() -> None:
    share = 1 / (1 + np.exp(4.5 - POSITIONS))
    found = fit_transition(
        POSITIONS, np.rint(200 * share).astype(int), 200, level=0.5, resamples=400
    )
    assert found.location == pytest.approx(4.5, abs=0.05)
    assert found.location - found.low == pytest.approx(found.high - found.location, rel=0.35)


def test_simulated_counts_follow_the_model() -> None:
    """p(μ + τ) = 0.01 + (0.99 − λ)/(1 + 1/e), within five standard errors."""
    drawn = simulated_counts(
        [0.0, 1.0, 2.0], location=np.full(4000, 0.5), width=0.5, stay_behind=0.2, trials=5, seed=9
    )
    p = 0.01 + 0.79 / (1 + np.exp(-1.0))
    assert drawn[:, 1].mean() / 5 == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / 20_000))


def test_models_that_stay_behind_do_not_move_the_location() -> None:
    far = np.array([0, 0, 0, 0, 5, 14, 14, 14, 14, 14])  # 30 % of 20 stay behind
    found = fit_transition(POSITIONS, far, 20)
    assert found.low > 3.0
    assert found.high < 5.1
    assert found.stay_behind == pytest.approx(0.3)


def test_scale_and_shift_of_the_axis() -> None:
    far = [0, 1, 0, 3, 6, 8, 8, 8, 7, 8]
    first, second = (fit_transition(x, far, 8) for x in (POSITIONS, 5 + 0.25 * POSITIONS))
    for name in ("location", "low", "high"):
        assert getattr(second, name) == pytest.approx(5 + 0.25 * getattr(first, name), abs=1e-12)


def test_data_sets_at_once_are_data_sets_one_by_one() -> None:
    far = simulated_counts(POSITIONS, location=[2.2, 4.0, 7.1], width=0.5, trials=6, seed=8)
    together = fit_transition(POSITIONS, far, 6)
    alone = [fit_transition(POSITIONS, row, 6).location for row in far]
    np.testing.assert_array_equal(together.location, alone)


def test_one_sided_data_have_no_location() -> None:
    found = fit_transition(POSITIONS, np.stack([np.zeros(10, int), np.full(10, 3)]), 3)
    assert np.isnan(found.location).all()
    assert np.isnan(found.high).all()


def test_positions_without_models_say_nothing() -> None:
    trials = np.array([8, 0, 8, 0, 8, 8, 8, 0, 8, 8])
    far = np.where(POSITIONS > 5, trials, 0)
    assert fit_transition(POSITIONS, far, trials).location == pytest.approx(5.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0, 1], 2), "at least 3 increasing positions"),
        (([0, 2, 1], [0, 1, 2], 2), "at least 3 increasing positions"),
        (([0, 1, 2], [0, 1], 2), "one entry per position"),
        (([0, 1, 2], [0, 1, 3], 2), "integers from 0 to trials"),
        (([0, 1, 2], [0.0, 0.5, 1.0], 1), "count models, do not average them"),
    ],
)
def test_refuses_what_it_cannot_use(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_transition(*arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        fit_transition([0, 1, 2], [0, 1, 2], 2, level=95)
    with pytest.raises(ValueError, match="resamples must be at least 1"):
        fit_transition([0, 1, 2], [0, 1, 2], 2, resamples=0)
