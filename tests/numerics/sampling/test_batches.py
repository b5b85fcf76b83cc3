"""The data of training: what it is distributed like, and what it does not depend on.

Seeds are fixed. A deviation is called one beyond `SIGMAS` standard errors (false-positive rate
6e-7 for one normal number, below 1e-3 for all of this file together); p-values have to exceed
`SMALLEST_P`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from superposition import Independent, ValueDistribution
from superposition.numerics.sampling import random_words
from superposition.numerics.sampling.batches import InputSampler, training_batch
from superposition.numerics.sampling.gated import Layout

SIGMAS = 5
SMALLEST_P = 1e-6
DENSITY = np.array([0.05, 0.3, 0.7, 1.0])

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]


def hash_words(words: Words) -> Words:
    """SplitMix64's finaliser in NumPy's unsigned arithmetic."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def absorb(key: Words, word: Words | int) -> Words:
    return hash_words(key + np.asarray(word, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def reference_batch(
    density: Floats,
    batch_size: int,
    seed: int,
    model_index: int,
    replica: int,
    step: int,
    *,
    signed: bool = False,
) -> Floats:
    key = np.array(0x243F6A8885A308D3, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for word in (seed, model_index, replica, random_words.DATA, step):
            key = absorb(key, word)
        feature = np.arange(len(density), dtype=np.uint64)[:, None] << np.uint64(32)
        pair = np.arange((batch_size + 1) // 2, dtype=np.uint64)
        words = absorb(key, feature | pair)
    low, high = words.astype(np.uint32), (words >> np.uint64(32)).astype(np.uint32)
    halves = np.stack([low, high], axis=-1).view(np.int32).reshape(len(density), -1)
    uniform = halves[:, :batch_size].astype(np.float64) / 2.0**31
    on = abs(uniform) <= density[:, None]
    return np.where(on, (uniform if signed else abs(uniform)) / density[:, None], 0).T


def test_hash_is_splitmix64() -> None:
    # The first outputs of the published generator from state 0.
    states = torch.arange(1, 4) * random_words.GOLDEN
    words = random_words.mix64_(states, torch.empty_like(states)).numpy().view(np.uint64)
    assert [hex(word) for word in words] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_hash_is_bitwise_that_of_unsigned_arithmetic() -> None:
    words = np.random.default_rng(0).integers(0, 2**64, 10_000, dtype=np.uint64)
    words[:3] = 0, 2**63, 2**64 - 1
    signed = torch.from_numpy(words.view(np.int64).copy())
    hashed = random_words.mix64_(signed, torch.empty_like(signed)).numpy().view(np.uint64)
    assert (hashed == hash_words(words)).all()


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (3, 1, 0, 5), (2**63 + 1, 10**6, 9, 5999)])
def test_batch_is_that_of_the_reference(batch_size: int, place: tuple[int, int, int, int]) -> None:
    seed, model_index, replica, step = place
    batch = training_batch(
        DENSITY, batch_size, seed=seed, model_index=model_index, replica=replica, step=step
    )
    assert batch.shape == (batch_size, 4)
    # A scale is rounded once more in one of the two.
    np.testing.assert_allclose(batch, reference_batch(DENSITY, batch_size, *place), rtol=1e-15)


def test_symmetric_values_have_the_sign_of_the_number_that_makes_them() -> None:
    features = Independent(ValueDistribution([1], symmetric=True))
    batch = training_batch(DENSITY, 64, features=features, seed=3, model_index=1, step=5)
    wanted = reference_batch(DENSITY, 64, 3, 1, 0, 5, signed=True)
    assert (wanted < 0).any()
    np.testing.assert_allclose(batch, wanted, rtol=1e-15)


@pytest.mark.parametrize("symmetric", [False, True])
def test_float32_and_layout_change_nothing_but_rounding(symmetric: bool) -> None:
    density = np.array([DENSITY, DENSITY[::-1], DENSITY])
    keys = torch.tensor([5, -7, 2**62])

    def drawn(**layout: Any) -> torch.Tensor:
        return InputSampler(density, Layout(10, **layout), symmetric=symmetric).draw_negated(keys)

    expected, first = drawn(dtype=torch.float64).numpy(), drawn().numpy()
    padded = drawn(features_first=False, multiple=16)
    assert (expected > 0).any() == symmetric
    assert expected.shape == (4, 3, 10)
    assert padded.shape == (3, 4, 16)
    np.testing.assert_allclose(first, expected, rtol=2e-7)
    np.testing.assert_array_equal(padded.numpy().swapaxes(0, 1)[..., :10], first)


@pytest.fixture(scope="module")
def inputs() -> Floats:
    """200 000 examples of four features: 400 batches of 500."""
    return np.concatenate([training_batch(DENSITY, 500, seed=1, step=step) for step in range(400)])


def deviation(sample: Floats, expected: Floats | float) -> Floats:
    """Distance of the mean over axis 0 from `expected`, in standard errors."""
    error = sample.std(axis=0) / np.sqrt(len(sample))
    return np.asarray(abs(sample.mean(axis=0) - expected) / np.maximum(error, 1e-300))


def test_moments(inputs: Floats) -> None:
    assert (deviation(inputs, DENSITY / 2) < SIGMAS).all()
    assert (deviation(inputs**2, DENSITY / 3) < SIGMAS).all()


def test_features_are_on_with_their_density(inputs: Floats) -> None:
    on = (inputs > 0).astype(np.float64)
    assert (deviation(on[:, :3], DENSITY[:3]) < SIGMAS).all()
    assert on[:, 3].all()


@pytest.mark.parametrize(("i", "j"), list(combinations(range(3), 2)))
def test_every_pair_is_co_active_with_the_product_of_densities(
    inputs: Floats, i: int, j: int
) -> None:
    both = ((inputs[:, i] > 0) & (inputs[:, j] > 0)).astype(np.float64)
    assert deviation(both, DENSITY[i] * DENSITY[j]) < SIGMAS


@pytest.mark.parametrize("feature", range(4))
def test_values_of_active_features_are_uniform(inputs: Floats, feature: int) -> None:
    values = inputs[inputs[:, feature] > 0, feature]
    assert values.min() > 0
    assert values.max() <= 1
    assert stats.kstest(values, "uniform").pvalue > SMALLEST_P


def test_values_are_uniform_where_the_density_is_low() -> None:
    batch = training_batch(np.full(100, 1e-3), 100_000, seed=3)
    values = batch[batch > 0]
    assert deviation((batch > 0).ravel().astype(np.float64), 1e-3) < SIGMAS
    assert stats.kstest(values, "uniform").pvalue > SMALLEST_P


def test_the_number_of_active_examples_in_a_batch_is_binomial() -> None:
    # One mask per batch, or one per step, would make it all or nothing.
    keys = torch.arange(20_000) * 12345
    sampler = InputSampler(np.full((20_000, 1), 0.3), Layout(16))
    counts = (sampler.draw_negated(keys)[0] < 0).sum(dim=1).numpy()
    observed = np.bincount(counts, minlength=17)
    expected = 20_000 * stats.binom.pmf(np.arange(17), 16, 0.3)
    rare = expected < 10
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    assert stats.chisquare(observed, expected).pvalue > SMALLEST_P


def correlation(first: Floats, second: Floats) -> Floats:
    """Correlation between columns, in standard errors."""
    first, second = (values - values.mean(axis=0) for values in (first, second))
    first, second = (values / values.std(axis=0) for values in (first, second))
    return np.asarray(first.T @ second / np.sqrt(len(first)))


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 500])
def test_examples_are_independent(inputs: Floats, lag: int) -> None:
    # Lag 1 compares the two halves of one hash, or neighboring hashes; 500 neighboring steps.
    assert (abs(correlation(inputs[:-lag], inputs[lag:])) < SIGMAS).all()
    on = (inputs[:, :3] > 0).astype(np.float64)
    assert (abs(correlation(on[:-lag], on[lag:])) < SIGMAS).all()


def place(word: str, value: int) -> dict[str, Any]:
    return {word: value}


@pytest.mark.parametrize("word", ["seed", "model_index", "replica", "step"])
def test_neighboring_streams_are_independent(word: str) -> None:
    streams = [training_batch(DENSITY, 50_000, **place(word, value)) for value in range(4)]
    for first, second in combinations(streams, 2):
        assert (abs(correlation(first, second)) < SIGMAS).all()


def test_swapping_seed_model_replica_and_step_gives_other_data() -> None:
    words = ["seed", "model_index", "replica", "step"]
    batches = [
        training_batch([1.0], 8, **place(word, value)) for word in words for value in (1, 2, 3)
    ]
    batches.append(training_batch([1.0], 8))
    values = np.concatenate(batches).ravel()
    assert len(np.unique(values)) == len(values)


def test_density_zero_and_one() -> None:
    for dtype in (torch.float32, torch.float64):
        sampler = InputSampler(np.array([[0.0, 1.0]]), Layout(1_000_000, dtype=dtype))
        batch = sampler.draw_negated(torch.tensor([1]))[:, 0]
        assert (batch[0] == 0).all()
        assert (batch[1] < 0).all()
        assert (batch[1] >= -1).all()
        assert torch.isfinite(batch).all()


@pytest.mark.parametrize(("symmetric", "lowest"), [(False, -1), (True, 1)])
def test_extreme_words_are_in_range(symmetric: bool, lowest: int) -> None:
    halves = torch.tensor([-(2**31), 2**31 - 1, 0, 1], dtype=torch.int32).expand(3, 1, 4)
    sampler = InputSampler(np.array([[1.0, 0.5, 0.0]]), Layout(4), symmetric=symmetric)
    batch = sampler._negated_inputs(halves.contiguous().view(torch.int64))
    full, half, never = batch[:, 0]
    assert full.tolist() == [lowest, -1, 0, -(2.0**-31)]
    assert half.tolist() == [0, 0, 0, -(2.0**-30)]
    assert never.tolist() == [0, 0, 0, 0]


def test_a_larger_batch_starts_with_the_smaller() -> None:
    np.testing.assert_array_equal(training_batch(DENSITY, 64)[:7], training_batch(DENSITY, 7))


def test_normal_numbers() -> None:
    keys = random_words.model_keys(4, torch.arange(5000), torch.zeros(5000, dtype=torch.int64), 1)
    numbers = random_words.standard_normals(keys, 3, 4)
    assert numbers.shape == (5000, 3, 4)
    assert stats.kstest(numbers.ravel(), "norm").pvalue > SMALLEST_P
    flat = numbers.reshape(5000, 12)
    off_diagonal = correlation(flat, flat)[~np.eye(12, dtype=bool)]
    assert (abs(off_diagonal) < SIGMAS).all()
    np.testing.assert_array_equal(
        random_words.standard_normals(keys[7:9], 2, 3), numbers[7:9, :2, :3]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: training_batch([0.5, 1.5], 2), r"density .* must lie in \[0, 1\], got 1.5"),
        (lambda: training_batch(0.5, 2), r"shape \(n_features,\), got shape \(\)"),
    ],
)
def test_bad_arguments(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
