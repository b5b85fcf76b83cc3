"""The dataset of a sweep as the bytes of a Zarr store: known before anything is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from .axes import SweepConfiguration
from .chunks import ChunkGrid, ChunkResult
from .dataset import dimensions, frame, variable_attributes
from .points import VARIABLES

__all__ = ["ZarrEncoder"]


class ZarrEncoder:
    """Encodes the parts of a dataset in memory.

    A chunk that is not there reads as NaN or -1, never as a number that could be a result.

    Parameters
    ----------
    configuration : SweepConfiguration
    grid : ChunkGrid
    versions : dict of str
        For the dataset's attribute of that name.
    """

    def __init__(
        self, configuration: SweepConfiguration, grid: ChunkGrid, versions: dict[str, str]
    ) -> None:
        self._grid = grid
        self._layout: dict[str, Buffer] = {}
        store = MemoryStore(self._layout)
        frame(configuration, versions).to_zarr(store, zarr_format=3, consolidated=False)
        group = zarr.open_group(store, mode="r+")
        for name, variable in VARIABLES.items():
            dims = dimensions(configuration, name)
            shape = tuple(configuration.length(dim) for dim in dims)
            group.create_array(
                name,
                shape=shape,
                chunks=(*grid.chunk, *shape[len(grid.chunk) :]),
                dtype=np.dtype(variable.dtype),
                fill_value=variable.missing,
                dimension_names=dims,
                attributes=variable_attributes(name, configuration.phases),
                # All chunks of a variable in one folder: few folders are to be flushed.
                chunk_key_encoding={"name": "default", "separator": "."},
            )

    def layout(self) -> dict[str, bytes]:
        """Return the files of the dataset without its chunks: metadata and coordinates."""
        return {name: part.to_bytes() for name, part in self._layout.items()}

    def chunk(self, result: ChunkResult) -> dict[str, bytes]:
        """Return the files of a chunk; a variable that is missing all over it has none."""
        held = dict(self._layout)
        group = zarr.open_group(MemoryStore(held), mode="r+")
        for name, values in result.values.items():
            array: Any = group[name]
            array[self._grid.region(result.place)] = values
        return {name: part.to_bytes() for name, part in held.items() if name not in self._layout}
