"""The page of a live run in a real browser: slices that are not empty, and a slider that shows another one at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstlight.faces.rest.serve import ServiceThread
from firstlight.faces.rest.settings import Settings
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor, started

from .conftest import live_steps, live_views

pytestmark = [pytest.mark.browser, pytest.mark.timeout(150)]

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
READ_PIXELS = """name => {
  const canvas = document.querySelector(`[data-testid="view-${name}"] canvas`);
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = [];
  for (let i = 0; i < pixels.length; i += 4 * 37) seen.push(pixels[i] + pixels[i + 1] + pixels[i + 2]);
  return seen;
}"""


# the structure of a file is looked at with WebGL in any case
@pytest.fixture(params=[pytest.param(True, marks=pytest.mark.slow), False], ids=["WebGL", "no WebGL"])
def page(request: pytest.FixtureRequest, chromium_path: str) -> Iterator[Any]:
    """A page of Debian's Chromium; errors in its console fail the test."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the package 'playwright' is not installed")
    with playwright.sync_playwright() as play:
        flags = [*QUIET, *(() if request.param else ("--disable-3d-apis",))]
        browser = play.chromium.launch(executable_path=chromium_path, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
    assert errors == []


@pytest.fixture
def run_page(beamline: Callable[..., Any], tmp_path: Path) -> Iterator[str]:
    """Address of the page of a live run."""
    line = beamline(parameters={"columns": 160, "rows": 120, "angles": 180}, rate=40, loop=True)
    supervisor = Supervisor(Store(tmp_path / "state"))
    service = ServiceThread(Settings(port=0), supervisor)
    run = supervisor.start({"name": "phantom", "source": line.source, "steps": live_steps(), "views": live_views()})
    assert started(run, 30).state == "running"
    yield f"http://127.0.0.1:{service.port}/runs/{run.id}"
    run.stop()
    run.finished(100)
    service.stop()
    supervisor.close()


def until(page: Any, seconds: float, condition: str) -> None:
    """Wait for a condition; the page's own security policy forbids Playwright's way of doing that."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"after {seconds} s still not: {condition}"
        time.sleep(0.05)


def test_slices_are_seen_and_moved(page: Any, run_page: str) -> None:
    page.goto(run_page)
    for name in ("xy", "xz", "yz", "projection"):
        page.wait_for_selector(f'[data-testid="view-{name}"][data-version]', timeout=20_000)
        until(page, 20, f"""() => Number(document.querySelector('[data-testid="view-{name}"]').dataset.version) > 2""")
        assert np.std(page.evaluate(READ_PIXELS, name)) > 5, f"the view {name} is empty"
    until(page, 30, "() => Number(document.querySelector('[data-testid=count-done]').dataset.count) >= 120")
    before = np.array(page.evaluate(READ_PIXELS, "xy"))
    page.evaluate(WATCH_FOR_ANOTHER_SLICE, {"before": before.tolist(), "name": "xy"})
    slider = page.get_by_test_id("slice-z")
    slider.focus()
    slider.fill("20")
    seconds = page.evaluate("() => window.anotherSlice")
    assert seconds < 1.0, f"another slice came after {seconds:.2f} s"
    assert page.get_by_test_id("count-lost").get_attribute("data-count") == "0"
    assert page.get_by_test_id("count-dropped").get_attribute("data-count") == "0"
    if folder := os.environ.get("FIRSTLIGHT_SCREENSHOTS"):
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(folder) / "run.png")


WATCH_FOR_ANOTHER_SLICE = f"""({{before, name}}) => {{
  const read = {READ_PIXELS};
  const difference = () => {{
    const now = read(name);
    let sum = 0;
    for (let i = 0; i < now.length; i++) sum += Math.abs(now[i] - before[i]);
    return sum / now.length;
  }};
  const slider = document.querySelector('[data-testid="slice-z"]');
  window.anotherSlice = new Promise((resolve, reject) => {{
    slider.addEventListener("input", () => {{
      const start = performance.now();
      const look = () => {{
        const passed = (performance.now() - start) / 1000;
        if (difference() > 20) resolve(passed);
        else if (passed > 20) reject(new Error("no other slice came within 20 s"));
        else requestAnimationFrame(look);
      }};
      look();
    }}, {{once: true}});
  }});
}}"""


@pytest.mark.slow
@pytest.mark.parametrize("page", [False], ids=["no WebGL"], indirect=True)
def test_the_list_of_runs_asks_once_for_each_look(page: Any, run_page: str) -> None:
    """What an answer changes on the page must not be a reason to ask again: that was 14 times a second."""
    home, run = run_page.split("/runs/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(home)
    page.wait_for_timeout(6000)
    looks, details = (sum(url.endswith(ending) for url in asked) for ending in ("/runs", f"/runs/{run}"))
    assert 1 <= details <= looks
