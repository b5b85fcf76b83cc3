"""The phase diagram: theory, exact optimum and trained models on one grid, in one dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sympy
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from ..features import FeatureDistribution
from ..numerics import Protocol, descend, population_loss, random_starts, train
from ..theory import candidates, r, s
from .configuration import PhaseDiagramConfiguration
from .phases import classify, phase_names
from .storage import DatasetFolder, load_dataset

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]

DEFAULT_REPLICAS = 10
DEFAULT_STARTS = 64
_TIED = 1e-9  # relative; minima this close are one loss, and the phase that is named first wins
_STUCK = 1e-6  # relative; a settled loss this far above the optimum is another local minimum
_MODELS_PER_BLOCK = 4096

_DESCRIPTIONS = {
    "candidate_loss": "closed-form loss of each candidate of the theory",
    "theory_phase": "phase of the candidate with the lowest closed-form loss",
    "theory_loss": "lowest closed-form loss among the candidates",
    "optimum_phase": "phase of the exact optimum",
    "optimum_loss": "exact population loss of the optimum, found by descent from random starts",
    "optimum_W": "weights of the exact optimum",
    "optimum_b": "biases of the exact optimum",
    "optimum_gradient_norm": "norm of the exact gradient at the optimum",
    "optimum_share": "share of the random starts that reach the optimum",
    "trained_W": "trained weights",
    "trained_b": "trained biases",
    "trained_phase": "phase of each trained model",
    "trained_loss": "exact population loss of each trained model",
    "settled_loss": "exact loss of the local minimum below each trained model",
    "stuck": "1 where the local minimum below a trained model is not the global one",
    "diverged": "1 where training diverged",
    "best_trained_phase": "phase of the replica with the lowest exact loss",
    "best_trained_loss": "lowest exact loss among the replicas",
    "stuck_fraction": "share of the replicas that sit above another minimum than the global one",
    "approximation_gap": "theory_loss - optimum_loss: what the closed forms miss",
    "optimization_gap": "best_trained_loss - optimum_loss: what the best replica misses",
    "basin_gap": "settled_loss - optimum_loss: what a replica loses by its local minimum",
    "protocol_gap": "trained_loss - settled_loss: what a replica loses by not having converged",
}


def _theory(configuration: PhaseDiagramConfiguration, density: Floats) -> dict[str, Any]:
    """Return the candidates' closed-form losses on the grid, and the lowest of them."""
    n, m = configuration.n_features, configuration.n_hidden
    losses = []
    for candidate in candidates(n, m):
        expression = candidate.loss(
            activation=configuration.activation,
            features=configuration.features,
            penalty=sympy.Rational(configuration.penalty),
        )
        loss = sympy.lambdify((s, r), expression, "numpy")
        shape = (len(density), len(configuration.importance))
        grid = loss(density[:, np.newaxis], np.array(configuration.importance))
        losses.append(np.broadcast_to(grid, shape))
    candidate_loss = np.stack(losses, axis=-1)
    # The candidates' codes are their places, so that a tie goes to the first named here too.
    lowest = candidate_loss.min(axis=-1)
    tied = candidate_loss <= lowest[..., np.newaxis] * (1 + _TIED)
    return {
        "candidate_loss": candidate_loss,
        "theory_phase": tied.argmax(axis=-1).astype(np.int8),
        "theory_loss": lowest,
    }


def _optimum(
    configuration: PhaseDiagramConfiguration, density: Floats, importance: Floats
) -> dict[str, Any]:
    """Search the exact optimum at every point; among equal minima take the phase named first.

    Such ties are symmetries.
    """
    n, m = configuration.n_features, configuration.n_hidden
    starts_W, starts_b = random_starts(n, m, configuration.starts, configuration.seed)
    grid = np.broadcast_shapes(density.shape, importance.shape[:-1])
    shape = (*grid, configuration.starts)
    found = descend(
        np.broadcast_to(starts_W, (*shape, m, n)),
        np.broadcast_to(starts_b, (*shape, n)),
        density=np.broadcast_to(density[..., np.newaxis], shape),
        importance=importance[..., np.newaxis, :],
        activation=configuration.activation,
        features=configuration.features,
        penalty=configuration.penalty,
    )
    lowest = found.loss.min(axis=-1, keepdims=True)
    tied = found.loss <= lowest * (1 + _TIED)
    phase = np.full(shape, np.iinfo(np.int8).max, dtype=np.int8)
    phase[tied] = classify(
        found.W[tied],
        found.b[tied],
        np.broadcast_to(density[..., np.newaxis], shape)[tied],
        activation=configuration.activation,
        features=configuration.features,
    )
    best = phase.argmin(axis=-1)

    def of_best(values: NDArray[Any]) -> NDArray[Any]:
        index = best.reshape(best.shape + (1,) * (values.ndim - best.ndim))
        return np.take_along_axis(values, index, axis=best.ndim).squeeze(axis=best.ndim)

    lowest_found = {
        "optimum_phase": of_best(phase),
        "optimum_loss": of_best(found.loss),
        "optimum_W": of_best(found.W),
        "optimum_b": of_best(found.b),
        "optimum_gradient_norm": of_best(found.gradient_norm),
        "optimum_share": tied.mean(axis=-1),
    }
    _leave_saddles(configuration, lowest_found, density, importance)
    return lowest_found


def _leave_saddles(
    configuration: PhaseDiagramConfiguration,
    optimum: dict[str, Any],
    density: Floats,
    importance: Floats,
) -> None:
    """Replace an optimum that is a saddle, which some starts descend to, by what lies below it."""
    below = descend(
        optimum["optimum_W"],
        optimum["optimum_b"],
        density=density,
        importance=importance,
        activation=configuration.activation,
        features=configuration.features,
        penalty=configuration.penalty,
        certify=True,
    )
    lower = below.loss < optimum["optimum_loss"] * (1 - _TIED)
    if not lower.any():
        return
    optimum["optimum_phase"][lower] = classify(
        below.W[lower],
        below.b[lower],
        density[lower],
        activation=configuration.activation,
        features=configuration.features,
    )
    optimum["optimum_loss"][lower] = below.loss[lower]
    optimum["optimum_W"][lower] = below.W[lower]
    optimum["optimum_b"][lower] = below.b[lower]
    optimum["optimum_gradient_norm"][lower] = below.gradient_norm[lower]
    optimum["optimum_share"][lower] = 0.0  # no start led here


def _trained(
    configuration: PhaseDiagramConfiguration,
    density: Floats,
    importance: Floats,
    model_index: NDArray[np.int64],
    device: str,
) -> dict[str, Any]:
    """Train the replicas, judge them by their exact loss, and let each settle into its minimum."""
    result = train(
        configuration.n_features,
        configuration.n_hidden,
        density=density,
        importance=importance,
        activation=configuration.activation,
        features=configuration.features,
        penalty=configuration.penalty,
        protocol=configuration.protocol,
        replicas=configuration.replicas,
        seed=configuration.seed,
        model_index=model_index,
        device=device,
    )
    sound = ~result.diverged
    # A diverged model has no loss to speak of; it is computed for zeros and replaced by infinity.
    W = np.where(sound[..., np.newaxis, np.newaxis], result.W, 0.0)
    b = np.where(sound[..., np.newaxis], result.b, 0.0)
    arguments: dict[str, Any] = {
        "density": np.broadcast_to(density[..., np.newaxis], sound.shape),
        "importance": importance[..., np.newaxis, :],
        "activation": configuration.activation,
        "features": configuration.features,
        "penalty": configuration.penalty,
    }
    loss = population_loss(W, b, **arguments)
    settled = descend(W, b, **arguments)
    phase = classify(
        result.W,
        result.b,
        arguments["density"],
        activation=configuration.activation,
        features=configuration.features,
    )
    loss = np.where(sound, loss, np.inf)
    best = loss.argmin(axis=-1)[..., np.newaxis]
    return {
        "trained_W": result.W,
        "trained_b": result.b,
        "trained_phase": phase,
        "trained_loss": loss,
        "settled_loss": np.where(sound, settled.loss, np.inf),
        "diverged": result.diverged.astype(np.int8),
        "best_trained_phase": np.take_along_axis(phase, best, axis=-1).squeeze(-1),
        "best_trained_loss": loss.min(axis=-1),
    }


_DIMS = {
    "candidate_loss": ("density", "importance", "candidate"),
    "optimum_W": ("density", "importance", "hidden", "feature"),
    "optimum_b": ("density", "importance", "feature"),
    "trained_W": ("density", "importance", "replica", "hidden", "feature"),
    "trained_b": ("density", "importance", "replica", "feature"),
    **dict.fromkeys(
        (
            "trained_phase",
            "trained_loss",
            "settled_loss",
            "stuck",
            "diverged",
            "basin_gap",
            "protocol_gap",
        ),
        ("density", "importance", "replica"),
    ),
}


def _attributes(name: str, phases: tuple[str, ...]) -> dict[str, Any]:
    attributes: dict[str, Any] = {"long_name": _DESCRIPTIONS[name]}
    if name.endswith("_phase"):  # CF conventions, section 3.5: flags
        attributes["flag_values"] = list(range(len(phases)))
        attributes["flag_meanings"] = " ".join(phase.replace(" ", "_") for phase in phases)
    return attributes


def compute_block(
    configuration: PhaseDiagramConfiguration, rows: slice, device: str = "cpu"
) -> xr.Dataset:
    """Compute some rows (densities) of the diagram; the numbers do not depend on which others."""
    n, m = configuration.n_features, configuration.n_hidden
    density = np.array(configuration.density)[rows]
    r_values = np.array(configuration.importance)
    importance = np.ones((1, len(r_values), n))
    importance[0, :, -1] = r_values
    model_index = np.arange(len(configuration.density) * len(r_values)).reshape(-1, len(r_values))
    column = np.broadcast_to(density[:, np.newaxis], (len(density), len(r_values)))
    values = _theory(configuration, density)
    values |= _optimum(configuration, column, importance)
    values |= _trained(configuration, column, importance, model_index[rows], device)

    optimum = values["optimum_loss"]
    above = values["settled_loss"] - optimum[..., np.newaxis]
    stuck = above > _STUCK * np.abs(optimum[..., np.newaxis])
    values["stuck"] = stuck.astype(np.int8)
    values["stuck_fraction"] = stuck.mean(axis=-1)
    values["approximation_gap"] = values["theory_loss"] - optimum
    values["optimization_gap"] = values["best_trained_loss"] - optimum
    values["basin_gap"] = above
    with np.errstate(invalid="ignore"):
        values["protocol_gap"] = values["trained_loss"] - values["settled_loss"]

    phases = phase_names(n, m)
    return xr.Dataset(
        {
            name: (
                _DIMS.get(name, ("density", "importance")),
                values[name],
                _attributes(name, phases),
            )
            for name in _DESCRIPTIONS
        },
        coords={
            "density": ("density", density, {"long_name": "feature density s = P(x_i ≠ 0)"}),
            "importance": (
                "importance",
                r_values,
                {"long_name": "relative importance r of the last feature"},
            ),
            "candidate": np.array([candidate.name for candidate in candidates(n, m)], dtype=object),
            "replica": np.arange(configuration.replicas),
        },
        attrs={
            "title": f"Phase diagram of ({n}, {m}) models",
            "configuration": configuration.to_json(),
        },
    )


def _blocks(configuration: PhaseDiagramConfiguration) -> Iterator[slice]:
    per_row = len(configuration.importance) * configuration.replicas
    rows = max(1, _MODELS_PER_BLOCK // per_row)
    total = len(configuration.density)
    for start in range(0, total, rows):
        yield slice(start, min(start + rows, total))


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
        of the same configuration computed is kept there, and not computed again.
    device : str
        Torch device for the training.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    xarray.Dataset
        With dimensions density, importance, replica, candidate, hidden and feature. Every variable
        says in its attribute ``long_name`` what it is; phases are integer codes with their names
        in ``flag_meanings`` (see `phases`). The attribute ``configuration`` holds everything that
        the numbers depend on.

    Raises
    ------
    ValueError
        If an argument is out of range.
    OtherConfigurationError
        If `out` holds a dataset of another configuration.
    OSError
        If `out` cannot be written.

    Notes
    -----
    `stuck` compares the minimum that exact descent reaches from a trained model with the optimum:
    ``trained_loss − optimum_loss = protocol_gap + basin_gap`` splits a replica's excess into
    what its protocol has not converged and what its local minimum costs.

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
    folder = None if out is None else DatasetFolder(Path(out), configuration)
    blocks: list[xr.Dataset] = []
    points = len(configuration.density) * len(configuration.importance)
    with tqdm(total=points, unit="point", desc="phase diagram", disable=not progress) as bar:
        for rows in _blocks(configuration):
            if folder is not None and folder.has(rows):
                bar.update((rows.stop - rows.start) * len(configuration.importance))
                continue
            block = compute_block(configuration, rows, device)
            if folder is None:
                blocks.append(block)
            else:
                folder.write(block, rows)
            bar.update((rows.stop - rows.start) * len(configuration.importance))
    if folder is not None:
        return load_dataset(folder.folder)
    return xr.concat(
        blocks, dim="density", data_vars="minimal", coords="minimal", compat="equals",
        join="exact", combine_attrs="override",
    )  # fmt: skip
