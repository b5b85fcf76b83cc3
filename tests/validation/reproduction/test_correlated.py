"""Sets of features: measures on weights made by hand, whose answer is seen without computing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from superposition.features import Correlated
from superposition.numerics import population_loss
from superposition.validation.reproduction.experiments.correlated import (
    neighbors,
    partner_cosines,
)
from superposition.validation.reproduction.experiments.local_bases import (
    opposite_bases_loss,
    within_and_across,
)
from superposition.validation.reproduction.experiments.pca_collapse import (
    collapsed_pairs,
    refined,
    share_of_sums,
)
from superposition.validation.reproduction.registry import find_experiment

Floats = NDArray[np.float64]


def directions(*degrees: float) -> Floats:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)])


ORTHOGONAL = directions(0, 90, 180, 270)
ANTIPODAL = directions(0, 180, 90, 270)
SIDE_BY_SIDE = directions(0, 60, 120, 180, 240, 300)


def measure(name: str, data: xr.Dataset) -> dict[str, Any]:
    return dict(find_experiment(name).measure(data))


def pairs(two: list[Floats], three: list[Floats]) -> xr.Dataset:
    """Return models at one density; the first of each is the optimum."""
    where = ("density", "replica", "hidden")
    variables: dict[str, Any] = {}
    for number, models in ((2, two), (3, three)):
        feature = f"feature_{number}"
        variables[f"W_{number}"] = ((*where, feature), np.stack(models)[None])
        variables[f"optimum_W_{number}"] = (("density", "hidden", feature), models[0][None])
    return xr.Dataset(variables, coords={"density": [0.1]})


def test_partners_are_orthogonal_or_antipodal_whatever_their_lengths() -> None:
    assert abs(partner_cosines(3 * ORTHOGONAL)).max() < 1e-15
    np.testing.assert_allclose(partner_cosines(0.1 * ANTIPODAL), -1)


@pytest.mark.parametrize("turn", [0, 100, 200, 300])
def test_neighbors_do_not_depend_on_the_direction_that_is_called_zero(turn: float) -> None:
    assert neighbors(directions(*(np.arange(0, 360, 60) + turn))).all()
    assert neighbors(directions(*(np.array([60, 0, 300, 240, 180, 120]) + turn))).all()
    assert not neighbors(directions(*(np.array([0, 120, 60, 180, 240, 300]) + turn)))[:2].any()


def test_partners_opposite_each_other_dropped_or_coinciding_as_neighbors() -> None:
    assert not neighbors(directions(0, 120, 240, 250)).tolist()[0]  # nothing between, but wide
    assert neighbors(directions(30, 30, 100, 200)).tolist() == [True, False]
    dropped = SIDE_BY_SIDE * np.array([1, 0.1, 1, 1, 1, 1])
    assert neighbors(dropped).tolist() == [False, True, True]


def test_shares_count_models_with_all_pairs_in_place() -> None:
    data = pairs([ORTHOGONAL, ORTHOGONAL, ANTIPODAL, ORTHOGONAL * [1, 1, 1, 0]], [SIDE_BY_SIDE] * 4)
    found = measure("correlated", data)
    assert found["share_orthogonal_of_two_pairs"]["s = 0.1"].value == 0.5
    assert found["worst_cosine_of_two_pairs"]["s = 0.1"].value < 1e-15
    assert found["worst_cosine_of_three_pairs"]["s = 0.1"].value == pytest.approx(0.5)
    assert found["pairs_not_side_by_side"]["s = 0.1"].value == 0
    assert found["share_side_by_side"]["s = 0.1"].value == 1


def test_a_dropped_feature_is_not_orthogonal() -> None:
    data = pairs([ORTHOGONAL * [1, 1, 1, 0]], [SIDE_BY_SIDE * [1, 0, 1, 1, 1, 1]])
    found = measure("correlated", data)
    assert found["worst_cosine_of_two_pairs"]["s = 0.1"].value == 1
    assert found["pairs_not_side_by_side"]["s = 0.1"].value == 1


def test_anticorrelated_partners_are_antipodal_or_not() -> None:
    bent = directions(0, 150, 90, 270)
    found = measure("anticorrelated", pairs([ANTIPODAL, ORTHOGONAL, bent], [SIDE_BY_SIDE] * 3))
    assert found["worst_cosine"]["s = 0.1"].value == pytest.approx(-1)
    assert found["share_antipodal"]["s = 0.1"].value == pytest.approx(1 / 3)


def test_cosines_within_and_across_sets() -> None:
    eye = np.eye(4)
    within, across = within_and_across(np.hstack([eye, -2 * eye]))
    assert within == 0
    assert across == pytest.approx(0.5)  # one of four is 1 in size, the others 0
    within, _ = within_and_across(np.hstack([eye[:, [0, 0, 1, 1]], eye]))
    assert within == pytest.approx(np.sqrt(4 / 24))  # 4 of the 24 ordered pairs have cosine 1
    within, _ = within_and_across(np.hstack([eye[:, [0, 0, 2, 3]] * [1, 0.1, 1, 1], eye]))
    assert within == 0


def test_opposite_bases_cost_no_more_than_at_length_one_without_bias() -> None:
    eye = np.eye(10)
    features = Correlated([range(10), range(10, 20)])
    plain = population_loss(
        np.hstack([eye, -eye]), np.zeros(20), density=0.1, importance=np.ones(20), features=features
    )
    # Oracle: each feature errs only where both of an antipodal pair are on: (a - b)₊ for a, and
    # all of b, or the other way round. E[...] = 10 s² (E(min² + min²)) = 10 s² / 3.
    assert float(plain) == pytest.approx(10 * 0.1**2 / 3, rel=1e-9)
    assert 0.9 * float(plain) < opposite_bases_loss(0.1) < float(plain)


def test_pairs_collapse_one_after_the_other() -> None:
    apart = SIDE_BY_SIDE
    one = directions(0, 3, 120, 180, 240, 300)
    three = directions(0, 0, 120, 120, 240, 240)
    assert collapsed_pairs(np.stack([apart, one, three])).tolist() == [0, 1, 3]
    assert collapsed_pairs(apart * [0, 0, 1, 1, 1, 1]).tolist() == 1
    assert share_of_sums(three) == pytest.approx(1)
    assert share_of_sums(directions(0, 180)) == pytest.approx(0)
    assert share_of_sums(directions(0, 90)) == pytest.approx(0.5)


def test_a_jump_of_two_is_looked_into_until_it_is_narrow() -> None:
    def at(s: float) -> int:
        return 2 * int(s > 0.2)

    path, states = refined([0.1, 0.3], [0, 2], at, 1e-3)
    jump = int(np.argmax(np.diff(states)))
    assert states.tolist() == sorted(states.tolist())
    assert path[jump] <= 0.2 < path[jump + 1] < path[jump] * 1.0011
    assert np.diff(states).max() == 2


def test_steps_and_states_are_read_off_the_data() -> None:
    optimum = np.stack([SIDE_BY_SIDE, directions(0, 0, 120, 120, 240, 240)])
    best = np.stack([SIDE_BY_SIDE, directions(0, 0, 120, 180, 240, 300)])
    data = xr.Dataset(
        {
            "optimum_W": (("density", "hidden", "feature"), optimum),
            "best_W": (("density", "hidden", "feature"), best),
            "collapsed": (("density", "replica"), [[0, 1], [1, 1]]),
            "states": ("path", [0, 2, 3]),
        },
        coords={"density": [0.01, 0.5], "path": [0.01, 0.1, 0.5]},
    )
    found = measure("pca-collapse", data)
    assert found["largest_step"].value == 2
    assert found["collapsed_at_sparse_end"].value == 0
    assert found["share_of_sums"]["s = 0.5"].value == pytest.approx(1)
    assert (found["intermediate_states_of_best"].value, found["largest_step"].seeds) == (1, 0)


def test_bases_of_trained_models_and_of_the_best_minimum_are_measured() -> None:
    where = ("density", "replica")
    eye = np.eye(10)
    data = xr.Dataset(
        {
            "within": (("inputs", *where), [[[0.05, 0.05]], [[0.2, 0.2]]]),
            "represented": (where, [[20, 20]]),
            "descended_W": (("density", "hidden", "feature"), np.hstack([eye, -eye])[None]),
        },
        coords={"density": [0.1], "inputs": ["correlated", "independent"]},
        attrs={"seed": 0},
    )
    found = {name: value["s = 0.1"].value for name, value in measure("local-bases", data).items()}
    assert found["cosine_ratio_to_independent"] == pytest.approx(4)
    assert found["cosine_within_sets"] == pytest.approx(0.05)
    assert (found["cosine_within_sets_of_best"], found["features_per_dimension"]) == (0, 2)
