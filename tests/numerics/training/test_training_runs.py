"""What happens around the steps: trajectories, plateaus, checkpoints and kills."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from superposition import CoActive, Correlated
from superposition.numerics import Protocol, train
from superposition.numerics.training.fused_training import advance_models
from superposition.numerics.training.protocols import Plateau
from superposition.numerics.training.train import TrainingResult

Floats = NDArray[np.float64]

PROTOCOL = Protocol(
    name="short", optimizer="adam", learning_rate=0.02, steps=30, batch_size=10, schedule="cosine"
)
COMMON: dict[str, Any] = {
    "density": [[0.1], [0.6]],
    "importance": [1, 1],
    "replicas": 3,
    "protocol": PROTOCOL,
}
both_engines = pytest.mark.parametrize("engine", ["fused", "torch"])


def assert_same(first: TrainingResult, second: TrainingResult) -> None:
    """Equal to the last bit."""
    for name in ("W", "b", "loss_history", "W_history", "b_history", "stopped_at", "diverged"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


# --- trajectories ---------------------------------------------------------------------------------


@both_engines
@pytest.mark.parametrize(("n", "m"), [(2, 1), (8, 3)])
def test_recorded_weights_are_those_of_shorter_training(n: int, m: int, engine: str) -> None:
    common = {**COMMON, "importance": np.ones(n), "engine": engine}
    constant = replace(PROTOCOL, schedule="constant")
    result = train(n, m, **{**common, "protocol": constant}, record_weights=[0, 7, 30, 30])
    assert result.weight_steps.tolist() == [0, 7, 30]
    assert result.W_history.shape == (2, 3, 3, m, n)
    assert result.b_history.shape == (2, 3, 3, n)
    shorter = train(n, m, **{**common, "protocol": replace(constant, steps=7)})
    np.testing.assert_array_equal(result.W_history[..., 1, :, :], shorter.W)
    np.testing.assert_array_equal(result.b_history[..., 1, :], shorter.b)
    np.testing.assert_array_equal(result.W_history[..., 2, :, :], result.W)
    start = train(n, m, **common, initial=(result.W_history[..., 0, :, :], np.zeros(n)))
    assert_same(start, train(n, m, **common))


def test_recording_weights_changes_nothing_else() -> None:
    plain = train(2, 1, **COMMON)
    assert plain.W_history.shape == (2, 3, 0, 1, 2)
    recorded = train(2, 1, **COMMON, record_weights=8)
    assert recorded.weight_steps.tolist() == [0, 8, 16, 24, 30]
    for name in ("W", "b", "loss_history"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(recorded, name))


def test_all_calls_share_one_machine_code() -> None:
    train(2, 1, **COMMON)
    count = len(advance_models.signatures)  # type: ignore[attr-defined]
    assert count <= 2  # one for each floating-point type
    train(3, 2, **{**COMMON, "importance": [1, 1, 1]}, record_weights=3, chunk_size=4)
    train(2, 1, density=0.5, importance=[1, 1], protocol=PROTOCOL, initial=([[1, 1]], [0, 0]))
    train(2, 1, **COMMON, features=Correlated([(0, 1)]), penalty=0.1)
    grid: dict[str, Any] = {"density": [[0.1], [0.9]], "importance": np.ones((1, 3, 2))}
    train(2, 1, **grid, protocol=PROTOCOL, activation="linear")
    assert len(advance_models.signatures) == count  # type: ignore[attr-defined]


# --- plateaus -------------------------------------------------------------------------------------

PLATEAU = Plateau(window=20, patience=2, improvement=0.05)


def stop_of(losses: Floats, plateau: Plateau) -> int:
    """The definition, on the losses of every step of one model."""
    best, stale = np.inf, 0
    for end in range(plateau.window, len(losses) + 1, plateau.window):
        mean = losses[end - plateau.window : end].mean()
        if mean < (1 - plateau.improvement) * best:
            best, stale = mean, 0
        else:
            stale += 1
        if stale == plateau.patience:
            return end
    return len(losses)


@both_engines
def test_models_stop_where_their_losses_say_so(engine: str) -> None:
    steps = 600
    free = replace(PROTOCOL, steps=steps, schedule="constant", batch_size=32)
    common = {**COMMON, "engine": engine, "replicas": 8}
    losses = train(2, 1, **{**common, "protocol": free}, record_every=1).loss_history
    stopping = replace(free, plateau=PLATEAU)
    result = train(
        2, 1, **{**common, "protocol": stopping}, record_every=1, record_weights=10, chunk_size=5
    )
    expected = np.apply_along_axis(stop_of, -1, losses, PLATEAU)
    np.testing.assert_array_equal(result.stopped_at, expected)
    assert len(np.unique(expected)) > 3
    assert expected.min() < steps // 2
    after = np.arange(steps) >= expected[..., None]
    np.testing.assert_array_equal(result.loss_history, np.where(after, np.nan, losses))
    # Weights stay where they were when a model stopped.
    trajectory = train(2, 1, **{**common, "protocol": free}, record_weights=10)
    for model in np.ndindex(expected.shape):
        place = np.minimum(trajectory.weight_steps, expected[model]) // 10
        np.testing.assert_array_equal(result.W_history[model], trajectory.W_history[model][place])
        np.testing.assert_array_equal(result.W[model], result.W_history[model][-1])


def test_without_a_plateau_all_steps_are_made() -> None:
    assert (train(2, 1, **COMMON).stopped_at == 30).all()


# --- checkpoints ----------------------------------------------------------------------------------


def long_run(path: Path | None, engine: str, steps: int, chunk_size: int) -> TrainingResult:
    protocol = Protocol(
        name="long",
        optimizer="adam",
        learning_rate=0.02,
        steps=steps,
        batch_size=64,
        plateau=Plateau(window=500, patience=40, improvement=0.0),
    )
    arguments = {**COMMON, "protocol": protocol, "record_weights": 1000, "engine": engine}
    return train(
        2, 1, **arguments, checkpoint=path, checkpoint_every=0.02, workers=2, chunk_size=chunk_size
    )


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize(("engine", "steps"), [("fused", 500_000), ("torch", 3000)])
def test_a_killed_run_goes_on_to_the_identical_result(
    tmp_path: Path, engine: str, steps: int
) -> None:
    path = tmp_path / "kept.npz"
    code = (
        "import sys; from pathlib import Path; from test_training_runs import long_run; "
        f"long_run(Path({str(path)!r}), {engine!r}, {steps}, chunk_size=2)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    deadline = time.monotonic() + 120
    while not (path.exists() and np.load(path)["steps_done"].any()):
        assert process.poll() is None, "ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = np.load(path)["steps_done"]
    assert (done > 0).any()
    assert (done < steps).any()
    # Other chunks, which do not matter.
    resumed, whole = long_run(path, engine, steps, 3), long_run(None, engine, steps, 6)
    assert_same(resumed, whole)


@both_engines
def test_a_finished_checkpoint_is_the_result(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "kept.npz"
    arguments = {**COMMON, "engine": engine, "checkpoint": path, "record_weights": 10}
    first = train(2, 1, **arguments)
    content = path.read_bytes()
    again = train(2, 1, **{**arguments, "checkpoint": str(path)}, workers=1, chunk_size=1)
    assert_same(first, again)
    assert_same(first, train(2, 1, **{**arguments, "checkpoint": None}))
    assert path.read_bytes()[:4] == content[:4]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"seed": 1}, "seed is 0 there and 1 now"),
        ({"density": [[0.1], [0.7]]}, "density is"),
        ({"importance": [1, 2]}, "importance is"),
        ({"penalty": 0.1}, "penalty is"),
        ({"replicas": 4}, "replicas is 3 there and 4 now"),
        ({"protocol": replace(PROTOCOL, eps=1e-7)}, "protocol is"),
        ({"engine": "torch"}, "engine is fused there and torch now"),
        ({"activation": "linear"}, "activation is relu there and linear now"),
        ({"record_every": 7}, "recorded losses is"),
        ({"record_weights": 7}, "recorded weights is"),
        ({"initial": ([[1, 1]], [0, 0])}, "initial is"),
        ({"model_index": [3, 4]}, "model_index is"),
        ({"features": CoActive()}, "features is"),
        ({"dtype": torch.float64}, "dtype is torch.float32 there and torch.float64 now"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_checkpoint_of_another_configuration_is_refused(
    tmp_path: Path, changes: dict[str, Any], name: str
) -> None:
    path = tmp_path / "kept.npz"
    train(2, 1, **COMMON, checkpoint=path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=f"belongs to another configuration: .*{name}"):
        train(2, 1, **{**COMMON, **changes}, checkpoint=path)
    assert path.read_bytes() == content


def _flagged(archive: bytes, flag: int) -> bytes:
    """Return an archive the first entry of whose list of contents has a flag set."""
    place = archive.index(b"PK\x01\x02") + 8
    return archive[:place] + bytes([archive[place] | flag]) + archive[place + 1 :]


def _described(path: Path, configuration: Any) -> bytes:
    """Return a checkpoint in which something else stands for the configuration."""
    members: dict[str, Any] = dict(np.load(path))
    members["superposition_training"] = np.array(json.dumps(configuration))
    file = io.BytesIO()
    np.savez(file, **members)
    return file.getvalue()


def test_files_that_are_no_checkpoints_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    train(2, 1, **COMMON, checkpoint=path)
    whole = path.read_bytes()
    np.savez(tmp_path / "foreign.npz", W=np.ones(3))
    np.save(tmp_path / "array.npy", np.ones(3))
    for content, message in (
        (whole[: len(whole) // 2], "is not a complete checkpoint"),
        (whole[:-1], "is not a complete checkpoint"),
        (whole[:4000] + b"x" + whole[4001:], "is not a complete checkpoint"),
        (b"", "is not a complete checkpoint"),
        (b"notes of somebody", "is not a complete checkpoint"),
        ((tmp_path / "foreign.npz").read_bytes(), "it holds something else"),
        ((tmp_path / "array.npy").read_bytes(), "it holds something else"),
        (_flagged(whole, 0x20), "is not a complete checkpoint"),  # says that it is a patch
        (_flagged(whole, 0x01), "is not a complete checkpoint"),  # says that it is encrypted
        (_described(path, [1]), "is not a complete checkpoint"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            train(2, 1, **COMMON, checkpoint=path)
        assert path.read_bytes() == content
    with pytest.raises(ValueError, match="there is no folder"):
        train(2, 1, **COMMON, checkpoint=tmp_path / "none" / "kept.npz")


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_leaves_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    hours = {**COMMON, "protocol": replace(PROTOCOL, steps=10**8), "record_every": 10**7}
    train(2, 1, **COMMON)  # compiled before the clock starts
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        train(2, 1, **hours, checkpoint=path, checkpoint_every=1000)
    done = np.load(path)["steps_done"]
    assert ((done > 0) & (done < 10**8)).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"record_weights": 0}, "record_weights must be an integer of at least 1, got 0"),
        ({"record_weights": [0, 31]}, r"numbers of updates from 0 to 30, .*, got \[0, 31\]"),
        ({"record_weights": [0.5]}, r"record_weights must be integers, got \[0.5\]"),
        ({"checkpoint_every": 0}, "checkpoint_every must be a finite number above 0, got 0"),
        (
            {"record_weights": 1, "replicas": 10**9},
            "take .* GB, more than the .* GB of this machine",
        ),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(2, 1, **{**COMMON, **changes})
