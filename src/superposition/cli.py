"""The command line: ``superposition derive | minimize | train | phase-diagram | verify``."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from . import __version__
from .literals import parse_matrix, parse_number, parse_vector
from .model import ACTIVATIONS, relative_importance

# The packages that do the work are imported by the commands that need them: `--help` is instant,
# and `derive` never loads torch.
if TYPE_CHECKING:
    import numpy as np
    import sympy
    import xarray as xr

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType

__all__ = ["cli", "main"]

SUMMARY_NAME = "summary.txt"
FIGURE_NAME = "phase_diagram"
FIGURE_FORMATS = ("png", "svg", "pdf")
_RESULT_FILES = (SUMMARY_NAME, *(f"{FIGURE_NAME}.{suffix}" for suffix in FIGURE_FORMATS))


class _Parsed(ParamType):
    """What one of the parsers of `literals` makes of the text."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_NUMBER = _Parsed("number", parse_number)
_VECTOR = _Parsed("numbers", parse_vector)


class _Grid(ParamType):
    """LOW:HIGH:COUNT grid values."""

    name = "low:high:count"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, int]:
        try:
            low, high, count = str(value).split(":")
            grid = float(parse_number(low)), float(parse_number(high)), int(count)
        except ValueError:
            self.fail(f"{value!r} is not of the form LOW:HIGH:COUNT, such as 0.01:1:48", param, ctx)
        if grid[2] < 1 or grid[0] > grid[1] or (grid[2] > 1 and grid[0] == grid[1]):
            self.fail(f"{value!r} needs LOW < HIGH and COUNT of at least 1", param, ctx)
        return grid


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
_activation_option = click.option(
    "--activation", type=click.Choice(ACTIVATIONS), default="relu", show_default=True
)
_penalty_option = click.option(
    "--penalty", type=_NUMBER, default="0", show_default=True, help="Interference penalty λ."
)
_seed_option = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
_features_option = click.option(
    "--features", "n_features", type=click.IntRange(min=1), default=2, show_default=True,
    help="Number of features n.",
)  # fmt: skip
_hidden_option = click.option(
    "--hidden", "n_hidden", type=click.IntRange(min=1), default=1, show_default=True,
    help="Number of hidden dimensions m.",
)  # fmt: skip
_protocol_option = click.option(
    "--protocol", default="annealed", show_default=True, help="Name of a training protocol."
)
_device_option = click.option("--device", default="cpu", show_default=True, help="Torch device.")


def _one_model(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that describe one model: sizes, density, importance, activation, penalty."""
    options = (
        _features_option,
        _hidden_option,
        click.option("--density", type=_VECTOR, required=True, help="One density or n of them."),
        click.option(
            "--importance",
            type=_VECTOR,
            default="1",
            show_default=True,
            help="r, or n importances.",
        ),
        _activation_option,
        _penalty_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """Exact loss landscapes of toy models of superposition.

    Density s is P(x_i ≠ 0); importances are (1, …, 1, r); losses are sums over features.
    """


@cli.command(
    context_settings={"ignore_unknown_options": True},  # a W may begin with a minus sign
    short_help="Derive a loss exactly.",
    epilog='Example: superposition derive "1,-1/2,-1/2; 0,sqrt(3)/2,-sqrt(3)/2"',
)
@click.argument("weights", metavar="W")
@click.option(
    "--bias",
    default="sources",
    show_default=True,
    help="zero, optimal, n numbers, or the sources' convention: optimal for dropped features "
    "(zero columns of W), zero for the others.",
)
@click.option("--density", type=_VECTOR, help="One density or n of them.  [default: the symbol s]")
@click.option("--importance", type=_VECTOR, help="n importances.  [default: 1, …, 1, r]")
@_activation_option
@_penalty_option
@click.option("--latex", is_flag=True, help="Print the derivation as LaTeX.")
@click.option("--short", is_flag=True, help="Print the loss alone.")
@_json_option
def derive(
    weights: str,
    bias: str,
    density: list[sympy.Expr] | None,
    importance: list[sympy.Expr] | None,
    activation: str,
    penalty: sympy.Expr,
    latex: bool,
    short: bool,
    as_json: bool,
) -> None:
    """Derive the expected loss of weights W, exactly.

    W has one row per hidden dimension; rows are separated by ; and entries by a comma. Fractions,
    decimals and sqrt( ) are exact.
    """
    from .theory import derivation, r, s

    matrix = parse_matrix(weights)
    derived = derivation(
        matrix,
        _read_bias(bias, matrix),
        density=s if density is None else _one_or_many(density),
        importance=relative_importance(len(matrix[0]), r) if importance is None else importance,
        activation=activation,
        penalty=penalty,
    )
    if as_json:
        fields = {
            "weights": [[str(entry) for entry in row] for row in matrix],
            "loss": str(derived.loss),
            "latex": derived.latex(),
        }
        click.echo(_as_json(fields))
    elif short:
        click.echo(str(derived.loss))
    else:
        click.echo(derived.latex() if latex else derived.text())


def _as_json(value: Any) -> str:
    """Write strict JSON, which has no NaN and no infinity: they become null."""

    def finite(part: Any) -> Any:
        match part:
            case dict():
                return {key: finite(entry) for key, entry in part.items()}
            case list():
                return [finite(entry) for entry in part]
            case float() if not math.isfinite(part):
                return None
            case _:
                return part

    return json.dumps(finite(value), allow_nan=False)


def _one_or_many(values: list[sympy.Expr]) -> Any:
    return values[0] if len(values) == 1 else values


def _read_bias(bias: str, matrix: list[list[sympy.Expr]]) -> list[Any]:
    from .theory import OPTIMAL

    columns = list(zip(*matrix, strict=True))
    match bias:
        case "zero":
            return [0] * len(columns)
        case "optimal":
            return [OPTIMAL] * len(columns)
        case "sources":
            return [0 if any(column) else OPTIMAL for column in columns]
        case _:
            return list(parse_vector(bias))


def _floats(values: list[sympy.Expr]) -> list[float]:
    return [float(value) for value in values]


def _importances(values: list[sympy.Expr], n_features: int) -> list[float]:
    """Return n importances; a single number is r."""
    if len(values) == 1 and n_features > 1:
        return [float(value) for value in relative_importance(n_features, values[0])]
    return _floats(values)


def _density(values: list[sympy.Expr]) -> Any:
    return _one_or_many(_floats(values))


def _rows(array: np.ndarray) -> str:
    import numpy as np

    return np.array2string(array, precision=6, suppress_small=True, separator=", ").replace(
        "\n", ""
    )


@cli.command(
    short_help="Find the exact optimum.",
    epilog="Example: superposition minimize --density 0.7 --importance 0.9",
)
@_one_model
@click.option("--starts", type=click.IntRange(min=1), default=256, show_default=True)
@_seed_option
@_json_option
def minimize(
    n_features: int,
    n_hidden: int,
    density: list[sympy.Expr],
    importance: list[sympy.Expr],
    activation: str,
    penalty: sympy.Expr,
    starts: int,
    seed: int,
    as_json: bool,
) -> None:
    """Find the exact optimum and the other local minima of the population loss."""
    from .numerics import global_minimum

    found = global_minimum(
        n_features,
        n_hidden,
        density=_density(density),
        importance=_importances(importance, n_features),
        activation=activation,
        penalty=float(penalty),
        starts=starts,
        seed=seed,
    )
    minima = [
        {
            "loss": minimum.loss,
            "share_of_starts": minimum.count / found.starts,
            "gradient_norm": minimum.gradient_norm,
            "W": minimum.W.tolist(),
            "b": minimum.b.tolist(),
        }
        for minimum in found.minima
    ]
    if as_json:
        click.echo(_as_json({"minima": minima, "unconverged": found.unconverged}))
        return
    click.echo(f"{len(minima)} distinct minima from {found.starts} starts, the lowest first")
    for minimum in found.minima:
        share = minimum.count / found.starts
        click.echo(f"loss {minimum.loss:.12g}  reached by {share:.1%} of the starts")
        click.echo(f"  W = {_rows(minimum.W)}")
        click.echo(f"  b = {_rows(minimum.b)}")
    if found.unconverged:
        click.echo(f"{found.unconverged} starts did not converge")


@cli.command(
    short_help="Train models on samples.",
    epilog="Example: superposition train --density 0.1 --replicas 10 --protocol roe2023",
)
@_one_model
@_protocol_option
@click.option("--replicas", type=click.IntRange(min=1), default=10, show_default=True)
@_seed_option
@_device_option
@_json_option
def train(
    n_features: int,
    n_hidden: int,
    density: list[sympy.Expr],
    importance: list[sympy.Expr],
    activation: str,
    penalty: sympy.Expr,
    protocol: str,
    replicas: int,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Train replicas of one model on sampled data and judge them by their exact loss."""
    from .numerics import global_minimum, population_loss, train as train_models

    model: dict[str, Any] = {
        "density": _density(density),
        "importance": _importances(importance, n_features),
        "activation": activation,
        "penalty": float(penalty),
    }
    result = train_models(
        n_features,
        n_hidden,
        **model,
        protocol=protocol,
        replicas=replicas,
        seed=seed,
        device=device,
        progress=not as_json,
    )
    optimum = global_minimum(n_features, n_hidden, **model).loss
    models = []
    for W, b, diverged in zip(result.W, result.b, result.diverged, strict=True):
        loss = None if diverged else float(population_loss(W, b, **model))
        models.append({"loss": loss, "W": W.tolist(), "b": b.tolist()})
    if as_json:
        click.echo(_as_json({"optimum_loss": optimum, "models": models}))
        return
    click.echo(f"exact optimum: loss {optimum:.12g}")
    ranked = sorted(zip(models, result.W, result.b, strict=True), key=_loss_or_infinity)
    for trained, W, b in ranked:
        loss = trained["loss"]
        judged = "diverged" if loss is None else f"loss {loss:.9g}"
        if loss is not None and optimum > 0:
            judged += f" ({loss / optimum - 1:+.2%})"
        click.echo(f"{judged}  W = {_rows(W)}  b = {_rows(b)}")


def _loss_or_infinity(entry: tuple[dict[str, Any], Any, Any]) -> float:
    loss = entry[0]["loss"]
    return float("inf") if loss is None else float(loss)


@cli.command(
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
@_features_option
@_hidden_option
@click.option("--density", type=_Grid(), default="0.01:1:48", show_default=True)
@click.option(
    "--importance", type=_Grid(), default="0.1:10:48", show_default=True,
    help="Relative importances r of the last feature.",
)  # fmt: skip
@click.option("--linear-grid", is_flag=True, help="Space the grid evenly, not geometrically.")
@click.option("--replicas", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--starts", type=click.IntRange(min=1), default=64, show_default=True,
    help="Random starts of the search for the exact optimum, per point.",
)  # fmt: skip
@_activation_option
@_penalty_option
@_protocol_option
@_seed_option
@_device_option
@_json_option
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

    from .validation import agreement, phase_diagram as compute, summarize

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
        out=out,
        device=device,
        progress=not as_json,
    )
    compared = agreement(dataset)
    summary = summarize(dataset, compared)
    written = _write_results(out, dataset, summary)
    if as_json:
        click.echo(_as_json(_agreement_fields(compared) | {"files": [str(f) for f in written]}))
    else:
        click.echo(summary)
        click.echo("written: " + ", ".join(str(file) for file in written))


def _refuse_to_overwrite(out: Path) -> None:
    """Raise if a file that is to be written is there without the dataset that it belongs to."""
    from .validation.storage import DATASET_NAME

    if not (out / DATASET_NAME).exists():
        for name in _RESULT_FILES:
            if (out / name).exists():
                raise ValueError(
                    f"{out / name} is there already and does not come from a phase diagram in "
                    f"{out}; choose another folder, or move it away"
                )


def _write_results(out: Path, dataset: xr.Dataset, summary: str) -> list[Path]:
    import matplotlib as mpl

    from .validation import plot_phase_diagram
    from .validation.storage import DATASET_NAME

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


@cli.command(
    short_help="Check the sources' formulas.", epilog="Example: superposition verify --json"
)
@_seed_option
@_json_option
def verify(seed: int, as_json: bool) -> None:
    """Check every closed form of the sources; exit with 1 if one fails."""
    from dataclasses import asdict

    from .validation import verify as run_checks

    failed = 0
    rows = []
    for check in run_checks(seed=seed):
        failed += not check.holds
        rows.append(asdict(check) | {"holds": check.holds})
        if not as_json:
            mark = "holds" if check.holds else "FAILS"
            click.echo(f"{mark}  {check.name}: {check.statement}")
            click.echo(
                f"       by {check.oracle}; deviation {check.deviation:.2g}, "
                f"tolerance {check.tolerance:.2g}; {check.source}"
            )
    if as_json:
        click.echo(_as_json(rows))
    else:
        click.echo(f"{len(rows) - failed} of {len(rows)} hold")
    if failed:
        raise SystemExit(1)


def _refuse(message: str) -> NoReturn:
    click.echo("superposition: " + " ".join(message.split()), err=True)
    raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: exit code 0 on success, 1 on a failed check, 2 on bad use.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments after the program's name; those of the process by default.
    """
    for stream in (sys.stdout, sys.stderr):  # Greek letters whatever the locale says
        with suppress(AttributeError, ValueError):
            stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        cli.main(args=arguments, prog_name="superposition", standalone_mode=False)
    except click.Abort:
        _interrupted()
    except KeyboardInterrupt:
        _interrupted()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        raise SystemExit(2) from None
    except click.ClickException as error:
        _refuse(error.format_message())
    except ValueError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))


def _interrupted() -> NoReturn:
    click.echo(
        "superposition: interrupted; a phase diagram goes on when the same command is given again",
        err=True,
    )
    raise SystemExit(130)
