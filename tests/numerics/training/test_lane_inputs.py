"""The blocks of inputs of compiled training, against the sampler whose law is tested elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from superposition import (
    Anticorrelated,
    CoActive,
    Correlated,
    Independent,
    OneHot,
    ValueDistribution,
)
from superposition.features import FeatureDistribution
from superposition.numerics.sampling.batches import training_batch
from superposition.numerics.sampling.random_words import DATA, model_keys
from superposition.numerics.training.fused_scratch import new_scratch
from superposition.numerics.training.lane_inputs import absorb_word, fill_block, input_tables
from superposition.numerics.training.lane_products import BLOCK

RISING = ValueDistribution([0, 2])
SIGNED = ValueDistribution([1], symmetric=True)
SYMMETRIC = ValueDistribution([0, 0, 3], symmetric=True)
CASES: list[tuple[FeatureDistribution, list[float]]] = [
    (Independent(), [0.0, 0.02, 0.3, 1.0]),
    (Independent(SIGNED), [0.0, 0.02, 0.3, 1.0]),
    (Independent(RISING), [0.0, 0.02, 0.3, 1.0]),
    (Independent(SYMMETRIC), [0.0, 0.02, 0.3, 1.0]),
    (Correlated([(0, 2)], RISING), [0.1, 0.5, 0.1, 0.02]),
    (Anticorrelated([(0, 1, 3)]), [0.1, 0.5, 0.7, 0.02]),
    (CoActive(SYMMETRIC), [0.05] * 4),
    (OneHot(), [0.1, 0.2, 0.7, 0.0]),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("features", "density"), CASES, ids=repr)
def test_blocks_are_the_batch_of_the_sampler(
    features: FeatureDistribution, density: list[float], dtype: torch.dtype
) -> None:
    batch_size, step = 150, 6
    number = np.float32 if dtype == torch.float32 else np.float64
    place = (torch.tensor([9]), torch.tensor([4]))
    key = np.uint64(absorb_word(model_keys(8, *place, DATA).numpy().view(np.uint64)[0], step))
    tables = input_tables(features, np.array([[0.5] * 4, density]), dtype)
    scratch = new_scratch(4, 1, 8, tables.gates.n_streams, number)
    found = np.zeros((3 * BLOCK, 4))
    for first in range(0, batch_size, BLOCK):
        kept = fill_block(
            tables, 1, key, first, batch_size - first,
            scratch.words, scratch.halves, scratch.uniform, scratch.x, scratch.on,
        )  # fmt: skip
        block = scratch.x.reshape(-1, BLOCK)
        found[first : first + BLOCK, scratch.on[:kept]] = block[:kept].T
        assert (block[4] == 0).all()  # the row that stands for all features that are off
    expected = training_batch(
        density, batch_size, features=features, seed=8, model_index=9, replica=4, step=step
    )
    assert (found[batch_size:] == 0).all()
    # In float32, 31 bits of a hash and the density are rounded to 24 bits before they are used.
    rounding = 3e-7 if dtype == torch.float32 else 0
    np.testing.assert_allclose(found[:batch_size], expected, rtol=rounding, atol=0)


def test_features_that_are_off_are_left_out() -> None:
    tables = input_tables(Independent(), np.array([[0.0, 1.0, 0.0, 1e-6]]), torch.float32)
    scratch = new_scratch(4, 1, 8, 4, np.float32)
    kept = fill_block(
        tables, 0, np.uint64(5), 0, BLOCK,
        scratch.words, scratch.halves, scratch.uniform, scratch.x, scratch.on,
    )  # fmt: skip
    assert scratch.on[:kept].tolist() == [1]
