"""What the difference between theory and a trained picture is due to: along one order, and in all.

`ladder` switches one cause after the other. `shares` averages over all orders, which is Shapley's
value, the only division that is symmetric and adds up (Shapley 1953).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import factorial
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["FACTORS", "Rung", "ladder", "picture", "share_of_points", "shares"]

Codes = NDArray[np.int8]
Places = frozenset[str]

FACTORS: Final = ("reading", "noise", "inputs", "mask")
"""What is switched, in the order of `ladder`.

reading
    From the best of the replicas to the majority of thresholded classes.
noise
    From the exact gradient of the population loss to that of sampled batches.
inputs
    From independent features to co-active ones.
mask
    From a mask per example to a mask per batch.
"""


@dataclass(frozen=True)
class Rung:
    """One step from the theory to the picture.

    Attributes
    ----------
    change : str
        What was switched.
    agreement : float
        Share of points with the class of the theory, after it.
    changed : float
        Share of points whose class the step changed.
    """

    change: str
    agreement: float
    changed: float


def _switched(maps: xr.Dataset, on: Places) -> Codes:
    """Return the trained map with some factors switched."""
    choice = {
        "reading": "roe2023" if "reading" in on else "best",
        "noise": "sampled" if "noise" in on else "exact",
        "inputs": "co-active" if "inputs" in on else "independent",
        "mask": "batch" if "mask" in on else "example",
    }
    return np.asarray(maps.trained.sel(choice).values)


def picture(maps: xr.Dataset) -> Codes:
    """Return the map that the replication drew: every factor switched."""
    return _switched(maps, frozenset(FACTORS))


def share_of_points(first: Codes, second: Codes) -> float:
    """Return the share of points with the same class."""
    return float((first == second).mean())


def ladder(maps: xr.Dataset) -> tuple[Rung, ...]:
    """Go from the theory to the picture of the replication, one switch at a time.

    Parameters
    ----------
    maps : xarray.Dataset
        From `attribution`.

    Returns
    -------
    tuple of Rung
        The first is the exact optimum, the second the best of the replicas, trained on the exact
        gradient; then `FACTORS` follow.
    """
    theory = maps.theory.sel(inputs="independent").values
    stages = [
        ("the exact optimum in place of closed forms", maps.optimum.sel(inputs="independent")),
        ("training on the exact gradient, best replica", _switched(maps, frozenset())),
    ]
    words = {
        "reading": "majority of thresholded classes",
        "noise": "sampled gradients",
        "inputs": "co-active features",
        "mask": "one mask per batch",
    }
    for k, factor in enumerate(FACTORS):
        stages.append((words[factor], _switched(maps, frozenset(FACTORS[: k + 1]))))
    rungs, before = [], theory
    for change, stage in stages:
        now = np.asarray(stage)
        rungs.append(Rung(change, share_of_points(now, theory), 1 - share_of_points(now, before)))
        before = now
    return tuple(rungs)


def shares(maps: xr.Dataset) -> dict[str, float]:
    """Divide the disagreement between theory and picture among its causes.

    Parameters
    ----------
    maps : xarray.Dataset
        From `attribution`.

    Returns
    -------
    dict
        Shares of all points, which add up to the disagreement. "theory" is what the exact optimum
        disagrees in, "training" what the best replica on the exact gradient adds; the others
        are `FACTORS`, each averaged over all orders in which they can be switched. Negative where
        a cause brings the picture nearer to the theory.
    """
    theory = maps.theory.sel(inputs="independent").values
    optimum = 1 - share_of_points(maps.optimum.sel(inputs="independent").values, theory)

    def disagreement(on: Places) -> float:
        return 1 - share_of_points(_switched(maps, on), theory)

    found = {"theory": optimum, "training": disagreement(frozenset()) - optimum}
    found.update({factor: _shapley(factor, disagreement) for factor in FACTORS})
    return found


def _shapley(factor: str, value: Callable[[Places], float]) -> float:
    others = [other for other in FACTORS if other != factor]
    n, total = len(FACTORS), 0.0
    for chosen in product((False, True), repeat=len(others)):
        on = frozenset(name for name, is_on in zip(others, chosen, strict=True) if is_on)
        weight = factorial(len(on)) * factorial(n - 1 - len(on)) / factorial(n)
        total += weight * (value(on | {factor}) - value(on))
    return total
