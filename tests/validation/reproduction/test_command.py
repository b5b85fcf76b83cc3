"""``superposition reproduce`` and ``verify --claims``. Oracle: the functions that they call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from superposition.cli import main
from superposition.commands.outputs import FIGURE_FORMATS
from superposition.validation.reproduction import EXPERIMENTS, find_experiment, load_reproduction


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of a command."""
    try:
        main(arguments)
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_list_names_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "reproduce", "--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(EXPERIMENTS)
    rows = json.loads(run(capsys, "reproduce", "--list", "--json")[1])
    assert [row["title"] for row in rows] == [each.title for each in EXPERIMENTS.values()]


def test_an_experiment_is_written_once_and_read_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name, out = "sparsity-expansion", str(tmp_path)
    code, printed, _ = run(capsys, "reproduce", name, "--quick", "--out", out)
    assert code == 0
    done = load_reproduction(tmp_path, name)
    for verdict in done.verdicts:
        assert str(verdict) in printed
    figures = {f"figure.{suffix}" for suffix in FIGURE_FORMATS}
    folder = tmp_path / name
    assert {file.name for file in folder.iterdir()} == {"data.nc", "verdicts.txt", *figures}
    assert done.caption in (folder / "verdicts.txt").read_text(encoding="utf-8")

    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    code, again, _ = run(capsys, "reproduce", name, "--quick", "--out", out, "--json")
    (row,) = json.loads(again)
    assert (code, row["experiment"], row["scale"]) == (0, name, "quick")
    assert len(row["verdicts"]) == len(done.verdicts)
    assert before == {file.name: file.read_bytes() for file in folder.iterdir()}
    code, _, refused = run(capsys, "reproduce", name, "--quick", "--seed", "1", "--out", out)
    assert (code, "different: seed" in refused) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [(), ("--all", "rotation"), ("--list", "rotation"), ("--all", "--list"), ("--quick",)],
)
def test_what_is_to_be_done_is_said_in_one_way(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, "reproduce", *arguments, "--out", str(tmp_path))
    assert (code, out) == (2, "")
    assert "give one of: names of experiments, --all, or --list" in err
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_is_refused_before_anything_is_computed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = run(capsys, "reproduce", "rotation", "rotatoin", "--out", str(tmp_path))
    assert (code, out) == (2, "")
    assert "'rotatoin'" in err
    assert not list(tmp_path.iterdir())


def test_a_name_given_twice_is_carried_out_once(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("sparsity-expansion", "sparsity-expansion")
    rows = json.loads(run(capsys, "reproduce", *names, "--quick", "--json")[1])
    assert [row["experiment"] for row in rows] == ["sparsity-expansion"]


def test_files_of_others_are_not_overwritten(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mine = tmp_path / "rotation" / "figure.png"
    mine.parent.mkdir()
    mine.write_text("mine")
    code, _, err = run(capsys, "reproduce", "rotation", "--quick", "--out", str(tmp_path))
    assert (code, "move it away" in err) == (2, True)
    assert mine.read_text() == "mine"


def test_the_ledger_is_made_of_stored_results_or_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "sparsity-expansion"
    main(["reproduce", name, "--quick", "--out", str(tmp_path)])
    capsys.readouterr()
    code, _, err = run(capsys, "verify", "--claims", "--results", str(tmp_path))
    assert (code, "data.nc" in err) == (2, True)
    import superposition.validation.reproduction as package

    monkeypatch.setattr(package, "EXPERIMENTS", {name: find_experiment(name)})
    code, out, _ = run(capsys, "verify", "--claims", "--results", str(tmp_path))
    claims = len(load_reproduction(tmp_path, name).verdicts)
    assert (code, f"{claims} claims: " in out) == (0, True)
    rows = json.loads(run(capsys, "verify", "--claims", "--results", str(tmp_path), "--json")[1])
    assert [row["experiment"] for row in rows] == [name] * claims
