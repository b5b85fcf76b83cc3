"""``phase-diagram``: theory, optimum and training on a grid, written to a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
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
from .outputs import figure_names, refuse_to_overwrite, save_figure

if TYPE_CHECKING:
    import sympy
    import xarray as xr

    from ..features import FeatureDistribution

__all__ = ["FIGURE_NAME", "SUMMARY_NAME", "phase_diagram"]

SUMMARY_NAME = "summary.txt"
FIGURE_NAME = "phase_diagram"
_INTERRUPTED = 130  # what shells say of a process that SIGINT ended


@click.command(
    "phase-diagram",
    short_help="Theory, optimum and training on a grid.",
    epilog="Example: superposition phase-diagram --out results/phase-2-1",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for dataset, figure and summary; completed if it holds a part of this diagram.",
)
@click.option(
    "--status",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Say how far the diagram in this folder has come, check its files, and do nothing else.",
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
@click.option(
    "--cluster", metavar="ADDRESS",
    help="Compute on the workers of the Dask scheduler at this address, such as tcp://host:8786.",
)  # fmt: skip
@click.option(
    "--chunk", type=click.IntRange(min=1), metavar="POINTS",
    help="Grid points that are computed and kept as one; an interruption costs at most so many.  "
    "[default: about 4096 models]",
)  # fmt: skip
@json_option
def phase_diagram(
    out: Path | None,
    status: Path | None,
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
    cluster: str | None,
    chunk: int | None,
    as_json: bool,
) -> None:
    """Draw theory, exact optimum and trained models over density and relative importance.

    An interrupted run goes on where it stopped when the same command is given again.
    """
    if status is not None:
        _show_status(status, as_json)
        return
    if out is None:
        raise click.UsageError("missing option '--out' (or '--status')")
    import numpy as np

    from ..validation import agreement, phase_diagram as compute, summarize
    from ..validation.sweeps.storage import DATASET_NAME

    spread = np.linspace if linear_grid else np.geomspace
    if not linear_grid and min(density[0], importance[0]) <= 0:
        raise ValueError("a geometric grid needs values above 0; start higher or use --linear-grid")
    refuse_to_overwrite(
        out, DATASET_NAME, (SUMMARY_NAME, *figure_names(FIGURE_NAME)), "a phase diagram"
    )
    dataset = _told_how_to_go_on(
        compute,
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
        cluster=cluster,
        points_per_chunk=chunk,
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


def _told_how_to_go_on(
    compute: Callable[..., xr.Dataset], *arguments: Any, **options: Any
) -> xr.Dataset:
    """Compute; print what an interruption has left, and what is not installed, on one line."""
    try:
        return compute(*arguments, **options)
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt as interruption:
        notes = "; ".join(getattr(interruption, "__notes__", ()))
        if not notes:
            raise
        click.echo(f"superposition: interrupted; {notes}", err=True)
        raise SystemExit(_INTERRUPTED) from None


def _show_status(folder: Path, as_json: bool) -> None:
    """Print how far a folder has come; exit code 1 if files in it are damaged."""
    from ..validation import sweep_status

    status = sweep_status(folder)
    if as_json:
        fields = asdict(status) | {"folder": str(folder), "complete": status.complete}
        fields["damaged"] = [name for names in status.damaged.values() for name in names]
        click.echo(strict_json(fields))
    else:
        click.echo(str(status))
    if status.damaged:
        raise SystemExit(1)


def _write_results(out: Path, dataset: xr.Dataset, summary: str) -> list[Path]:
    from ..validation import plot_phase_diagram
    from ..validation.sweeps.storage import DATASET_NAME

    written = [out / DATASET_NAME, out / SUMMARY_NAME]
    written[1].write_text(summary, encoding="utf-8")
    return written + save_figure(plot_phase_diagram(dataset), out, FIGURE_NAME)


def _agreement_fields(compared: xr.Dataset) -> dict[str, Any]:
    return {
        str(pair): {
            name: float(compared[name].sel(pair=pair))
            for name in ("agreement", "agreement_away", "kappa")
        }
        for pair in compared["pair"].values
    } | {"stuck_fraction": float(compared["stuck_fraction"])}
