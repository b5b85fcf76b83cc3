"""Newton's method and BFGS: convergence, and what certified descents are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from superposition import CoActive
from superposition.numerics import (
    descend,
    global_minimum,
    population_loss_and_grad,
    random_starts,
)


def plane(count: int, n: int) -> dict[str, Any]:
    """Models all over density and relative importance."""
    rng = np.random.default_rng(3)
    importance = np.ones((count, n))
    importance[:, -1] = np.exp(rng.uniform(np.log(0.1), np.log(10), count))
    return {"density": rng.uniform(0.01, 1, count), "importance": importance}


@pytest.mark.parametrize(("n", "m", "count"), [(2, 1, 4000), (3, 2, 400), (1, 1, 50)])
def test_every_random_start_reaches_the_tolerance(n: int, m: int, count: int) -> None:
    """As judged by the public gradient, which is not the code that Newton's method runs on."""
    model = plane(count, n)
    W, b = random_starts(n, m, count)
    found = descend(W, b, **model, tolerance=1e-9)
    at = population_loss_and_grad(found.W, found.b, **model)
    norm = np.sqrt((at.dW**2).sum(axis=(1, 2)) + (at.db**2).sum(axis=1))
    scale = model["density"] * model["importance"].sum(axis=1)
    assert found.converged.all()
    assert (norm <= 1e-9 * scale * (1 + 1e-6)).all()
    np.testing.assert_allclose(found.loss, at.loss, rtol=1e-13)
    assert found.evaluations.mean() < 15  # BFGS takes 35 and 60


def test_both_methods_fall_into_the_same_hole() -> None:
    """Close to a minimum there is no choice."""
    model = plane(200, 2)
    W, b = random_starts(2, 1, 200)
    ends = descend(W, b, **model, certify=True)
    rng = np.random.default_rng(0)
    near_W = ends.W + rng.normal(scale=1e-5, size=ends.W.shape)
    near_b = ends.b + rng.normal(scale=1e-5, size=ends.b.shape)
    newton, bfgs = (descend(near_W, near_b, **model, method=k) for k in ("newton", "bfgs"))
    assert ends.curvature is not None
    stiff = ends.curvature > 0.01 * model["density"]
    assert stiff.mean() > 0.5
    np.testing.assert_allclose(newton.loss[stiff], bfgs.loss[stiff], rtol=1e-11)
    np.testing.assert_allclose(abs(newton.W[stiff]), abs(bfgs.W[stiff]), atol=1e-7)


def test_result_does_not_depend_on_the_company() -> None:
    model = plane(60, 3)
    W, b = random_starts(3, 2, 60)
    all_at_once = descend(W, b, **model, workers=1)
    for k in (0, 31, 59):
        alone = descend(W[k], b[k], density=model["density"][k], importance=model["importance"][k])
        np.testing.assert_array_equal(alone.W, all_at_once.W[k])
        assert alone.evaluations == all_at_once.evaluations[k]


def test_descent_leaves_a_saddle_that_attracts() -> None:
    """At s = 0.3, r = 1/2 about half of all starts run into [1, 0], which is no minimum there."""
    model: dict[str, Any] = {"density": 0.3, "importance": [1, 0.5]}
    W, b = random_starts(2, 1, 64)
    plain = descend(W, b, **model)
    certified = descend(W, b, **model, certify=True)
    assert plain.kind is None
    assert plain.curvature is None
    at_dedicated = abs(plain.W).min(axis=(1, 2)) < 1e-6
    assert 0.3 < at_dedicated.mean() < 0.7
    assert np.all(certified.kind == "minimum")
    assert certified.converged.all()
    assert (certified.loss[at_dedicated] < 0.6 * plain.loss[at_dedicated]).all()
    np.testing.assert_array_equal(certified.loss[~at_dedicated], plain.loss[~at_dedicated])


def test_gradient_flow_runs_into_that_saddle_too() -> None:
    """It is no artifact of large steps: the oracle is plain descent, which nothing accelerates."""
    model: dict[str, Any] = {"density": 0.3, "importance": [1, 0.5]}
    W, b = random_starts(2, 1, 24)
    for _ in range(5000):
        at = population_loss_and_grad(W, b, **model)
        W, b = W - 0.4 * at.dW, b - 0.4 * at.db
    dedicated = abs(W[:, 0, 1]) < 1e-4
    assert 0.2 < dedicated.mean() < 0.8
    assert (W[dedicated].prod(axis=(1, 2)) > 0).all()  # they come from the side that is stable


def test_search_without_certificate_counts_the_saddle() -> None:
    model: dict[str, Any] = {"density": 0.3, "importance": [1, 0.5], "starts": 64}
    plain, certified = (global_minimum(2, 1, **model, certify=k) for k in (False, True))
    assert len(plain.minima) == 2
    assert plain.minima[0].kind is None
    (only,) = certified.minima
    assert only.count == 64
    assert only.kind == "minimum"
    assert only.curvature is not None
    assert only.curvature > 0
    assert only.loss == pytest.approx(plain.loss, rel=1e-12)


def test_misuse_is_explained() -> None:
    model: dict[str, Any] = {"density": 0.3, "importance": [1, 1]}
    with pytest.raises(ValueError, match="method must be None or one of newton, bfgs"):
        descend([[1.0, 0.5]], [0, 0], **model, method="adam")
    with pytest.raises(ValueError, match="pass method='bfgs'"):
        descend([[1.0, 0.5]], [0, 0], **model, method="newton", features=CoActive())
    for changes, message in (
        ({"tolerance": np.nan}, "tolerance must be finite and at least 0, got nan"),
        ({"tolerance": -1.0}, "tolerance must be finite and at least 0, got -1.0"),
        ({"max_iterations": 1.5}, "max_iterations must be an integer of at least 0, got 1.5"),
        ({"max_iterations": -1}, "max_iterations must be an integer of at least 0, got -1"),
        ({"workers": 0}, "workers must be an integer of at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            descend([[1.0, 0.5]], [0, 0], **model, **changes)


def test_a_model_that_overflows_leaves_others_alone() -> None:
    """Products of weights of 1e200 are infinite; the other model is where it is by itself."""
    model: dict[str, Any] = {"density": 0.3, "importance": [1, 1], "certify": True}
    both = descend(np.array([[[1e200, 1e200]], [[1, -1]]]), [0, 0], **model)
    alone = descend([[1, -1]], [0, 0], **model)
    assert both.converged.tolist() == [False, True]
    assert both.kind is not None
    assert both.kind.tolist() == ["not stationary", "minimum"]
    np.testing.assert_array_equal(both.W[1], alone.W)
