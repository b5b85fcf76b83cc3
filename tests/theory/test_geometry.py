"""Dimensionality and interference: known polytopes, bounds, and the two routes."""

from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings, strategies as st

from superposition.theory import (
    dimensions_per_feature,
    feature_dimensionality,
    interference,
    regular_polygon,
    regular_simplex,
)


@pytest.mark.parametrize(
    ("W", "share"),
    [
        (regular_simplex(1).W, "1/2"),
        (regular_simplex(2).W, "2/3"),
        (regular_simplex(3).W, "3/4"),
        (regular_polygon(5).W, "2/5"),
    ],
)
def test_dimensionalities_of_the_polytopes(W: Any, share: str) -> None:
    n = W.shape[1]
    assert feature_dimensionality(W) == (sympy.Rational(share),) * n
    assert dimensions_per_feature(W) == sympy.Rational(share)
    assert interference(W) == (1 / sympy.Rational(share) - 1,) * n


def test_exact_and_numpy_agree() -> None:
    W = np.random.default_rng(0).integers(-3, 4, (2, 5)) * 0.25
    for measure in (feature_dimensionality, interference, dimensions_per_feature):
        exact = np.array(measure(sympy.Matrix(W)), dtype=float)
        np.testing.assert_allclose(measure(W), exact, rtol=1e-13)


def test_zero_columns_and_zero_weights() -> None:
    assert feature_dimensionality([[1, 0]]) == (1, 0)
    assert interference([[1, 0]]) == (0, 0)
    np.testing.assert_array_equal(feature_dimensionality(np.zeros((2, 3))), np.zeros(3))
    np.testing.assert_array_equal(interference(np.zeros((2, 3))), np.zeros(3))
    assert dimensions_per_feature(np.zeros((1, 2))) == np.inf
    assert dimensions_per_feature([[0, 0]]) == sympy.oo


def test_leading_dimensions_are_kept() -> None:
    W = np.random.default_rng(1).normal(size=(4, 3, 2, 5))
    assert feature_dimensionality(W).shape == interference(W).shape == (4, 3, 5)
    assert dimensions_per_feature(W).shape == (4, 3)
    np.testing.assert_allclose(feature_dimensionality(W)[1, 2], feature_dimensionality(W[1, 2]))
    np.testing.assert_allclose(interference(W)[1, 2], interference(W[1, 2]))


def test_dimensionality_has_no_scale() -> None:
    W = np.random.default_rng(2).normal(size=(2, 4))
    # 1e−200 squared underflows; a power of two would not show rounding, so none is used.
    np.testing.assert_allclose(feature_dimensionality(W * 1e-200), feature_dimensionality(W))


entries = st.integers(-4, 4)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.lists(st.lists(entries, min_size=4, max_size=4), min_size=2, max_size=2))
def test_dimensionalities_sum_to_at_most_the_rank(rows: list[list[int]]) -> None:
    shares = feature_dimensionality(rows)
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) <= sympy.Matrix(rows).rank()


def test_bad_weights_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"shape \(\.\.\., n_hidden, n_features\), got shape \(3,\)"
    ):
        feature_dimensionality(np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        interference(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="rows of lengths 1, 2"):
        dimensions_per_feature([[1], [1, 2]])
