"""BLAS sees matrices of a few rows here, on which its threads do nothing but wait for each other.

Measured with two processes on two cores: critical penalties take 0.2 s each instead of 1 s.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported, after this


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let an interrupt arrive: a process that was started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
