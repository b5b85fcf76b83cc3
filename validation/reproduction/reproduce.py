"""Carry out an experiment: compute or read its data, and judge its claims."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import xarray as xr
from matplotlib.figure import Figure

from ..sweeps.durable import write_durably
from ..sweeps.storage import OtherConfigurationError
from .claim import all_claims
from .experiment import Experiment, Run
from .registry import find_experiment
from .verdicts import Verdict, judge

__all__ = ["DATA_NAME", "Reproduction", "load_reproduction", "reproduce"]

DATA_NAME: Final = "data.nc"
_CONFIGURATION: Final = "reproduction"


@dataclass(frozen=True)
class Reproduction:
    """An experiment with its data.

    Attributes
    ----------
    experiment : Experiment
    data : xarray.Dataset
    verdicts : tuple of Verdict
        One for each claim about the experiment.
    """

    experiment: Experiment[Any]
    data: xr.Dataset
    verdicts: tuple[Verdict, ...]

    @property
    def caption(self) -> str:
        """What the figure shows: sizes, densities, protocol, seeds."""
        return self.experiment.caption(self.data)

    @property
    def scale(self) -> str:
        """At which of the three scales it was computed."""
        return str(json.loads(self.data.attrs[_CONFIGURATION])["scale"])

    def figure(self) -> Figure:
        """Draw it."""
        return self.experiment.draw(self.data)


def reproduce(
    name: str,
    *,
    scale: str = "full",
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool = False,
) -> Reproduction:
    """Carry out an experiment of a source.

    Parameters
    ----------
    name : str
        One of `EXPERIMENTS`.
    scale : {"full", "quick", "tiny"}
        The source's setting, some minutes, or some seconds.
    seed : int
    out : path, optional
        A folder for the data, in a folder of the experiment's name. What is there is read and not
        computed again; an interrupted run goes on there.
    progress : bool
        Whether to show progress bars.

    Raises
    ------
    ValueError
        If the name or the scale is unknown.
    OtherConfigurationError
        If the folder holds the experiment with other settings.

    Examples
    --------
    >>> found = reproduce("intro", scale="tiny")
    >>> found.data.sizes["replica"], found.verdicts[0].outcome
    (2, 'undecided')
    """
    experiment = find_experiment(name)
    configuration = {
        "experiment": name, "scale": scale, "seed": seed,
        "settings": asdict(experiment.settings(scale)),
    }  # fmt: skip
    if out is None:
        return _judged(experiment, _computed(experiment, configuration, None, progress))
    folder = Path(out) / name
    if (folder / DATA_NAME).exists():
        return _same(load_reproduction(out, name), configuration, folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = _computed(experiment, configuration, folder, progress)
    write_durably(folder, {DATA_NAME: bytes(data.to_netcdf(engine="scipy"))})
    for checkpoint in folder.glob("*.checkpoint"):
        shutil.rmtree(checkpoint) if checkpoint.is_dir() else checkpoint.unlink()
    return load_reproduction(out, name)


def load_reproduction(out: str | Path, name: str) -> Reproduction:
    """Read what `reproduce` wrote to a folder.

    Raises
    ------
    ValueError
        If the name is unknown.
    FileNotFoundError
        If the folder does not hold that experiment.
    """
    experiment = find_experiment(name)
    with xr.open_dataset(Path(out) / name / DATA_NAME, engine="scipy") as data:
        return _judged(experiment, data.load())


def _computed(
    experiment: Experiment[Any], configuration: dict[str, Any], folder: Path | None, progress: bool
) -> xr.Dataset:
    settings = experiment.settings(configuration["scale"])
    run = Run(seed=configuration["seed"], folder=folder, progress=progress)
    data = experiment.compute(settings, run)
    return data.assign_attrs({_CONFIGURATION: json.dumps(configuration, sort_keys=True)})


def _judged(experiment: Experiment[Any], data: xr.Dataset) -> Reproduction:
    measured = experiment.measure(data)
    claims = (claim for claim in all_claims() if claim.experiment == experiment.name)
    return Reproduction(
        experiment, data, tuple(judge(claim, measured[claim.quantity]) for claim in claims)
    )


def _same(kept: Reproduction, configuration: dict[str, Any], folder: Path) -> Reproduction:
    there = json.loads(kept.data.attrs[_CONFIGURATION])
    wanted = json.loads(json.dumps(configuration))
    if there != wanted:
        differing = tuple(key for key in wanted if there.get(key) != wanted[key])
        raise OtherConfigurationError(folder, differing)
    return kept
