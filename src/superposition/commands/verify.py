"""``verify``: every closed form against its oracle."""

from __future__ import annotations

import click

from .options import json_option, seed_option, strict_json

__all__ = ["verify"]


@click.command(
    short_help="Check the sources' formulas.", epilog="Example: superposition verify --json"
)
@seed_option
@json_option
def verify(seed: int, as_json: bool) -> None:
    """Check every closed form of the sources; exit with 1 if one fails."""
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
