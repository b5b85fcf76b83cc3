"""Verdicts: oracle is the definition, applied by hand to intervals on every side of the bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from superposition.validation.reproduction.claim import Claim
from superposition.validation.reproduction.ledger import ledger_row, summary_line
from superposition.validation.reproduction.measurement import Measurement
from superposition.validation.reproduction.verdicts import judge

CLAIM = Claim(
    name="c", experiment="e", source="s", place="p", statement="It is so.", quantity="q",
    falsifier="it is not", judged="trained", at_least=0.5, at_most=1.0,
)  # fmt: skip
INSIDE = Measurement(0.7, 0.6, 0.8, 10)
BELOW = Measurement(0.3, 0.2, 0.4, 10)
ABOVE = Measurement(1.3, 1.2, 1.4, 10)
ACROSS = Measurement(0.5, 0.4, 0.6, 10)


@pytest.mark.parametrize(
    ("measured", "outcome"),
    [
        (INSIDE, "holds"),
        (Measurement.exact(0.5), "holds"),
        (BELOW, "fails"),
        (ABOVE, "fails"),
        (ACROSS, "undecided"),
        ({"a": INSIDE, "b": INSIDE}, "holds"),
        ({"a": INSIDE, "b": BELOW}, "holds only where"),
        ({"a": INSIDE, "b": ACROSS}, "holds only where"),
        ({"a": BELOW, "b": ABOVE}, "fails"),
        ({"a": ACROSS, "b": ACROSS}, "undecided"),
        ({"a": ACROSS, "b": BELOW}, "fails"),
    ],
)
def test_outcomes(measured: Measurement | dict[str, Measurement], outcome: str) -> None:
    assert judge(CLAIM, measured).outcome == outcome


def test_too_few_seeds_decide_nothing() -> None:
    asks = replace(CLAIM, minimum_seeds=11)
    assert judge(asks, INSIDE).outcome == "undecided"
    assert judge(asks, BELOW).outcome == "undecided"
    assert "(10 seeds; 11 are needed)" in str(judge(asks, INSIDE))


def test_the_conditions_under_which_it_holds_are_named() -> None:
    verdict = judge(CLAIM, {"dense": BELOW, "sparse": INSIDE, "between": ACROSS})
    assert verdict.where == ("sparse",)
    assert str(verdict).startswith("HOLDS ONLY WHERE sparse; undecided where between: It is so.")
    assert ledger_row(verdict)["where"] == ["sparse"]
    assert ledger_row(verdict)["undecided_where"] == ["between"]
    assert ledger_row(verdict)["measured"]["dense"]["high"] == 0.4


def test_nothing_is_said_of_the_undecided_where_there_is_none() -> None:
    verdict = judge(CLAIM, {"dense": BELOW, "sparse": INSIDE})
    assert str(verdict).startswith("HOLDS ONLY WHERE sparse: It is so.")


def test_seeds_are_those_of_what_is_decided() -> None:
    asks = replace(CLAIM, minimum_seeds=10)
    few = replace(INSIDE, seeds=2)
    assert "(10 seeds)" in str(judge(asks, {"a": INSIDE, "b": few}))
    assert "(2 seeds; 10 are needed)" in str(judge(asks, {"a": replace(few, seeds=3), "b": few}))


def test_a_claim_about_one_model_has_one_seed() -> None:
    assert "(1 seed)" in str(judge(CLAIM, replace(INSIDE, seeds=1)))


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        judge(CLAIM, {})


def test_the_summary_counts_each_outcome() -> None:
    verdicts = [judge(CLAIM, value) for value in (INSIDE, INSIDE, BELOW, ACROSS)]
    assert summary_line(verdicts) == "4 claims: 2 hold, 1 fail, 1 undecided"


def test_a_condition_without_anything_to_measure_is_undecided_and_asks_for_no_seeds() -> None:
    asks = replace(CLAIM, minimum_seeds=10)
    verdict = judge(asks, {"a": INSIDE, "b": Measurement.unknown()})
    assert (verdict.outcome, verdict.where) == ("holds only where", ("a",))
    assert "are needed" not in str(verdict)
    assert judge(asks, Measurement.unknown()).outcome == "undecided"
