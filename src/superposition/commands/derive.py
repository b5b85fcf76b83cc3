"""``derive``: exact losses, and everything else that the theory derives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

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


_INPUTS = {"inputs", "values", "symmetric"}
_MODEL = {"bias", "density", "importance", "activation", "penalty", *_INPUTS}

# Every view with the options that it takes.
_views: dict[str, tuple[Callable[..., str], set[str]]] = {
    "expansion": (subjects.expansion, {*_MODEL, "sample"}),
    "one-hot": (subjects.one_hot, {"bias", "sample"}),
    "capacity": (subjects.capacity, set()),
    "linear": (subjects.linear, {"density", "importance", "activation", *_INPUTS}),
    "chamber": (subjects.chamber, {*_MODEL, "sample"}),
    "minimum": (subjects.minimum, {*_MODEL, "sample"}),
    "variation": (subjects.variation, {*_MODEL, "sample", "along", "bias_along"}),
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
        _refuse_others(what, {"density", "importance"})
        text = _subject(what, options["density"], options["importance"])
        click.echo(strict_json({"text": text}) if as_json else text)
        return
    with _refusing_endless_searches():
        if show:
            view, taken = _views[show]
            _refuse_others(f"--show {show}", {*taken, "show"})
            model = _model(what, bias, options)
            text = view(model, sample=sample, along=along, bias_along=bias_along)
            click.echo(strict_json({"text": text}) if as_json else text)
        elif less_than or greater_than:
            _refuse_others("a proof", {*_MODEL, "less_than", "greater_than", "over", "latex"})
            ranges = _ranges(over)
            _certify(_model(what, bias, options), less_than, greater_than, ranges, latex, as_json)
        else:
            _refuse_others(
                "a derivation without --show, --less-than and --greater-than",
                {*_MODEL, "sample", "latex", "short"},
            )
            _derivation(_model(what, bias, options), sample, latex, short, as_json)


def _refuse_others(name: str, taken: set[str]) -> None:
    """Refuse options that were given, other than at their defaults, and would be ignored."""
    context = click.get_current_context()
    ignored = [
        option.opts[0]
        for option in context.command.params
        if isinstance(option, click.Option)
        and option.name not in {*taken, "as_json"}
        and context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        and str(context.params[str(option.name)]) != str(option.default)
    ]
    if ignored:
        raise ValueError(f"leave out {', '.join(ignored)}, which {name} does not take")


@contextmanager
def _refusing_endless_searches() -> Iterator[None]:
    from mpmath import mp

    try:
        yield
    except mp.NoConvergence:
        raise ValueError(
            "the roots of a polynomial were not found; its coefficients differ too much in size, "
            "or are too large"
        ) from None


def _ranges(
    over: tuple[tuple[sympy.Symbol, tuple[sympy.Expr, sympy.Expr]], ...],
) -> dict[sympy.Symbol, Any]:
    ranges = dict(over)
    if len(ranges) < len(over):
        raise ValueError("--over gives a letter twice")
    return ranges


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

    if any(sign in what for sign in ",;"):
        return Configuration("weights", parse_matrix(what, parse_expression))
    try:
        return named_configuration(what)
    except ValueError:
        weight = _single_weight(what)
        if weight is None:
            raise
        return Configuration("weights", [[weight]])


def _single_weight(text: str) -> sympy.Expr | None:
    """Return the one weight of a number or an expression; words are no letters here."""
    try:
        weight = parse_expression(text)
    except ValueError:
        return None
    return None if any(len(letter.name) > 1 for letter in weight.free_symbols) else weight


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
