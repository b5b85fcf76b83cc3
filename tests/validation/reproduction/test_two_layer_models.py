"""Ranking and judging of trained two-layer models: oracles are models made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from superposition import Independent, ValueDistribution
from superposition.numerics import sampled_loss
from superposition.validation.reproduction.experiment import Run
from superposition.validation.reproduction.two_layer_models import (
    least_loss,
    monosemantic_loss,
    train_two_layer,
)

SIGNED = Independent(ValueDistribution([1], symmetric=True))


def judged(W: Any, V: Any, b: Any, **arguments: Any) -> Any:
    """Pass models of one density off as trained."""

    class Trained(Run):
        def train(self, *_: Any, **__: Any) -> Any:
            models = {"W": np.array([W]), "V": np.array([V]), "b": np.array([b])}
            diverged = abs(models["W"]).max(axis=(-2, -1)) > 100
            return SimpleNamespace(
                **models, diverged=diverged, protocol=SimpleNamespace(name="by hand")
            )

    _, m, n = np.shape(W)
    defaults: dict[str, Any] = {
        "density": [0.5], "importance": np.ones(n), "architecture": "absolute-value",
        "protocol": "annealed", "replicas": len(W), "kept": 2, "samples": 1 << 12,
        "features": SIGNED,
    }  # fmt: skip
    return train_two_layer(Trained(seed=3), "x", n, m, **(defaults | arguments))


def test_the_best_are_kept_in_order_and_what_diverged_is_not() -> None:
    """One feature: nothing, one sign, diverged, both signs lose s/3, s/6, unknown, 0."""
    W = [[[0], [0]], [[1], [0]], [[1e6], [0]], [[1], [-1]]]
    V = [[[0, 0]], [[1, 0]], [[1, 0]], [[1, 1]]]
    found = judged(W, V, np.zeros((4, 1)))
    assert found.ranked_loss.values[0] == pytest.approx([1 / 6, 1 / 12, np.nan, 0], nan_ok=True)
    assert found.loss.values[0] == pytest.approx([0, 1 / 12])
    assert found.standard_error.values[0].tolist() == [0, 0]
    assert found.W.values[0, :, :, 0].tolist() == [[1, -1], [1, 0]]
    assert found.V.values[0, :, 0].tolist() == [[1, 1], [1, 0]]
    assert found.monosemantic.values[0].tolist() == [1, 1]


def test_the_best_are_judged_by_other_and_more_inputs_than_they_are_ranked_by() -> None:
    random = np.random.default_rng(0)
    W, V, b = (
        random.normal(size=(3, *shape)).astype(np.float32) for shape in ((2, 3), (3, 2), (3,))
    )
    found = judged(W, V, b)
    common: dict[str, Any] = {
        "density": 0.5, "importance": np.ones(3), "architecture": "absolute-value",
        "features": SIGNED,
    }  # fmt: skip
    ranked = sampled_loss(W, V, b, **common, samples=1 << 9, seed=6).loss
    best = np.argsort(ranked)[:2]
    fresh = sampled_loss(W[best], V[best], b[best], **common, samples=1 << 12, seed=7)
    assert found.ranked_loss.values[0] == pytest.approx(ranked, rel=1e-12)
    assert found.loss.values[0] == pytest.approx(fresh.loss, rel=1e-12)
    assert found.standard_error.values[0] == pytest.approx(fresh.standard_error, rel=1e-12)


def test_tied_models_need_no_decoder() -> None:
    W = np.array([[[1.0, 0.5]]])
    found = judged(W, W.swapaxes(1, 2), np.zeros((1, 2)), architecture="relu-hidden", features=None)
    assert found.sizes["rank"] == 1  # there are no more
    assert found.loss.item() == pytest.approx(
        sampled_loss(
            W, None, np.zeros((1, 2)), density=0.5, importance=[1, 1], architecture="relu-hidden",
            samples=1 << 12, seed=7,
        ).loss[0]
    )  # fmt: skip


@pytest.mark.parametrize("importance", [[1.0], [1.0, 0.8]], ids=["one", "two"])
@pytest.mark.parametrize("n_hidden", [1, 2, 3, 4])
@pytest.mark.parametrize("density", [1.0, 0.01])
def test_the_search_is_never_above_the_monosemantic_models(
    importance: list[float], n_hidden: int, density: float
) -> None:
    """Oracle: the closed form, which a search without random starts must reach or go below."""
    n = len(importance)
    found = least_loss(
        n, n_hidden, density=density, importance=importance, features=SIGNED, starts=0, seed=0
    )
    wanted = float(monosemantic_loss(n_hidden, density=density, importance=importance))
    assert found.loss <= wanted * (1 + 1e-9)
    if n == 1:  # nothing to share
        assert found.loss == pytest.approx(wanted, rel=1e-7, abs=1e-15)


def test_descents_of_small_losses_are_led_to_their_end() -> None:
    """Where they end, another descent finds next to nothing below."""
    common: dict[str, Any] = {"density": 0.01, "importance": [1, 0.8], "features": SIGNED}
    first = least_loss(2, 3, starts=3, seed=0, **common)
    again = least_loss(2, 3, starts=0, seed=0, also=[first], **common)
    assert first.loss * (1 - 1e-4) <= again.loss <= first.loss
