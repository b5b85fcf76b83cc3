"""Where the optimized antipodal pair of two features stops being the best, with certified digits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import sympy

from ..inputs import as_exact
from ..symbols import r, s
from .partial_superposition import TripleMeeting, triple_meeting
from .transitions import Meeting, dedicated_phase, meet, opposed_phase

__all__ = ["antipodal_end"]

# Roughly where the line runs, and what pair and partial superposition look like on it: places to
# start from. Where the line is, is then solved for and proved.
_LINE: Final = np.array(
    [  # r, s; a, c, p, q of the pair; a, c, p, q of partial superposition
        (0.0, 0.0, 1.0, 0.586, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0),
        (0.114, 0.2, 1.027, 0.646, 0.003, 0.067, 1.0, 0.0, 0.0, 0.1),
        (0.337, 0.4, 1.046, 0.734, 0.023, 0.141, 1.0, 0.0, 0.0, 0.2),
        (0.536, 0.5, 1.030, 0.756, 0.061, 0.197, 1.0, 0.0, 0.0, 0.25),
        (0.5641, 0.5117, 1.024, 0.756, 0.068, 0.206, 1.0004, 0.0034, 0.0003, 0.2567),
        (0.585, 0.52, 1.020, 0.754, 0.074, 0.213, 1.012, 0.116, 0.012, 0.287),
        (0.665, 0.55, 0.999, 0.746, 0.100, 0.241, 1.015, 0.243, 0.033, 0.327),
        (0.808, 0.6, 0.946, 0.711, 0.157, 0.297, 0.998, 0.363, 0.075, 0.369),
        (0.926, 0.65, 0.891, 0.666, 0.214, 0.350, 0.962, 0.455, 0.132, 0.399),
        (0.944, 0.66, 0.880, 0.662, 0.225, 0.357, 0.952, 0.473, 0.146, 0.404),
        (0.986, 0.69, 0.834, 0.683, 0.272, 0.365, 0.924, 0.513, 0.185, 0.416),
        (0.995, 0.7, 0.799, 0.715, 0.302, 0.354, 0.918, 0.517, 0.194, 0.421),
        (1.0, 0.706, 0.755, 0.755, 0.334, 0.334, 0.916, 0.516, 0.198, 0.425),
    ]
)


@lru_cache(maxsize=1)
def _triple_point() -> TripleMeeting:
    return triple_meeting(digits=8)


def antipodal_end(*, density: Any = None, importance: Any = None, digits: int = 25) -> Meeting:
    """Return the point at which the antipodal pair gives way, on the exact diagram of (2, 1).

    Below the triple point of the diagram the dedicated feature takes over, above it partial
    superposition. Either way the weights jump.

    Parameters
    ----------
    density
        An exact rational in (0, s_1], for which the relative importance is solved for; s_1 =
        0.7064… is the density at which the line reaches r = 1.
    importance
        An exact rational in (0, 1], for which the density is solved for. One of the two is given.
    digits
        Places after the point that shall be certain.

    Returns
    -------
    Meeting
        With `.r`, `.s`, the two minima as `.points`, `.kind` and `.kink`.

    Raises
    ------
    ValueError
        If not exactly one of the two is given, or it is out of range.
    UncertifiedRootError
        If the point is not proved.

    Examples
    --------
    The closed forms meet at r = 2s/(4 − 5s), which is 2/3 at s = 1/2:

    >>> end = antipodal_end(density=sympy.Rational(1, 2), digits=12)
    >>> print(end.r.decimal(10), end.points[1].phase.name)
    0.5357387641 dedicated
    """
    if (density is None) == (importance is None):
        raise ValueError("pass either density or importance")
    symbol, wanted = (s, r) if importance is None else (r, s)
    value = as_exact(importance if density is None else density, str(symbol))
    highest = sympy.Rational(7064, 10000) if symbol == s else sympy.S.One
    if not value.is_Rational or not 0 < value <= highest:
        name = "density" if symbol == s else "importance"
        raise ValueError(f"{name} must be a rational number in (0, {highest}], got {value}")
    column = _LINE[:, 1 if symbol == s else 0]
    near_r, near_s, *start = (
        float(np.interp(float(value), column, entries)) for entries in _LINE.T
    )
    guess = near_r if symbol == s else near_s
    triple = _triple_point()
    pair = opposed_phase("antipodal", start[:4])
    rival = dedicated_phase()
    if float(value) > float(triple.s if symbol == s else triple.r):
        rival = opposed_phase("partial", start[4:])
    return meet([pair, rival], at={symbol: value}, guess={wanted: guess}, digits=digits)
