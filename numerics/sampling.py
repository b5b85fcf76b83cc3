"""Random numbers that are functions of what they are for, not of the order in which they are drawn.

Every number is the hash of (seed, model index, replica, stream) and of its place in that stream, so
a model sees the same data whether it is trained alone, in a pack of a million, in chunks, by one
worker or by ten, on the CPU or on a GPU. The hash is the finaliser of SplitMix64 (Steele, Lea and
Flood 2014) in wrapping 64-bit integer arithmetic, which torch has on every device.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ..model import check_density

__all__ = ["InputSampler", "batch_keys", "model_keys", "standard_normals", "training_batch"]

Floats = NDArray[np.float64]

WEIGHTS: Final = 1
BIASES: Final = 2
DATA: Final = 3


def _signed(word: int) -> int:
    """Return the 64-bit word that torch.int64 can hold: the same bits, read as two's complement."""
    word &= 0xFFFF_FFFF_FFFF_FFFF
    return word - (1 << 64) if word >> 63 else word


_GOLDEN: Final = _signed(0x9E37_79B9_7F4A_7C15)
# The first 64 bits of π's fraction. Not 0, which the hash leaves at 0: words of value 0 would then
# drop out of the chain, and one model's step could get another model's key.
_ROOT: Final = _signed(0x243F_6A88_85A3_08D3)
_ROUNDS: Final = (
    (30, _signed(0xBF58_476D_1CE4_E5B9)),
    (27, _signed(0x94D0_49BB_1331_11EB)),
)


def mix64_(words: torch.Tensor, scratch: torch.Tensor) -> torch.Tensor:
    """Hash int64 `words` in place with SplitMix64's finaliser, a bijection of 64-bit words.

    Parameters
    ----------
    words, scratch : torch.Tensor of int64, of one shape

    Returns
    -------
    torch.Tensor
        `words`.
    """
    for shift, factor in _ROUNDS:
        _xor_shift_(words, scratch, shift)
        words.mul_(factor)
    return _xor_shift_(words, scratch, 31)


def _xor_shift_(words: torch.Tensor, scratch: torch.Tensor, shift: int) -> torch.Tensor:
    torch.bitwise_right_shift(words, shift, out=scratch)
    # The shift of signed words repeats the sign; a bijection needs zeros there.
    scratch.bitwise_and_((1 << (64 - shift)) - 1)
    return words.bitwise_xor_(scratch)


def _absorb(keys: torch.Tensor, words: torch.Tensor | int) -> torch.Tensor:
    """Hash one more word into each key: SplitMix64's output number `words` from state `keys`."""
    absorbed = keys + words * _GOLDEN if isinstance(words, torch.Tensor) else keys + _wrapped(words)
    return mix64_(absorbed, torch.empty_like(absorbed))


def _wrapped(word: int) -> int:
    return _signed(word * _GOLDEN)


def model_keys(
    seed: int, model_index: torch.Tensor, replica: torch.Tensor, stream: int
) -> torch.Tensor:
    """Key of each model's stream.

    Parameters
    ----------
    seed : int
        Taken modulo 2⁶⁴.
    model_index, replica : torch.Tensor of int64, of one shape
    stream : int

    Returns
    -------
    torch.Tensor of int64, same shape
    """
    # Words are absorbed one after the other, each through a full hash, so that (seed 0, model 1)
    # and (seed 1, model 0) have nothing in common.
    root = _absorb(torch.full_like(model_index, _ROOT), seed)
    return _absorb(_absorb(_absorb(root, model_index), replica), stream)


def batch_keys(keys: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Key of the batch of each step of each model.

    Parameters
    ----------
    keys : torch.Tensor of int64, shape (models,)
        From `model_keys` with the data stream.
    steps : torch.Tensor of int64, shape (steps,)

    Returns
    -------
    torch.Tensor of int64, shape (steps, models)
    """
    return _absorb(keys, steps[:, None])


def standard_normals(keys: torch.Tensor, n_rows: int, n_columns: int) -> Floats:
    """Independent standard normal numbers of each key.

    The numbers of a key do not depend on the other keys, nor on how many rows and columns are
    asked for: entry (row, column) is always the same.

    Parameters
    ----------
    keys : torch.Tensor of int64, shape (models,)
    n_rows, n_columns : int

    Returns
    -------
    ndarray of float64, shape (models, n_rows, n_columns)
    """
    rows = torch.arange(n_rows, dtype=torch.int64)[:, None]
    places = (rows << 32) | torch.arange(n_columns, dtype=torch.int64)
    words = _absorb(keys.cpu()[:, None, None], places).numpy()
    # 53 bits, centred so that neither 0 nor 1 occurs. Inversion rather than Box–Muller: vectorized
    # sines and logarithms round differently in a vector's body and in its tail, so that a model's
    # start would depend on its place in the pack; ndtri is a plain loop over entries.
    uniform = ((words.view(np.uint64) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return np.asarray(special.ndtri(uniform), dtype=np.float64)


class InputSampler:
    """Draws the batches of many models, each a pure function of its key.

    One 32-bit half v of a hash serves one feature of one example. |v|/2³¹ is uniform on [0, 1];
    the feature is on if that is at most the density, and then |v|/(2³¹ density) is its value. One
    uniform is enough for both because a uniform u, given u ≤ s, is uniform on [0, s]. The value
    is one of about 2³¹ · density equally spaced numbers, so at density 0.01 the grid is as fine as
    that of a float32; densities below about 1e-8 are not resolved.

    Parameters
    ----------
    density : ndarray, shape (models, n_features)
        In [0, 1].
    batch_size : int
        Examples per batch. The first examples of a larger batch are those of a smaller one.
    features_first : bool
        Whether a batch has shape (n_features, models, padded_batch) rather than
        (models, n_features, padded_batch).
    multiple : int
        Even; `padded_batch` is `batch_size` rounded up to a multiple of it.
    device, dtype
        Where, and in which floating-point type, batches are made.
    """

    def __init__(
        self,
        density: Floats,
        batch_size: int,
        *,
        features_first: bool = True,
        multiple: int = 2,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        n_models, n_features = density.shape
        n_pairs = -(-batch_size // multiple) * multiple // 2
        first = torch.arange(n_features, dtype=torch.int64, device=device) << 32
        places = (first[:, None] | torch.arange(n_pairs, device=device)) * _GOLDEN
        # |v| ≤ 2³¹ times this scale stays finite, and any v ≠ 0 lands above 1, so that a density
        # of 0 is always off.
        highest = torch.finfo(dtype).max * 2.0**-32
        with np.errstate(divide="ignore"):
            scale = np.minimum(1 / (2.0**31 * density), highest)
        factors = torch.as_tensor(-scale, device=device).to(dtype)
        if features_first:
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
        self._off = float(np.nextafter(-1, -2, dtype=np.float32))

    def draw_negated(self, keys: torch.Tensor) -> torch.Tensor:
        """Overwrite and return the buffer with −x of the batch of each key, shape (models,).

        Negated because torch's `threshold` can only clear what is too small.
        """
        torch.add(self._places, keys.view(self._key_shape), out=self._words)
        return self._negated_inputs(mix64_(self._words, self._scratch))

    def _negated_inputs(self, words: torch.Tensor) -> torch.Tensor:
        # Two int32 halves of each word side by side: two examples, without another operation.
        self._batch.copy_(words.view(torch.int32))
        self._batch.abs_().mul_(self._factors)
        return torch.threshold_(self._batch, self._off, 0.0)


def training_batch(
    density: ArrayLike,
    batch_size: int,
    *,
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
    seed, model_index, replica, step : int
        As in `train`.

    Returns
    -------
    ndarray of float64, shape (batch_size, n_features)
        Entries are 0 or in (0, 1].

    Raises
    ------
    ValueError
        If a density is outside [0, 1] or not one per feature.

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
    index, copy = (torch.tensor([value], dtype=torch.int64) for value in (model_index, replica))
    keys = batch_keys(model_keys(seed, index, copy, DATA), torch.tensor([step]))[0]
    sampler = InputSampler(values[None], batch_size, dtype=torch.float64)
    negated = sampler.draw_negated(keys)[:, 0, :batch_size]
    return np.asarray(negated.neg().T.numpy())
