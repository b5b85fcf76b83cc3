"""Lower bounds of quadratics over the cube [−1, 1]⁴, by convexity that is proved.

A symmetric matrix is proved to be positive semidefinite by a Cholesky factorization in floats: if
it runs to its end for A − m·1 with a margin m of at least about 6·10⁻¹⁶ times the trace, then A is
positive semidefinite in spite of all rounding (Rump, BIT 46 (2006) 433). The margin taken here is
10⁻¹³ times the sum of the sizes of the diagonal, which also covers the rounding of the shifts.

For any point û of the cube, a convex q is at least its tangent at û, and so

    min q ≥ q(û) + Σ_i min over |u_i| ≤ 1 of ∂_i q(û) (u_i − û_i) = q(û) − Σ_i (|∂_i q| + û_i ∂_i q).

That is evaluated in intervals. How û, the shift and the eigenvalues were guessed does not matter.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from ...compiled import compiled
from .intervals import ZERO, above, add, below, exactly, multiply, subtract

Floats = NDArray[Any]

MARGIN = 1e-13
SIZE = 4


@compiled
def is_positive(matrix: Floats, shift: float, factor: Floats) -> bool:
    """Prove that matrix + shift·1 is positive semidefinite; False says nothing."""
    margin = 0.0
    for k in range(SIZE):
        margin += MARGIN * (abs(matrix[k, k]) + abs(shift))
    for j in range(SIZE):
        pivot = matrix[j, j] + shift - margin
        for k in range(j):
            pivot -= factor[j, k] * factor[j, k]
        if not pivot > 0.0:
            return False
        factor[j, j] = math.sqrt(pivot)
        for i in range(j + 1, SIZE):
            entry = matrix[i, j]
            for k in range(j):
                entry -= factor[i, k] * factor[j, k]
            factor[i, j] = entry / factor[j, j]
    return True


@compiled
def _rotate(matrix: Floats, p: int, q: int) -> None:
    """Annihilate the entry (p, q) by a rotation (Jacobi)."""
    angle = 0.5 * math.atan2(2.0 * matrix[p, q], matrix[q, q] - matrix[p, p])
    cosine, sine = math.cos(angle), math.sin(angle)
    for k in range(SIZE):
        x, y = matrix[k, p], matrix[k, q]
        matrix[k, p], matrix[k, q] = cosine * x - sine * y, sine * x + cosine * y
    for k in range(SIZE):
        x, y = matrix[p, k], matrix[q, k]
        matrix[p, k], matrix[q, k] = cosine * x - sine * y, sine * x + cosine * y


@compiled
def least_eigenvalue(matrix: Floats, rotated: Floats) -> float:
    """Approximate the least eigenvalue by four sweeps of rotations."""
    for i in range(SIZE):
        for j in range(SIZE):
            rotated[i, j] = matrix[i, j]
    for _ in range(4):
        for p in range(SIZE - 1):
            for q in range(p + 1, SIZE):
                _rotate(rotated, p, q)
    least = math.inf
    for k in range(SIZE):
        least = min(least, rotated[k, k])
    return least


@compiled
def convexifying_shift(matrix: Floats, rotated: Floats, factor: Floats) -> float:
    """Return a shift of at least 0 that makes the matrix positive, proved; infinite if none is."""
    if is_positive(matrix, 0.0, factor):
        return 0.0
    size = 0.0
    for k in range(SIZE):
        size += abs(matrix[k, k])
    shift = max(0.0, -least_eigenvalue(matrix, rotated)) + 1e-11 * size
    for _ in range(4):
        if is_positive(matrix, shift, factor):
            return shift
        shift = 1.5 * shift + 1e-10 * size
    return math.inf


@compiled
def _guess_minimizer(matrix: Floats, shift: float, slope: Floats, point: Floats) -> None:
    """Descend along one coordinate at a time, inside the cube."""
    point[:] = 0.0
    for _ in range(12):
        for i in range(SIZE):
            rest = 0.5 * (slope[i, 0] + slope[i, 1])
            for j in range(SIZE):
                if j != i:
                    rest += matrix[i, j] * point[j]
            diagonal = matrix[i, i] + shift
            if diagonal > 0.0:
                point[i] = min(1.0, max(-1.0, -rest / diagonal))


@compiled
def minimum_over_cube(matrix: Floats, shift: float, slope: Floats, point: Floats) -> float:
    """Return a lower bound of slope·u + ½ uᵀ (matrix) u over the cube.

    Parameters
    ----------
    matrix : ndarray of shape (4, 4)
        Symmetric.
    shift : float
        Makes matrix + shift·1 positive semidefinite. On the cube the shift adds at most ½·4·shift.
    slope : ndarray of shape (4, 2)
        Enclosures.
    point : ndarray of shape (4,)
        Room for the guess.
    """
    _guess_minimizer(matrix, shift, slope, point)
    total = ZERO
    for i in range(SIZE):
        u = exactly(point[i])
        own_slope = (slope[i, 0], slope[i, 1])
        change = add(own_slope, multiply(exactly(shift), u))
        for j in range(SIZE):
            change = add(change, multiply(exactly(matrix[i, j]), exactly(point[j])))
        # q(u) = Σ ½ u_i (slope_i + ∂_i q)
        half = exactly(0.5 * point[i])
        total = add(total, multiply(half, add(own_slope, change)))
        total = subtract(total, multiply(change, u))
        total = subtract(total, exactly(max(abs(change[0]), abs(change[1]))))
    return below(total[0] - above(2.0 * shift))
