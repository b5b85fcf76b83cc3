"""Whatever happens to a sweep, it goes on. Oracle: the bytes of the sweep to which nothing did."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

sys.path.insert(0, str(Path(__file__).parent))

from imitated_sweeps import CHUNKS, imitate, imitated, module, tree

from superposition.validation import (
    OtherConfigurationError,
    load_dataset,
    phase_diagram,
    sweep_status,
)
from superposition.validation.sweeps import storage
from superposition.validation.sweeps.durable import Journal
from superposition.validation.sweeps.versions import library_versions

NAMES = ("dataset.zarr", "checksums.jsonl")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        imitate(patch)
        imitated(folder)
    return folder


def copy_of(folder: Path, to: Path) -> Path:
    subprocess.run(["cp", "-r", *(folder / name for name in NAMES), to], check=True)
    return to


def moments(folder: Path) -> list[int]:
    """Return flushes and renames at which to kill: the first and last ones, and an even spread."""
    calls = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            return call(*arguments)

        return counting

    with pytest.MonkeyPatch.context() as patch:
        imitate(patch)
        for name in ("fsync", "replace"):
            patch.setattr(os, name, counted(getattr(os, name)))
        imitated(folder)
    return sorted({0, 1, *range(2, calls, calls // 7), calls - 1})


def test_killed_at_any_moment_it_goes_on_and_ends_the_same(
    undisturbed: Path, tmp_path: Path
) -> None:
    program = Path(__file__).with_name("killed_sweeps.py")
    chosen = moments(tmp_path / "counted")
    ran = subprocess.run(
        [sys.executable, program, tmp_path, *map(str, chosen)],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    expected = tree(undisturbed)
    redone = set()
    for line in ran.stdout.splitlines():
        told = json.loads(line)
        folder = tmp_path / told["moment"]
        assert (told["killed"], told["ended"]) == (signal.SIGKILL, 0), told
        assert tree(folder) == expected, told
        assert len({tuple(place) for place in told["places"]}) == len(told["places"])
        # What was recorded when it was killed is not computed again.
        redone.add(len(told["places"]))
        lines = Journal(folder / "checksums.jsonl").read()
        assert [entry["kind"] for entry in lines].count("chunk") == CHUNKS, told
    # The last call flushes the folder of the journal, whose last line is there already.
    assert redone == set(range(CHUNKS + 1))
    assert len(ran.stdout.splitlines()) == len(chosen)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux to name open files")
def test_all_of_a_chunk_is_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss of power keeps what was flushed. Oracle: the order of flushes and renames."""
    flush, rename = os.fsync, os.replace
    safe_content: set[Path] = set()  # flushed under whatever name it had then
    safe_names: set[Path] = set()  # the folder was flushed after the name came into it
    unsafe_names: set[Path] = set()
    recorded = 0

    def flushed(number: int) -> None:
        nonlocal recorded
        flush(number)
        path = Path(os.readlink(f"/proc/self/fd/{number}"))
        if path.is_dir():
            there = {name for name in unsafe_names if name.parent == path}
            unsafe_names.difference_update(there)
            safe_names.update(there)
        elif path.name == "checksums.jsonl":
            entries = [entry for entry in Journal(path).read() if entry["kind"] == "chunk"]
            for entry in entries[recorded:]:
                files = {tmp_path / "dataset.zarr" / name for name in entry["files"]}
                assert files <= safe_names & safe_content
            recorded = len(entries)
        else:
            assert path.suffix == ".partial"  # under its own name it is whole
            safe_content.add(path)

    def renamed(source: Path, target: Path) -> None:
        rename(source, target)
        if source in safe_content:
            safe_content.add(target)
        unsafe_names.add(target)

    imitate(monkeypatch)
    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    imitated(tmp_path)
    assert recorded == CHUNKS
    assert not unsafe_names


def test_real_sweep_killed_from_outside(tmp_path: Path) -> None:
    """The command itself, with real numbers: killed once its first chunk is recorded."""
    command = [
        sys.executable, "-m", "superposition", "phase-diagram", "--density", "0.1:0.9:4",
        "--importance", "0.5:2:2", "--replicas", "1", "--starts", "8", "--chunk", "1",
    ]  # fmt: skip
    journal = tmp_path / "killed" / "checksums.jsonl"
    with subprocess.Popen([*command, "--out", journal.parent], stderr=subprocess.DEVNULL) as ran:
        try:
            deadline = time.monotonic() + 300
            while len(Journal(journal).read()) < 2:  # the layout, and a chunk
                assert time.monotonic() < deadline
                assert ran.poll() is None
                time.sleep(0.005)
        finally:
            ran.kill()
    before = sweep_status(journal.parent)
    assert 1 <= before.chunks_done < before.chunks == 8
    assert not before.running
    kept = {path: path.stat().st_mtime_ns for path in journal.parent.rglob("theory_loss/c.*")}
    arguments: dict[str, Any] = {
        "density": np.geomspace(0.1, 0.9, 4), "importance": np.geomspace(0.5, 2, 2),
        "replicas": 1, "starts": 8,
    }  # fmt: skip
    resumed = phase_diagram(**arguments, out=journal.parent)
    unchanged = [path.stat().st_mtime_ns == then for path, then in kept.items()]
    assert sum(unchanged) >= before.chunks_done
    xr.testing.assert_identical(resumed, phase_diagram(**arguments))


def test_interruption_says_how_to_go_on(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = imitate(monkeypatch, interrupt_before=2)
    with pytest.raises(KeyboardInterrupt) as caught:
        imitated(tmp_path)
    assert caught.value.__notes__ == [
        f"2 of {CHUNKS} chunks are in {tmp_path}; the same call goes on from there"
    ]
    with pytest.raises(ValueError, match=f"unfinished: 2 of {CHUNKS} chunks missing; run"):
        load_dataset(tmp_path)
    rest = imitate(monkeypatch)
    # The chunks of the folder are kept, whatever the second call would have chosen.
    imitated(tmp_path, points_per_chunk=1)
    assert len(first.places) == 2
    assert set(rest.places).isdisjoint(first.places)
    assert tree(tmp_path) == tree(undisturbed)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE: dict[str, Callable[[Path], object]] = {"flipped": flip, "truncated": truncate, "empty": lambda p: p.write_bytes(b""),
          "deleted": Path.unlink}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    ("name", "redone"),
    [
        ("trained_W/c.0.1.0.0.0.0", 1),
        ("stuck/c.1.0.0.0", 1),
        ("trained_W/zarr.json", 0),
        ("zarr.json", 0),
        ("density/c/0", 0),
    ],
)
def test_damage_is_told_and_repaired(
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
    name: str,
    redone: int,
) -> None:
    copy_of(undisturbed, tmp_path)
    DAMAGE[damage](tmp_path / "dataset.zarr" / name)
    status = sweep_status(tmp_path)
    assert list(status.damaged.values()) == [[name]]
    assert status.chunks_done == CHUNKS - redone
    assert name in str(status)
    with pytest.raises(
        ValueError, match="1 of 4 chunks damaged; run" if redone else "unfinished: metadata damaged"
    ):
        load_dataset(tmp_path)
    computed = imitate(monkeypatch)
    imitated(tmp_path)
    assert len(computed.places) == redone
    assert tree(tmp_path) == tree(undisturbed)
    assert sweep_status(tmp_path).complete


def test_damaged_journal_costs_what_it_said(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last line cut anywhere, as by loss of power; any line changed; all of it gone."""
    whole = (undisturbed / "checksums.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == CHUNKS + 1
    last = len(lines[-1])
    cut = [(whole[:-k], 1) for k in (2, last // 2, last - 1, last)]
    # Without its end of line the entry is whole, and the next one still begins a line.
    cut.append((whole[:-1], 0))
    changed = [
        (b"".join([*lines[:k], lines[k].replace(b'"files"', b'"filez"'), *lines[k + 1 :]]), redone)
        for k, redone in ((0, CHUNKS), (2, 1))
    ]
    for k, (content, redone) in enumerate([*cut, *changed, (b"", CHUNKS)]):
        folder = tmp_path / str(k)
        folder.mkdir()
        copy_of(undisturbed, folder)
        (folder / "checksums.jsonl").write_bytes(content)
        computed = imitate(monkeypatch)
        imitated(folder)
        assert len(computed.places) == redone, k
        assert tree(folder) == tree(undisturbed), k
        assert sweep_status(folder).complete, k


def test_dataset_without_journal(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is computed anew if it is of the same configuration, and refused if it is not."""
    copy_of(undisturbed, tmp_path)
    (tmp_path / "checksums.jsonl").unlink()
    for read in (load_dataset, sweep_status):
        with pytest.raises(ValueError, match=r"no sound checksums\.jsonl"):
            read(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(OtherConfigurationError, match="different: seed"):
        imitated(tmp_path, seed=3)
    assert tree(tmp_path) == before
    assert not (tmp_path / "checksums.jsonl").exists()
    computed = imitate(monkeypatch)
    imitated(tmp_path)
    assert len(computed.places) == CHUNKS
    assert tree(tmp_path) == before


@pytest.mark.parametrize("change", [{"penalty": [0.0, 2.0]}, {"penalty": 0.0}, {"seed": [0]}])
def test_other_axes_are_refused(undisturbed: Path, change: dict[str, Any]) -> None:
    before = tree(undisturbed)
    with pytest.raises(OtherConfigurationError):
        imitated(undisturbed, **change)
    assert tree(undisturbed) == before


def test_full_disk_keeps_what_is_there(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full in the middle of the third chunk, and later there is room again."""
    flush = os.fsync
    computed = imitate(monkeypatch)
    flushes_of_third: list[int] = []

    def until_full(number: int) -> None:
        if len(computed.places) == 3:
            flushes_of_third.append(number)
            if len(flushes_of_third) > 10:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(number)

    monkeypatch.setattr(os, "fsync", until_full)
    with pytest.raises(OSError, match=r"No space left on device while writing.*are kept") as caught:
        imitated(tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.rglob("*.partial"))
    done = sweep_status(tmp_path).chunks_done
    assert done == 2
    # Still full: nothing gets worse.
    computed.places = [(0, 0, 0)] * 2
    with pytest.raises(OSError, match="No space left"):
        imitated(tmp_path)
    assert sweep_status(tmp_path).chunks_done == done
    monkeypatch.setattr(os, "fsync", flush)
    computed = imitate(monkeypatch)
    imitated(tmp_path)
    assert len(computed.places) == CHUNKS - done
    assert tree(tmp_path) == tree(undisturbed)


def test_system_refuses_to_let_files_grow(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real limit, met in the middle of a line of the journal: half a line must not stay."""
    size = len((undisturbed / "checksums.jsonl").read_bytes())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    imitate(monkeypatch)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size - 100, before[1]))
        with pytest.raises(OSError, match="File too large while writing") as caught:
            imitated(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert sweep_status(tmp_path).chunks_done == CHUNKS - 1
    assert (tmp_path / "checksums.jsonl").read_bytes().endswith(b"}\n")
    computed = imitate(monkeypatch)
    imitated(tmp_path)
    assert len(computed.places) == 1
    assert tree(tmp_path) == tree(undisturbed)


def test_one_process_at_a_time(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock belongs to an open file, so that this process can stand for two."""
    inner: list[BaseException] = []

    class Nosy:
        def __call__(self, *arguments: Any) -> Any:
            assert sweep_status(tmp_path).running
            with pytest.raises(BlockingIOError, match="another process is writing") as caught:
                imitated(tmp_path)
            inner.append(caught.value)
            return plain(*arguments)

    plain = imitate(monkeypatch)
    monkeypatch.setattr(module, "compute_chunk", Nosy())
    imitated(tmp_path)
    assert len(inner) == CHUNKS
    assert not sweep_status(tmp_path).running
    assert tree(tmp_path) == tree(undisturbed)


def test_other_versions_are_recorded(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = library_versions()
    imitate(monkeypatch, interrupt_before=1)
    older = own | {"numpy": "1.26.0"}
    monkeypatch.setattr(storage, "library_versions", lambda: older)
    imported = sys.modules["imitated_sweeps"]
    monkeypatch.setattr(imported, "library_versions", lambda: older)
    with pytest.raises(KeyboardInterrupt):
        imitated(tmp_path)
    monkeypatch.setattr(imported, "library_versions", lambda: own)
    computed = imitate(monkeypatch)
    finished = imitated(tmp_path)
    assert len(computed.places) == CHUNKS - 1
    found = json.loads(finished.attrs["versions"])
    assert found == own | {"numpy": f"1.26.0, {own['numpy']}"}
    assert sweep_status(tmp_path).versions == found
    assert sweep_status(tmp_path).complete
    one = load_dataset(undisturbed)
    assert json.loads(one.attrs["versions"]) == own
    xr.testing.assert_equal(finished, one)


def test_lazy_dataset_is_the_same(undisturbed: Path) -> None:
    xr.testing.assert_identical(load_dataset(undisturbed, lazy=True), load_dataset(undisturbed))


def test_unfinished_variables_read_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens an unfinished store with other tools sees no number that was not computed."""
    imitate(monkeypatch, interrupt_before=1)
    with pytest.raises(KeyboardInterrupt):
        imitated(tmp_path)
    with xr.open_zarr(tmp_path / "dataset.zarr", consolidated=False) as raw:
        assert int(raw["optimum_loss"].isnull().sum()) == 12 - 4
        assert int((raw["optimum_phase"] == -1).sum()) == 12 - 4


def test_journal_of_another_format_is_refused(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_of(undisturbed, tmp_path)
    monkeypatch.setattr(storage, "FORMAT", 0)
    with pytest.raises(ValueError, match="has format 1, and this version reads format 0"):
        imitated(tmp_path)
    assert tree(tmp_path) == tree(undisturbed)


def test_memory_does_not_grow_with_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks are let go: four times as many take, at their peak, less than one and a half times."""
    import tracemalloc

    peaks = []
    for count in (2, 8):
        imitate(monkeypatch)
        tracemalloc.start()
        imitated(
            tmp_path / str(count), penalty=list(range(count)), density=[k / 9 for k in range(10)],
            points_per_chunk=20, replicas=200, lazy=True,
        )  # fmt: skip
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
