"""Checks of two-layer models: all hold, and a loss that is off by 1e-9 is found by each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from superposition.numerics import two_layer_loss
from superposition.validation.checks import two_layer

SHIFTS: dict[str, Callable[[Any], Any]] = {
    "absolute-value-pair": lambda loss: loss + 1e-9,
    "absolute-value-half": lambda loss: loss + 1e-9,
    "absolute-value-half-bias": lambda loss: loss * (1 + 1e-9),
    "absolute-value-half-slope": lambda loss: loss * (1 + 1e-9),
    "relu-hidden-pair": lambda loss: loss * (1 + 1e-9),
    "two-layer-tied": lambda loss: loss * (1 + 1e-9),
    "sampled-loss": lambda loss: loss * 1.2,  # beyond five standard errors of 2^14 samples
}


def outcome() -> dict[str, bool]:
    return {
        check.name: check.holds
        for number, group in enumerate(two_layer.TWO_LAYER_GROUPS)
        for check in group(np.random.default_rng([0, number]))
    }


def test_all_hold() -> None:
    assert outcome() == dict.fromkeys(SHIFTS, True)


@pytest.mark.parametrize("name", SHIFTS)
def test_a_wrong_loss_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: Any, **options: Any) -> Any:
        return SHIFTS[name](two_layer_loss(*arguments, **options))

    monkeypatch.setattr(two_layer, "two_layer_loss", wrong)
    assert not outcome()[name]
