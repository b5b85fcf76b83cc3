"""Measurements: oracles are closed forms of the intervals, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from superposition.validation.reproduction.measurement import Measurement


@pytest.mark.parametrize("trials", [1, 10, 50])
def test_the_interval_of_no_success_and_of_all_is_known_in_closed_form(trials: int) -> None:
    edge = 1 - 0.025 ** (1 / trials)
    none, all_of_them = Measurement.share(0, trials), Measurement.share(trials, trials)
    assert (none.low, none.value) == (0.0, 0.0)
    assert none.high == pytest.approx(edge, abs=1e-12)
    assert (all_of_them.high, all_of_them.value) == (1.0, 1.0)
    assert all_of_them.low == pytest.approx(1 - edge, abs=1e-12)


def test_the_interval_of_a_mean_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = []
    for seed in range(200):
        found = Measurement.mean(rng.normal(3.0, 2.0, 40), seed)
        held.append(found.low <= 3.0 <= found.high)
    assert 0.88 <= np.mean(held) <= 0.99  # 95 %, less the bootstrap's known shortfall at 40


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
