"""Training data of every distribution: its law, and what it does not depend on.

Seeds are fixed. A deviation is one beyond `SIGMAS` standard errors (false-positive rate 6e-7 for
one normal number, below 1e-3 for all of this file together); p-values have to exceed `SMALLEST_P`.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from superposition import (
    UNIFORM,
    Anticorrelated,
    CoActive,
    Correlated,
    Independent,
    OneHot,
    ValueDistribution,
)
from superposition.features import FeatureDistribution
from superposition.numerics import population_loss
from superposition.numerics.sampling import random_words
from superposition.numerics.sampling.batches import InputSampler, make_sampler, training_batch
from superposition.numerics.sampling.gated import GatedSampler, Layout

SIGMAS = 5
SMALLEST_P = 1e-6
RISING = ValueDistribution([0, 2])
SYMMETRIC = ValueDistribution([1], symmetric=True)

Floats = NDArray[np.float64]

CASES: dict[str, tuple[FeatureDistribution, list[float]]] = {
    "correlated": (Correlated([(0, 2), (3, 1)]), [0.3, 0.6, 0.3, 0.6, 0.2]),
    "anticorrelated": (Anticorrelated([(0, 2), (3, 1)]), [0.3, 0.6, 0.5, 0.4, 0.2]),
    "anticorrelated-full": (Anticorrelated([range(5)]), [0.2] * 5),
    "co-active": (CoActive(), [0.3] * 5),
    "one-hot": (OneHot(), [0.1, 0.2, 0.05, 0.25, 0.4]),
    "independent-rising": (Independent(RISING), [0.3, 0.6, 0.5, 0.4, 0.2]),
    "correlated-rising": (Correlated([(0, 2)], RISING), [0.3, 0.6, 0.3, 0.4, 0.2]),
    "one-hot-symmetric": (OneHot(SYMMETRIC), [0.1, 0.2, 0.05, 0.25, 0.4]),
    "co-active-symmetric-rising": (
        CoActive(ValueDistribution([0, 2], symmetric=True)), [0.3] * 5
    ),
}  # fmt: skip
N = 5
every = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def inputs() -> dict[str, Floats]:
    """100 000 examples of each: 50 batches of 2000."""
    return {
        name: np.concatenate(
            [training_batch(density, 2000, features=features, seed=1, step=k) for k in range(50)]
        )
        for name, (features, density) in CASES.items()
    }


def deviation(sample: Floats, expected: float) -> float:
    """Distance of the mean from `expected`, in standard errors; of constants, 0 or infinity."""
    difference = abs(float(sample.mean()) - expected)
    if sample.std() == 0:
        return 0.0 if difference < 1e-12 else np.inf
    return float(difference / (sample.std() / np.sqrt(len(sample))))


def together(features: FeatureDistribution, density: list[float], i: int, j: int) -> float:
    """P(both on), from the definition of each distribution."""
    match features:
        case CoActive():
            return density[0]
        case OneHot():
            return 0.0
        case Correlated(sets=sets) if any({i, j} <= set(members) for members in sets):
            return density[i]
        case Anticorrelated(sets=sets) if any({i, j} <= set(members) for members in sets):
            return 0.0
    return density[i] * density[j]


@every
def test_features_are_on_with_their_density(name: str, inputs: dict[str, Floats]) -> None:
    on = (inputs[name] != 0).astype(float)
    for j, density in enumerate(CASES[name][1]):
        assert deviation(on[:, j], density) < SIGMAS


@every
def test_every_pair_is_co_active_as_often_as_the_law_says(
    name: str, inputs: dict[str, Floats]
) -> None:
    features, density = CASES[name]
    on = inputs[name] != 0
    for i, j in combinations(range(N), 2):
        both = (on[:, i] & on[:, j]).astype(float)
        assert deviation(both, together(features, density, i, j)) < SIGMAS


def test_exactly_one_and_at_most_one(inputs: dict[str, Floats]) -> None:
    for name in ("one-hot", "one-hot-symmetric", "anticorrelated-full"):
        assert ((inputs[name] != 0).sum(axis=1) == 1).all()
    on = inputs["anticorrelated"] != 0
    assert (on[:, [0, 2]].sum(axis=1) <= 1).all()
    assert (on[:, [3, 1]].sum(axis=1) == 1).all()


@every
def test_values_follow_their_law(name: str, inputs: dict[str, Floats]) -> None:
    values = CASES[name][0].values
    power = len(values.coefficients)  # P(|x|) is a power here
    for x in inputs[name].T:
        size = abs(x[x != 0])
        assert size.max() <= 1
        assert stats.kstest(size**power, "uniform").pvalue > SMALLEST_P
        if values.symmetric:
            assert deviation(np.sign(x[x != 0]), 0.0) < SIGMAS
            assert abs(stats.pearsonr(size, np.sign(x[x != 0])).statistic) < SIGMAS / np.sqrt(
                len(size)
            )
        else:
            assert x.min() >= 0


@every
def test_values_of_features_that_are_on_together_are_independent(
    name: str, inputs: dict[str, Floats]
) -> None:
    features = CASES[name][0]
    for i, j in combinations(range(N), 2):
        both = inputs[name][(inputs[name][:, [i, j]] != 0).all(axis=1)]
        if len(both) == 0:
            assert isinstance(features, OneHot | Anticorrelated)
            continue
        for first, second in ((both[:, i], both[:, j]), (abs(both[:, i]), abs(both[:, j]))):
            assert abs(stats.pearsonr(first, second).statistic) < SIGMAS / np.sqrt(len(both))


@every
@pytest.mark.parametrize("lag", [1, 2, 3, 2000])
def test_examples_are_independent(name: str, lag: int, inputs: dict[str, Floats]) -> None:
    # Lag 1 compares the two halves of one hash, or neighboring hashes; 2000 neighboring steps.
    # Values too: a gate and a value must not come from one word.
    for part in (inputs[name], (inputs[name] != 0).astype(float)):
        centered = part - part.mean(axis=0)
        centered = centered / centered.std(axis=0)
        correlation = centered[:-lag].T @ centered[lag:] / np.sqrt(len(centered) - lag)
        assert (abs(correlation) < SIGMAS).all()


@every
def test_a_gate_is_drawn_for_each_example_of_a_batch(name: str) -> None:
    """One mask per batch, or one per step, would make the number of examples all or nothing."""
    features, density = CASES[name]
    models, size = 4000, 16
    sampler = make_sampler(features, np.tile(density, (models, 1)), size)
    batch = sampler.draw_negated(torch.arange(models) * 12345)
    for j, s in enumerate(density):
        counts = (batch[j] != 0).sum(dim=1).numpy()
        observed = np.bincount(counts, minlength=size + 1)
        expected = models * stats.binom.pmf(np.arange(size + 1), size, s)
        rare = expected < 10
        assert (
            stats.chisquare(
                np.append(observed[~rare], observed[rare].sum()),
                np.append(expected[~rare], expected[rare].sum()),
            ).pvalue
            > SMALLEST_P
        )


@every
def test_sampled_loss_is_the_exact_one(name: str, inputs: dict[str, Floats]) -> None:
    features, density = CASES[name]
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(2, N)) / 2, rng.normal(size=N) / 4
    x = inputs[name]
    errors = ((x - np.maximum(x @ W.T @ W + b, 0)) ** 2).sum(axis=1)
    exact = population_loss(W, b, density=density, importance=np.ones(N), features=features)
    assert deviation(errors, float(exact)) < SIGMAS


@every
def test_float32_and_layout_change_nothing_but_rounding(name: str) -> None:
    features, density = CASES[name]
    table = np.array([density, density, density])
    keys = torch.tensor([5, -7, 2**62])
    exact = make_sampler(features, table, 50, dtype=torch.float64).draw_negated(keys).numpy()
    first = make_sampler(features, table, 50).draw_negated(keys).numpy()
    padded = make_sampler(features, table, 50, features_first=False, multiple=16)
    matrix = padded.draw_negated(keys).numpy()
    assert exact.shape == (N, 3, 50)
    assert matrix.shape == (3, N, 64)
    np.testing.assert_array_equal(exact.astype(np.float32), first)
    np.testing.assert_array_equal(matrix.swapaxes(0, 1)[..., :50], first)


@every
def test_a_model_sees_the_same_data_in_any_company(name: str) -> None:
    features, density = CASES[name]
    others = [1.0, 0, 0, 0, 0] if isinstance(features, OneHot) else [0.1] * N
    keys = torch.tensor([11, 5, -7])
    pack = make_sampler(features, np.array([others, density, others]), 33).draw_negated(keys)
    alone = make_sampler(features, np.array([density]), 33).draw_negated(keys[1:2])
    np.testing.assert_array_equal(pack[:, 1].numpy(), alone[:, 0].numpy())


@every
def test_a_larger_batch_starts_with_the_smaller(name: str) -> None:
    features, density = CASES[name]
    large, small = (training_batch(density, size, features=features) for size in (64, 7))
    np.testing.assert_array_equal(large[:7], small)


@every
def test_streams_differ_by_every_word_of_their_place(name: str) -> None:
    features, density = CASES[name]
    words = ["seed", "model_index", "replica", "step"]
    places: list[dict[str, Any]] = [{}, *({word: value} for word in words for value in (1, 2))]
    batches = [training_batch(density, 64, features=features, **place) for place in places]
    for first, second in combinations(batches, 2):
        assert not (first == second).all()
        shared = (first == second) & (first != 0)
        assert not shared.any()


def test_features_with_a_gate_of_their_own_are_those_of_independent_features() -> None:
    features = Correlated([(1, 3)])
    mixed = training_batch([0.3, 0.5, 0.7, 0.5], 200, features=features, seed=4)
    plain = training_batch([0.3, 0.5, 0.7, 0.5], 200, seed=4)
    np.testing.assert_allclose(mixed[:, [0, 2]], plain[:, [0, 2]], rtol=1e-15)


def test_independent_uniform_features_keep_their_stream() -> None:
    """Printed by the sampler as of its first release: published seeds must stay reproducible."""
    for features in (None, Independent(), Correlated([(1,)])):
        batch = training_batch(
            [0.1, 0.5, 1.0], 3, features=features, seed=3, model_index=2, replica=1, step=4
        )
        np.testing.assert_array_equal(batch, PINNED)
    assert isinstance(make_sampler(Independent(), np.ones((1, 2)), 4), InputSampler)
    assert isinstance(make_sampler(CoActive(), np.ones((1, 2)), 4), GatedSampler)


PINNED = np.array(
    [
        [0.0, 0.0, 0.6254529692232609],
        [0.0, 0.5994345182552934, 0.8080758596770465],
        [0.0, 0.0, 0.6167607214301825],
    ]
)


def gated_halves(features: FeatureDistribution, density: list[float], gate: list[int]) -> Floats:
    """The inputs where the gate's halves of words are given, and those of values are 2³⁰."""
    sampler = GatedSampler(features, np.array([density]), Layout(len(gate)))
    own = [[2**30] * len(gate)] * len(density)
    halves = torch.tensor([*own, gate], dtype=torch.int32)[:, None, :]
    return np.asarray(-sampler._negated_inputs(halves.contiguous().view(torch.int64))[:, 0].numpy())


def test_extreme_words() -> None:
    extremes = [0, 1, -1, 2**30, 2**30 + 1, 2**31 - 1, -(2**31), -(2**30)]
    full = gated_halves(OneHot(), [0.5, 0.0, 0.5], extremes)
    assert full.tolist() == [
        [0.5, 0.5, 0.5, 0.5, 0, 0, 0, 0.5],
        [0.0] * 8,
        [0, 0, 0, 0, 0.5, 0.5, 0.5, 0],
    ]
    assert (gated_halves(CoActive(), [0.0, 0.0], extremes) == 0).all()
    assert (gated_halves(CoActive(), [1.0, 1.0], extremes) == 0.5).all()
    assert (gated_halves(Anticorrelated([(0, 1)]), [0.0, 0.0], extremes) == 0).all()


@pytest.mark.parametrize("n", range(1, 12))
def test_exactly_one_whatever_the_rounding_of_the_sum(n: int) -> None:
    batch = training_batch([1 / n] * n, 2000, features=OneHot())
    assert ((batch != 0).sum(axis=1) == 1).all()
    last = gated_halves(OneHot(), [1 / n] * n, [-(2**31), 2**31 - 1])
    assert (last[-1] == 0.5).all()


@pytest.mark.parametrize("values", [UNIFORM, RISING, SYMMETRIC], ids=repr)
def test_density_zero_and_one(values: ValueDistribution) -> None:
    batch = training_batch([0.0, 1.0], 100_000, features=Independent(values))
    assert (batch[:, 0] == 0).all()
    assert (batch[:, 1] != 0).all()
    assert np.isfinite(batch).all()


def test_places_do_not_depend_on_how_many_are_asked_for() -> None:
    large = random_words.stream_places(7, 9, "cpu")
    assert torch.equal(large[:3, :4], random_words.stream_places(3, 4, "cpu"))
    assert len(set(large.flatten().tolist())) == 63


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"sum to at most 1, got \[0.6, 0.6\]"):
        training_batch([0.6, 0.6], 3, features=Anticorrelated([(0, 1)]))
    wrong: Any = "co-active"
    with pytest.raises(ValueError, match="features must be None or a feature distribution"):
        training_batch([0.6, 0.6], 3, features=wrong)
