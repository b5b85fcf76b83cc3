"""Minima followed from model to model, against searches that start anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from superposition.numerics import global_minimum
from superposition.numerics.minima.continuation import follow, merge, search, shape_of


def importances(r: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(r), r], axis=-1)


def test_search_finds_what_the_global_search_finds() -> None:
    """The mirrored copies at r = 1 are minima of their own here, and one there."""
    for density, r in ((0.3, 1.0), (0.45, 0.45), (0.8, 0.95), (0.9, 1.0)):
        found = search(2, 1, density=[density], importance=[[1, r]], starts=64)
        known = found.loss[0, found.known[0]]
        reference = global_minimum(2, 1, density=density, importance=[1, r], starts=64)
        losses = [minimum.loss for minimum in reference.minima]
        np.testing.assert_allclose(np.unique(known.round(10)), np.unique(np.round(losses, 10)))
        assert len(known) >= len(losses)


def test_followed_minima_are_those_of_a_new_search_at_a_fraction_of_the_cost() -> None:
    rng = np.random.default_rng(0)
    density, r = rng.uniform(0.1, 0.95, 300), np.exp(rng.uniform(-2, 2, 300))
    here = search(2, 1, density=density, importance=importances(r), starts=48)
    W, b, use = merge(here)
    there: dict[str, Any] = {"density": density + 1e-3, "importance": importances(r * 1.002)}
    # Certified, because a saddle may catch a minimum that is about to merge with it.
    followed = follow(W, b, use=use, **there, certify=True)
    anew = search(2, 1, **there, starts=48, seed=5, certify=True)
    np.testing.assert_allclose(followed.loss[:, 0], anew.loss[:, 0], rtol=1e-10)
    assert followed.evaluations.mean() < 0.03 * anew.evaluations.mean()


def test_rotated_copies_are_one_and_flipped_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((2, 3)), rng.standard_normal(3)
    angle = 0.7
    Q = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(shape_of(Q @ W, b), shape_of(W, b), atol=1e-14)
    flipped = W * [1, 1, -1]
    assert abs(shape_of(flipped, b) - shape_of(W, b)).max() > 0.1


def test_exchanged_features_are_one_shape_if_they_are_alike() -> None:
    rng = np.random.default_rng(1)
    W, b = rng.standard_normal((2, 4)), rng.uniform(0.5, 1, 4)
    order = [2, 0, 1, 3]
    exchanged = shape_of(W[:, order], b[order], alike=3)
    np.testing.assert_allclose(exchanged, shape_of(W, b, alike=3), atol=1e-14)
    assert abs(shape_of(W[:, order], b[order]) - shape_of(W, b)).max() > 0.01
    last = [3, 1, 2, 0]
    assert abs(shape_of(W[:, last], b[last], alike=3) - shape_of(W, b, alike=3)).max() > 0.01
    biases_exchanged = b[[1, 0, 2, 3]]
    assert abs(shape_of(W, biases_exchanged, alike=3) - shape_of(W, b, alike=3)).max() > 0.01


def test_mirrored_copies_are_minima_of_their_own() -> None:
    """At r = 1 they tie; next to it they do not, and both have to be followed."""
    found = search(2, 1, density=[0.8], importance=[[1, 1]], starts=64)
    first, second = found.W[0, :2, 0]
    assert found.loss[0, 1] == pytest.approx(found.loss[0, 0], rel=1e-10)
    np.testing.assert_allclose(abs(first), abs(second[::-1]), atol=1e-6)
    assert abs(abs(first) - abs(second)).max() > 0.1


def test_missing_starts_are_not_used() -> None:
    W = np.array([[[[0.9, -0.9]], [[0.9, 0.2]]]])
    b = np.zeros((1, 2, 2))
    one = follow(W, b, density=[0.2], importance=[[1, 1]], use=np.array([[True, False]]))
    both = follow(W, b, density=[0.2], importance=[[1, 1]])
    assert one.known.sum() == 1
    assert both.known.sum() == 2
    assert both.loss[0, 0] == one.loss[0, 0] < both.loss[0, 1]
    assert np.isinf(one.loss[0, 1:]).all()


def test_misuse_is_explained() -> None:
    with pytest.raises(ValueError, match="density is the probability"):
        search(2, 1, density=[1.5], importance=[[1, 1]])
