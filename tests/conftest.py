"""What all tests need: BLAS without threads, compiled kernels, and interrupts that arrive."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

# BLAS sees matrices of a few rows here, on which its threads do nothing but wait for each other.
# Measured with two processes on two cores: critical penalties take 0.2 s each instead of 1 s.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported, after this


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile what most tests need before there are several processes, which would each do it."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(
        session.config, "workerinput"
    ):
        _compile()


def _compile() -> None:
    import numpy as np
    import torch

    from superposition.numerics import global_minimum, population_loss, train

    for n in (2, 20):  # active sets, and nodes in the complex plane
        population_loss(np.eye(1, n), np.zeros(n), density=0.5, importance=np.ones(n))
        population_loss(np.ones((1, n)), np.zeros(n), density=0.5, importance=np.ones(n), rtol=1e-3)
    global_minimum(2, 1, density=0.5, importance=[1, 1], starts=2, certify=True)
    for dtype in (torch.float32, torch.float64):
        brief = "roe2023,steps=1"
        train(2, 1, density=0.5, importance=[1, 1], protocol=brief, dtype=dtype)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let an interrupt arrive: a process that was started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
