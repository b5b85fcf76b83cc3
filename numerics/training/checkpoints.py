"""A file that holds training on its way, such that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from .plan import TrainingPlan
from .state import TrainingState

__all__ = ["Checkpoint", "configuration_of"]

_MEMBER: Final = "superposition_training"
_FORMAT: Final = 1


@dataclass(frozen=True)
class Checkpoint:
    """Where the state of training is kept, and of which configuration it is.

    The file is an uncompressed NumPy archive. It is written beside its place and then moved there,
    so that a kill at any moment leaves the last complete one; what was being written is left as a
    file whose name starts with that of the checkpoint and ends in ".partial".

    Attributes
    ----------
    path : Path
    configuration : dict
        As `configuration_of` makes it.
    every : float
        Seconds between two saves.
    """

    path: Path
    configuration: dict[str, Any]
    every: float

    def load(self) -> TrainingState | None:
        """Return the state in the file, or None where there is no file.

        Raises
        ------
        ValueError
            If the file is no checkpoint, is damaged, or belongs to another configuration.
        """
        if not self.path.exists():
            folder = self.path.parent
            if not folder.is_dir():
                raise ValueError(f"checkpoint {self.path}: there is no folder {folder}; make it")
            return None
        try:
            with self.path.open("rb") as file:
                members = _members(file)
                found = dict(json.loads(str(members.pop(_MEMBER))))
                state = TrainingState(**members)
        except Exception as error:  # a damaged archive may raise anything
            raise ValueError(
                f"{self.path} is not a complete checkpoint of training ({error}) and is left as it "
                f"is; delete it to start anew, or pass another path"
            ) from error
        self._check_configuration(found)
        return state

    def save(self, state: TrainingState) -> None:
        """Replace the file by one with this state."""
        number, name = tempfile.mkstemp(
            prefix=f"{self.path.name}.", suffix=".partial", dir=self.path.parent
        )
        try:
            with os.fdopen(number, "wb") as file:
                members: dict[str, Any] = state._asdict()
                members[_MEMBER] = np.array(json.dumps(self.configuration))
                np.savez(file, **members)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _check_configuration(self, found: dict[str, Any]) -> None:
        wanted = self.configuration
        names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        if names:
            name = names[0]
            more = f" (and {', '.join(names[1:])})" if names[1:] else ""
            raise ValueError(
                f"checkpoint {self.path} belongs to another configuration: {name} is "
                f"{found.get(name)} there and {wanted.get(name)} now{more}; pass another path, or "
                f"the same configuration"
            )


def _members(file: BinaryIO) -> dict[str, NDArray[Any]]:
    if not zipfile.is_zipfile(file):
        raise ValueError("it holds something else, or only a part")
    file.seek(0)
    archive = np.load(file, allow_pickle=False)
    if _MEMBER not in archive.files:
        raise ValueError("it holds something else")
    return {name: archive[name] for name in archive.files}


def configuration_of(plan: TrainingPlan, engine: str) -> dict[str, Any]:
    """Return what decides the result of a plan: what has to be the same for going on with it.

    Arrays are told apart by a hash of their contents.
    """
    initial = plan.initial or (np.empty(0), np.empty(0))
    configuration = {
        "format": _FORMAT,
        "protocol": repr(plan.protocol),
        "activation": plan.activation,
        "features": repr(plan.features),
        "seed": plan.seed,
        "replicas": plan.replicas,
        "n_features": plan.n_features,
        "n_hidden": plan.n_hidden,
        "density": _digest(plan.density),
        "importance": _digest(plan.importance),
        "penalty": _digest(plan.penalty),
        "model_index": _digest(plan.model_index),
        "initial": [_digest(values) for values in initial],
        "recorded losses": _digest(plan.recorded_steps),
        "recorded weights": _digest(plan.weight_steps),
        "dtype": str(plan.dtype),
        "device": plan.device.type,
        "engine": engine,
    }
    # Checkpoints from before there were others do not say which architecture they are of.
    if not plan.architecture.is_standard:
        configuration["architecture"] = repr(plan.architecture)
    return configuration


def _digest(values: NDArray[Any]) -> str:
    content = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]
    return f"{values.dtype} {list(values.shape)} {content}"
