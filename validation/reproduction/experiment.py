"""What an experiment is: settings, data, measurements, figure and caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args

import xarray as xr
from matplotlib.figure import Figure

from ...numerics import TrainingResult, train
from .measurement import Measured

__all__ = ["SCALES", "Experiment", "Run", "Scale"]

Scale = Literal["tiny", "quick", "full"]
SCALES: tuple[Scale, ...] = get_args(Scale)

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Run:
    """The circumstances of a computation: its seed, and where it may keep what is half done.

    Attributes
    ----------
    seed : int
        All that is random derives from it.
    folder : Path or None
        Where checkpoints are kept; an interrupted computation goes on from them.
    progress : bool
        Whether to show progress bars.
    """

    seed: int = 0
    folder: Path | None = None
    progress: bool = False

    def train(self, label: str, n_features: int, n_hidden: int, **arguments: Any) -> TrainingResult:
        """Train models as `superposition.numerics.train` does, with a checkpoint.

        Parameters
        ----------
        label : str
            Name of the checkpoint, unique in its experiment.
        n_features, n_hidden : int
        **arguments
            Those of `train` other than seed, checkpoint and progress.
        """
        return train(
            n_features, n_hidden, seed=self.seed, checkpoint=self.checkpoint(label),
            progress=self.progress, **arguments,
        )  # fmt: skip

    def checkpoint(self, label: str) -> Path | None:
        """Return the file in which what is half done is kept under a name, if there is a folder."""
        return None if self.folder is None else self.folder / f"{label}.checkpoint"


@dataclass(frozen=True, kw_only=True)
class Experiment(Generic[Settings]):
    """An experiment of a source, to be run at three scales.

    Data flow one way: settings → `compute` → dataset → `measure`, `draw`, `caption`, which look at
    nothing but the dataset, so that stored results are judged and drawn as fresh ones.

    Attributes
    ----------
    name : str
        Short words joined by hyphens.
    title : str
    source : str
        Who did it, and where it is described.
    tiny, quick, full : Settings
        What is computed: "full" is the source's setting, "quick" takes at most some minutes on two
        cores, "tiny" some seconds, to see that it runs. A frozen dataclass of plain values.
    compute : callable
        (settings, run) → `xarray.Dataset`, of plain numbers and text attributes.
    measure : callable
        dataset → what is measured, by the name of the quantity.
    draw : callable
        dataset → figure.
    caption : callable
        dataset → text that says sizes, densities, protocol and seeds.
    """

    name: str
    title: str
    source: str
    tiny: Settings
    quick: Settings
    full: Settings
    compute: Callable[[Settings, Run], xr.Dataset]
    measure: Callable[[xr.Dataset], Mapping[str, Measured]]
    draw: Callable[[xr.Dataset], Figure]
    caption: Callable[[xr.Dataset], str]

    def settings(self, scale: str) -> Settings:
        """Return the settings of a scale.

        Raises
        ------
        ValueError
            If there is no such scale.
        """
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
        chosen: Settings = getattr(self, scale)
        return chosen
