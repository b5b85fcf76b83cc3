"""Readings: each rule on models for which the answer can be seen by eye."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from superposition.validation.phases import classify, phase_names
from superposition.validation.readings import (
    FIRST_ONLY,
    LAST_ONLY,
    NOT_ONE,
    READINGS,
    class_of_phase,
    judge,
)

FIRST, LAST, PAIR, HALF = [1.0, 0.0], [0.0, 1.0], [1.0, -1.0], [0.9, -0.45]


def read(name: str, models: list[list[float]], losses: list[float]) -> int:
    W = np.array(models)[np.newaxis, :, np.newaxis, :]
    b = np.full((1, len(models), 2), 0.1)
    return int(READINGS[name](W, classify(W, b), np.array([losses]))[0])


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize(
    ("model", "verdict"), [(FIRST, FIRST_ONLY), (LAST, LAST_ONLY), (PAIR, NOT_ONE)]
)
def test_models_that_agree_are_read_as_they_are(
    name: str, model: list[float], verdict: int
) -> None:
    assert read(name, [model] * 5, [1.0] * 5) == verdict


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("models", [[FIRST, FIRST, PAIR], [LAST, PAIR, LAST], [HALF, FIRST, LAST]])
def test_signs_do_not_matter(name: str, models: list[list[float]]) -> None:
    """The mistake of others: W and −W are one model, and their average is not."""
    losses = [1.0, 2.0, 3.0]
    flipped = [[-w for w in models[0]], *models[1:]]
    assert read(name, flipped, losses) == read(name, models, losses)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("best", LAST_ONLY),
        ("majority", FIRST_ONLY),
        ("roe2023", FIRST_ONLY),
        ("ymgw55", FIRST_ONLY),
        ("zfurman56", LAST_ONLY),
    ],
)
def test_rules_differ_where_models_do(name: str, verdict: int) -> None:
    assert read(name, [LAST, FIRST, FIRST], [1.0, 9.0, 9.0]) == verdict


def test_the_worst_is_dropped() -> None:
    models, losses = [FIRST, LAST, LAST], [9.0, 1.0, 1.0]
    assert read("elhage2022", [PAIR, *models[1:]], losses) == LAST_ONLY
    assert read("elhage2022", [LAST, FIRST], [9.0, 1.0]) == FIRST_ONLY
    assert read("elhage2022", [FIRST], [9.0]) == FIRST_ONLY


def test_half_is_no_majority() -> None:
    assert read("roe2023", [FIRST, FIRST, PAIR, PAIR], [1.0] * 4) == NOT_ONE
    assert read("majority", [FIRST, FIRST, LAST, LAST], [1.0] * 4) == NOT_ONE
    assert read("majority", [FIRST, FIRST, FIRST, LAST], [1.0] * 4) == FIRST_ONLY


def test_thresholds_are_strict_and_of_sizes() -> None:
    models = [[0.8, 0.0], [0.81, 0.2], [0.81, -0.19], [-0.81, 0.19], [0.1, -0.9], [0.1, 0.1]]
    expected = [NOT_ONE, NOT_ONE, FIRST_ONLY, FIRST_ONLY, LAST_ONLY, NOT_ONE]
    assert judge(np.array(models)[:, np.newaxis, :]).tolist() == expected


def test_every_phase_has_a_class() -> None:
    names = phase_names(2, 1)
    codes: NDArray[np.int64] = np.arange(len(names))
    found = dict(zip(names, class_of_phase(codes).tolist(), strict=True))
    assert found["ignore last"] == FIRST_ONLY
    assert found["ignore first"] == LAST_ONLY
    assert {found[name] for name in names if not name.startswith("ignore")} == {NOT_ONE}


def test_diverged_models_do_not_count() -> None:
    """Their loss is infinite and their weights are set to zero."""
    models, losses = [FIRST, FIRST, [0.0, 0.0]], [1.0, 1.0, np.inf]
    for name in READINGS:
        assert read(name, models, losses) == FIRST_ONLY
