"""Measures of Elhage et al. on cases whose answers are worked out by hand, uneven ones among them.

Each case tells a measure from a neighbor of it: another threshold, order, average or condition.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from superposition.validation.reproduction.columns import describe_columns
from superposition.validation.reproduction.experiment import Run
from superposition.validation.reproduction.experiments import (
    adversarial,
    dynamics,
    nonuniform,
    uniform_geometry,
)
from superposition.validation.reproduction.experiments.pca_collapse import unevenness
from superposition.validation.reproduction.measurement import Measurement
from superposition.validation.reproduction.neurons import Motifs, find_motifs, monosemantic_share
from superposition.validation.reproduction.onset import superposition
from superposition.validation.reproduction.registry import find_experiment

Floats = NDArray[np.float64]
DIGONS = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])


def measure(name: str, data: xr.Dataset) -> dict[str, Any]:
    return dict(find_experiment(name).measure(data))


def directions(*degrees: float) -> Floats:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)])


class Made(Run):
    """Passes weights off as trained, without biases; shape (density, replica, m, n)."""

    W: Floats

    @classmethod
    def of(cls, W: Any) -> Made:
        run = cls()
        object.__setattr__(run, "W", np.asarray(W, dtype=np.float64))
        return run

    def train(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(
            W=self.W, b=np.zeros((*self.W.shape[:2], self.W.shape[-1])),
            diverged=np.zeros(self.W.shape[:2], dtype=bool), protocol=SimpleNamespace(name="hand"),
        )  # fmt: skip


def five(best: int, other: int) -> xr.Dataset:
    """Return models of five features, half of which represent so many; the best come last."""
    counts = np.array([other, other, best, best])
    columns = np.where(np.arange(5) < counts[:, None], 1.0, 0.1)
    W = np.broadcast_to(np.stack([columns, 0 * columns], axis=1), (3, 4, 2, 5))
    return xr.Dataset(
        {
            "W": (("density", "replica", "hidden", "feature"), W),
            "optimum_W": (("density", "hidden", "feature"), W[:, 0]),
            "trained_loss": (("density", "replica"), [[0.3, np.nan, 0.1, 0.2]] * 3),
        },
        coords={"density": [1.0, 0.2, 0.1]},
    )


def test_five_features_are_counted_in_the_best_model_the_optimum_and_all() -> None:
    found = measure("intro", five(best=4, other=1))
    names = "s = 1", "s = 0.2", "s = 0.1"
    assert [found["off_by_best"][name].value for name in names] == [2, 0, 1]
    assert [found["off_by_optimum"][name].value for name in names] == [1, 3, 4]
    assert [found["share_of_models"][name].value for name in names] == [0, 0.5, 0]
    assert {each.seeds for each in found["off_by_best"].values()} == {4}


def test_five_features_have_the_shape_that_is_named_and_not_only_its_number() -> None:
    shapes = [directions(10, 100), directions(0, 90, 180, 270), directions(0, 72, 144, 216, 288)]
    padded = [np.hstack([W, np.zeros((2, 5 - W.shape[1]))]) for W in shapes]
    right = five(2, 2).assign(optimum_W=(("density", "hidden", "feature"), np.stack(padded)))
    found = measure("intro", right)["shape_of_optimum"].values()
    assert [each.value for each in found] == pytest.approx([0, 0, 0], abs=1e-12)
    wrong = np.stack(
        [*padded[:1], np.hstack([directions(0, 60, 180, 240), [[0.0]] * 2]), padded[1]]
    )
    found = measure("intro", right.assign(optimum_W=(right.optimum_W.dims, wrong)))
    assert [each.value for each in found["shape_of_optimum"].values()] == pytest.approx([0, 0.5, 1])
    assert found["shape_of_best"]["s = 1"].seeds == 4


def test_a_plane_is_kept_alike_in_all_directions() -> None:
    """Oracle: WWᵀ of two orthogonal rows has their squared lengths as eigenvalues."""
    turned = np.array([[0.6, -0.8], [0.8, 0.6]]) @ np.diag([1.0, 0.5]) @ np.eye(2, 6)
    assert unevenness(turned) == pytest.approx(0.75)
    assert unevenness(np.kron(np.eye(2, 3), [1.0, 1.0])) == pytest.approx(0)


def test_vulnerability_follows_in_proportion_and_not_in_rank_alone() -> None:
    """Oracle: Pearson's correlation by hand, 13 / √(42/9 · 38); in rank it would be 1."""
    crowding, curve = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 9.0])
    where = ("density", "replica")
    data = xr.Dataset(
        {
            "vulnerability": ((*where, "inputs"), np.tile(curve[:, None, None], (1, 2, 1))),
            "features_per_dimension": (where, np.tile(crowding[:, None], (1, 2))),
        },
        coords={"density": [1.0, 0.1, 0.01], "inputs": ["all inputs"]},
        attrs={"seed": 0},
    )
    found = measure("adversarial", data)
    followed = found["correlation_with_features_per_dimension"]["all inputs"]
    assert followed.value == pytest.approx(13 / np.sqrt(42 / 9 * 38))
    assert found["greatest_vulnerability"]["all inputs"].value == 9
    assert found["rise_over_dense"]["all inputs"].value == 9 / 1


def test_two_digons_in_two_dimensions_have_two_features_per_dimension() -> None:
    settings = adversarial._Settings(n_features=4, n_hidden=2, points=1, replicas=1)
    data = adversarial._compute(settings, Made.of(DIGONS[None, None]))
    assert data.features_per_dimension.values == pytest.approx(2.0)


def test_short_columns_have_no_dimensionality() -> None:
    settings = uniform_geometry._Settings(n_features=4, n_hidden=2, points=1, replicas=1)
    data = uniform_geometry._compute(settings, Made.of((DIGONS * [1, 1, 1, 0.4])[None, None]))
    # D of the long one of the last pair: 1 / (1 + 0.4²)
    expected = [0.5, 0.5, 1 / 1.16, np.nan]
    np.testing.assert_allclose(data.D.values[0, 0], expected, rtol=1e-6)
    assert float(data.per_feature.item()) == pytest.approx(2 / 3.16)


def test_the_interval_of_a_cluster_is_that_of_drawing_models() -> None:
    """Oracle: all draws of two models. One has ten features in the cluster, both have ten around.

    None, one or two draws of the former have probabilities of 1/4, 1/2 and 1/4.
    """
    both = np.tile(0.5 + 0.012 + 0.002 * np.arange(10), (2, 1))
    inside = np.stack([np.full(10, 0.5), np.full(10, np.nan)])
    found = uniform_geometry._cluster(np.hstack([both, inside])[None], 0.5, seed=0)
    even = 4.0  # the length around is four times that inside
    assert (found.low, found.value, found.high) == pytest.approx((0, even / 2, even), rel=1e-3)


# Time that is sampled coarsely in the middle: 0.1 apart up to 60 and from 80, else 2.
UNEVEN = np.concatenate([np.arange(0, 60, 0.1), np.arange(60, 80, 2.0), np.arange(80, 100, 0.1)])


def test_a_line_has_neither_plateau_nor_rest_however_it_is_sampled() -> None:
    assert dynamics.plateaus(UNEVEN, 100 - UNEVEN) == ()
    assert not dynamics.rest(UNEVEN, UNEVEN[:, None] / 100).any()


def test_time_of_rest_is_counted_in_time_and_not_in_samples() -> None:
    """At 1/2 from 1 to 21, at 0.87 from 22 to 102; samples are 0.1 and from 22 on 1 apart."""
    time = np.concatenate([np.arange(0, 22, 0.1), np.arange(22.0, 104.0)])
    values = np.interp(time, [0, 1, 21, 22, 102, 103], [0.1, 0.5, 0.5, 0.87, 0.87, 0.5])
    found = dynamics.share_of_rest_on_levels(time, values[:, None])
    assert found == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(("value", "share"), [(0.525, 1.0), (0.54, 0.0), (0.335, 0.0), (0.03, 1)])
def test_a_level_is_three_hundredths_wide_on_either_side(value: float, share: float) -> None:
    values = np.full(50, value)
    values[[0, -1]] = 0.87, 0.2
    found = dynamics.share_of_rest_on_levels(np.arange(50.0), values[:, None])
    assert found == share


def test_octahedra_are_judged_at_the_end_and_to_a_tenth() -> None:
    octahedron = np.hstack([np.eye(3), -np.eye(3)])
    other = np.hstack([np.eye(3), np.eye(3)])
    W = np.stack([np.stack([other, octahedron]), np.stack([octahedron, other])])
    curves = dynamics._curves(np.array([0.0, 1.0, 2.0]), W[:, [0, 0, 1]], np.ones((2, 3)))
    assert curves.deviation.values == pytest.approx([0, 1])
    variables: dict[str, Any] = {"optimum_W": (("hidden", "feature"), octahedron)}
    for route in ("flow", "small", "trained"):
        variables[f"plateaus_{route}"] = variables[f"stages_{route}"] = ("replica", [0, 0])
        variables[f"levels_{route}"] = ("replica", [1.0, 1.0])
        variables[f"deviation_{route}"] = ("replica", [0.09, 0.11])
    found = measure("dynamics", xr.Dataset(variables, attrs={"seed": 0}))
    assert found["share_octahedron_trained"].value == 0.5


def pairs(two: list[Floats], three: list[Floats]) -> xr.Dataset:
    """Return models at one density; the first of each is the optimum."""
    variables: dict[str, Any] = {}
    for number, models in ((2, two), (3, three)):
        feature = f"feature_{number}"
        where = ("density", "replica", "hidden", feature)
        variables[f"W_{number}"] = (where, np.stack(models)[None])
        variables[f"optimum_W_{number}"] = (("density", "hidden", feature), models[0][None])
    return xr.Dataset(variables, coords={"density": [0.1]})


def test_one_pair_out_of_place_is_enough() -> None:
    """Cosines by hand: 0 and cos 78° = 0.208, 0 and cos 60°; cos 162° = -0.951 and cos 150°."""
    nearly, half = directions(0, 90, 180, 258), directions(0, 90, 180, 240)
    hexagon = directions(0, 60, 120, 180, 240, 300)
    crossed = directions(0, 60, 120, 240, 180, 300)
    right = directions(0, 95, 180, 265)
    found = measure("correlated", pairs([half, nearly, right], [crossed, hexagon, crossed]))
    (name,) = found["worst_cosine_of_two_pairs"]
    assert found["worst_cosine_of_two_pairs"][name].value == pytest.approx(0.5)
    assert found["share_orthogonal_of_two_pairs"][name].value == pytest.approx(1 / 3)
    assert found["pairs_not_side_by_side"][name].value == 2
    assert found["share_side_by_side"][name].value == pytest.approx(1 / 3)
    opposed = [
        directions(0, 162, 90, 240),
        directions(0, 162, 90, 252),
        directions(0, 150, 90, 270),
    ]
    found = measure("anticorrelated", pairs(opposed, [hexagon] * 3))
    assert found["worst_cosine"][name].value == pytest.approx(np.cos(np.radians(150)))
    assert found["share_antipodal"][name].value == pytest.approx(1 / 3)


def test_bases_are_compared_model_by_model_with_those_of_independent_features() -> None:
    where = ("density", "replica")
    eye = np.eye(10)
    data = xr.Dataset(
        {
            "within": (("inputs", *where), [[[0.1, 0.2, 0.4]], [[0.1, 0.8, 0.4]]]),
            "across": (("inputs", *where), [[[0.3, 0.3, 0.3]], [[0.3, 0.3, 0.3]]]),
            "represented": (where, [[20, 15, 20]]),
            "descended_W": (("density", "hidden", "feature"), np.hstack([eye, -eye])[None]),
        },
        coords={"density": [0.1], "inputs": ["correlated", "independent"]},
        attrs={"seed": 0},
    )
    found = {name: each["s = 0.1"].value for name, each in measure("local-bases", data).items()}
    assert found["cosine_ratio_to_independent"] == 1  # of 1, 4 and 1
    assert (found["cosine_within_sets"], found["features_per_dimension"]) == (0.2, 2)


def test_partners_are_one_within_a_tenth_and_dense_at_three_densities() -> None:
    near, far = np.array([[1.0, 1.09, 0, 0, 0, 0]]), np.array([[1.0, 1.11, 0, 0.3, 0, -0.2]])
    W = np.stack([far, near, near, far])
    data = xr.Dataset(
        {
            "optimum_W": (("density", "hidden", "feature"), W),
            "best_W": (("density", "hidden", "feature"), W),
            "collapsed": (("density", "replica"), np.zeros((4, 2))),
            "states": ("path", [0, 1, 3]),
        },
        coords={"density": [0.01, 0.5, 0.7, 0.9], "path": [0.01, 0.1, 0.5]},
    )
    found = measure("pca-collapse", data)
    assert list(found["share_of_sums"]) == ["s = 0.5", "s = 0.7", "s = 0.9"]
    assert found["share_of_sums"]["s = 0.7"].value == pytest.approx(2.09**2 / 2 / (1 + 1.09**2))
    assert found["collapsed_at_sparse_end"].value == 0
    assert found["intermediate_states_of_best"].value == 0  # none and three, never one or two


def one_that_differs(**changes: Any) -> xr.Dataset:
    """Return models in which density and importance have different answers everywhere."""
    entries: dict[str, Any] = {
        "loss": (("geometry", "varied", "relative"), np.ones((2, 2, 3))),
        "optimum_loss": (("varied", "relative"), [[0.8, 1.0, 0.5], [0.4, 1.0, 1.0]]),
        "crossing": ("varied", [0.25, 0.5]),
        "crossing_slope": (("varied", "geometry"), [[1.0, 2.0], [1.0, 4.0]]),
        "crossing_length": (("varied", "geometry"), [[1.0, 0.0], [1.0, 0.8]]),
        "trained_length": (("varied", "smaller", "replica"), np.zeros((2, 2, 100))),
        **changes,
    }
    coords = {"varied": ["density", "importance"], "geometry": ["pentagon", "two digons"],
              "smaller": [1.0, np.e], "relative": [0.5, 1.0, 2.0]}  # fmt: skip
    return xr.Dataset(entries, coords=coords, attrs={"seed": 0})


def test_crossings_are_of_density_and_gaps_of_the_sparser_side() -> None:
    found = measure("non-uniform", one_that_differs())
    assert found["crossing"].value == 4
    assert found["gap_to_optimum"].value == pytest.approx(0.25)
    assert (found["kink"]["density"].value, found["kink"]["importance"].value) == (0.5, 0.75)
    assert found["jump"]["importance"].value == pytest.approx(0.2)


def test_the_interval_of_a_trained_crossing_is_that_of_its_share() -> None:
    """Oracle: the delta method. None of 100 drop it at 1, 80 at e: half would at exp(0.5 / 0.8).

    The share has the variance 0.8 · 0.2 / 100, and 0.5 / share the slope 0.5 / 0.8².
    """
    length = np.ones((2, 2, 100))
    length[0, 1, :80] = 0.4
    measured = measure(
        "non-uniform",
        one_that_differs(trained_length=(("varied", "smaller", "replica"), length)),
    )["trained_crossing"]
    assert np.log(measured.value) == pytest.approx(0.625)
    half_width = 1.96 * 0.5 / 0.8**2 * np.sqrt(0.8 * 0.2 / 100)
    assert np.log(measured.high / measured.low) / 2 == pytest.approx(half_width, rel=0.15)


def test_of_several_crossings_the_one_nearest_to_likeness_counts() -> None:
    def point(loss: float) -> nonuniform._Point:
        return nonuniform._Point(np.zeros((2, 5)), np.zeros(5), loss)

    first = [point(loss) for loss in (2.0, 0.5, 2.0, 0.5, 2.0)]
    pairs = [(each, point(1.0)) for each in first]
    relative = np.array([0.2, 0.4, 0.6, 0.8, 1.6])
    assert nonuniform._bracket(pairs, relative) == (2, 3)  # that at 1.6 is beyond likeness
    assert nonuniform._bracket([*pairs[:1], (None, pairs[1][1]), *pairs[2:]], relative) == (2, 3)
    assert nonuniform._bracket(pairs[:1], relative) is None


@pytest.mark.parametrize(
    ("V", "found"),
    [
        # Feature 0 disturbs 1 by 2 · 2 = 4 and is disturbed by 0.5 · V; another takes 2 · -V away.
        ([[1.9, 0], [2, -2]], Motifs(1, 1, 1)),  # 4 of 0.95
        ([[2.1, 0], [2, -2]], Motifs(1, 0, 0)),  # 4 of 1.05
        ([[1.9, 0], [2, -1.05]], Motifs(1, 1, 1)),  # 2.1 of 4 is taken away
        ([[1.9, 0], [2, -0.95]], Motifs(1, 1, 0)),  # 1.9 of 4
    ],
)
def test_motifs_on_either_side_of_their_thresholds(V: Any, found: Motifs) -> None:
    W: Any = [[2, 0.5], [2, 0]]
    assert find_motifs(W, V) == found


def test_a_neuron_lives_above_a_quarter() -> None:
    """Sizes 0.26 · 1 of a monosemantic neuron and 0.24 · √2 · √2 = 0.48 of another; and 0.24."""
    W = np.array([[0.26, 0.0], [0.48, 0.48], [0.24, 0.0]])
    V = np.array([[1.0, 0.5, 1.0], [0.0, 0.5, 0.0]])
    assert monosemantic_share(W, V) == 0.5
    assert monosemantic_share(W[:2] * [[1.0], [0.4]], V[:, :2]) == 1.0


def described(*models: Any, b: float = -0.1) -> xr.Dataset:
    """Describe one model a replica, at density 0.01 (and 1, where there is nothing)."""
    W = np.stack([np.asarray(each, dtype=np.float64) for each in models])
    W = np.stack([0 * W, W])
    data = xr.Dataset(
        {
            "W": (("density", "replica", "hidden", "feature"), W),
            "b": (("density", "replica", "feature"), np.full((*W.shape[:2], W.shape[-1]), b)),
        },
        coords={"density": [1.0, 0.01]},
    )
    importance = 0.7 ** np.arange(W.shape[-1])
    return describe_columns(data).assign(importance=("feature", importance), density=[1.0, 0.01])


def average(values: xr.DataArray) -> Measurement:
    return Measurement.mean(values.values)


def test_superposition_begins_where_exactly_half_of_the_models_have_it() -> None:
    apart = [[1.0, 0, 0, 0], [0, 1.0, 0, 0]]
    found: Any = superposition(described(DIGONS, apart), average)
    assert found["antipodal_at_first"]["s = 0.01"].value == 1.0
    found = superposition(described(DIGONS, apart, apart), average)
    assert found["antipodal_at_first"].low == -np.inf


def test_antipodal_is_a_cosine_of_nine_tenths() -> None:
    """cos 160° = -0.94 and cos 150° = -0.87."""
    wide, narrow = directions(0, 160), directions(0, 150)
    found: Any = superposition(described(wide, narrow), average)
    assert found["antipodal_at_last"]["s = 0.01"].value == 0.5


def test_positive_interference_is_a_share_of_the_represented() -> None:
    """Two long columns at 60° and two short ones that are on the way of the first."""
    W = directions(0, 60, 0, 300) * [1, 1, 0.3, 0.2]
    found: Any = superposition(described(W), average)
    assert found["positive_with_negative_bias"]["s = 0.01"].value == 1.0
    found = superposition(described(W, b=-0.005), average)
    assert found["positive_with_negative_bias"]["s = 0.01"].value == 0.0


def test_the_model_of_least_loss_speaks_for_its_density() -> None:
    """Three models: the first and the third feature, the first two, and one diverged."""
    first, other = np.eye(2, 4), np.eye(2, 4)[:, [0, 2, 1, 3]]
    W = np.broadcast_to(np.stack([other, first, 0 * first]), (2, 2, 3, 2, 4))
    dims = ("activation", "density", "replica")
    models = xr.Dataset(
        {"W": ((*dims, "hidden", "feature"), W), "b": ((*dims, "feature"), np.zeros((2, 2, 3, 4)))},
        coords={"activation": ["linear", "relu"], "density": [1.0, 0.01]},
    )
    data = describe_columns(models).assign(
        trained_loss=(dims, np.broadcast_to([1.5, 0.5, np.nan], (2, 2, 3))),
        top_loss=("density", [1.0, 1.0]), bound_gap=("density", [0.0, 0.0]),
        importance=("feature", [1.0, 0.7, 0.5, 0.3]), best_W=models.W.isel(replica=1),
    ).assign_coords(models.coords)  # fmt: skip
    found = measure("demonstrating-20", data)
    assert found["linear_misplaced"]["s = 1"].value == 0
    assert found["linear_excess"]["s = 1"].value == pytest.approx(-0.5)
    assert found["relu_gain"]["s = 0.01"].value == pytest.approx(0.5)
    assert found["relu_dense_misplaced"]["s = 1"].value == 0
    assert found["linear_share"]["s = 1"].value == pytest.approx(1 / 3)


def test_neurons_are_averaged_over_the_best_models_and_rotations_are_judged_by_the_least() -> None:
    """Shares of two models by density: (1, 0), (0.5, 0.5), (0.9, 0.3): the mean rises by 0.1."""
    where = ("architecture", "density", "rank")
    shares = np.broadcast_to([[1.0, 0.0], [0.5, 0.5], [0.9, 0.3]], (2, 3, 2))
    rotated = np.broadcast_to([0.2, 0.9, -0.4], (2, 3, 3))
    data = xr.Dataset(
        {
            "monosemantic": (where, shares),
            "loss": (where, np.broadcast_to([0.5, 0.9], (2, 3, 2))),
            "standard_error": (where, np.full((2, 3, 2), 0.01)),
            "top_loss": ("density", np.ones(3)),
            "rotated": (("architecture", "density", "rotation"), rotated),
            "rotated_identity": ("density", [0.4, 0.2, 0.3]),
            "ranked_loss": (("architecture", "density", "replica"), np.ones((2, 3, 7))),
        },
        coords={"architecture": ["relu-hidden", "tied"], "density": [1.0, 0.3, 0.01]},
    )
    found = measure("privileged-basis", data)
    assert found["greatest_rise"].value == pytest.approx(0.1)
    assert found["rotation_cost"]["s = 0.3"].value == -0.4
    assert found["tied_rotation_change"].value == 0.9
    assert found["sparse_gain"].value == pytest.approx(0.5)
    assert (found["dense_monosemantic"].value, found["sparse_monosemantic"].value) == (0.5, 0.6)


def test_computation_is_judged_by_the_best_model_and_shares_by_all_kept() -> None:
    """Two models: the best has 3 inhibited of 4 asymmetric of 8 pairs, the other 1 of 1 of 4."""
    points = ("density", "rank")
    motif = np.broadcast_to([[8, 4, 3], [4, 1, 1]], (2, 2, 3))
    computed = np.broadcast_to([[True, True, False], [True, False, True]], (2, 2, 3))
    small = np.zeros((2, 3, 2))
    data = xr.Dataset(
        {
            "monosemantic": (points, np.ones((2, 2))),
            "computed": ((*points, "feature"), computed),
            "motif": ((*points, "kind"), motif),
            "loss": (points, np.broadcast_to([0.5, 0.9], (2, 2))),
            "standard_error": (points, np.full((2, 2), 0.01)),
            "monosemantic_loss": ("density", [1.0, 1.0]),
            "small_loss": ("density", [1.0, 1.0]),
            "small_monosemantic_loss": ("density", [1.0, 1.0]),
            "small_W": (("density", "small_hidden", "small_feature"), small),
            "small_V": (("density", "small_feature", "small_hidden"), small.swapaxes(1, 2)),
            "best_W": (("density", "hidden", "feature"), np.zeros((2, 4, 3))),
            "ranked_loss": (("density", "replica"), np.ones((2, 8))),
        },
        coords={"density": [1.0, 0.1], "kind": list(Motifs._fields)},
    )
    found = measure("absolute-value", data)
    assert found["motifs"]["s = 0.1"].value == 3
    assert found["asymmetric"]["s = 0.1"].value == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert found["inhibited"]["s = 0.1"].value == pytest.approx((3 / 4 + 1) / 2)
    assert found["dense_misplaced"].value == 0
    assert next(iter(found["sparse_gain"].values())).value == pytest.approx(0.5)


def test_the_offset_is_no_part_of_benefit_and_interference() -> None:
    one = xr.DataArray([[1.0, 2.0]], dims=("density", "replica"), coords={"density": [0.5]})
    data = xr.Dataset(
        {"benefit": 0.5 * one, "interference": 0.2 * one, "offset": 0.3 * one, "trained_loss": one}
    ).assign(unequal_terms=("case", [0]))
    found = measure("linear-loss", data.assign_coords(case=["x"]))
    assert found["trained_remainder"]["s = 0.5"].value == pytest.approx(0.3)
