"""Claims: oracle is a claim written out by hand, damaged in one place at a time."""

from __future__ import annotations

import math

import pytest

from superposition.validation.reproduction.claim import all_claims, read_claims
from superposition.validation.reproduction.registry import EXPERIMENTS

_GOOD = {
    "name": '"a-claim"',
    "experiment": '"intro"',
    "source": '"Somebody"',
    "place": '"page 1"',
    "statement": '"It is so."',
    "quantity": '"q"',
    "at_least": "0.5",
    "falsifier": '"it is not"',
    "minimum_seeds": "3",
    "judged": '"trained"',
}


def toml(**changes: str | None) -> str:
    entries = {**_GOOD, **changes}
    lines = (f"{key} = {value}" for key, value in entries.items() if value is not None)
    return "[[claim]]\n" + "\n".join(lines) + "\n"


def test_a_claim_is_read_as_written() -> None:
    (claim,) = read_claims(toml())
    assert (claim.name, claim.at_least, claim.at_most) == ("a-claim", 0.5, math.inf)
    assert (claim.minimum_seeds, claim.judged) == (3, "trained")
    assert claim.test == "q ≥ 0.5"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"falsifier": None}, "lacks falsifier"),
        ({"falsifier": '" "'}, "falsifier must be text"),
        ({"statement": "3"}, "statement must be text"),
        ({"judged": '"feeling"'}, "judged must be one of closed form, exact optimum"),
        ({"at_least": None}, "needs at_least or at_most"),
        ({"at_most": "0.4"}, "exceeds at_most"),
        ({"at_least": "nan"}, "bounds must be numbers"),
        ({"at_least": "true"}, "bounds must be numbers"),
        ({"at_least": '"0.5"'}, "bounds must be numbers"),
        ({"minimum_seeds": "-1"}, "minimum_seeds must be"),
        ({"minimum_seeds": "1.5"}, "minimum_seeds must be"),
        ({"note": '"x"'}, "unknown key 'note'"),
    ],
)
def test_a_damaged_claim_is_refused(changes: dict[str, str | None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_claims(toml(**changes))


def test_two_claims_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two claims have the name 'a-claim'"):
        read_claims(toml() + toml())


def test_text_that_is_no_toml_is_refused() -> None:
    with pytest.raises(ValueError, match="no TOML"):
        read_claims("[[claim]")
    with pytest.raises(ValueError, match=r"tables \[\[claim\]\]"):
        read_claims("[other]\nx = 1")


def test_every_claim_belongs_to_an_experiment_and_every_experiment_has_one() -> None:
    assert {claim.experiment for claim in all_claims()} == set(EXPERIMENTS)
