"""The inputs that models are trained on: one batch per model and step, a function of its key."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution, check_features, check_joint_density
from ...model import check_density
from .gated import GatedSampler, Layout
from .random_words import DATA, batch_keys, mix64_, model_keys, stream_places

__all__ = [
    "InputSampler",
    "Mask",
    "is_plainly_drawn",
    "make_sampler",
    "training_batch",
    "uniform_scale",
]

Floats = NDArray[np.float64]
Mask = Literal["example", "batch"]


def uniform_scale(density: Floats, dtype: torch.dtype) -> Floats:
    """Return the factors of |v| that make it a value: on, if at most 1, of a feature.

    |v| ≤ 2³¹ times a factor stays finite in `dtype`, and any v ≠ 0 lands above 1 where the density
    is 0, so that such a feature is always off.
    """
    highest = torch.finfo(dtype).max * 2.0**-32
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(1 / (2.0**31 * density), highest))


def is_plainly_drawn(features: FeatureDistribution, n_features: int, mask: Mask) -> bool:
    """Whether `InputSampler` draws inputs of this law: one number for each feature is all of it."""
    uniform = len(features.values.coefficients) == 1
    return features.is_independent(n_features) and uniform and mask == "example"


class InputSampler:
    """Draws independent features with uniform values, of either sign or not, for many models.

    One 32-bit half v of a hash serves one feature of one example. |v|/2³¹ is uniform on [0, 1];
    the feature is on if that is at most the density, and then |v|/(2³¹ density) is its value. One
    uniform is enough for both because a uniform u, given u ≤ s, is uniform on [0, s]. The value
    is one of about 2³¹ · density equally spaced numbers, so at density 0.01 the grid is as fine as
    that of a float32; densities below about 1e-8 are not resolved. Symmetric values have v's sign.

    Parameters
    ----------
    density : ndarray, shape (models, n_features)
        In [0, 1].
    layout : Layout
    symmetric : bool
        Whether values are uniform on [−1, 1] rather than [0, 1].
    """

    def __init__(self, density: Floats, layout: Layout, *, symmetric: bool = False) -> None:
        self._symmetric = symmetric
        n_models, n_features = density.shape
        n_pairs = layout.n_pairs
        device, dtype = layout.device, layout.dtype
        places = stream_places(n_features, n_pairs, device)
        factors = torch.as_tensor(-uniform_scale(density, dtype), device=device).to(dtype)
        if layout.features_first:
            shape = (n_features, n_models)
            self._places, self._factors = places[:, None, :], factors.T[:, :, None].contiguous()
            self._key_shape = (1, n_models, 1)
        else:
            shape = (n_models, n_features)
            self._places, self._factors = places[None], factors[:, :, None]
            self._key_shape = (n_models, 1, 1)
        self._words = torch.empty((*shape, n_pairs), dtype=torch.int64, device=device)
        self._scratch = torch.empty_like(self._words)
        self._batch = torch.empty((*shape, 2 * n_pairs), dtype=dtype, device=device)
        one = np.float32(1) if dtype == torch.float32 else np.float64(1)
        self._off = float(np.nextafter(-one, -2 * one))

    def draw_negated(self, keys: torch.Tensor) -> torch.Tensor:
        """Overwrite and return the buffer with −x of the batch of each key, shape (models,).

        Negated because torch's `threshold` can only clear what is too small.
        """
        torch.add(self._places, keys.view(self._key_shape), out=self._words)
        return self._negated_inputs(mix64_(self._words, self._scratch))

    def _negated_inputs(self, words: torch.Tensor) -> torch.Tensor:
        # Two int32 halves of each word side by side: two examples, without another operation.
        self._batch.copy_(words.view(torch.int32))
        if self._symmetric:
            self._batch.mul_(self._factors)
            return self._batch.masked_fill_(self._batch.abs() > 1, 0.0)
        self._batch.abs_().mul_(self._factors)
        return torch.threshold_(self._batch, self._off, 0.0)


def make_sampler(
    features: FeatureDistribution,
    density: Floats,
    batch_size: int,
    *,
    features_first: bool = True,
    multiple: int = 2,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    mask: Mask = "example",
) -> InputSampler | GatedSampler:
    """Return the sampler of a distribution; parameters are those of `GatedSampler`."""
    n_features = density.shape[1]
    layout = Layout(batch_size, features_first, multiple, device, dtype)
    if is_plainly_drawn(features, n_features, mask):
        return InputSampler(density, layout, symmetric=features.values.symmetric)
    return GatedSampler(features, density, layout, per_batch=mask == "batch")


def training_batch(
    density: ArrayLike,
    batch_size: int,
    *,
    features: FeatureDistribution | None = None,
    mask: Mask = "example",
    seed: int = 0,
    model_index: int = 0,
    replica: int = 0,
    step: int = 0,
) -> Floats:
    """Return the inputs that `train` shows to one model at one step.

    Parameters
    ----------
    density : array_like, shape (n_features,)
        P(x_i ≠ 0) of each feature, in [0, 1].
    batch_size : int
    features : feature distribution, optional
        None is `Independent`, with values uniform on [0, 1].
    mask : {"example", "batch"}
        Whether it is drawn for each example which features are on, or once for the batch.
    seed, model_index, replica, step : int
        As in `train`.

    Returns
    -------
    ndarray of float64, shape (batch_size, n_features)
        Entries are 0 or in (0, 1]; or, where values are symmetric, in [−1, 1].

    Raises
    ------
    ValueError
        If a density is outside [0, 1] or not one per feature, or they do not belong to `features`,
        or `mask` is neither.

    Examples
    --------
    >>> training_batch([0, 0.5, 1], 3, seed=2) > 0
    array([[False, False,  True],
           [False,  True,  True],
           [False, False,  True]])
    """
    values = check_density(density)
    if values.ndim != 1:
        raise ValueError(f"density must have shape (n_features,), got shape {values.shape}")
    features = check_features(features)
    check_joint_density(features, values)
    if mask not in get_args(Mask):
        raise ValueError(f"mask must be one of {', '.join(get_args(Mask))}, got {mask!r}")
    index, copy = (torch.tensor([value], dtype=torch.int64) for value in (model_index, replica))
    keys = batch_keys(model_keys(seed, index, copy, DATA), torch.tensor([step]))[0]
    sampler = make_sampler(features, values[None], batch_size, dtype=torch.float64, mask=mask)
    negated = sampler.draw_negated(keys)[:, 0, :batch_size]
    return np.asarray(negated.neg().T.numpy())
