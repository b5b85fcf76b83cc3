"""The report in a real browser: it draws, hovering and clicking work, and it asks for nothing.

Chromium with its driver is needed (Debian: chromium, chromium-driver); without them all tests here
are skipped, and say so.
"""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from superposition.numerics import population_loss
from superposition.validation import phase_diagram, phases_of
from superposition.validation.report import report_html

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="no chromium with chromedriver to open the report in"
)
WAIT = 30  # seconds, on a machine that is busy with other tests


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1300,1000"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    driver.set_script_timeout(WAIT)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    return phase_diagram(
        density=np.geomspace(0.1, 1, 3),
        importance=np.geomspace(0.5, 2, 3),
        replicas=2,
        starts=8,
    )


@pytest.fixture(scope="module")
def report(dataset: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_html(dataset, starts=4), encoding="utf-8")
    return path.as_uri()


def log_of(browser: webdriver.Chrome, name: str) -> list[dict[str, Any]]:
    """Return the entries of a log since it was last read."""
    return list(browser.get_log(name))  # type: ignore[no-untyped-call]


def opened(browser: webdriver.Chrome, address: str) -> webdriver.Chrome:
    """Open a page anew, with the logs of earlier pages cleared, and wait until it has drawn."""
    browser.get("about:blank")
    log_of(browser, "browser")
    log_of(browser, "performance")
    browser.get(address)
    wait_until_drawn(browser)
    return browser


def wait_until_drawn(browser: webdriver.Chrome) -> None:
    drawn = "return document.querySelectorAll('#landscape .main-svg').length > 0"
    WebDriverWait(browser, WAIT).until(lambda b: b.execute_script(drawn))


@pytest.fixture
def page(browser: webdriver.Chrome, report: str) -> webdriver.Chrome:
    """The report, as the last test left it if that has not opened another page."""
    return browser if browser.current_url == report else opened(browser, report)


def requested(browser: webdriver.Chrome) -> list[str]:
    """Return every address that the browser has asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in log_of(browser, "performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def assert_quiet(browser: webdriver.Chrome, address: str) -> None:
    """No console message since the page was opened, and no request for anything but itself."""
    assert log_of(browser, "browser") == []
    asked = requested(browser)
    assert not [url for url in asked if url != address and not url.startswith(("data:", "blob:"))]


def pixel_of(browser: webdriver.Chrome, name: str, s: float, r: float) -> tuple[float, float]:
    """Return where a map shows a grid point, from its upper left corner."""
    x, y = browser.execute_script(
        """const axes = document.getElementById(arguments[0])._fullLayout;
        return [axes.xaxis._offset + axes.xaxis.d2p(arguments[2]),
                axes.yaxis._offset + axes.yaxis.d2p(arguments[1])];""",
        name, s, r,
    )  # fmt: skip
    return float(x), float(y)


def point_at(browser: webdriver.Chrome, name: str, s: float, r: float) -> ActionChains:
    """Return the movement of a mouse to a grid point of a map."""
    plot = browser.find_element(By.ID, name)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    x, y = pixel_of(browser, name, s, r)
    middle = plot.size["width"] / 2, plot.size["height"] / 2
    return ActionChains(browser, duration=50).move_to_element_with_offset(
        plot, round(x - middle[0]), round(y - middle[1])
    )


def text_of(browser: webdriver.Chrome, name: str) -> str:
    return str(
        browser.execute_script("return document.getElementById(arguments[0]).innerText", name)
    )


def shown(x: float, digits: int = 5) -> str:
    """A number as the page writes it."""
    text = f"{x:.{digits}g}"
    return text.replace("-", "−")


def test_it_draws_all_maps_and_is_quiet(browser: webdriver.Chrome, report: str) -> None:
    page = opened(browser, report)
    assert requested(page)[0] == report  # the log works
    maps = page.find_elements(By.CSS_SELECTOR, ".plot .heatmaplayer image")
    assert len(maps) == 8
    assert all(picture.size["width"] > 100 for picture in maps)
    fractions = page.find_elements(By.TAG_NAME, "mfrac")
    assert fractions
    assert all(fraction.size["height"] > 15 for fraction in fractions)  # set, not run together
    assert_quiet(opened(browser, report), report)


@pytest.mark.parametrize(("i", "j"), [(0, 0), (2, 1), (1, 2)])
@pytest.mark.parametrize("name", ["optimum_phase", "basin_gap"])
def test_hovering_shows_what_the_dataset_holds_there(
    page: webdriver.Chrome, dataset: xr.Dataset, name: str, i: int, j: int
) -> None:
    at = dataset.isel(density=i, importance=j)
    s, r = float(at["density"]), float(at["importance"])
    point_at(page, name, s, r).perform()
    heading = f"s = {shown(s)}, r = {shown(r)}"
    WebDriverWait(page, WAIT).until(lambda b: heading in text_of(b, "point"))
    text = text_of(page, "point")
    for candidate, loss in zip(at["candidate"].values, at["candidate_loss"].values, strict=True):
        assert candidate in text
        assert shown(loss) in text
    assert f"loss {shown(float(at['optimum_loss']), 7)}" in text
    weights = ", ".join(shown(w, 4) for w in at["optimum_W"].values[0])
    assert f"W = [{weights}]" in text
    assert f"Optimum: {phases_of(dataset)[int(at['optimum_phase'])]}" in text
    for loss in at["trained_loss"].values:
        assert shown(loss) in text
    label = page.find_elements(By.CSS_SELECTOR, f"#{name} .hoverlayer .hovertext")
    assert len(label) == 1
    assert f"s = {s:.4g}" in label[0].text.replace("−", "-")
    if name == "optimum_phase":
        assert phases_of(dataset)[int(at["optimum_phase"])] in label[0].text


def test_clicking_draws_the_landscape_with_its_minima(
    page: webdriver.Chrome, dataset: xr.Dataset, report: str
) -> None:
    at = dataset.isel(density=0, importance=2)
    s, r = float(at["density"]), float(at["importance"])
    point_at(page, "theory_phase", s, r).click().perform()
    place = f"s = {shown(s)}, r = {shown(r)}"
    WebDriverWait(page, WAIT).until(lambda b: place in text_of(b, "landscape-text"))
    traces = {trace["name"]: trace for trace in page.execute_script(
        """return document.getElementById('landscape').data.filter((trace) => trace.name)
        .map(({name, x, y}) => ({name, x: Array.from(x), y: Array.from(y)}))"""
    )}  # fmt: skip
    optimum = np.abs(at["optimum_W"].values[0])
    assert traces["optimum"]["x"][0] == -traces["optimum"]["x"][1]  # W and −W
    np.testing.assert_allclose(np.abs([traces["optimum"]["x"][0], traces["optimum"]["y"][0]]), optimum,
                               atol=1e-6)  # fmt: skip
    np.testing.assert_array_equal(traces["trained replica"]["x"], at["trained_W"].values[:, 0, 0])
    np.testing.assert_array_equal(traces["trained replica"]["y"], at["trained_W"].values[:, 0, 1])
    lowest = page.execute_script(
        "return 10 ** Math.min(...document.getElementById('landscape').data[0].z.flat())"
    )
    assert 1 - 1e-9 <= lowest / float(at["optimum_loss"]) < 1.3  # the optimum is between pixels
    middles = page.execute_script(
        """const box = document.getElementById('optimum_phase').getBoundingClientRect();
        return [...document.querySelectorAll('#optimum_phase .shapelayer path')].map((line) => {
          const {left, right, top, bottom} = line.getBoundingClientRect();
          return [(left + right) / 2 - box.left, (top + bottom) / 2 - box.top];
        });"""
    )
    x, y = pixel_of(page, "optimum_phase", s, r)
    assert len(middles) == 4  # a vertical and a horizontal line, each in two colors
    for vertical, horizontal in (middles[:2], middles[2:]):
        assert vertical[0] == pytest.approx(x, abs=1)
        assert horizontal[1] == pytest.approx(y, abs=1)
    assert_quiet(page, report)


MODELS: list[dict[str, Any]] = [
    {"density": s, "both": s**2, "r": r, "relu": relu, "penalty": penalty}
    for s, r, relu, penalty in [(0.3, 0.7, True, 0.0), (1.0, 2.0, True, 0.1), (0.05, 1, False, 0.0)]
]


@pytest.mark.parametrize("model", MODELS, ids=["sparse", "dense, penalty", "linear"])
def test_loss_of_the_page_is_the_exact_loss(page: webdriver.Chrome, model: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    W = rng.normal(size=(300, 2))
    W[:20, 1] = 0.0
    b = rng.normal(scale=0.5, size=(300, 2))
    b[20:40] = 0.0
    computed = page.execute_script(
        "return arguments[0].map((w, k) => exactLoss(w, arguments[1][k], arguments[2]))",
        W.tolist(), b.tolist(), model,
    )  # fmt: skip
    exact = population_loss(
        W[:, np.newaxis], b, density=model["density"], importance=[1, model["r"]],
        activation="relu" if model["relu"] else "linear", penalty=model["penalty"],
    )  # fmt: skip
    np.testing.assert_allclose(computed, exact, rtol=1e-12)


@pytest.mark.parametrize("together", [True, False])
def test_loss_of_the_page_for_dependent_features(page: webdriver.Chrome, together: bool) -> None:
    """Oracle: the mean over the states of both features, each by a plain Riemann sum."""
    s, r = 0.4, 0.7
    rng = np.random.default_rng(1)
    x = (np.arange(400) + 0.5) / 400
    first, second = np.meshgrid(x, x)
    for _ in range(5):
        w, b = rng.normal(size=2), rng.normal(scale=0.3, size=2)

        def error(x1: Any, x2: Any, w: Any = w, b: Any = b) -> float:
            h = w[0] * x1 + w[1] * x2
            outputs = (np.maximum(w[k] * h + b[k], 0) for k in range(2))
            return float(sum(
                weight * np.mean((target - output) ** 2)
                for weight, target, output in zip((1, r), (x1, x2), outputs, strict=True)
            ))  # fmt: skip

        if together:
            mean = (1 - s) * error(0.0, 0.0) + s * error(first, second)
        else:
            mean = (1 - 2 * s) * error(0.0, 0.0) + s * (error(x, 0.0) + error(0.0, x))
        computed = page.execute_script(
            "return exactLoss(...arguments)", w.tolist(), b.tolist(),
            {"density": s, "both": s if together else 0, "r": r, "relu": True, "penalty": 0},
        )  # fmt: skip
        assert computed == pytest.approx(mean, rel=1e-4)  # midpoints: error about 1/400²


def test_biases_of_the_map_are_the_best(page: webdriver.Chrome) -> None:
    """Oracle: the exact loss on a fine grid of biases.

    Its second derivative in a bias is at most 2, so that the grid misses at most (step/2)².
    """
    rng = np.random.default_rng(2)
    biases = np.linspace(-6, 4, 40001)
    for w in (*rng.uniform(-1.5, 1.5, size=(6, 2)), np.array([1.0, 0.0]), np.array([1.0, -1.0])):
        s, r = rng.uniform(0.05, 1), rng.uniform(0.2, 2)
        for k in range(2):
            computed = page.execute_script(
                """const [w, k, model] = arguments;
                return lowestOutputError(w[k] * w[k], w[0] * w[1], model);""",
                w.tolist(), k, {"density": s, "both": s * s, "r": r, "relu": True, "penalty": 0},
            )  # fmt: skip
            b = np.zeros((len(biases), 2))
            b[:, k] = biases
            on_grid = population_loss([w], b, density=s, importance=np.eye(2)[k]).min()
            assert -1e-12 <= on_grid - computed <= (biases[1] - biases[0]) ** 2 / 4


def test_keyboard_reaches_every_point(page: webdriver.Chrome, dataset: xr.Dataset) -> None:
    before = text_of(page, "landscape-text")
    for name in ("density", "importance"):
        page.find_element(By.ID, name).send_keys(Keys.HOME)
    first = (
        f"s = {shown(float(dataset['density'][0]))}, r = {shown(float(dataset['importance'][0]))}"
    )
    assert first in text_of(page, "point")
    assert first in text_of(page, "landscape-text")
    assert first not in before
    page.find_element(By.CSS_SELECTOR, "#all-points summary").send_keys(Keys.ENTER)
    buttons = WebDriverWait(page, WAIT).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, "#points button")
    )
    assert [button.text for button in buttons] == [shown(float(r)) for r in dataset["importance"]]
    buttons[2].send_keys(Keys.ENTER)
    assert f"r = {shown(float(dataset['importance'][2]))}" in text_of(page, "landscape-text")
    row = text_of(page, "points").splitlines()[-1]
    assert phases_of(dataset)[int(dataset["optimum_phase"][0, 2])] in row


def test_saved_csv_holds_every_number(
    page: webdriver.Chrome, dataset: xr.Dataset, report: str, tmp_path: Path
) -> None:
    allowed = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    file = tmp_path / "phase_diagram.csv"
    page.find_element(By.ID, "csv").click()
    WebDriverWait(page, WAIT).until(lambda _: file.exists())
    assert text_of(page, "downloaded") == f"{file.name}: {file.stat().st_size / 1e6:.2f} MB"
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 9
    for row in rows:
        at = dataset.sel(density=float(row["density"]), importance=float(row["importance"]))
        for name in dataset.data_vars:
            values = at[name].values
            for place in np.ndindex(values.shape):
                column = name if not place else f"{name}[{','.join(map(str, place))}]"
                assert float(row[column] or "nan") == pytest.approx(
                    float(values[place]), rel=0, abs=0, nan_ok=True
                )
    held = json.loads(page.execute_script("return asJson(dataset)"))
    np.testing.assert_array_equal(
        held["variables"]["optimum_loss"]["values"], dataset["optimum_loss"].values.ravel()
    )
    assert_quiet(page, report)


def test_names_run_nothing(browser: webdriver.Chrome, dataset: xr.Dataset, tmp_path: Path) -> None:
    attack = "<b>&lt;</b><img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
    hostile = dataset.assign_attrs(title=attack)
    for name in ("theory_phase", "optimum_phase", "trained_phase", "best_trained_phase"):
        meanings = dataset[name].attrs["flag_meanings"].split(" ")
        hostile[name] = dataset[name].assign_attrs(
            flag_meanings=" ".join(attack.replace(" ", "_") + meaning for meaning in meanings)
        )
    hostile = hostile.assign_coords(candidate=[attack + x for x in dataset["candidate"].values])
    path = tmp_path / "hostile.html"
    path.write_text(report_html(hostile, starts=0), encoding="utf-8")
    page = opened(browser, path.as_uri())
    point_at(page, "optimum_phase", 0.1, 0.5).click().perform()
    time.sleep(0.3)
    assert page.execute_script("return window.hacked") is None
    assert page.find_elements(By.CSS_SELECTOR, "img[src=x]") == []
    assert page.find_element(By.TAG_NAME, "h1").text == attack
    assert attack in text_of(page, "point")
    label = page.find_element(By.CSS_SELECTOR, "#optimum_phase .hoverlayer .hovertext")
    assert "<b>&lt;</b><img" in label.text  # plotly would set <b> in bold
    assert_quiet(page, path.as_uri())


def test_policy_stops_a_script_that_got_in(
    browser: webdriver.Chrome, dataset: xr.Dataset, report: str, tmp_path: Path
) -> None:
    text = Path(report.removeprefix("file://")).read_text(encoding="utf-8")
    path = tmp_path / "changed.html"
    attack = (
        "<body><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
        "<img src='https://example.org/x.png'>"
    )
    path.write_text(text.replace("<body>", attack), encoding="utf-8")
    page = opened(browser, path.as_uri())
    assert page.execute_script("return window.hacked") is None
    refused = [entry["message"] for entry in log_of(page, "browser")]
    assert sum("Content Security Policy" in message for message in refused) >= 3


def test_it_fits_a_phone(page: webdriver.Chrome) -> None:
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.refresh()
        wait_until_drawn(page)
        assert page.execute_script("return document.documentElement.scrollWidth") <= 390
        widths = [plot.size["width"] for plot in page.find_elements(By.CSS_SELECTOR, ".plot")]
        assert min(widths) > 300
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def displayed(browser: webdriver.Chrome, selector: str) -> list[bool]:
    return [found.is_displayed() for found in browser.find_elements(By.CSS_SELECTOR, selector)]


def test_paper_gets_pictures(page: webdriver.Chrome) -> None:
    assert displayed(page, "img.static") == [False] * 8
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert displayed(page, "img.static") == [True] * 8
        assert displayed(page, ".plot") == [False] * 8
        assert displayed(page, ".controls") == [False] * 2
        assert displayed(page, "#landscape") == [True]
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_without_scripts_there_are_pictures_and_tables(
    browser: webdriver.Chrome, report: str
) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(report)
        assert displayed(browser, "img.static") == [True] * 8
        assert not any(displayed(browser, ".plot"))
        assert "Without scripts" in browser.find_element(By.TAG_NAME, "body").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_larger_models_show_slices(browser: webdriver.Chrome, tmp_path: Path) -> None:
    diagram = phase_diagram(3, 2, density=[0.3, 0.9], importance=[0.8, 1.2], replicas=2, starts=8)
    path = tmp_path / "larger.html"
    path.write_text(report_html(diagram, starts=4), encoding="utf-8")
    page = opened(browser, path.as_uri())
    point_at(page, "optimum_phase", 0.3, 1.2).click().perform()
    place = "s = 0.3, r = 1.2"
    WebDriverWait(page, WAIT).until(lambda b: place in text_of(b, "landscape-text"))
    curves = page.execute_script(
        """return document.getElementById('landscape').data
        .map(({mode, x, y}) => ({mode, x: Array.from(x), y: Array.from(y)}))"""
    )
    optimum = float(diagram["optimum_loss"].sel(density=0.3, importance=1.2))
    for curve in curves[:-1]:
        at_optimum = curve["y"][curve["x"].index(0)]
        assert at_optimum == pytest.approx(optimum, rel=1e-6)
        assert min(curve["y"]) >= optimum * (1 - 1e-6)
    assert curves[-1]["y"][0] == pytest.approx(optimum, rel=1e-9)
    assert_quiet(page, path.as_uri())
