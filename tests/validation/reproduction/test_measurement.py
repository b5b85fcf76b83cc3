"""Measurements: oracles are closed forms of the intervals, and how often they hold the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from superposition.validation.reproduction.measurement import Measurement


@pytest.mark.parametrize("trials", [1, 10, 50])
def test_the_interval_of_no_success_and_of_all_is_known_in_closed_form(trials: int) -> None:
    edge = 1 - 0.025 ** (1 / trials)
    none, all_of_them = Measurement.share(0, trials), Measurement.share(trials, trials)
    assert (none.low, none.value) == (0.0, 0.0)
    assert none.high == pytest.approx(edge, abs=1e-12)
    assert (all_of_them.high, all_of_them.value) == (1.0, 1.0)
    assert all_of_them.low == pytest.approx(1 - edge, abs=1e-12)


def held(found: list[Measurement], truth: float) -> float:
    """Return the share of measurements whose interval holds the truth."""
    return float(np.mean([each.low <= truth <= each.high for each in found]))


@pytest.mark.parametrize("models", [2, 3, 5, 20])
def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says(models: int) -> None:
    # Five standard errors of a share of 2000. Of three models, percentiles of resampled means
    # would hold it in 75 %.
    samples = np.random.default_rng(models).normal(3.0, 2.0, (2000, models))
    share = held([Measurement.mean(sample) for sample in samples], 3.0)
    assert abs(share - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize("models", [6, 7, 10, 30])
def test_the_interval_of_a_median_holds_it_whatever_the_law(models: int) -> None:
    # Exact by counting signs: P(lost) is twice the binomial probability of fewer values beyond.
    samples = np.random.default_rng(models).exponential(size=(2000, models)) ** 3
    share = held([Measurement.median(sample) for sample in samples], np.log(2) ** 3)
    beyond = max(k for k in range(models) if binom.cdf(k - 1, models, 0.5) <= 0.025)
    wanted = 1 - 2 * binom.cdf(beyond - 1, models, 0.5)
    assert wanted >= 0.95
    assert abs(share - wanted) < 5 * np.sqrt(0.95 * 0.05 / 2000)


def test_points_of_a_grid_may_have_probabilities_of_their_own() -> None:
    """Oracle: the exact law of a sum of unequal trials, by convolution; equal ones have the least."""
    trials = 30
    for unequal in (np.linspace(0.05, 0.95, trials), np.repeat([0.02, 0.6, 0.99], trials // 3)):
        law = np.ones(1)
        for p in unequal:
            law = np.convolve(law, [1 - p, p])
        intervals = [Measurement.share(k, trials) for k in range(trials + 1)]
        mean = unequal.mean()
        inside = sum(
            q for q, each in zip(law, intervals, strict=True) if each.low <= mean <= each.high
        )
        assert inside > 0.97
        equal = binom.pmf(np.arange(trials + 1), trials, mean)
        least = sum(
            q for q, each in zip(equal, intervals, strict=True) if each.low <= mean <= each.high
        )
        assert 0.95 <= least < inside


def test_a_share_of_points_counts_the_models_of_one() -> None:
    found = Measurement.share_of([[True, False], [True, True]], seeds=10)
    assert found == replace(Measurement.share(3, 4), seeds=10)


def test_percentiles_of_models_drawn_anew_are_among_them() -> None:
    again = np.append(np.arange(998.0), [np.inf, np.nan])
    assert Measurement.redrawn(500.0, again, 7) == Measurement(500.0, 25.0, 973.0, 7)
    assert Measurement.redrawn(0.0, again, 7).low == 0.0
    assert Measurement.redrawn(np.inf, again, 7).high == np.inf


def test_fewer_than_six_values_have_no_interval_of_the_median() -> None:
    found = Measurement.median([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.value, found.low, found.high) == (3.0, -np.inf, np.inf)


def test_one_model_says_nothing_of_the_spread() -> None:
    found = Measurement.median([2.0])
    assert (found.value, found.low, found.high) == (2.0, -np.inf, np.inf)


def test_equal_values_have_no_spread() -> None:
    assert Measurement.mean([2.0, 2.0]) == Measurement(2.0, 2.0, 2.0, 2)


def test_what_is_no_measurement_is_refused() -> None:
    with pytest.raises(ValueError, match="must lie in its interval"):
        Measurement(2.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="must lie in its interval"):
        Measurement.exact(np.nan)
    with pytest.raises(ValueError, match="seeds must be"):
        Measurement(0.5, 0.0, 1.0, -1)
    with pytest.raises(ValueError, match="k \\(3\\) must not be greater than n \\(2\\)"):
        Measurement.share(3, 2)


def test_models_with_nothing_to_measure_are_left_out() -> None:
    values = np.array([[1.0, np.nan], [3.0, 2.0]])
    assert Measurement.mean(values) == Measurement.mean([1.0, 3.0, 2.0])
    assert Measurement.median(values).seeds == 3
    assert Measurement.mean([np.nan]) == Measurement.unknown() == Measurement.median([])
    assert str(Measurement.unknown()) == "nothing to measure"
