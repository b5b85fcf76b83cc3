"""Neurons and the losses of few of them: oracles are models made by hand and exact quadrature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy

from superposition import Independent, ValueDistribution
from superposition.numerics import two_layer_loss
from superposition.validation.reproduction.neurons import (
    Motifs,
    computed_features,
    find_motifs,
    monosemantic_share,
    neuron_sizes,
)
from superposition.validation.reproduction.two_layer_models import least_loss, monosemantic_loss

SIGNED = Independent(ValueDistribution([1], symmetric=True))
PAIR_W, PAIR_V = np.array([[1.0], [-1.0]]), np.array([[1.0, 1.0]])


def loss(W: Any, V: Any, b: Any, **more: Any) -> float:
    return float(two_layer_loss(W, V, b, **more, architecture="absolute-value", features=SIGNED))


def rescaled(W: Any, V: Any) -> tuple[Any, Any]:
    scale = np.exp(np.arange(len(W)) - 1.0)
    return np.asarray(W) * scale[:, None], np.asarray(V) / scale


def test_a_neuron_is_monosemantic_up_to_nine_tenths_of_its_squares() -> None:
    W = np.array([[3.0, 1.0], [2.9, 1.0]])  # 9 of 10, and less
    assert monosemantic_share(W, W.T) == 0.5
    assert np.isnan(monosemantic_share(0.1 * W, 0.1 * W.T))  # nothing is live
    assert monosemantic_share(*rescaled(W, W.T)) == 0.5
    assert neuron_sizes(*rescaled(W, W.T)) == pytest.approx(neuron_sizes(W, W.T))


def test_a_feature_is_computed_if_both_of_its_signs_are() -> None:
    W, V = np.kron(np.eye(2), PAIR_W), np.kron(np.eye(2), PAIR_V)
    assert computed_features(W, V).tolist() == [True, True]
    assert computed_features(W[:3], V[:, :3]).tolist() == [True, False]
    weak = V * [[1.0], [0.49]]
    assert computed_features(W, weak).tolist() == [True, False]


ASYMMETRIC = ([[2, 0.5], [2, 0]], [[0.5, 0], [2, -2]])


@pytest.mark.parametrize(
    ("W", "V", "found"),
    [
        (*ASYMMETRIC, Motifs(1, 1, 1)),
        (*rescaled(*ASYMMETRIC), Motifs(1, 1, 1)),
        ([[1, 1], [2, 0]], [[1, 0], [1, -2]], Motifs(1, 0, 0)),  # both disturb equally
        ([[2, 0.5], [2, 0]], [[0.5, 0], [2, 2]], Motifs(1, 1, 0)),  # enhanced, not inhibited
        ([[2, 0.5], [-2, 0]], [[0.5, 0], [2, -2]], Motifs(1, 1, 0)),  # inhibited when off
        ([[2, 0.5], [0, 2]], [[0.5, -2], [2, 0]], Motifs(1, 1, 0)),  # the weaker one is inhibited
        ([[2, 0.5], [2, 0]], [[0.5, 0], [2, -0.9]], Motifs(1, 1, 0)),  # 1.8 of 4 is too little
        ([[-2, 0.5], [-2, 0]], [[0.5, 0], [2, -2]], Motifs(1, 1, 1)),  # of the negative sign
        ([[1, 0], [0, 1]], [[1, 0], [0, 1]], Motifs(0, 0, 0)),
        ([[2, 0.1], [2, 0]], [[0.5, 0], [2, -2]], Motifs(0, 0, 0)),  # serves only one
    ],
)
def test_motifs_made_by_hand(W: Any, V: Any, found: Motifs) -> None:
    assert find_motifs(W, V) == found


@pytest.mark.parametrize("density", [0.05, 0.4, 1.0])
def test_half_of_a_feature_by_one_neuron(density: float) -> None:
    """Oracle: the minimum over slope and bias that SymPy derives, and the exact loss of it."""
    s, d, b = sympy.symbols("s d b")
    form = s * d**2 / 6 - s * d * b / 2 + s / 6 - s * b / 2 + b**2
    best = sympy.solve([form.diff(d), form.diff(b)], [d, b])
    slope, bias = (float(value.subs(s, density)) for value in (1 - best[d], best[b]))
    exact = loss([[1]], [[slope]], [bias], density=density, importance=[1])
    assert exact == pytest.approx(float(form.subs(best).subs(s, density)), rel=1e-12)
    assert monosemantic_loss(1, density=density, importance=[1]) == pytest.approx(exact, rel=1e-12)


def test_neurons_are_best_given_in_pairs_by_importance() -> None:
    """Oracle: the exact losses of all ways to give two neurons to two features."""
    density, importance = 0.3, [0.7, 1.0]
    half = float(monosemantic_loss(1, density=density, importance=[1]))
    none = density / 3 - density**2 / 4
    ways = [0.7 * none, 1.0 * none, 1.7 * half]
    assert monosemantic_loss(2, density=density, importance=importance) == min(ways)
    W, V = np.pad(PAIR_W, ((0, 0), (1, 0))), np.pad(PAIR_V, ((1, 0), (0, 0)))
    exact = loss(W, V, [density / 2, 0], density=density, importance=importance)
    assert exact == pytest.approx(min(ways), rel=1e-12)
    assert monosemantic_loss(4, density=density, importance=importance) == 0


@pytest.mark.parametrize("density", [0.2, 1.0])
def test_the_search_finds_what_is_known(density: float) -> None:
    """One feature: nothing is better than the half of |x|, and two neurons compute it."""
    common: dict[str, Any] = {
        "density": density, "importance": [1.0], "features": SIGNED, "starts": 6, "seed": 0,
    }  # fmt: skip
    one = least_loss(1, 1, **common)
    assert one.loss == pytest.approx(float(monosemantic_loss(1, density=density, importance=[1])))
    assert loss(one.W, one.V, one.b, density=density, importance=[1]) == one.loss
    assert least_loss(1, 2, **common).loss < 1e-9
