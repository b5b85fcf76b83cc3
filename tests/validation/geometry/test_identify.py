"""Names of geometries: exact shapes, optima, trained models, and what must not have a name.

Oracles: the theory's exact coordinates, disturbed; global minima whose geometry is known; rates of
right and wrong names over seeded draws; probabilities in closed form against sampling.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from sympy import sqrt

from superposition.numerics import global_minimum, population_loss, train
from superposition.theory import feature_dimensionality, named_configuration, square_antiprism
from superposition.validation.geometry.identify import (
    ACCEPTED_RESIDUAL,
    Geometry,
    accepted_digon,
    identify_geometry,
    name_rate,
)
from superposition.validation.geometry.matching import gram_distance

Floats = NDArray[np.float64]

EXACT = [
    ("basis 3 of 3", "3 × dedicated"),
    ("basis 2 of 5", "2 × dedicated, 3 dropped"),
    ("digon", "digon"),
    ("triangle", "triangle"),
    ("tetrahedron", "tetrahedron"),
    ("square", "2 × digon"),
    ("pentagon", "pentagon"),
    ("hexagon", "hexagon"),
    ("heptagon", "heptagon"),
    ("octagon", "octagon"),
    ("polygon 12", "polygon 12"),
    ("simplex 5", "simplex 5"),
    ("simplex 6", "simplex 6"),
    ("simplex 12", "simplex 12"),
    ("simplex 5 + simplex 9 + digon", "digon + simplex 5 + simplex 9"),
    ("octahedron", "octahedron"),
    ("cube", "cube"),
    ("square antiprism", "square antiprism"),
    ("triangular bipyramid", "triangular bipyramid"),
    ("square bipyramid", "octahedron"),
    ("pentagonal bipyramid", "pentagonal bipyramid"),
    ("hexagonal bipyramid", "hexagonal bipyramid"),
    ("cross-polytope 8", "4 × digon"),
    ("digon + basis 1 of 1", "digon + dedicated"),
    ("digon + triangle + digon", "2 × digon + triangle"),
    ("digon + basis 2 of 4", "digon + 2 × dedicated, 2 dropped"),
    ("octahedron + basis 1 of 1", "3 × digon + dedicated"),
    ("pentagon + tetrahedron + square antiprism", "tetrahedron + pentagon + square antiprism"),
    ("pentagon + pentagon + digon + digon + digon", "3 × digon + 2 × pentagon"),
]


def disturbed(name: str, noise: float = 0.0, seed: int = 0) -> Floats:
    """Exact shapes with noise and other lengths, turned and shuffled."""
    generator = np.random.default_rng(seed)
    W = named_configuration(name).W_array()
    W = W + noise * generator.standard_normal(W.shape) * np.any(W, axis=0)
    W = W * generator.uniform(0.7, 1.4, W.shape[1])
    turn = np.linalg.qr(generator.standard_normal((len(W), len(W))))[0]
    return np.asarray((turn @ W)[:, generator.permutation(W.shape[1])])


@pytest.mark.parametrize(("configuration", "name"), EXACT, ids=[exact[0] for exact in EXACT])
def test_exact_shapes_have_their_names(configuration: str, name: str) -> None:
    W = disturbed(configuration)
    geometry = identify_geometry(W)
    assert geometry.name == name
    assert geometry.named
    assert not geometry.overlapping
    assert geometry.residual < 1e-12
    assert geometry.rank == sum(component.dimensions for component in geometry.components)
    features = [i for component in geometry.components for i in component.features]
    assert sorted([*features, *geometry.dropped]) == list(range(W.shape[1]))


def test_components_say_what_they_measured() -> None:
    W = disturbed("pentagon + basis 1 of 2", noise=0.01)
    D = feature_dimensionality(W)
    geometry = identify_geometry(W)
    assert len(geometry.dropped) == 1
    for component in geometry.components:
        assert component.lengths == pytest.approx(np.linalg.norm(W, axis=0)[[*component.features]])
        assert component.dimensionality == pytest.approx(D[[*component.features]])
    pentagon = max(geometry.components, key=lambda component: len(component.features))
    assert pentagon.dimensions == 2
    assert pentagon.runner_up is not None
    assert 10 * pentagon.residual < pentagon.runner_up.residual
    assert all(np.linalg.norm(W[:, i]) < geometry.threshold for i in geometry.dropped)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), features=st.integers(1, 9), hidden=st.integers(1, 4))
def test_turns_orders_and_scale_change_nothing(seed: int, features: int, hidden: int) -> None:
    generator = np.random.default_rng(seed)
    W = generator.standard_normal((hidden, features))
    turn = np.linalg.qr(generator.standard_normal((hidden, hidden)))[0]
    order = generator.permutation(features)
    first, second = identify_geometry(W), identify_geometry(3.7 * (turn @ W)[:, order])
    assert first.name == second.name
    assert {frozenset(c.features) for c in first.components} == {
        frozenset(order[[*c.features]].tolist()) for c in second.components
    }


@pytest.mark.parametrize(
    ("features", "hidden", "density", "name"),
    [
        (3, 2, 0.9, "triangle"),
        (3, 2, 0.2, "digon + dedicated"),
        (4, 2, 0.2, "2 × digon"),
        (5, 2, 0.05, "pentagon"),
        (6, 3, 0.1, "octahedron"),
    ],
)
def test_exact_optima(features: int, hidden: int, density: float, name: str) -> None:
    best = global_minimum(features, hidden, density=density, importance=[1] * features, starts=24)
    geometry = identify_geometry(best.W)
    assert geometry.name == name
    assert geometry.residual < 1e-6  # the search stops at gradients of this order


def test_best_trained_model_of_five_in_two_is_a_pentagon() -> None:
    trained = train(5, 2, density=0.05, importance=[1] * 5, replicas=4)
    losses = population_loss(trained.W, trained.b, density=0.05, importance=[1] * 5)
    geometry = identify_geometry(trained.W[losses.argmin()])
    assert geometry.name == "pentagon"
    assert geometry.residual < 0.02


@pytest.mark.parametrize(
    ("configuration", "name", "noise"),
    [
        ("pentagon", "pentagon", 0.04),
        ("octahedron", "octahedron", 0.04),
        ("digon + digon + triangle + basis 1 of 1", "2 × digon + triangle + dedicated", 0.03),
        ("tetrahedron + square antiprism", "tetrahedron + square antiprism", 0.03),
        (" + ".join(["digon"] * 24 + ["pentagon"] * 3), "24 × digon + 3 × pentagon", 0.03),
    ],
)
def test_noise_up_to_these_levels_hides_no_name(
    configuration: str, name: str, noise: float
) -> None:
    """Measured over 40 draws each: 40 right names. Here 10, all of which have to be right."""
    names = [identify_geometry(disturbed(configuration, noise, seed)).name for seed in range(10)]
    assert names == [name] * 10


def assert_no_wrong_name(configuration: str, noise: float, draws: int) -> None:
    right = identify_geometry(disturbed(configuration)).name
    for seed in range(draws):
        geometry = identify_geometry(disturbed(configuration, noise, seed))
        assert geometry.name == right or not geometry.named


@pytest.mark.parametrize("noise", [0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize(
    "configuration", ["octahedron", "digon + triangle + simplex 6", "pentagon + cube"]
)
def test_noise_gives_no_wrong_name(configuration: str, noise: float) -> None:
    """Too much noise takes the name away, and gives no other."""
    assert_no_wrong_name(configuration, noise, draws=10)


@pytest.mark.parametrize("noise", [0.02, 0.04, 0.06])
@pytest.mark.parametrize(
    "configuration", ["simplex 11 + basis 1 of 1", "simplex 10 + basis 2 of 2", "simplex 7 + digon"]
)
def test_noise_adds_no_corner_to_a_simplex(configuration: str, noise: float) -> None:
    """With a dedicated feature, a simplex of 11 is only 0.04 from one of 12."""
    assert_no_wrong_name(configuration, noise, draws=6)


def from_cosines(gram: Floats) -> Floats:
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(np.sqrt(np.maximum(values, 0))[:, None] * vectors.T)


def test_noise_takes_no_corner_from_a_simplex() -> None:
    """Four corners at cosines of −0.27 are 0.06 from a tetrahedron, but what lies opposite is one.

    Nearer is the simplex of five: the root mean square of 0.02 six times and 0.05 four times.
    """
    gram = np.full((5, 5), -0.27)
    gram[4] = gram[:, 4] = -0.2
    np.fill_diagonal(gram, 1.0)
    geometry = identify_geometry(from_cosines(gram))
    assert geometry.name == "simplex 5"
    assert geometry.residual == pytest.approx(np.sqrt((6 * 0.02**2 + 4 * 0.05**2) / 10))
    # With the fifth at a right angle to all the four have the name.
    gram[4, :4] = gram[:4, 4] = 0
    assert identify_geometry(from_cosines(gram)).name == "tetrahedron + dedicated"


@pytest.mark.parametrize("configuration", ["basis 12 of 12", "simplex 6 + simplex 6"])
def test_what_a_tolerance_joins_by_mistake_is_no_simplex(configuration: str) -> None:
    """Orthogonal features are 1/11 = 0.091 from the simplex of 12, less than is accepted."""
    geometry = identify_geometry(disturbed(configuration, noise=1e-4), tolerance=1e-7)
    assert geometry.name.startswith("unnamed (12 features in ")
    assert geometry.components[0].nearest == "simplex 12"
    assert geometry.residual < ACCEPTED_RESIDUAL


@pytest.mark.parametrize("sides", ["triangular", "pentagonal", "hexagonal"])
def test_sums_have_one_name_however_many_components_they_come_in(sides: str) -> None:
    W = disturbed(f"{sides} bipyramid", noise=0.01)
    apart, joined = identify_geometry(W), identify_geometry(W, tolerance=1e-4)
    assert len(apart.components) == 2
    assert len(joined.components) == 1
    assert apart.name == joined.name == f"{sides} bipyramid"


def test_parts_of_a_joined_sum_are_named_by_their_own_sizes() -> None:
    W = np.zeros((5, 13))
    W[:3, :8] = named_configuration("hexagonal bipyramid").W_array()
    W[:3, :8] += 0.01 * np.random.default_rng(3).standard_normal((3, 8))
    W[3:, 8:] = named_configuration("pentagon").W_array()
    geometry = identify_geometry(W, tolerance=1e-4)
    assert [len(component.features) for component in geometry.components] == [8, 5]
    assert geometry.name == "digon + pentagon + hexagon"


def test_a_whole_is_accepted_as_a_component_is() -> None:
    """Three straight digons whose lines have the cosine c: of 15 pairs 12 differ by c from 0."""
    for cosine, name in ((0.1, "octahedron"), (0.15, "3 × digon")):
        lines = np.linalg.cholesky(np.full((3, 3), cosine) + (1 - cosine) * np.eye(3)).T
        geometry = identify_geometry(np.hstack([lines, -lines]))
        assert geometry.name == name
        assert geometry.residual < 1e-12
        assert (cosine * np.sqrt(12 / 15) <= ACCEPTED_RESIDUAL) == (name == "octahedron")


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05, 0.1])
@pytest.mark.parametrize(
    "configuration", ["simplex 9 + digon", "simplex 7 + triangle", "pentagon + basis 2 of 2"]
)
def test_the_tolerance_that_was_found_gives_the_same_again(
    configuration: str, noise: float
) -> None:
    for seed in range(3):
        W = disturbed(configuration, noise, seed)
        found = identify_geometry(W)
        assert identify_geometry(W, tolerance=found.tolerance).name == found.name


@pytest.mark.parametrize(
    ("features", "hidden", "most"),
    [(3, 2, 0.15), (5, 2, 0.04), (5, 3, 0.02), (6, 3, 0.01), (8, 4, 0.01), (60, 30, 0.0)],
)
def test_random_models_rarely_have_names(features: int, hidden: int, most: float) -> None:
    """Rates over 400 draws were 0.078, 0.015, 0.0025, 0, 0, 0, nearly all with features dropped."""
    assert name_rate(features, hidden, draws=100, seed=5) <= most


def test_random_directions_are_triangles_as_often_as_stated() -> None:
    """Oracle: sampling, against 2π·0.04/(4√3π²), to leading order in the residual."""
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, (200_000, 3))
    cosines = np.cos(angles - np.roll(angles, 1, axis=1))
    residual = np.sqrt(np.square(cosines + 0.5).mean(axis=1))
    share = np.mean(residual <= ACCEPTED_RESIDUAL)
    expected = 2 * np.pi * 0.04 / (4 * np.sqrt(3) * np.pi**2)
    # Five standard errors, and the next order, relatively of the size of the residual.
    assert share == pytest.approx(expected, abs=5 * np.sqrt(expected / 200_000) + 0.1 * expected)


@pytest.mark.parametrize("hidden", [4, 5, 8])
def test_random_directions_are_digons_as_often_as_stated(hidden: int) -> None:
    generator = np.random.default_rng(hidden)
    first, second = generator.standard_normal((2, 200_000, hidden))
    product = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    share = np.mean(1 + (first * second).sum(axis=1) / product <= accepted_digon(hidden))
    if 0.02 < accepted_digon(hidden) < ACCEPTED_RESIDUAL:
        assert share == pytest.approx(0.0037, abs=5 * np.sqrt(0.0037 / 200_000))
    elif accepted_digon(hidden) == ACCEPTED_RESIDUAL:
        assert share < 0.0037
    else:
        assert share > 0.0037


def test_a_shape_that_is_none_has_no_name() -> None:
    """Two features at 120° in the plane, two aligned ones, and a kite of five."""
    angles = np.deg2rad([0, 60, 150, 200, 290])
    for W, name in (
        ([[1, -0.5], [0, np.sqrt(0.75)]], "unnamed (2 features in 2 dimensions)"),
        ([[1, 1]], "unnamed (2 features in 1 dimension)"),
        (np.array([np.cos(angles), np.sin(angles)]), "unnamed (5 features in 2 dimensions)"),
    ):
        geometry = identify_geometry(W)
        assert geometry.name == name
        assert not geometry.named
        assert geometry.residual > 0.1


def test_acceptance_decides() -> None:
    W = disturbed("pentagon", noise=0.02)
    residual = identify_geometry(W).residual
    assert identify_geometry(W, accept=1.01 * residual).named
    refused = identify_geometry(W, accept=0.99 * residual)
    assert refused.name == "unnamed (5 features in 2 dimensions)"
    assert refused.components[0].nearest == "pentagon"
    bent = np.array([[1, -np.cos(0.14)], [0, np.sin(0.14)]])  # 1 − cos 0.14 = 0.0098
    assert identify_geometry(bent, accept=0.01).name == "digon"
    assert not identify_geometry(bent, accept=0.0095).named


def test_both_antiprisms_and_those_between_have_the_name() -> None:
    """Cosines are affine in the squared height, so that half way is the farthest from both."""
    ends = [square_antiprism(end).W_array() for end in (Fraction(1, 3), (2 * sqrt(2) - 1) / 7)]
    apart = gram_distance(*(end.T @ end for end in ends))
    for height_squared in (Fraction(1, 3), Fraction(3, 10), Fraction(26, 100)):
        W = square_antiprism(height_squared).W_array()
        geometry = identify_geometry(W)
        assert geometry.name == "square antiprism"
        assert geometry.residual <= apart / 2 < ACCEPTED_RESIDUAL / 2
        assert geometry.components[0].runner_up is not None
        assert geometry.components[0].runner_up.name in {"cube", "octagon"}


def test_digons_that_share_dimensions_are_no_direct_sum() -> None:
    """Twenty lines in twelve dimensions are at best 0.19 from orthogonal (Welch's bound)."""
    generator = np.random.default_rng(1)
    lines = generator.standard_normal((12, 20))
    for _ in range(500):  # apart from each other, by descent on the fourth powers of cosines
        lines /= np.linalg.norm(lines, axis=0)
        cosines = lines.T @ lines
        lines -= 0.5 * lines @ (cosines**3 - np.diag(np.diag(cosines)))
    geometry = identify_geometry(np.hstack([lines, -lines]), tolerance=0.4)
    assert geometry.name == "20 × digon, overlapping"
    assert geometry.overlapping
    assert not geometry.named
    assert geometry.cross_talk > np.sqrt((20 - 12) / (12 * 19)) * (1 - 1e-9)


def test_dropped_features_are_counted() -> None:
    geometry = identify_geometry([[1, -1, 1e-3, 0], [0, 0, 1e-3, 0]])
    assert geometry.name == "digon, 2 dropped"
    assert geometry.dropped == (2, 3)
    assert identify_geometry([[1, -1, 0.3]], threshold=0.5).name == "digon, 1 dropped"
    short = [[1.0, -1.0, 0.0], [0.0, 0.0, 1e-200]]
    assert identify_geometry(short, threshold=1e-250).name == "digon + dedicated"


@pytest.mark.parametrize(
    ("W", "name"),
    [
        (np.zeros((2, 3)), "nothing represented, 3 dropped"),
        ([[2.0]], "dedicated"),
        ([[1.0, -0.9, 0.0]], "digon, 1 dropped"),
        (1e-200 * np.array([[1.0, -1]]), "digon"),
        (1e200 * np.array([[1.0, -1]]), "digon"),
        (5e-324 * np.array([[1.0, -1], [1, -1]]), "digon"),
        (np.array([[1, -1], [0, 0]], dtype=np.float32), "digon"),
        (np.eye(5)[:, :1], "dedicated"),
    ],
)
def test_edges(W: Any, name: str) -> None:
    geometry = identify_geometry(W)
    assert geometry.name == name
    assert np.isfinite(geometry.residual)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"W": [[1.0, np.nan]]}, r"finite, got 1 entries .*leave out models that have diverged"),
        ({"W": np.ones((4, 2, 3))}, r"one model.*got shape \(4, 2, 3\).*pass one"),
        ({"W": np.ones((0, 3))}, r"got shape \(0, 3\)"),
        ({"W": [1.0, 2.0]}, r"got shape \(2,\)"),
        ({"W": [[1.0, 1j]]}, "array of real numbers: it has complex entries"),
        ({"W": [[1.0, 2.0], [1.0]]}, "W must be a rectangular array"),
        ({"W": [["a"]]}, "W must be a rectangular array of real numbers: could not convert"),
        ({"W": [[1.0]], "tolerance": 1.5}, r"cosine in \(0, 1\), got 1.5; None derives it"),
        ({"W": [[1.0]], "threshold": -1}, r"positive length, got -1; None derives it"),
        ({"W": [[1.0]], "accept": 0}, r"accept must be positive, got 0"),
    ],
)
def test_errors_say_what_is_accepted(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        identify_geometry(**arguments)


def test_summaries_are_short_and_escaped() -> None:
    geometry: Geometry = identify_geometry(disturbed("triangle + digon + digon", noise=0.01))
    assert str(geometry).startswith("2 × digon + triangle: 7 features in 4 of 4 dimensions")
    html = geometry._repr_html_()
    assert html.count("<tr>") == 3
    assert "2 × digon" in html
    assert "NaN" not in html
