"""The command line: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from superposition import cli, validation
from superposition.commands.outputs import FIGURE_FORMATS
from superposition.numerics import population_loss, two_layer_loss
from superposition.theory import r, s
from superposition.theory.landscape import three_features
from superposition.validation import Check, load_dataset

SMALL = [
    "phase-diagram", "--density", "0.1:0.9:2", "--importance", "0.5:2:2", "--replicas", "1",
    "--starts", "8",
]  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of a command."""
    try:
        cli.main(arguments)
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["derive"],
        ["minimize"],
        ["basins"],
        ["train"],
        ["phase-diagram"],
        ["explain"],
        ["sweep"],
        ["report"],
        ["test"],
        ["reproduce"],
        ["verify"],
    ],
)
def test_help(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    code, out, _ = run(capsys, *command, "--help")
    assert code == 0
    assert "Usage: superposition" in out
    assert command == [] or "Example: superposition" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from superposition import __version__

    assert __version__ in run(capsys, "--version")[1]


@pytest.mark.parametrize(
    ("arguments", "loss"),
    [
        (["1,-1"], "s**2*(r + 1)/6"),
        (["-1,1"], "s**2*(r + 1)/6"),
        (["1,0"], "r*(-s**2/4 + s/3)"),
        (["1,0", "--bias", "zero"], "r*s/3"),
        (["1,-1", "--importance", "1,1"], "s**2/3"),
        (["1,-1", "--importance", "1,1", "--density", "1/2"], "1/12"),
    ],
)
def test_derive_short(capsys: pytest.CaptureFixture[str], arguments: list[str], loss: str) -> None:
    code, out, _ = run(capsys, "derive", "--short", *arguments)
    assert (code, out.strip()) == (0, loss)


def test_derive_takes_biases_and_density(capsys: pytest.CaptureFixture[str]) -> None:
    """The counterexample to the conjecture that columns with one entry are best: below 1/12."""
    code, out, _ = run(
        capsys, "derive", "--short", "31/32,-31/32", "--bias", "1/10,1/10",
        "--importance", "1,1", "--density", "1/2",
    )  # fmt: skip
    assert code == 0
    numeric = population_loss([[31 / 32, -31 / 32]], [0.1, 0.1], density=0.5, importance=[1, 1])
    assert float(Fraction(out.strip())) == pytest.approx(float(numeric), rel=1e-14)
    assert Fraction(out.strip()) < Fraction(1, 12)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["square", "--importance", "1,1,1,1", "--short"], "2*s**2/3"),
        (["digon + triangle", "--importance", "1,1,1,1,1", "--short"], "s**3/8 + 17*s**2/24"),
        (["1,-1", "--inputs", "anticorrelated:0,1", "--short"], "0"),
        (["1,-1", "--inputs", "co-active", "--importance", "1,1", "--short"], "s/3"),
        (["1,0", "--values", "0,2", "--importance", "0,1", "--short"], "-4*s**2/9 + s/2"),
        (["a", "--importance", "1", "--sample", "a=1", "--short"], "s*(a"),
        (["sqrt(2)", "--importance", "1", "--short"], "s/3"),
        (["-1/2", "--importance", "1", "--short"], "3*s/16"),
        (["1,-1", "--show", "expansion"], "L_2 = r/6 + 1/6"),
        (["w,-w", "--show", "expansion", "--sample", "w=1"], "L_1 = "),
        (["1,-1", "--show", "one-hot", "--penalty", "0", "--inputs", "independent"], "H = 0"),
        (["1,-1", "--show", "linear", "--inputs", "co-active", "--importance", "1,2",
          "--density", "1/2"], "critical points, up to W -> -W"),
        (["w,-w", "--sample", "w=1", "--show", "minimum", "--density", "sqrt(2)/2",
          "--importance", "1,1"], "w = "),
        (["pentagon", "--show", "capacity"], "2/5, 2/5, 2/5, 2/5, 2/5"),
        (["1,-1/2", "--show", "one-hot"], "L = H/(3n) = "),
        (["1,-1", "--show", "linear"], "keep 1: loss -r*s*(3*s - 4)/12"),
        (["w,-w", "--sample", "w=1", "--show", "chamber"], "w"),
        (
            ["w,-w", "--sample", "w=1", "--show", "minimum", "--density", "1/2",
             "--importance", "1,1"],
            "exactly",
        ),
        (["1,0", "--show", "variation", "--along", "0,-1"], "L_1 = 0"),
        (["boundaries"], "r = 2*s/(4 - 5*s)"),
        (["stability"], "r = 0.574041907440"),
        (["transitions"], "r = 0.56413136534766603230  s = 0.51173803211760022659"),
        (["transitions", "--density", "1/2"], "r = 0.53573876406532962351"),
        (["transitions", "--importance", "0.9"], "gives way to partial"),
        (["penalty"], "largest over s: r**2/(6*(5*r + 2))"),
        (["penalty", "--density", "1/5", "--importance", "1"], "lambda_c = 0.03755395479"),
        (["polygons"], "regular 8-gon"),
        (["conjecture"], "Proved"),
    ],
)  # fmt: skip
def test_derive_shows(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    code, out, err = run(capsys, "derive", *arguments)
    assert (code, err) == (0, "")
    assert expected in out


def test_derive_shows_where_lines_of_three_features_meet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of six points: all are tested where they are derived, and take half a minute."""
    names = ("even pair", "triangle", "uneven pair")
    point = three_features.triple_point(*names)
    monkeypatch.setattr(three_features, "TRIPLE_POINTS", (names,))
    monkeypatch.setattr(three_features, "critical_point", lambda _: {r: point.r, s: point.s})
    code, out, err = run(capsys, "derive", "three-features")
    assert (code, err) == (0, "")
    assert "r = 1.40406074826807  s = 0.70640369267322  even pair, triangle, uneven pair" in out
    assert out.count("r = 1.404060748") == 3


def test_an_optimized_pair_is_the_root_of_its_stationarity(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By hand: w² = (8 − 5s)/(8 − 6s) for W = (w, −w) without bias, which is 11/10 at s = 1/2."""
    _, out, _ = run(capsys, "derive", "w,-w", "--sample", "w=1", "--show", "minimum",
                    "--density", "1/2", "--importance", "1,1")  # fmt: skip
    assert "w = sqrt(110)/10 exactly" in out


@pytest.mark.parametrize(("bound", "code"), [("1/12", 0), ("1/14", 1)])
def test_derive_proves_or_refutes(
    capsys: pytest.CaptureFixture[str], bound: str, code: int
) -> None:
    arguments = ["31/32,-31/32", "--bias", "1/10,1/10", "--density", "1/2", "--importance", "1,1"]
    found, out, _ = run(capsys, "derive", *arguments, "--less-than", bound, "--json")
    assert found == code
    proof = json.loads(out)
    assert proof["holds"] is (code == 0)
    assert proof["loss"] == "8519361044723929/111673807176990720"


def test_statements_over_a_range(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["derive", "1,-1", "--importance", "1,1", "--less-than", "s/3 - s**2/4", "--over"]
    assert run(capsys, *arguments, "s=0:4/7")[0] == 0
    assert run(capsys, *arguments, "s=0:5/7")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "loss"),
    [(["anticorrelated:0,1", "--density", "0.4"], 0.0), (["co-active", "--density", "0.3"], 0.025)],
)
def test_minimize_takes_distributions(
    capsys: pytest.CaptureFixture[str], arguments: list[str], loss: float
) -> None:
    code, out, _ = run(capsys, "minimize", "--starts", "16", "--json", "--inputs", *arguments)
    assert code == 0
    assert json.loads(out)["minima"][0]["loss"] == pytest.approx(loss, abs=1e-12)


def test_train_takes_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--inputs", "one-hot", "--density", "0.5", "--replicas", "2", "--json"]
    code, out, _ = run(capsys, "train", *arguments)
    assert code == 0
    assert min(model["loss"] for model in json.loads(out)["models"]) < 1e-4


def test_derive_prints_loss_and_derivation(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "derive", "1,-1")
    assert code == 0
    assert "s**2*(r + 1)/6" in out
    assert len(out.splitlines()) > 10
    assert r"\frac" in run(capsys, "derive", "1,-1", "--latex")[1]
    fields = json.loads(run(capsys, "derive", "1,-1", "--json")[1])
    assert fields["loss"] == "s**2*(r + 1)/6"


def test_minimize(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["minimize", "--density", "1/2", "--importance", "0.1", "--starts", "32"]
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    lowest = json.loads(out)["minima"][0]
    assert lowest["loss"] == pytest.approx(0.1 * (0.5 / 3 - 0.25 / 4), rel=1e-12)
    assert lowest["b"][1] == pytest.approx(0.25, abs=1e-8)
    assert lowest["geometry"] == "dedicated, 1 dropped"
    printed = run(capsys, *arguments)[1]
    assert "the lowest first" in printed
    assert "  dedicated, 1 dropped\n" in printed


def test_minimize_names_the_geometry(capsys: pytest.CaptureFixture[str]) -> None:
    """Five equal sparse features in the plane form a pentagon (Elhage et al. 2022)."""
    arguments = ["--features", "5", "--hidden", "2", "--density", "0.05", "--importance"]
    code, out, _ = run(capsys, "minimize", *arguments, "1,1,1,1,1", "--starts", "16", "--json")
    assert (code, json.loads(out)["minima"][0]["geometry"]) == (0, "pentagon")


def test_train(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--density", "0.9", "--importance", "0.2", "--replicas", "2"]
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    result = json.loads(out)
    assert len(result["models"]) == 2
    assert all(model["loss"] >= result["optimum_loss"] for model in result["models"])
    assert {model["geometry"] for model in result["models"]} == {"dedicated, 1 dropped"}
    assert "dedicated, 1 dropped  W = " in run(capsys, *arguments)[1]


def test_train_computes_absolute_values(capsys: pytest.CaptureFixture[str]) -> None:
    """One feature, two neurons: a pair has loss 0, one sign alone s/6 − s²/(16 − 6s)."""
    arguments = ["train", "--architecture", "absolute-value", "--symmetric", "--features", "1"]
    arguments += ["--hidden", "2", "--density", "1", "--replicas", "4"]
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    result = json.loads(out)
    assert result["architecture"] == "absolute-value"
    best = min(result["models"], key=lambda model: float(model["loss"]))
    assert best["loss"] < 1e-4
    assert best["standard_error"] == 0  # one feature alone is integrated
    assert (best["W"][0][0] > 0) != (best["W"][1][0] > 0)
    paths = [v * w[0] for v, w in zip(best["V"][0], best["W"], strict=True)]
    assert sorted(paths) == pytest.approx([-1, 1], abs=0.02)
    out = run(capsys, *arguments)[1]
    assert "± 0  W = " in out
    losses = [float(line.split()[2]) for line in out.splitlines()]
    assert losses == sorted(losses)
    assert len(losses) == 4


def test_train_with_a_relu_on_the_hidden_layer(capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the sampled loss of the weights that are printed is the exact one within its error."""
    arguments = ["train", "--architecture", "relu-hidden", "--density", "0.5", "--replicas", "2"]
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    for model in json.loads(out)["models"]:
        assert np.array_equal(np.transpose(model["W"]), model["V"])
        exact = two_layer_loss(
            model["W"], None, model["b"], density=0.5, importance=[1, 1], architecture="relu-hidden"
        )
        assert 0 < model["standard_error"] < 0.01
        assert abs(model["loss"] - exact) < 5 * model["standard_error"]
    out = run(capsys, *arguments)[1]
    assert "W = " in out
    assert "V = " not in out  # it is the transpose


def test_phase_diagram_writes_what_it_says_and_reuses_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "results"
    code, printed, _ = run(capsys, *SMALL, "--out", str(out))
    assert code == 0
    names = {"dataset.zarr", "checksums.jsonl", "summary.txt"}
    names |= {f"phase_diagram.{suffix}" for suffix in FIGURE_FORMATS}
    assert {path.name for path in out.iterdir()} == names
    assert "theory-optimum" in printed
    assert (out / "summary.txt").read_text(encoding="utf-8") in printed
    before = load_dataset(out)
    again = run(capsys, *SMALL, "--out", str(out), "--json")
    assert again[0] == 0
    fields = json.loads(again[1])
    assert fields["theory-optimum"]["agreement"] >= 0
    assert fields["theory-optimum"]["agreement_away"] is None  # no point is away: JSON has no NaN
    assert load_dataset(out).identical(before)

    code, _, refused = run(capsys, *SMALL, "--seed", "1", "--out", str(out))
    assert code == 2
    assert "another configuration (different: seed)" in refused
    assert load_dataset(out).identical(before)


def test_status_of_a_phase_diagram(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(*more: str) -> tuple[int, str, str]:
        return run(capsys, "phase-diagram", "--status", str(tmp_path), *more)

    assert status()[0] == 2
    assert "no dataset in" in status()[2]
    plan = sys.modules["superposition.validation.sweeps.run"]
    compute = vars(plan)["compute_chunk"]
    computed: list[Any] = []

    def interrupted(*arguments: Any) -> Any:
        if len(computed) == 1:
            raise KeyboardInterrupt
        computed.append(arguments)
        return compute(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(plan, "compute_chunk", interrupted)
        code, _, err = run(capsys, *SMALL, "--chunk", "2", "--out", str(tmp_path))
    assert code == 130
    assert "interrupted; 1 of 2 chunks are in" in err
    assert "goes on from there" in err
    code, printed, _ = status()
    assert code == 0
    assert "done: 2 points (50.0%), 1 of 2 chunks" in printed
    assert run(capsys, *SMALL, "--out", str(tmp_path))[0] == 0
    fields = json.loads(status("--json")[1])
    assert (fields["points_done"], fields["points"], fields["complete"]) == (4, 4, True)
    assert (fields["damaged"], fields["running"]) == ([], False)
    (tmp_path / "dataset.zarr" / "stuck" / "c.1.0.0").write_bytes(b"")
    code, printed, _ = status()
    assert code == 1
    assert "damaged or missing files: stuck/c.1.0.0" in printed
    assert run(capsys, "phase-diagram")[0] == 2


def test_a_sweep_is_a_table_of_diagrams_that_other_commands_take_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Oracle: each diagram computed by itself."""
    grid, out = SMALL[1:], tmp_path / "swept"
    code, printed, _ = run(
        capsys, "sweep", *grid, "--penalty", "0", "--penalty", "1/2", "--out", str(out)
    )
    assert code == 0
    assert printed.splitlines()[0].split() == [
        "penalty", "theory-optimum", "optimum-trained", "theory-trained", "stuck",
    ]  # fmt: skip
    assert len(list(out.glob("phase_diagram-*.png"))) == 2
    swept = load_dataset(out)
    alone = tmp_path / "alone"
    assert run(capsys, *SMALL, "--penalty", "1/2", "--out", str(alone))[0] == 0
    assert validation.select_diagram(swept, penalty=0.5).identical(load_dataset(alone))

    code, _, err = run(capsys, "test", str(out))
    assert (code, "choose a value for each dimension of the sweep (penalty)" in err) == (2, True)
    code, printed, _ = run(capsys, "test", str(out), "--at", "penalty=0.5", "--json")
    assert (code, json.loads(printed)["points"]) == (0, 4)
    report = tmp_path / "report.html"
    code, _, _ = run(
        capsys, "report", str(out), "--at", "penalty=0", "--starts", "0", "--out", str(report)
    )
    assert code == 0
    assert report.exists()


def test_boundaries_between_phases_that_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Oracle: the closed form 2s/(4 − 5s)."""
    grid = ["--density", "0.2:0.4:2", "--importance", "0.05:1:6", "--replicas", "2"]
    out = str(tmp_path / "diagram")
    assert run(capsys, "phase-diagram", *grid, "--starts", "8", "--out", out)[0] == 0
    sides = ["--before", "ignore last", "--beyond", "superpose both"]
    code, printed, _ = run(capsys, "test", out, *sides, "--json")
    assert code == 0
    rows = json.loads(printed)["boundaries"]
    assert rows
    for row in rows:
        s = row["density"]
        assert row["closed_form"] == pytest.approx(2 * s / (4 - 5 * s), rel=1e-9)
    assert run(capsys, "test", out, "--before", "ignore last")[0] == 2
    assert "is made of" in run(capsys, "test", out, "--before", "x", "--beyond", "y")[2]
    for place in ("penalty", "depth=1", "size=3"):
        assert "--at" in run(capsys, "test", out, "--at", place)[2]


@pytest.mark.parametrize("name", ["summary.txt", "phase_diagram.png", "dataset.zarr"])
def test_files_of_others_are_never_overwritten(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    code, out, err = run(capsys, *SMALL, "--out", str(tmp_path))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert f"{name} is" in err
    assert "move it away" in err
    assert (tmp_path / name).read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_density_zero_has_no_loss_to_compare_with(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "train", "--density", "0", "--replicas", "1")
    assert code == 0
    assert "exact optimum: loss 0" in out
    grid = ["--linear-grid", "--density", "0:1:2", "--importance", "1:2:2", "--replicas", "1"]
    code, out, _ = run(capsys, "phase-diagram", *grid, "--starts", "8", "--out", str(tmp_path))
    assert code == 0
    assert "nan" not in out


def test_verify_exits_with_one_when_a_check_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Check("good", "1 = 1", "arithmetic", "counting", 0.0, 0.0)
    bad = Check("bad", "1 = 2", "arithmetic", "counting", 1.0, 0.5)
    monkeypatch.setattr(validation, "verify", lambda seed: iter([good]))
    code, out, _ = run(capsys, "verify")
    assert code == 0
    assert "1 of 1 hold" in out
    monkeypatch.setattr(validation, "verify", lambda seed: iter([good, bad]))
    code, out, _ = run(capsys, "verify")
    assert code == 1
    assert "FAILS  bad" in out
    assert "1 of 2 hold" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "--out", "{tmp}/new"], "nothing varies"),
        (["sweep", "--seed", "0", "--seed", "0", "--out", "{tmp}/new"], "must differ"),
        (["sweep", "--seed", "0", "--seed", "1"], "missing option '--out'"),
        (["reproduce"], "give one of: names of experiments"),
        (["reproduce", "nothing"], "experiment must be one of intro"),
        (["verify", "--results", "{tmp}"], "--results is of use with --claims only"),
        (["derive", "1,0;0"], "have 2, 1 entries"),
        (["derive", "1,x"], "the sign of x is undecided"),
        (["derive", "1,-1", "--density", "1.5"], "density"),
        (["derive", "1,-1", "--importance", "1,-1"], "importance"),
        (["derive", "1,-1", "--importance", "1,1,1"], "importance"),
        (["derive", "nan,1"], "'nan' is not an expression"),
        (["derive", "1,-1", "--bias", "1"], "b"),
        (["derive", "1,-1", "--activation", "gelu"], "gelu"),
        (["derive", "icosagon"], "'icosagon' in 'icosagon' is no known configuration"),
        (["derive", "1,-1", "--inputs", "correlated"], "correlated:SETS"),
        (["derive", "1,-1", "--inputs", "correlated:0,x"], "not a list of sets"),
        (["derive", "1,-1", "--inputs", "anticorrelated:0,1", "--density", "2/3"], "at most 1"),
        (["derive", "1,-1", "--values", "1,1"], "integrates to 3/2"),
        (["derive", "w,-1", "--sample", "w"], "LETTER=NUMBER"),
        (["derive", "1,-1", "--less-than", "1/0"], "not an expression"),
        (["derive", "1,-1", "--less-than", "1", "--over", "s"], "LETTER=LOW:HIGH"),
        (["derive", "1,-1", "--less-than", "1"], "r has no value and no range"),
        (["derive", "w,-1", "--show", "chamber"], "--sample"),
        (["derive", "1,-1", "--show", "variation"], "--along"),
        (["derive", "stability", "--density", "1/2"], "takes neither --density"),
        (["derive", "transitions", "--density", "0.9"], "must be a rational number in (0,"),
        (["derive", "transitions", "--density", "s"], "got s"),
        (["derive", "penalty", "--density", "1/2,1/3"], "one density"),
        (["derive", "1,-1", "--show", "expansion", "--density", "1/2"], "leave out --density"),
        *(
            (["derive", "1,-1", "--show", "linear", *more], "needs numbers for density and imp")
            for more in (
                ["--inputs", "co-active"],
                ["--inputs", "one-hot"],
                ["--inputs", "co-active", "--importance", "1,2"],
                ["--inputs", "co-active", "--json"],
            )
        ),
        (
            ["derive", "penalty", "--density", "s", "--importance", "1"],
            "density must be a rational",
        ),
        (["derive", "penalty", "--density", "sqrt(2)/2", "--importance", "1"], "got sqrt(2)/2"),
        (
            ["derive", "penalty", "--density", "1/2", "--importance", "r"],
            "importance must be a rat",
        ),
        (["derive", "penalty", "--density", "1/2"], "both --density and --importance"),
        (["derive", "penalty", "--importance", "2"], "both --density and --importance"),
        (
            [
                "derive",
                "a,-c",
                "--bias",
                "p,q",
                "--show",
                "minimum",
                "--density",
                "1/2",
                "--importance",
                "1,1",
                "--sample",
                "a=1",
            ],
            "got none for c, p, q",
        ),
        (["derive", "1/a,-1", "--show", "chamber", "--sample", "a=2"], "polynomials in their"),
        (["derive", "sqrt(a),-1", "--show", "chamber", "--sample", "a=2"], "got sqrt(a)"),
        (
            [
                "derive",
                "a,-1",
                "--bias",
                "0,1/a",
                "--show",
                "minimum",
                "--density",
                "1/2",
                "--importance",
                "1,1",
            ],
            "got 1/a",
        ),
        (["derive", "1,1e200", "--bias", "optimal", "--density", "1/2", "--short"], "not found"),
        *(
            (["derive", "1,-1", "--show", "one-hot", *more], f"leave out {more[0]}, which")
            for more in (
                ["--inputs", "co-active"],
                ["--values", "0,2"],
                ["--symmetric"],
                ["--activation", "linear"],
                ["--penalty", "1"],
                ["--less-than", "1"],
                ["--greater-than", "1"],
                ["--short"],
                ["--latex"],
            )
        ),
        (["derive", "1,-1", "--show", "linear", "--penalty", "1"], "leave out --penalty"),
        (["derive", "1,-1", "--over", "s=0:1"], "leave out --over"),
        (["derive", "1,-1", "--along", "0,1"], "leave out --along"),
        (["derive", "1,-1", "--less-than", "1", "--sample", "a=1"], "leave out --sample"),
        (
            ["derive", "1,-1", "--less-than", "1", "--over", "r=0:1", "--over", "r=0:2"],
            "a letter twice",
        ),
        (["derive", "w,-1", "--sample", "w=1,w=2"], "w is given twice"),
        *(
            (["derive", "stability", *more], f"leave out {more[0]}, which stability")
            for more in (
                ["--show", "capacity"],
                ["--less-than", "1"],
                ["--greater-than", "1"],
                ["--over", "s=0:1"],
                ["--along", "1,1"],
                ["--sample", "a=1"],
                ["--latex"],
                ["--short"],
            )
        ),
        (["derive", "+ digon"], "is no known configuration"),
        (["derive", "nan"], "is no known configuration"),
        (["derive"], "Missing argument"),
        (["derive", "1,-1", "--nonesuch"], "--nonesuch"),
        (["minimize", "--density", "1.5"], "density"),
        (["minimize", "--density", "0.5", "--importance", "-1"], "importance"),
        (["train", "--density", "0.5", "--protocol", "nonesuch"], "nonesuch"),
        (["train", "--density", "0.5", "--device", "nonesuch"], "nonesuch"),
        (["train", "--density", "0.5", "--architecture", "nonesuch"], "nonesuch"),
        (
            ["train", "--density", "0.5", "--architecture", "relu-hidden", "--penalty", "1"],
            "penalty",
        ),
        ([*SMALL], "--out"),
        ([*SMALL, "--out", "{tmp}/a", "--density", "0.1:1.5:3"], "1.5"),
        ([*SMALL, "--out", "{tmp}/a", "--importance", "-1:1:3"], "above 0"),
        ([*SMALL, "--out", "{tmp}/a", "--density", "0.1"], "LOW:HIGH:COUNT"),
        ([*SMALL, "--out", "{tmp}/a", "--density", "1:0.1:3"], "LOW < HIGH"),
        ([*SMALL, "--out", "/dev/null/a"], "/dev/null"),
        (["nonesuch"], "No such command"),
    ],
)
def test_bad_use_is_one_clear_line_and_exit_code_two(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], message: str
) -> None:
    filled = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    code, out, err = run(capsys, *filled)
    assert code == 2
    assert out == ""
    lines = [line for line in err.splitlines() if "it/s" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("superposition: ")
    assert message in lines[0]
    assert not list(tmp_path.iterdir())  # nothing was written


def test_no_descent_that_converges_is_one_line_and_exit_code_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["minimize", "--density", "1/2", "--penalty", "1e300", "--starts", "4"]
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (1, "")
    assert err == "superposition: none of 4 descents converged; try more starts\n"


def test_certified_minima_hold_no_saddle(capsys: pytest.CaptureFixture[str]) -> None:
    """[1, 0] attracts half of the starts here, and is a saddle: one minimum is left."""
    arguments = ("minimize", "--density", "0.3", "--importance", "0.5", "--starts", "32")
    plain = json.loads(run(capsys, *arguments, "--json")[1])["minima"]
    (only,) = json.loads(run(capsys, *arguments, "--json", "--certify")[1])["minima"]
    assert len(plain) == 2
    assert only["kind"] == "minimum"
    assert only["least_curvature"] > 0
    assert only["loss"] == pytest.approx(plain[0]["loss"], rel=1e-12)
    assert "minimum, least curvature" in run(capsys, *arguments, "--certify")[1]


def test_training_goes_on_from_its_checkpoint(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A file of another configuration is refused, in one line; the same command repeats itself."""
    file = tmp_path / "state.npz"
    arguments = (
        "train",
        "--density",
        "0.1",
        "--replicas",
        "2",
        "--checkpoint",
        str(file),
        "--json",
    )
    first = run(capsys, *arguments)
    assert first[0] == 0
    assert file.exists()
    assert run(capsys, *arguments)[1] == first[1]
    code, out, error = run(capsys, *arguments, "--seed", "1")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert str(file) in error


def test_basins_prints_probabilities(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["basins", "--density", "0.3", "--starts", "50"]
    code, out, _ = run(capsys, *command, "--json")
    found = json.loads(out)
    assert code == 0
    assert [basin["name"] for basin in found["basins"]] == ["opposite signs", "same sign"]
    assert sum(basin["probability"] for basin in found["basins"]) == pytest.approx(1)
    assert found["optimum_loss"] == pytest.approx(found["basins"][0]["loss"])
    assert "opposite signs: minimum" in run(capsys, *command)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--route", "sgdx"], "got 'sgdx'"),
        (["--scale", "0"], "0.0 is not in the range x>0"),
        (["--starts", "0"], "0 is not in the range x>=1"),
    ],
)
def test_basins_refuses(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(capsys, "basins", "--density", "0.3", *arguments)
    assert code == 2
    assert message in error
