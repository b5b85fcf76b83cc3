"""Keep a dataset in a folder, block by block, so that an interrupted sweep can go on."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from .configuration import PhaseDiagramConfiguration

DATASET_NAME = "dataset.zarr"
_COMPLETE = "complete"


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


class DatasetFolder:
    """A folder with one dataset in it, written row block by row block along the density.

    A block counts as done once its flag in the variable ``complete`` is set, which is written
    after everything else of the block.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    configuration : PhaseDiagramConfiguration
        Of the dataset that is to be written, completed or read.

    Raises
    ------
    OtherConfigurationError
        If the folder holds a dataset of another configuration.
    OSError
        If it cannot be made or written to.
    """

    def __init__(self, folder: Path, configuration: PhaseDiagramConfiguration) -> None:
        self.folder = folder
        self.configuration = configuration
        self.path = folder / DATASET_NAME
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass  # fails now if the folder cannot be written to, and not after an hour of work
        if self.path.exists():
            try:
                with xr.open_zarr(self.path, consolidated=False) as stored:
                    found = stored.attrs["configuration"]
            except (KeyError, OSError, ValueError) as error:
                raise ValueError(
                    f"{self.path} is no dataset of a phase diagram; choose another folder, "
                    "or move it away"
                ) from error
            differences = configuration.differences(found)
            if differences:
                raise OtherConfigurationError(folder, differences)

    def has(self, rows: slice) -> bool:
        """Tell whether a block of rows is there and complete."""
        if not self.path.exists():
            return False
        with xr.open_zarr(self.path, consolidated=False) as stored:
            return bool(stored[_COMPLETE].isel(density=rows).all())

    def write(self, block: xr.Dataset, rows: slice) -> None:
        """Write a block of rows."""
        if not self.path.exists():
            self._begin(block)
        region = {"density": rows}
        block.drop_vars([*block.coords]).to_zarr(self.path, region=region, consolidated=False)
        done = xr.Dataset({_COMPLETE: ("density", np.ones(rows.stop - rows.start, np.int8))})
        done.to_zarr(self.path, region=region, consolidated=False)

    def _begin(self, block: xr.Dataset) -> None:
        """Lay out the whole dataset without its data; it appears under its name at once."""
        total = len(self.configuration.density)
        first = xr.zeros_like(block.isel(density=[0] * total))
        first = first.assign_coords(density=np.array(self.configuration.density))
        first["density"].attrs = block["density"].attrs
        first[_COMPLETE] = ("density", np.zeros(total, np.int8))
        first[_COMPLETE].attrs["long_name"] = "1 where a row has been computed"
        rows = block.sizes["density"]
        chunked = {
            str(name): {
                "chunks": tuple(
                    rows if dim == "density" else first.sizes[dim] for dim in first[name].dims
                )
            }
            for name in first.data_vars
        }
        partial = self.path.with_name(DATASET_NAME + ".partial")
        if partial.exists():
            shutil.rmtree(partial)
        first.to_zarr(partial, encoding=chunked, consolidated=False)
        partial.rename(self.path)


def load_dataset(folder: str | Path) -> xr.Dataset:
    """Read the dataset that `phase_diagram` keeps in `folder` into memory.

    Raises
    ------
    FileNotFoundError
        If the folder holds none.
    ValueError
        If rows of it are still to be computed.
    """
    path = Path(folder) / DATASET_NAME
    if not path.exists():
        raise FileNotFoundError(f"no dataset in {folder}: {path} does not exist")
    with xr.open_zarr(path, consolidated=False) as stored:
        dataset: xr.Dataset = stored.load()
    missing = int((dataset[_COMPLETE] == 0).sum())
    if missing:
        raise ValueError(
            f"the dataset in {folder} is unfinished: {missing} of {dataset.sizes['density']} "
            "rows are missing; run the same command again"
        )
    return dataset[sorted({str(name) for name in dataset.data_vars} - {_COMPLETE})]
