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


def matrices(n_hidden: int, n_features: int) -> st.SearchStrategy[list[list[int]]]:
    row = st.lists(entries, min_size=n_features, max_size=n_features)
    return st.lists(row, min_size=n_hidden, max_size=n_hidden)


def columns_are_eigenvectors(W: sympy.Matrix) -> bool:
    """Whether WWᵀ W_i is parallel to every W_i: all 2 × 2 minors of the pair vanish."""
    images = W * W.T * W
    pairs = [W.col(i).row_join(images.col(i)) for i in range(W.shape[1])]
    return all(pair.rank() <= 1 for pair in pairs)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.one_of(matrices(1, 3), matrices(2, 4), matrices(3, 4)))
def test_dimensionalities_sum_to_at_most_the_rank(rows: list[list[int]]) -> None:
    """In rational arithmetic, with equality exactly for columns that are eigenvectors of WWᵀ."""
    W = sympy.Matrix(rows)
    shares = feature_dimensionality(rows)
    assert all(0 <= share <= 1 for share in shares)
    assert all((share == 0) == W.col(i).is_zero_matrix for i, share in enumerate(shares))
    assert sum(shares) <= W.rank()
    assert (sum(shares) == W.rank()) == columns_are_eigenvectors(W)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.lists(st.integers(0, 4), min_size=3, max_size=3),
    st.lists(st.sampled_from([(1, 1), (1, 2), (2, 1)]), min_size=2, max_size=2),
)
def test_dimensionalities_of_eigenvector_columns_sum_to_the_rank(
    pairs: list[int], dropped: list[int], angles: list[tuple[int, int]]
) -> None:
    """Blocks of antipodal pairs and of tight frames of any scale, rotated by rational matrices."""
    blocks = [sympy.Matrix([[scale, -scale]]) for scale in pairs]
    square = sympy.Matrix([[3, -4, 5, 0], [4, 3, 0, 5]])  # two orthogonal pairs, one frame
    W = sympy.diag(*blocks, square, sympy.zeros(1, sum(dropped) % 3))
    for k, (a, b) in enumerate(angles):  # (a² − b², 2ab)/(a² + b²): a rational rotation
        turn = sympy.Matrix([[a * a - b * b, -2 * a * b], [2 * a * b, a * a - b * b]])
        W[k : k + 2, :] = turn * W[k : k + 2, :] / (a * a + b * b)
    assert columns_are_eigenvectors(W)
    assert sum(feature_dimensionality(W)) == W.rank()


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_dimensionalities_of_floats_sum_to_at_most_the_rank(m: int, n: int, seed: int) -> None:
    W = np.random.default_rng(seed).normal(size=(m, n))
    shares = feature_dimensionality(W)
    # n + 1 roundings in each sum; Σ D_i has no scale beside its value, at most m.
    rounding = 4 * n * m * np.finfo(np.float64).eps
    assert (shares > 0).all()
    assert shares.sum() <= min(m, n) + rounding
    # The projection onto a row space has the columns of a Parseval frame: equality.
    Q = np.linalg.qr(W.T)[0].T
    assert abs(feature_dimensionality(Q).sum() - min(m, n)) <= rounding


def test_bad_weights_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"shape \(\.\.\., n_hidden, n_features\), got shape \(3,\)"
    ):
        feature_dimensionality(np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        interference(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="rows of lengths 1, 2"):
        dimensions_per_feature([[1], [1, 2]])
