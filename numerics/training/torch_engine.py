"""Training packs of models by operations of torch, on any device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ..sampling.batches import make_sampler
from ..sampling.random_words import DATA, batch_keys
from .optimizers import Optimizer, make_optimizer
from .plan import TrainingPlan, keys_of, split_parameters
from .protocols import Plateau
from .sampled_gradient import PackedModels, make_gradient, smallest_pack
from .state import TrainingState, fill_snapshots

__all__ = ["TorchEngine"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Entries of one array of inputs in a chunk. On a CPU, where more leaves the cache of a core and
# fewer makes the threads wait for the interpreter lock between short calls (measured: 2^16 entries
# are half as fast as 2^18 with two workers); on a GPU, such that the calls keep it busy.
_CHUNK_ENTRIES_CPU: Final = 1 << 18
_CHUNK_ENTRIES_GPU: Final = 1 << 27

# Keys of this many steps are made in one go; between two blocks a chunk looks for cancellation.
_KEY_BLOCK: Final = 64

# Updates between two visits to the state on the host.
_STRETCH: Final = 512


class TorchEngine:
    """Trains packs of models with operations of torch.

    Parameters
    ----------
    plan : TrainingPlan
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan = plan
        self._loss_places = {int(step): k for k, step in enumerate(plan.recorded_steps)}
        self._snapshot_places = {int(step): k for k, step in enumerate(plan.weight_steps)}

    def chunk_size(self, workers: int) -> int:
        """How many models to hand over at once when there are so many workers."""
        plan = self._plan
        entries = _CHUNK_ENTRIES_CPU if plan.device.type == "cpu" else _CHUNK_ENTRIES_GPU
        most = max(1, entries // (plan.n_features * plan.protocol.batch_size))
        # Chunks of equal size, as many as keep all workers busy to the end.
        rounds = max(1, -(-plan.n_models // (most * workers)))
        return max(1, -(-plan.n_models // (rounds * workers)))

    def advance(self, models: Integers, state: TrainingState, check: Callable[[], None]) -> None:
        """Make up to `_STRETCH` updates of some models; see `training_plan.Engine`."""
        with torch.inference_mode():
            for done in np.unique(state.steps_done):
                if done < self._plan.protocol.steps:
                    rows = np.flatnonzero(state.steps_done == done)
                    pack = _Pack(self._plan, models[rows], state.take(rows))
                    self._train(pack, range(done, done + _STRETCH), check)
                    state.put(rows, pack.state)
        fill_snapshots(state, self._plan.weight_steps)

    def _train(self, pack: _Pack, stretch: range, check: Callable[[], None]) -> None:
        end = min(stretch.stop, self._plan.protocol.steps)
        for first in range(stretch.start, end, _KEY_BLOCK):
            check()
            steps = range(first, min(first + _KEY_BLOCK, end))
            for step, key in zip(steps, pack.keys(steps), strict=True):
                self._make_step(pack, step, key)
            if not pack.running.any():
                return
        pack.keep(pack.running, end)
        if end == self._plan.protocol.steps:
            self._finish(pack, pack.running, end)

    def _make_step(self, pack: _Pack, step: int, key: torch.Tensor) -> None:
        plateau, running = self._plan.protocol.plateau, pack.running
        if step in self._snapshot_places:
            pack.keep_snapshot(self._snapshot_places[step])
        pack.gradient.evaluate(pack.sampler.draw_negated(key))
        if plateau or step in self._loss_places:
            losses = pack.last_losses()
        if step in self._loss_places:
            pack.state.losses[running, self._loss_places[step]] = losses[running]
        pack.optimizer.step(pack.gradient.gradients)
        if plateau:
            stopped = _note_losses(plateau, pack.state, losses, step) & running
            if stopped.any():
                pack.keep(stopped, step + 1)
                self._finish(pack, stopped, step + 1)

    def _finish(self, pack: _Pack, models: Flags, updates: int) -> None:
        """Close the books of models whose weights have been kept."""
        pack.state.steps_done[models] = self._plan.protocol.steps
        pack.state.stopped_at[models] = updates
        pack.running = pack.running & ~models


def _note_losses(plateau: Plateau, state: TrainingState, losses: Floats, step: int) -> Flags:
    """Account for the losses of a step, and say which models have ceased to improve."""
    np.add(state.window_loss, losses, out=state.window_loss)
    if (step + 1) % plateau.window:
        return np.zeros(len(losses), dtype=np.bool_)
    mean = state.window_loss / plateau.window
    better = mean < state.best_loss * (1 - plateau.improvement)
    state.window_loss[:] = 0.0
    state.best_loss[better] = mean[better]
    state.stale[:] = np.where(better, 0, state.stale + 1)
    return np.asarray(state.stale >= plateau.patience)


class _Pack:
    """Models on the device, with the rows of the state that they came from."""

    def __init__(self, plan: TrainingPlan, models: Integers, state: TrainingState) -> None:
        self._plan, self.state = plan, state
        self.running = np.ones(len(models), dtype=np.bool_)
        rows = np.arange(len(models))
        least = smallest_pack(plan.n_features, plan.architecture)
        if len(models) < least:
            rows = np.resize(rows, least)
        models = models[rows]
        points = models // plan.replicas
        self.gradient = make_gradient(self._packed(points, state.parameters[rows]))
        self.optimizer = self._resumed_optimizer(rows)
        self.sampler = make_sampler(
            plan.features,
            plan.density[points],
            plan.protocol.batch_size,
            features_first=self.gradient.features_first,
            multiple=self.gradient.multiple,
            device=plan.device,
            dtype=plan.dtype,
            mask=plan.protocol.mask,
        )
        self._keys = keys_of(plan, models, DATA).to(plan.device)

    def _packed(self, points: Integers, parameters: NDArray[Any]) -> PackedModels:
        plan = self._plan
        penalty = plan.penalty[points]

        def tensor(values: NDArray[Any]) -> torch.Tensor:
            return torch.as_tensor(values, device=plan.device).to(plan.dtype)

        return PackedModels(
            **split_parameters(tensor(parameters), plan.shapes),
            importance=tensor(plan.importance[points]),
            penalty=tensor(penalty) if plan.penalty.any() else None,
            activation=plan.activation,
            batch_size=plan.protocol.batch_size,
            scale=plan.scale,
            architecture=plan.architecture,
        )

    def _resumed_optimizer(self, rows: Integers) -> Optimizer:
        optimizer = make_optimizer(self.gradient.parameters, self._plan.protocol)
        optimizer.steps_done = int(self.state.steps_done[0])
        for tensors, values in (
            (optimizer.first, self.state.first),
            (optimizer.second, self.state.second),
        ):
            moved = torch.as_tensor(values[rows], device=self._plan.device)
            self.gradient.assign(tensors, moved)
        return optimizer

    def keys(self, steps: range) -> torch.Tensor:
        """Keys of the batches of some steps, shape (steps, models)."""
        places = torch.arange(steps.start, steps.stop, device=self._plan.device)
        return batch_keys(self._keys, places)

    def last_losses(self) -> Floats:
        """Losses of the last evaluation, shape (models,)."""
        losses = self.gradient.last_loss()[: len(self.running)]
        return np.asarray(losses.cpu().numpy(), dtype=np.float64)

    def keep_snapshot(self, place: int) -> None:
        """Record the weights of the models that still run."""
        rows = self._rows(self.gradient.parameters)
        self.state.snapshots[self.running, place] = rows[self.running]

    def keep(self, models: Flags, steps_done: int) -> None:
        """Copy some models from the device to the state."""
        for values, tensors in (
            (self.state.parameters, self.gradient.parameters),
            (self.state.first, self.optimizer.first),
            (self.state.second, self.optimizer.second),
        ):
            values[models] = self._rows(tensors)[models]
        self.state.steps_done[models] = steps_done

    def _rows(self, tensors: Sequence[torch.Tensor]) -> NDArray[Any]:
        rows = self.gradient.flattened(tensors)[: len(self.running)]
        return np.asarray(rows.cpu().numpy())
