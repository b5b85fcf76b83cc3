"""The checks of the sources' closed forms: all hold, and a wrong claim is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy

from superposition.theory import s
from superposition.validation import Check, verify
from superposition.validation.checks import verification as checks


@pytest.fixture(scope="module")
def results() -> list[Check]:
    return list(verify())


def test_every_check_holds(results: list[Check]) -> None:
    assert len(results) > 20
    assert [check.name for check in results if not check.holds] == []


def test_names_are_unique(results: list[Check]) -> None:
    names = [check.name for check in results]
    assert len(set(names)) == len(names)


def test_wrong_claim_fails_in_derivation_and_numerics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that is off by one part in 10^9 is found by both oracles."""
    right = checks.CLOSED_FORMS[2]
    wrong = replace(right, claim=right.claim * (1 + sympy.Rational(1, 10**9)))
    monkeypatch.setattr(checks, "CLOSED_FORMS", (*checks.CLOSED_FORMS[:2], wrong))
    outcome = {check.name: check.holds for check in checks._closed_forms(np.random.default_rng(0))}
    assert outcome == {
        "2in1-ignore-last": True,
        "2in1-ignore-last-numeric": True,
        "2in1-ignore-first": True,
        "2in1-ignore-first-numeric": True,
        "2in1-antipodal": False,
        "2in1-antipodal-numeric": False,
    }


def test_swapped_labels_are_told_apart() -> None:
    """If the labels were not swapped the check would fail: the two losses differ."""
    dropped = s / 3 - s**2 / 4
    assert checks._configuration(checks.CLOSED_FORMS[0]).loss() != dropped
