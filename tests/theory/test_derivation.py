"""Derivations say what was computed: the numbers in the text add up to the loss."""

import re
from fractions import Fraction

import pytest
import sympy

from superposition import Anticorrelated, ValueDistribution
from superposition.theory import OPTIMAL, derivation, derive_loss, expected_loss, lam, r, s


def test_text_contains_sets_probabilities_integrals_and_sum() -> None:
    text = derivation([[1, -1]], importance=(1, r)).text()
    assert "{1, 2}: probability = s**2" in text
    assert "integral over [0, 1]^2 of (x_1 - max(0, x_1 - x_2))**2 = 1/6" in text
    assert text.endswith("L = s**2*(r + 1)/6")


def test_text_adds_up() -> None:
    """Probabilities and integrals read back from the text give the loss."""
    text = derivation([[1, Fraction(-1, 2)]], [Fraction(1, 4), 0]).text()
    rows = re.findall(r"probability = (.*?), .* = (\S+)$", text, flags=re.MULTILINE)
    assert len(rows) == 8
    total = sum(sympy.sympify(p, {"s": s}) * sympy.Rational(v) for p, v in rows)
    assert sympy.expand(total - expected_loss([[1, Fraction(-1, 2)]], [Fraction(1, 4), 0])) == 0


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_probabilities_sum_to_one_and_terms_to_the_loss(activation: str) -> None:
    model = derive_loss([[1, -1, Fraction(1, 2)]], activation=activation)
    for output in model.outputs:
        assert sympy.expand(sum(term.probability for term in output.terms)) == 1
        total = sum(term.probability * term.loss for term in output.terms)
        assert sympy.expand(total - output.loss) == 0


def test_minimization_over_the_bias_is_shown() -> None:
    steps = derivation([[1, 0]], [0, OPTIMAL])
    text = steps.text()
    assert "dE/dbeta = 2*beta - s" in text
    assert "beta = s/2, E (x_2 - xhat_2)**2 = -s**2/4 + s/3 for 0 <= s <= 1" in text
    assert "E (x_2 - xhat_2)**2 = s/3 for beta <= 0" in text
    assert sympy.expand(steps.loss - (s / 3 - s**2 / 4)) == 0


def test_active_sets_of_an_optimal_output_keep_their_own_labels() -> None:
    model = derive_loss([[0, 1, 0]], [OPTIMAL, 0, OPTIMAL])
    assert model.outputs[2].optimum is not None
    for piece in model.outputs[2].optimum.pieces:
        assert [term.active for term in model.outputs[2].terms_on(piece)] == [(), (2,)]


def test_penalty_is_a_step_of_its_own() -> None:
    text = derivation([[1, -1]], penalty=lam).text()
    assert "sum over i != j of (W_i . W_j)**2 = 2*lam" in text


def test_latex_is_balanced_and_uses_amsmath_only() -> None:
    latex = derivation([[1, 0]], [0, OPTIMAL], importance=(1, r)).latex()
    assert latex.count(r"\\[") == 0
    assert latex.count(r"\[") == latex.count(r"\]") > 3
    environments = re.findall(r"\\begin{(\w+)}", latex)
    assert set(environments) <= {"aligned", "matrix"}
    assert sorted(environments) == sorted(re.findall(r"\\end{(\w+)}", latex))
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
    assert r"\beta = \frac{s}{2}" in latex


def test_derivation_and_loss_are_one_computation() -> None:
    W, b = [[1, Fraction(1, 3)]], [Fraction(-1, 5), OPTIMAL]
    steps = derivation(W, b, density=Fraction(1, 2), penalty=2)
    assert steps.loss == expected_loss(W, b, density=Fraction(1, 2), penalty=2)
    assert str(steps) == steps.text()


def test_other_inputs_are_named_and_their_means_are_no_box_integrals() -> None:
    law = Anticorrelated([(0, 1)], ValueDistribution([0, 2], symmetric=True))
    steps = derivation([[1, -1]], features=law)
    text = steps.text()
    assert "at most one:\n    x_1, x_2" in text
    assert "with a random sign:\n    p(u) = 2*u" in text
    assert "mean over 1 values of" in text
    assert "integral over" not in text
    assert "p(u) = 2 u" in steps.latex()
    plain = derivation([[1, -1]]).text()
    assert "integral over [0, 1]^2" in plain
    assert "p(u)" not in plain
