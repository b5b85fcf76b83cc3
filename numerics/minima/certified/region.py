"""The bounded region outside of which no minimizer is, proved.

Let U be the loss of some model, at most I_i (s_i/3 − s_i²/4) for both i: dropping feature i and
reconstructing the other perfectly costs that much. All of the following is about a minimizer.

*No output is dead.* A dead output alone costs I_i s_i/3 > U. So b_i > −g_i − max(0, c).

*Biases are at most 1 + max(0, −c).* Else z ≥ 1 for every input, and where z ≥ 1 the error is at
least (1 − x)², so that it costs at least I_i (1 − 2 s_i/3) ≥ I_i s_i/3 > U.

*Weights are bounded.* While feature i is on, z = g x + y with y independent of x, so that

    F ≥ s_i v(g),    v(g) = min over y of ∫₀¹ (x − (g x + y)₊)² dx = ((g − 1)/(g + 1))²/3,  g ≥ 1:

for y ≥ 0 ≥ 1 − g the output exceeds x, and falls towards it as y falls; for −g < y < 0, with
w = (y + g)/g, the integral is (v³ + 3 v² w − 3 (g − 1) v w² + (g − 1)² w³)/3, v = 1 − w, whose
derivative by y is −w (2 v − (g − 1) w): the minimum is at w = 2/(g + 1). As v(g) grows with g, every
g_i beyond one with I_i s_i v(g_i) > U is excluded.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from ...arguments import Floats


def largest_coupling(importance: float, density: float, loss: float) -> float:
    """Return a g ≥ 1 with I s v(g) > U, and so for every larger g, proved in rational arithmetic.

    Raises
    ------
    ValueError
        If there is none, because U ≥ I s/3.

    Examples
    --------
    >>> 1.0 < largest_coupling(1.0, 0.5, 0.0) < 1.00001
    True
    """
    worst = Fraction(importance) * Fraction(density)
    if not 3 * Fraction(loss) < worst:
        raise ValueError(
            f"the loss must be below importance · density / 3 = {float(worst) / 3}, got {loss}"
        )
    root = math.sqrt(3.0 * loss / (importance * density))
    excess = 1e-6
    while True:
        # Doubling the excess ends, because (1 + root)/(1 − root) is but rounded.
        guess = 1.0 + (2.0 * root / max(1.0 - root, 1e-15) + excess) * (1.0 + excess)
        g = Fraction(guess)
        if worst * (g - 1) ** 2 > 3 * Fraction(loss) * (g + 1) ** 2:
            return guess
        excess *= 2.0


def search_region(importance: Floats, density: Floats, loss: float) -> Floats:
    """Enclose all minimizers with W₁ ≥ 0 in a box.

    Every minimizer is one of these or the negative of one.

    Parameters
    ----------
    importance, density : ndarray of shape (2,)
    loss : float
        An upper bound of the minimum, at most I_i (s_i/3 − s_i²/4) up to rounding.

    Returns
    -------
    ndarray of shape (4, 2)
        Ends for W₁, W₂, b₁, b₂.
    """
    lengths = []
    for i in range(2):
        g = largest_coupling(float(importance[i]), float(density[i]), loss)
        lengths.append(math.sqrt(g) * (1.0 + 1e-12))
    cross = lengths[0] * lengths[1] * (1.0 + 1e-12)
    reach = [(-(w * w) * (1.0 + 1e-12) - cross, 1.0 + cross) for w in lengths]
    return np.array([(0.0, lengths[0]), (-lengths[1], lengths[1]), *reach])
