"""What the commands that compute diagrams on a grid share: options, interruptions, status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import Grid, activation_option, device_option, distribution_options, strict_json

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["grid_options", "out_options", "show_status", "told_how_to_go_on"]

_INTERRUPTED = 130  # what shells say of a process that SIGINT ended


def out_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--out`` and ``--status``; with the latter the command itself does not run."""

    @click.option(
        "--out",
        type=click.Path(path_type=Path),
        help="Folder for dataset, figures and summary; completed if it holds a part of the same.",
    )
    @click.option(
        "--status",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Say how far the dataset in this folder has come, check its files, do nothing else.",
    )
    @wraps(command)
    def with_out(*, out: Path | None, status: Path | None, as_json: bool, **rest: Any) -> None:
        if status is not None:
            show_status(status, as_json)
            return
        if out is None:
            raise click.UsageError("missing option '--out' (or '--status')")
        command(out=out, as_json=as_json, **rest)

    return with_out


def grid_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a grid and of its computation.

    The command gets the keyword ``grid``: those arguments of `phase_diagram` and `sweep`.
    """

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
    @device_option
    @click.option(
        "--cluster", metavar="ADDRESS",
        help="Compute on the workers of the Dask scheduler at this address, such as "
        "tcp://host:8786.",
    )  # fmt: skip
    @click.option(
        "--chunk", type=click.IntRange(min=1), metavar="POINTS",
        help="Grid points that are computed and kept as one; an interruption costs at most so "
        "many.  [default: about 4096 models]",
    )  # fmt: skip
    @wraps(command)
    def with_grid(
        *,
        density: tuple[float, float, int],
        importance: tuple[float, float, int],
        linear_grid: bool,
        replicas: int,
        starts: int,
        activation: str,
        features: Any,
        device: str,
        cluster: str | None,
        chunk: int | None,
        **rest: Any,
    ) -> None:
        import numpy as np

        if not linear_grid and min(density[0], importance[0]) <= 0:
            raise ValueError(
                "a geometric grid needs values above 0; start higher or use --linear-grid"
            )
        spread = np.linspace if linear_grid else np.geomspace
        grid = {
            "density": spread(*density), "importance": spread(*importance), "replicas": replicas,
            "starts": starts, "activation": activation, "features": features, "device": device,
            "cluster": cluster, "points_per_chunk": chunk,
        }  # fmt: skip
        command(grid=grid, **rest)

    return with_grid


def told_how_to_go_on(
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


def show_status(folder: Path, as_json: bool) -> None:
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
