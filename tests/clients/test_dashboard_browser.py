"""The dashboard in Chromium: its script takes over what changes without a reload and without a fault of its policy, in
dark and light, narrow and wide, and every text can be read. $PENSTOCK_SCREENSHOTS is a folder for pictures."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from support.load import load
from support.waiting import wait_until

webdriver = pytest.importorskip("selenium.webdriver")
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
            "--no-proxy-server")
WIDTHS = (360, 800, 1600)

# What of the page cannot be read: texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3).
FAINT = """
const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const rgba = (text) => text.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const color = rgba(getComputedStyle(element).backgroundColor);
    if (color.length < 4 || color[3] === 1) return color;
  }
  return [255, 255, 255];
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const faint = [];
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.getClientRects().length || element.closest("svg")) continue;
  const pair = [rgba(getComputedStyle(element).color), behind(element)].map(luminance).sort((a, b) => b - a);
  const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (contrast < 4.5) faint.push(walker.currentNode.data.trim() + ": " + contrast.toFixed(2));
}
return faint;
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.chrome.service.Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def proxy(stack):
    """Leads to an origin, to one that refuses and to one that was never asked."""
    return stack.penstock(stack.to(stack.origin(), pool={"max_connections": 8}),
                          stack.to(stack.origin(down=True), "down.test"),
                          stack.to(1, "other.test", name="a-name-that-is_as-long-as-names-of-upstreams-become"))


def show(browser, proxy, width=1600, scheme="light", script=True):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                            {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False})
    browser.get(f"http://127.0.0.1:{proxy.admin_port}/")


def text(browser, selector):
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def requests_of(browser, upstream):
    return int(browser.execute_script("""
        const row = [...document.querySelectorAll("tbody tr")].find((row) => row.cells[0].textContent === arguments[0]);
        return row.querySelector('[data-label="Requests"]').textContent""", upstream))


def complaints(browser):
    """What the console has to say: faults of the script, of the policy, of what was loaded."""
    return browser.get_log("browser")


def asked_for(browser):
    """The addresses that were asked since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {message["params"]["request"]["url"] for message in messages
            if message["method"] == "Network.requestWillBeSent"}


def fail_once(proxy):
    assert proxy.fetch("http://down.test/<script>document.title='owned'</script>\"'<img/src=x>").status == 502


def test_numbers_chart_and_failures_change_without_a_reload(browser, proxy):
    browser.get("about:blank")
    asked_for(browser)  # the browser's own first page
    show(browser, proxy)
    wait_until(lambda: text(browser, "#status") == "Live", "the script runs")
    browser.execute_script("window.sameDocument = true; document.querySelector('.figure details').open = true")
    assert requests_of(browser, "api") == 0
    loading = threading.Thread(target=load, args=(proxy.port, "http://api.test/", 3000, 8))
    loading.start()
    fail_once(proxy)
    try:
        first = wait_until(lambda: requests_of(browser, "api"), "requests are shown")
        wait_until(lambda: requests_of(browser, "api") > first or not loading.is_alive(), "there are more")
    finally:
        loading.join()
    wait_until(lambda: requests_of(browser, "api") == 3000, "all are shown")
    wait_until(lambda: browser.execute_script("return document.querySelector('.chart title')"), "the chart draws")
    drawn = browser.execute_script("""
        return [...document.querySelectorAll(".chart path")].map((path) => path.getBoundingClientRect())
          .filter((box) => box.width > 1 && box.height > 1).length""")
    assert drawn > 0
    assert "connection_refused" in text(browser, "section[aria-labelledby=failures]")
    assert browser.execute_script("return window.sameDocument && document.querySelector('.figure details').open")
    assert browser.title == "penstock" and not browser.execute_script("return document.images.length")
    assert complaints(browser) == []
    own = f"http://127.0.0.1:{proxy.admin_port}/"
    assert {url for url in asked_for(browser) if not url.startswith(own)} == set()


APPEND = """const append = (name, properties) => {
  const made = Object.assign(document.createElement(name), properties);
  document.body.append(made);
  return made;
};
"""
INTRUDERS = {  # what a text that became markup might do
    "script-src": "append('script', {textContent: 'window.owned = true'})",
    "style-src": "append('style', {textContent: 'body { display: none }'})",
    "img-src": "append('img', {src: 'http://127.0.0.1:1/x.png'})",
    "connect-src": "fetch('http://127.0.0.1:1/').catch(() => {})",
    "form-action": "append('form', {action: 'http://127.0.0.1:1/'}).submit()",
    "base-uri": "append('base', {href: 'http://127.0.0.1:1/'})",
}


def test_the_policy_holds_and_its_faults_are_seen(browser, proxy):
    for directive, intruder in INTRUDERS.items():
        show(browser, proxy)
        complaints(browser)
        browser.execute_script(APPEND + intruder)
        wait_until(lambda: any(directive in entry["message"] for entry in complaints(browser)), directive)
        assert not browser.execute_script("return window.owned")


def test_it_can_be_paused_by_keyboard(browser, proxy):
    show(browser, proxy)
    wait_until(lambda: text(browser, "#status") == "Live", "the script runs")
    browser.find_element("css selector", "#pause").send_keys("\ue007")
    assert (text(browser, "#status"), text(browser, "#pause")) == ("Paused", "Resume")
    shown = text(browser, "#time")
    proxy.fetch("http://api.test/")
    wait_until(lambda: proxy.admin("/")[1].count(f">{shown}<") == 0, "time has passed")
    assert text(browser, "#time") == shown
    browser.find_element("css selector", "#pause").send_keys("\ue007")
    wait_until(lambda: requests_of(browser, "api") == 1, "it goes on")
    assert browser.switch_to.active_element.get_attribute("id") == "pause"


def test_the_configuration_is_fetched_when_it_is_opened(browser, proxy):
    if proxy.admin("/config")[0] != 200:
        pytest.skip("this daemon has no /config")
    show(browser, proxy)
    browser.find_element("css selector", "#config-details summary").click()
    wait_until(lambda: text(browser, "#config-details pre"), "it is there")
    assert "pool.max_connections" in json.dumps(json.loads(text(browser, "#config-details pre")))
    shown = text(browser, "#time")
    wait_until(lambda: text(browser, "#time") != shown, "the page goes on")
    assert browser.execute_script("return document.getElementById('config-details').open")
    assert text(browser, "#config-details pre") and complaints(browser) == []


def test_a_daemon_that_has_gone_is_said(browser, proxy):
    show(browser, proxy)
    wait_until(lambda: text(browser, "#status") == "Live", "the script runs")
    proxy.stop()
    wait_until(lambda: text(browser, "#status").startswith("No answer since "), "it is said")
    complaints(browser)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_at_every_width(browser, proxy, scheme):
    load(proxy.port, "http://api.test/", 200, 4)
    fail_once(proxy)
    proxy.admin("/pools/down/pause", "POST", {"Penstock-Admin": "1"})
    proxy.reload(text="upstreams: [")
    for width in WIDTHS:
        show(browser, proxy, width, scheme)
        browser.execute_script("document.querySelector('.figure details').open = true")
        assert browser.execute_script("return document.documentElement.scrollWidth") == width
        assert browser.execute_script(FAINT) == []
        if folder := os.environ.get("PENSTOCK_SCREENSHOTS"):
            browser.save_screenshot(str(Path(folder) / f"dashboard-{scheme}-{width}.png"))
    assert complaints(browser) == []


def test_it_says_the_same_without_a_script(browser, proxy):
    proxy.fetch("http://api.test/")
    wait_until(lambda: proxy.metrics("penstock_requests_total", upstream="api") == 1, "it is counted")
    show(browser, proxy, script=False)
    page = browser.execute_cdp_cmd("DOM.getDocument", {"depth": -1})
    html = browser.execute_cdp_cmd("DOM.getOuterHTML", {"nodeId": page["root"]["nodeId"]})["outerHTML"]
    assert 'data-label="Requests" class="number">1<' in html and 'id="pause" hidden' in html
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
