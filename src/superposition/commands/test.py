"""``test``: statistics of the trained models of a phase diagram."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import json_option, strict_json

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
@json_option
def test(folder: Path, margin: float, level: float, as_json: bool) -> None:
    """Test the trained models of the phase diagram in DIR.

    DIR is what `superposition phase-diagram --out DIR` wrote. Prints, for two features in one
    dimension, where trained models begin to superpose both features, with intervals; and at how
    many points it is shown that training reaches the loss that theory or the exact optimum
    predicts. The null hypotheses are that it does not.
    """
    from ..validation import load_dataset
    from ..validation.statistics import loss_tests

    dataset = load_dataset(folder)
    tests = loss_tests(dataset, margin=margin)
    boundaries = _boundaries(dataset)
    counts = _counts(tests, level)
    if as_json:
        click.echo(strict_json({"boundaries": boundaries, "points": tests.typical_p.size} | counts))
        return
    if boundaries:
        click.echo("r at which trained models begin to superpose both features (95 % intervals)")
    for row in boundaries:
        click.echo(
            f"  s = {row['density']:<8.4g} {row['location']:.4g} [{row['low']:.4g}, "
            f"{row['high']:.4g}]  closed forms {row['closed_form']:.4g}"
        )
    click.echo(f"loss within {margin:.3g} of the prediction, shown at level {level:g} for the map")
    for name, count in counts.items():
        click.echo(f"  {count} of {tests.typical_p.size} points  {name.replace('_', ' ')}")


def _boundaries(dataset: xr.Dataset) -> list[dict[str, float]]:
    """Return the located boundaries; none for other sizes, or too few importances."""
    from ..validation.statistics import closed_form_boundary, trained_boundary

    sizes = dataset.sizes
    if (sizes["feature"], sizes["hidden"]) != (2, 1) or sizes["importance"] < 3:
        return []
    found = trained_boundary(dataset)
    closed = closed_form_boundary(found.density)
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
