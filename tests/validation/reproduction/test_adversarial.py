"""Adversarial examples: oracles are sampling from the definition, and cases without superposition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition.validation.reproduction.experiments.adversarial import (
    mean_input_norm,
    vulnerability,
    vulnerability_where_on,
)
from superposition.validation.reproduction.registry import find_experiment

W = np.array([[1.0, -0.9, 0.3, 0.1], [0.2, 0.4, -1.1, 0.2]])
b = np.array([-0.1, 0.05, -0.2, 0.0])


@pytest.mark.parametrize(("n", "s"), [(2, 1.0), (5, 0.3), (50, 0.05)])
def test_mean_length_of_inputs_is_that_of_a_sample(n: int, s: float) -> None:
    rng = np.random.default_rng(0)
    lengths = np.linalg.norm(rng.random((100_000, n)) * (rng.random((100_000, n)) < s), axis=1)
    error = lengths.std() / np.sqrt(len(lengths))
    assert abs(mean_input_norm(n, s) - lengths.mean()) < 5 * error


def test_vulnerability_is_the_mean_over_attacked_inputs() -> None:
    # Oracle: the attack as it is defined, on the inputs, one represented output after the other.
    s, count = 0.3, 400_000
    rng = np.random.default_rng(1)
    x = rng.random((count, 4)) * (rng.random((count, 4)) < s)
    gram = W.T @ W
    epsilon = 0.1 * np.linalg.norm(x, axis=1).mean()
    grown = []
    for i in (0, 1, 2):  # the last column is 0.22 long
        moved = x + epsilon * gram[i] / np.linalg.norm(gram[i])
        before, after = (np.maximum(each @ gram[i] + b[i], 0) for each in (x, moved))
        grown.append(((x[:, i] - after) ** 2 - (x[:, i] - before) ** 2) / epsilon**2)
    each = np.mean(grown, axis=0)
    error = each.std() / np.sqrt(count)
    # the mean length is sampled, too; it moves the result by less than this error
    assert abs(vulnerability(W, b, s) - each.mean()) < 5 * error


def test_where_the_feature_is_on_the_attacker_chooses_the_sign() -> None:
    s, count = 0.3, 100_000
    rng = np.random.default_rng(2)
    gram, epsilon = W.T @ W, 0.1 * mean_input_norm(4, s)
    grown = []
    for i in (0, 1, 2):
        x = rng.random((count, 4)) * (rng.random((count, 4)) < s)
        x[:, i] = rng.random(count)
        errors = [
            (x[:, i] - np.maximum((x + sign * epsilon * gram[i] / np.linalg.norm(gram[i]))
                                  @ gram[i] + b[i], 0)) ** 2
            for sign in (-1, 0, 1)
        ]  # fmt: skip
        grown.append((np.maximum(errors[0], errors[2]) - errors[1]) / epsilon**2)
    each = np.mean(grown, axis=0)
    error = each.std() * np.sqrt(1 / count + 1 / 4096)
    assert abs(vulnerability_where_on(W, b, s) - each.mean()) < 5 * error


def test_without_superposition_there_is_nothing_more() -> None:
    orthogonal = np.hstack([np.eye(3), np.zeros((3, 2))])
    assert vulnerability(orthogonal, np.zeros(5), 0.2) == pytest.approx(1, rel=1e-6)
    assert vulnerability_where_on(orthogonal, np.zeros(5), 0.2) == pytest.approx(1, rel=1e-9)
    assert np.isnan(vulnerability(np.zeros((3, 5)), np.zeros(5), 0.2))


def test_rise_and_correlation_are_read_off_the_curves() -> None:
    crowding = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    data = xr.Dataset(
        {
            "vulnerability": (
                ("density", "replica", "inputs"), np.stack([2 * crowding, 5 - crowding], axis=-1)
            ),
            "features_per_dimension": (("density", "replica"), crowding),
        },
        coords={"density": [1.0, 0.1, 0.01], "inputs": ["all inputs", "feature on"]},
        attrs={"seed": 0},
    )  # fmt: skip
    found: dict[str, Any] = dict(find_experiment("adversarial").measure(data))
    greatest = found["greatest_vulnerability"]
    correlation = found["correlation_with_features_per_dimension"]
    assert [greatest[name].value for name in ("all inputs", "feature on")] == [8, 4]
    assert [value.value for value in correlation.values()] == pytest.approx([1, -1])
