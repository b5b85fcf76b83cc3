"""The naming of phases. Oracles: hand-made weights, symmetries of the loss, exact minima."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from superposition import Independent, ValueDistribution
from superposition.numerics import descend, global_minimum, population_loss, random_starts
from superposition.theory import candidates, regular_polygon, regular_simplex
from superposition.validation import classify, phase_names
from superposition.validation.phases import BALANCED, flip_columns

Floats = NDArray[np.float64]


def name_of(W: object, b: object = None, density: float = 0.0) -> str:
    weights = np.array(W, dtype=float)
    bias = np.zeros(weights.shape[1]) if b is None else np.array(b, dtype=float)
    code = int(classify(weights, bias, density))
    return phase_names(weights.shape[1], weights.shape[0])[code]


@pytest.mark.parametrize(
    ("W", "b", "expected"),
    [
        ([[1, 0]], None, "ignore last"),
        ([[-1, 0.05]], None, "ignore last"),
        ([[0, 1]], None, "ignore first"),
        ([[1, -1]], None, "superpose both"),
        ([[-0.9, 1.1]], None, "superpose both"),
        ([[1, -0.4]], None, "partial superposition"),
        ([[1, 0.4]], None, "aligned"),
        ([[0, 0]], None, "unrepresented"),
        ([[0.2, 0.4]], [-0.5, -0.9], "unrepresented"),  # both outputs are dead
        ([[1, 0, 0], [0, 1, -1]], None, "superpose last two"),
        ([[1, -1, 0], [0, 0, 1]], None, "superpose first two"),
        ([[1, 0, -1], [0, 1, 0]], None, "superpose last two"),
        ([[0, 1, 0], [0, 0, 1]], None, "ignore first"),
        ([[1, 0, 0], [0, 0, 1]], None, "ignore first"),
        ([[1, 0, 0], [0, 1, -0.5]], None, "partial superposition"),
        ([[1, 0, 0], [0, 0, 0]], None, "unrepresented"),
        ([[np.nan, 1]], None, "other"),
    ],
)
def test_hand_made_weights(W: object, b: object, expected: str) -> None:
    assert name_of(W, b) == expected


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 1), (3, 2), (4, 2), (5, 2), (5, 4), (6, 3)])
def test_every_candidate_is_its_own_phase(n: int, m: int) -> None:
    for candidate in candidates(n, m):
        assert name_of(candidate.W_array()) == candidate.name


def test_pentagon_is_not_aligned_though_neighbors_are_at_72_degrees() -> None:
    assert name_of(regular_polygon(5).W_array()) == "other"


def test_a_feature_with_positive_links_only_is_aligned() -> None:
    """The second minimum of (3, 2) at s = 0.6, r = 1: two antipodal features and one across."""
    found = global_minimum(3, 2, density=0.6, importance=[1, 1, 1], starts=64)
    assert name_of(found.W, found.b) == "simplex"
    assert name_of(found.minima[1].W, found.minima[1].b) == "aligned"


def test_linear_outputs_are_never_dead() -> None:
    W, b = np.array([[1.0, -1.0]]), np.array([-3.0, -3.0])
    names = phase_names(2, 1)
    assert names[int(classify(W, b))] == "unrepresented"
    assert names[int(classify(W, b, activation="linear"))] == "superpose both"


def test_triangle_is_the_simplex() -> None:
    assert name_of(regular_simplex(2).W_array()) == "simplex"


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_phase_has_the_symmetries_of_the_loss(seed: int) -> None:
    """Rotations of the hidden space, and exchanges of the first features, keep the phase."""
    rng = np.random.default_rng(seed)
    n, m = [(2, 1), (3, 2), (4, 2)][seed % 3]
    W, b = rng.normal(size=(m, n)), rng.normal(size=n) / 4
    order = np.append(rng.permutation(n - 1), n - 1)
    Q, _ = np.linalg.qr(rng.normal(size=(m, m)))
    assert name_of((Q @ W)[:, order], b[order]) == name_of(W, b)


def test_thresholds_sit_in_the_gap_of_the_first_order_transition() -> None:
    """The ratio of lengths jumps over BALANCED wherever the antipodal pair ends.

    No exact minimum on the way has a ratio in [0.57, 0.61]. For each r the densities are a window
    around the closed-form boundary s = 4r/(2 + 5r), beyond which the exact one lies.
    """
    ratio_r = np.array([0.1, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    window = np.linspace(1.0, 1.3, 81)
    density = (4 * ratio_r / (2 + 5 * ratio_r))[:, np.newaxis] * window
    shape = density.shape
    starts_W, starts_b = random_starts(2, 1, 48)
    importance = np.ones((len(ratio_r), 1, 1, 2))
    importance[..., 0, 0, 1] = ratio_r
    found = descend(
        np.broadcast_to(starts_W, (*shape, 48, 1, 2)),
        np.broadcast_to(starts_b, (*shape, 48, 2)),
        density=np.broadcast_to(density[..., np.newaxis], (*shape, 48)),
        importance=importance,
    )
    best = found.loss.argmin(axis=-1)
    rows, columns = np.indices(shape)
    W = found.W[rows, columns, best, 0]
    length = np.sort(np.abs(W), axis=-1)
    ratio: Floats = length[..., 0] / length[..., 1]
    below, above = ratio[ratio < BALANCED].max(), ratio[ratio >= BALANCED].min()
    assert below < 0.57
    assert above > 0.61
    assert (ratio >= BALANCED).any(axis=1).all()  # every r was seen on both sides
    assert (ratio < BALANCED).any(axis=1).all()


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (4, 2)])
def test_flipping_columns_keeps_the_loss_at_density_one(n: int, m: int) -> None:
    rng = np.random.default_rng(3)
    W, b = rng.normal(size=(m, n)), rng.normal(size=n) / 4
    importance = rng.random(n) + 0.5
    loss = population_loss(W, b, density=1.0, importance=importance)
    for _ in range(8):
        signs = tuple(rng.choice([-1, 1], size=n).tolist())
        flipped = population_loss(*flip_columns(W, b, signs), density=1.0, importance=importance)
        assert flipped == pytest.approx(float(loss), rel=1e-13)


def test_aligned_at_density_one_is_a_flipped_antipodal_model() -> None:
    assert name_of([[1, 0.4]], [-0.1, 0.2], density=0.99) == "aligned"
    assert name_of([[1, 0.4]], [-0.1, 0.2], density=1.0) == "partial superposition"


@pytest.mark.parametrize(
    ("values", "density"),
    [
        (ValueDistribution([1], symmetric=True), 0.4),
        (ValueDistribution([0, 6, -6]), 1.0),
        (ValueDistribution([0, 2]), 1.0),
        (ValueDistribution([0, 6, -6]), 0.4),
    ],
)
def test_flipped_copies_have_one_name_where_they_have_one_loss(
    values: ValueDistribution, density: float
) -> None:
    """Oracle: the exact loss says whether flipping a column, with or without shift, is free."""
    features = Independent(values)
    W, b = np.array([[0.9, 0.8]]), np.array([-0.05, 0.03])
    shifted = flip_columns(W, b, (1, -1))
    copy = shifted[0], b if values.symmetric else shifted[1]

    def loss(W: Floats, b: Floats) -> float:
        return float(population_loss(W, b, density=density, importance=[1, 1], features=features))

    free = loss(W, b) == pytest.approx(loss(*copy), rel=1e-12)
    names = [
        phase_names(2, 1)[int(classify(weights, biases, density, features=features))]
        for weights, biases in ((W, b), copy)
    ]
    assert names == (["superpose both"] * 2 if free else ["aligned", "superpose both"])
    assert free == (values.symmetric or (density == 1.0 and values != ValueDistribution([0, 2])))
