"""``phase-diagram``: theory, optimum and training on a grid, written to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    Grid,
    activation_option,
    device_option,
    distribution_options,
    features_option,
    hidden_option,
    json_option,
    penalty_option,
    protocol_option,
    seed_option,
    strict_json,
)

if TYPE_CHECKING:
    import sympy
    import xarray as xr

    from ..features import FeatureDistribution

__all__ = ["FIGURE_NAME", "SUMMARY_NAME", "phase_diagram"]

SUMMARY_NAME = "summary.txt"
FIGURE_NAME = "phase_diagram"
FIGURE_FORMATS = ("png", "svg", "pdf")
_RESULT_FILES = (SUMMARY_NAME, *(f"{FIGURE_NAME}.{suffix}" for suffix in FIGURE_FORMATS))


@click.command(
    "phase-diagram",
    short_help="Theory, optimum and training on a grid.",
    epilog="Example: superposition phase-diagram --out results/phase-2-1",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for dataset, figure and summary; completed if it holds a part of this diagram.",
)
@features_option
@hidden_option
@click.option("--density", type=Grid(), default="0.01:1:48", show_default=True)
@click.option(
    "--importance", type=Grid(), default="0.1:10:48", show_default=True,
    help="Relative importances r of the last feature.",
)  # fmt: skip
@click.option("--linear-grid", is_flag=True, help="Space the grid evenly, not geometrically.")
@click.option("--replicas", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--starts", type=click.IntRange(min=1), default=64, show_default=True,
    help="Random starts of the search for the exact optimum, per point.",
)  # fmt: skip
@activation_option
@distribution_options
@penalty_option
@protocol_option
@seed_option
@device_option
@json_option
def phase_diagram(
    out: Path,
    n_features: int,
    n_hidden: int,
    density: tuple[float, float, int],
    importance: tuple[float, float, int],
    linear_grid: bool,
    replicas: int,
    starts: int,
    activation: str,
    features: FeatureDistribution,
    penalty: sympy.Expr,
    protocol: str,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Draw theory, exact optimum and trained models over density and relative importance.

    An interrupted run goes on where it stopped when the same command is given again.
    """
    import numpy as np

    from ..validation import agreement, phase_diagram as compute, summarize

    spread = np.linspace if linear_grid else np.geomspace
    if not linear_grid and min(density[0], importance[0]) <= 0:
        raise ValueError("a geometric grid needs values above 0; start higher or use --linear-grid")
    _refuse_to_overwrite(out)
    dataset = compute(
        n_features,
        n_hidden,
        density=spread(*density),
        importance=spread(*importance),
        replicas=replicas,
        seed=seed,
        protocol=protocol,
        starts=starts,
        penalty=float(penalty),
        activation=activation,
        features=features,
        out=out,
        device=device,
        progress=not as_json,
    )
    compared = agreement(dataset)
    summary = summarize(dataset, compared)
    written = _write_results(out, dataset, summary)
    if as_json:
        click.echo(strict_json(_agreement_fields(compared) | {"files": [str(f) for f in written]}))
    else:
        click.echo(summary)
        click.echo("written: " + ", ".join(str(file) for file in written))


def _refuse_to_overwrite(out: Path) -> None:
    """Raise if a file that is to be written is there without the dataset that it belongs to."""
    from ..validation.storage import DATASET_NAME

    if not (out / DATASET_NAME).exists():
        for name in _RESULT_FILES:
            if (out / name).exists():
                raise ValueError(
                    f"{out / name} is there already and does not come from a phase diagram in "
                    f"{out}; choose another folder, or move it away"
                )


def _write_results(out: Path, dataset: xr.Dataset, summary: str) -> list[Path]:
    import matplotlib as mpl

    from ..validation import plot_phase_diagram
    from ..validation.storage import DATASET_NAME

    written = [out / DATASET_NAME, out / SUMMARY_NAME]
    written[1].write_text(summary, encoding="utf-8")
    with mpl.rc_context({"svg.hashsalt": "superposition"}):
        figure = plot_phase_diagram(dataset)
        for suffix in FIGURE_FORMATS:
            path = out / f"{FIGURE_NAME}.{suffix}"
            figure.savefig(path, dpi=150, metadata=None if suffix == "png" else _undated(suffix))
            written.append(path)
    return written


def _undated(suffix: str) -> dict[str, Any]:
    """Metadata without the time of the run: equal results are equal files."""
    return {"Date": None} if suffix == "svg" else {"CreationDate": None}


def _agreement_fields(compared: xr.Dataset) -> dict[str, Any]:
    return {
        str(pair): {
            name: float(compared[name].sel(pair=pair))
            for name in ("agreement", "agreement_away", "kappa")
        }
        for pair in compared["pair"].values
    } | {"stuck_fraction": float(compared["stuck_fraction"])}
