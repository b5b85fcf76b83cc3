"""Training every model by itself in compiled code, one core for each: the engine of CPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..sampling.random_words import DATA
from .fused_gradient import network_of
from .fused_scratch import new_scratch
from .fused_training import Job, advance_models, optimizer_code, step_constants, step_table
from .lane_inputs import input_tables
from .plan import TrainingPlan, keys_of
from .state import TrainingState, fill_snapshots

__all__ = ["FusedEngine"]

Integers = NDArray[np.int64]

# One call of compiled code cannot be interrupted: about this many seconds' work.
_SECONDS_OF_A_CALL: Final = 0.05

# And at most so many steps, whose learning rates are listed for all chunks at once.
_STEPS_OF_A_CALL: Final = 1 << 12

# Chunks per worker, such that all of them end at about the same time.
_CHUNKS_PER_WORKER: Final = 8


class FusedEngine:
    """Trains models one after the other in compiled code, which holds no interpreter lock.

    Parameters
    ----------
    plan : TrainingPlan
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan = plan
        self._tables: dict[int, NDArray[np.float64]] = {}

    def chunk_size(self, workers: int) -> int:
        """How many models to hand over at once when there are so many workers."""
        return max(1, min(1024, self._plan.n_models // (workers * _CHUNKS_PER_WORKER)))

    def advance(self, models: Integers, state: TrainingState, check: Callable[[], None]) -> None:
        """Make some updates of some models; see `training_plan.Engine`."""
        check()
        plan = self._plan
        points = models // plan.replicas
        tables = input_tables(plan.features, plan.density[points], plan.dtype, plan.protocol.mask)
        n_streams = tables.gates.n_streams
        size = state.parameters.shape[1]
        scratch = new_scratch(plan.n_features, plan.n_hidden, size, n_streams, plan.number)
        cost = self._seconds_of_a_step() * max(1, len(models))
        limit = min(_STEPS_OF_A_CALL, max(1, int(_SECONDS_OF_A_CALL / cost)))
        done = state.steps_done
        steps = range(done.min(initial=0), min(done.max(initial=0) + limit, plan.protocol.steps))
        advance_models(state, tables, self._job(models, points, steps), scratch, limit)
        fill_snapshots(state, plan.weight_steps)

    def _job(self, models: Integers, points: Integers, steps: range) -> Job:
        plan, number = self._plan, self._plan.number
        plateau = plan.protocol.plateau
        return Job(
            keys=keys_of(plan, models, DATA).numpy().view(np.uint64),
            importance=np.ascontiguousarray(plan.importance[points], dtype=number),
            penalty=plan.penalty[points].astype(number),
            batch_size=plan.protocol.batch_size,
            optimizer=optimizer_code(plan.protocol),
            constants=np.array(step_constants(plan.protocol, plan.scale), dtype=number),
            network=network_of(
                plan.architecture, plan.activation, plan.n_features, plan.n_hidden, number
            ),
            steps=plan.protocol.steps,
            first_step=steps.start,
            table=self._table(steps),
            loss_places=_places(plan.recorded_steps, steps),
            snapshot_places=_places(plan.weight_steps, steps),
            window=plateau.window if plateau else 0,
            patience=plateau.patience if plateau else 0,
            improvement=plateau.improvement if plateau else 0.0,
        )

    def _table(self, steps: range) -> NDArray[np.float64]:
        """Return the rows of `step_table`, which all chunks share."""
        size = _STEPS_OF_A_CALL
        first = steps.start // size
        for block in range(first, -(-steps.stop // size)):
            if block not in self._tables:
                whole = range(block * size, min((block + 1) * size, self._plan.protocol.steps))
                self._tables[block] = step_table(self._plan.protocol, whole)
        blocks = [self._tables[k] for k in range(first, -(-steps.stop // size))]
        rows = np.concatenate([np.empty((0, 3)), *blocks])
        return rows[steps.start - first * size : steps.stop - first * size]

    def _seconds_of_a_step(self) -> float:
        # A rough model of the cost: fixed, one per input, one per product. Measured on one core at
        # 3.7 GHz in float32.
        n, m = self._plan.n_features, self._plan.n_hidden
        return 4e-8 + self._plan.protocol.batch_size * (4e-10 * n + 1.2e-10 * n * m)


def _places(wanted: Integers, steps: range) -> Integers:
    """Return for each step its place among those that are wanted, or −1."""
    places = np.full(len(steps), -1, dtype=np.int64)
    inside = np.flatnonzero((wanted >= steps.start) & (wanted < steps.stop))
    places[wanted[inside] - steps.start] = inside
    return places
