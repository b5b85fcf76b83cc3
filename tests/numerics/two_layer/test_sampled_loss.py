"""Sampled losses of two-layer models.

Oracles: exact losses, of which the sampled ones are five of their own standard errors away at most;
enumeration of all sets of features that can be on together; the law of standardized errors.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from superposition import (
    Anticorrelated,
    CoActive,
    Correlated,
    Independent,
    OneHot,
    ValueDistribution,
)
from superposition.architecture import ABSOLUTE_VALUE, RELU_HIDDEN, Architecture
from superposition.features import FeatureDistribution
from superposition.numerics import population_loss, sampled_loss, two_layer_loss
from superposition.numerics.two_layer import sampled
from superposition.numerics.two_layer.models import two_layer_models

Floats = NDArray[np.float64]

SIGNED_VALUES = ValueDistribution([1], symmetric=True)
UNTIED = Architecture("untied", tied=False, hidden="relu")
DISTRIBUTIONS: dict[str, FeatureDistribution] = {
    "independent": Independent(),
    "signed": Independent(SIGNED_VALUES),
    "polynomial": Independent(ValueDistribution([0, 0, 3])),
    "correlated": Correlated([(0, 3), (1, 2)], SIGNED_VALUES),
    "anticorrelated": Anticorrelated([(0, 1, 4), (2, 3)], ValueDistribution([0, 2])),
    "co-active": CoActive(),
}
distributions = pytest.mark.parametrize("name", DISTRIBUTIONS)
DENSITY = 0.3


def random_models(count: int, n: int, m: int, seed: int) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    W, V = rng.normal(size=(count, m, n)), rng.normal(size=(count, n, m))
    return W, V, rng.normal(size=(count, n)) / 3


# --- against exact losses -------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "linear"])
@distributions
def test_losses_of_the_standard_model(name: str, activation: str) -> None:
    W, _, b = random_models(6, 5, 2, seed=1)
    common: dict[str, Any] = {
        "density": DENSITY,
        "importance": np.linspace(1, 2, 5),
        "features": DISTRIBUTIONS[name],
        "activation": activation,
    }
    found = sampled_loss(W, None, b, **common, architecture="tied", samples=20_000, seed=2)
    exact = population_loss(W, b, **common)
    assert (abs(found.loss - exact) < 5 * found.standard_error).all()
    assert (found.standard_error < 0.05 * exact).all()


@pytest.mark.parametrize("architecture", [ABSOLUTE_VALUE, UNTIED], ids=lambda one: one.name)
@distributions
def test_losses_of_two_features(name: str, architecture: Architecture) -> None:
    features = DISTRIBUTIONS[name]
    if name == "correlated":
        features = Correlated([(0, 1)], features.values)
    if name == "anticorrelated":
        features = Anticorrelated([(0, 1)], features.values)
    W, V, b = random_models(6, 2, 3, seed=3)
    common: dict[str, Any] = {
        "density": DENSITY,
        "importance": [1, 2],
        "features": features,
        "architecture": architecture,
    }
    found = sampled_loss(W, V, b, **common, samples=20_000, seed=4)
    exact = two_layer_loss(W, V, b, **common)
    # Rounding, where nothing is sampled.
    assert (abs(found.loss - exact) <= 5 * found.standard_error + 1e-14).all()


def test_sparse_inputs_do_not_starve() -> None:
    # Of 20 000 plain samples, none would have had two features on; here the error is relative to s².
    W, V, b = random_models(4, 2, 3, seed=5)
    common: dict[str, Any] = {"importance": [1, 1], "architecture": ABSOLUTE_VALUE}
    found = sampled_loss(W, V, b, density=1e-5, **common, samples=20_000)
    exact = two_layer_loss(W, V, b, density=1e-5, **common)
    assert found.sampled_probability == pytest.approx(1e-10, rel=1e-12)
    assert (found.standard_error < 1e-10).all()
    assert (abs(found.loss - exact) < 5 * found.standard_error + 1e-14 * exact).all()


def test_inputs_with_one_feature_on_are_integrated() -> None:
    W, _, b = random_models(3, 4, 2, seed=6)
    common: dict[str, Any] = {"importance": np.ones(4), "density": 0.25, "features": OneHot()}
    found = sampled_loss(W, None, b, **common, architecture="tied", samples=2)
    np.testing.assert_allclose(found.loss, population_loss(W, b, **common), rtol=1e-12)
    assert not found.standard_error.any()
    assert not found.sampled_probability.any()
    single = sampled_loss([[1]], None, [0.1], density=0.5, importance=[1], architecture="tied")
    assert single.loss == pytest.approx(0.1**2, rel=1e-13)
    off = sampled_loss(W, None, b, density=0, importance=np.ones(4), architecture="tied")
    np.testing.assert_allclose(off.loss, (np.maximum(b, 0) ** 2).sum(axis=1), rtol=1e-14)


def test_standard_errors_are_those_of_the_losses() -> None:
    # Standardized errors of N seeds have mean 0 and variance 1, within five standard errors of
    # these, 1/√N and √(2/N) for a nearly normal law.
    W, V, b = random_models(1, 2, 3, seed=7)
    common: dict[str, Any] = {
        "density": 0.6,
        "importance": [1, 1],
        "architecture": ABSOLUTE_VALUE,
        "features": Independent(SIGNED_VALUES),
    }
    exact = two_layer_loss(W[0], V[0], b[0], **common)
    runs = [sampled_loss(W[0], V[0], b[0], **common, samples=5000, seed=k) for k in range(200)]
    errors = np.array([(run.loss - exact) / run.standard_error for run in runs])
    assert abs(errors.mean()) < 5 / np.sqrt(200)
    assert abs(errors.var() - 1) < 5 * np.sqrt(2 / 200)


# --- the inputs that are drawn --------------------------------------------------------------------


def sets_that_are_on(features: FeatureDistribution, density: Floats) -> dict[Any, float]:
    """All sets of features that can be on together, with their probabilities."""
    found: dict[Any, float] = {}
    for states in product(*(gate.states(list(density)) for gate in features.gates(len(density)))):
        members = tuple(sorted(j for on, _ in states for j in on))
        found[members] = found.get(members, 0.0) + prod(p for _, p in states)
    return found


@distributions
def test_inputs_have_the_law_given_that_two_features_are_on(name: str) -> None:
    features = DISTRIBUTIONS[name]
    density = np.full(5, DENSITY)
    if name in ("independent", "signed"):
        density = np.array([0.9, 0.05, 0.3, 0.0, 1.0])
    wanted = {on: p for on, p in sets_that_are_on(features, density).items() if p > 0}
    counts = sampled._counts(features.gates(5), density)
    two = sum(p for on, p in wanted.items() if len(on) >= 2)
    assert counts.two_or_more == pytest.approx(two, rel=1e-12)
    assert counts.nothing == pytest.approx(wanted.get((), 0.0), abs=1e-15)
    for j in range(5):
        assert counts.only[j] == pytest.approx(wanted.get((j,), 0.0), abs=1e-15)
    models = two_layer_models(
        np.eye(5), None, np.zeros(5), density, np.ones(5), "tied", "relu", features
    )
    draw = sampled._Draw(models, counts, seed=9)
    x = np.concatenate([draw(block) for block in range(10)], axis=1)
    drawn = [tuple(np.flatnonzero(column)) for column in x.T]
    assert min(map(len, drawn)) >= 2
    for on in {*drawn, *(on for on in wanted if len(on) >= 2)}:
        share, p = drawn.count(on) / len(drawn), wanted.get(on, 0.0) / two
        assert abs(share - p) <= 5 * np.sqrt(p * (1 - p) / len(drawn))
    # Moments of the values: E |u|^k = Σ c_j/(j + k + 1); odd ones vanish where signs are random.
    values = x[x != 0]
    for k in (1, 2):
        mean, square = (
            float(sum(c / (j + power + 1) for j, c in enumerate(features.values.coefficients)))
            for power in (k, 2 * k)
        )
        if features.values.symmetric and k == 1:
            mean = 0.0
        assert abs((values**k).mean() - mean) < 5 * np.sqrt((square - mean**2) / len(values))


def test_a_set_without_density_is_never_on() -> None:
    # Of five features two are left, on independently: the loss is known without samples.
    W, b = np.diag([0.0, 0, 0, 1, 1]), np.zeros(5)
    found = sampled_loss(
        W, None, b, density=[0, 0, 0, 0.5, 0.5], importance=np.ones(5), architecture="tied",
        features=Anticorrelated([(0, 1, 2)]), samples=100,
    )  # fmt: skip
    assert found.loss == 0
    assert found.sampled_probability == 0.25


# --- seeds, batches, blocks -----------------------------------------------------------------------


def test_a_model_s_result_depends_on_nothing_else() -> None:
    W, V, b = random_models(3, 4, 5, seed=10)
    common: dict[str, Any] = {"architecture": ABSOLUTE_VALUE, "samples": 10_000, "seed": 11}
    density, importance = np.array([0.1, 0.7])[:, None], np.ones((1, 3, 4))
    whole = sampled_loss(W, V, b, density=density, importance=importance, **common)
    assert whole.loss.shape == whole.standard_error.shape == (2, 3)
    for point, model in np.ndindex(2, 3):
        alone = sampled_loss(
            W[model], V[model], b[model], density=density[point, 0], importance=np.ones(4), **common
        )
        assert alone.loss == whole.loss[point, model]
        assert alone.standard_error == whole.standard_error[point, model]
        assert alone.sampled_probability == whole.sampled_probability[point, model]
    other = sampled_loss(W, V, b, density=density, importance=importance, **{**common, "seed": 12})
    assert (other.loss != whole.loss).all()


def test_models_see_the_same_inputs() -> None:
    # The difference of two models that are nearly the same is far more accurate than their losses.
    W, _, b = random_models(1, 4, 2, seed=12)
    near = np.concatenate([b, b + 1e-6])
    common: dict[str, Any] = {"density": 0.5, "importance": np.ones(4), "samples": 5000}
    found = sampled_loss(W, None, near, **common, architecture="tied")
    exact = population_loss(W, near, density=0.5, importance=np.ones(4))
    error = np.diff(found.loss) - np.diff(exact)
    assert abs(error[0]) < 1e-3 * found.standard_error[0]


@pytest.mark.parametrize("samples", [2, 4095, 4096, 4097, 9000])
def test_mean_and_error_are_those_of_all_samples(samples: int) -> None:
    # All features on: no exact part, and the definition can be applied to the inputs as they are.
    W, V, b = random_models(1, 3, 4, seed=13)
    arguments: dict[str, Any] = {"density": 1, "importance": [1, 2, 3], "features": None}
    architecture = Architecture("own", tied=False, hidden="relu")
    found = sampled_loss(
        W[0], V[0], b[0], **arguments, architecture=architecture, samples=samples, seed=-3
    )
    models = two_layer_models(W, V, b, 1, [1, 2, 3], architecture, "relu", None)
    draw = sampled._Draw(models, sampled._counts(models.features.gates(3), np.ones(3)), seed=-3)
    x = np.concatenate([draw(block) for block in range(3)], axis=1)[:, :samples]
    outputs = np.maximum(V[0] @ np.maximum(W[0] @ x, 0) + b[0][:, None], 0)
    losses = [1, 2, 3] @ (outputs - x) ** 2
    assert found.loss == pytest.approx(losses.mean(), rel=1e-12)
    assert found.standard_error == pytest.approx(losses.std(ddof=1) / np.sqrt(samples), rel=1e-10)
    assert found.sampled_probability == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 1}, "samples must be an integer of at least 2, got 1"),
        ({"seed": 0.5}, "seed must be an integer, got 0.5"),
        ({"architecture": ABSOLUTE_VALUE}, "V is needed"),
        ({"density": -1}, "density .* must lie in"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    good = {"density": 0.5, "importance": [1, 1], "architecture": RELU_HIDDEN}
    with pytest.raises(ValueError, match=message):
        sampled_loss([[1, 1]], None, [0, 0], **{**good, **changes})
