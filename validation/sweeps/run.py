"""Phase diagrams, and sweeps of them: theory, exact optimum and trained models in one dataset."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from tqdm import tqdm

from ...features import FeatureDistribution
from ...numerics import Protocol
from .axes import SweepConfiguration
from .chunks import ChunkGrid, ChunkResult, Place, compute_chunk
from .cluster import compute_on_cluster
from .configuration import PhaseDiagramConfiguration
from .dataset import dimensions, frame, with_variables
from .points import VARIABLES
from .storage import SweepFolder
from .versions import merged

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DEFAULT_REPLICAS", "DEFAULT_STARTS", "phase_diagram", "sweep"]

DEFAULT_REPLICAS = 10
DEFAULT_STARTS = 64


def phase_diagram(
    n_features: int = 2,
    n_hidden: int = 1,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    replicas: int = DEFAULT_REPLICAS,
    seed: int = 0,
    protocol: str | Protocol = "annealed",
    starts: int = DEFAULT_STARTS,
    penalty: float = 0.0,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    out: str | Path | None = None,
    device: str = "cpu",
    cluster: str | Client | None = None,
    points_per_chunk: int | None = None,
    lazy: bool = False,
    progress: bool = False,
) -> xr.Dataset:
    """Compute theory, exact optimum and trained models over density and relative importance.

    Parameters
    ----------
    n_features, n_hidden : int
        Sizes of the model, n_hidden < n_features.
    density : array_like, shape (n_density,)
        Increasing, in [0, 1].
    importance : array_like, shape (n_importance,)
        Relative importances r of the last feature, increasing and positive; the other features
        have importance 1.
    replicas : int
        Trained models per point.
    seed : int
        Seed of the starts of the search and of the training.
    protocol : str or Protocol
        How models are trained.
    starts : int
        Random starts of the search for the optimum, per point.
    penalty : float
        Interference penalty λ.
    activation : {"relu", "linear"}
    features : feature distribution, optional
        What inputs are drawn from, in theory, search and training; None is `Independent`. Every
        density of the grid must be possible for it.
    out : path, optional
        Folder to keep the dataset in (as ``dataset.zarr``). What an earlier, interrupted call
        of the same configuration computed is kept there, and not computed again; what has been
        damaged since is.
    device : str
        Torch device for the training.
    cluster : str or distributed.Client, optional
        Dask scheduler, by its address, or client, on whose workers to compute; by default this
        process does. Only this process writes to `out`.
    points_per_chunk : int, optional
        Grid points that are computed and kept as one, by default about 4096 models. An
        interruption costs at most the chunks that are being computed. The numbers do not
        depend on it, and a folder that was begun keeps its own.
    lazy : bool
        With `out`, whether to read variables only when they are used (see `load_dataset`).
    progress : bool
        Whether to show a progress bar with rate and remaining time.

    Returns
    -------
    xarray.Dataset
        With dimensions density, importance, replica, candidate, hidden and feature. Every variable
        says in its attribute ``long_name`` what it is; phases are integer codes with their names
        in ``flag_meanings`` (see `phases`). The attribute ``configuration`` holds everything that
        the numbers depend on, and ``versions`` what they were computed with.

    Raises
    ------
    ValueError
        If an argument is out of range.
    OtherConfigurationError
        If `out` holds a dataset of another configuration.
    OSError
        If `out` cannot be written, or the cluster cannot be reached.
    ImportError
        If `cluster` is given and `distributed` is not installed.

    See Also
    --------
    sweep : The same over penalties, protocols, sizes and seeds too.

    Notes
    -----
    `stuck` compares the minimum that exact descent reaches from a trained model with the optimum:
    ``trained_loss − optimum_loss = protocol_gap + basin_gap`` splits a replica's excess into
    what its protocol has not converged and what its local minimum costs. A replica is stuck if
    its basin gap is above 1e-6 of the optimum, and above 1e-12 · Σ I_i s_i: the second criterion
    decides where the optimum is 0 or nearly, such as for anticorrelated features, which share a
    dimension without any loss. Minima within the same distance count as one.

    Examples
    --------
    >>> diagram = phase_diagram(density=[0.1, 0.9], importance=[0.5, 1], replicas=1, starts=16)
    >>> dict(diagram.sizes)["density"], bool((diagram.approximation_gap > -1e-15).all())
    (2, True)
    """
    configuration = PhaseDiagramConfiguration.validated(
        n_features,
        n_hidden,
        density=density,
        importance=importance,
        replicas=replicas,
        starts=starts,
        seed=seed,
        protocol=protocol,
        penalty=penalty,
        activation=activation,
        features=features,
    )
    return _carry_out(
        SweepConfiguration(configuration),
        out,
        points_per_chunk=points_per_chunk,
        device=device,
        cluster=cluster,
        lazy=lazy,
        progress=progress,
    )


def sweep(
    sizes: Sequence[int] | Sequence[Sequence[int]] = (2, 1),
    *,
    density: ArrayLike,
    importance: ArrayLike,
    protocol: str | Protocol | Sequence[str | Protocol] = "annealed",
    penalty: float | Sequence[float] = 0.0,
    seed: int | Sequence[int] = 0,
    replicas: int = DEFAULT_REPLICAS,
    starts: int = DEFAULT_STARTS,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    out: str | Path | None = None,
    device: str = "cpu",
    cluster: str | Client | None = None,
    points_per_chunk: int | None = None,
    lazy: bool = False,
    progress: bool = False,
) -> xr.Dataset:
    """Compute phase diagrams over model sizes, protocols, penalties and seeds, in one dataset.

    Each diagram is the one that `phase_diagram` computes, number by number; `select_diagram`
    takes it out.

    Parameters
    ----------
    sizes : pair of int, or sequence of pairs
        (n_features, n_hidden).
    protocol, penalty, seed
        As in `phase_diagram`, or sequences of them. What is given as a sequence, of however many
        values, is a dimension of the dataset.
    density, importance, replicas, starts, activation, features, out, device, cluster
        As in `phase_diagram`, the same for all diagrams.
    points_per_chunk, lazy, progress
        As in `phase_diagram`.

    Returns
    -------
    xarray.Dataset
        As of `phase_diagram`, with the dimensions ``size``, ``protocol``, ``penalty`` and ``seed``
        in front, as far as they were given as sequences. Where sizes differ, ``hidden``,
        ``feature`` and ``candidate`` are as long as the largest needs, codes of phases count
        through the names of all sizes, and what a size does not have is NaN.

    Raises
    ------
    ValueError, OtherConfigurationError, OSError, ImportError
        As `phase_diagram` does.

    Notes
    -----
    Diagrams that differ in their penalty or protocol, and not in seed and size, use the same
    random numbers, so that their differences are not those of chance.

    Examples
    --------
    >>> swept = sweep(density=[0.5], importance=[1], penalty=[0, 10], replicas=1, starts=16)
    >>> {dim: swept.sizes[dim] for dim in swept.optimum_loss.dims}
    {'penalty': 2, 'density': 1, 'importance': 1}
    """
    configuration = SweepConfiguration.validated(
        sizes,
        density=density,
        importance=importance,
        protocol=protocol,
        penalty=penalty,
        seed=seed,
        replicas=replicas,
        starts=starts,
        activation=activation,
        features=features,
    )
    return _carry_out(
        configuration,
        out,
        points_per_chunk=points_per_chunk,
        device=device,
        cluster=cluster,
        lazy=lazy,
        progress=progress,
    )


class _Memory:
    """What `SweepFolder` is, without a folder."""

    def __init__(self, configuration: SweepConfiguration, grid: ChunkGrid) -> None:
        self.configuration = configuration
        self.grid = grid
        self.done: set[Place] = set()
        self._versions: dict[str, str] | None = None
        self._arrays = {
            name: np.full(
                [configuration.length(dim) for dim in dimensions(configuration, name)],
                variable.missing,
                dtype=variable.dtype,
            )
            for name, variable in VARIABLES.items()
        }

    def write(self, result: ChunkResult) -> None:
        region = self.grid.region(result.place)
        for name, values in result.values.items():
            self._arrays[name][region] = values
        self._versions = merged(self._versions or result.versions, result.versions)
        self.done.add(result.place)

    def dataset(self, *, lazy: bool = False) -> xr.Dataset:
        return with_variables(
            frame(self.configuration, self._versions or {}), self.configuration, self._arrays
        )


def _carry_out(
    configuration: SweepConfiguration,
    out: str | Path | None,
    *,
    points_per_chunk: int | None,
    device: str,
    cluster: str | Client | None,
    lazy: bool,
    progress: bool,
) -> xr.Dataset:
    """Compute what is not there yet, and keep every chunk as soon as it is done."""
    grid = ChunkGrid.of(configuration, points_per_chunk)
    kept = (
        nullcontext(_Memory(configuration, grid))
        if out is None
        else SweepFolder(Path(out), configuration, grid)
    )
    with kept as results:
        there = set(results.done)
        todo = (place for place in results.grid if place not in there)
        points = sum(results.grid.points(place) for place in there)
        with _bar(configuration, points, shown=progress) as bar:
            if len(there) < len(results.grid):
                computed = _computed(configuration, results.grid, todo, device, cluster)
                with closing(computed):
                    for result in computed:
                        results.write(result)
                        bar.update(results.grid.points(result.place))
        return results.dataset(lazy=lazy)


def _computed(
    configuration: SweepConfiguration,
    grid: ChunkGrid,
    places: Iterable[Place],
    device: str,
    cluster: str | Client | None,
) -> Generator[ChunkResult]:
    if cluster is not None:
        return compute_on_cluster(cluster, configuration, grid, places, device)
    return (compute_chunk(configuration, grid, place, device) for place in places)


def _bar(configuration: SweepConfiguration, done: int, *, shown: bool) -> tqdm[Any]:
    """Return a bar whose rate is that of this run, over all of it: chunks come in bursts."""
    return tqdm(
        total=int(np.prod(configuration.shape)),
        initial=done,
        unit="point",
        desc="phase diagram" if not configuration.axes else "sweep",
        smoothing=0,
        disable=not shown,
    )
