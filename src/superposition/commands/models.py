"""``minimize`` and ``train``: one model, exactly and on samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..architecture import ARCHITECTURES, resolve_architecture
from .options import (
    densities,
    device_option,
    importances,
    json_option,
    one_model,
    protocol_option,
    rows,
    seed_option,
    strict_json,
)

if TYPE_CHECKING:
    import sympy

    from ..features import FeatureDistribution
    from ..numerics import TrainingResult
    from ..numerics.minima.multistart import GlobalMinimum

__all__ = ["minimize", "train"]


@click.command(
    short_help="Find the exact optimum.",
    epilog="Example: superposition minimize --density 0.7 --importance 0.9",
)
@one_model
@click.option("--starts", type=click.IntRange(min=1), default=256, show_default=True)
@click.option(
    "--certify", is_flag=True,
    help="Tell minima from saddles by their least curvature, and go on down from saddles.",
)  # fmt: skip
@seed_option
@json_option
def minimize(
    n_features: int,
    n_hidden: int,
    density: list[sympy.Expr],
    importance: list[sympy.Expr],
    activation: str,
    penalty: sympy.Expr,
    features: FeatureDistribution,
    starts: int,
    certify: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Find the exact optimum and the other local minima of the population loss.

    With every minimum comes the name of what its features form: digons, polygons, other polytopes.
    """
    from ..validation.geometry.identify import identify_geometry

    found = _optimum(
        n_features,
        n_hidden,
        density=densities(density),
        importance=importances(importance, n_features),
        activation=activation,
        features=features,
        penalty=float(penalty),
        starts=starts,
        seed=seed,
        certify=certify,
    )
    minima = [
        {
            "loss": minimum.loss,
            "share_of_starts": minimum.count / found.starts,
            "gradient_norm": minimum.gradient_norm,
            "geometry": identify_geometry(minimum.W).name,
            "W": minimum.W.tolist(),
            "b": minimum.b.tolist(),
        }
        | ({"kind": minimum.kind, "least_curvature": minimum.curvature} if certify else {})
        for minimum in found.minima
    ]
    if as_json:
        click.echo(strict_json({"minima": minima, "unconverged": found.unconverged}))
        return
    click.echo(f"{len(minima)} distinct minima from {found.starts} starts, the lowest first")
    for minimum, fields in zip(found.minima, minima, strict=True):
        share = minimum.count / found.starts
        click.echo(f"loss {minimum.loss:.12g}  reached by {share:.1%} of the starts")
        click.echo(f"  {fields['geometry']}")
        click.echo(f"  W = {rows(minimum.W)}")
        click.echo(f"  b = {rows(minimum.b)}")
        if certify:
            click.echo(f"  {minimum.kind}, least curvature {minimum.curvature:.6g}")
    if found.unconverged:
        click.echo(f"{found.unconverged} starts did not converge")


@click.command(
    short_help="Train models on samples.",
    epilog="Example: superposition train --density 0.1 --replicas 10 --protocol roe2023",
)
@one_model
@click.option(
    "--architecture", type=click.Choice(list(ARCHITECTURES)), default="tied", show_default=True,
    help="What the models compute: ReLU(WᵀW x + b), the same with a ReLU on the hidden layer, or "
    "|x| by weights W in and V out.",
)  # fmt: skip
@protocol_option
@click.option("--replicas", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--checkpoint", type=click.Path(dir_okay=False, path_type=Path),
    help="File to keep the state in: the same command goes on from it after an interruption.",
)  # fmt: skip
@seed_option
@device_option
@json_option
def train(
    n_features: int,
    n_hidden: int,
    density: list[sympy.Expr],
    importance: list[sympy.Expr],
    activation: str,
    penalty: sympy.Expr,
    features: FeatureDistribution,
    architecture: str,
    protocol: str,
    replicas: int,
    checkpoint: Path | None,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Train replicas of one model on sampled data and judge them by their exact loss.

    Models of another architecture than "tied" are judged by a sampled loss with its standard error.
    """
    from ..numerics import train as train_models

    model: dict[str, Any] = {
        "density": densities(density),
        "importance": importances(importance, n_features),
        "activation": activation,
        "features": features,
    }
    result = train_models(
        n_features,
        n_hidden,
        **model,
        architecture=architecture,
        penalty=float(penalty),
        protocol=protocol,
        replicas=replicas,
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        progress=not as_json,
    )
    if resolve_architecture(architecture).is_standard:
        _report_tied(result, model | {"penalty": float(penalty)}, as_json)
    else:
        _report_two_layer(result, model, as_json)


def _report_tied(result: TrainingResult, model: dict[str, Any], as_json: bool) -> None:
    """Print models of the package with their exact losses, beside the exact optimum."""
    from ..numerics import population_loss
    from ..validation.geometry.identify import identify_geometry

    n_hidden, n_features = result.W.shape[-2:]
    optimum = _optimum(n_features, n_hidden, **model).loss
    models = []
    for W, b, diverged in zip(result.W, result.b, result.diverged, strict=True):
        loss = None if diverged else float(population_loss(W, b, **model))
        geometry = None if diverged else identify_geometry(W).name
        models.append({"loss": loss, "geometry": geometry, "W": W.tolist(), "b": b.tolist()})
    if as_json:
        click.echo(strict_json({"optimum_loss": optimum, "models": models}))
        return
    click.echo(f"exact optimum: loss {optimum:.12g}")
    ranked = sorted(zip(models, result.W, result.b, strict=True), key=_loss_or_infinity)
    for trained, W, b in ranked:
        loss = trained["loss"]
        judged = "diverged" if loss is None else f"loss {loss:.9g}"
        if loss is not None and optimum > 0:
            judged += f" ({loss / optimum - 1:+.2%})"
        if loss is not None:
            judged += f"  {trained['geometry']}"
        click.echo(f"{judged}  W = {rows(W)}  b = {rows(b)}")


def _report_two_layer(result: TrainingResult, model: dict[str, Any], as_json: bool) -> None:
    """Print models of another architecture with sampled losses; V where it is no transpose of W."""
    models = _judged_by_samples(result, model)
    if as_json:
        click.echo(strict_json({"architecture": result.architecture.name, "models": models}))
        return
    named = ("W", "b") if result.architecture.tied else ("W", "V", "b")
    arrays = (
        dict(zip("WVb", each, strict=True))
        for each in zip(result.W, result.V, result.b, strict=True)
    )
    ranked = sorted(zip(models, arrays, range(len(models)), strict=True), key=_loss_or_infinity)
    for trained, parts, _ in ranked:
        loss, error = trained["loss"], trained["standard_error"]
        judged = "diverged" if loss is None else f"sampled loss {loss:.6g} ± {error:.2g}"
        click.echo("  ".join([judged, *(f"{name} = {rows(parts[name])}" for name in named)]))


def _judged_by_samples(result: TrainingResult, model: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every model with its sampled loss and standard error, None where it diverged."""
    from ..numerics import sampled_loss

    models = []
    for W, V, b, diverged in zip(result.W, result.V, result.b, result.diverged, strict=True):
        loss = error = None
        if not diverged:
            found = sampled_loss(W, V, b, **model, architecture=result.architecture)
            loss, error = float(found.loss), float(found.standard_error)
        models.append(
            {
                "loss": loss,
                "standard_error": error,
                "W": W.tolist(),
                "V": V.tolist(),
                "b": b.tolist(),
            }
        )
    return models


def _optimum(n_features: int, n_hidden: int, **model: Any) -> GlobalMinimum:
    """Return the exact optimum; exit with 1 where no descent converges."""
    from ..numerics import global_minimum

    try:
        return global_minimum(n_features, n_hidden, **model)
    except RuntimeError as error:
        click.echo(f"superposition: {error}", err=True)
        raise SystemExit(1) from None


def _loss_or_infinity(entry: tuple[dict[str, Any], Any, Any]) -> float:
    loss = entry[0]["loss"]
    return float("inf") if loss is None else float(loss)
