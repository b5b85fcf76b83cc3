"""Reproductions: every experiment of the sources as data, figure and verdicts on its claims."""

from .claim import Claim, all_claims, read_claims
from .experiment import SCALES, Experiment, Run
from .ledger import ledger_row, summary_line
from .measurement import Measurement
from .registry import EXPERIMENTS, find_experiment
from .reproduce import Reproduction, load_reproduction, reproduce
from .verdicts import Verdict, judge

__all__ = [
    "EXPERIMENTS",
    "SCALES",
    "Claim",
    "Experiment",
    "Measurement",
    "Reproduction",
    "Run",
    "Verdict",
    "all_claims",
    "find_experiment",
    "judge",
    "ledger_row",
    "load_reproduction",
    "read_claims",
    "reproduce",
    "summary_line",
]
