"""Columns of W: oracles are models made by hand, the loss by quadrature, and the linear theory."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import xarray as xr

from superposition.numerics import population_loss
from superposition.theory.linear import weighted_pca_loss
from superposition.validation.reproduction.columns import (
    constant_loss,
    cosine_deviation,
    describe_columns,
    misplaced,
)


def models(*columns: tuple[float, float], b: float = 0.0) -> xr.Dataset:
    W = np.array(columns).T
    return xr.Dataset({"W": (("hidden", "feature"), W), "b": ("feature", np.full(W.shape[1], b))})


def test_an_antipodal_pair_beside_an_orthogonal_feature() -> None:
    found = describe_columns(models((1, 0), (-0.8, 0), (0, 1), (0.3, 0), b=-0.25))
    assert found.norm.values == pytest.approx([1, 0.8, 1, 0.3])
    # The last feature interferes, but is too short to be a partner.
    assert found.interference.values == pytest.approx([0.64 + 0.09, 1 + 0.09, 0, 1 + 0.64])
    assert found.squared_cosines.values == pytest.approx([1, 1, 0, 2])
    assert found.lowest_cosine.values == pytest.approx([-1, -1, 0, -1])
    assert found.highest_overlap.values == pytest.approx([0.3, 0, 0, 0.3])
    assert found.b.values == pytest.approx([-0.25] * 4)


def test_a_feature_without_partner_has_no_cosine() -> None:
    found = describe_columns(models((1, 0), (-0.4, 0)))
    assert found.lowest_cosine.values.tolist() == [1.0, -1.0]
    assert found.squared_cosines.values.tolist() == [0.0, 1.0]


def test_a_column_of_zeros_is_no_error() -> None:
    found = describe_columns(models((1, 0), (0, 0)))
    assert found.interference.values.tolist() == [0.0, 0.0]


def test_misplaced_features_are_counted_on_both_sides() -> None:
    norm = xr.DataArray([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.7, 0.0]], dims=("replica", "feature"))
    assert misplaced(norm, 2).values.tolist() == [0, 2]


@pytest.mark.parametrize("s", [1.0, 0.3, 0.01])
@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_the_loss_of_dropped_features_is_that_of_the_model_that_drops_them(
    s: float, activation: str
) -> None:
    importance = [1.0, 0.5, 0.25]
    b = [0.0, s / 2, s / 2]
    exact = population_loss(
        np.eye(1, 3), b, density=s, importance=importance, activation=activation
    )
    assert float(constant_loss(s, importance[1:])) == pytest.approx(float(exact), rel=1e-9)


def test_linear_models_can_do_no_better() -> None:
    importance = [sympy.Rational(1, 2**k) for k in range(4)]
    bound = weighted_pca_loss(4, 2, density=sympy.Rational(1, 5), importance=importance)
    assert float(constant_loss(0.2, [0.25, 0.125])) == pytest.approx(float(bound), rel=1e-12)


OCTAHEDRON = np.hstack([np.eye(3), -np.eye(3)])
CORNER = (0, 0, -1, 0, 0)


def test_an_octahedron_is_one_in_any_order_position_and_length() -> None:
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    W = turn @ OCTAHEDRON[:, rng.permutation(6)] * rng.uniform(0.8, 1.2, 6)
    assert cosine_deviation(W, CORNER) == pytest.approx(0, abs=1e-12)


def test_what_is_no_octahedron_deviates() -> None:
    prism = np.vstack([np.tile(np.cos(2 * np.pi * np.arange(3) / 3), 2),
                       np.tile(np.sin(2 * np.pi * np.arange(3) / 3), 2),
                       np.repeat([1.0, -1.0], 3)])  # fmt: skip
    bent = OCTAHEDRON + np.outer([0, 0.3, 0], [1, 0, 0, 0, 0, 0])
    dropped = OCTAHEDRON * [1, 1, 1, 1, 1, 0.3]
    assert cosine_deviation(prism, CORNER) > 0.2
    assert cosine_deviation(bent, CORNER) == pytest.approx(0.3 / np.hypot(1, 0.3))
    assert cosine_deviation(dropped, CORNER) == 1


def test_a_column_more_or_less_is_another_shape() -> None:
    """Oracle: a regular pentagon, whose neighbors are 72° apart, without or with one column."""
    angles = 2 * np.pi * np.arange(5) / 5
    pentagon = np.stack([np.cos(angles), np.sin(angles)])
    wanted = np.cos(angles[1:])
    assert cosine_deviation(pentagon, wanted) == pytest.approx(0, abs=1e-12)
    assert cosine_deviation(pentagon[:, :4], wanted) == 1
    assert cosine_deviation(np.hstack([pentagon, [[1.0], [0.0]]]), wanted) == 1
    assert cosine_deviation(pentagon * [1, 1, 1, 1, 0.1], wanted[:3]) > 0.1
