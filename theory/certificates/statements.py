"""Certificates: inequalities between a loss and an expression, proved in exact arithmetic.

At a point, where every number is given, the difference of the two sides is an algebraic number, and its
sign is proved. On a range of a density or an importance the difference is a quotient of polynomials, and
their signs are proved by Bernstein coefficients. Either way the proof can be printed and rechecked
by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import sympy

from ...features import FeatureDistribution, GateKind, check_features
from ..inputs import as_exact, read_bias, read_importance, read_weights
from ..loss import ModelLoss, OutputLoss, derive_loss
from ..symbols import OPTIMAL, s
from .bernstein import Counterexample, PositivityProof, prove_positive
from .number_signs import SignProof, UndecidedCertificateError, prove_sign
from .steps import vertex_values

__all__ = [
    "Certificate",
    "Comparison",
    "LossPiece",
    "QuotientProof",
    "certify",
]

Relation = Literal["<", ">"]
Domain = dict[sympy.Symbol, sympy.Interval]


@dataclass(frozen=True)
class QuotientProof:
    """The sign of a quotient of polynomials on a box.

    Attributes
    ----------
    expression
        The quotient.
    sign
        1 or −1.
    numerator, denominator
        Proofs for the polynomials whose quotient is sign · expression; both positive, or the
        numerator a counterexample.
    """

    expression: sympy.Expr
    sign: int
    numerator: PositivityProof | Counterexample
    denominator: PositivityProof


@dataclass(frozen=True)
class LossPiece:
    """A loss on a part of the range on which it is one quotient of polynomials.

    Attributes
    ----------
    domain
        The part: an interval for each symbol; empty for a point statement.
    loss
        The loss there.
    """

    domain: Domain
    loss: sympy.Expr


@dataclass(frozen=True)
class Comparison:
    """A loss compared with one bound on one piece.

    Attributes
    ----------
    piece
        The loss and where it holds.
    bound
        The expression on the right of the statement.
    margin
        bound − loss, or loss − bound for a statement with ">".
    proof
        Of the margin's sign.
    """

    piece: LossPiece
    bound: sympy.Expr
    margin: sympy.Expr
    proof: SignProof | QuotientProof

    @property
    def holds(self) -> bool:
        """Whether the margin is positive."""
        if isinstance(self.proof, SignProof):
            return self.proof.sign > 0
        return isinstance(self.proof.numerator, PositivityProof)


@dataclass(frozen=True)
class Certificate:
    """A statement about a loss, with the proof that it is true or false.

    Attributes
    ----------
    model
        The derived loss with its parts.
    relation
        "<" or ">": what is stated between the loss and every bound.
    bounds
        The right-hand sides.
    domain
        The range of every symbol; empty if all numbers are given.
    comparisons
        One for every bound, on every piece of the loss.
    chamber
        For weights or biases with symbols: the signs of all pre-activations at vertices, which
        the integrals rest on.
    sample
        A point of the range.
    features
        What the inputs are drawn from.
    """

    model: ModelLoss
    relation: Relation
    bounds: tuple[sympy.Expr, ...]
    domain: Domain
    comparisons: tuple[Comparison, ...]
    chamber: tuple[QuotientProof, ...]
    sample: dict[sympy.Symbol, sympy.Expr]
    features: FeatureDistribution

    @property
    def holds(self) -> bool:
        """True: the statement is proved. False: it is disproved."""
        return all(comparison.holds for comparison in self.comparisons)

    @property
    def loss(self) -> sympy.Expr:
        """The loss, exactly; a Piecewise in the density if an optimal bias makes it one."""
        return self.model.total

    @property
    def bound(self) -> sympy.Expr:
        """The bound; for several the least, or for ">" the greatest."""
        return (sympy.Min if self.relation == "<" else sympy.Max)(*self.bounds)

    @property
    def margin(self) -> sympy.Expr:
        """By how much the statement holds: bound − loss, or loss − bound for ">"."""
        direction = 1 if self.relation == "<" else -1
        return direction * (self.bound - self.loss)

    @property
    def counterexample(self) -> dict[sympy.Symbol, sympy.Expr] | None:
        """A point of the range at which the statement fails, ``None`` if it holds."""
        for comparison in self.comparisons:
            proof = comparison.proof
            if isinstance(proof, SignProof) and proof.sign <= 0:
                return {}
            if isinstance(proof, QuotientProof) and isinstance(proof.numerator, Counterexample):
                return dict(
                    zip(proof.numerator.polynomial.gens, proof.numerator.point, strict=True)
                )
        return None

    @property
    def statement(self) -> str:
        """What is proved or disproved, in one line."""
        from .text import statement

        return statement(self)

    def text(self) -> str:
        """Return the proof as plain text."""
        from .text import as_text

        return as_text(self)

    def latex(self) -> str:
        """Return the proof as a LaTeX fragment: paragraphs and displays, amsmath only."""
        from .text import as_latex

        return as_latex(self)

    def __str__(self) -> str:
        """Return the text."""
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.latex().replace("\\[\n", "\n$$\n").replace("\n\\]", "\n$$\n")


def certify(
    W: Any,
    b: Any = None,
    *,
    less_than: Any = None,
    greater_than: Any = None,
    density: Any = s,
    importance: Any = None,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Any = 0,
    over: Mapping[sympy.Symbol, Any] | None = None,
    max_pieces: int = 256,
) -> Certificate:
    """Prove or disprove L(W, b) < bound, or L(W, b) > bound, exactly.

    Parameters
    ----------
    W, b, density, importance, activation, features, penalty
        As in `expected_loss`. Entries may be expressions in the symbols of `over`.
    less_than, greater_than
        The bound, a number or expression; several bounds are all to be met, so that
        ``less_than=(f, g)`` states L < min{f, g}. Exactly one of the two is given.
    over
        For each symbol of the statement its range: a pair (lower, upper) is the *open* interval,
        a `sympy.Interval` says itself which ends belong to it. Ends are rational. ``None`` if all
        numbers are given.
    max_pieces
        How many boxes are looked at in each proof of positivity.

    Returns
    -------
    Certificate
        With `.holds`, which is False if the statement is disproved, and `.text()` and
        `.latex()`, the proof. A bound that is equal to the loss is no strict bound.

    Raises
    ------
    ValueError
        If a symbol has no range, the difference of the two sides is no quotient of polynomials,
        or for the reasons of `expected_loss`.
    UndecidedCertificateError
        If the proof was not found, or a pre-activation at a vertex changes its sign within the
        range, where the loss changes its formula.

    Notes
    -----
    On a range, weights and biases may depend on its symbols. Then the integrals hold as long as
    no vertex value of a pre-activation changes sign, which is proved too.

    Examples
    --------
    Smaller weights and a small bias serve an antipodal pair better at s = 1/2:

    >>> from fractions import Fraction as F
    >>> from superposition.theory.certificates import certify
    >>> proof = certify(
    ...     [[F(31, 32), F(-31, 32)]], [F(1, 10)] * 2, density=F(1, 2), less_than=F(1, 12)
    ... )
    >>> proof.holds, proof.loss
    (True, 8519361044723929/111673807176990720)

    For all densities below 4/7, where the antipodal pair has the least loss of the classical
    configurations, a bias that depends on the density does:

    >>> from superposition.theory import s
    >>> proof = certify([[1, -1]], [s**2 / 6] * 2, less_than=s**2 / 3, over={s: (0, F(4, 7))})
    >>> proof.holds
    True
    >>> certify([[1, -1]], less_than=s**2 / 3, over={s: (0, 1)}).holds
    False
    """
    relation, bounds = _read_bounds(less_than, greater_than)
    domain = _read_domain(over)
    sample = {symbol: (i.start + i.end) / 2 for symbol, i in domain.items()}
    _check_symbols((W, b, density, importance, penalty), bounds, domain)
    is_fixed = not _parameters(W, b).free_symbols
    model = derive_loss(
        W,
        b,
        density=density,
        importance=importance,
        activation=activation,
        features=features,
        penalty=penalty,
        sample=None if is_fixed else sample,
    )
    _check_meaning(model, domain, read_importance(importance, len(model.outputs)), max_pieces)
    chamber = () if is_fixed else _chamber(model, domain, sample, max_pieces)
    comparisons = tuple(
        _compare(piece, bound, relation, max_pieces)
        for piece in _pieces(model, domain)
        for bound in bounds
    )
    return Certificate(
        model, relation, bounds, domain, comparisons, chamber, sample, check_features(features)
    )


def _read_bounds(less_than: Any, greater_than: Any) -> tuple[Relation, tuple[sympy.Expr, ...]]:
    if (less_than is None) == (greater_than is None):
        raise ValueError("exactly one of less_than and greater_than must be given")
    given = less_than if greater_than is None else greater_than
    listed = list(given) if isinstance(given, Iterable) else [given]
    if not listed:
        raise ValueError("less_than or greater_than must hold at least one bound, got none")
    name = "less_than" if greater_than is None else "greater_than"
    bounds = tuple(as_exact(bound, name) for bound in listed)
    return ("<" if greater_than is None else ">"), bounds


def _read_domain(over: Mapping[sympy.Symbol, Any] | None) -> Domain:
    domain = {}
    for symbol, given in (over or {}).items():
        if not isinstance(symbol, sympy.Symbol):
            raise ValueError(f"over must map symbols to ranges, got the key {symbol!r}")
        if isinstance(given, sympy.Interval):
            interval = given
        else:
            try:
                lower, upper = given
            except (TypeError, ValueError):
                raise ValueError(
                    f"the range of {symbol} must be a pair (lower, upper) or a sympy.Interval, "
                    f"got {given!r}"
                ) from None
            interval = sympy.Interval.open(as_exact(lower, "lower"), as_exact(upper, "upper"))
        bounded = isinstance(interval, sympy.Interval)
        if not bounded or not (interval.start.is_Rational and interval.end.is_Rational):
            raise ValueError(
                f"the range of {symbol} must have rational ends, lower < upper, got {given!r}"
            )
        domain[symbol] = interval
    return domain


def _parameters(W: Any, b: Any) -> sympy.Tuple:
    weights = read_weights(W)
    biases = read_bias(b, weights.shape[1])
    return sympy.Tuple(*weights.flat(), *(entry for entry in biases if entry is not OPTIMAL))


def _check_symbols(given: tuple[Any, ...], bounds: tuple[sympy.Expr, ...], domain: Domain) -> None:
    W, b, *others = given
    flat = [e for x in others for e in (x if isinstance(x, Iterable) else [x]) if e is not None]
    parts = [part for part in flat if isinstance(part, sympy.Basic)]
    free = sympy.Tuple(*parts, *bounds).free_symbols | _parameters(W, b).free_symbols
    missing = sorted(free - set(domain), key=str)
    if missing:
        name = missing[0]
        raise ValueError(
            f"{name} has no value and no range: pass a number for it (density=..., "
            f"importance=...) or its range, such as over={{{name}: (0, 1)}}"
        )


def _pieces(model: ModelLoss, domain: Domain) -> list[LossPiece]:
    """Return the loss on each part of the range between the ends of regimes of optimal biases."""
    optima = [output.optimum for output in model.outputs if output.optimum is not None]
    switched = {optimum.density for optimum in optima if len(optimum.regimes) > 1} & set(domain)
    if not switched:
        return [LossPiece(domain, model.total)]
    (density,) = switched
    whole = domain[density]
    ends = {regime.density_range.end for optimum in optima for regime in optimum.regimes[:-1]}
    inside = sorted(_between(ends, whole), key=lambda end: end.evalf(60))
    parts = []
    for lower, upper in pairwise([whole.start, *inside, whole.end]):
        opens = (lower == whole.start and whole.left_open, upper == whole.end and whole.right_open)
        part = sympy.Interval(lower, upper, *map(bool, opens))
        loss = _loss_between(model, density, (lower + upper) / 2)
        parts.append(LossPiece({**domain, density: part}, loss))
    return parts


def _between(ends: set[sympy.Expr], whole: sympy.Interval) -> set[sympy.Expr]:
    def is_above(first: sympy.Expr, second: sympy.Expr) -> bool:
        return prove_sign(first - second).sign > 0

    return {end for end in ends if is_above(end, whole.start) and is_above(whole.end, end)}


def _loss_between(model: ModelLoss, density: sympy.Symbol, inside: sympy.Expr) -> sympy.Expr:
    return model.penalty + sympy.Add(
        *(output.importance * _regime_loss(output, density, inside) for output in model.outputs)
    )


def _regime_loss(output: OutputLoss, density: sympy.Symbol, inside: sympy.Expr) -> sympy.Expr:
    if output.optimum is None or output.optimum.density != density:
        return output.loss
    return next(
        regime.loss
        for regime in output.optimum.regimes
        if prove_sign(regime.density_range.end - inside).sign >= 0
    )


def _compare(
    piece: LossPiece, bound: sympy.Expr, relation: Relation, max_pieces: int
) -> Comparison:
    margin = bound - piece.loss if relation == "<" else piece.loss - bound
    if not piece.domain:
        margin = sympy.expand(margin)
        return Comparison(piece, bound, margin, prove_sign(margin))
    outer = _with_rational_ends(piece.domain)
    proof = _prove_quotient(margin, outer, 1, max_pieces, strict=True)
    _check_counterexample(proof, piece.domain, margin)
    return Comparison(piece, bound, proof.expression, proof)


def _with_rational_ends(domain: Domain) -> Domain:
    """Return a range a little wider where an end of a regime is irrational."""
    return {symbol: _widened(interval) for symbol, interval in domain.items()}


def _widened(interval: sympy.Interval) -> sympy.Interval:
    lower, upper = interval.start, interval.end
    digits = 10**6
    if not lower.is_Rational:
        lower = sympy.floor(lower * digits) / digits
    if not upper.is_Rational:
        upper = sympy.ceiling(upper * digits) / digits
    return sympy.Interval(lower, upper, interval.left_open, interval.right_open)


def _check_counterexample(proof: QuotientProof, domain: Domain, margin: sympy.Expr) -> None:
    """Raise if a counterexample lies beyond an irrational end of a regime."""
    found = proof.numerator
    if isinstance(found, Counterexample):
        at = dict(zip(found.polynomial.gens, found.point, strict=True))
        if not all(at[symbol] in interval for symbol, interval in domain.items()):
            raise UndecidedCertificateError(
                margin, "it changes too close to an irrational end of a regime; narrow the range"
            )


def _prove_quotient(
    expression: sympy.Expr, domain: Domain, sign: int, max_pieces: int, *, strict: bool
) -> QuotientProof:
    """Prove that sign · expression is positive on the domain, or at least not negative."""
    symbols = tuple(domain)
    numerator, denominator = sympy.fraction(sympy.cancel(sympy.together(expression)))
    top, bottom = (_polynomial(part, symbols, expression) for part in (numerator, denominator))
    top, bottom = top.to_field(), bottom.to_field()
    intervals = tuple(domain.values())
    middle = [(interval.start + interval.end) / 2 for interval in intervals]
    if prove_sign(bottom(*middle)).sign < 0:
        top, bottom = -top, -bottom
    below = prove_positive(bottom, intervals, max_pieces=max_pieces)
    if isinstance(below, Counterexample):
        raise UndecidedCertificateError(
            expression, f"it has a pole within the range, near {below.point}; leave that out"
        )
    above = prove_positive(top * sign, intervals, strict=strict, max_pieces=max_pieces)
    return QuotientProof(numerator / denominator, sign, above, below)


def _polynomial(
    part: sympy.Expr, symbols: tuple[sympy.Symbol, ...], expression: sympy.Expr
) -> sympy.Poly:
    if not part.is_polynomial(*symbols) or part.free_symbols - set(symbols):
        raise ValueError(
            f"on a range both sides must be quotients of polynomials in "
            f"{', '.join(map(str, symbols))}, but their difference is {expression}; "
            f"pass a number in place of a range"
        )
    polynomial = sympy.Poly(part, *symbols)
    exact = polynomial.domain.is_ZZ or polynomial.domain.is_QQ
    return polynomial if exact else sympy.Poly(part, *symbols, extension=True)


def _check_meaning(
    model: ModelLoss, domain: Domain, importances: Sequence[sympy.Expr], max_pieces: int
) -> None:
    """Raise unless densities are probabilities and weights of errors positive on the range."""
    conditions = {
        **dict.fromkeys(model.densities, "densities must lie in [0, 1]"),
        **{1 - d: "densities must lie in [0, 1]" for d in model.densities},
        **dict.fromkeys(importances, "importances must be at least 0"),
        model.penalty: "the penalty must be at least 0",
    }
    for gate in model.features.gates(len(model.outputs)):
        if gate.kind is GateKind.AT_MOST_ONE:
            total = sympy.Add(*(model.densities[j] for j in gate.members))
            conditions[1 - total] = gate.requirement
    for condition, requirement in conditions.items():
        if condition.free_symbols:
            proof = _prove_quotient(condition, domain, 1, max_pieces, strict=False)
            if isinstance(proof.numerator, Counterexample):
                at = dict(zip(domain, proof.numerator.point, strict=True))
                listed = ", ".join(f"{symbol} = {value}" for symbol, value in at.items())
                raise ValueError(f"{requirement} on the whole range, which fails at {listed}")


def _chamber(
    model: ModelLoss, domain: Domain, sample: Mapping[sympy.Symbol, sympy.Expr], max_pieces: int
) -> tuple[QuotientProof, ...]:
    """Prove for every vertex value of every output that it keeps its sign."""
    if model.activation != "relu":
        return ()
    values: dict[sympy.Expr, None] = {}
    for output in model.outputs:
        if output.optimum is None:
            couplings = [g for g in output.couplings if g != 0]
            found = vertex_values(couplings, output.bias, symmetric=model.features.values.symmetric)
            values |= dict.fromkeys(map(sympy.cancel, found))
    return tuple(
        _constant_sign(value, domain, sample, max_pieces) for value in values if value != 0
    )


def _constant_sign(
    value: sympy.Expr,
    domain: Domain,
    sample: Mapping[sympy.Symbol, sympy.Expr],
    max_pieces: int,
) -> QuotientProof:
    sign = prove_sign(value.subs(sample)).sign or 1
    proof = _prove_quotient(value, domain, sign, max_pieces, strict=False)
    if isinstance(proof.numerator, Counterexample):
        roots = sympy.real_roots(proof.numerator.polynomial) if len(domain) == 1 else []
        inside = [root for root in roots if root in next(iter(domain.values()))]
        where = f" at {', '.join(map(str, inside))}" if inside else ""
        raise UndecidedCertificateError(
            value,
            f"this vertex value of a pre-activation changes its sign within the range{where}, "
            f"where the loss changes its formula; certify each side by itself",
        )
    return proof
