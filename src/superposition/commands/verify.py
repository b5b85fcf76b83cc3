"""``verify``: every closed form against its oracle, or every claim of the sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import json_option, seed_option, strict_json

if TYPE_CHECKING:
    from ..validation.reproduction import Verdict

__all__ = ["verify"]


@click.command(
    short_help="Check formulas, and claims.", epilog="Example: superposition verify --json"
)
@click.option(
    "--claims", is_flag=True,
    help="Print the ledger: a verdict on every claim about trained models and optima.",
)  # fmt: skip
@click.option(
    "--results", type=click.Path(path_type=Path), metavar="DIR",
    help="With --claims: what `reproduce --out DIR` wrote.  [default: the quick experiments, now]",
)  # fmt: skip
@seed_option
@json_option
def verify(claims: bool, results: Path | None, seed: int, as_json: bool) -> None:
    """Check every closed form of the sources; exit with 1 if one fails.

    With --claims, judge the sources' claims about trained models and optima instead. A claim that
    fails is a finding, not an error: the exit code stays 0.
    """
    if results is not None and not claims:
        raise click.UsageError("--results is of use with --claims only")
    if claims:
        _judge_claims(results, seed, as_json)
    else:
        _check_formulas(seed, as_json)


def _check_formulas(seed: int, as_json: bool) -> None:
    from dataclasses import asdict

    from ..validation import verify as run_checks

    failed = 0
    rows = []
    for check in run_checks(seed=seed):
        failed += not check.holds
        rows.append(asdict(check) | {"holds": check.holds})
        if not as_json:
            mark = "holds" if check.holds else "FAILS"
            click.echo(f"{mark}  {check.name}: {check.statement}")
            click.echo(
                f"       by {check.oracle}; deviation {check.deviation:.2g}, "
                f"tolerance {check.tolerance:.2g}; {check.source}"
            )
    if as_json:
        click.echo(strict_json(rows))
    else:
        click.echo(f"{len(rows) - failed} of {len(rows)} hold")
    if failed:
        raise SystemExit(1)


def _judge_claims(results: Path | None, seed: int, as_json: bool) -> None:
    from ..validation.reproduction import (
        EXPERIMENTS,
        ledger_row,
        load_reproduction,
        reproduce,
        summary_line,
    )

    verdicts: list[Verdict] = []
    for name in EXPERIMENTS:
        if results is None:
            done = reproduce(name, scale="quick", seed=seed, progress=not as_json)
        else:
            done = load_reproduction(results, name)
        verdicts += done.verdicts
        if not as_json:
            for verdict in done.verdicts:
                click.echo(str(verdict))
    if as_json:
        click.echo(strict_json([ledger_row(verdict) for verdict in verdicts]))
    else:
        click.echo(summary_line(verdicts))
