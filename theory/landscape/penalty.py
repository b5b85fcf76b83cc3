"""Two features under the interference penalty 2λ(W₁W₂)²: how long the antipodal pair lasts.

For the three closed forms of the literature the diagram at fixed λ and the surface λ_c(r, s),
above which the antipodal pair is no longer the lowest, follow from their losses. For the exact
optimum a point of the surface is a meeting of two minima with λ as an unknown (`meet`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import sympy

from ..configurations import candidates
from ..symbols import lam, r, s
from .antipodal import antipodal_end
from .atlas import Atlas
from .certified_roots import CertifiedRoot, Enclosure, UncertifiedRootError, certify_root
from .families import antipodal_family
from .transitions import Meeting, Phase, dedicated_phase, meet, opposed_phase

__all__ = [
    "ClassicalThreshold",
    "PenaltyPeak",
    "classical_threshold",
    "critical_penalty",
    "highest_penalty",
    "symmetry_breaking",
]

_PAIR_STARTS = ((1.0, 0.95, 0.03, 0.06), (0.95, 0.75, 0.05, 0.1), (0.8, 0.78, 0.1, 0.1))
_PARTIAL_STARTS = ((1.0, 0.3, 0.08, 0.37), (1.0, 0.2, 0.05, 0.4), (0.97, 0.4, 0.12, 0.45))
_SCAN, _SCAN_STEP = 50, 0.001  # in λ, to bracket where the symmetric pair is a saddle
_SLOPE = 0.1  # roughly −∂λ_c/∂s where λ_c vanishes
_NEAR = 0.1  # distance from the end of the pair, over its density, at which to start there
_LOWER = 1e-9  # relative; descents end within rounding of their minimum


@dataclass(frozen=True)
class ClassicalThreshold:
    """The surface λ_c(r, s) of the three closed forms, for r ≤ 1; mirror images hold beyond.

    Attributes
    ----------
    surface
        λ_c(r, s), where the antipodal pair and the dedicated feature have one loss.
    best_density
        The density at which it is largest, as a function of r.
    maximum
        Its value there: above it there is no antipodal pair at this r.
    """

    surface: sympy.Expr
    best_density: sympy.Expr
    maximum: sympy.Expr

    @property
    def triple_points(self) -> tuple[sympy.Expr, ...]:
        """Densities at r = 1 at which the pair and both dedicated features meet, functions of λ."""
        equation = sympy.Poly(self.surface.subs(r, 1) - lam, s)
        return tuple(sorted(sympy.roots(equation), key=lambda root: float(root.subs(lam, 0))))

    @property
    def boundary(self) -> sympy.Expr:
        """The relative importance r(s, λ) from which the pair is the lowest, for r ≤ 1."""
        (solution,) = sympy.solve(self.surface - lam, r)
        return sympy.cancel(solution)

    @property
    def least_importance(self) -> sympy.Expr:
        """The least r at which there is an antipodal pair at all, as a function of λ."""
        solutions = sympy.solve(self.maximum - lam, r)
        return max(solutions, key=lambda root: float(root.subs(lam, sympy.Rational(1, 100))))


@lru_cache(maxsize=1)
def classical_threshold() -> ClassicalThreshold:
    """Derive the surface from the losses of the dedicated feature and the antipodal pair.

    Examples
    --------
    >>> threshold = classical_threshold()
    >>> threshold.maximum
    r**2/(6*(5*r + 2))
    >>> threshold.maximum.subs(r, 1)
    1/42
    """
    _, dedicated, pair = candidates(2, 1)
    excess = sympy.expand(pair.loss(penalty=lam) - dedicated.loss())
    (surface,) = sympy.solve(excess, lam)
    (density,) = sympy.solve(sympy.diff(surface, s), s)
    maximum = sympy.factor(surface.subs(s, density))
    return ClassicalThreshold(sympy.expand(surface), sympy.factor(density), maximum)


def critical_penalty(
    importance: Any, density: Any, *, guess: float | None = None, digits: int = 20
) -> Meeting:
    """Return the penalty at which the antipodal pair stops being the lowest known minimum.

    The pair's loss is compared with that of the dedicated feature, and with that of partial
    superposition where there is such a minimum at that penalty.

    Parameters
    ----------
    importance, density
        Exact rationals, 0 < r ≤ 1 and 0 < s < 1.
    guess
        Where to begin; by default a multiple of the classical surface.
    digits
        Places after the point that shall be certain.

    Returns
    -------
    Meeting
        With λ among its `values`; `points[1]` is the phase that takes over.

    Raises
    ------
    ValueError
        If r or s is out of range, or s lies beyond `antipodal_end`.
    UncertifiedRootError
        If the point is not proved.

    Examples
    --------
    >>> found = critical_penalty(1, sympy.Rational(1, 5))
    >>> print(found.values[lam].decimal(12), found.points[1].phase.name)
    0.037553954792 dedicated
    """
    at = {r: sympy.Rational(importance), s: sympy.Rational(density)}
    if not 0 < at[r] <= 1 or not 0 < at[s] < 1:
        raise ValueError(
            f"expected 0 < r ≤ 1 and 0 < s < 1, got r = {at[r]}, s = {at[s]}; for r > 1 exchange "
            f"the features: λ_c(r, s) = r λ_c(1/r, s)"
        )
    if guess is None:
        end = _end(at[r])
        left = float(end.s) - float(at[s])
        if left <= 0:
            raise ValueError(
                f"at r = {at[r]} the antipodal pair is the lowest known minimum up to the density "
                f"{end.s.decimal(8)} only, at any penalty; got s = {at[s]}"
            )
        if left < _NEAR * float(end.s):
            return _near_the_end(end, at, _SLOPE * left, digits)
    guesses = _first_guesses(at) if guess is None else (guess,)
    against_dedicated = _first_meeting(dedicated_phase(), at, guesses, digits)
    rival = _partial_below(against_dedicated)
    if rival is None:
        return against_dedicated
    pair = against_dedicated.points[0]
    followed = pair.phase.at([float(pair.root[x]) for x in pair.chamber.parameters])
    value = float(against_dedicated.values[lam])
    return meet([followed, rival], at=at, guess={lam: value}, penalty=lam, digits=digits)


def _first_guesses(at: dict[sympy.Symbol, sympy.Rational]) -> tuple[float, ...]:
    # Optimized pairs pay less penalty than [1, −1] does, and last about half as long again; where
    # no unit pair lasts at all, and at low density, little penalty is enough.
    classical = max(float(classical_threshold().surface.subs(at)), 0.0)
    guesses = (1.4 * classical, 2e-3, 0.7 * classical, 3e-4, 3e-5, 3e-6)
    return tuple(guess for guess in guesses if guess > 0)


def _first_meeting(
    rival: Phase, at: dict[sympy.Symbol, sympy.Rational], guesses: tuple[float, ...], digits: int
) -> Meeting:
    for guess, start in product(guesses, _PAIR_STARTS):
        pair = opposed_phase("antipodal", start)
        with suppress(UncertifiedRootError):
            return meet([pair, rival], at=at, guess={lam: guess}, penalty=lam, digits=digits)
    raise UncertifiedRootError(
        f"no point at which the pair gives way was found at r = {at[r]}, s = {at[s]}",
        [float(x) for x in at.values()],
    )


@lru_cache(maxsize=16)
def _end(importance: sympy.Rational) -> Meeting:
    return antipodal_end(importance=importance, digits=8)


def _near_the_end(
    end: Meeting, at: dict[sympy.Symbol, sympy.Rational], guess: float, digits: int
) -> Meeting:
    """Return the meeting close to the line on which λ_c vanishes, from what meets there."""
    starts = [[float(p.root[x]) for x in p.chamber.parameters] for p in end.points]
    pair = opposed_phase("antipodal", starts[0])
    is_partial = end.points[1].phase.name == "partial"
    rival = opposed_phase("partial", starts[1]) if is_partial else dedicated_phase()
    return meet([pair, rival], at=at, guess={lam: guess}, penalty=lam, digits=digits)


@lru_cache(maxsize=1)
def _penalized() -> Atlas:
    family = antipodal_family()
    return Atlas(family, family.terms(s, (1, r), lam))


def _partial_below(meeting: Meeting) -> Phase | None:
    """Return partial superposition if descent finds such a minimum below the common loss."""
    atlas = _penalized()
    values = [float(meeting.values[symbol]) for symbol in atlas.symbols]
    ends = [atlas.descend(start, values) for start in _PARTIAL_STARTS]
    # Where the pair itself is uneven, the same minimum is found again, with the same loss.
    least = float(meeting.loss) * (1 - _LOWER)
    lower = [point for loss, point in filter(None, ends) if loss < least and point[1] < point[0]]
    return opposed_phase("partial", lower[0]) if lower else None


@dataclass(frozen=True)
class PenaltyPeak:
    """The highest point of the exact surface λ_c(r, ·) at one relative importance.

    Attributes
    ----------
    root
        Certified parameters, with s and λ.
    rival
        The phase that has the same loss there.
    """

    root: CertifiedRoot
    rival: str

    @property
    def s(self) -> Enclosure:
        """The density of the highest point."""
        return self.root[s]

    @property
    def penalty(self) -> Enclosure:
        """The penalty above which the optimized pair never is as low as the dedicated feature."""
        return self.root[lam]


def highest_penalty(importance: Any, *, digits: int = 20) -> PenaltyPeak:
    """Solve for the density at which the pair outlasts the dedicated feature the longest.

    At the maximum of λ_c over s the two losses are equal, and so are their slopes along s.

    Parameters
    ----------
    importance
        Exact rational, 0 < r ≤ 1.
    digits
        Places after the point that shall be certain.

    Examples
    --------
    Unit weights give way at 1/42 = 0.0238 already:

    >>> peak = highest_penalty(1)
    >>> print(peak.penalty.decimal(10), peak.s.decimal(10))
    0.0395521542 0.2672991012
    """
    value = sympy.Rational(importance)
    density = float(classical_threshold().best_density.subs(r, value))
    near = critical_penalty(value, sympy.Rational(round(density * 1000), 1000), digits=8)
    gap = near.root.equations[-1]
    root = certify_root(
        (*near.root.equations, sympy.diff(gap, s)),
        (*near.root.symbols, s),
        [*map(float, near.root.enclosures), density],
        fixed={r: value},
        digits=digits,
    )
    return PenaltyPeak(root, near.points[1].phase.name)


def symmetry_breaking(density: Any, *, digits: int = 20) -> CertifiedRoot:
    """Solve for the penalty at which the symmetric pair at r = 1 becomes a saddle.

    Beyond it the columns of the minimum differ in length: the Hessian's block on the moves that
    exchange length and bias between the two features, which is 2 × 2, has a zero eigenvalue
    there. The uneven pair may be lower already before.

    Parameters
    ----------
    density
        An exact rational.
    digits
        Places after the point that shall be certain.

    Returns
    -------
    CertifiedRoot
        Of the pair's weight and bias and of λ, by the symbols of `symmetric_pair_family` and `lam`.

    Examples
    --------
    >>> print(symmetry_breaking(sympy.Rational(1, 10))[lam].decimal(10))
    0.0246820976
    """
    value = sympy.Rational(density)
    atlas = _penalized()
    a, c, p, q = atlas.family.parameters
    start = _symmetric_minimum(float(value))
    chamber = atlas.chamber(start[:4])
    even = {c: a, q: p, r: sympy.S.One}
    hessian = chamber.hessian
    block = sympy.Matrix(
        [[hessian[0, 0] - hessian[0, 1], hessian[0, 2] - hessian[0, 3]],
         [hessian[0, 2] - hessian[0, 3], hessian[2, 2] - hessian[2, 3]]]
    )  # fmt: skip
    gradient = [chamber.gradient[k] for k in (0, 2)]
    equations = [
        sympy.numer(sympy.cancel(sympy.together(entry.subs(even))))
        for entry in (*gradient, block.det())
    ]
    return certify_root(
        equations, (a, p, lam), (start[0], start[2], start[4]), fixed={s: value}, digits=digits
    )


def _symmetric_minimum(density: float) -> list[float]:
    """Return weight and bias of the symmetric pair just before it loses its stability, and λ."""
    atlas = _penalized()
    best = [0.95, 0.95, 0.05, 0.05]
    found = [*best, 0.0]
    for k in range(_SCAN):
        value = k * _SCAN_STEP
        end = atlas.descend(best, [value, 1.0, density])
        if end is None or abs(end[1][0] - end[1][1]) > _SCAN_STEP:
            return found
        best = end[1]
        found = [*best, value]
    return found
