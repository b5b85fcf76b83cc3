"""Sweeps on a Dask cluster: a scheduler and workers in processes of their own, on this machine.

Oracle: the same sweep computed in this process.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from distributed import Client

sys.path.insert(0, str(Path(__file__).parent))

from imitated_sweeps import SHORT, tree

from superposition import cli
from superposition.validation import load_dataset, phase_diagram, sweep_status
from superposition.validation.sweeps import cluster as sweep_cluster
from superposition.validation.sweeps.durable import Journal

GRID: dict[str, Any] = {
    "density": np.geomspace(0.1, 0.9, 6), "importance": [0.5, 1.0, 2.0], "replicas": 2,
    "starts": 16, "protocol": SHORT, "points_per_chunk": 1,
}  # fmt: skip

CHUNKS = 18
ON_THE_LINE = [
    "--density", "0.1:0.9:2", "--importance", "0.5:2:2", "--replicas", "1", "--starts", "8",
]  # fmt: skip
LIKE_THE_LINE: dict[str, Any] = {
    "density": np.geomspace(0.1, 0.9, 2), "importance": np.geomspace(0.5, 2, 2), "replicas": 1,
    "starts": 8,
}  # fmt: skip


class Cluster:
    """A scheduler and workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        arguments = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter")
        self.scheduler = self._start("scheduler", *arguments, "--scheduler-file", str(file))
        deadline = time.monotonic() + 120
        while not file.exists():
            assert self.scheduler.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.address: str = json.loads(file.read_text())["address"]

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command], stdout=log, stderr=log, cwd=self.folder
            )
        self.processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        """Start a worker without a nanny, which would start it again after a kill."""
        return self._start(
            "worker", self.address, "--nthreads", "2", "--no-nanny", "--no-dashboard",
            "--host", "127.0.0.1", "--local-directory", str(self.folder),
        )  # fmt: skip

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    started = Cluster(folder)
    try:
        yield started
    finally:
        started.stop()


def once_done(folder: Path, chunks: int, then: Callable[[], None]) -> threading.Thread:
    """Do something in mid-run: once so many chunks are recorded."""

    def watch() -> None:
        while len(Journal(folder / "checksums.jsonl").read()) < 1 + chunks:
            time.sleep(0.01)
        then()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_cluster_that_loses_a_worker_and_then_its_scheduler(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One test, because processes take their time to start."""
    with monkeypatch.context() as impatient:
        impatient.setattr(sweep_cluster, "_SECONDS_FOR_THE_FIRST_WORKER", 0.2)
        with pytest.raises(
            OSError, match=r"no worker for 0\.2 s; start some with: dask worker tcp"
        ):
            phase_diagram(**GRID, cluster=cluster.address)

    local, killed, command, orphaned = (tmp_path / name for name in ("a", "b", "c", "d"))
    phase_diagram(**GRID, out=local)
    workers = [cluster.worker() for _ in range(2)]
    done_when_killed: list[int] = []

    def kill_worker() -> None:
        workers[0].send_signal(signal.SIGSTOP)  # so that it dies with chunks on its hands
        time.sleep(0.2)
        workers[0].kill()
        done_when_killed.append(sweep_status(killed).chunks_done)

    with Client(cluster.address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(2, timeout=120)
        watching = once_done(killed, 3, kill_worker)
        swept = phase_diagram(**GRID, out=killed, cluster=client)
        watching.join()
        assert client.status == "running"  # a client that was given is left open
    assert done_when_killed[0] < CHUNKS
    assert workers[0].wait() == -signal.SIGKILL
    assert workers[1].poll() is None
    assert tree(killed) == tree(local)
    xr.testing.assert_identical(swept, load_dataset(local))

    cli.main(["phase-diagram", *ON_THE_LINE, "--out", str(command), "--cluster", cluster.address])
    xr.testing.assert_identical(load_dataset(command), phase_diagram(**LIKE_THE_LINE))

    once_done(orphaned, 2, cluster.scheduler.kill)
    with pytest.raises(OSError, match=r"the scheduler of the cluster has gone; chunks .* are kept"):
        phase_diagram(**GRID, out=orphaned, cluster=cluster.address)
    assert 2 <= sweep_status(orphaned).chunks_done < CHUNKS
    phase_diagram(**GRID, out=orphaned)
    assert tree(orphaned) == tree(local)


def test_nobody_at_the_address(tmp_path: Path) -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(OSError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        phase_diagram(**GRID, out=tmp_path, cluster="tcp://127.0.0.1:9")
    with pytest.raises(OSError, match="no Dask scheduler answers at nonsense://x"):
        phase_diagram(**GRID, cluster="nonsense://x")


def test_threads_of_a_worker_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk uses all processors, so that two at once would be slower than one by one."""
    at_work: list[int] = []
    most = 0

    def compute(*_: object) -> None:
        nonlocal most
        at_work.append(1)
        most = max(most, len(at_work))
        time.sleep(0.02)
        at_work.pop()

    monkeypatch.setattr(sweep_cluster, "compute_chunk", compute)
    threads = [
        threading.Thread(target=sweep_cluster._compute, args=(None, None, (0,), "cpu"))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_without_distributed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'superposition\[cluster\]'"):
        phase_diagram(**GRID, cluster="tcp://127.0.0.1:9")
    with pytest.raises(SystemExit) as stop:
        cli.main(["phase-diagram", "--out", str(tmp_path), "--cluster", "tcp://127.0.0.1:9"])
    assert stop.value.code == 2
    assert "pip install" in capsys.readouterr().err
