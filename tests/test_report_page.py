"""The page of a report in a real browser, Chromium: it draws, answers, asks for nothing, and can be read by anyone."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_report import HOSTILE, TRAININGS, TRANSFERS, by_file, hostile, made, payload, quality, studied

from harness import Rules, registry
from harness.plots.style import styles
from harness.studies.evaluate import evaluate
from harness.studies.fronts import held
from harness.studies.outcome import Outcome
from harness.studies.study import Study

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("there is no chromium or no chromedriver", allow_module_level=True)

Keys = webdriver.Keys
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Browser:
    """A page in Chromium, as a test sees it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, *, width: int = 1200, dark: bool = False) -> None:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 800}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get_log("performance")
        self.driver.get(path.as_uri())

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def count(self, selector: str) -> int:
        return len(self.driver.find_elements("css selector", selector))

    def choose(self, name: str, value: str) -> None:
        self.one(f"input[name={name}][value={value}]").click()

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.driver.find_elements("css selector", selector)]

    def lines(self, chart: str = "regret") -> dict[str, str]:
        """The path of each drawn algorithm."""
        found = self.driver.find_elements("css selector", f"#{chart}-chart .plot .line")
        return {line.get_attribute("data-label"): line.get_attribute("d") for line in found}

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """Two benchmarks with a test metric, and nb201, which has none but has cells."""
    table, rules = registry.benchmark("nb201"), Rules(budget=2e5)
    found = []
    for name in ("rs", "re", "ls"):
        study = Study.plan(table, name, {}, 0, 20, rules)
        found.append(evaluate(study, table=table))
    return [*studied(), *found]


@pytest.fixture(scope="module")
def path(outcomes: list[Outcome], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    trainings = by_file([*TRAININGS, *TRANSFERS], "trained")
    qualities = [quality("ridge", 0.5), quality("forest", 0.6)]
    path.write_text(made(outcomes, trainings=trainings, qualities=qualities), encoding="utf-8")
    return path


def test_it_loads_without_a_complaint_and_asks_for_nothing(browser: Browser, path: Path) -> None:
    browser.open(path)
    assert browser.complaints() == []
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    log = [json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in log if m["method"] == "Network.requestWillBeSent"]
    assert path.as_uri() in asked
    assert {url for url in asked if not url.startswith("data:")} == {path.as_uri()}


def test_the_policy_stops_what_it_should(browser: Browser, path: Path) -> None:
    browser.open(path)
    browser.run("document.body.append(Object.assign(document.createElement('img'), {src: 'file:///a.png'}))")
    browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.injected = 1'; document.body.append(s)"
    )
    assert browser.run("return window.injected") is None
    assert sum("Content Security Policy" in text for text in browser.complaints()) == 2


def test_curves_are_steps_through_the_numbers_of_the_page(browser: Browser, path: Path) -> None:
    browser.open(path)
    lines = browser.lines()
    assert [*lines] == ["rs", "re", "ls"]
    benchmark = payload(path.read_text())["benchmarks"][0]
    height: dict[float, float] = {}
    for curve in benchmark["curves"]:
        drawn = lines[curve["label"]]
        assert re.fullmatch(r"M[\d.]+,[\d.]+(H[\d.]+V[\d.]+)*", drawn)
        y = [float(number) for number in re.findall(r"[,V]([\d.]+)", drawn)]
        assert len(y) == len(curve["val"]["mean"])
        height |= {mean: at for mean, at in zip(curve["val"]["mean"], y, strict=True) if mean > 0}
    means, y = np.array([*height.items()]).T
    slope, start = np.polyfit(np.log10(means), y, 1)
    assert slope < -10
    np.testing.assert_allclose(y, start + slope * np.log10(means), atol=0.11)


def test_algorithms_can_be_hidden(browser: Browser, path: Path) -> None:
    browser.open(path)
    bands = browser.count("#regret-chart .band")
    assert bands == 3
    browser.one("#regret-1").click()
    assert [*browser.lines()] == [*browser.lines("ranks")] == ["rs", "ls"]
    assert browser.count("#regret-chart .band") == 2
    assert not browser.one("#ranks-1").is_selected()
    assert "re" not in browser.one("#regret-chart .plot").accessible_name.split(": ")[2]
    browser.one("#ranks-1").click()
    assert [*browser.lines()] == ["rs", "re", "ls"]
    assert browser.one("#regret-1").is_selected()
    for i in range(3):
        browser.one(f"#regret-{i}").click()
    assert browser.lines() == {}
    assert "No algorithm is chosen." in browser.texts("#regret-chart .plot text")


def test_axes_can_be_linear(browser: Browser, path: Path) -> None:
    browser.open(path)
    log, labels = browser.lines(), browser.texts("#regret-chart .plot text")
    browser.choose("y", "linear")
    linear = browser.lines()
    x = {name: re.findall(r"[MH]([\d.]+)", d) for name, d in log.items()}
    assert {name: re.findall(r"[MH]([\d.]+)", d) for name, d in linear.items()} == x
    assert all(linear[name] != log[name] for name in log)
    assert "0" in browser.texts("#regret-chart .plot text")
    browser.choose("x", "linear")
    assert {name: re.findall(r"[MH]([\d.]+)", d) for name, d in browser.lines().items()} != x
    assert "0" not in labels
    browser.choose("x", "log")
    browser.choose("y", "log")
    assert browser.lines() == log


def test_bands_say_what_they_are(browser: Browser, path: Path) -> None:
    browser.open(path)
    note = "#regret-chart .note"
    assert "±2 standard errors of the mean at each time by itself" in browser.one(note).text
    narrow = browser.one("#regret-chart .band").get_attribute("d")
    half = browser.texts("#regret-chart tbody td:last-child")
    curves = payload(path.read_text())["benchmarks"][0]["curves"]
    assert [float(text[2:]) for text in half] == pytest.approx([2 * c["val"]["sem"][-1] for c in curves], rel=0.05)
    browser.choose("band", "simultaneous")
    assert "hold the whole mean curve" in browser.one(note).text
    assert f"{curves[0]['val']['width']} for rs" in browser.one(note).text
    assert browser.one("#regret-chart .band").get_attribute("d") != narrow
    browser.choose("band", "off")
    assert "No band is drawn" in browser.one(note).text
    assert browser.count("#regret-chart .band") == browser.count("#ranks-chart .band") == 0
    assert len(browser.lines()) == 3


def test_a_median_has_its_quartiles(browser: Browser, path: Path, outcomes: list[Outcome], tmp_path: Path) -> None:
    browser.open(path)
    browser.choose("statistic", "median")
    assert "median validation regret of 30 runs" in browser.one("#regret-caption").text
    assert "middle half of the runs" in browser.one("#regret-chart .note").text
    assert "--statistic median" in browser.one("#at-cursor").text
    assert not browser.one("input[name=band]").is_displayed()
    regret = [o.regret("val", np.array([800.0]))[:, 0] for o in outcomes[:3]]
    shown = [
        [float(part) for part in text.split(" to ")] for text in browser.texts("#regret-chart tbody td:last-child")
    ]
    assert shown == [pytest.approx(np.quantile(values, [0.25, 0.75]), rel=0.005) for values in regret]
    drawn = browser.lines()
    address = browser.run("return location.href")
    assert "statistic=median" in address
    browser.driver.get("about:blank")
    browser.driver.get(address)
    assert browser.lines() == drawn
    own = tmp_path / "median.html"
    own.write_text(made(outcomes[:3], statistic="median"), encoding="utf-8")
    browser.open(own)
    assert browser.lines() == drawn
    browser.choose("statistic", "mean")
    assert browser.one("input[name=band]").is_enabled()
    assert browser.lines() != drawn
    assert browser.complaints() == []


def test_test_regret_is_shown_where_there_is_any(browser: Browser, path: Path, outcomes: list[Outcome]) -> None:
    browser.open(path)
    validation, ranks = browser.lines(), browser.lines("ranks")
    browser.choose("kind", "test")
    assert "mean test regret of 30 runs" in browser.one("#regret-caption").text
    assert "mean test regret" in browser.one("#ranks-caption").text
    assert browser.lines() != validation
    assert browser.lines("ranks") != ranks
    shown = [float(text) for text in browser.texts("#regret-chart tbody td:nth-child(2)")]
    expected = [o.regret("test", np.array([800.0])).mean() for o in studied()[:3]]
    assert shown == pytest.approx(expected, rel=0.006)
    browser.run("const s = document.getElementById('benchmark'); s.value = 2; s.dispatchEvent(new Event('change'))")
    assert browser.one("#regret-caption").text == "NAS-Bench-201, cifar10: mean test regret of 20 runs"
    browser.choose("kind", "val")
    assert browser.one("#regret-caption").text == "NAS-Bench-201, cifar10: mean validation regret of 20 runs"
    assert "row 6111" in browser.one("#regret-chart .note").text
    shown = [float(text) for text in browser.texts("#regret-chart tbody td:nth-child(2)")]
    assert shown == pytest.approx([o.regret("val", np.array([2e5])).mean() for o in outcomes[6:]], rel=0.006)


def test_values_follow_the_pointer_and_the_keys(browser: Browser, path: Path) -> None:
    browser.open(path)
    benchmark = payload(path.read_text())["benchmarks"][0]

    def shown() -> tuple[int, list[float]]:
        texts = browser.texts("#regret-chart tbody td:nth-child(2)")
        return int(browser.one("#regret-time").get_attribute("value")), [float(text) for text in texts]

    last = len(benchmark["times"]) - 1
    assert shown()[0] == last
    plot = browser.one("#regret-chart .plot")
    webdriver.ActionChains(browser.driver).move_to_element_with_offset(plot, 60, 0).perform()
    i, values = shown()
    assert 0 < i < last
    assert values == pytest.approx([c["val"]["mean"][i - c["from"]] for c in benchmark["curves"]], rel=0.006)
    assert browser.one("#at-cursor").text == f"harness show results --at {benchmark['times'][i]:.17g}"
    before = browser.one("#regret-chart output").text
    browser.one("#regret-time").send_keys(Keys.ARROW_LEFT)
    assert shown()[0] == i - 1
    assert browser.one("#regret-chart output").text != before
    assert browser.one("#regret-time").get_attribute("aria-valuetext") == browser.one("#regret-chart output").text


def test_everything_can_be_reached_by_keys(browser: Browser, path: Path) -> None:
    browser.open(path)
    reached: dict[str, None] = {}
    for _ in range(40):
        webdriver.ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        focused = browser.driver.switch_to.active_element
        reached[focused.get_attribute("id") or focused.get_attribute("name")] = None
    wanted = ["benchmark", "kind", "x", "y", "band", "regret-time", "regret-0", "regret-2", "ranks-time", "ranks-0"]
    assert [name for name in reached if name in wanted] == wanted
    browser.one("input[name=band]:checked").send_keys(Keys.ARROW_RIGHT)
    assert browser.one("input[name=band]:checked").get_attribute("value") == "simultaneous"
    browser.one("#regret-0").send_keys(Keys.SPACE)
    assert [*browser.lines()] == ["re", "ls"]


def test_controls_and_pictures_have_names(browser: Browser, path: Path) -> None:
    browser.open(path)
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named: dict[str, list[str]] = {}
    for node in (n for n in nodes if not n.get("ignored")):
        named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("checkbox", "radio", "slider", "combobox", "region", "link", "img", "image", "table"):
        assert all(name.strip() for name in named.get(role, [])), role
    assert len(named["radio"]) == 2 + 2 + 2 + 2 + 3
    assert named["checkbox"][:3] == ["rs", "re", "ls"]
    assert named["slider"] == ["Read at time"] * 2
    assert {"Regret", "Time axis", "Regret axis", "Band"} <= set(named["group"])
    pictures = named.get("image", []) + named.get("img", [])
    assert sum(name.startswith("Cell: ") for name in pictures) == 3
    assert sum(name.startswith("Trained accuracy over that of the table") for name in pictures) == 2
    assert sum(name.startswith("Spearman's rank correlation on NAS-Bench-201") for name in pictures) == 1


def lightness(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)` as CSS has it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 1200])
def test_trainings_can_be_read_off_anywhere(browser: Browser, path: Path, width: int, dark: bool) -> None:
    browser.open(path, width=width, dark=dark)
    paper = lightness(browser.one("body").value_of_css_property("background-color"))

    def contrast(colour: str) -> float:
        low, high = sorted([paper, lightness(colour)])
        return (high + 0.05) / (low + 0.05)

    for section in ("trained", "predictors"):
        stills = browser.driver.find_elements("css selector", f"#{section} svg.still")
        for still in stills:
            assert still.rect["x"] >= 0
            assert still.rect["x"] + still.rect["width"] <= width
            assert still.rect["height"] >= 200
        scale = stills[0].rect["width"] / 388
        for text in browser.driver.find_elements("css selector", f"#{section} svg.still text"):
            assert float(text.value_of_css_property("font-size")[:-2]) * scale >= 8
            assert contrast(text.value_of_css_property("fill")) > 4.5
    dots = browser.driver.find_elements("css selector", "#trained .dot")
    assert len(dots) == len({one.origin.row for one in TRAININGS if one.origin}) + len(TRANSFERS)
    assert all(contrast(dot.value_of_css_property("fill")) > 3 for dot in dots)
    rows = browser.driver.find_elements("css selector", "#trained tbody tr")
    assert len(rows) == len(TRAININGS) + len(TRANSFERS)
    assert rows[0].is_displayed()


@pytest.mark.parametrize("width", [320, 360, 768])
def test_a_phone_has_no_sideways_scroll(browser: Browser, path: Path, width: int) -> None:
    browser.open(path, width=width)
    assert browser.run("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]
    wide = browser.run(
        "return [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1"
        " && !e.closest('.scroll, .cards')).map((e) => e.outerHTML)"
    )
    assert wide == []
    box = browser.one("#regret-chart .plot").rect
    assert box["width"] <= width
    assert box["height"] >= 250
    assert len(browser.lines()) == 3


def test_the_dark_is_dark(browser: Browser, path: Path) -> None:
    colours = {}
    for dark in (False, True):
        browser.open(path, dark=dark)
        line = browser.one("#regret-chart .line[data-label=rs]")
        body = browser.one("body")
        found = [body.value_of_css_property(name) for name in ("background-color", "color")]
        colours[dark] = [*found, line.value_of_css_property("stroke")]
    assert colours[False][0] == "rgba(255, 255, 255, 1)"
    red, green, blue = bytes.fromhex(styles(["rs"])["rs"]["color"].lstrip("#"))
    assert colours[False][2] == f"rgb({red}, {green}, {blue})"
    ground, ink = (sum(map(int, re.findall(r"\d+", text)[:3])) for text in colours[True][:2])
    assert ground < 100
    assert ink > 600
    assert colours[True][2] != colours[False][2]


def test_paper_gets_every_test_and_no_controls(browser: Browser, path: Path) -> None:
    browser.open(path, width=360)
    assert not browser.one("details").get_property("open")
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
    assert printed.startswith("JVBERi0")  # %PDF-
    assert browser.one("details").get_property("open")
    assert browser.count(".printed") == 0
    browser.run("dispatchEvent(new Event('beforeprint'))")
    titles = [one["title"] for one in payload(path.read_text())["benchmarks"]]
    captions = browser.texts("#regret-chart figcaption")
    assert len(captions) == len(titles) > 1
    assert all(caption.startswith(title) for caption, title in zip(captions, titles, strict=True))
    assert browser.count("#regret-chart .plot .line") == sum(
        len(x["curves"]) for x in payload(path.read_text())["benchmarks"]
    )
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.count("#regret-chart figure") == 1
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not browser.one(".controls").is_displayed()
    assert browser.one("#regret-chart .plot").is_displayed()
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_choices_live_in_the_address(browser: Browser, path: Path) -> None:
    browser.open(path)
    assert browser.run("return location.hash") == ""
    browser.run("const s = document.getElementById('benchmark'); s.value = 1; s.dispatchEvent(new Event('change'))")
    browser.choose("x", "linear")
    browser.one("#regret-0").click()
    address = browser.run("return location.href")
    lines, caption = browser.lines(), browser.texts("#regret-chart figcaption")
    browser.driver.get("about:blank")
    browser.driver.get(address)
    assert browser.lines() == lines
    assert browser.texts("#regret-chart figcaption") == caption
    assert browser.one("input[name=x][value=linear]").is_selected()
    assert not browser.one("#regret-0").is_selected()
    browser.driver.get("about:blank")
    browser.driver.get(f"{path.as_uri()}#regret?benchmark=none&x=odd&hide=nobody")
    assert browser.texts("#regret-chart figcaption") != []
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [360, 900, 1200])
def test_a_table_that_is_too_wide_shows_that_it_scrolls(browser: Browser, path: Path, width: int) -> None:
    browser.open(path, width=width)
    shades = "return [...document.querySelectorAll('.scroll')].map((e) => getComputedStyle(e).backgroundImage)"
    assert all(image.count("linear-gradient") == 4 for image in browser.run(shades))
    wide = "return [...document.querySelectorAll('table')].filter((t) => !t.closest('.scroll')).length"
    assert browser.run(wide) == 0


def test_hostile_names_stay_text(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(made(hostile()), encoding="utf-8")
    browser.open(path)
    assert browser.complaints() == []
    assert browser.run("return window.injected") is None
    assert browser.count("img") == 0
    assert browser.one("#regret-caption").text.startswith(HOSTILE)
    assert browser.one("#benchmark option").text == HOSTILE
    assert any(HOSTILE in text for text in browser.texts("#regret-chart tbody th"))


def test_fronts_show_the_cell_under_the_pointer(browser: Browser, tmp_path: Path) -> None:
    table = registry.benchmark("nb201")
    rules = Rules(budget=1e5, objectives=("error", "latency.raspi4"))
    outcomes = [evaluate(Study.plan(table, name, {}, 0, 4, rules), table=table) for name in ("rs", "mo-re")]
    path = tmp_path / "fronts.html"
    path.write_text(made(outcomes), encoding="utf-8")
    (fronts,) = payload(path.read_text())["fronts"]
    assert len(fronts["true"]) == 60
    for curve, outcome in zip(fronts["curves"], outcomes, strict=True):
        for time, pairs, number in zip(fronts["times"], curve["held"], curve["all"], strict=True):
            rows = np.concatenate(held(table, rules, outcome.trajectory, time))
            assert dict(pairs) == dict(zip(*(x.tolist() for x in np.unique(rows, return_counts=True)), strict=True))
            assert number == len(pairs)
    browser.open(path)
    plot = browser.one("#fronts-chart .plot")
    assert browser.count("#fronts-chart .held") == sum(len(curve["held"][-1]) for curve in fronts["curves"])
    card = "#fronts-cell"
    assert f"Row {fronts['true'][0]}, of the exact front" in browser.one(card).text
    assert browser.count(f"{card} svg circle") == 4
    dot = browser.driver.find_elements("css selector", "#fronts-chart .held")[-1]
    browser.run("arguments[0].scrollIntoView({block: 'center'})", dot)
    webdriver.ActionChains(browser.driver).move_to_element(dot).perform()
    row = int(dot.get_attribute("data-row"))
    assert f"Row {row}" in browser.one(f"{card} h3").text
    assert fronts["told"][str(row)] in browser.one(card).text
    plot.send_keys(Keys.ARROW_RIGHT)
    assert "of the exact front" in browser.one(f"{card} h3").text
    browser.one("#fronts-time").send_keys(Keys.HOME)
    assert browser.count("#fronts-chart .held") == sum(len(curve["held"][0]) for curve in fronts["curves"])
    browser.one("#fronts-0").click()
    assert browser.count("#fronts-chart .held") == len(fronts["curves"][1]["held"][0])
    assert browser.complaints() == []
