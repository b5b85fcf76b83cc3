"""Counts of features: oracle are p-values and lengths made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition.validation.reproduction.registry import find_experiment


def measured(
    long: int = 3, significant: int = 3, wide: int = 3, superior: int = 3, probability: float = 0.9
) -> Any:
    """Measure four equal networks at one density with so many features by each definition."""
    feature = np.arange(5)

    def networks(values: Any) -> Any:
        return (("density", "replica", "feature"), np.broadcast_to(values, (1, 4, 5)))

    data = xr.Dataset(
        {
            "norm": networks(np.where(feature < long, 1.0, 0.1)),
            "adjusted_p": networks(np.where(feature < significant, 0.01, 0.2)),
            "dimensionality": networks(np.where(feature < wide, 0.4, 0.2)),
            "superiority_p": (("density", "feature"), [np.where(feature < superior, 0.01, 0.2)]),
            "superiority": (("density", "feature"), np.full((1, 5), probability)),
        },
        coords={"density": [0.1]},
    )
    return find_experiment("feature-definition").measure(data)


def test_equal_counts_agree() -> None:
    found = measured()
    assert found["test_agrees"]["s = 0.1"].value == 1
    assert found["dimension_agrees"]["s = 0.1"].value == 1
    assert found["superiority_agrees"].value == 1
    assert found["test_agrees"]["s = 0.1"].seeds == 4


def test_as_many_but_other_features_disagree() -> None:
    first = measured(long=1, significant=1, wide=1)
    assert first["test_agrees"]["s = 0.1"].value == 1
    feature = np.arange(5)
    data = xr.Dataset(
        {
            name: (("density", "replica", "feature"), np.where(feature == one, *values)[None, None])
            for name, one, values in (
                ("norm", 0, (1.0, 0.1)), ("adjusted_p", 1, (0.01, 0.2)),
                ("dimensionality", 2, (0.4, 0.2)),
            )
        }
        | {name: (("density", "feature"), np.ones((1, 5))) for name in ("superiority", "superiority_p")},
        coords={"density": [0.1]},
    )  # fmt: skip
    found: Any = find_experiment("feature-definition").measure(data)
    assert found["test_agrees"]["s = 0.1"].value == 0
    assert found["dimension_agrees"]["s = 0.1"].value == 0


@pytest.mark.parametrize(
    ("changed", "quantity"),
    [
        ({"significant": 2}, "test_agrees"),
        ({"wide": 4}, "dimension_agrees"),
        ({"superior": 4}, "superiority_agrees"),
        ({"probability": 0.4}, "superiority_agrees"),
        ({"long": 5}, "test_agrees"),
    ],
)
def test_another_count_by_one_definition_disagrees(changed: dict[str, Any], quantity: str) -> None:
    found = measured(**changed)[quantity]
    assert (found["s = 0.1"] if isinstance(found, dict) else found).value == 0
