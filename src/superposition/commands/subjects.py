"""What ``derive`` shows besides a derivation: views of one model, and subjects of their own.

A view takes the arguments of `expected_loss` as a dictionary and returns text.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..literals import parse_expression, parse_matrix, parse_vector

if TYPE_CHECKING:
    import sympy

__all__ = ["SUBJECTS"]

Model = dict[str, Any]


def expansion(model: Model, *, sample: Any = None, **_: Any) -> str:
    """Return the sparsity expansion."""
    from ..theory import s, sparsity_expansion

    rest = {key: value for key, value in model.items() if key != "density"}
    if model["density"] != s:
        raise ValueError("the expansion is in the density s itself; leave out --density")
    return sparsity_expansion(**rest, sample=sample).text()


def one_hot(model: Model, *, sample: Any = None, **_: Any) -> str:
    """Return the one-hot potential of the weights and biases."""
    from ..theory import one_hot_potential

    potential = one_hot_potential(model["W"], model["b"], sample=sample)
    return f"H = {potential}\nL = H/(3n) = {potential / (3 * model['W'].shape[1])}"


def capacity(model: Model, **_: Any) -> str:
    """Return the capacities of the features."""
    from ..theory import capacity_report

    return capacity_report(model["W"])


def linear(model: Model, **_: Any) -> str:
    """Return optimum and critical points of the linear model of the same size."""
    from ..theory import linear_report

    n_hidden, n_features = model["W"].shape
    arguments = {key: model[key] for key in ("density", "importance", "features")}
    return linear_report(n_features, n_hidden, **arguments)


def _family(model: Model) -> Any:
    from ..features import Independent
    from ..theory.landscape import Family

    if model["features"] != Independent() or model["activation"] != "relu":
        raise ValueError(
            "chambers are for ReLU models of independent uniform features; "
            "leave out --inputs, --values, --symmetric and --activation"
        )
    family = Family("weights", model["W"], model["b"])
    for entry in (*family.W.flat(), *family.b):
        if not entry.is_polynomial(*family.parameters):
            raise ValueError(
                f"chambers need weights and biases that are polynomials in their letters, "
                f"got {entry}"
            )
    return family


def _terms(model: Model) -> dict[str, Any]:
    return {key: model[key] for key in ("density", "importance", "penalty")}


def chamber(model: Model, *, sample: Any = None, **_: Any) -> str:
    """Return inequalities, loss and gradient in the chamber of a sample."""
    if sample is None:
        raise ValueError("--show chamber needs --sample, a value for every letter in W and biases")
    found = _family(model).chamber(sample, **_terms(model))
    return "\n".join(
        [
            "chamber   " + (", ".join(map(str, found.inequalities)) or "everywhere"),
            f"L         {found.loss}",
            *(
                f"dL/d{x}{' ' * max(1, 6 - len(str(x)))}{slope}"
                for x, slope in zip(found.parameters, found.gradient, strict=True)
            ),
            *(f"stationary where {equation} = 0" for equation in found.stationarity),
        ]
    )


def minimum(model: Model, *, sample: Any = None, **_: Any) -> str:
    """Return the proved minimum of a family, below the sample or of several starts."""
    family = _family(model)
    if sample is not None and (missing := set(family.parameters) - set(sample)):
        raise ValueError(
            f"--sample needs a number for every letter in W and biases, got none for "
            f"{', '.join(sorted(map(str, missing)))}"
        )
    found = family.minimum(**_terms(model), start=sample)
    lines = ["a local minimum, proved: one stationary point, positive definite Hessian"]
    lines += [f"{x} = {value.decimal(20)}" for x, value in found.parameters.items()]
    with suppress(NotImplementedError):  # no closed form where a coefficient is irrational
        lines += [f"{x} = {value} exactly" for x, value in (found.exact or {}).items()]
    return "\n".join([*lines, f"L = {found.loss.decimal(20)}"])


def variation(
    model: Model,
    *,
    sample: Any = None,
    along: str | None = None,
    bias_along: str | None = None,
    **_: Any,
) -> str:
    """Return the loss along a direction in powers of ε."""
    from ..theory.landscape import vary

    if along is None:
        raise ValueError('--show variation needs --along, a direction in W, such as "a,-1"')
    direction = parse_matrix(along, parse_expression)
    drift: list[sympy.Expr] | list[int]
    if bias_along is None:
        drift = [0] * len(direction[0])
    else:
        drift = parse_vector(bias_along, parse_expression)
    biases = _numbers_for_optimal(model)
    rest = {key: value for key, value in model.items() if key not in ("W", "b")}
    moved = vary(model["W"], biases, direction, drift, sample=sample, **rest)
    return f"b = {', '.join(map(str, biases))}\n{moved.text()}"


def _numbers_for_optimal(model: Model) -> list[Any]:
    """Return the biases, with the minimizers in place of `OPTIMAL`."""
    from ..theory import derive_loss

    return [output.bias for output in derive_loss(**model).outputs]


def stability() -> str:
    """Return where the dedicated feature loses its stability, in closed form."""
    from ..theory import s
    from ..theory.landscape import stability_line

    line = stability_line()
    aligned = stability_line(aligned=True)
    points = [
        f"  s = {density.evalf(12)}, r = {line.relative_importance.subs(s, density).evalf(12)}"
        for density in line.tricritical
    ]
    return "\n".join(
        [
            "W = [1 + a*eps, -eps], b = (beta*eps, s/2 + gamma*eps), importances (1, r):",
            *(f"  {row}" for row in line.best.variation.text().splitlines()),
            f"beta = {line.beta}",
            f"r_c = {line.relative_importance}",
            f"L_3 = {line.third}",
            "unstable for r > r_c; the transition is continuous where L_3 > 0 on the line, between",
            *points,
            f"toward aligned columns unstable for r > {aligned.relative_importance}",
        ]
    )


def boundaries() -> str:
    """Return boundaries and triple points of the closed forms for (2, 1) and (3, 2)."""
    from ..theory import boundaries as phase_boundaries, candidates, triple_points

    lines = []
    for sizes in ((2, 1), (3, 2)):
        shown = candidates(*sizes)
        lines.append(f"({sizes[0]}, {sizes[1]}), closed forms:")
        for boundary in phase_boundaries(shown):
            lines.append(
                f"  {boundary.first.name} | {boundary.second.name}: "
                f"{boundary.solve_for} = {boundary.solution}, the other in {boundary.valid}"
            )
        for point in triple_points(shown):
            names = ", ".join(configuration.name for configuration in point.configurations)
            lines.append(f"  r = {point.r}, s = {point.s}: {names}; loss {point.loss}")
    return "\n".join(lines)


def transitions(*, density: Any = None, importance: Any = None) -> str:
    """Return points of the exact diagram of two features, with certified digits."""
    from ..theory import r, s
    from ..theory.landscape import (
        antipodal_end,
        first_order_end,
        tricritical_points,
        triple_meeting,
    )

    def shown(name: str, point_r: Any, point_s: Any) -> str:
        return f"  r = {point_r.decimal(20)}  s = {point_s.decimal(20)}  {name}"

    if density is None and importance is None:
        triple, (low, high) = triple_meeting(), tricritical_points()
        edge, corner = first_order_end({s: 1}), antipodal_end(importance=1)
        return "\n".join(
            [
                "the exact (2, 1) diagram for r <= 1; mirror images at 1/r; all digits are proved",
                shown(
                    "antipodal pair, partial superposition, dedicated feature", triple.r, triple.s
                ),
                shown("from here partial superposition ends continuously", low[r], low[s]),
                shown("from here it ends with a jump again", high[r], high[s]),
                shown("where that line leaves the diagram", edge.r, edge.s),
                shown("antipodal pair and two partial solutions", corner.r, corner.s),
            ]
        )
    end = antipodal_end(density=density, importance=importance, digits=22)
    return "\n".join(
        [
            shown(f"antipodal pair gives way to {end.points[1].phase.name}", end.r, end.s),
            *(
                f"  W = [{', '.join(x.decimal(12) for x in point.W[0])}]  "
                f"b = [{', '.join(x.decimal(12) for x in point.b)}]  {point.phase.name}"
                for point in end.points
            ),
            f"  loss {end.loss.decimal(20)}, {end.kind}",
            f"  its slope changes by {end.kink(s).decimal(8)} along s",
            f"  and by {end.kink(r).decimal(8)} along r",
        ]
    )


def three_features() -> str:
    """Return where lines of the exact diagram of three features in two dimensions meet."""
    from ..theory import r, s
    from ..theory.landscape.three_features import TRIPLE_POINTS, critical_point, triple_point

    lines = ["the exact (3, 2) diagram, importances (1, 1, r); all digits are proved"]
    for names in TRIPLE_POINTS:
        point = triple_point(*names)
        lines.append(f"  r = {point.r.decimal(14)}  s = {point.s.decimal(14)}  {', '.join(names)}")
    for which in ("lower", "upper"):
        root = critical_point(which)
        lines.append(
            f"  r = {root[r].decimal(10)}      s = {root[s].decimal(10)}      "
            f"triangle and short triangle become one"
        )
    return "\n".join(lines)


def penalty(*, density: Any = None, importance: Any = None) -> str:
    """Return the interference penalty above which there is no antipodal pair."""
    from ..theory import lam
    from ..theory.landscape import classical_threshold, critical_penalty, highest_penalty

    if (density is None) != (importance is None):
        raise ValueError("penalty needs both --density and --importance, or neither")
    if density is not None:
        for option, value in (("density", density), ("importance", importance)):
            if not value.is_Rational:
                raise ValueError(f"{option} must be a rational number, got {value}")
        found = critical_penalty(importance, density)
        return (
            f"lambda_c = {found.values[lam].decimal(20)}, "
            f"where {found.points[1].phase.name} takes over from the optimized pair"
        )
    classical, highest = classical_threshold(), highest_penalty(1)
    return "\n".join(
        [
            "penalty 2*lambda*(W_1 W_2)**2, importances (1, r), r <= 1",
            f"closed forms: lambda_c(r, s) = {classical.surface}",
            f"              largest over s: {classical.maximum}, at s = {classical.best_density}",
            f"optimized pair at r = 1: up to lambda = {highest.penalty.decimal(14)}",
            f"              at s = {highest.s.decimal(10)}",
        ]
    )


def polygons() -> str:
    """Return the regular polygons that are critical for the one-hot potential."""
    from ..theory import one_hot_report

    return "\n".join(one_hot_report(k) for k in range(4, 9))


def conjecture() -> str:
    """Return the proof that columns with one entry do better than was conjectured."""
    from ..theory import refutation

    return "\n\n".join(certificate.text() for certificate in refutation())


SUBJECTS: dict[str, Callable[..., str]] = {
    "stability": stability,
    "boundaries": boundaries,
    "transitions": transitions,
    "three-features": three_features,
    "penalty": penalty,
    "polygons": polygons,
    "conjecture": conjecture,
}
