"""Masks per batch: which features are on is one draw for all examples of a batch.

Oracles: the definition, counted over many batches within five standard errors; the two engines.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from superposition import Anticorrelated, CoActive, Correlated, Independent, ValueDistribution
from superposition.features import FeatureDistribution
from superposition.numerics import PROTOCOLS, train, training_batch

BATCHES, SIZE = 2000, 6
DISTRIBUTIONS = [
    Independent(),
    CoActive(),
    Correlated([(0, 1)]),
    Anticorrelated([(0, 1)]),
    Independent(ValueDistribution([0, 2])),
    Independent(ValueDistribution([1], symmetric=True)),
]


def batches(features: FeatureDistribution, density: float) -> np.ndarray:
    return np.stack(
        [
            training_batch([density] * 3, SIZE, features=features, mask="batch", step=step)
            for step in range(BATCHES)
        ]
    )


@pytest.mark.parametrize("features", DISTRIBUTIONS, ids=repr)
def test_the_mask_is_one_draw_per_batch(features: FeatureDistribution) -> None:
    density = 0.3
    on = batches(features, density) != 0
    assert (on.all(axis=1) == on.any(axis=1)).all()
    gates = on[:, 0]
    error = 5 * np.sqrt(density * (1 - density) / BATCHES)
    assert abs(gates.mean(axis=0) - density).max() < error
    together = (gates[:, 0] & gates[:, 1]).mean()
    expected = {"Independent": density**2, "Anticorrelated": 0.0}.get(
        type(features).__name__, density
    )
    assert abs(together - expected) < error


def test_values_stay_independent_in_a_batch() -> None:
    x = batches(Independent(), 0.5)
    values = x[x[:, 0, 0] > 0][:, :, 0]
    assert abs(values.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / values.size)
    assert abs(values.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / values.size)
    correlation = np.corrcoef(values.T) - np.eye(SIZE)
    assert abs(correlation).max() < 5 / np.sqrt(len(values))


def test_a_larger_batch_begins_like_a_smaller_one() -> None:
    first = training_batch([0.5] * 4, 3, mask="batch", seed=1)
    np.testing.assert_array_equal(first, training_batch([0.5] * 4, 50, mask="batch", seed=1)[:3])


@pytest.mark.parametrize("features", DISTRIBUTIONS, ids=repr)
def test_both_engines_see_the_same_data(features: FeatureDistribution) -> None:
    """Batches of 40 span more than one block of the compiled engine."""
    protocol = replace(PROTOCOLS["roe2023-code"], steps=60, batch_size=40)
    fused, tensors = (
        train(
            2, 1, density=[[0.2] * 2, [0.5] * 2], importance=[1, 0.7], protocol=protocol, replicas=2,
            features=features, engine=engine, dtype=torch.float64,
        )
        for engine in ("fused", "torch")
    )  # fmt: skip
    np.testing.assert_allclose(fused.W, tensors.W, rtol=0, atol=1e-12)
    per_example = train(
        2, 1, density=[[0.2] * 2, [0.5] * 2], importance=[1, 0.7], protocol=replace(protocol, mask="example"),
        replicas=2, features=features, dtype=torch.float64,
    )  # fmt: skip
    assert abs(per_example.W - fused.W).max() > 1e-3


def test_other_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="mask must be one of example, batch, got 'row'"):
        training_batch([0.5], 2, mask="row")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mask must be one of example, batch"):
        replace(PROTOCOLS["roe2023"], mask="step")  # type: ignore[arg-type]
