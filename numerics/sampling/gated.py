"""Inputs with gates of every kind and values of any law, for many models at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ...features import FeatureDistribution, Gate, GateKind
from .quantile import Quantile
from .random_words import mix64_, stream_places

__all__ = ["GateTables", "GatedSampler", "Layout", "gate_tables"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """How a batch lies in memory.

    Attributes
    ----------
    batch_size : int
        Examples per batch. The first examples of a larger batch are those of a smaller one.
    features_first : bool
        Whether a batch has shape (n_features, models, padded_batch) rather than
        (models, n_features, padded_batch).
    multiple : int
        Even; `padded_batch` is `batch_size` rounded up to a multiple of it.
    device : torch.device or str
    dtype : torch.dtype
    """

    batch_size: int
    features_first: bool = True
    multiple: int = 2
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32

    @property
    def n_pairs(self) -> int:
        """Half the padded size of a batch: each hashed word serves two examples."""
        return -(-self.batch_size // self.multiple) * self.multiple // 2


def _draws_apart(gate: Gate, per_batch: bool) -> bool:
    """Say whether a gate needs a uniform number beside those of the values of its members."""
    return per_batch or len(gate.members) > 1 or gate.kind is GateKind.EXACTLY_ONE


def _intervals(gate: Gate, density: Floats) -> tuple[Floats, Floats]:
    """Return for which numbers in (lower, upper] each member is on, shapes (models, members)."""
    own = density[:, list(gate.members)]
    if gate.kind is GateKind.TOGETHER:
        return np.zeros_like(own), own
    upper = np.cumsum(own, axis=1)
    lower = np.concatenate([np.zeros_like(upper[:, :1]), upper[:, :-1]], axis=1)
    if gate.kind is GateKind.EXACTLY_ONE:
        # The densities sum to 1 up to rounding; the last that is not 0 gets what is missing.
        last = len(gate.members) - 1 - (own[:, ::-1] > 0).argmax(axis=1)
        upper[np.arange(len(own)), last] = 1.0
    return lower, upper


class GateTables(NamedTuple):
    """What decides which features are on, from streams of uniform numbers.

    Attributes
    ----------
    lower, upper : ndarray, shape (models, n_features)
        A feature is on if the number of its stream lies in (lower, upper].
    scale : ndarray, shape (models, n_features)
        Factor of a feature's own number that makes it uniform on (0, 1] given that it is on.
    selector : ndarray of int64, shape (n_features,)
        Which stream switches each feature: its own, or one of those after the features'.
    n_streams : int
    per_batch : bool
        Whether the first number of a switching stream decides for the whole batch.
    """

    lower: Floats
    upper: Floats
    scale: Floats
    selector: NDArray[np.int64]
    n_streams: int
    per_batch: bool


def gate_tables(
    features: FeatureDistribution, density: Floats, per_batch: bool = False
) -> GateTables:
    """Return the tables of a distribution, for densities of shape (models, n_features)."""
    n_features = density.shape[1]
    lower, upper = np.zeros_like(density), np.zeros_like(density)
    scale = np.ones_like(density)
    selector = np.arange(n_features)
    n_streams = n_features
    for gate in features.gates(n_features):
        members = list(gate.members)
        lower[:, members], upper[:, members] = _intervals(gate, density)
        if _draws_apart(gate, per_batch):
            selector[members] = n_streams
            n_streams += 1
        else:
            scale[:, members] = 1 / np.maximum(density[:, members], 1e-300)
    return GateTables(lower, upper, scale, selector, n_streams, per_batch)


class GatedSampler:
    """Draws features of any distribution, for many models.

    Each feature has a stream of its own, and so has each gate with more than one member. A 32-bit
    half v of a word gives the uniform number max(|v|, 1)/2³¹ in (0, 1]. That of a gate says which
    members are on: those whose interval holds it. That of a feature gives its value, by the
    inverse distribution function, and the sign of v that of a symmetric value. A feature with a
    gate of its own is on if its uniform number is at most the density, and its value comes from
    the same number divided by the density, which is uniform again: see `InputSampler`. Where gates
    are drawn once for a batch, every gate has a stream of its own, and its first number decides.
    All of it is computed in float64; `dtype` is that of the result.

    Parameters
    ----------
    features : FeatureDistribution
    density : ndarray, shape (models, n_features)
    layout : Layout
    per_batch : bool
        Whether the gates are drawn once for a batch rather than once for every example.
    """

    def __init__(
        self,
        features: FeatureDistribution,
        density: Floats,
        layout: Layout,
        per_batch: bool = False,
    ) -> None:
        n_models, n_features = density.shape
        tables = gate_tables(features, density, per_batch)
        n_rows = tables.n_streams
        self._n_features = n_features
        self._axis = 0 if layout.features_first else 1
        self._key_shape = (1, n_models, 1) if layout.features_first else (n_models, 1, 1)
        self._places = stream_places(n_rows, layout.n_pairs, layout.device).unsqueeze(
            1 - self._axis
        )
        rows = (n_rows, n_models) if layout.features_first else (n_models, n_rows)
        self._words = torch.empty((*rows, layout.n_pairs), dtype=torch.int64, device=layout.device)
        self._scratch = torch.empty_like(self._words)
        self._halves = torch.empty(
            (*rows, 2 * layout.n_pairs), dtype=torch.float64, device=layout.device
        )
        self._uniform = torch.empty_like(self._halves)
        self._selector = torch.as_tensor(tables.selector, device=layout.device)
        self._lower, self._upper, self._scale = (
            self._arranged(table, layout.device)
            for table in (tables.lower, tables.upper, tables.scale)
        )
        self._deciding = 1 if per_batch else 2 * layout.n_pairs
        self._symmetric = features.values.symmetric
        self._quantile = Quantile(features.values, layout.device)
        self._dtype = layout.dtype

    def _arranged(self, table: Floats, device: torch.device | str) -> torch.Tensor:
        ordered = table.T if self._axis == 0 else table
        return torch.as_tensor(np.ascontiguousarray(ordered), device=device)[..., None]

    def draw_negated(self, keys: torch.Tensor) -> torch.Tensor:
        """Overwrite and return a buffer with −x of the batch of each key, shape (models,)."""
        torch.add(self._places, keys.view(self._key_shape), out=self._words)
        return self._negated_inputs(mix64_(self._words, self._scratch))

    def _negated_inputs(self, words: torch.Tensor) -> torch.Tensor:
        self._halves.copy_(words.view(torch.int32))
        uniform = torch.abs(self._halves, out=self._uniform).clamp_(min=1.0).mul_(2.0**-31)
        x = uniform.narrow(self._axis, 0, self._n_features)
        deciding = uniform.narrow(-1, 0, self._deciding)
        chosen = deciding.index_select(self._axis, self._selector)
        on = (chosen > self._lower).logical_and_(chosen <= self._upper).expand_as(x)
        x.mul_(self._scale).clamp_(max=1.0)
        if not self._quantile.is_identity:
            x.masked_scatter_(on, self._quantile(x[on]))
        if self._symmetric:
            x.copysign_(self._halves.narrow(self._axis, 0, self._n_features))
        return x.mul_(on).neg_().to(self._dtype)
