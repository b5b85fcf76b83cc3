"""Adjusted p-values. Oracles: closed testing and step-up by their definitions, simulation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from superposition.validation.statistics import benjamini_hochberg, holm


def by_closed_testing(p: np.ndarray) -> list[float]:
    """Holm's method is closed testing with Bonferroni's test of every intersection."""
    everyone = range(len(p))
    subsets = [set(c) for size in range(1, len(p) + 1) for c in combinations(everyone, size)]
    return [
        max(min(1.0, len(part) * min(p[j] for j in part)) for part in subsets if i in part)
        for i in everyone
    ]


def rejected_by_step_up(p: np.ndarray, level: float) -> np.ndarray:
    ordered = np.sort(p)
    allowed = [k for k in range(1, len(p) + 1) if ordered[k - 1] <= k * level / len(p)]
    return p <= (ordered[max(allowed) - 1] if allowed else -1.0)


def test_holm_is_closed_testing() -> None:
    for p in np.random.default_rng(0).beta(0.4, 2, size=(20, 6)):
        np.testing.assert_allclose(holm(p), by_closed_testing(p), rtol=1e-12)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_benjamini_hochberg_rejects_as_the_step_up_rule(level: float) -> None:
    for p in np.random.default_rng(1).beta(0.4, 2, size=(50, 7)):
        rejected = benjamini_hochberg(p) <= level
        np.testing.assert_array_equal(rejected, rejected_by_step_up(p, level))


def test_error_rates_by_simulation() -> None:
    """15 true and 5 false hypotheses: both rates within five standard errors of their bounds."""
    rng, sets = np.random.default_rng(2), 4000
    p = rng.random((sets, 20))
    p[:, 15:] *= 1e-3
    false = holm(p)[:, :15] <= 0.05
    bar = 5 * np.sqrt(0.05 * 0.95 / sets)
    assert false.any(axis=1).mean() <= 0.05 + bar
    rejected = benjamini_hochberg(p) <= 0.05
    rate = (rejected[:, :15].sum(axis=1) / np.maximum(rejected.sum(axis=1), 1)).mean()
    # For independent tests the rate is the share of true hypotheses times the level, exactly.
    assert rate == pytest.approx(0.05 * 15 / 20, abs=bar)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_refuses_what_is_no_p_value(adjust: object) -> None:
    assert callable(adjust)
    for wrong in (0.5, [0.5, np.nan], [1.5]):
        with pytest.raises(ValueError, match=r"p_values must be an array of numbers in \[0, 1\]"):
            adjust(wrong)
