"""Files that survive: whole or not there, and on the disk when a call returns."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # not a POSIX system: nobody keeps a second process out
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Journal",
    "damaged_files",
    "digests",
    "is_locked",
    "lock",
    "sync_folder",
    "write_durably",
]


def digest(content: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def write_durably(root: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder; each appears under its name once all of it is on the disk.

    A kill leaves at most files that end in ".partial", which the next writing replaces. When the
    call returns, files, names and folders have been flushed to the disk.

    Parameters
    ----------
    root : Path
    files : dict
        Contents by path relative to `root`.

    Raises
    ------
    OSError
        If a file cannot be written; what the names held before is still there for that file.
    """
    folders = {root}
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content)
        folders.update(path.parents[: len(Path(name).parts)])
    for folder in folders:
        sync_folder(folder)


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            _sync(file)
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder, where the system can."""
    if os.name != "posix":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class Journal:
    """A file of entries, each on a line with its checksum, to which entries are only added.

    A line that is damaged, or was being written when the process died, does not count.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """Return the sound entries in the order in which they were added; none without a file."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return [entry for line in lines if (entry := _sound(line)) is not None]

    def append(self, entry: dict[str, Any]) -> None:
        """Add an entry; it is on the disk when this returns, or not in the file at all.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        line = json.dumps({"sha256": _digest_of_entry(entry), "entry": entry}).encode() + b"\n"
        with self.path.open("ab") as file:
            end = file.tell()
            try:
                # The line before may have been cut off by a kill.
                file.write(line if end == 0 or self._ends_a_line() else b"\n" + line)
                _sync(file)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(file.fileno(), end)
                raise
        sync_folder(self.path.parent)

    def _ends_a_line(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


def _digest_of_entry(entry: dict[str, Any]) -> str:
    return digest(json.dumps(entry, sort_keys=True).encode())


def _sound(line: bytes) -> dict[str, Any] | None:
    try:
        outer = json.loads(line)
        entry = outer["entry"]
        return dict(entry) if _digest_of_entry(entry) == outer["sha256"] else None
    except (KeyError, TypeError, ValueError):
        return None


def lock(file: IO[bytes]) -> bool:
    """Keep other processes from locking an open file; return whether no other has locked it.

    The system ends the lock with the process, however that ends. Where there are no locks, on
    some network file systems, nobody is kept out.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def is_locked(path: Path) -> bool:
    """Tell whether a process has locked a file, which is left as it is."""
    with path.open("rb") as file:
        return not lock(file)


def damaged_files(root: Path, digests: dict[str, str]) -> list[str]:
    """Return the names of files that are missing or are not what their digests say."""
    return [name for name, known in digests.items() if _digest_of(root / name) != known]


def _digest_of(path: Path) -> str | None:
    try:
        return digest(path.read_bytes())
    except OSError:
        return None


def digests(files: dict[str, bytes]) -> dict[str, str]:
    """Return the digest of every file."""
    return {name: digest(content) for name, content in files.items()}
