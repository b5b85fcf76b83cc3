"""Write a report beside its dataset, and over nothing but an earlier report."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..comparison.attribution import FILE_NAME as ATTRIBUTION_NAME, load_maps
from ..sweeps.dataset import select_diagram
from ..sweeps.storage import load_dataset
from .landscape import DEFAULT_STARTS
from .page import GENERATOR, report_html

__all__ = ["REPORT_NAME", "ForeignFileError", "write_report"]

REPORT_NAME = "report.html"
_MARK = f'<meta name="generator" content="{GENERATOR} '.encode()
_HEAD = 400  # bytes within which a report carries its mark


class ForeignFileError(ValueError):
    """The file to be written is there already and is no report; it is not replaced.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} is there already and is no report; choose another file, or move it away"
        )


def write_report(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    starts: int = DEFAULT_STARTS,
    at: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report of the phase diagram in a folder; return where.

    Parameters
    ----------
    folder : path
        As ``superposition phase-diagram --out`` or `phase_diagram` with `out` leaves it. Where
        ``superposition explain --out`` has written its maps there too, they are part of the page.
    out : path, optional
        File to write; ``report.html`` in the folder by default. An earlier report is replaced, as a
        whole or not at all.
    starts : int
        As in `report_html`.
    at : dict, optional
        Which diagram of a sweep, as `select_diagram` takes it.

    Raises
    ------
    FileNotFoundError
        If the folder holds no dataset.
    ValueError
        If the dataset is unfinished or too large for a page, or `at` does not choose one diagram.
    ForeignFileError
        If `out` is there and is no report.
    OSError
        If it cannot be written.
    """
    dataset = select_diagram(load_dataset(folder), **(at or {}))
    path = Path(folder) / REPORT_NAME if out is None else Path(out)
    _refuse_foreign(path)
    explained = Path(folder) / ATTRIBUTION_NAME
    maps = load_maps(explained) if explained.exists() else None
    page = report_html(dataset, starts=starts, maps=maps).encode("utf-8")
    _refuse_foreign(path)  # it may have appeared meanwhile
    _replace(path, page)
    return path


def _refuse_foreign(path: Path) -> None:
    if path.is_dir():
        raise ForeignFileError(path)
    if path.exists():
        with path.open("rb") as file:
            if _MARK not in file.read(_HEAD):
                raise ForeignFileError(path)


def _replace(path: Path, page: bytes) -> None:
    """Write beside the file and rename, so that a reader never finds half a page."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".report-", delete=False) as file:
        temporary = Path(file.name)
    try:
        temporary.write_bytes(page)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # as open() would have made it
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
