"""Exact losses of two-layer models.

Oracles: adaptive quadrature and rational arithmetic on the definition, samples of the trainer's
inputs within five standard errors, the loss of the standard model, closed forms by hand, and
symmetries.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate

from superposition import (
    Anticorrelated,
    CoActive,
    Correlated,
    Independent,
    OneHot,
    ValueDistribution,
)
from superposition.architecture import (
    ABSOLUTE_VALUE,
    ARCHITECTURES,
    RELU_HIDDEN,
    Architecture,
)
from superposition.features import FeatureDistribution
from superposition.numerics import population_loss, training_batch, two_layer_loss
from superposition.numerics.two_layer import exact

Floats = NDArray[np.float64]

SIGNED_VALUES = ValueDistribution([1], symmetric=True)
SIGNED = Independent(SIGNED_VALUES)
UNTIED = Architecture("untied", tied=False, hidden="relu")
DISTRIBUTIONS: dict[str, FeatureDistribution] = {
    "independent": Independent(),
    "signed": SIGNED,
    "polynomial": Independent(ValueDistribution([0, 0, 3])),
    "correlated": Correlated([(0, 1)], SIGNED_VALUES),
    "anticorrelated": Anticorrelated([(0, 1)], ValueDistribution([0, 2], symmetric=True)),
    "co-active": CoActive(),
}
distributions = pytest.mark.parametrize("name", DISTRIBUTIONS)
activations = pytest.mark.parametrize("activation", ["relu", "linear"])


# --- adaptive quadrature of the definition --------------------------------------------------------


def output(W: Floats, v: Floats, b: float, x: Floats, relu: bool) -> float:
    z = b + float(v @ np.maximum(W @ x, 0))
    return max(z, 0.0) if relu else z


def mean_by_quadrature(W: Floats, v: Floats, b: float, target: Any, relu: bool, p: Any) -> float:
    """E (x̂ − target(x₁))² over two values of density p on [0, 1], for an output with weights v.

    The inner integral is one of polynomials between kinks that are found here by bisection of the
    definition; the outer is adaptive.
    """
    nodes, weights = np.polynomial.legendre.leggauss(5)

    def inner(first: float) -> float:
        turns = [-w1 * first / w2 for w1, w2 in W if w2 != 0]
        cuts = sorted({0.0, 1.0, *(t for t in turns if 0 < t < 1)})
        refined = []
        for left, right in pairwise(cuts):  # the preactivation is affine in between
            ends = [output(W, v, b, np.array([first, t]), relu=False) for t in (left, right)]
            refined.append(left)
            if ends[0] * ends[1] < 0:
                refined.append(left + (right - left) * ends[0] / (ends[0] - ends[1]))
        total = 0.0
        for left, right in pairwise([*refined, 1.0]):
            for node, weight in zip(nodes, weights, strict=True):
                second = left + (right - left) * (node + 1) / 2
                error = output(W, v, b, np.array([first, second]), relu) - target(first)
                total += weight * (right - left) / 2 * error**2 * p(second)
        return float(total * p(first))

    value, error = integrate.quad(inner, 0, 1, limit=300, epsabs=1e-11, epsrel=1e-11)
    assert error < 1e-9
    return float(value)


@activations
@pytest.mark.parametrize(
    ("target", "values"),
    [("identity", [1]), ("absolute", [1]), ("identity", [0, 2]), ("absolute", [0, 0, 3])],
)
@pytest.mark.parametrize("bias", [0.4, -0.3])
def test_two_features_that_are_on_against_quadrature(
    bias: float, target: Any, values: list[int], activation: str
) -> None:
    # With the negative bias outputs are 0 at two corners of a triangle, with the other one at one.
    rng = np.random.default_rng(1)
    symmetric = target == "absolute"
    law = ValueDistribution(values, symmetric=symmetric)
    W, V, b = rng.normal(size=(4, 2)), rng.normal(size=(2, 4)), [bias, 0]
    found = two_layer_loss(
        W, V, b, density=1, importance=[1, 0], activation=activation,
        architecture=Architecture("own", tied=False, hidden="relu", target=target),
        features=Independent(law),
    )  # fmt: skip
    signs = list(product((1, -1), repeat=2)) if symmetric else [(1, 1)]
    wanted = [
        mean_by_quadrature(
            W * sign,
            V[0],
            b[0],
            lambda u, own=sign[0]: u if target == "absolute" else own * u,
            activation == "relu",
            lambda u: np.polynomial.polynomial.polyval(u, values),
        )
        for sign in signs
    ]
    assert found == pytest.approx(np.mean(wanted), rel=1e-9)


# --- rational arithmetic on the definition --------------------------------------------------------

Point = tuple[Fraction, Fraction]
Affine = tuple[Fraction, Fraction, Fraction]


def value(f: Affine, p: Point) -> Fraction:
    return f[0] * p[0] + f[1] * p[1] + f[2]


def clipped(polygon: list[Point], f: Affine) -> list[Point]:
    """Cut a convex polygon to where f ≥ 0."""
    kept: list[Point] = []
    for p, q in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        at_p, at_q = value(f, p), value(f, q)
        if at_p >= 0:
            kept.append(p)
        if at_p * at_q < 0:
            t = at_p / (at_p - at_q)
            kept.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
    return kept


def integral_of_square(polygon: list[Point], f: Affine) -> Fraction:
    """Integrate over a fan of triangles; the middles of the sides are exact for squares."""
    total = Fraction(0)
    for p, q in pairwise(polygon[1:]):
        sides = [(polygon[0], p), (p, q), (q, polygon[0])]
        middles = [((a[0] + c[0]) / 2, (a[1] + c[1]) / 2) for a, c in sides]
        (x, y), (u, v) = ((c[0] - polygon[0][0], c[1] - polygon[0][1]) for c in (p, q))
        total += abs(x * v - y * u) / 6 * sum(value(f, middle) ** 2 for middle in middles)
    return total


def rational_mean(W: list[Point], v: list[Fraction], b: Fraction, relu: bool) -> Fraction:
    """E (x̂ − x₁)² over the unit square: every sign of hidden dimensions and output by itself."""
    zero, one = Fraction(0), Fraction(1)
    pieces = [([(zero, zero), (one, zero), (one, one), (zero, one)], (zero, zero, b))]
    for w, weight in zip(W, v, strict=True):
        split = []
        for polygon, f in pieces:
            on = (f[0] + weight * w[0], f[1] + weight * w[1], f[2])
            split.append((clipped(polygon, (*w, zero)), on))
            if any(w):
                split.append((clipped(polygon, (-w[0], -w[1], zero)), f))
        pieces = split
    total = zero
    for polygon, f in pieces:
        error = (f[0] - 1, f[1], f[2])
        if not relu:
            total += integral_of_square(polygon, error)
            continue
        total += integral_of_square(clipped(polygon, f), error)
        if any(f):
            off = clipped(polygon, (-f[0], -f[1], -f[2]))
            total += integral_of_square(off, (-one, zero, zero))
    return total


@activations
def test_degenerate_weights_against_rational_arithmetic(activation: str) -> None:
    # Small integers: kinks on diagonals, axes and corners, on each other, and outside; weights 0.
    rng = np.random.default_rng(11)
    for _ in range(40):
        m = int(rng.integers(1, 4))
        W, V = rng.integers(-2, 3, (m, 2)), rng.integers(-2, 3, (2, m))
        b = rng.integers(-2, 3, 2)
        found = two_layer_loss(
            W, V, b, density=1, importance=[1, 0], activation=activation, architecture=UNTIED
        )
        rows = [(Fraction(int(x)), Fraction(int(y))) for x, y in W]
        decoder = [Fraction(int(x)) for x in V[0]]
        wanted = rational_mean(rows, decoder, Fraction(int(b[0])), activation == "relu")
        assert found == pytest.approx(float(wanted), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("exponent", [-1000, -570, 570, 1000])
def test_units_of_the_hidden_layer_do_not_matter(exponent: int) -> None:
    # Powers of two change no rounding; products of two encoder weights would leave the range.
    W, V = np.array([[1, -0.3], [-0.2, 0.7]]), np.array([[1, 0.4], [0.5, -1]])
    common: dict[str, Any] = {"density": 0.7, "importance": [1, 1], "architecture": UNTIED}
    loss = two_layer_loss(W, V, [-0.1, 0.1], **common)
    units = 2.0**exponent
    assert two_layer_loss(W * units, V / units, [-0.1, 0.1], **common) == loss


# --- the standard model, of which the loss is known by other means --------------------------------


@activations
@distributions
def test_loss_of_the_standard_model(name: str, activation: str) -> None:
    rng = np.random.default_rng(2)
    common: dict[str, Any] = {
        "density": np.array([0.4, 1 / 3, 0.0])[:, None] * np.ones(2),
        "importance": [1, 2],
        "features": DISTRIBUTIONS[name],
        "activation": activation,
    }
    for m in (1, 2, 3):
        W, b = rng.normal(size=(3, m, 2)), rng.normal(size=(3, 2)) / 3
        found = two_layer_loss(W, W.swapaxes(1, 2), b, **common, architecture="tied")
        np.testing.assert_allclose(found, population_loss(W, b, **common), rtol=1e-12, atol=1e-15)


def test_loss_of_pairs_of_features() -> None:
    # Six features in three pairs, of two hidden dimensions each, in an order that mixes them up.
    rng = np.random.default_rng(3)
    W = np.zeros((6, 6))
    for pair in range(3):
        W[2 * pair : 2 * pair + 2, [pair, 5 - pair]] = rng.normal(size=(2, 2))
    common: dict[str, Any] = {
        "density": rng.uniform(0.1, 0.9, 6),
        "importance": rng.random(6),
        "features": Independent(SIGNED_VALUES),
    }
    b = rng.normal(size=6) / 3
    found = two_layer_loss(W, None, b, **common, architecture="tied")
    assert found == pytest.approx(population_loss(W, b, **common), rel=1e-12)


# --- samples --------------------------------------------------------------------------------------

GATED = Correlated([(0, 3)], SIGNED_VALUES), Anticorrelated([(1, 2), (0, 4)], SIGNED_VALUES)


def sparse_model(seed: int) -> tuple[Floats, Floats, Floats]:
    """Five features, of which every output depends on two or on one."""
    rng = np.random.default_rng(seed)
    W, V = np.zeros((7, 5)), np.zeros((5, 7))
    for a, (j, k) in enumerate([(0, 3), (0, 3), (1, 2), (1, 2), (1, 2), (4, 4), (4, 4)]):
        W[a, [j, k]], V[[j, k], a] = rng.normal(size=(2, 2))
    V[0, 4] = 0
    return W, V, rng.normal(size=5) / 3


@pytest.mark.parametrize("features", [SIGNED, *GATED, Independent()], ids=repr)
@pytest.mark.parametrize("architecture", [ABSOLUTE_VALUE, UNTIED], ids=lambda one: one.name)
def test_loss_against_samples_of_the_definition(
    architecture: Architecture, features: FeatureDistribution
) -> None:
    W, V, b = sparse_model(4)
    density, importance = np.full(5, 0.4), np.linspace(1, 2, 5)
    x = training_batch(density, 400_000, features=features, seed=8)
    outputs = np.maximum(np.maximum(x @ W.T, 0) @ V.T + b, 0)
    target = abs(x) if architecture.target == "absolute" else x
    losses = (outputs - target) ** 2 @ importance
    found = two_layer_loss(
        W, V, b, density=density, importance=importance, features=features,
        architecture=architecture,
    )  # fmt: skip
    assert abs(found - losses.mean()) < 5 * losses.std() / np.sqrt(len(losses))


# --- by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [0.0, 0.01, 0.5, 1.0])
def test_absolute_values_by_hand(s: float) -> None:
    def loss(W: Any, V: Any, b: Any) -> float:
        return float(two_layer_loss(
            W, V, b, density=s, importance=np.ones(len(b)), features=SIGNED,
            architecture="absolute-value",
        ))  # fmt: skip

    # |x| = ReLU(x) + ReLU(−x): no loss, exactly; in any units of the hidden layer.
    assert loss([[1], [-1]], [[1, 1]], [0]) == 0
    assert loss([[4], [-0.25]], [[0.25, 4]], [0]) == 0
    # Nothing but a bias: s/3 − s b + b², least at s/2. With ReLU(x) beside it half of |x| is done:
    # (1 − s) b² + s/2 · b² + s/2 · E (b − u)² = s/6 − s b/2 + b², least at s/4.
    for b in (0.0, s / 4, s / 2, 0.7):
        assert loss([[0]], [[0]], [b]) == pytest.approx(s / 3 - s * b + b * b, abs=1e-15)
        assert loss([[1]], [[1]], [b]) == pytest.approx(s / 6 - s * b / 2 + b * b, abs=1e-15)
    # A hidden dimension of two features, h = ReLU(x₁ + x₂), read for the first: where x₁ is on
    # alone it is right for x₁ > 0 (else E u² = 1/3); where x₂ is on alone, wrong by u for x₂ > 0;
    # where both are on: signs ++ E u₂² = 1/3, −− 1/3, +− and −+ E ((u₁ − u₂)₊ − u₁)² = E min² = 1/6
    # and E ((u₂ − u₁)₊ − u₁)²; with d = u₂ − u₁ that is 1/3 − 2 E u₁ d₊ + E d₊² = 1/3 − 1/12 + 1/12.
    both = (1 / 3 + 1 / 3 + 1 / 6 + 1 / 3) / 4
    first = 2 * s * (1 - s) / 6 + s**2 * both
    assert loss([[1, 1]], [[1], [0]], [0, 0]) == pytest.approx(first + s / 3, abs=1e-15)


@pytest.mark.parametrize("s", [0.1, 1.0])
def test_a_shrunken_output_by_hand(s: float) -> None:
    # x̂ = (u − c)₊ is off by u below c and by c above: c³/3 + c² (1 − c).
    c = 0.3
    wanted = s * (c**3 / 3 + c**2 * (1 - c))
    loss = two_layer_loss([[2]], [[0.5]], [-c], density=s, importance=[1], architecture=UNTIED)
    assert loss == pytest.approx(wanted, rel=1e-14)
    # And x̂ = (c − 2 u)₊, which is c where the feature is off: ∫ (c − 3 u)² up to c/2, then ∫ u².
    rest = (c**3 + (c / 2) ** 3) / 9 + (1 - (c / 2) ** 3) / 3
    loss = two_layer_loss([[1]], [[-2]], [c], density=s, importance=[1], architecture=UNTIED)
    assert loss == pytest.approx((1 - s) * c**2 + s * rest, rel=1e-14)


@pytest.mark.parametrize("s", [0.0, 0.3, 1.0])
def test_an_antipodal_pair_behind_a_hidden_relu_by_hand(s: float) -> None:
    # h = ReLU(x₁ − x₂) says nothing of x₂. Both on: E (x₁ − (x₁ − x₂)₊)² = E min(x₁, x₂)² = 1/6.
    for importance in ([1, 0], [0, 1], [1, 0.5]):
        loss = two_layer_loss(
            [[1, -1]], None, [0, 0], density=s, importance=importance, architecture="relu-hidden"
        )
        wanted = importance[0] * s**2 / 6 + importance[1] * s / 3
        assert loss == pytest.approx(wanted, rel=1e-14)


# --- symmetries -----------------------------------------------------------------------------------


def test_symmetries() -> None:
    rng = np.random.default_rng(5)
    W, V, b = sparse_model(6)
    common: dict[str, Any] = {"density": 0.4, "features": SIGNED, "architecture": ABSOLUTE_VALUE}
    loss = two_layer_loss(W, V, b, importance=np.ones(5), **common)
    order, units = rng.permutation(7), 2.0 ** rng.integers(-5, 6, 7)
    for other_W, other_V in (
        (W[order], V[:, order]),  # another order of the hidden dimensions
        (W * units[:, None], V / units),  # other units
        (-W, V),  # of a symmetric law, for a target that is symmetric
        (np.vstack([W, W]), np.hstack([V, V]) / 2),  # two halves for one
    ):
        again = two_layer_loss(other_W, other_V, b, importance=np.ones(5), **common)
        assert again == pytest.approx(loss, rel=1e-13)
    features = rng.permutation(5)
    importance = rng.random(5)
    first = two_layer_loss(W, V, b, importance=importance, **common)
    renamed = two_layer_loss(
        W[:, features], V[features], b[features], importance=importance[features], **common
    )
    assert renamed == pytest.approx(first, rel=1e-13)


def test_the_loss_is_continuous_where_kinks_meet() -> None:
    # Two hidden dimensions that change sign on one line, on the diagonal, on an axis, or nowhere;
    # outputs whose own kink runs through a corner. Weights next to them have losses next to theirs.
    common: dict[str, Any] = {"density": 0.5, "importance": [1, 1], "architecture": UNTIED}
    V, b = np.array([[1.0, -0.5], [0.25, 2.0]]), np.array([0.0, -1.0])
    for rows in ([1, -1, 2, -2], [1, -1, -1, 1], [1, 0, 0, -1], [-1, -1, 1e-300, -1]):
        W = np.reshape(rows, (2, 2))
        loss = two_layer_loss(W, V, b, **common)
        for shift in (1e-12, -1e-12):
            near = two_layer_loss(W + shift, V, b + shift, **common)
            assert near == pytest.approx(loss, abs=1e-10)


# --- batches --------------------------------------------------------------------------------------


def test_batches_broadcast_and_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    W, V, b = (np.array(parts) for parts in zip(*map(sparse_model, range(3)), strict=True))
    density, importance = np.array([0.1, 0.9])[:, None], rng.random((1, 3, 5))
    common: dict[str, Any] = {"features": SIGNED, "architecture": ABSOLUTE_VALUE}
    losses = two_layer_loss(W, V, b, density=density, importance=importance, **common)
    assert losses.shape == (2, 3)
    for point, model in np.ndindex(2, 3):
        alone = two_layer_loss(
            W[model], V[model], b[model], density=density[point, 0],
            importance=importance[0, model], **common,
        )  # fmt: skip
        assert alone == losses[point, model]
    monkeypatch.setattr(exact, "_NODES_AT_ONCE", 1000)
    again = two_layer_loss(W, V, b, density=density, importance=importance, **common)
    np.testing.assert_array_equal(again, losses)
    none = two_layer_loss(W[:0], V[:0], b[:0], density=0.5, importance=np.ones(5), **common)
    assert none.shape == (0,)


def test_one_hot_features_never_interact() -> None:
    W, b = np.array([[1.0, -0.6]]), np.array([0.1, 0.2])
    common: dict[str, Any] = {"density": 0.5, "importance": [1, 2], "features": OneHot()}
    loss = two_layer_loss(W, W.T, b, **common, architecture="tied")
    assert loss == pytest.approx(population_loss(W, b, **common), rel=1e-13)


# --- errors ---------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "W": np.eye(3),
    "V": np.eye(3),
    "b": np.zeros(3),
    "density": 0.5,
    "importance": np.ones(3),
    "architecture": "absolute-value",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"W": np.ones((3, 3))}, "output 0 depends on the features 0, 1, 2, and the exact loss"),
        ({"V": np.ones((2, 3, 3))}, r"output 0 of model \(0\) depends .* use sampled_loss"),
        ({"V": None}, "V is needed: the architecture 'absolute-value' has a decoder of its own"),
        (
            {"V": np.ones((3, 2))},
            r"V must have shape \(..., n_features, n_hidden\), got V \(3, 2\)",
        ),
        ({"V": np.full((3, 3), np.nan)}, "V must be finite"),
        ({"V": [[1], [1, 2]]}, "V must be a rectangular array of numbers"),
        ({"W": "weights"}, "W must be a rectangular array of numbers"),
        ({"W": np.full((3, 3), np.inf)}, "W must be finite"),
        ({"b": np.zeros(2)}, r"W must have shape .* and b shape"),
        ({"W": np.ones((2, 3, 3)), "V": np.ones((4, 3, 3))}, "leading dimensions of V must broad"),
        ({"architecture": "relu-hidden", "V": 2 * np.eye(3)}, "V must be the transpose of W for"),
        ({"architecture": "mlp"}, "architecture must be an Architecture or one of"),
        ({"activation": "gelu"}, "activation must be one of relu, linear"),
        ({"density": 2}, "density .* must lie in"),
        ({"importance": [1, 1]}, "importance must have shape"),
        ({"features": Correlated([(0, 1)]), "density": [0.1, 0.2, 0.3]}, "must be equal"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    arguments = {**GOOD, **changes}
    with pytest.raises(ValueError, match=message):
        two_layer_loss(arguments.pop("W"), arguments.pop("V"), arguments.pop("b"), **arguments)


def test_every_named_architecture_is_taken() -> None:
    # A feature by itself, read and written by one hidden dimension: nothing that differs.
    for name in ARCHITECTURES:
        arguments = {**GOOD, "architecture": name}
        W, V, b = (arguments.pop(part) for part in ("W", "V", "b"))
        assert two_layer_loss(W, V, b, **arguments) == 0
    assert RELU_HIDDEN.name in ARCHITECTURES
