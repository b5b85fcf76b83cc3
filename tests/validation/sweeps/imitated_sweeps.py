"""Sweeps whose numbers cost nothing, and the bytes that they leave; no tests in here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition.numerics import PROTOCOLS
from superposition.validation import SweepConfiguration, sweep
from superposition.validation.sweeps import run
from superposition.validation.sweeps.chunks import ChunkGrid, ChunkResult, Place
from superposition.validation.sweeps.points import VARIABLES
from superposition.validation.sweeps.versions import library_versions

module = run


SHORT = replace(PROTOCOLS["annealed"], name="short", steps=60)
ARGUMENTS: dict[str, Any] = {
    "density": [0.1, 0.2, 0.5],
    "importance": [0.5, 1.0],
    "penalty": [0.0, 1.0],
    "replicas": 2,
    "starts": 4,
    "points_per_chunk": 4,
}
CHUNKS = 4  # of ARGUMENTS: two penalties, and two and one densities


class Imitation:
    """Stands in for `compute_chunk`: numbers drawn from the place; remembers what was asked for."""

    def __init__(self, interrupt_before: int | None = None) -> None:
        self.places: list[Place] = []
        self.interrupt_before = interrupt_before

    def __call__(
        self, configuration: SweepConfiguration, grid: ChunkGrid, place: Place, device: str
    ) -> ChunkResult:
        if len(self.places) == self.interrupt_before:
            raise KeyboardInterrupt
        self.places.append(place)
        random = np.random.default_rng(place)
        values = {}
        for name, variable in VARIABLES.items():
            lengths = [part.stop - part.start for part in grid.region(place)]
            shape = (*lengths, *(configuration.length(dim) for dim in variable.dims))
            values[name] = random.integers(0, 3, shape).astype(variable.dtype)
        return ChunkResult(place, values, library_versions())


def imitate(monkeypatch: pytest.MonkeyPatch, interrupt_before: int | None = None) -> Imitation:
    imitation = Imitation(interrupt_before)
    monkeypatch.setattr(module, "compute_chunk", imitation)
    return imitation


def imitated(out: Path | None, **changes: Any) -> xr.Dataset:
    return sweep(**(ARGUMENTS | {"out": out} | changes))


def tree(folder: Path) -> dict[str, bytes]:
    """Return the contents of the files of the dataset in a folder, leftovers included."""
    root = folder / "dataset.zarr"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
