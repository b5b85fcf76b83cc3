"""``report``: one self-contained page about a phase diagram."""

from __future__ import annotations

from pathlib import Path

import click

from .options import json_option, strict_json
from .selection import at_option, chosen_place

__all__ = ["report"]


@click.command(
    short_help="Write a page about a phase diagram.",
    epilog="Example: superposition report results/phase-2-1",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; nothing but an earlier report is replaced.  [default: DIR/report.html]",
)
@at_option
@click.option(
    "--starts", type=click.IntRange(min=0), default=16, show_default=True,
    help="Random starts of the search for further local minima, per point.",
)  # fmt: skip
@json_option
def report(
    folder: Path, out: Path | None, places: tuple[str, ...], starts: int, as_json: bool
) -> None:
    """Write one HTML page about the phase diagram in DIR.

    DIR is what `superposition phase-diagram --out DIR` wrote, or `sweep` and then --at. The page needs no network: it holds
    interactive figures, tables, formulas and the data.
    """
    from ..validation.report import write_report

    path = write_report(folder, out, starts=starts, at=chosen_place(places))
    size = path.stat().st_size
    if as_json:
        click.echo(strict_json({"file": str(path), "bytes": size}))
    else:
        click.echo(f"written: {path} ({size / 1e6:.1f} MB)")
