"""Verdicts: a claim against what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .claim import Claim
from .measurement import Measured, Measurement

__all__ = ["Outcome", "Verdict", "judge"]

Outcome = Literal["holds", "holds only where", "fails", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """What a measurement says of a claim.

    Attributes
    ----------
    claim : Claim
    outcome : {"holds", "holds only where", "fails", "undecided"}
        A claim holds where the whole interval meets its test, and fails where the whole interval
        misses it; else, or with fewer seeds than the claim asks for, nothing is concluded. With
        several conditions it holds if it holds under each, fails if it holds under none and fails
        under at least one, and otherwise holds only where it does: elsewhere it fails, or is
        undecided.
    measured : dict
        The measurement under each condition; one without a name is called "".
    """

    claim: Claim
    outcome: Outcome
    measured: Mapping[str, Measurement]

    @property
    def where(self) -> tuple[str, ...]:
        """Names of the conditions under which the claim holds."""
        return self._where("holds")

    @property
    def undecided_where(self) -> tuple[str, ...]:
        """Names of the conditions under which nothing is concluded."""
        return self._where("undecided")

    def _where(self, outcome: Outcome) -> tuple[str, ...]:
        return tuple(
            name for name, value in self.measured.items() if _outcome(self.claim, value) == outcome
        )

    @property
    def conditions(self) -> str:
        """Where a claim holds that does not hold everywhere, and where that is unknown."""
        if self.outcome != "holds only where":
            return ""
        unknown = f"; undecided where {', '.join(self.undecided_where)}"
        return f"{', '.join(self.where)}{unknown if self.undecided_where else ''}"

    @property
    def evidence(self) -> str:
        """The numbers, with their intervals."""
        parts = [
            f"{name}: {value}" if name else f"{value}" for name, value in self.measured.items()
        ]
        return "; ".join(parts)

    def __str__(self) -> str:
        return (
            f"{f'{self.outcome.upper()} {self.conditions}'.rstrip()}: {self.claim.statement}\n"
            f"    {self.claim.test}: {self.evidence}{self._seeds()}\n"
            f"    {self.claim.source}, {self.claim.place}; judged by {self.claim.judged}"
        )

    def _seeds(self) -> str:
        known = [value for value in self.measured.values() if value != Measurement.unknown()]
        decided = [value for value in known if _outcome(self.claim, value) != "undecided"]
        least = min((value.seeds for value in decided or known), default=0)
        seeds = "1 seed" if least == 1 else f"{least} seeds"
        if least >= self.claim.minimum_seeds:
            return f" ({seeds})" if least else ""
        return f" ({seeds}; {self.claim.minimum_seeds} are needed)"


def _outcome(claim: Claim, value: Measurement) -> Outcome:
    if value.seeds < claim.minimum_seeds:
        return "undecided"
    if claim.at_least <= value.low and value.high <= claim.at_most:
        return "holds"
    if value.high < claim.at_least or value.low > claim.at_most:
        return "fails"
    return "undecided"


def judge(claim: Claim, measured: Measured) -> Verdict:
    """Hold a claim against what was measured.

    Parameters
    ----------
    claim : Claim
    measured : Measurement, or dict of Measurement by condition

    Raises
    ------
    ValueError
        If nothing was measured.
    """
    found = {"": measured} if isinstance(measured, Measurement) else dict(measured)
    if not found:
        raise ValueError(f"nothing was measured for the claim {claim.name!r}")
    outcomes = {_outcome(claim, value) for value in found.values()}
    if len(outcomes) == 1:
        return Verdict(claim, outcomes.pop(), found)
    if "holds" in outcomes:
        return Verdict(claim, "holds only where", found)
    return Verdict(claim, "fails", found)
