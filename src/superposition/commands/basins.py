"""``basins``: with which probability a random start ends in each minimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import densities, importances, json_option, one_model, rows, seed_option, strict_json

if TYPE_CHECKING:
    import sympy

    from ..features import FeatureDistribution

__all__ = ["basins"]


@click.command(
    short_help="Where random starts end.",
    epilog="Example: superposition basins --density 0.3 --importance 0.8 --scale 0.1",
)
@one_model
@click.option(
    "--scale", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True,
    help="Standard deviation of the initial weights; biases start at 0.",
)  # fmt: skip
@click.option(
    "--route", default="flow", show_default=True, metavar="flow|NAME[,FIELD=VALUE...]",
    help="Gradient flow, or a training protocol, such as roe2023,steps=500.",
)  # fmt: skip
@click.option(
    "--sampled", is_flag=True, help="Train on sampled data rather than on the exact gradient."
)
@click.option("--starts", type=click.IntRange(min=1), default=1000, show_default=True)
@seed_option
@json_option
def basins(
    n_features: int,
    n_hidden: int,
    density: list[sympy.Expr],
    importance: list[sympy.Expr],
    activation: str,
    penalty: sympy.Expr,
    features: FeatureDistribution,
    scale: float,
    route: str,
    sampled: bool,
    starts: int,
    seed: int,
    as_json: bool,
) -> None:
    """Estimate with which probability random starts end in each minimum of the exact loss."""
    from ..numerics import basin_probabilities, resolve_protocol

    found = basin_probabilities(
        n_features,
        n_hidden,
        density=densities(density),
        importance=importances(importance, n_features),
        scale=scale,
        route="flow" if route == "flow" else resolve_protocol(route),
        sampled=sampled,
        activation=activation,
        features=features,
        penalty=float(penalty),
        starts=starts,
        seed=seed,
    )
    if as_json:
        ends = [
            {
                "name": basin.name,
                "kind": basin.kind,
                "probability": basin.probability,
                "interval": list(basin.interval),
                "loss": basin.minimum.loss,
                "W": basin.minimum.W.tolist(),
                "b": basin.minimum.b.tolist(),
            }
            for basin in found.basins
        ]
        fields = {"basins": ends, "unsettled": found.unsettled, "optimum_loss": found.optimum}
        click.echo(strict_json(fields))
        return
    for basin in found.basins:
        low, high = basin.interval
        name = f"{basin.name}: " if basin.name else ""
        click.echo(
            f"{basin.probability:7.2%} [{low:.2%}, {high:.2%}]  {name}{basin.kind}, "
            f"loss {basin.minimum.loss:.9g}  W = {rows(basin.minimum.W)}  b = {rows(basin.minimum.b)}"
        )
    click.echo(f"{starts} starts, {found.unsettled} unsettled; optimum {found.optimum:.9g}")
