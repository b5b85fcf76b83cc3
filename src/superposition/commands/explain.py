"""``explain``: why trained phase diagrams differ from the theory, with a share for each cause."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import Grid, activation_option, json_option, seed_option, strict_json
from .outputs import figure_names, refuse_to_overwrite, save_figure

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["explain"]

FIGURE_NAME = "attribution"


@click.command(
    short_help="Why training and theory differ.",
    epilog="Example: superposition explain --density 0.05:1:20 --importance 0.5:9.5:10",
)
@activation_option
@click.option("--density", type=Grid(), default="0.02:1:50", show_default=True)
@click.option(
    "--importance", type=Grid(), default="0.1:9.9:25", show_default=True,
    help="Relative importances r of the last feature.",
)  # fmt: skip
@click.option(
    "--replicas", type=click.IntRange(min=1), default=None,
    help="Trained models per point.  [default: 10; linear: 1]",
)  # fmt: skip
@click.option(
    "--protocol", default=None, metavar="NAME[,FIELD=VALUE...]",
    help="Training protocol.  [default: roe2023; linear: roe2023-linear]",
)  # fmt: skip
@seed_option
@click.option(
    "--out", type=click.Path(path_type=Path), default=None,
    help="Folder for maps and figure; an interrupted run goes on there.",
)  # fmt: skip
@json_option
def explain(
    activation: str,
    density: tuple[float, float, int],
    importance: tuple[float, float, int],
    replicas: int | None,
    protocol: str | None,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Divide the difference between theory and trained models among its causes.

    Two features in one dimension, as in Roe's replication of the phase diagram, on an evenly
    spaced grid. Data, mask, reading rule, noise, local minima and the theory's own approximation
    are switched one at a time.
    """
    import numpy as np

    from ..validation import attribution, ladder, shares
    from ..validation.comparison.attribution import FILE_NAME

    if out is not None:
        refuse_to_overwrite(out, FILE_NAME, figure_names(FIGURE_NAME), "maps of explain")
    maps = attribution(
        activation=activation,
        density=np.linspace(*density),
        importance=np.linspace(*importance),
        protocol=protocol,
        replicas=replicas,
        seed=seed,
        out=out,
        progress=not as_json,
    )
    written = [] if out is None else _draw(maps, out)
    rungs, parts = ladder(maps), shares(maps)
    if as_json:
        steps = [
            {"change": rung.change, "agreement": rung.agreement, "changed": rung.changed}
            for rung in rungs
        ]
        files = [str(file) for file in written]
        click.echo(strict_json({"ladder": steps, "shares": parts, "files": files}))
        return
    click.echo("agreement with the closed-form theory, one switch after the other:")
    for rung in rungs:
        click.echo(f"  {rung.agreement:7.2%}  {rung.change} (changes {rung.changed:.2%} of points)")
    click.echo("shares of the disagreement, in points of the grid:")
    for name, share in parts.items():
        click.echo(f"  {share:+8.2%}  {name}")
    if written:
        click.echo("written: " + ", ".join(str(file) for file in written))


def _draw(maps: xr.Dataset, out: Path) -> list[Path]:
    from ..validation import plot_attribution
    from ..validation.comparison.attribution import FILE_NAME

    return [out / FILE_NAME, *save_figure(plot_attribution(maps), out, FIGURE_NAME)]
