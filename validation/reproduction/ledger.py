"""The ledger: every claim with its verdict, as text and as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .verdicts import Outcome, Verdict

__all__ = ["ledger_row", "summary_line"]


def ledger_row(verdict: Verdict) -> Mapping[str, Any]:
    """Return a verdict as plain values, for JSON and tables."""
    claim = verdict.claim
    return {
        "claim": claim.name, "experiment": claim.experiment, "source": claim.source,
        "place": claim.place, "statement": claim.statement, "test": claim.test,
        "falsifier": claim.falsifier, "judged": claim.judged,
        "minimum_seeds": claim.minimum_seeds, "outcome": verdict.outcome,
        "where": list(verdict.where), "undecided_where": list(verdict.undecided_where),
        "measured": {
            name: {"value": found.value, "low": found.low, "high": found.high, "seeds": found.seeds}
            for name, found in verdict.measured.items()
        },
    }  # fmt: skip


def summary_line(verdicts: Iterable[Verdict]) -> str:
    """Return how many claims have each outcome.

    Examples
    --------
    >>> summary_line([])
    'no claims'
    """
    counts = Counter(verdict.outcome for verdict in verdicts)
    listed = [f"{counts[outcome]} {words}" for outcome, words in _PLURAL.items() if counts[outcome]]
    return f"{sum(counts.values())} claims: {', '.join(listed)}" if listed else "no claims"


_PLURAL: Final[Mapping[Outcome, str]] = {
    "holds": "hold",
    "holds only where": "hold under some conditions only",
    "fails": "fail",
    "undecided": "undecided",
}
