"""``phase-diagram``: theory, optimum and training on a grid, written to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .grids import grid_options, out_options, told_how_to_go_on
from .options import (
    features_option,
    hidden_option,
    json_option,
    penalty_option,
    protocol_option,
    seed_option,
    strict_json,
)
from .outputs import figure_names, refuse_to_overwrite, save_figure

if TYPE_CHECKING:
    import sympy
    import xarray as xr

__all__ = ["FIGURE_NAME", "SUMMARY_NAME", "agreement_fields", "phase_diagram"]

SUMMARY_NAME = "summary.txt"
FIGURE_NAME = "phase_diagram"


@click.command(
    "phase-diagram",
    short_help="Theory, optimum and training on a grid.",
    epilog="Example: superposition phase-diagram --out results/phase-2-1",
)
@out_options
@features_option
@hidden_option
@grid_options
@penalty_option
@protocol_option
@seed_option
@json_option
def phase_diagram(
    out: Path,
    n_features: int,
    n_hidden: int,
    grid: dict[str, Any],
    penalty: sympy.Expr,
    protocol: str,
    seed: int,
    as_json: bool,
) -> None:
    """Draw theory, exact optimum and trained models over density and relative importance.

    An interrupted run goes on where it stopped when the same command is given again.
    """
    from ..validation import agreement, phase_diagram as compute, summarize
    from ..validation.sweeps.storage import DATASET_NAME

    refuse_to_overwrite(
        out, DATASET_NAME, (SUMMARY_NAME, *figure_names(FIGURE_NAME)), "a phase diagram"
    )
    dataset = told_how_to_go_on(
        compute, n_features, n_hidden, **grid, seed=seed, protocol=protocol,
        penalty=float(penalty), out=out, progress=not as_json,
    )  # fmt: skip
    compared = agreement(dataset)
    summary = summarize(dataset, compared)
    written = _write_results(out, dataset, summary)
    if as_json:
        click.echo(strict_json(agreement_fields(compared) | {"files": [str(f) for f in written]}))
    else:
        click.echo(summary)
        click.echo("written: " + ", ".join(str(file) for file in written))


def _write_results(out: Path, dataset: xr.Dataset, summary: str) -> list[Path]:
    from ..validation import plot_phase_diagram
    from ..validation.sweeps.storage import DATASET_NAME

    written = [out / DATASET_NAME, out / SUMMARY_NAME]
    written[1].write_text(summary, encoding="utf-8")
    return written + save_figure(plot_phase_diagram(dataset), out, FIGURE_NAME)


def agreement_fields(compared: xr.Dataset) -> dict[str, Any]:
    """Return what `agreement` found as plain values."""
    return {
        str(pair): {
            name: float(compared[name].sel(pair=pair))
            for name in ("agreement", "agreement_away", "kappa")
        }
        for pair in compared["pair"].values
    } | {"stuck_fraction": float(compared["stuck_fraction"])}
