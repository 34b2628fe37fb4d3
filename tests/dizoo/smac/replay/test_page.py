"""The page in a real browser: loads without errors or network, plays, scrubs, shows the unit that is clicked."""

import base64
import re
import shutil
import time
from pathlib import Path

import pytest

from dizoo.smac.battle.recording.replay import load_replay, save_replay
from dizoo.smac.replay import show
from dizoo.smac.replay.page import page
from dizoo.smac.replay.scene import open_scene

SHIPPED = Path(__file__).resolve().parents[4] / "docs/replays/MMM_random.replay"
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(argument)
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def opened(browser, tmp_path):
    def open_page(*files):
        path = tmp_path / "game.html"
        show(files, path, lambda text: None)
        browser.get_log("browser"), browser.get_log("performance")
        browser.get(path.as_uri())
        wait(lambda: browser.execute_script("return document.body.dataset.ready") == "yes")
        return browser

    yield open_page
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    requests = re.findall(r'"url":"([a-z]+):', " ".join(e["message"] for e in browser.get_log("performance")))
    assert set(requests) <= {"file", "data", "blob", "about", "chrome"}, "the page asked the network for something"


def wait(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the page did not get there in time"
        time.sleep(0.05)


def text(browser, selector):
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def press(browser, key):
    browser.execute_script("document.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}))", key)


def click_field(browser, unit):
    """A real mouse click where the unit is drawn."""
    from selenium.webdriver.common.action_chains import ActionChains

    spot = browser.execute_script(
        "const s = viewer.cards[0].field.spots[arguments[0]], c = viewer.cards[0].field.canvas;"
        "return [s.x - c.clientWidth / 2, s.y - c.clientHeight / 2]",
        unit,
    )
    field = browser.find_element("css selector", "canvas.field")
    ActionChains(browser).move_to_element_with_offset(field, round(spot[0]), round(spot[1])).click().perform()


def test_shows_what_was_recorded(opened, replay_file):
    scene, browser = open_scene(replay_file), opened(replay_file)
    assert browser.title == "MMM: " + scene.verdict()
    assert text(browser, ".card h1") == "MMM: " + scene.verdict()
    assert text(browser, ".story") == scene.story()
    assert "allies 10/10  health 100%" in text(browser, ".teams")
    frame = scene.frames // 2
    hp = browser.execute_script("return viewer.cards[0].game.arrays.hp[arguments[0]]", frame * 20 + 3)
    assert hp == pytest.approx(float(scene.replay.arrays["hp"][frame, 3]), abs=0.006)
    press(browser, "End")
    alive = int(scene.replay.arrays["in_play"][-1][~scene.is_ally].sum())
    assert f"enemies {alive}/10" in text(browser, ".teams")
    assert len(browser.find_elements("css selector", ".events a")) == len(scene.deaths)


def test_plays_pauses_and_scrubs(opened, replay_file):
    browser = opened(replay_file)
    browser.find_element("id", "play").click()
    wait(lambda: browser.execute_script("return viewer.time") > 0.3)
    press(browser, " ")
    at = browser.execute_script("return viewer.time")
    time.sleep(0.2)
    assert browser.execute_script("return viewer.time") == at
    press(browser, "Home")
    press(browser, "ArrowRight")
    press(browser, "ArrowRight")
    press(browser, "ArrowLeft")
    assert browser.execute_script("return viewer.time") == 1
    browser.execute_script(
        "const s = document.getElementById('scrub'); s.value = 7.5; s.dispatchEvent(new Event('input'))"
    )
    assert text(browser, "#clock").startswith("3.8 s, step 7 of")
    press(browser, "+")
    assert browser.execute_script("return viewer.speed") == 2


@pytest.fixture
def window(browser):
    """Sets the size of the window, in pixels."""

    def resize(width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    yield resize
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


WINDOWS = [(1920, 1080), (1280, 800), (1280, 600), (420, 800)]


@pytest.mark.parametrize("games", [1, 2])
@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_the_whole_field_is_seen_in_windows_of_any_shape(opened, browser, window, replay_file, width, height, games):
    """Field and controls are on the screen at once, nothing is wider than it; charts too where windows are wide."""
    window(width, height)
    opened(*[replay_file] * games)
    for chosen in ("null", "viewer.cards[0].game.agentUnit[2]"):
        browser.execute_script(f"viewer.cards[0].choose({chosen}); viewer.seek(3)")
        seen = browser.execute_script(
            "const box = (s) => document.querySelector(s).getBoundingClientRect();"
            "return {field: box('canvas.field').bottom, charts: box('.charts').bottom, top: box('#controls').top,"
            " width: document.documentElement.scrollWidth}"
        )
        assert seen["field"] <= seen["top"] and seen["width"] <= width
        assert width < 1000 or seen["charts"] <= seen["top"]


@pytest.mark.parametrize("games", [1, 2, 4])
@pytest.mark.parametrize(("width", "height"), WINDOWS)
def test_games_fill_the_window_and_can_be_compared(opened, browser, window, replay_file, width, height, games):
    """Side by side in two columns, on one line, of one size and scale; down to the controls; no number under 10 px."""
    window(width, height)
    opened(*[replay_file, SHIPPED, replay_file, SHIPPED][:games])
    boxes = browser.execute_script(
        "return viewer.cards.map((c) => { const r = c.field.canvas.getBoundingClientRect(), v = c.field.view;"
        "return [r.left, r.top, r.width, r.height, v.x0, v.y0, v.scale] })"
    )
    columns = 2 if games > 1 and width > 1000 else 1
    assert len({left for left, *_ in boxes}) == columns
    assert len({top for _, top, *_ in boxes}) == games / columns
    assert len({tuple(size_and_view) for _, _, *size_and_view in boxes}) == 1
    assert width < 1000 or sum(w for _, _, w, *_ in boxes[:columns]) > 0.6 * width
    if width > 1000 and height > 700:  # field, legend and charts take the window
        charts, controls = browser.execute_script(
            "return ['.charts', '#controls'].map((s) => document.querySelector(s).getBoundingClientRect())"
        )
        assert controls["top"] - 40 < charts["bottom"] <= controls["top"]
    assert min(number_sizes(browser)) >= 10


def number_sizes(browser):
    """Heights in pixels on the screen of the numbers that a redraw writes into fields."""
    return browser.execute_script(
        "const p = CanvasRenderingContext2D.prototype, write = p.fillText, sizes = [];"
        "p.fillText = function (text, ...rest) {"
        "  if (/^[0-9]+$/.test(text)) sizes.push(parseFloat(this.font.match(/([0-9.]+)px/)[1]) * this.getTransform().d"
        "    * this.canvas.getBoundingClientRect().height / this.canvas.height);"
        "  return write.call(this, text, ...rest); };"
        "viewer.draw(); p.fillText = write; return sizes"
    )


def test_units_have_names(opened, browser, replay_file):
    """In the legend, and in the observation of a game whose file numbers the types."""
    opened(SHIPPED)
    assert "own.type1" in load_replay(SHIPPED).header["obs_names"]
    legend = [e.text for e in browser.find_elements("css selector", ".legend span")]
    assert legend == ["1 medivac", "7 marine", "2 marauder"] * 2
    browser.execute_script("viewer.cards[0].choose(viewer.cards[0].game.agentUnit[3])")
    rows = [row.text.split() for row in browser.find_elements("css selector", "details tr")]
    assert rows[-2:] == [["hp", "type"], ["own", "1", "marine"]]


def test_playing_ends_at_the_end(opened, replay_file):
    browser = opened(replay_file)
    browser.execute_script("viewer.seek(viewer.steps - 0.5); viewer.play(true)")
    wait(lambda: not browser.execute_script("return viewer.playing"))
    assert browser.execute_script("return viewer.time === viewer.steps")


def test_click_shows_the_unit(opened, replay_file):
    scene, browser = open_scene(replay_file), opened(replay_file)
    agent = 4
    unit = next(i for i, u in enumerate(scene.units) if u["ally"] and u["index"] == agent)
    click_field(browser, unit)
    assert text(browser, ".side h2") == scene.unit_name(unit)
    action = int(scene.replay.arrays["action"][0, agent])
    chosen = text(browser, "tr.chosen")
    assert scene.action_name(agent, action) in chosen and f"{action + 0.1 * agent:.3f}" in chosen  # the made-up q
    rows = {r.text.split(" ")[0]: r.text.split(" ")[1:] for r in browser.find_elements("css selector", "details tr")}
    obs = dict(zip(scene.header["obs_names"], scene.replay.arrays["obs"][0, agent], strict=True))
    assert float(rows["own"][0]) == pytest.approx(obs["own.hp"])
    assert rows["own"][1:] == [scene.units[unit]["type"].lower()] and obs["own.is_" + rows["own"][1]] == 1
    assert float(rows["enemy3"][1]) == pytest.approx(obs["enemy3.distance"])
    press(browser, "Escape")
    assert text(browser, ".side h2") == "What happened"


def test_click_says_where_the_unit_is_told_of(opened, replay_file):
    """With two games that stands below the charts; the line under the field leads there."""
    browser = opened(replay_file, replay_file)
    assert text(browser, ".note") == ""
    click_field(browser, 0)
    assert text(browser, ".note") == open_scene(replay_file).unit_name(0) + " below \u2193"
    browser.find_element("css selector", ".note").click()
    top = "return document.querySelector('.side').getBoundingClientRect().top / innerHeight"
    wait(lambda: 0 <= browser.execute_script(top) < 0.5)


def test_several_games_and_traces_side_by_side(opened, replay_file, trace_file):
    browser = opened(replay_file, trace_file)
    assert len(browser.find_elements("css selector", ".card")) == 2
    steps = [open_scene(f).replay.steps for f in (replay_file, trace_file)]
    assert browser.execute_script("return viewer.steps") == max(steps)
    press(browser, "End")
    names = [e.text for e in browser.find_elements("css selector", ".teams")]
    assert len(set(names)) == 2 and all("allies" in name for name in names)


def test_hostile_names_stay_names(opened, replay_file, tmp_path):
    replay = load_replay(replay_file)
    replay.header["map"]["name"] = HOSTILE
    replay.header["info"] = {HOSTILE: HOSTILE}
    replay.header["obs_names"] = [HOSTILE + name for name in replay.header["obs_names"]]
    for unit in replay.header["units"]:
        unit["type"] += HOSTILE
    save_replay(tmp_path / "a.replay", replay)
    browser = opened(tmp_path / "a.replay")
    browser.execute_script("viewer.cards[0].choose(viewer.cards[0].game.agentUnit[2])")
    assert browser.title.startswith(HOSTILE)
    assert HOSTILE in text(browser, ".card h1") and HOSTILE.lower() in text(browser, ".legend")
    assert browser.find_elements("css selector", "img") == []


def test_page_holds_no_address_and_no_text_of_the_file(replay_file, tmp_path):
    replay = load_replay(replay_file)
    replay.header["map"]["name"] = HOSTILE
    save_replay(tmp_path / "a.replay", replay)
    found = page([open_scene(tmp_path / "a.replay")])
    assert "owned'</script>" not in found and "&lt;/script&gt;" in found
    assert not re.search(r"https?://|src=\"http|@import|url\(", found)
    data = re.findall(r'class="game">([^<]*)</script>', found)
    assert len(data) == 1 and base64.b64decode(data[0], validate=True)
