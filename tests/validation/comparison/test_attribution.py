"""The attribution of differences: sums, orders and what it has to find on small grids."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from superposition import CoActive
from superposition.cli import main
from superposition.numerics import PROTOCOLS, train
from superposition.validation import (
    OtherConfigurationError,
    attribution,
    ladder,
    load_maps,
    picture,
    plot_attribution,
    readings_table,
    shares,
)
from superposition.validation.comparison.attribution import FILE_NAME
from superposition.validation.comparison.shares import FACTORS
from superposition.validation.readings import FIRST_ONLY, LAST_ONLY, NOT_ONE, READINGS

DENSITY, IMPORTANCE = np.linspace(0.125, 1, 8), np.array([0.3, 0.8, 1.6, 4.0, 9.0])
SHORT = replace(PROTOCOLS["roe2023"], steps=2000)


@pytest.fixture(scope="module")
def maps() -> xr.Dataset:
    return attribution(density=DENSITY, importance=IMPORTANCE, protocol=SHORT, replicas=5)


def random_maps(seed: int) -> xr.Dataset:
    """Maps of classes drawn at random: what adds up must do so whatever they are."""
    rng = np.random.default_rng(seed)
    plane = ("density", "importance")
    names = {
        "inputs": ["independent", "co-active"], "noise": ["exact", "sampled"],
        "mask": ["example", "batch"], "reading": list(READINGS),
    }  # fmt: skip
    trained = rng.integers(0, 3, (2, 2, 2, len(READINGS), 6, 7)).astype(np.int8)
    trained[:, 0, 1] = trained[:, 0, 0]  # without noise there is no mask
    codes = {
        name: (("inputs", *plane), rng.integers(0, 3, (2, 6, 7)).astype(np.int8))
        for name in ("theory", "optimum", "optimum_thresholds")
    }
    return xr.Dataset({**codes, "trained": ((*names, *plane), trained)}, coords=names)


@pytest.mark.parametrize("seed", range(5))
def test_shares_add_up_and_average_all_orders(seed: int) -> None:
    """Shapley's value by its other definition: the mean over the 24 orders, one switch each."""
    random = random_maps(seed)
    theory = random.theory.sel(inputs="independent").values
    found = shares(random)
    assert sum(found.values()) == pytest.approx((picture(random) != theory).mean())
    ends = {"reading": ("best", "roe2023"), "noise": ("exact", "sampled"),
            "inputs": ("independent", "co-active"), "mask": ("example", "batch")}  # fmt: skip

    def disagreement(on: set[str]) -> float:
        choice = {name: ends[name][name in on] for name in FACTORS}
        return float((random.trained.sel(choice).values != theory).mean())

    for factor in FACTORS:
        steps = []
        for order in permutations(FACTORS):
            before = set(order[: order.index(factor)])
            steps.append(disagreement(before | {factor}) - disagreement(before))
        assert found[factor] == pytest.approx(np.mean(steps))


def test_the_ladder_ends_at_the_picture(maps: xr.Dataset) -> None:
    rungs = ladder(maps)
    theory = maps.theory.sel(inputs="independent").values
    assert len(rungs) == 2 + len(FACTORS)
    assert rungs[-1].agreement == pytest.approx((picture(maps) == theory).mean())
    assert rungs[0].agreement == pytest.approx(1 - rungs[0].changed)


def test_maps_of_the_theory_follow_the_closed_boundary(maps: xr.Dataset) -> None:
    """The boundary is r = 2s/(4 − 5s) below r = 1; features that change places make it 1/r."""
    at = np.where(DENSITY < 4 / 7, 2 * DENSITY / np.abs(4 - 5 * DENSITY), 1.0)
    found = maps.theory.sel(inputs="independent").values
    for k in range(len(DENSITY)):
        for j, ratio in enumerate(IMPORTANCE):
            dedicated = ratio < at[k] if ratio < 1 else 1 / ratio < at[k]
            only = FIRST_ONLY if ratio < 1 else LAST_ONLY
            assert found[k, j] == (only if dedicated else NOT_ONE)


def test_co_active_data_makes_the_difference(maps: xr.Dataset) -> None:
    """The finding, on a small grid: the inputs have nearly all of it, and theirs is the optimum."""
    found = shares(maps)
    assert found["inputs"] > sum(abs(found[name]) for name in found if name != "inputs")
    predicted = maps.optimum_thresholds.sel(inputs="co-active").values
    theory = maps.theory.sel(inputs="independent").values
    assert (predicted == picture(maps)).mean() > (theory == picture(maps)).mean() + 0.2


def test_without_noise_the_mask_is_nothing(maps: xr.Dataset) -> None:
    exact = maps.trained.sel(noise="exact")
    assert (exact.sel(mask="batch") == exact.sel(mask="example")).all()


def test_linear_models_on_described_data_follow_the_theory() -> None:
    """Figure 13's white is not there: away from r = 1 each model keeps the more important one."""
    maps = attribution(activation="linear", density=[0.2, 0.6, 1.0], importance=[0.5, 2.0, 8.0])
    trained = maps.trained.sel(inputs="independent", noise="sampled", mask="example")
    for name in READINGS:
        read = trained.sel(reading=name).values
        assert (read == np.array([FIRST_ONLY, LAST_ONLY, LAST_ONLY])).all()
    assert (picture(maps)[0] == NOT_ONE).any()


def test_tables_compare_every_reading() -> None:
    found = readings_table(
        density=[0.1, 0.9], importance=[0.2, 5.0], protocol="roe2023", replicas=3
    )
    assert set(found) == set(READINGS)
    assert found["best"] == (1.0, 1.0)
    own = readings_table(
        density=[0.9], importance=[0.2, 5.0], protocol=SHORT, replicas=3, features=CoActive()
    )
    assert own["best"][1] == 1.0


def test_files_are_read_and_never_mixed(tmp_path: Path) -> None:
    arguments = {"density": [0.2, 0.9], "importance": [0.5, 2.0], "replicas": 2}
    brief = replace(SHORT, steps=50)
    first = attribution(**arguments, protocol=brief, out=tmp_path)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    stored = load_maps(tmp_path / FILE_NAME)
    again = attribution(**arguments, protocol=brief, out=tmp_path)  # type: ignore[arg-type]
    for found in (stored, again):
        xr.testing.assert_equal(found, first)
        assert found.attrs["configuration"] == first.attrs["configuration"]
    with pytest.raises(OtherConfigurationError, match="importance"):
        attribution(
            density=[0.2, 0.9], importance=[0.5, 3.0], replicas=2, protocol=brief, out=tmp_path
        )


def test_files_of_others_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint that somebody keeps there stays, and a figure that is not ours is refused."""
    (tmp_path / "mine.checkpoint").write_text("mine")
    attribution(
        density=[0.9], importance=[0.5], protocol="roe2023,steps=20", replicas=1, out=tmp_path
    )
    assert (tmp_path / "mine.checkpoint").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME, "mine.checkpoint"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "attribution.png").write_text("mine")
    with pytest.raises(SystemExit) as exit_:
        main(["explain", "--out", str(other)])
    assert exit_.value.code == 2
    assert "is there already and does not come from maps" in capsys.readouterr().err
    assert (other / "attribution.png").read_text() == "mine"


def test_the_figure_shows_maps_and_shares(maps: xr.Dataset) -> None:
    figure = plot_attribution(maps)
    assert len(figure.axes) == 4
    widths = [100 * value for value in shares(maps).values()]
    bars = [bar.get_extents().width for bar in figure.axes[3].patches]
    assert np.array(bars) / max(bars) == pytest.approx(np.abs(widths) / np.max(np.abs(widths)))
    drawn = figure.axes[1].collections[0].get_array()
    assert drawn is not None
    np.testing.assert_array_equal(np.asarray(drawn).reshape(8, 5), picture(maps))


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = ["--density", "0.3:0.9:2", "--importance", "0.5:5:2", "--replicas", "1"]
    main(["explain", "--activation", "linear", *grid, "--out", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [step["change"] for step in found["ladder"]][-1] == "one mask per batch"
    assert set(found["shares"]) == {"theory", "training", *FACTORS}
    assert all(Path(file).stat().st_size > 0 for file in found["files"])
    main(["explain", "--activation", "linear", *grid, "--out", str(tmp_path)])
    assert "co-active features" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--density", "0:1:3"], "density must be above 0"),
        (["--importance", "0:1:3"], "importance must be positive"),
        (["--protocol", "sgd"], "protocol must be a Protocol or one of"),
        (["--density", "0.1:2:3"], "density"),
    ],
)
def test_bad_input_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["explain", *arguments])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["relu", "linear"])
def test_stored_maps_are_those_of_the_code(name: str) -> None:
    """The documentation's data, at points drawn at random, trained anew and alone."""
    stored = load_maps(Path(__file__).parents[3] / "docs" / "data" / f"replication-{name}.nc")
    settings = json.loads(stored.attrs["configuration"])
    protocol = PROTOCOLS["roe2023" if name == "relu" else "roe2023-linear"]
    assert settings["protocol"]["steps"] == repr(protocol.steps)
    shape = stored.sizes["density"], stored.sizes["importance"]
    index = np.random.default_rng(1).integers(0, shape[0] * shape[1], 25)
    row, column = np.unravel_index(index, shape)
    importance = np.stack([np.ones(25), stored.importance.values[column]], axis=-1)
    for mask in ("example", "batch"):
        found = train(
            2, 1, density=stored.density.values[row], importance=importance, activation=name,
            features=CoActive(), protocol=replace(protocol, mask=mask), model_index=index,
            replicas=settings["replicas"], seed=settings["seed"],
        )  # fmt: skip
        read = READINGS["roe2023"](found.W, np.zeros(0, np.int8), np.zeros(0))
        expected = stored.trained.sel(
            inputs="co-active", noise="sampled", mask=mask, reading="roe2023"
        ).values[row, column]
        np.testing.assert_array_equal(read, expected)
