"""``test``: statistics of the trained models of a phase diagram."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import json_option, strict_json
from .selection import at_option, chosen_place

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["test"]


@click.command(
    short_help="Test trained models against theory.",
    epilog="Example: superposition test results/phase-2-1 --margin 0.02",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--margin", type=float, default=0.01, show_default=True,
    help="Largest excess over a predicted loss that counts as predicted, relative.",
)  # fmt: skip
@click.option(
    "--level", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05,
    show_default=True, help="Chance of any false rejection on the whole map.",
)  # fmt: skip
@click.option(
    "--before", "before", multiple=True, metavar="PHASE",
    help="Phase on the side of small r of the boundary to locate; repeat it for more.  "
    "[default for (2, 1): ignore last]",
)  # fmt: skip
@click.option(
    "--beyond", "beyond", multiple=True, metavar="PHASE",
    help="The same for large r.  [default for (2, 1): superpose both, partial superposition]",
)  # fmt: skip
@at_option
@json_option
def test(
    folder: Path,
    margin: float,
    level: float,
    before: tuple[str, ...],
    beyond: tuple[str, ...],
    places: tuple[str, ...],
    as_json: bool,
) -> None:
    """Test the trained models of the phase diagram in DIR.

    DIR is what `superposition phase-diagram --out DIR` wrote, or `sweep` and then --at. Prints
    where trained models change phase, with intervals (for other sizes than two features in one
    dimension say between which phases); and at how many points it is shown that training reaches
    the loss that theory or the exact optimum predicts. The null hypotheses are that it does not.
    """
    from ..validation import load_dataset, select_diagram
    from ..validation.statistics import loss_tests

    dataset = select_diagram(load_dataset(folder), **chosen_place(places))
    sides = _sides(dataset, before, beyond)
    tests = loss_tests(dataset, margin=margin)
    boundaries = [] if sides is None else _boundaries(dataset, *sides)
    counts = _counts(tests, level)
    if as_json:
        click.echo(strict_json({"boundaries": boundaries, "points": tests.typical_p.size} | counts))
        return
    if sides is not None:
        crossed = " to ".join(" or ".join(side) for side in sides)
        click.echo(f"r at which trained models change from {crossed} (95 % intervals)")
        if not boundaries:
            click.echo("  nowhere on this grid")
    for row in boundaries:
        closed = row["closed_form"]
        beside = "" if math.isnan(closed) else f"  closed forms {closed:.4g}"
        click.echo(
            f"  s = {row['density']:<8.4g} {row['location']:.4g} [{row['low']:.4g}, "
            f"{row['high']:.4g}]{beside}"
        )
    click.echo(f"loss within {margin:.3g} of the prediction, shown at level {level:g} for the map")
    for name, count in counts.items():
        click.echo(f"  {count} of {tests.typical_p.size} points  {name.replace('_', ' ')}")


def _sides(
    dataset: xr.Dataset, before: tuple[str, ...], beyond: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the phases on both sides of the boundary to locate; None if there is none to."""
    from ..validation.statistics import BEFORE, BEYOND

    if bool(before) != bool(beyond):
        raise click.UsageError("--before and --beyond go together")
    if before:
        return before, beyond
    sizes = dataset.sizes
    usual = (sizes["feature"], sizes["hidden"]) == (2, 1) and sizes["importance"] >= 3
    return (BEFORE, BEYOND) if usual else None


def _boundaries(
    dataset: xr.Dataset, before: tuple[str, ...], beyond: tuple[str, ...]
) -> list[dict[str, float]]:
    """Return the located boundaries, beside that of the first two named if they are candidates."""
    import numpy as np

    from ..validation.statistics import candidate_boundary, trained_boundary

    found = trained_boundary(dataset, before=before, beyond=beyond)
    closed = np.full(len(found.density), np.nan)
    if {before[0], beyond[0]} <= set(dataset["candidate"].values.tolist()):
        closed = candidate_boundary(dataset, before=before[0], beyond=beyond[0])
    columns: dict[str, Any] = {name: found[name] for name in ("density", "location", "low", "high")}
    columns["closed_form"] = closed
    rows = zip(*columns.values(), strict=True)
    named = [dict(zip(columns, map(float, row), strict=True)) for row in rows]
    return [row for row in named if row["location"] == row["location"]]  # NaN: not on this grid


def _counts(tests: xr.Dataset, level: float) -> dict[str, int]:
    within = (tests.within_p_holm <= level).sum(("density", "importance"))
    return {
        "most_replicas_near_the_closed_forms": int(within.sel(prediction="theory")),
        "most_replicas_near_the_optimum": int(within.sel(prediction="optimum")),
        "typical_replica_of_its_basin_near_the_optimum": int((tests.typical_p_holm <= level).sum()),
    }
