"""Certificates against exact integration over clipped polygons, numerics, and planted errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction as F
from itertools import pairwise
from math import comb
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings, strategies as st

from superposition.features import Anticorrelated, CoActive, Independent
from superposition.numerics import population_loss
from superposition.theory import OPTIMAL, expected_loss, optimal_bias, r, regular_polygon, s
from superposition.theory.certificates import PIECES, conjectured_losses, pair_sum, refutation
from superposition.theory.certificates.bernstein import (
    Counterexample,
    PositivityProof,
    prove_positive,
)
from superposition.theory.certificates.number_signs import (
    SignProof,
    UndecidedCertificateError,
    X,
    prove_sign,
)
from superposition.theory.certificates.statements import QuotientProof, certify
from superposition.theory.certificates.steps import active_set_steps
from superposition.theory.certificates.text import certificate_steps
from superposition.theory.loss import derive_loss
from superposition.values import ValueDistribution

HALF = F(1, 2)
CLOSED = sympy.Interval
DROPPED = s / 3 - s**2 / 4


# --- an oracle for the losses: two features, plain fractions, no vertex formula -----------------
#
# On the polygon where z > 0 inside the unit square, the integrand is quadratic, and the mean over
# the midpoints of the edges of a triangle integrates it exactly. On intervals, Simpson's rule does.

Point = tuple[F, F]


def clipped(polygon: list[Point], z: Callable[[Point], F]) -> list[Point]:
    kept: list[Point] = []
    for a, b in pairwise([*polygon, polygon[0]]):
        if z(a) >= 0:
            kept.append(a)
        if z(a) * z(b) < 0:
            t = z(a) / (z(a) - z(b))
            kept.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
    return kept


def over_polygon(polygon: list[Point], f: Callable[[Point], F]) -> F:
    total = F(0)
    for b, c in pairwise(polygon[1:]):
        a = polygon[0]
        area = abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])) / 2
        middles = [((p[0] + q[0]) / 2, (p[1] + q[1]) / 2) for p, q in ((a, b), (b, c), (c, a))]
        total += area * sum(map(f, middles), F(0)) / 3
    return total


def over_interval(lower: F, upper: F, f: Callable[[F], F]) -> F:
    return (upper - lower) / 6 * (f(lower) + 4 * f((lower + upper) / 2) + f(upper))


def one_on(g: F, bias: F, target: F) -> F:
    """Return ∫ (target · x − (g x + β)₊)² over [0, 1]."""
    kink = -bias / g if g and 0 < -bias / g < 1 else F(0)

    def square(x: F, is_live: bool) -> F:
        return (target * x - (g * x + bias if is_live else 0)) ** 2

    total = F(0)
    for lower, upper in ((F(0), kink), (kink, F(1))):
        is_live = g * (lower + upper) / 2 + bias > 0
        total += over_interval(lower, upper, lambda x, live=is_live: square(x, live))  # type: ignore[misc]
    return total


def both_on(g: F, h: F, bias: F) -> F:
    """Return ∫∫ (x − (g x + h y + β)₊)² over the unit square."""

    def z(p: Point) -> F:
        return g * p[0] + h * p[1] + bias

    square: list[Point] = [(F(0), F(0)), (F(1), F(0)), (F(1), F(1)), (F(0), F(1))]
    live = clipped(square, z)
    inside = over_polygon(live, lambda p: z(p) ** 2 - 2 * p[0] * z(p)) if len(live) > 2 else F(0)
    return F(1, 3) + inside


def pair_loss(weights: Any, biases: Any, density: F) -> F:
    """Return the loss of two features on one neuron."""
    total = F(0)
    for i in (0, 1):
        g, h, beta = weights[i] ** 2, weights[0] * weights[1], biases[i]
        total += (1 - density) ** 2 * max(beta, F(0)) ** 2
        total += density * (1 - density) * (one_on(g, beta, F(1)) + one_on(h, beta, F(0)))
        total += density**2 * both_on(g, h, beta)
    return total


def as_fraction(value: Any) -> F:
    return F(int(value.p), int(value.q))


RATIONAL = st.fractions(F(-3, 2), F(3, 2), max_denominator=12)


@settings(max_examples=40, deadline=None)
@given(RATIONAL, RATIONAL, RATIONAL, RATIONAL, st.fractions(0, 1, max_denominator=9))
def test_point_statements_agree_with_integration_over_polygons(
    w1: F, w2: F, b1: F, b2: F, density: F
) -> None:
    loss = pair_loss((w1, w2), (b1, b2), density)
    above = certify([[w1, w2]], [b1, b2], density=density, less_than=loss + F(1, 10**40))
    equal = certify([[w1, w2]], [b1, b2], density=density, less_than=loss)
    below = certify([[w1, w2]], [b1, b2], density=density, greater_than=loss - F(1, 10**40))
    assert as_fraction(above.loss) == loss
    assert above.holds
    assert below.holds
    assert not equal.holds
    assert equal.margin == 0


def test_counterexample_of_the_register_is_the_stated_fraction() -> None:
    proof = certify([[F(31, 32), F(-31, 32)]], [F(1, 10)] * 2, density=HALF, less_than=F(1, 12))
    assert proof.holds
    assert as_fraction(proof.loss) == F(8519361044723929, 111673807176990720)
    assert pair_loss((F(31, 32), F(-31, 32)), (F(1, 10),) * 2, HALF) == as_fraction(proof.loss)
    W, b = np.array([[31 / 32, -31 / 32]]), np.array([0.1, 0.1])
    numeric = population_loss(W, b, density=0.5, importance=[1, 1])
    assert abs(float(proof.loss) / float(numeric) - 1) < 1e-12  # what `population_loss` states


def test_printed_integers_prove_the_inequality() -> None:
    proof = certify([[F(31, 32), F(-31, 32)]], [F(1, 10)] * 2, density=HALF, less_than=F(1, 12))
    (line,) = re.findall(r"^ *(\d+) < (\d+)$", proof.text(), re.MULTILINE)
    loss = pair_loss((F(31, 32), F(-31, 32)), (F(1, 10),) * 2, HALF)
    assert [int(number) for number in line] == [loss.numerator * 12, loss.denominator]


# --- the steps of a proof against the derivation by another method ------------------------------

STEPWISE = {
    "biases of both signs": ([[1, F(3, 4), 0], [0, F(1, 2), F(-1, 3)]], [F(1, 10), F(-1, 5), 0]),
    "a dropped feature": ([[1, F(3, 4), 0], [0, F(1, 2), 0]], [F(1, 10), 0, F(1, 7)]),
    "a pentagon with a bias": (regular_polygon(5).W, [F(1, 20)] * 5),
}


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("case", STEPWISE.values(), ids=STEPWISE.keys())
def test_steps_sum_to_the_derived_loss(case: Any, activation: str) -> None:
    W, b = case
    proof = certify(W, b, activation=activation, less_than=100, over={s: (0, 1)})
    for output in proof.model.outputs:
        # raises if the sum over active sets is not what `derive_loss` finds without them
        assert certificate_steps(proof, output)


def test_a_wrong_step_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    proof = certify([[1, -1]], [F(1, 10)] * 2, density=HALF, less_than=1)
    wrong = active_set_steps(
        0, (sympy.S.One, -sympy.S.One), sympy.Rational(1, 9), proof.model.densities, lambda v: v > 0
    )
    module = "superposition.theory.certificates.text.active_set_steps"
    monkeypatch.setattr(module, lambda *_: wrong)
    with pytest.raises(ArithmeticError, match="two derivations"):
        proof.text()


def test_linear_activation_has_no_chambers() -> None:
    proof = certify([[s, -s]], activation="linear", less_than=s, over={s: (0, 1)})
    assert proof.holds
    assert proof.chamber == ()


# --- signs of numbers -----------------------------------------------------------------------

ROOT = sympy.CRootOf(2 * X**3 - 9 * X**2 - 12 * X + 1, 1)
TINY = sympy.Rational(1, 10**40)
NUMBERS = {
    "rational": sympy.Rational(1, 3),
    "quadratic": (sympy.sqrt(5) - 1) / 4,
    "two roots": sympy.sqrt(2) + sympy.sqrt(3),
    "nested roots": sympy.sqrt(5 + 2 * sympy.sqrt(6)),
    "cube root": sympy.cbrt(7) / (1 + sympy.sqrt(2)),
    "root of a cubic": ROOT**2 - ROOT,
    "cosine": sympy.cos(2 * sympy.pi / 7),
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS.keys())
@pytest.mark.parametrize("side", [1, -1])
def test_sign_of_a_number_close_to_a_rational(number: sympy.Expr, side: int) -> None:
    """The rational is cut off after 40 digits, rounding down, from 80 correct digits."""
    digits = 10**40
    floor = sympy.Rational(sympy.floor(number.evalf(80) * digits), digits)
    proof = prove_sign(number - floor if side > 0 else number - floor - TINY)
    assert proof.sign == side or (number.is_Rational and proof.sign in (0, side))


ZEROS = {
    "nested": sympy.sqrt(5 + 2 * sympy.sqrt(6)) - sympy.sqrt(2) - sympy.sqrt(3),
    "unexpanded": (1 + sympy.sqrt(5)) * (1 - sympy.sqrt(5)) + 4,
    "cubic": 2 * ROOT**3 - 9 * ROOT**2 - 12 * ROOT + 1,
    "cosines": sum(sympy.cos(2 * k * sympy.pi / 7) for k in (1, 2, 3)) + sympy.S.Half,
}


@pytest.mark.parametrize("number", ZEROS.values(), ids=ZEROS.keys())
def test_zero_is_proved_and_not_read_off_digits(number: sympy.Expr) -> None:
    assert prove_sign(number).sign == 0
    assert prove_sign(number + TINY).sign == 1
    assert prove_sign(number - TINY).sign == -1


@pytest.mark.parametrize("number", list(NUMBERS.values())[2:], ids=list(NUMBERS)[2:])
def test_enclosures_hold_and_their_polynomials_change_sign(number: sympy.Expr) -> None:
    proof = prove_sign(number)
    for enclosure in proof.enclosures:
        assert enclosure.lower < enclosure.number.evalf(60) < enclosure.upper
        if enclosure.polynomial is not None:
            low, high = (
                enclosure.polynomial.subs(X, e) for e in (enclosure.lower, enclosure.upper)
            )
            assert low * high < 0
            assert (
                sympy.Poly(enclosure.polynomial, X).count_roots(enclosure.lower, enclosure.upper)
                == 1
            )


def test_what_is_not_algebraic_is_refused() -> None:
    with pytest.raises(UndecidedCertificateError, match="only algebraic numbers"):
        prove_sign(sympy.pi - 3)


def test_pentagon_is_compared_by_squares() -> None:
    """The loss of the pentagon has √5; the bound is its value, cut off after 40 digits."""
    pentagon = regular_polygon(5)
    exact = pentagon.loss(density=F(1, 10), importance=1)
    bound = sympy.Rational(sympy.floor(exact.evalf(80) * 10**40), 10**40)
    below = certify(pentagon.W, pentagon.b, density=F(1, 10), greater_than=bound)
    above = certify(pentagon.W, pentagon.b, density=F(1, 10), less_than=bound)
    equal = certify(pentagon.W, pentagon.b, density=F(1, 10), less_than=exact)
    assert (below.holds, above.holds, equal.holds) == (True, False, False)
    proof = below.comparisons[0].proof
    assert isinstance(proof, SignProof)
    assert proof.rule == "quadratic"
    a, b, d = proof.parts
    assert sympy.expand(a + b * sympy.sqrt(d) - below.margin) == 0


def test_optimal_bias_at_a_point_is_an_algebraic_number() -> None:
    """The oracle: the loss at rational biases, on both sides of the optimal one."""
    best = certify(
        [[1, -1]], OPTIMAL, density=HALF, less_than=pair_loss((F(1), F(-1)), (F(1, 13),) * 2, HALF)
    )
    assert best.holds
    near = pair_loss((F(1), F(-1)), (F(78761, 10**6),) * 2, HALF)
    # L is within curvature · (10⁻⁶)² of its minimum; the second derivative is below 8.
    assert certify([[1, -1]], OPTIMAL, density=HALF, greater_than=near - F(8, 10**12)).holds
    assert certify([[1, -1]], OPTIMAL, density=HALF, less_than=near).holds


# --- positivity on boxes --------------------------------------------------------------------

x, y = sympy.symbols("x y", real=True)


def check_by_hand(proof: PositivityProof) -> None:
    """Add up the Bernstein forms and compare; see that the boxes fill the domain."""
    volume = sympy.S.Zero
    for piece in proof.pieces:
        total = sympy.S.Zero
        for flat, coefficient in enumerate(piece.coefficients):
            term = coefficient
            index = np.unravel_index(flat, piece.shape)
            for symbol, (low, high), i, length in zip(
                proof.polynomial.gens, piece.box, index, piece.shape, strict=True
            ):
                t, d = (symbol - low) / (high - low), length - 1
                term *= comb(d, int(i)) * t ** int(i) * (1 - t) ** (d - int(i))
            total += term
        assert sympy.expand(total - proof.polynomial.as_expr()) == 0
        assert all(coefficient >= 0 for coefficient in piece.coefficients)
        volume += sympy.prod([high - low for low, high in piece.box])
    assert volume == sympy.prod([interval.measure for interval in proof.domain])


COEFFICIENTS = st.lists(st.fractions(-3, 3, max_denominator=5), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    COEFFICIENTS,
    st.fractions(-2, 0, max_denominator=7),
    st.fractions(F(1, 7), 2, max_denominator=7),
)
def test_positivity_in_one_symbol_agrees_with_counting_roots(c: Any, low: F, width: F) -> None:
    """Sturm's count of roots on the closed interval, and one value, decide the same question."""
    polynomial = sympy.Poly([sympy.Rational(a) for a in c], x, domain="QQ")
    ends = sympy.Rational(low), sympy.Rational(low + width)
    is_positive = not polynomial.is_zero and (
        polynomial.count_roots(*ends) == 0 and polynomial.eval(ends[0]) > 0
    )
    answer = prove_positive(polynomial, [CLOSED(*ends)], max_pieces=4096)
    assert isinstance(answer, PositivityProof) == is_positive
    if isinstance(answer, PositivityProof):
        check_by_hand(answer)
    else:
        assert answer.point[0] in CLOSED(*ends)
        assert answer.value <= 0
        assert sympy.simplify(polynomial.eval(answer.point[0]) - answer.value) == 0


def test_open_and_closed_ends_differ() -> None:
    vanishing = sympy.Poly(x**2 * (1 - x), x)
    assert isinstance(prove_positive(vanishing, [CLOSED.open(0, 1)]), PositivityProof)
    for domain in (CLOSED(0, 1), CLOSED.Ropen(0, 1), CLOSED.Lopen(0, 1)):
        found = prove_positive(vanishing, [domain])
        assert isinstance(found, Counterexample)
        assert found.value == 0
    assert isinstance(prove_positive(vanishing, [CLOSED(0, 1)], strict=False), PositivityProof)


def test_touching_zero_at_an_irrational_point_is_found() -> None:
    found = prove_positive(sympy.Poly((x**2 - 2) ** 2, x), [CLOSED(0, 2)])
    assert isinstance(found, Counterexample)
    assert found.point == (sympy.sqrt(2),)


def test_a_zero_at_a_point_of_division_is_no_positivity() -> None:
    """x = 1/2 is where the interval is halved first; no coefficient is negative on either side."""
    found = prove_positive(sympy.Poly((2 * x - 1) ** 2 * (x + 1), x), [CLOSED(0, 1)])
    assert isinstance(found, Counterexample)
    assert found.point == (sympy.S.Half,)
    along = sympy.Poly((2 * x - 1) ** 2 * (y + 1), x, y)
    assert isinstance(prove_positive(along, [CLOSED(0, 1)] * 2), Counterexample)


def test_a_zero_on_an_edge_whose_corners_are_left_out_is_no_positivity() -> None:
    """On x = 1/2 the polynomial is 0, on an edge between boxes whose ends the open range lacks."""
    edge = sympy.Poly((2 * x - 1) ** 2, x, y)
    found = prove_positive(edge, [CLOSED(0, 1), CLOSED.open(0, 1)])
    assert isinstance(found, Counterexample)
    assert found.point[0] == sympy.S.Half


def test_two_symbols() -> None:
    box = [CLOSED(0, 1), CLOSED(0, 2)]
    positive = sympy.Poly(x**2 - x * y + y**2 + sympy.Rational(1, 9), x, y)
    proof = prove_positive(positive, box)
    assert isinstance(proof, PositivityProof)
    assert len(proof.pieces) > 1
    check_by_hand(proof)
    found = prove_positive(positive - sympy.Rational(1, 8), box)
    assert isinstance(found, Counterexample)
    assert positive.eval(found.point) - sympy.Rational(1, 8) == found.value <= 0


def test_giving_up_is_an_error_and_no_answer() -> None:
    touching = sympy.Poly((3 * x - 1) ** 2 + (3 * y - 1) ** 2, x, y)
    with pytest.raises(UndecidedCertificateError, match="32 boxes did not suffice"):
        prove_positive(touching, [CLOSED(0, 1)] * 2, max_pieces=32)


def test_algebraic_coefficients() -> None:
    phi = (1 + sympy.sqrt(5)) / 2
    polynomial = sympy.Poly(x**2 - phi * x + phi**2 / 4, x, extension=True)
    with pytest.raises(UndecidedCertificateError):  # touches zero at phi/2
        prove_positive(polynomial, [CLOSED(0, 1)], max_pieces=16)
    lifted = sympy.Poly(polynomial.as_expr() + sympy.Rational(1, 100), x, extension=True)
    assert isinstance(prove_positive(lifted, [CLOSED(0, 1)]), PositivityProof)


# --- statements on a range ----------------------------------------------------------------------


def test_statement_for_all_densities_holds_at_each() -> None:
    proof = certify([[1, -1]], [s**2 / 6] * 2, less_than=s**2 / 3, over={s: (0, 1)})
    assert proof.holds
    for density in (F(1, 100), F(1, 3), F(4, 5), F(99, 100)):
        exact = pair_loss((F(1), F(-1)), (density**2 / 6,) * 2, density)
        assert as_fraction(proof.loss.subs(s, sympy.Rational(density))) == exact < density**2 / 3


def test_false_statement_on_a_range_gets_a_counterexample() -> None:
    proof = certify([[1, -1]], less_than=DROPPED, over={s: (0, 1)})
    assert not proof.holds
    assert proof.counterexample is not None
    density = as_fraction(proof.counterexample[s])
    assert 0 < density < 1
    assert pair_loss((F(1), F(-1)), (F(0), F(0)), density) >= density / 3 - density**2 / 4
    assert "Disproved" in proof.text()
    assert f"counterexample: s = {proof.counterexample[s]}" in proof.text()


def test_a_statement_fails_where_one_of_two_bounds_does() -> None:
    assert certify(
        [[1, -1]], [s**2 / 6] * 2, less_than=(DROPPED, s**2 / 3), over={s: (0, HALF)}
    ).holds
    assert not certify(
        [[1, -1]], [s**2 / 6] * 2, less_than=(DROPPED, s**2 / 3), over={s: (0, F(9, 10))}
    ).holds


def test_equal_sides_are_not_certified_as_strict() -> None:
    for statement in ("less_than", "greater_than"):
        sides: Any = {statement: s**2 / 3}
        assert not certify([[1, -1]], over={s: (0, 1)}, **sides).holds


def test_statement_in_density_and_importance() -> None:
    """Below the boundary r = 2s/(4 − 5s) the dedicated feature has the smaller loss."""
    pair = (1 + r) * s**2 / 6
    box = {s: (0, HALF), r: (F(1, 100), 2)}
    dedicated = certify([[1, 0]], [0, OPTIMAL], importance=(1, r), less_than=pair, over=box)
    assert not dedicated.holds
    assert dedicated.counterexample is not None
    at = dedicated.counterexample
    assert at[r] >= 2 * at[s] / (4 - 5 * at[s])
    low = {s: CLOSED(F(1, 5), HALF), r: CLOSED(F(1, 100), F(1, 8))}  # 2s/(4 − 5s) is 2/15 at 1/5
    assert certify([[1, 0]], [0, OPTIMAL], importance=(1, r), less_than=pair, over=low).holds


def test_a_change_of_chamber_is_noticed_and_located() -> None:
    """At s = 2/3 the bias s/2 reaches 1/3, where the output is no longer cut off at (0, 1)."""
    W = [[1, F(-1, 3)]]
    with pytest.raises(UndecidedCertificateError, match="at 2/3"):
        certify(W, [s / 2, 0], less_than=1, over={s: (0, 1)})
    for density, over in ((F(1, 4), (0, F(2, 3))), (F(4, 5), (F(2, 3), 1))):
        proof = certify(W, [s / 2, 0], less_than=1, over={s: CLOSED(*over)})
        exact = pair_loss((F(1), F(-1, 3)), (density / 2, F(0)), density)
        assert as_fraction(proof.loss.subs(s, sympy.Rational(density))) == exact


def test_poles_are_refused() -> None:
    with pytest.raises(UndecidedCertificateError, match="pole"):
        certify([[1, 0]], less_than=1 / (s - HALF), over={s: (0, 1)})


def test_range_within_one_regime_of_an_optimal_bias() -> None:
    """The optimal bias of output 1 is 0 above s ≈ 0.247, and irrational in s below."""
    W = [[HALF, F(3, 2)]]
    assert len(optimal_bias(W, 0).regimes) == 2
    above = certify(W, [OPTIMAL, 0], less_than=2 * s, over={s: (F(1, 4), 1)})
    assert above.holds
    for density in (F(1, 3), F(4, 5)):
        exact = pair_loss((HALF, F(3, 2)), (F(0), F(0)), density)
        assert (
            as_fraction(above.comparisons[0].piece.loss.subs(s, sympy.Rational(density))) == exact
        )
    with pytest.raises(ValueError, match="quotients of polynomials"):
        certify(W, [OPTIMAL, 0], less_than=2 * s, over={s: (0, 1)})


@pytest.mark.parametrize(
    ("bound", "holds"), [(F(1, 2), True), (F(1, 3), False), (F(17, 50), False)], ids=str
)
def test_regimes_with_an_irrational_end_are_compared_one_by_one(
    bound: F, holds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A made-up loss: s² up to 1/√2, then 1 − s²; its maximum is 1/2, attained at the end."""
    model = derive_loss([[1, 0]], [0, OPTIMAL])
    optimum = model.outputs[1].optimum
    assert optimum is not None
    end = sympy.sqrt(2) / 2
    regimes = tuple(
        replace(optimum.regimes[0], density_range=CLOSED(low, high), loss=loss)
        for low, high, loss in ((0, end, s**2 - TINY), (end, 1, 1 - s**2 - TINY))
    )
    changed = replace(model.outputs[1], optimum=replace(optimum, regimes=regimes))
    made_up = replace(model, outputs=(model.outputs[0], changed))
    monkeypatch.setattr(
        "superposition.theory.certificates.statements.derive_loss", lambda *_, **__: made_up
    )
    # The ends are widened by up to 1e−6, so that the bound must have that much room.
    proof = certify([[1, 0]], [0, OPTIMAL], less_than=bound + F(1, 10**5), over={s: (0, 1)})
    assert proof.holds == holds
    assert [comparison.piece.domain[s].end for comparison in proof.comparisons] == [end, 1]


def test_other_features_and_penalty() -> None:
    """Features that are never on together leave nothing to an antipodal pair's ReLU."""
    never = certify(
        [[1, -1]], features=Anticorrelated([(0, 1)]), less_than=F(1, 10**9), density=F(1, 3)
    )
    assert never.loss == 0
    assert never.holds
    always = certify(
        [[1, -1]], features=CoActive(), greater_than=F(1, 10), density=HALF, penalty=F(1, 7)
    )
    assert always.loss == sympy.Rational(1, 6) + sympy.Rational(2, 7)
    for proof in (never, always):
        assert "mean squared error" in proof.text()


# --- the conjecture on weights with one entry per column ------------------------------------------


def test_refutation_covers_all_densities_and_can_be_checked_by_hand() -> None:
    certificates = refutation()
    assert all(certificate.holds for certificate in certificates)
    assert sympy.Union(*(piece.densities for piece in PIECES)) == CLOSED.Lopen(0, 1)
    for certificate, piece in zip(certificates, PIECES, strict=True):
        assert certificate.domain == {s: piece.densities}
        for comparison in certificate.comparisons:
            assert isinstance(comparison.proof, QuotientProof)
            for part in (comparison.proof.numerator, comparison.proof.denominator):
                assert isinstance(part, PositivityProof)
                check_by_hand(part)
            quotient = (
                comparison.proof.numerator.polynomial.as_expr()
                / comparison.proof.denominator.polynomial.as_expr()
            )
            direct = comparison.bound - certificate.loss
            assert sympy.cancel(sympy.together(quotient - direct)) == 0


@pytest.mark.parametrize("k", range(1, 21))
def test_refutation_at_densities_by_plain_fractions(k: int) -> None:
    density = F(k, 20)
    W, b = pair_sum(2, 1, density)
    loss = pair_loss(tuple(map(as_fraction, W)), tuple(map(as_fraction, b)), density)
    assert loss < min(density / 3 - density**2 / 4, density**2 / 3)


def test_refutation_extends_to_more_features_and_neurons() -> None:
    for n, m, density in ((2, 1, F(1, 5)), (3, 1, F(2, 3)), (5, 2, F(3, 4)), (7, 3, F(19, 20))):
        W, b = pair_sum(n, m, density)
        assert all(sum(entry != 0 for entry in W.col(j)) <= 1 for j in range(n))
        numeric = population_loss(
            np.array(W, dtype=float),
            np.array(b, dtype=float),
            density=float(density),
            importance=np.ones(n),
        )
        bounds = [
            float(bound.subs(s, sympy.Rational(density))) for bound in conjectured_losses(n, m)
        ]
        assert numeric < min(bounds) * (1 - 1e-4)  # margins are 3e-4 and more; numerics 1e-12


def test_refutation_at_one_density() -> None:
    (proof,) = refutation(F(1, 2))
    assert proof.holds
    with pytest.raises(ValueError, match=r"density must be in \(0, 1\]"):
        refutation(0)
    with pytest.raises(ValueError, match="n_features >= 2 n_hidden"):
        conjectured_losses(3, 2)


# --- what is printed, and bad input -------------------------------------------------------------


def test_text_and_latex_say_the_same() -> None:
    proof = certify([[1, -1]], [s**2 / 6] * 2, less_than=s**2 / 3, over={s: (0, HALF)})
    text, latex = proof.text(), proof.latex()
    for heading in ("Statement", "Output 1", "Sum over outputs", "Conclusion"):
        assert heading in text
        assert heading in latex
    assert latex.count("\\[") == latex.count("\\]") == latex.count("\\begin{aligned}")
    assert latex.count("\\left") == latex.count("\\right")
    assert str(proof) == text
    assert proof.statement == "L(W, b) < s**2/3 for 0 < s < 1/2"
    assert proof._repr_markdown_().count("$$") == 2 * latex.count("\\[")


BAD = {
    "no bound": ({}, "exactly one of less_than and greater_than"),
    "two directions": ({"less_than": 1, "greater_than": 0}, "exactly one"),
    "empty": ({"less_than": ()}, "at least one bound"),
    "float infinity": ({"less_than": float("inf")}, "finite and real"),
    "no range": ({"less_than": 1}, "s has no value and no range"),
    "no range of r": ({"less_than": r, "over": {s: (0, 1)}}, "r has no value and no range"),
    "irrational end": ({"less_than": 1, "over": {s: (0, sympy.sqrt(2) / 2)}}, "rational ends"),
    "empty range": ({"less_than": 1, "over": {s: (1, 1)}}, "rational ends"),
    "not a pair": ({"less_than": 1, "over": {s: 3}}, "must be a pair"),
    "not a symbol": ({"less_than": 1, "over": {"s": (0, 1)}}, "must map symbols"),
    "not rational": ({"less_than": sympy.sqrt(s), "over": {s: (0, 1)}}, "quotients of polynomials"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        certify([[1, -1]], **arguments)


def test_values_of_either_sign_have_corners_below_zero() -> None:
    """A wall at b = g lies inside the range, which only the corner at −1 shows."""
    a = sympy.Symbol("a", real=True)
    both = Independent(ValueDistribution([1], symmetric=True))
    model: dict[str, Any] = {"density": F(1, 2), "features": both}
    with pytest.raises(UndecidedCertificateError, match="changes its sign within the range at 1"):
        certify([[1]], [a], less_than=a**2 + F(1, 1000), over={a: (F(1, 2), F(8, 5))}, **model)
    # beside the wall the certificate and the loss at points agree
    certificate = certify([[1]], [a], less_than=F(1, 2), over={a: (F(1, 2), F(3, 5))}, **model)
    assert certificate.holds
    for value in (F(1, 2), F(11, 20), F(3, 5)):
        exact = expected_loss([[1]], [value], **model)
        assert certificate.loss.subs(a, value) == exact
        assert exact < F(1, 2)


@pytest.mark.parametrize(
    ("options", "over", "message"),
    [
        ({}, {s: (0, 2)}, r"densities must lie in \[0, 1\] on the whole range, which fails at s"),
        ({}, {s: (-1, 1)}, r"densities must lie in \[0, 1\]"),
        ({"density": 2 * s}, {s: (0, 1)}, r"densities must lie in \[0, 1\]"),
        ({"features": Anticorrelated([(0, 1)])}, {s: (0, 1)}, "at most one of the features 0, 1"),
        ({"importance": (1, r)}, {s: (0, 1), r: (-5, 1)}, "importances must be at least 0"),
    ],
)
def test_statements_about_no_model_are_refused(options: Any, over: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        certify([[1, -1]], less_than=10, over=over, **options)
