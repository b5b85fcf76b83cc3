"""Maps of classes over density and relative importance: of theory, exact optimum and training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ...features import FeatureDistribution
from ...numerics import train, train_on_population
from ...numerics.sampling.batches import Mask
from ..readings import READINGS, class_of_phase, judge
from ..sweeps.configuration import PhaseDiagramConfiguration
from ..sweeps.points import Points, judged, optimum, theory

__all__ = ["Noise", "on_other_data", "optimum_maps", "theory_map", "trained_maps"]

Codes = NDArray[np.int8]
Noise = Literal["exact", "sampled"]

_ALL: Final = slice(None)
_MODELS_PER_BLOCK: Final = 200_000


def on_other_data(
    configuration: PhaseDiagramConfiguration, features: FeatureDistribution, mask: Mask = "example"
) -> PhaseDiagramConfiguration:
    """Return the same diagram on other data."""
    return replace(
        configuration, features=features, protocol=replace(configuration.protocol, mask=mask)
    )


def theory_map(configuration: PhaseDiagramConfiguration) -> Codes:
    """Return the class of the best candidate at each point, shape (densities, importances)."""
    return class_of_phase(theory(Points.of(configuration, _ALL, _ALL))["theory_phase"])


def optimum_maps(configuration: PhaseDiagramConfiguration) -> tuple[Codes, Codes]:
    """Return the phase of the exact optimum, and its class by the thresholds of `judge`."""
    rows = max(1, _MODELS_PER_BLOCK // (len(configuration.importance) * configuration.starts))
    parts = []
    for first in range(0, len(configuration.density), rows):
        found = optimum(Points.of(configuration, slice(first, first + rows), _ALL))
        parts.append((found["optimum_phase"], judge(found["optimum_W"])))
    phases, classes = zip(*parts, strict=True)
    return np.concatenate(phases), np.concatenate(classes)


def trained_maps(
    configuration: PhaseDiagramConfiguration,
    noise: Noise,
    checkpoint: Path | None = None,
    *,
    progress: bool = False,
) -> dict[str, Codes]:
    """Train all models of a diagram, and read them by each of `READINGS`.

    Parameters
    ----------
    configuration : PhaseDiagramConfiguration
    noise : {"exact", "sampled"}
        Whether gradients are those of the population loss, or of sampled batches.
    checkpoint : Path, optional
        File for the state of sampled training.
    progress : bool
        Whether sampled training shows a progress bar.

    Returns
    -------
    dict of ndarray of int8, shape (densities, importances)
    """
    points = Points.of(configuration, _ALL, _ALL)
    arguments: dict[str, Any] = {
        **points.model(), "protocol": configuration.protocol,
        "replicas": configuration.replicas, "seed": configuration.seed,
    }  # fmt: skip
    if noise == "exact":
        result: Any = train_on_population(2, 1, **arguments)
    else:
        result = train(2, 1, **arguments, checkpoint=checkpoint, progress=progress)
    W, b, loss = judged(points, result.W, result.b, result.diverged)
    phase = points.classify(W, b, points.density[..., np.newaxis])
    return {name: rule(W, phase, loss) for name, rule in READINGS.items()}
