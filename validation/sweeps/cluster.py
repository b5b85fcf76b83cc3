"""The chunks of a sweep on a Dask cluster."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .axes import SweepConfiguration
from .chunks import ChunkGrid, ChunkResult, Place, compute_chunk

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["compute_on_cluster"]

_SECONDS_FOR_THE_FIRST_WORKER = 60
# Chunks handed out per worker: one to compute and one to go on with. More would only have to be
# held somewhere until they are written.
_AHEAD = 2
_KEPT = "; chunks that are done are kept, and the same call goes on from there"
# A chunk uses all processors of its process; threads of a worker would fight over them.
_ONE_AT_A_TIME = threading.Lock()


def compute_on_cluster(
    cluster: str | Client,
    configuration: SweepConfiguration,
    grid: ChunkGrid,
    places: Iterable[Place],
    device: str = "cpu",
) -> Generator[ChunkResult]:
    """Compute chunks on the workers of a cluster and yield them as they are done, in any order.

    The chunks of a worker that dies are computed by others.

    Parameters
    ----------
    cluster : str or distributed.Client
        Address of the scheduler, or a client, which is left open.
    configuration, grid, places, device
        As in `compute_chunk`.

    Raises
    ------
    ImportError
        If `distributed` is not installed.
    OSError
        If there is no scheduler at the address, or it gets no worker.
    """
    with _connected(cluster) as client:
        from distributed import CancelledError, KilledWorker, as_completed
        from distributed.comm.core import CommClosedError

        waiting = iter(places)
        finished: Any = as_completed(loop=client.loop)  # type: ignore[no-untyped-call]
        running: set[Any] = set()

        def hand_out() -> None:
            for place in waiting:
                future = client.submit(_compute, configuration, grid, place, device, pure=False)
                running.add(future)
                finished.add(future)
                if len(running) >= _AHEAD * max(1, len(client.nthreads())):
                    return

        try:
            hand_out()
            for future in finished:
                result: ChunkResult = future.result()
                running.discard(future)
                future.release()
                hand_out()
                yield result
        except KilledWorker as error:
            raise OSError(f"workers of the cluster die of a chunk: {error}{_KEPT}") from error
        except (CancelledError, CommClosedError) as error:
            raise OSError(f"the scheduler of the cluster has gone{_KEPT}") from error
        finally:
            client.cancel(list(running))


def _compute(
    configuration: SweepConfiguration, grid: ChunkGrid, place: Place, device: str
) -> ChunkResult:
    with _ONE_AT_A_TIME:
        return compute_chunk(configuration, grid, place, device)


@contextmanager
def _connected(cluster: str | Client) -> Iterator[Any]:
    """Give a client (its methods have no types) with at least one worker; close it if made here."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError(
            "a cluster needs Dask's distributed; install it with pip install "
            "'superposition[cluster]'"
        ) from error
    if not isinstance(cluster, str):
        yield _with_workers(cluster)
        return
    try:
        client: Any = Client(cluster, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise OSError(f"no Dask scheduler answers at {cluster} ({error})") from error
    with client:
        yield _with_workers(client)


def _with_workers(client: Any) -> Any:
    try:
        client.wait_for_workers(1, timeout=_SECONDS_FOR_THE_FIRST_WORKER)
    except TimeoutError as error:
        raise OSError(
            f"the Dask scheduler at {client.scheduler.address} has had no worker for "
            f"{_SECONDS_FOR_THE_FIRST_WORKER} s; start some with: dask worker "
            f"{client.scheduler.address}"
        ) from error
    return client
