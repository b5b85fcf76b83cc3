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
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "BIASES",
    "DATA",
    "DECODER",
    "GOLDEN",
    "WEIGHTS",
    "batch_keys",
    "mix64_",
    "model_keys",
    "standard_normals",
    "stream_places",
]

Floats = NDArray[np.float64]

WEIGHTS: Final = 1
BIASES: Final = 2
DATA: Final = 3
DECODER: Final = 4


def _signed(word: int) -> int:
    """Return the 64-bit word that torch.int64 can hold: the same bits, read as two's complement."""
    word &= 0xFFFF_FFFF_FFFF_FFFF
    return word - (1 << 64) if word >> 63 else word


GOLDEN: Final = _signed(0x9E37_79B9_7F4A_7C15)
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
    absorbed = keys + words * GOLDEN if isinstance(words, torch.Tensor) else keys + _wrapped(words)
    return mix64_(absorbed, torch.empty_like(absorbed))


def _wrapped(word: int) -> int:
    return _signed(word * GOLDEN)


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


def stream_places(n_rows: int, n_columns: int, device: torch.device | str) -> torch.Tensor:
    """Place of the words (row, column) in a stream: add a key and hash.

    Places do not depend on how many rows and columns are asked for.

    Returns
    -------
    torch.Tensor of int64, shape (n_rows, n_columns)
    """
    rows = torch.arange(n_rows, dtype=torch.int64, device=device) << 32
    return (rows[:, None] | torch.arange(n_columns, device=device)) * GOLDEN
