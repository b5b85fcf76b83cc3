"""What commands write into a folder: figures in every format, and never over what is not theirs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURE_FORMATS", "figure_names", "refuse_to_overwrite", "save_figure"]

FIGURE_FORMATS = ("png", "svg", "pdf")


def figure_names(name: str) -> tuple[str, ...]:
    """Return the names of the files of a figure."""
    return tuple(f"{name}.{suffix}" for suffix in FIGURE_FORMATS)


def refuse_to_overwrite(folder: Path, data: str, names: Iterable[str], kind: str) -> None:
    """Raise if a file that is to be written is there without the data that it belongs to."""
    if not (folder / data).exists():
        for name in names:
            if (folder / name).exists():
                raise ValueError(
                    f"{folder / name} is there already and does not come from {kind} in "
                    f"{folder}; choose another folder, or move it away"
                )


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure in every format, the same files for equal figures."""
    import matplotlib as mpl

    written = []
    with mpl.rc_context({"svg.hashsalt": "superposition"}):
        for suffix in FIGURE_FORMATS:
            path = folder / f"{name}.{suffix}"
            figure.savefig(path, dpi=150, metadata=None if suffix == "png" else _undated(suffix))
            written.append(path)
    return written


def _undated(suffix: str) -> dict[str, Any]:
    """Metadata without the time of the run."""
    return {"Date": None} if suffix == "svg" else {"CreationDate": None}
