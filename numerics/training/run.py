"""Carrying out a training plan: chunks of models in threads, progress, interrupts, checkpoints."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from .checkpoints import Checkpoint
from .plan import Engine, TrainingPlan, start_of
from .state import TrainingState

__all__ = ["carry_out"]

Integers = NDArray[np.int64]


def carry_out(
    plan: TrainingPlan,
    engine: Engine,
    *,
    chunk_size: int | None,
    workers: int,
    progress: bool,
    checkpoint: Checkpoint | None,
) -> TrainingState:
    """Train all models of a plan, from the start or from a checkpoint.

    Parameters
    ----------
    plan : TrainingPlan
    engine : Engine
    chunk_size : int, optional
        Models that are handed to the engine at once; by default what the engine wants.
    workers : int
        Chunks that are trained at the same time, in threads.
    progress : bool
        Whether to show a progress bar, in model-steps.
    checkpoint : Checkpoint, optional
        Where to keep the state meanwhile.
    """
    kept = checkpoint.load() if checkpoint else None
    run = _Run(plan, engine, start_of(plan) if kept is None else kept)
    if checkpoint and kept is None:
        checkpoint.save(run.state)  # whatever forbids that is better known before than after
    # What is compiled is compiled in this thread, where an interrupt ends it.
    run.advance(np.arange(0), run.state.take(np.arange(0)))
    total = plan.n_models * plan.protocol.steps
    with tqdm(total=total, disable=not progress, unit="step", unit_scale=True) as bar:
        run.report = bar.update
        run.report(int(run.state.steps_done.sum()))
        waiting = np.flatnonzero(run.state.steps_done < plan.protocol.steps)
        size = chunk_size or engine.chunk_size(workers)
        chunks = [waiting[k : k + size] for k in range(0, len(waiting), size)]
        try:
            _run_in_threads(run, chunks, workers, checkpoint)
        finally:
            if checkpoint:
                checkpoint.save(run.snapshot())
    return run.state


class _Cancelled(Exception):
    """Another chunk failed, or the user interrupted: this one's result is not wanted."""


class _Run:
    """The state of all models, which threads change one chunk at a time."""

    def __init__(self, plan: TrainingPlan, engine: Engine, state: TrainingState) -> None:
        self.state = state
        self.report: Callable[[int], object] = lambda model_steps: None
        self.cancelled = threading.Event()
        self._plan, self._engine = plan, engine
        self._lock = threading.Lock()

    def snapshot(self) -> TrainingState:
        """Return a copy in which every model is between two steps."""
        with self._lock:
            return self.state.take(slice(None))

    def train(self, models: Integers) -> None:
        """Train some models to the end."""
        part = self.state.take(models)
        while len(models):
            before = int(part.steps_done.sum())
            self.advance(models, part)
            with self._lock:
                self.state.put(models, part)
                self.report(int(part.steps_done.sum()) - before)
            running = part.steps_done < self._plan.protocol.steps
            if not running.all():
                models, part = models[running], part.take(running)

    def advance(self, models: Integers, part: TrainingState) -> None:
        """Make some updates of some models."""
        self._engine.advance(models, part, self._check)

    def _check(self) -> None:
        if self.cancelled.is_set():
            raise _Cancelled


def _run_in_threads(
    run: _Run, chunks: list[Integers], workers: int, checkpoint: Checkpoint | None
) -> None:
    # Always in threads of their own, each with one intra-op thread: the cores are busy with other
    # chunks, and the caller's setting must not change results.
    with (
        _restored_num_threads(),
        ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        futures = {pool.submit(run.train, chunk) for chunk in chunks}
        try:
            _wait_for(futures, run, checkpoint)
        except BaseException:
            run.cancelled.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _wait_for(waiting: set[Future[None]], run: _Run, checkpoint: Checkpoint | None) -> None:
    """Return when all futures are done, saving checkpoints meanwhile."""
    saved_at = time.monotonic()
    while waiting:
        rest = checkpoint.every - (time.monotonic() - saved_at) if checkpoint else None
        done, waiting = wait(
            waiting, timeout=rest if rest is None else max(rest, 0), return_when=FIRST_EXCEPTION
        )
        for future in done:
            future.result()
        if checkpoint and waiting and time.monotonic() - saved_at >= checkpoint.every:
            checkpoint.save(run.snapshot())
            saved_at = time.monotonic()


@contextmanager
def _restored_num_threads() -> Iterator[None]:
    # torch keeps the number per thread, but new threads inherit what was last set anywhere.
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
