"""Mean squared errors of outputs over the values of one or two features that are on.

Hidden dimensions have no biases: along a ray from the origin an output is affine up to its own
ReLU, and the lines on which hidden dimensions change sign all pass through the origin. They cut the
unit square into triangles with a corner there, on which an output is affine; the line on which the
output is 0 cuts each into three. On every part the squared error is a polynomial, for which a Gauss
rule is exact. It has positive weights and squares are not negative, so that nothing cancels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...values import ValueDistribution
from ..arguments import Floats
from .models import rectified

__all__ = ["GaussRule", "gauss_rule", "mean_over_one", "mean_over_two"]


class GaussRule(NamedTuple):
    """Rules that are exact for a squared error times the density of the values.

    Attributes
    ----------
    nodes, weights : ndarray of shape (q,)
        On [0, 1].
    corners : ndarray of shape (q², 3)
        Barycentric coordinates of the nodes in a triangle.
    corner_weights : ndarray of shape (q²,)
        Of them; the sum is 1.
    density : ndarray
        Coefficients of the density p of |x|, the constant first.
    """

    nodes: Floats
    weights: Floats
    corners: Floats
    corner_weights: Floats
    density: Floats

    def density_at(self, x: Floats) -> Floats:
        """Return p(x)."""
        return np.asarray(np.polynomial.polynomial.polyval(x, self.density))


def gauss_rule(values: ValueDistribution) -> GaussRule:
    """Return the rules for values with a density of degree d.

    In a triangle the integrand has degree 2 + 2 d. Stretched to a square (Duffy 1982) it has one
    degree more, which d + 2 nodes along each side reach.
    """
    density = np.array([float(c) for c in values.coefficients])
    nodes, weights = np.polynomial.legendre.leggauss(len(density) + 1)
    nodes, weights = 0.5 + 0.5 * nodes, 0.5 * weights
    along, across = (values.ravel() for values in np.meshgrid(nodes, nodes, indexing="ij"))
    corners = np.stack([1 - along, along * (1 - across), along * across], axis=-1)
    corner_weights = np.outer(weights * nodes * 2, weights).ravel()
    return GaussRule(nodes, weights, corners, corner_weights, density)


def mean_over_one(b: Floats, slope: Floats, target: Floats, rule: GaussRule, relu: bool) -> Floats:
    """Return E (σ(b + slope·u) − target·u)² over a value u in [0, 1].

    Parameters
    ----------
    b, slope, target : ndarray, broadcasting to a common shape
    rule : GaussRule
    relu : bool
        Whether σ is ReLU.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        kink = np.where(slope * b < 0, np.minimum(-b / slope, 1.0), 1.0)[..., None]
    mean = np.zeros(1)
    for start, width in ((np.zeros_like(kink), kink), (kink, 1 - kink)):
        u = start + width * rule.nodes
        error = rectified(b[..., None] + slope[..., None] * u, relu) - target[..., None] * u
        mean = mean + width[..., 0] * ((error**2 * rule.density_at(u)) @ rule.weights)
    return mean


def mean_over_two(
    b: Floats,
    decoder: Floats,
    encoder: Floats,
    target: int,
    rule: GaussRule,
    *,
    relu: bool,
    relu_hidden: bool,
) -> Floats:
    """Return E (σ(z) − target·u₁)² with z = b + Σ_a v_a ρ(w_a1 u₁ + w_a2 u₂), values in [0, 1].

    Parameters
    ----------
    b : ndarray of shape (rows,)
    decoder : ndarray of shape (rows, n_hidden)
        The v_a.
    encoder : ndarray of shape (rows, n_hidden, 2)
        The w_a1 and w_a2.
    target : int
    rule : GaussRule
    relu, relu_hidden : bool
        Whether σ and ρ are ReLU.

    Returns
    -------
    ndarray of shape (rows,)
    """
    ends = _ends_of_rays(encoder)
    hidden = rectified(np.einsum("rac,rkc->rka", encoder, ends), relu_hidden)
    outputs = b[:, None] + np.einsum("ra,rka->rk", decoder, hidden)
    # An affine function of the position, given by its values at the corners of every triangle: the
    # output and the two coordinates.
    rim = np.concatenate([outputs[..., None], ends], axis=-1)
    center = np.zeros_like(rim[:, 1:])
    center[..., 0] = b[:, None]
    corners = np.stack([center, rim[:, :-1], rim[:, 1:]], axis=2)
    first, second = ends[:, :-1], ends[:, 1:]
    area = 0.5 * (first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])
    parts, shares = _cut_at_zero(corners)
    z, u1, u2 = np.moveaxis(np.einsum("kv,rtpvc->rtpkc", rule.corners, parts), -1, 0)
    squares = (rectified(z, relu) - target * u1) ** 2 * rule.density_at(u1) * rule.density_at(u2)
    return np.asarray(np.einsum("rtpk,k,rtp,rt->r", squares, rule.corner_weights, shares, area))


def _ends_of_rays(encoder: Floats) -> Floats:
    """Return where the rays on which hidden dimensions change sign leave the unit square.

    In order from (1, 0) to (0, 1), with these and (1, 1): shape (rows, n_hidden + 3, 2). A hidden
    dimension that keeps its sign adds (1, 0) once more, and a triangle without area.
    """
    first, second = abs(encoder[..., 0]), abs(encoder[..., 1])
    turns = np.sign(encoder[..., 0]) * np.sign(encoder[..., 1]) < 0  # in any units
    # The way along the rim, of length 2.
    with np.errstate(divide="ignore", invalid="ignore"):
        way = np.where(first <= second, first / second, 2 - second / first)
    way = np.where(turns, way, 0.0)
    fixed = np.broadcast_to([0.0, 1.0, 2.0], (len(way), 3))
    way = np.sort(np.concatenate([way, fixed], axis=1), axis=1)
    return np.stack([np.minimum(2 - way, 1), np.minimum(way, 1)], axis=-1)


def _cut_at_zero(corners: Floats) -> tuple[Floats, Floats]:
    """Cut triangles in three where the first component, affine in each, is zero.

    Parameters
    ----------
    corners : ndarray of shape (..., 3, components)

    Returns
    -------
    parts : ndarray of shape (..., 3, 3, components)
        Corners of three triangles each.
    shares : ndarray of shape (..., 3)
        Their shares of the area; some are 0.
    """
    order = np.argsort(corners[..., 0], axis=-1)
    # The corner whose output has a sign of its own, if one has: the lowest or the highest.
    low = np.take_along_axis(corners[..., 0], order[..., 1:2], axis=-1) > 0
    order = np.where(low, order, order[..., ::-1])
    lone, one, other = np.moveaxis(np.take_along_axis(corners, order[..., None], axis=-2), -2, 0)
    to_one, to_other = (_way_to_zero(lone[..., 0], end[..., 0]) for end in (one, other))
    p = lone + to_one[..., None] * (one - lone)
    q = lone + to_other[..., None] * (other - lone)
    parts = [np.stack(part, axis=-2) for part in ((lone, p, q), (p, one, other), (p, other, q))]
    shares = [to_one * to_other, 1 - to_one, to_one * (1 - to_other)]
    return np.stack(parts, axis=-3), np.stack(shares, axis=-1)


def _way_to_zero(start: Floats, end: Floats) -> Floats:
    """Return the fraction of the way from `start` to `end` at which 0 is crossed, or 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(start * end < 0, start / (start - end), 1.0)
