"""``sweep``: phase diagrams over sizes, protocols, penalties and seeds, in one dataset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .grids import grid_options, out_options, told_how_to_go_on
from .options import NUMBER, json_option, strict_json
from .outputs import refuse_to_overwrite, save_figure
from .phase_diagram import FIGURE_NAME, SUMMARY_NAME, agreement_fields

if TYPE_CHECKING:
    import sympy
    import xarray as xr

__all__ = ["sweep"]

_SIZE = (click.IntRange(min=1), click.IntRange(min=1))


@click.command(
    short_help="Phase diagrams over sizes, protocols, penalties, seeds.",
    epilog="Example: superposition sweep --size 2 1 --size 3 2 --penalty 0 --penalty 0.1 "
    "--density 0.1:1:12 --importance 0.1:10:12 --out results/swept",
)
@out_options
@click.option(
    "--size", "sizes", type=_SIZE, multiple=True, default=[(2, 1)], show_default=True,
    metavar="N M", help="N features in M dimensions; repeat it for more sizes.",
)  # fmt: skip
@click.option(
    "--protocol", "protocols", multiple=True, default=["annealed"], show_default=True,
    metavar="NAME[,FIELD=VALUE...]", help="Training protocol; repeat it for more.",
)  # fmt: skip
@click.option(
    "--penalty", "penalties", type=NUMBER, multiple=True, default=["0"], show_default=True,
    help="Interference penalty λ; repeat it for more.",
)  # fmt: skip
@click.option(
    "--seed", "seeds", type=click.IntRange(min=0), multiple=True, default=[0], show_default=True,
    help="Seed of search and training; repeat it for more.",
)  # fmt: skip
@grid_options
@json_option
def sweep(
    out: Path,
    sizes: tuple[tuple[int, int], ...],
    protocols: tuple[str, ...],
    penalties: tuple[sympy.Expr, ...],
    seeds: tuple[int, ...],
    grid: dict[str, Any],
    as_json: bool,
) -> None:
    """Compute a phase diagram for every combination of sizes, protocols, penalties and seeds.

    What is given more than once is varied. All diagrams are kept in one dataset, with a figure for
    each and a table of how theory, exact optimum and trained models agree. `report` and `test` take
    one of the diagrams by --at. An interrupted run goes on where it stopped when the same command
    is given again.
    """
    from ..validation import sweep as compute
    from ..validation.sweeps.storage import DATASET_NAME

    refuse_to_overwrite(out, DATASET_NAME, (SUMMARY_NAME,), "a sweep")
    axes = {
        "sizes": sizes, "protocol": protocols, "penalty": [float(value) for value in penalties],
        "seed": seeds,
    }  # fmt: skip
    if all(len(values) == 1 for values in axes.values()):
        raise click.UsageError(
            "nothing varies: give --size, --protocol, --penalty or --seed more than once, or use "
            "phase-diagram"
        )
    varied = {name: list(x) if len(x) > 1 else x[0] for name, x in axes.items()}
    dataset = told_how_to_go_on(compute, **varied, **grid, out=out, progress=not as_json)
    rows = [_compared(chosen, diagram, out) for chosen, diagram in _diagrams(dataset)]
    summary = _summary(rows)
    (out / SUMMARY_NAME).write_text(summary, encoding="utf-8")
    files = [str(out / DATASET_NAME), str(out / SUMMARY_NAME)]
    if as_json:
        click.echo(strict_json({"diagrams": rows, "files": files}))
    else:
        click.echo(summary, nl=False)
        click.echo("written: " + ", ".join([*files, f"{len(rows)} figures"]))


def _diagrams(dataset: xr.Dataset) -> Iterator[tuple[dict[str, Any], xr.Dataset]]:
    """Yield every place on the axes with the diagram there."""
    from ..validation import select_diagram

    axes = _axes(dataset.dims)
    for values in product(*(dataset[axis].values.tolist() for axis in axes)):
        chosen = dict(zip(axes, values, strict=True))
        yield chosen, select_diagram(dataset, **chosen)


def _axes(names: Iterable[Any]) -> list[str]:
    """Return those names that are axes of a sweep, in their order."""
    return [name for name in ("size", "protocol", "penalty", "seed") if name in names]


def _compared(chosen: dict[str, Any], diagram: xr.Dataset, out: Path) -> dict[str, Any]:
    """Compare theory, optimum and training, and draw the diagram."""
    from ..validation import agreement, plot_phase_diagram

    place = "-".join(str(value) for value in chosen.values())
    name = f"{FIGURE_NAME}-{re.sub(r'[^A-Za-z0-9.=]+', '-', place)}"
    files = save_figure(plot_phase_diagram(diagram), out, name)
    return chosen | agreement_fields(agreement(diagram)) | {"files": [str(file) for file in files]}


def _summary(rows: list[dict[str, Any]]) -> str:
    """Return a table with a line for each diagram."""
    pairs = [name for name, value in rows[0].items() if isinstance(value, dict)]
    axes = _axes(rows[0])
    table = [[*axes, *pairs, "stuck"]]
    for row in rows:
        shares = [f"{row[pair]['agreement']:.4f}" for pair in pairs]
        table.append([*(str(row[axis]) for axis in axes), *shares, f"{row['stuck_fraction']:.4f}"])
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    lines = (
        "  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)) for line in table
    )
    return "\n".join(line.rstrip() for line in lines) + "\n"
