"""Options that several commands share, and how what is typed becomes what is called."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from ..features import (
    Anticorrelated,
    CoActive,
    Correlated,
    FeatureDistribution,
    Independent,
    OneHot,
)
from ..literals import parse_number, parse_sets, parse_vector
from ..model import ACTIVATIONS, relative_importance
from ..values import UNIFORM, ValueDistribution

if TYPE_CHECKING:
    import numpy as np
    import sympy

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType


class Parsed(ParamType):
    """What one of the parsers of `literals` makes of the text."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, with the parser's message where it refuses."""
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


NUMBER = Parsed("number", parse_number)
VECTOR = Parsed("numbers", parse_vector)


class Grid(ParamType):
    """LOW:HIGH:COUNT grid values."""

    name = "low:high:count"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, int]:
        """Parse the ends and the count."""
        try:
            low, high, count = str(value).split(":")
            grid = float(parse_number(low)), float(parse_number(high)), int(count)
        except ValueError:
            self.fail(f"{value!r} is not of the form LOW:HIGH:COUNT, such as 0.01:1:48", param, ctx)
        if grid[2] < 1 or grid[0] > grid[1] or (grid[2] > 1 and grid[0] == grid[1]):
            self.fail(f"{value!r} needs LOW < HIGH and COUNT of at least 1", param, ctx)
        return grid


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
activation_option = click.option(
    "--activation", type=click.Choice(ACTIVATIONS), default="relu", show_default=True
)
penalty_option = click.option(
    "--penalty", type=NUMBER, default="0", show_default=True, help="Interference penalty λ."
)
seed_option = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
features_option = click.option(
    "--features", "n_features", type=click.IntRange(min=1), default=2, show_default=True,
    help="Number of features n.",
)  # fmt: skip
hidden_option = click.option(
    "--hidden", "n_hidden", type=click.IntRange(min=1), default=1, show_default=True,
    help="Number of hidden dimensions m.",
)  # fmt: skip
protocol_option = click.option(
    "--protocol", default="annealed", show_default=True, metavar="NAME[,FIELD=VALUE...]",
    help="Training protocol, altered by what follows, such as roe2023,steps=500,schedule=cosine.",
)  # fmt: skip
device_option = click.option("--device", default="cpu", show_default=True, help="Torch device.")

_ALL_FEATURES: dict[str, Callable[[ValueDistribution], FeatureDistribution]] = {
    "independent": Independent,
    "co-active": CoActive,
    "one-hot": OneHot,
}
_SETS: dict[str, Callable[[list[tuple[int, ...]], ValueDistribution], FeatureDistribution]] = {
    "correlated": Correlated,
    "anticorrelated": Anticorrelated,
}


def parse_distribution(text: str, values: ValueDistribution) -> FeatureDistribution:
    """Read a distribution: a name, with ``:SETS`` behind it where it has sets.

    Raises
    ------
    ValueError
        If the name is unknown, or sets are missing, not wanted or malformed.

    Examples
    --------
    >>> from superposition import UNIFORM
    >>> parse_distribution("correlated:0,1;2,3", UNIFORM).sets
    ((0, 1), (2, 3))
    """
    name, colon, sets = (part.strip() for part in text.partition(":"))
    if name in _ALL_FEATURES and not colon:
        return _ALL_FEATURES[name](values)
    if name in _SETS and sets:
        return _SETS[name](parse_sets(sets), values)
    raise ValueError(
        f"{text!r} is no distribution of the inputs; accepted are {', '.join(_ALL_FEATURES)}, "
        f"{' and '.join(f'{name}:SETS' for name in _SETS)}, such as correlated:0,1;2,3 "
        f"(features are counted from 0)"
    )


def distribution_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what inputs are drawn from; the command gets ``features``."""

    @click.option(
        "--inputs", default="independent", show_default=True, metavar="LAW",
        help="Which features are on together: independent, co-active, one-hot, correlated:SETS, "
        "anticorrelated:SETS, such as correlated:0,1;2,3.",
    )  # fmt: skip
    @click.option(
        "--values", type=VECTOR, default=None, metavar="C0,C1,...",
        help="Density c0 + c1·u + … on [0, 1] of the values of features.  [default: uniform]",
    )  # fmt: skip
    @click.option("--symmetric", is_flag=True, help="Give values a random sign.")
    @wraps(command)
    def with_features(
        *, inputs: str, values: list[sympy.Expr] | None, symmetric: bool, **rest: Any
    ) -> None:
        coefficients = UNIFORM.coefficients if values is None else values
        law = ValueDistribution(coefficients, symmetric=symmetric)
        command(features=parse_distribution(inputs, law), **rest)

    return with_features


def one_model(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that describe one model: sizes, density, importance, inputs and so on."""
    command = distribution_options(command)
    options = (
        features_option,
        hidden_option,
        click.option("--density", type=VECTOR, required=True, help="One density or n of them."),
        click.option(
            "--importance",
            type=VECTOR,
            default="1",
            show_default=True,
            help="r, or n importances.",
        ),
        activation_option,
        penalty_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def strict_json(value: Any) -> str:
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


def one_or_many(values: list[Any]) -> Any:
    """Return the value if there is one, which is then for all features, else the list."""
    return values[0] if len(values) == 1 else values


def floats(values: list[sympy.Expr]) -> list[float]:
    """Return exact numbers rounded to nearest."""
    return [float(value) for value in values]


def importances(values: list[sympy.Expr], n_features: int) -> list[float]:
    """Return n importances; a single number is r."""
    if len(values) == 1 and n_features > 1:
        return [float(value) for value in relative_importance(n_features, values[0])]
    return floats(values)


def densities(values: list[sympy.Expr]) -> Any:
    """Return one density for all features, or one for each."""
    return one_or_many(floats(values))


def rows(array: np.ndarray) -> str:
    """Return an array on one line."""
    import numpy as np

    return np.array2string(array, precision=6, suppress_small=True, separator=", ").replace(
        "\n", ""
    )
