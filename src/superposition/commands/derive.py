"""``derive``: exact losses, and everything else that the theory derives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ..literals import parse_assignments, parse_expression, parse_matrix, parse_vector
from ..model import relative_importance
from . import subjects
from .options import (
    Parsed,
    activation_option,
    distribution_options,
    json_option,
    one_or_many,
    strict_json,
)

if TYPE_CHECKING:
    import sympy

    from ..theory import Configuration

__all__ = ["derive"]

_EXPRESSION = Parsed("expression", parse_expression)
_EXPRESSIONS = Parsed("expressions", partial(parse_vector, parse=parse_expression))
_SAMPLE = Parsed("letter=number,...", parse_assignments)


class _Range(Parsed):
    """LETTER=LOW:HIGH."""

    def __init__(self) -> None:
        super().__init__("letter=low:high", self._read)

    @staticmethod
    def _read(text: str) -> tuple[sympy.Expr, tuple[sympy.Expr, sympy.Expr]]:
        name, equals, ends = text.partition("=")
        low, colon, high = ends.partition(":")
        if not (equals and colon):
            raise ValueError(f"{text!r} is not of the form LETTER=LOW:HIGH, such as s=0:4/7")
        return parse_expression(name), (parse_expression(low), parse_expression(high))


_views: dict[str, Callable[..., str]] = {
    "expansion": subjects.expansion,
    "one-hot": subjects.one_hot,
    "capacity": subjects.capacity,
    "linear": subjects.linear,
    "chamber": subjects.chamber,
    "minimum": subjects.minimum,
    "variation": subjects.variation,
}


@click.command(
    context_settings={"ignore_unknown_options": True},  # a W may begin with a minus sign
    short_help="Derive a loss, and what follows from it, exactly.",
    epilog='Example: superposition derive "1,-1/2,-1/2; 0,sqrt(3)/2,-sqrt(3)/2"',
)
@click.argument("what", metavar="W|NAME|SUBJECT")
@click.option(
    "--bias",
    default="sources",
    show_default=True,
    help="zero, optimal, n entries, or the sources' convention: optimal for dropped features "
    "(zero columns of W), zero for the others.",
)
@click.option(
    "--density", type=_EXPRESSIONS, help="One density or n of them.  [default: the letter s]"
)
@click.option("--importance", type=_EXPRESSIONS, help="n importances.  [default: 1, …, 1, r]")
@activation_option
@click.option(
    "--penalty", type=_EXPRESSION, default="0", show_default=True,
    help="Interference penalty λ; may contain the letter lam.",
)  # fmt: skip
@distribution_options
@click.option(
    "--sample", type=_SAMPLE,
    help="Values of the letters in W and biases, which pick the chamber, such as a=9/10,c=1.",
)  # fmt: skip
@click.option(
    "--show",
    type=click.Choice(list(_views)),
    help="Another view than the derivation: the sparsity expansion; the one-hot potential; "
    "capacities; the linear model of this size; for weights with letters the chamber of the "
    "sample, or the proved minimum below it; the variation along --along.",
)
@click.option("--along", metavar="V", help="Direction in which W varies, for --show variation.")
@click.option("--bias-along", metavar="C", help="Direction in which b varies.  [default: 0]")
@click.option(
    "--less-than", type=_EXPRESSION, multiple=True,
    help="Prove L < EXPRESSION and print the proof; exit with 1 if it is false. Repeatable.",
)  # fmt: skip
@click.option("--greater-than", type=_EXPRESSION, multiple=True, help="Prove L > EXPRESSION.")
@click.option(
    "--over", type=_Range(), multiple=True,
    help="Open range of a letter in such a statement, as in s=0:4/7. Repeatable.",
)  # fmt: skip
@click.option("--latex", is_flag=True, help="Print the derivation as LaTeX.")
@click.option("--short", is_flag=True, help="Print the loss alone.")
@json_option
def derive(
    what: str,
    bias: str,
    sample: dict[sympy.Symbol, sympy.Expr] | None,
    show: str | None,
    along: str | None,
    bias_along: str | None,
    less_than: tuple[sympy.Expr, ...],
    greater_than: tuple[sympy.Expr, ...],
    over: tuple[tuple[sympy.Symbol, tuple[sympy.Expr, sympy.Expr]], ...],
    latex: bool,
    short: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Derive the expected loss of weights W, exactly, and what follows from it.

    W has one row per hidden dimension; rows are separated by ; and entries by a comma. Fractions,
    decimals, sqrt( ) and letters are exact. In place of W stands the NAME of a configuration, as
    in "pentagon", "square antiprism", "digon + triangle" or "simplex 5", or a SUBJECT: one of
    stability, boundaries, transitions, penalty, polygons or conjecture.
    """
    if what in subjects.SUBJECTS:
        text = _subject(what, options["density"], options["importance"])
        click.echo(strict_json({"text": text}) if as_json else text)
        return
    model = _model(what, bias, options)
    if less_than or greater_than:
        _certify(model, less_than, greater_than, dict(over), latex, as_json)
    elif show:
        text = _views[show](model, sample=sample, along=along, bias_along=bias_along)
        click.echo(strict_json({"text": text}) if as_json else text)
    else:
        _derivation(model, sample, latex, short, as_json)


def _subject(name: str, density: Any, importance: Any) -> str:
    """Return a subject's text, at the one density and relative importance that were given."""
    given = {"density": density, "importance": importance}
    numbers = {key: value[0] for key, value in given.items() if value is not None}
    if numbers and name not in ("transitions", "penalty"):
        raise ValueError(f"{name} takes neither --density nor --importance")
    if any(value is not None and len(value) > 1 for value in given.values()):
        raise ValueError(f"{name} takes one density and one relative importance")
    return subjects.SUBJECTS[name](**numbers)


def _model(what: str, bias: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `expected_loss`."""
    from ..theory import r, s

    configuration = _configuration(what)
    density, importance = options.pop("density"), options.pop("importance")
    return {
        "W": configuration.W,
        "b": _biases(bias, configuration),
        "density": s if density is None else one_or_many(density),
        "importance": relative_importance(configuration.n_features, r)
        if importance is None
        else importance,
        **options,
    }


def _configuration(what: str) -> Configuration:
    from ..theory import Configuration, named_configuration

    if any(sign in what for sign in ",;") or not what.strip()[:1].isalpha():
        return Configuration("weights", parse_matrix(what, parse_expression))
    return named_configuration(what)


def _biases(bias: str, configuration: Configuration) -> list[Any]:
    from ..theory import OPTIMAL

    match bias:
        case "zero":
            return [0] * configuration.n_features
        case "optimal":
            return [OPTIMAL] * configuration.n_features
        case "sources":
            return [
                OPTIMAL if configuration.W.col(i).is_zero_matrix else 0
                for i in range(configuration.n_features)
            ]
        case _:
            return list(parse_vector(bias, parse_expression))


def _derivation(
    model: dict[str, Any],
    sample: dict[sympy.Symbol, sympy.Expr] | None,
    latex: bool,
    short: bool,
    as_json: bool,
) -> None:
    from ..theory import derivation

    derived = derivation(**model, sample=sample)
    if as_json:
        fields = {
            "weights": [[str(entry) for entry in row] for row in model["W"].tolist()],
            "loss": str(derived.loss),
            "latex": derived.latex(),
        }
        click.echo(strict_json(fields))
    elif short:
        click.echo(str(derived.loss))
    else:
        click.echo(derived.latex() if latex else derived.text())


def _certify(
    model: dict[str, Any],
    less_than: tuple[sympy.Expr, ...],
    greater_than: tuple[sympy.Expr, ...],
    over: dict[sympy.Symbol, Any],
    latex: bool,
    as_json: bool,
) -> None:
    from ..theory import UndecidedCertificateError, certify

    try:
        certificate = certify(
            **model,
            less_than=less_than or None,
            greater_than=greater_than or None,
            over=over or None,
        )
    except UndecidedCertificateError as error:  # neither proved nor bad use
        click.echo(f"superposition: {error}", err=True)
        raise SystemExit(1) from None
    if as_json:
        click.echo(
            strict_json(
                {
                    "holds": certificate.holds,
                    "loss": str(certificate.loss),
                    "proof": certificate.text(),
                }
            )
        )
    else:
        click.echo(certificate.latex() if latex else certificate.text())
    if not certificate.holds:
        raise SystemExit(1)
