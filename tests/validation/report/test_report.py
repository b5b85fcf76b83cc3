"""The report: what the page holds is what the dataset holds, and nothing comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr

from superposition import (
    Anticorrelated,
    CoActive,
    Correlated,
    Independent,
    ValueDistribution,
    cli,
)
from superposition.features import FeatureDistribution
from superposition.numerics import population_loss, population_loss_and_grad
from superposition.theory import candidates
from superposition.validation import agreement, load_dataset, phase_diagram
from superposition.validation.comparison.plots import boundaries_of, cell_edges
from superposition.validation.report import (
    ForeignFileError,
    agreement_tables,
    gap_table,
    landscape,
    report_html,
    write_report,
)
from superposition.validation.report.formulas import formula
from superposition.validation.report.interactive import figure_of
from superposition.validation.report.landscape import pair_probability
from superposition.validation.report.panels import Kind, panels
from superposition.validation.report.payload import as_script, fitting
from superposition.validation.sweeps.configuration import PhaseDiagramConfiguration, settings_of

HOSTILE = "<script>window.hacked=1</script>\"'&</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diagram")
    phase_diagram(
        density=np.geomspace(0.1, 1, 3),
        importance=np.geomspace(0.5, 2, 4),
        replicas=2,
        starts=8,
        out=folder,
    )
    return folder


@pytest.fixture(scope="module")
def dataset(folder: Path) -> xr.Dataset:
    return load_dataset(folder)


@pytest.fixture(scope="module")
def page(dataset: xr.Dataset) -> str:
    return report_html(dataset, starts=2)


@pytest.fixture(scope="module")
def larger() -> xr.Dataset:
    return phase_diagram(3, 2, density=[0.3, 0.9], importance=[0.8, 1], replicas=2, starts=8)


class Reader(HTMLParser):
    """Elements and texts as a browser's parser sees them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._raw: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        self._raw = tag if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._raw = None

    def handle_data(self, data: str) -> None:
        if self._raw == "script":
            self.scripts[-1] += data
        elif self._raw is None:
            self.text += data

    def script(self, name: str) -> Any:
        scripts = [attributes for tag, attributes in self.elements if tag == "script"]
        (k,) = (k for k, attributes in enumerate(scripts) if attributes.get("id") == name)
        return json.loads(self.scripts[k])


def test_page_holds_every_number_bit_by_bit(page: str, dataset: xr.Dataset) -> None:
    held = Reader(page).script("dataset")["variables"]
    for name in dataset.variables:
        stored, original = held[name], dataset[name]
        assert stored["dims"] == list(original.dims)
        assert stored.get("long_name") == original.attrs.get("long_name")
        if stored["dtype"] == "text":
            assert stored["data"] == original.values.tolist()
            continue
        read = np.frombuffer(base64.b64decode(stored["data"]), np.dtype(stored["dtype"]))
        np.testing.assert_array_equal(read.reshape(stored["shape"]), original.values)


def test_equal_data_are_equal_pages(page: str, folder: Path) -> None:
    assert report_html(load_dataset(folder), starts=2) == page


def test_nothing_comes_from_elsewhere(page: str) -> None:
    reader = Reader(page)
    assert not {tag for tag, _ in reader.elements} & {"link", "iframe", "object", "embed", "base"}
    for tag, attributes in reader.elements:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            target = attributes.get(name)
            assert target is None or target.startswith("data:image/png;"), (tag, target)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_policy_lets_only_the_scripts_of_the_page_run(page: str) -> None:
    reader = Reader(page)
    (policy,) = (
        attributes["content"]
        for tag, attributes in reader.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    directives = dict(part.strip().split(" ", 1) for part in str(policy).split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["img-src"] == "data:"
    kinds = [attributes.get("type") for tag, attributes in reader.elements if tag == "script"]
    hashes = {
        "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
        for kind, text in zip(kinds, reader.scripts, strict=True)
        if kind is None
    }
    assert set(directives["script-src"].split()) == hashes
    assert len(hashes) == 2


def hostile(dataset: xr.Dataset) -> xr.Dataset:
    """Return the dataset with markup in every name that a user could have given."""
    changed = dataset.copy()
    meanings = dataset["optimum_phase"].attrs["flag_meanings"].split(" ")
    names = " ".join([HOSTILE.replace(" ", "_") + meanings[0], *meanings[1:]])
    for name in ("theory_phase", "optimum_phase", "trained_phase", "best_trained_phase"):
        changed[name].attrs["flag_meanings"] = names
        changed[name].attrs["long_name"] = HOSTILE
    changed = changed.assign_coords(
        candidate=np.array([HOSTILE + str(name) for name in dataset["candidate"].values], object)
    )
    settings = settings_of(dataset)
    settings["protocol"] |= {"name": HOSTILE, HOSTILE: HOSTILE}
    return changed.assign_attrs(
        {"title": HOSTILE, "configuration": json.dumps(settings), HOSTILE: HOSTILE}
    )


def test_names_are_text_whatever_they_hold(page: str, dataset: xr.Dataset) -> None:
    harmless, attacked = Reader(page), Reader(report_html(hostile(dataset), starts=2))
    tags = [tag for tag, _ in harmless.elements]
    assert [tag for tag, _ in attacked.elements] == tags
    assert HOSTILE in attacked.text
    assert not any("onerror" in attributes for _, attributes in attacked.elements)
    assert HOSTILE in json.dumps(attacked.script("settings"), ensure_ascii=False).replace(
        '\\"', '"'
    )


def test_script_data_end_no_script() -> None:
    text = as_script({"a": "</script><!--<script>&"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!--<script>&"}


# --- files, for which the page is made once


@pytest.fixture
def ready(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("superposition.validation.report.files.report_html", lambda *_, **__: page)


@pytest.mark.usefixtures("ready")
def test_report_is_written_beside_the_dataset_and_replaced(folder: Path, page: str) -> None:
    path = write_report(folder, starts=2)
    assert path == folder / "report.html"
    assert path.read_text(encoding="utf-8") == page
    path.write_text(page[: len(page) // 2], encoding="utf-8")
    assert write_report(folder, starts=2).read_text(encoding="utf-8") == page
    assert not list(folder.glob(".report-*"))
    path.unlink()


@pytest.mark.usefixtures("ready")
def test_foreign_file_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    for text in ("", "my notes", "<!doctype html><p>superposition report</p>"):
        mine.write_text(text)
        with pytest.raises(ForeignFileError, match=r"mine\.html is there already") as refused:
            write_report(folder, mine)
        assert refused.value.path == mine
        assert mine.read_text() == text
    with pytest.raises(ForeignFileError):
        write_report(folder, tmp_path)


@pytest.mark.usefixtures("ready")
def test_failure_keeps_the_earlier_report(
    folder: Path, tmp_path: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report.html"
    out.write_text(page, encoding="utf-8")

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_report(folder, out, starts=0)
    assert out.read_text(encoding="utf-8") == page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        cli.main(arguments)
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.usefixtures("ready")
def test_command(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    code, printed, _ = run(
        capsys, "report", str(folder), "--out", str(out), "--starts", "0", "--json"
    )
    assert code == 0
    assert json.loads(printed) == {"file": str(out), "bytes": out.stat().st_size}
    assert not (folder / "report.html").exists()


def test_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run(capsys, "report", "--help")
    assert code == 0
    assert "Example: superposition report" in printed


def test_command_refuses(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text("my notes")
    for arguments, message in (
        ([str(tmp_path)], "no dataset"),
        ([str(folder), "--out", str(tmp_path / "mine.html")], "is no report"),
        ([str(folder), "--out", str(tmp_path)], "directory"),
        ([str(folder), "--starts", "-1"], "-1"),
    ):
        code, printed, error = run(capsys, "report", *arguments)
        assert (code, printed) == (2, "")
        assert message in error
        assert error.count("\n") == 1


# --- contents


def test_minima_are_minima(larger: xr.Dataset) -> None:
    """Oracles: the gradient of the exact loss, the sweep's own search, the empty model's loss."""
    found = landscape(larger, starts=4)
    for i, j in np.ndindex(2, 2):
        r, s = float(larger["importance"][j]), float(larger["density"][i])
        at = found.isel(density=i, importance=j)
        losses = at["minimum_loss"].values
        count = int(np.isfinite(losses).sum())
        assert (np.diff(losses[:count]) >= 0).all()
        np.testing.assert_allclose(losses[0], float(larger["optimum_loss"][i, j]), rtol=1e-9)
        exact = population_loss_and_grad(
            at["minimum_W"].values[:count], at["minimum_b"].values[:count],
            density=s, importance=[1, 1, r],
        )  # fmt: skip
        np.testing.assert_allclose(exact.loss, losses[:count], rtol=1e-12)
        assert abs(exact.dW).max() < 1e-8
        assert abs(exact.db).max() < 1e-8
        slices = at["slice_loss"].values
        start, end = (int(abs(found["position"].values - x).argmin()) for x in (0, 1))
        np.testing.assert_allclose(slices[:count, start], losses[0], rtol=1e-6)  # 4-byte numbers
        np.testing.assert_allclose(slices[1:count, end], losses[1:count], rtol=1e-6)
        np.testing.assert_allclose(slices[0, end], (2 + r) * (s / 3 - s**2 / 4), rtol=1e-6)
    assert (found["minimum_phase"].values[np.isnan(found["minimum_loss"].values)] == -1).all()


def test_replicas_settle_in_listed_minima(dataset: xr.Dataset) -> None:
    """Oracle: the losses to which the sweep's descent brought the replicas."""
    losses = landscape(dataset, starts=0)["minimum_loss"].values
    settled = dataset["settled_loss"].values
    apart = np.nanmin(abs(losses[:, :, np.newaxis] / settled[..., np.newaxis] - 1), axis=-1)
    assert apart.max() < 1e-6


def test_rotation_brings_equal_models_together(larger: xr.Dataset) -> None:
    found = landscape(larger, starts=0)
    W = found["minimum_W"].values
    products = np.einsum("...ki,...kj->...ij", W, W)
    assert np.isfinite(products).any()
    overlap = np.einsum("...ij,...ij->...", W[:, :, :1], W)  # cannot grow by a further rotation
    for turn in (np.array([[0.0, -1.0], [1.0, 0.0]]), np.diag([1.0, -1.0]), -np.eye(2)):
        turned = np.einsum("...ij,ki,...kj->...", W[:, :, :1], turn, W)
        here = np.isfinite(overlap)
        assert (overlap[here] >= turned[here] - 1e-12).all()


def stored(features: FeatureDistribution, n: int = 2) -> xr.Dataset:
    """Return as much of a dataset as says what its inputs are."""
    configuration = PhaseDiagramConfiguration.validated(
        n, 1, density=[0.2, 0.5], importance=[1.0], replicas=1, starts=1, seed=0,
        protocol="annealed", penalty=0.0, activation="relu", features=features,
    )  # fmt: skip
    coords = {"density": [0.2, 0.5]}
    return xr.Dataset(coords=coords, attrs={"configuration": configuration.to_json()})


@pytest.mark.parametrize(
    ("features", "probability"),
    [
        (Independent(), [0.2**2, 0.5**2]),
        (Correlated([(0, 1)]), [0.2, 0.5]),
        (CoActive(), [0.2, 0.5]),
        (Anticorrelated([(0, 1)]), [0, 0]),
        (Independent(ValueDistribution([1], symmetric=True)), None),
        (Independent(ValueDistribution([0, 2])), None),
    ],
    ids=str,
)
def test_probability_of_both_features(
    features: FeatureDistribution, probability: list[float] | None
) -> None:
    assert pair_probability(stored(features)) == probability
    assert pair_probability(stored(Independent(), n=3)) is None


def test_maps_show_the_dataset(dataset: xr.Dataset) -> None:
    gap = dataset["approximation_gap"] / dataset["optimum_loss"]
    lines = boundaries_of(settings_of(dataset))
    shown = {panel.name: panel for panel in panels(dataset)}
    np.testing.assert_allclose(shown["approximation_gap"].values, gap.values, rtol=1e-15)
    mean = (dataset["basin_gap"] / dataset["optimum_loss"]).mean("replica")
    np.testing.assert_allclose(shown["basin_gap"].values, mean.values, rtol=1e-13)
    for panel in shown.values():
        figure = figure_of(panel, dataset, lines)
        cells = figure.data[0]
        np.testing.assert_array_equal(cells.x, dataset["importance"].values)
        np.testing.assert_array_equal(cells.y, dataset["density"].values)
        if panel.kind is not Kind.GAP:
            np.testing.assert_array_equal(cells.z, dataset[panel.name].values)
        for axis, name in ((figure.layout.xaxis, "importance"), (figure.layout.yaxis, "density")):
            assert axis.type == "log"
            edges = cell_edges(dataset[name].values, True)
            np.testing.assert_allclose(10.0 ** np.array(axis.range), edges[[0, -1]])
            assert [float(text) for text in axis.ticktext] == list(axis.tickvals)
        assert "importance" in figure.layout.xaxis.title.text
        assert "density" in figure.layout.yaxis.title.text


def test_boundary_lines_follow_the_closed_forms(dataset: xr.Dataset) -> None:
    figure = figure_of(panels(dataset)[0], dataset, boundaries_of(settings_of(dataset)))
    x, y = (np.array(values, dtype=float) for values in (figure.data[1].x, figure.data[1].y))
    below = y < 4 / 7 - 1e-3
    left, right = below & (x < 1), below & (x > 1)
    assert left.any()
    assert right.any()
    gaps = np.flatnonzero(np.isnan(x))
    pieces = [piece for piece in np.split(np.stack([x, y]), gaps, axis=1) if piece.shape[1] > 1]
    assert len(pieces) == 3  # which meet in the triple point
    for piece in pieces:
        apart = np.abs(piece.T / [1, 4 / 7] - 1).max(axis=1)
        assert np.nanmin(apart) < 1e-5
    np.testing.assert_allclose(x[left], 2 * y[left] / (4 - 5 * y[left]), rtol=1e-5)  # 6 digits
    np.testing.assert_allclose(x[right], (4 - 5 * y[right]) / (2 * y[right]), rtol=1e-5)


def evaluate(node: ElementTree.Element, values: dict[str, float]) -> float:
    """Read presentation MathML of a polynomial as a number, by the rules of a human reader."""
    parts = list(node)
    match node.tag:
        case "mn":
            return float(node.text or "")
        case "mi":
            return values[node.text or ""]
        case "mfrac":
            return evaluate(parts[0], values) / evaluate(parts[1], values)
        case "msup":
            return float(evaluate(parts[0], values) ** evaluate(parts[1], values))
    total, term, sign = 0.0, None, 1.0
    for part in parts:
        if part.tag != "mo":
            factor = evaluate(part, values)
            term = factor if term is None else term * factor
        elif part.text in ("+", "-"):
            total, term = total + sign * (term or 0.0), None
            sign = -1.0 if part.text == "-" else 1.0
        else:
            assert part.text in ("(", ")", "\u2062"), part.text
    return total + sign * (term or 0.0)


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (4, 2)])
def test_typeset_losses_are_the_losses(n: int, m: int) -> None:
    """Oracle: the exact numerics at the configuration's weights and biases."""
    s, r = 0.3, 0.7
    for candidate in candidates(n, m):
        text = formula(candidate.loss()).replace("&InvisibleTimes;", "\u2062")
        typeset = evaluate(ElementTree.fromstring(text), {"s": s, "r": r})
        importance = [1.0] * (n - 1) + [r]
        exact = population_loss(
            candidate.W_array(), candidate.b_array(s), density=s, importance=importance
        )
        assert math.isclose(typeset, float(exact), rel_tol=1e-12)


def test_tables_hold_the_agreement(dataset: xr.Dataset, page: str) -> None:
    assert agreement_tables(dataset).html in page
    moved = dataset.copy(deep=True)
    moved["theory_phase"][0, :2] = 3 - moved["theory_phase"][0, :2]
    compared = agreement(moved)
    tables = agreement_tables(moved, compared)
    assert tables.html in tables._repr_html_()
    names = ("agreement", "agreement_away", "kappa")
    for pair in compared["pair"].values:
        row = tables.html[tables.html.index(f">{pair}<") :]
        shown = [float(x) for x in re.findall(r">([-0-9.]+) <small>", row.replace("−", "-"))[:3]]
        expected = [float(compared[name].sel(pair=pair)) for name in names]
        np.testing.assert_allclose(shown, expected, atol=5e-4)
    assert len({float(compared[name].sel(pair="theory-optimum")) for name in names}) == 3


def test_gaps_are_summed_up_by_order(dataset: xr.Dataset) -> None:
    """Sorting by hand: of twelve gaps, two in the middle, the largest, and 90 % of the way."""
    some = dataset.copy(deep=True)
    some["optimum_loss"][:] = 1.0
    some["approximation_gap"][:] = np.arange(1, 13).reshape(3, 4)[:, ::-1] / 100
    _, row = gap_table(some).html.split("<tbody>")[1].split("</tr>")[0].split("</th>")
    assert re.findall(r">([0-9.]+) %<", row) == ["6.50", "10.9", "12.0"]


def test_the_point_shown_first_is_where_the_closed_forms_miss_most(
    page: str, dataset: xr.Dataset
) -> None:
    i, j = Reader(page).script("settings")["first_point"]
    missed = dataset["approximation_gap"] / dataset["optimum_loss"]
    assert float(missed[i, j]) == float(missed.max()) > 0


def test_data_that_do_not_fit_are_left_out_by_name(dataset: xr.Dataset) -> None:
    least = dataset.drop_vars(["trained_W", "trained_b"]).nbytes
    assert fitting(dataset, dataset.nbytes) == (dataset, ())
    held, left_out = fitting(dataset, least)
    assert left_out == ("trained_W", "trained_b")
    assert held.nbytes == least
    with pytest.raises(ValueError, match="report a smaller grid"):
        fitting(dataset, least - 1)


def test_arguments_are_refused(dataset: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="starts must be at least 0, got -1"):
        landscape(dataset, starts=-1)
    with pytest.raises(ValueError, match="no configuration"):
        report_html(dataset.assign_attrs(configuration="{}").drop_attrs())


def test_datasets_that_are_not_whole_are_refused(dataset: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="no configuration; was it made by phase_diagram"):
        report_html(xr.Dataset())
    with pytest.raises(ValueError, match="lacks optimum_W, diverged; pass it whole"):
        report_html(dataset.drop_vars(["optimum_W", "diverged"]))


def test_diverged_replicas_and_density_0_have_a_report() -> None:
    diagram = phase_diagram(density=[0.0, 0.5], importance=[1.0, 2.0], replicas=1, starts=4)
    diagram["trained_W"][:] = np.nan
    diagram["trained_b"][:] = np.nan
    diagram["diverged"][:] = 1
    for name in ("trained_loss", "settled_loss", "best_trained_loss", "optimization_gap",
                 "basin_gap"):  # fmt: skip
        diagram[name][:] = np.inf
    diagram["protocol_gap"][:] = np.nan
    assert "diverged" in report_html(diagram, starts=0)


def test_gaps_are_relative_to_nothing_where_the_optimum_is_0(dataset: xr.Dataset) -> None:
    perfect = dataset.copy(deep=True)
    perfect["optimum_loss"][0, 0] = 1e-23
    shown = {panel.name: panel.values for panel in panels(perfect)}
    assert np.isnan(shown["approximation_gap"][0, 0])
    assert np.isfinite(shown["approximation_gap"]).sum() == dataset["optimum_loss"].size - 1
