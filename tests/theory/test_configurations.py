"""Named weights and biases, and the candidates of the sources."""

import numpy as np
import pytest
import sympy

from superposition.theory import (
    OPTIMAL,
    Configuration,
    candidates,
    expected_loss,
    r,
    regular_polygon,
    s,
)


def test_candidates_of_two_features_in_one_dimension() -> None:
    found = {c.name: (c.W.tolist(), c.b) for c in candidates(2, 1)}
    assert found == {
        "ignore first": ([[0, 1]], (OPTIMAL, 0)),
        "ignore last": ([[1, 0]], (0, OPTIMAL)),
        "superpose both": ([[1, -1]], (0, 0)),
    }


def test_losses_of_three_features_in_two_dimensions() -> None:
    dropped = s / 3 - s**2 / 4
    expected = {
        "ignore first": dropped,
        "ignore last": r * dropped,
        "superpose first two": s**2 / 3,
        "superpose last two": (1 + r) * s**2 / 6,
    }
    losses = {c.name: c.loss() for c in candidates(3, 2)}
    assert list(losses) == list(expected)
    assert all(sympy.expand(losses[name] - expected[name]) == 0 for name in expected)


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 1), (3, 2), (4, 2), (5, 2), (5, 4), (7, 3)])
def test_candidates_are_what_they_say(n: int, m: int) -> None:
    found = candidates(n, m)
    assert len({c.name for c in found}) == len(found)
    kinds = set()
    for c in found:
        W = c.W_array()
        used = np.abs(W).sum(axis=0) > 0
        assert W.shape == (m, n)
        assert set(np.unique(W)) <= {-1.0, 0.0, 1.0}
        assert all(sorted(row[row != 0]) in ([1.0], [-1.0, 1.0]) for row in W)
        assert [b is OPTIMAL for b in c.b] == [not u for u in used]
        paired = np.abs(W).sum(axis=1) == 2
        last = W[:, -1]
        kinds.add((paired.sum(), used[-1], bool(paired[last != 0].any())))
    assert len(kinds) == len(found)  # no two are the same up to the first n − 1 features


def test_candidates_need_fewer_dimensions_than_features() -> None:
    with pytest.raises(
        ValueError, match=r"n_hidden < n_features.*got n_features = 2, n_hidden = 2"
    ):
        candidates(2, 2)
    with pytest.raises(ValueError, match="n_hidden must be an integer of at least 1, got 0"):
        candidates(2, 0)


def test_arrays_for_numerics() -> None:
    ignore_last = candidates(2, 1)[1]
    assert ignore_last.W_array().dtype == np.float64
    np.testing.assert_array_equal(ignore_last.b_array(0.5), [0, 0.25])
    np.testing.assert_array_equal(regular_polygon(4).b_array(0.5), np.zeros(4))


def test_configuration_is_frozen_hashable_and_checked() -> None:
    one = Configuration("pair", [[1, -1]])
    assert one == Configuration("pair", np.array([[1, -1]]), [0, 0])
    assert len({one, Configuration("pair", [[1, -1]])}) == 1
    assert one.loss(importance=1, density=0.5) == expected_loss([[1, -1]], density=0.5)
    with pytest.raises(AttributeError):
        one.name = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="n_features = 2 entries"):
        Configuration("pair", [[1, -1]], [0])
