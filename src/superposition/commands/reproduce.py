"""``reproduce``: the experiments of the sources, with a verdict on every claim."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import json_option, seed_option, strict_json
from .outputs import figure_names, refuse_to_overwrite, save_figure

if TYPE_CHECKING:
    from ..validation.reproduction import Reproduction

__all__ = ["FIGURE_NAME", "VERDICTS_NAME", "reproduce"]

FIGURE_NAME = "figure"
VERDICTS_NAME = "verdicts.txt"


@click.command(
    short_help="The sources' experiments and claims.",
    epilog="Example: superposition reproduce intro --quick --out reproductions",
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--list", "listing", is_flag=True, help="List the experiments and do nothing else.")
@click.option("--all", "everything", is_flag=True, help="Carry out every experiment.")
@click.option("--quick", is_flag=True, help="A smaller setting, minutes for each on two cores.")
@seed_option
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Folder that gets a folder for each experiment, with data, figure and verdicts; "
    "what is there is not computed again.",
)  # fmt: skip
@json_option
def reproduce(
    names: tuple[str, ...],
    listing: bool,
    everything: bool,
    quick: bool,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Carry out experiments of the sources and judge their claims.

    Without --quick the setting is the source's. An interrupted experiment goes on where it stopped
    when the same command is given again.
    """
    if listing + everything + bool(names) != 1:
        raise click.UsageError("give one of: names of experiments, --all, or --list to see them")
    if listing:
        _list(as_json)
        return
    rows = []
    for name in _chosen(names, everything):
        done = _carried_out(name, quick, seed, out, progress=not as_json)
        written = [] if out is None else _write(done, out / name)
        rows.append(_fields(done, written))
        if not as_json:
            _tell(done, written)
    if as_json:
        click.echo(strict_json(rows))


def _chosen(names: tuple[str, ...], everything: bool) -> tuple[str, ...]:
    """Return what is to be carried out, once each, and all of it known before the first begins."""
    from ..validation.reproduction import EXPERIMENTS, find_experiment

    if everything:
        return tuple(EXPERIMENTS)
    return tuple(dict.fromkeys(find_experiment(name).name for name in names))


def _list(as_json: bool) -> None:
    from ..validation.reproduction import EXPERIMENTS

    found = [(each.name, each.title, each.source) for each in EXPERIMENTS.values()]
    if as_json:
        keys = ("name", "title", "source")
        click.echo(strict_json([dict(zip(keys, row, strict=True)) for row in found]))
        return
    width = max(len(name) for name, _, _ in found)
    for name, title, source in found:
        click.echo(f"{name:<{width}}  {title} ({source})")


def _carried_out(
    name: str, quick: bool, seed: int, out: Path | None, *, progress: bool
) -> Reproduction:
    from ..validation.reproduction.reproduce import DATA_NAME, reproduce as compute

    if out is not None:
        names = (VERDICTS_NAME, *figure_names(FIGURE_NAME))
        refuse_to_overwrite(out / name, DATA_NAME, names, "an experiment")
    scale = "quick" if quick else "full"
    return compute(name, scale=scale, seed=seed, out=out, progress=progress)


def _write(done: Reproduction, folder: Path) -> list[Path]:
    from ..validation.reproduction.reproduce import DATA_NAME

    text = "\n".join([done.caption, "", *map(str, done.verdicts), ""])
    (folder / VERDICTS_NAME).write_text(text, encoding="utf-8")
    figures = save_figure(done.figure(), folder, FIGURE_NAME)
    return [folder / DATA_NAME, folder / VERDICTS_NAME, *figures]


def _fields(done: Reproduction, written: list[Path]) -> dict[str, Any]:
    from ..validation.reproduction import ledger_row

    return {
        "experiment": done.experiment.name,
        "scale": done.scale,
        "caption": done.caption,
        "verdicts": [ledger_row(verdict) for verdict in done.verdicts],
        "files": [str(file) for file in written],
    }


def _tell(done: Reproduction, written: list[Path]) -> None:
    click.echo(f"{done.experiment.name}: {done.experiment.title} ({done.experiment.source})")
    click.echo(done.caption)
    for verdict in done.verdicts:
        click.echo(str(verdict))
    if written:
        click.echo("written: " + ", ".join(str(file) for file in written))
