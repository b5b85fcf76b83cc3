"""A certificate written out as text or LaTeX. Features are counted from 1, as in x₁, …, x_n.

A proof is a list of sections; a section has a heading and rows, and a row is a sequence of words and
SymPy objects. Text and LaTeX differ only in how these are put on paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sympy

from ...values import UNIFORM
from ..bias import beta
from ..loss import OutputLoss
from .bernstein import BernsteinPiece, Counterexample, PositivityProof
from .number_signs import Enclosure, SignProof, X, prove_sign
from .statements import Certificate, Comparison, Domain, QuotientProof
from .steps import ActiveSetStep, active_set_steps

__all__ = ["as_latex", "as_text", "statement"]


@dataclass(frozen=True)
class _Formula:
    """A formula that is no SymPy object, in both notations."""

    text: str
    latex: str


Part: TypeAlias = "str | _Formula | sympy.Basic | sympy.MatrixBase"
Row: TypeAlias = tuple[Part, ...]
Section: TypeAlias = tuple[str, list[Row]]

_LOSS = _Formula("L(W, b)", "L(W, b)")
_SECOND = _Formula("integral of zplus**2", "\\textstyle\\int z_+^2")
_EQUALS, _TIMES, _PLUS, _STEP = (
    _Formula(" = ", " = "),
    _Formula(" * ", " \\cdot "),
    _Formula(" + ", " + "),
    _Formula("    ", "\\qquad "),
)
_OPEN, _CLOSE = _Formula("(", "\\left("), _Formula(")", "\\right)")
_RELATIONS = {
    "<": _Formula(" < ", " < "),
    ">": _Formula(" > ", " > "),
    "<=": _Formula(" <= ", " \\le "),
    ">=": _Formula(" >= ", " \\ge "),
    "=": _EQUALS,
}


def as_text(certificate: Certificate) -> str:
    """Return the proof as plain text, whose expressions can be pasted into Python."""
    lines: list[str] = []
    for heading, rows in _sections(certificate):
        lines += ["", heading] if lines else [heading]
        lines += ["    " + "".join(map(_text_part, row)) for row in rows]
    return "\n".join(lines)


def _text_part(part: Part) -> str:
    if isinstance(part, _Formula):
        return part.text
    return str(part.tolist()) if isinstance(part, sympy.MatrixBase) else str(part)


def as_latex(certificate: Certificate) -> str:
    """Return the proof as a LaTeX fragment."""
    blocks = []
    for heading, rows in _sections(certificate):
        blocks.append(heading)
        lines = " \\\\\n".join("& " + "".join(map(_latex_part, row)) for row in rows)
        blocks.append(f"\\[\n\\begin{{aligned}}\n{lines}\n\\end{{aligned}}\n\\]")
    return "\n".join(blocks)


def _latex_part(part: Part) -> str:
    if isinstance(part, _Formula):
        return part.latex
    return f"\\text{{{part}}}" if isinstance(part, str) else str(sympy.latex(part))


def statement(certificate: Certificate) -> str:
    """Return the statement in one line."""
    words = f"L(W, b) {certificate.relation} {certificate.bound}"
    return words + (f" for {_range_words(certificate.domain)}" if certificate.domain else "")


def _range_words(domain: Domain) -> str:
    return " and ".join(
        f"{i.start} {'<' if i.left_open else '<='} {symbol} {'<' if i.right_open else '<='} {i.end}"
        for symbol, i in domain.items()
    )


def _range_row(domain: Domain) -> Row:
    row: list[Part] = []
    for symbol, i in domain.items():
        row += [" and " if row else "for ", i.start, _RELATIONS["<" if i.left_open else "<="]]
        row += [symbol, _RELATIONS["<" if i.right_open else "<="], i.end]
    return tuple(row)


def _sections(certificate: Certificate) -> Iterator[Section]:
    model = certificate.model
    stated: Row = (_LOSS, _RELATIONS[certificate.relation], certificate.bound)
    if certificate.domain:
        stated = (*stated, " ", *_range_row(certificate.domain))
    settings: list[Row] = [
        (_Formula("W = ", "W = "), model.W),
        (_Formula("b = ", "b = "), sympy.Tuple(*(output.bias for output in model.outputs))),
        ("density ", sympy.Tuple(*model.densities)),
        ("importance ", sympy.Tuple(*(output.importance for output in model.outputs))),
        ("couplings ", _Formula("W^T W = ", "W^\\top W = "), model.gram),
    ]
    yield "Statement", [stated, *settings]
    if certificate.domain:
        yield "Positive Bernstein coefficients prove a polynomial positive:", [_BERNSTEIN]
    if certificate.chamber:
        yield from _chamber_sections(certificate)
    if _is_stepwise(certificate):
        yield _FORMULAS[model.activation]
    yield from _output_sections(certificate)
    yield "Sum over outputs, each times its importance:", _sum_rows(certificate)
    for comparison in certificate.comparisons:
        yield _comparison_section(certificate, comparison)
    verdict = "Proved: " if certificate.holds else "Disproved: "
    yield "Conclusion", [(verdict, *stated)]


def _is_stepwise(certificate: Certificate) -> bool:
    """Say whether the integrals follow the formulas for independent uniform features."""
    features = certificate.features
    return features.values == UNIFORM and features.is_independent(len(certificate.model.outputs))


_BERNSTEIN: Row = (
    _Formula(
        "p(x) = sum over i of c_i * C(d, i) * t**i * (1 - t)**(d - i), t = (x - l)/(u - l)",
        "p(x) = \\sum_i c_i \\tbinom{d}{i} t^i (1 - t)^{d - i}, \\quad t = \\frac{x - l}{u - l}",
    ),
    " on [l, u]",
)
_FORMULAS: dict[str, Section] = {
    "linear": (
        "Integrals over boxes, with own coupling g_i and z = g.x + beta:",
        [
            (
                _Formula(
                    "integral of z**2 = (beta + sum of g_j/2)**2 + sum of g_j**2/12",
                    "\\textstyle\\int z^2 = \\left(\\beta + \\sum_j g_j/2\\right)^2"
                    " + \\sum_j g_j^2/12",
                ),
            ),
            (
                _Formula(
                    "integral of x_i z = (beta + sum of g_j/2)/2 + g_i/12",
                    "\\textstyle\\int x_i z = \\left(\\beta + \\sum_j g_j/2\\right)/2 + g_i/12",
                ),
            ),
        ],
    ),
    "relu": (
        "Integrals over boxes are sums over the vertices v with positive z = g.v + beta:",
        [
            (
                _Formula(
                    "integral of zplus**2 = 2/((k + 2)! g_1...g_k) * sum of c * z**(k + 2), "
                    "c = (-1)**(k - |v|)",
                    "\\textstyle\\int z_+^2 = \\frac{2}{(k + 2)!\\, g_1 \\cdots g_k} \\sum c\\, z^{k + 2},"
                    " \\quad c = (-1)^{k - |v|}",
                ),
            ),
            (
                _Formula(
                    "integral of x_i zplus = 1/((k + 1)! g_1...g_k) * sum of c_i * z**(k + 1) - "
                    "(integral of zplus**2)/(2 g_i), c_i = c v_i",
                    "\\textstyle\\int x_i z_+ = \\frac{1}{(k + 1)!\\, g_1 \\cdots g_k}"
                    " \\sum c_i\\, z^{k + 1} - \\frac{1}{2 g_i} \\int z_+^2, \\quad c_i = c\\, v_i",
                ),
            ),
        ],
    ),
}


def _chamber_sections(certificate: Certificate) -> Iterator[Section]:
    rows: list[Row] = []
    for proof in certificate.chamber:
        sign = _RELATIONS[">=" if proof.sign > 0 else "<="]
        rows.append((proof.expression, sign, sympy.S.Zero))
        rows += [(_STEP, *row) for row in _quotient_rows(proof)]
    yield "No vertex value of a pre-activation changes its sign on the range:", rows


def _output_sections(certificate: Certificate) -> Iterator[Section]:
    seen: dict[Any, int] = {}
    model = certificate.model
    for output in model.outputs:
        i = output.index
        others = enumerate(zip(output.couplings, model.densities, strict=True))
        rest = sorted((pair for j, pair in others if j != i), key=str)
        key = (output.couplings[i], model.densities[i], *rest, output.bias)
        if key in seen and _is_stepwise(certificate):
            same = f"Output {i + 1}: as output {seen[key] + 1}, with the features in another order:"
            yield same, [(_error(i), _EQUALS, output.loss)]
            continue
        seen[key] = i
        heading = f"Output {i + 1}: sets of features that are on, and their integrals:"
        yield heading, list(_output_rows(certificate, output))


def _error(i: int) -> _Formula:
    return _Formula(
        f"E (x_{i + 1} - xhat_{i + 1})**2",
        f"\\mathbb{{E}}\\,(x_{{{i + 1}}} - \\hat x_{{{i + 1}}})^2",
    )


def _output_rows(certificate: Certificate, output: OutputLoss) -> Iterator[Row]:
    if output.optimum is not None:
        yield from _optimum_rows(output)
    elif _is_stepwise(certificate):
        for step in certificate_steps(certificate, output):
            yield from _step_rows(step, output.index)
    else:
        for term in output.terms:
            yield _term_row(term)
    yield (_error(output.index), _EQUALS, output.loss)


def _term_row(term: Any) -> Row:
    return (
        _sets((term.active,)),
        ": probability ",
        term.probability,
        ", mean squared error ",
        term.loss,
    )


def certificate_steps(certificate: Certificate, output: OutputLoss) -> tuple[ActiveSetStep, ...]:
    """Return the steps of one output, checked against its derived loss.

    Raises
    ------
    ArithmeticError
        If the two disagree, which no input should make them do.
    """
    model = certificate.model

    def is_positive(value: sympy.Expr) -> bool:
        return prove_sign(value.subs(certificate.sample)).sign > 0

    steps = active_set_steps(
        output.index,
        output.couplings,
        output.bias,
        model.densities,
        is_positive if model.activation == "relu" else None,
    )
    total = sympy.Add(*(step.probability * step.loss * len(step.sets) for step in steps))
    if not _is_zero(total - output.loss):
        raise ArithmeticError(
            f"two derivations of the error of output {output.index + 1} differ: "
            f"{total} and {output.loss}; this is a defect of the package, please report it"
        )
    return steps


def _is_zero(difference: sympy.Expr) -> bool:
    """Say whether an expression vanishes identically, in exact arithmetic."""
    difference = sympy.expand(difference)
    symbols = sorted(difference.free_symbols, key=str)
    if not symbols:
        return prove_sign(difference).sign == 0
    if difference.is_polynomial(*symbols):
        return bool(sympy.Poly(difference, *symbols, extension=True).is_zero)
    return bool(sympy.cancel(sympy.together(difference)) == 0)


def _sets(sets: Sequence[tuple[int, ...]]) -> _Formula:
    listed = [", ".join(str(j + 1) for j in active) for active in sets]
    count = f" ({len(sets)} sets)" if len(sets) > 1 else ""
    return _Formula(
        " ".join(f"{{{names}}}" for names in listed) + count,
        "\\;".join(f"\\{{{names}\\}}" for names in listed) + f"\\text{{{count}}}",
    )


def _step_rows(step: ActiveSetStep, i: int) -> Iterator[Row]:
    couplings = sympy.Tuple(*step.couplings)
    has_own = step.own not in (None, 0)
    yield (_sets(step.sets), ": probability ", step.probability, ", couplings ", couplings)
    for node in step.nodes:
        face = _Formula(
            f", c_{i + 1} = {node.face_weight}", f",\\; c_{{{i + 1}}} = {node.face_weight}"
        )
        weight = _Formula(f"c = {node.weight}", f"c = {node.weight}")
        row = (_STEP, _Formula("z = ", "z = "), node.value, ", ", weight)
        yield (*row, face) if has_own else row
    yield (_STEP, _SECOND, _EQUALS, step.second)
    if step.cross is None:
        return
    cross = _Formula(f"integral of x_{i + 1} zplus", f"\\textstyle\\int x_{{{i + 1}}} z_+")
    squared = _Formula(
        f"integral of (x_{i + 1} - zplus)**2 = 1/3 - 2 * ",
        f"\\textstyle\\int (x_{{{i + 1}}} - z_+)^2 = \\tfrac{{1}}{{3}} - 2",
    )
    yield (_STEP, cross, _EQUALS, step.cross)
    second: Row = (_OPEN, step.second, _CLOSE)
    yield (_STEP, squared, _OPEN, step.cross, _CLOSE, _PLUS, *second, _EQUALS, step.loss)


def _optimum_rows(output: OutputLoss) -> Iterator[Row]:
    assert output.optimum is not None
    for regime in output.optimum.regimes:
        if isinstance(regime.density_range, sympy.Interval):
            yield ("densities ", regime.density_range)
        piece = regime.piece
        yield from map(_term_row, output.terms_on(piece))
        ends = [end for end in (piece.lower, piece.upper) if end.is_finite]
        yield ("sum ", piece.loss, " between the ends ", sympy.Tuple(*ends), " of ", beta)
        yield (beta, _EQUALS, regime.bias, ": ", regime.loss)


def _sum_rows(certificate: Certificate) -> list[Row]:
    pieces = {comparison.piece.loss: comparison.piece for comparison in certificate.comparisons}
    if len(pieces) == 1:
        return [(_LOSS, _EQUALS, next(iter(pieces)))]
    return [(_LOSS, _EQUALS, p.loss, " ", *_range_row(p.domain)) for p in pieces.values()]


def _comparison_section(certificate: Certificate, comparison: Comparison) -> Section:
    bound = _Formula(str(comparison.bound), str(sympy.latex(comparison.bound)))
    below = certificate.relation == "<"
    sides: Row = (_OPEN, bound, _CLOSE, _Formula(" - L", " - L"))
    if not below:
        sides = (_Formula("L - ", "L - "), _OPEN, bound, _CLOSE)
    rows: list[Row] = [(*sides, _EQUALS, comparison.margin)]
    if isinstance(comparison.proof, SignProof):
        rows += _sign_rows(comparison.proof, comparison)
    else:
        rows += _quotient_rows(comparison.proof)
    where = f" for {_range_words(comparison.piece.domain)}" if comparison.piece.domain else ""
    return f"The sign of the difference{where}:", rows


def _sign_rows(proof: SignProof, comparison: Comparison) -> Iterator[Row]:
    if proof.rule == "rational":
        yield from _cross_multiplied(comparison)
    elif proof.rule == "quadratic":
        a, b, d = proof.parts
        yield (_EQUALS, a, _PLUS, _OPEN, b, _CLOSE, _TIMES, sympy.sqrt(d))
        yield ("squares ", a**2, " and ", d * b**2)
    elif proof.rule == "zero":
        yield ("in the number field that it generates the difference is 0",)
    for enclosure in proof.enclosures:
        yield from _enclosure_rows(enclosure)
    relation = _RELATIONS[{1: ">", 0: "=", -1: "<"}[proof.sign]]
    yield ("the difference is", relation, sympy.S.Zero)


def _cross_multiplied(comparison: Comparison) -> Iterator[Row]:
    """Compare two fractions by multiplying integers."""
    loss, bound = comparison.piece.loss, comparison.bound
    if not (loss.is_Rational and bound.is_Rational):
        return
    sides = [(loss.p, bound.q), (bound.p, loss.q)]
    left, right = (sympy.Integer(x * y) for x, y in sides)
    relation = _RELATIONS["<" if left < right else "=" if left == right else ">"]
    products: list[Part] = []
    for x, y in sides:
        products += [*([relation] if products else []), sympy.Integer(x), _TIMES, sympy.Integer(y)]
    yield ("numerators times denominators: ", *products)
    yield (left, relation, right)


def _enclosure_rows(enclosure: Enclosure) -> Iterator[Row]:
    ends = (enclosure.lower, enclosure.upper)
    less = _RELATIONS["<"]
    yield (ends[0], less, enclosure.number, less, ends[1])
    if enclosure.polynomial is not None:
        signs = [
            "negative" if enclosure.polynomial.subs(X, end) < 0 else "positive" for end in ends
        ]
        where = f", which is {signs[0]} at the lower and {signs[1]} at the upper end"
        yield (_STEP, "the only root there of ", enclosure.polynomial, where)


def _quotient_rows(proof: QuotientProof) -> Iterator[Row]:
    above, below = proof.numerator, proof.denominator
    if below.polynomial.is_ground:
        scale = below.polynomial.as_expr() * proof.sign
        if scale != 1:
            yield ("times ", scale, ": ", above.polynomial.as_expr())
    else:
        minus = " of minus the difference" if proof.sign < 0 else ""
        yield (f"denominator{minus} ", below.polynomial.as_expr())
        yield from _positivity_rows(below)
        yield (f"numerator{minus} ", above.polynomial.as_expr())
    if isinstance(above, PositivityProof):
        yield from _positivity_rows(above)
    else:
        yield from _counterexample_rows(above)


def _counterexample_rows(found: Counterexample) -> Iterator[Row]:
    point: list[Part] = []
    for symbol, value in zip(found.polynomial.gens, found.point, strict=True):
        point += [", " if point else "counterexample: ", symbol, _EQUALS, value]
    yield (*point, ", where it is ", found.value)


def _positivity_rows(proof: PositivityProof) -> Iterator[Row]:
    for piece in () if proof.polynomial.is_ground else proof.pieces:
        box: list[Part] = []
        for symbol, (lower, upper) in zip(proof.polynomial.gens, piece.box, strict=True):
            box += [" and " if box else "on ", lower, _RELATIONS["<="], symbol]
            box += [_RELATIONS["<="], upper]
        degrees = ", ".join(str(length - 1) for length in piece.shape)
        yield (_STEP, *box, f", coefficients of degree {degrees}, {_claim(piece)}:")
        yield (_STEP, _STEP, sympy.Tuple(*piece.coefficients))


def _claim(piece: BernsteinPiece) -> str:
    has_zero = any(coefficient == 0 for coefficient in piece.coefficients)
    return "none negative, not all zero" if has_zero else "all positive"
