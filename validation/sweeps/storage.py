"""Keep a sweep in a folder, chunk by chunk, so that whatever happens it can go on."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import xarray as xr

from .axes import SweepConfiguration
from .chunks import ChunkGrid, ChunkResult, Place
from .configuration import differing_settings
from .durable import Journal, damaged_files, digests, is_locked, lock, sync_folder, write_durably
from .points import VARIABLES
from .versions import FORMAT, library_versions, merged
from .zarr_bytes import ZarrEncoder

__all__ = [
    "DATASET_NAME",
    "JOURNAL_NAME",
    "OtherConfigurationError",
    "SweepFolder",
    "SweepStatus",
    "load_dataset",
    "sweep_status",
]

DATASET_NAME = "dataset.zarr"
JOURNAL_NAME = "checksums.jsonl"


class OtherConfigurationError(ValueError):
    """The folder holds the results of another configuration; they are never mixed or replaced.

    Broken::

        phase_diagram(density=[0.1], importance=[1], out="results")
        phase_diagram(density=[0.2], importance=[1], out="results")  # raises

    Repaired: give every configuration a folder of its own.

    Attributes
    ----------
    folder : Path
    differences : tuple of str
        Names of the settings that differ.
    """

    def __init__(self, folder: Path, differences: tuple[str, ...]) -> None:
        self.folder = folder
        self.differences = differences
        super().__init__(
            f"{folder} holds results of another configuration (different: "
            f"{', '.join(differences)}); choose another folder, or remove this one"
        )


@dataclass(frozen=True)
class _Layout:
    """What the journal says of the dataset as a whole."""

    configuration: str
    grid: ChunkGrid
    versions: dict[str, str]
    files: dict[str, str]  # digests of metadata and coordinates, by name

    def entry(self) -> dict[str, Any]:
        return {
            "kind": "layout",
            "format": FORMAT,
            "configuration": self.configuration,
            "shape": self.grid.shape,
            "chunk": self.grid.chunk,
            "versions": self.versions,
            "files": self.files,
        }

    @classmethod
    def of(cls, entry: dict[str, Any]) -> _Layout:
        grid = ChunkGrid(tuple(entry["shape"]), tuple(entry["chunk"]))
        return cls(entry["configuration"], grid, entry["versions"], entry["files"])


@dataclass(frozen=True)
class _Record:
    """What the journal says: the last word on the layout, and on every chunk."""

    layout: _Layout
    chunks: dict[Place, dict[str, str]]

    @classmethod
    def read(cls, folder: Path) -> _Record | None:
        """Return the record of a folder, or None where nothing (sound) is recorded.

        Raises
        ------
        ValueError
            If it was written in another format.
        """
        layout = None
        chunks = {}
        for entry in Journal(folder / JOURNAL_NAME).read():
            if entry.get("kind") == "layout":
                if entry["format"] != FORMAT:
                    raise ValueError(
                        f"{folder / JOURNAL_NAME} has format {entry['format']}, and this version "
                        f"reads format {FORMAT}; use the version that wrote it, or another folder"
                    )
                layout = _Layout.of(entry)
            elif entry.get("kind") == "chunk":
                chunks[tuple(entry["place"])] = entry["files"]
        return None if layout is None else cls(layout, chunks)

    def damaged(self, folder: Path) -> dict[Place, list[str]]:
        """Return the files of recorded chunks that are missing or not what they were."""
        root = folder / DATASET_NAME
        found = {place: damaged_files(root, files) for place, files in self.chunks.items()}
        return {place: names for place, names in found.items() if names}


class SweepFolder:
    """A folder with one dataset in it, written chunk by chunk, for one process at a time.

    A chunk counts as done once its files are on the disk and their checksums in the journal
    beside the dataset; both are compared whenever the folder is opened.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    configuration : SweepConfiguration
        Of the dataset that is to be written or completed.
    grid : ChunkGrid
        The chunks of a new dataset; one that was begun keeps its own.

    Attributes
    ----------
    grid : ChunkGrid
    done : set of tuple of int
        Places of the chunks that are done.

    Raises
    ------
    OtherConfigurationError
        If the folder holds a dataset of another configuration.
    ValueError
        If it holds something else of that name.
    OSError
        If it cannot be made or written to, or another process is writing to it.
    """

    def __init__(self, folder: Path, configuration: SweepConfiguration, grid: ChunkGrid) -> None:
        self.folder = folder
        self.configuration = configuration
        self.grid = grid
        self._root = folder / DATASET_NAME
        self._journal = Journal(folder / JOURNAL_NAME)
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        with tempfile.TemporaryFile(dir=folder):
            pass  # fails now if the folder cannot be written to, and not after an hour of work
        if not self._journal.path.exists():
            self._refuse_what_is_not_ours()
        self._locked: IO[bytes] = self._journal.path.open("ab")
        try:
            self._open()
        except BaseException:
            self._locked.close()
            raise

    def _open(self) -> None:
        if not lock(self._locked):
            raise BlockingIOError(
                errno.EWOULDBLOCK, "another process is writing to this folder", str(self.folder)
            )
        record = _Record.read(self.folder)
        if record is None:
            self._refuse_what_is_not_ours()
            record = _Record(self._begin(library_versions()), {})
        differences = self.configuration.differences(record.layout.configuration)
        if differences:
            raise OtherConfigurationError(self.folder, differences)
        self.grid = record.layout.grid
        self._versions = record.layout.versions
        self._encoder = ZarrEncoder(self.configuration, self.grid, self._versions)
        if damaged_files(self._root, record.layout.files):
            self._begin(self._versions)
        self.done = set(record.chunks) - set(record.damaged(self.folder))

    def _refuse_what_is_not_ours(self) -> None:
        """Raise unless the dataset, whose journal is lost, has this configuration, or is none."""
        if not self._root.exists():
            return
        try:
            attributes = json.loads((self._root / "zarr.json").read_bytes())["attributes"]
            found = attributes["configuration"]
            differences = differing_settings(self.configuration.to_json(), found)
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self._root} is no dataset of a phase diagram; choose another folder, "
                "or move it away"
            ) from error
        if differences:
            raise OtherConfigurationError(self.folder, differences)

    def _begin(self, versions: dict[str, str]) -> _Layout:
        """Record and write metadata and coordinates; they follow from the configuration."""
        self._versions = versions
        self._encoder = ZarrEncoder(self.configuration, self.grid, versions)
        files = self._encoder.layout()
        layout = _Layout(self.configuration.to_json(), self.grid, versions, digests(files))
        with self._kept():
            self._journal.append(layout.entry())
            write_durably(self._root, files)
        return layout

    def write(self, result: ChunkResult) -> None:
        """Write a chunk and record it.

        Raises
        ------
        OSError
            If it cannot be written; the chunks before it are there as they were.
        """
        versions = merged(self._versions, result.versions)
        if versions != self._versions:
            self._begin(versions)
        files = self._encoder.chunk(result)
        with self._kept():
            write_durably(self._root, files)
            self._journal.append({"kind": "chunk", "place": result.place, "files": digests(files)})
        self.done.add(result.place)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Say in errors of the system what is kept, and how to go on."""
        try:
            yield
        except OSError as error:
            if error.errno is None:
                raise
            raise OSError(
                error.errno,
                f"{os.strerror(error.errno)} while writing (chunks that are done are kept; once "
                f"there is room and permission the same call goes on from there)",
                error.filename or str(self.folder),
            ) from error

    def dataset(self, *, lazy: bool = False) -> xr.Dataset:
        """Return the finished dataset."""
        return load_dataset(self.folder, lazy=lazy)

    def __enter__(self) -> Self:
        """Return the folder itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let other processes write to the folder; tell whoever interrupted how to go on."""
        self._locked.close()
        if isinstance(error, KeyboardInterrupt):
            error.add_note(
                f"{len(self.done)} of {len(self.grid)} chunks are in {self.folder}; "
                f"the same call goes on from there"
            )


def load_dataset(folder: str | Path, *, lazy: bool = False) -> xr.Dataset:
    """Read the dataset that `phase_diagram` or `sweep` keeps in a folder.

    Parameters
    ----------
    folder : path
    lazy : bool
        Whether to read a variable only when it is used, for datasets that do not fit into memory.
        The folder has to stay where it is.

    Raises
    ------
    FileNotFoundError
        If the folder holds none.
    ValueError
        If chunks of it are still to be computed, or files are damaged.
    """
    folder = Path(folder)
    path = folder / DATASET_NAME
    if not path.exists():
        raise FileNotFoundError(f"no dataset in {folder}: {path} does not exist")
    status = sweep_status(folder)
    if not status.complete:
        raise ValueError(
            f"the dataset in {folder} is unfinished: {status.trouble()}; run the same command again"
        )
    stored = xr.open_dataset(path, engine="zarr", consolidated=False)[list(VARIABLES)]
    if lazy:
        return stored
    with stored:
        dataset: xr.Dataset = stored.load()
    return dataset


@dataclass(frozen=True)
class SweepStatus:
    """How far a sweep in a folder has come; every file was compared with its checksum.

    Attributes
    ----------
    folder : Path
    settings : dict
        The configuration, as in the dataset's attribute.
    lengths : dict of int
        Of the dimensions of the grid, by name.
    versions : dict of str
        Of the libraries that computed it.
    points, points_done : int
        Points of the grid, and those in chunks that are done.
    chunks, chunks_done : int
    damaged : dict
        Names of the files that are missing or changed, by the place of the chunk; metadata and
        coordinates have the place ().
    running : bool
        Whether a process is writing to the folder.
    """

    folder: Path
    settings: dict[str, Any]
    lengths: dict[str, int]
    versions: dict[str, str]
    points: int
    points_done: int
    chunks: int
    chunks_done: int
    damaged: dict[Place, list[str]]
    running: bool

    @property
    def complete(self) -> bool:
        """Whether everything is there and sound."""
        return self.chunks_done == self.chunks and not self.damaged

    def __str__(self) -> str:
        """Return a few lines for people."""
        over = [f"{length} {name}" for name, length in self.lengths.items()]
        share = self.points_done / self.points
        lines = [
            f"{self.folder}: {' × '.join(over)} = {self.points} points",
            f"done: {self.points_done} points ({share:.1%}), {self.chunks_done} of {self.chunks} chunks",
        ]
        if self.damaged:
            names = [name for part in self.damaged.values() for name in part]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            lines.append(f"damaged or missing files: {', '.join(names[:3])}{more}")
        if self.running:
            lines.append("a process is writing to it now")
        elif not self.complete:
            lines.append("the command that began it goes on from there")
        lines.append("computed with " + ", ".join(f"{k} {v}" for k, v in self.versions.items()))
        return "\n".join(lines)

    def trouble(self) -> str:
        """Return what is not there or not sound, in words."""
        damaged = len(set(self.damaged) - {()})
        missing = self.chunks - self.chunks_done - damaged
        parts = {
            f"{missing} of {self.chunks} chunks missing": missing,
            f"{damaged} of {self.chunks} chunks damaged": damaged,
            "metadata damaged": () in self.damaged,
        }
        return ", ".join(part for part, there in parts.items() if there)


def sweep_status(folder: str | Path) -> SweepStatus:
    """Tell how far the sweep in a folder has come, and whether its files are sound.

    Nothing is changed, and a process that is writing to the folder is not disturbed.

    Raises
    ------
    FileNotFoundError
        If the folder holds no sweep.
    ValueError
        If it holds something else.
    """
    folder = Path(folder)
    record = _Record.read(folder)
    if record is None:
        if (folder / DATASET_NAME).exists():
            raise ValueError(
                f"{folder} has a dataset and no sound {JOURNAL_NAME} beside it, so that nothing "
                f"can be said of it; the command that made it computes it anew"
            )
        raise FileNotFoundError(
            f"no dataset in {folder}: neither {DATASET_NAME} nor {JOURNAL_NAME}"
        )
    layout = record.layout
    damaged = record.damaged(folder)
    done = [place for place in record.chunks if place not in damaged]
    metadata = damaged_files(folder / DATASET_NAME, layout.files)
    settings = json.loads(layout.configuration)
    dims = (*settings.get("dimensions", ()), "density", "importance")
    return SweepStatus(
        folder=folder,
        settings=settings,
        lengths=dict(zip(dims, layout.grid.shape, strict=True)),
        versions=layout.versions,
        points=prod(layout.grid.shape),
        points_done=sum(layout.grid.points(place) for place in done),
        chunks=len(layout.grid),
        chunks_done=len(done),
        damaged=damaged | ({(): metadata} if metadata else {}),
        running=is_locked(folder / JOURNAL_NAME),
    )
