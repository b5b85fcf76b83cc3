"""The derivation of a loss, written out step by step as text or LaTeX.

Nothing is computed here: the steps are read off the `ModelLoss` that `expected_loss` is the total
of. Features are counted from 1, as in x₁, …, x_n.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from ..features import FeatureDistribution
from .bias import BiasPiece, OptimalBias, beta
from .loss import ModelLoss, OutputLoss, derive_loss
from .output_error import ActiveSetTerm
from .symbols import s

__all__ = ["Derivation", "derivation"]

Show = Callable[[Any], str]


@dataclass(frozen=True)
class Derivation:
    """A derivation that can be read.

    Attributes
    ----------
    model
        The expected loss with all its parts.
    """

    model: ModelLoss

    @property
    def loss(self) -> sympy.Expr:
        """The result, as `expected_loss` returns it."""
        return self.model.total

    def text(self) -> str:
        """Return the derivation as plain text; its expressions can be pasted into Python."""
        lines: list[str] = []
        for heading, equations in _steps(self.model, str, _TEXT):
            lines += ["", heading] if lines else [heading]
            lines += [f"    {equation}" for equation in equations]
        return "\n".join(lines)

    def latex(self) -> str:
        """Return the derivation as a LaTeX fragment: paragraphs and displays, amsmath only."""
        blocks = []
        for heading, equations in _steps(self.model, sympy.latex, _LATEX):
            blocks.append(heading)
            if equations:
                rows = " \\\\\n".join(f"& {equation}" for equation in equations)
                blocks.append(f"\\[\n\\begin{{aligned}}\n{rows}\n\\end{{aligned}}\n\\]")
        return "\n".join(blocks)

    def __str__(self) -> str:
        """Return the text."""
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.latex().replace("\\[", "$$").replace("\\]", "$$")


def derivation(
    W: Any,
    b: Any = None,
    *,
    density: Any = s,
    importance: Any = None,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Any = 0,
    sample: Mapping[sympy.Symbol, Any] | None = None,
) -> Derivation:
    r"""Derive the expected loss and keep the steps for reading.

    Parameters and errors are those of `expected_loss`.

    Examples
    --------
    >>> from superposition.theory import derivation, r
    >>> steps = derivation([[1, -1]], importance=(1, r))
    >>> steps.loss
    s**2*(r + 1)/6
    >>> print(steps.text().split("\n\n")[-1])
    Sum over outputs, each times its importance:
        L = (1) * (s**2/6) + (r) * (s**2/6)
        L = s**2*(r + 1)/6
    """
    return Derivation(
        derive_loss(
            W,
            b,
            density=density,
            importance=importance,
            activation=activation,
            features=features,
            penalty=penalty,
            sample=sample,
        )
    )


@dataclass(frozen=True)
class _Notation:
    """The few signs in which text and LaTeX differ; the steps themselves are shared."""

    feature: str
    reconstruction: str
    error: str
    relu: str
    integral: str
    mean: str
    gram: str
    penalty: str
    probability: str
    times: str
    factor: str
    no_set: str
    all_set: str
    at_most: str
    within: str
    slope: str
    box_formula: str
    transform_formula: str


_TEXT = _Notation(
    feature="x_{0}",
    reconstruction="xhat_{0}",
    error="E (x_{0} - xhat_{0})**2",
    relu="max(0, {0})",
    integral="integral over [0, 1]^{0} of {1}",
    mean="mean over {0} values of {1}",
    gram="W^T W",
    penalty="lambda * sum over i != j of (W_i . W_j)**2",
    probability="probability",
    times=" * ",
    factor="({0})",
    no_set="{}",
    all_set="{{{0}}}",
    at_most=" <= ",
    within=" for {0}",
    slope="dE/dbeta = {0}",
    box_formula=(
        "integral over [0, 1]^k of max(0, g.x + beta)**p = p!/((p + k)! g_1...g_k) * sum over "
        "vertices v of (-1)**(k - |v|) max(0, g.v + beta)**(p + k)"
    ),
    transform_formula=(
        "if E exp(w g.x) = sum of c_tk exp(w t)/w**k, then E max(0, g.x + beta)**p = sum of "
        "c_tk p!/(p + k)! max(0, t + beta)**(p + k)"
    ),
)
_LATEX = _Notation(
    feature="x_{{{0}}}",
    reconstruction="\\hat x_{{{0}}}",
    error="\\mathbb{{E}}\\,(x_{{{0}}} - \\hat x_{{{0}}})^2",
    relu="\\left({0}\\right)_+",
    integral="\\int_{{[0,1]^{{{0}}}}} {1}",
    mean="\\mathbb{{E}}\\, {1}",
    gram="W^\\top W",
    penalty="\\lambda \\sum_{i \\ne j} (W_i \\cdot W_j)^2",
    probability="P",
    times="\\,",
    factor="\\left({0}\\right)",
    no_set="\\varnothing",
    all_set="\\{{{0}\\}}",
    at_most=" \\le ",
    within=",\\quad {0}",
    slope="\\frac{{\\mathrm{{d}}E}}{{\\mathrm{{d}}\\beta}} = {0}",
    box_formula=(
        "\\int_{[0,1]^k} (g \\cdot x + \\beta)_+^p \\,\\mathrm{d}x = \\frac{p!}{(p+k)!\\, g_1 \\cdots g_k}"
        " \\sum_{v \\in \\{0,1\\}^k} (-1)^{k-|v|} (g \\cdot v + \\beta)_+^{p+k}"
    ),
    transform_formula=(
        "\\mathbb{E}\\, e^{w g \\cdot x} = \\sum c_{tk}\\, e^{w t} w^{-k} \\;\\Rightarrow\\; "
        "\\mathbb{E}\\, (g \\cdot x + \\beta)_+^p = \\sum c_{tk} \\frac{p!}{(p+k)!} (t + \\beta)_+^{p+k}"
    ),
)


def _steps(model: ModelLoss, show: Show, notation: _Notation) -> list[tuple[str, list[str]]]:
    """Return headings with their equations."""
    steps = [("Weights, and the couplings of input j to output i:", _set_up(model, show, notation))]
    steps += _inputs(model, show, notation)
    if model.activation == "relu" and model.features.values.is_uniform:
        steps.append(("Each box integral is a sum over vertices:", [notation.box_formula]))
    elif model.activation == "relu":
        steps.append(("Each mean is a sum over vertices:", [notation.transform_formula]))
    for output in model.outputs:
        steps += _output_steps(model, output, show, notation)
    products = " + ".join(
        notation.times.join(
            notation.factor.format(show(part)) for part in (output.importance, output.loss)
        )
        for output in model.outputs
    )
    equations = [f"L = {products}"]
    if model.penalty != 0:
        steps.append(("Interference penalty:", [f"{notation.penalty} = {show(model.penalty)}"]))
        equations[0] += f" + {show(model.penalty)}"
    equations.append(f"L = {show(model.total)}")
    steps.append(("Sum over outputs, each times its importance:", equations))
    return steps


def _inputs(model: ModelLoss, show: Show, notation: _Notation) -> list[tuple[str, list[str]]]:
    """Say what the inputs are, where they are not independent and uniform on [0, 1]."""
    steps = []
    groups = [g for g in model.features.gates(len(model.outputs)) if len(g.members) > 1]
    for gate in groups:
        names = ", ".join(notation.feature.format(j + 1) for j in gate.members)
        steps.append((f"Features that are on by one draw, {gate.kind.value}:", [names]))
    values = model.features.values
    if not values.is_uniform:
        u = sympy.Symbol("u")
        density = sum(sympy.Rational(c) * u**k for k, c in enumerate(values.coefficients))
        sign = ", with a random sign" if values.symmetric else ""
        heading = f"Density of a value on [0, 1]{sign}:"
        steps.append((heading, [f"p(u) = {show(sympy.sympify(density))}"]))
    return steps


def _set_up(model: ModelLoss, show: Show, notation: _Notation) -> list[str]:
    return [
        f"W = {show(_plain(model.W, show))}",
        f"{notation.gram} = {show(_plain(model.gram, show))}",
    ]


def _plain(matrix: sympy.Matrix, show: Show) -> Any:
    return matrix.tolist() if show is str else matrix


def _output_steps(
    model: ModelLoss, output: OutputLoss, show: Show, notation: _Notation
) -> list[tuple[str, list[str]]]:
    i = output.index + 1
    bias = output.bias if output.optimum is None else beta
    reconstruction = f"{notation.reconstruction.format(i)} = " + _activated(
        model, output, range(len(output.couplings)), bias, show, notation
    )
    if output.optimum is not None:
        return [
            (f"Output {i}, as a function of its bias:", [reconstruction]),
            *_minimization_steps(model, output, output.optimum, show, notation),
        ]
    rows = _term_rows(model, output, output.terms, bias, show, notation)
    total = f"{notation.error.format(i)} = {show(output.loss)}"
    heading = f"Output {i}: sets of active features, their probabilities and integrals:"
    return [(heading, [reconstruction, *rows, total])]


def _activated(
    model: ModelLoss,
    output: OutputLoss,
    active: Sequence[int] | range,
    bias: sympy.Expr,
    show: Show,
    notation: _Notation,
) -> str:
    """Return σ(Σ g_j x_j + β) over the active features."""
    terms = [
        output.couplings[j] * sympy.Symbol(f"x_{j + 1}") for j in active if output.couplings[j] != 0
    ]
    pre_activation = show(sympy.Add(*terms, bias))
    return notation.relu.format(pre_activation) if model.activation == "relu" else pre_activation


def _term_rows(
    model: ModelLoss,
    output: OutputLoss,
    terms: Sequence[ActiveSetTerm],
    bias: sympy.Expr,
    show: Show,
    notation: _Notation,
) -> list[str]:
    rows = []
    for term in terms:
        names = ", ".join(str(j + 1) for j in term.active)
        active = notation.all_set.format(names) if names else notation.no_set
        i = output.index
        target = notation.feature.format(i + 1) if i in term.active else "0"
        inner = _activated(model, output, term.active, bias, show, notation)
        square = f"({target} - {inner})" + ("**2" if show is str else "^2")
        if term.active:
            uniform = model.features.values.is_uniform
            average = notation.integral if uniform else notation.mean
            square = average.format(len(term.active), square)
        rows.append(
            f"{active}: {notation.probability} = {show(term.probability)}, "
            f"{square} = {show(term.loss)}"
            if show is str
            else f"{active}:\\quad {notation.probability} = {show(term.probability)},\\quad "
            f"{square} = {show(term.loss)}"
        )
    return rows


def _minimization_steps(
    model: ModelLoss,
    output: OutputLoss,
    optimum: OptimalBias,
    show: Show,
    notation: _Notation,
) -> list[tuple[str, list[str]]]:
    i = output.index + 1
    steps: list[tuple[str, list[str]]] = []
    winning: list[BiasPiece] = []
    for regime in optimum.regimes:
        if regime.piece not in winning:
            winning.append(regime.piece)
            rows = _term_rows(model, output, output.terms_on(regime.piece), beta, show, notation)
            heading = f"Output {i}, sets of active features on the piece that holds the minimum:"
            steps.append((heading, [*rows, _piece_row(i, regime.piece, show, notation)]))
    pieces = [_piece_row(i, piece, show, notation) for piece in optimum.pieces]
    steps.append((f"Output {i}, its error on every piece:", pieces))
    results = []
    for regime in optimum.regimes:
        slope = sympy.factor(sympy.diff(regime.piece.loss, beta))
        inside = regime.bias not in (regime.piece.lower, regime.piece.upper)
        results.append(notation.slope.format(show(slope)) + (" = 0" if inside else ""))
        within = ""
        if isinstance(regime.density_range, sympy.Interval):
            ends = regime.density_range.start, regime.density_range.end
            within = _between(optimum.density, *ends, show, notation)
        results.append(
            f"{show(beta)} = {show(regime.bias)}, "
            f"{notation.error.format(i)} = {show(regime.loss)}{within}"
        )
    steps.append((f"Output {i}, the lowest of all stationary points and ends:", results))
    return steps


def _piece_row(i: int, piece: BiasPiece, show: Show, notation: _Notation) -> str:
    within = _between(beta, piece.lower, piece.upper, show, notation)
    return f"{notation.error.format(i)} = {show(piece.loss)}{within}"


def _between(
    symbol: sympy.Expr, lower: sympy.Expr, upper: sympy.Expr, show: Show, notation: _Notation
) -> str:
    finite = [end for end in (lower, symbol, upper) if end.is_finite is not False]
    return notation.within.format(notation.at_most.join(map(show, finite))) if finite[1:] else ""
