from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from superposition.architecture import (
    ABSOLUTE_VALUE,
    ARCHITECTURES,
    RELU_HIDDEN,
    TIED,
    Architecture,
    resolve_architecture,
)


def test_named_architectures_are_those_of_the_literature() -> None:
    # Elhage et al. 2022: h = ReLU(W x) with x̂ = ReLU(Wᵀh + b), and |x| from two layers.
    assert (RELU_HIDDEN.tied, RELU_HIDDEN.hidden, RELU_HIDDEN.target) == (True, "relu", "identity")
    assert not ABSOLUTE_VALUE.tied
    assert (ABSOLUTE_VALUE.hidden, ABSOLUTE_VALUE.target) == ("relu", "absolute")
    assert list(ARCHITECTURES) == ["tied", "relu-hidden", "absolute-value"]


def test_one_architecture_is_the_model_of_the_package() -> None:
    assert TIED.is_standard
    assert replace(TIED, name="another name").is_standard
    for changes in ({"tied": False}, {"hidden": "relu"}, {"target": "absolute"}):
        assert not replace(TIED, **changes).is_standard


def test_names_and_specifications_are_resolved() -> None:
    own = Architecture("own", tied=False)
    assert resolve_architecture(own) is own
    for name, architecture in ARCHITECTURES.items():
        assert resolve_architecture(name) is architecture
        assert architecture.name == name


def test_an_architecture_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        TIED.tied = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        ARCHITECTURES["mine"] = TIED  # type: ignore[index]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name of an architecture must be a text, got ''"),
        ({"name": 3}, "name of an architecture must be a text, got 3"),
        ({"tied": 1}, "tied must be True or False, got 1"),
        ({"hidden": "gelu"}, "hidden activation must be one of relu, linear, got 'gelu'"),
        ({"target": "square"}, "target must be one of identity, absolute, got 'square'"),
    ],
)
def test_bad_specifications(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TIED, **changes)


@pytest.mark.parametrize("wrong", ["absolute", None, {"tied": True}])
def test_unknown_architectures(wrong: Any) -> None:
    message = "architecture must be an Architecture or one of tied, relu-hidden, absolute-value"
    with pytest.raises(ValueError, match=message):
        resolve_architecture(wrong)
