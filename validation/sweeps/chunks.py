"""How a sweep is divided into the chunks that are computed, checked and kept as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory import candidates
from ..phases import phase_names
from .axes import SweepConfiguration
from .configuration import RESULTS_VERSION, PhaseDiagramConfiguration
from .points import VARIABLES, compute_points
from .versions import library_versions

__all__ = ["ChunkGrid", "ChunkResult", "Place", "compute_chunk"]

Place = tuple[int, ...]
Values = dict[str, NDArray[Any]]

_MODELS_PER_CHUNK = 4096
_NUMBERS_PER_CHUNK = 2**24  # weights of the search's starts: 128 MiB


@dataclass(frozen=True)
class ChunkGrid:
    """A division of the dimensions of a sweep into chunks of equal shape, but for the last ones.

    Attributes
    ----------
    shape : tuple of int
        Lengths of the axes, of density and of importance.
    chunk : tuple of int
        Lengths of a chunk: 1 along the axes.

    Examples
    --------
    >>> grid = ChunkGrid(shape=(3, 2), chunk=(2, 2))
    >>> [(place, grid.region(place)) for place in grid]
    [((0, 0), (slice(0, 2, None), slice(0, 2, None))), ((1, 0), (slice(2, 3, None), slice(0, 2, None)))]
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]

    @classmethod
    def of(cls, configuration: SweepConfiguration, points: int | None = None) -> ChunkGrid:
        """Divide a sweep into chunks of about so many points, or of as many as memory suggests."""
        rows, columns = configuration.shape[-2:]
        if points is None:
            points = _points_per_chunk(configuration)
        elif isinstance(points, bool) or not isinstance(points, (int, np.integer)) or points < 1:
            raise ValueError(f"points_per_chunk must be an integer of at least 1, got {points!r}")
        width = min(columns, points)
        height = min(rows, max(1, points // width))
        outer = (1,) * len(configuration.axes)
        return cls(configuration.shape, (*outer, int(height), int(width)))

    @property
    def counts(self) -> tuple[int, ...]:
        """Chunks along every dimension."""
        return tuple(ceil(n / k) for n, k in zip(self.shape, self.chunk, strict=True))

    def __len__(self) -> int:
        return prod(self.counts)

    def __iter__(self) -> Iterator[Place]:
        return np.ndindex(self.counts)

    def region(self, place: Place) -> tuple[slice, ...]:
        """Return the ranges of the chunk at a place."""
        return tuple(
            slice(k * size, min((k + 1) * size, total))
            for k, size, total in zip(place, self.chunk, self.shape, strict=True)
        )

    def points(self, place: Place) -> int:
        """Return the number of points of a chunk."""
        return prod(part.stop - part.start for part in self.region(place))


def _points_per_chunk(configuration: SweepConfiguration) -> int:
    """Return how many points make work worth keeping and need little memory."""
    base = configuration.base
    largest = max(n * m for n, m in configuration.sizes)
    return max(
        1,
        min(_MODELS_PER_CHUNK // base.replicas, _NUMBERS_PER_CHUNK // (base.starts * largest)),
    )


@dataclass(frozen=True)
class ChunkResult:
    """A computed chunk.

    Attributes
    ----------
    place : tuple of int
    values : dict of ndarray
        Every variable of the dataset in the region of the chunk.
    versions : dict of str
        Of the libraries that computed it.
    """

    place: Place
    values: Values
    versions: dict[str, str]


def compute_chunk(
    configuration: SweepConfiguration, grid: ChunkGrid, place: Place, device: str = "cpu"
) -> ChunkResult:
    """Compute one chunk, in whatever process; the numbers do not depend on the others.

    Raises
    ------
    ValueError
        If this process runs code whose numbers differ from those of the configuration.
    """
    if configuration.base.results_version != RESULTS_VERSION:
        raise ValueError(
            f"the sweep wants results of version {configuration.base.results_version}, and this "
            f"installation computes version {RESULTS_VERSION}; install the same superposition "
            f"everywhere"
        )
    *outer, rows, columns = grid.region(place)
    diagram = configuration.diagram(part.start for part in outer)
    values = _fitted(configuration, diagram, compute_points(diagram, rows, columns, device))
    shape = (1,) * len(outer)
    return ChunkResult(
        place,
        {name: array.reshape(*shape, *array.shape) for name, array in values.items()},
        library_versions(),
    )


def _fitted(
    configuration: SweepConfiguration, diagram: PhaseDiagramConfiguration, values: Values
) -> Values:
    """Bring the values of a diagram into the shapes and the codes that all sizes share."""
    size = (diagram.n_features, diagram.n_hidden)
    if configuration.sizes == (size,):
        return values
    columns = [configuration.candidates.index(candidate.name) for candidate in candidates(*size)]
    codes = np.array([configuration.phases.index(name) for name in phase_names(*size)], np.int8)
    fitted = {}
    for name, array in values.items():
        variable = VARIABLES[name]
        inner = (configuration.length(dim) for dim in variable.dims)
        whole = np.full((*array.shape[:2], *inner), variable.missing, dtype=variable.dtype)
        if name == "candidate_loss":
            whole[..., columns] = array
        else:
            part = tuple(slice(length) for length in array.shape)
            whole[part] = codes[array] if name.endswith("_phase") else array
        fitted[name] = whole
    return fitted
