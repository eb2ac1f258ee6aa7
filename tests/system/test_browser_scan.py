"""The page of a 4D-STEM scan and of a ptychographic one, in a real browser, with detectors that speak over real sockets."""

import io
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from firstlight.connectors.dectris.control import Simplon
from firstlight.connectors.dectris.sim import DectrisSimulator
from firstlight.connectors.hxn.sim import HxnSimulator
from firstlight.connectors.phantom.source_stem import PhantomStemSource
from firstlight.faces.rest.serve import ServiceThread
from firstlight.faces.rest.settings import Settings
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor, started
from firstlight.operators.stem.virtual_detector import virtual_detector

from .test_browser import QUIET, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

LINES, POINTS, PIXELS = 8, 10, 24
SCAN = {"scan_y": LINES, "scan_x": POINTS, "pixels": PIXELS, "field": 1.0, "aperture": 16.0, "strength": 0.6}


@pytest.fixture
def page(chromium_path):
    """A page of Debian's Chromium; errors in its console fail the test."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the package 'playwright' is not installed")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium_path, args=[*QUIET, "--disable-3d-apis"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(30_000)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
    assert errors == []


@contextmanager
def simulated(simulator):
    """A simulator in a thread; what it tells about itself."""
    told, stop, ready = {}, threading.Event(), threading.Event()
    thread = threading.Thread(target=simulator.run, args=(stop, lambda content: (told.update(content), ready.set())))
    thread.start()
    try:
        assert ready.wait(100)
        yield told
    finally:
        stop.set()
        thread.join(100)


@pytest.fixture
def watched(tmp_path):
    """Start a job; the run, the address of its page, and its REST interface."""
    supervisor = Supervisor(Store(tmp_path / "state"))
    service = ServiceThread(Settings(port=0), supervisor)
    runs = []

    def start(job):
        run = supervisor.start(job)
        runs.append(run)
        assert started(run, 60).state in ("starting", "running")
        return run, f"http://127.0.0.1:{service.port}/runs/{run.id}"

    yield start
    for run in runs:
        run.kill()
    service.stop()
    supervisor.close()


def array(address, view):
    """A view as the service sends it to programs."""
    api = address.replace("/runs/", "/api/v1/runs/")
    answer = httpx.get(f"{api}/views/{view}.npy", timeout=30)
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content))


def eventually(condition, what, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.1)


def done(page, frames):
    until(page, 60, f"() => Number(document.querySelector('[data-testid=count-done]')?.dataset.count) >= {frames}")


def click_point(page, line, point):
    """Click on a point of the scan image, which is as wide or as high as its tile."""
    box = page.get_by_test_id("view-image").bounding_box()
    side = min(box["width"] / POINTS, box["height"] / LINES)
    x = box["x"] + box["width"] / 2 + (point + 0.5 - POINTS / 2) * side
    y = box["y"] + box["height"] / 2 + (line + 0.5 - LINES / 2) * side
    page.mouse.click(x, y)


def drag(page, handle, right):
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right / 2, y, steps=4)
    page.mouse.move(x + right, y, steps=4)
    page.mouse.up()


def seen(run, frames):
    """What the virtual detector of the run, as it is now, sees of frames."""
    now = next(step.values for step in run.status().steps if step.name == "patterns")
    given = {name: now[name] for name in ("shape", "inner", "outer")}
    return virtual_detector(frames, center=tuple(now["center"]), **given).astype(float)


def test_a_scan_fills_in_and_is_looked_into(page, watched):
    phantom = PhantomStemSource(**SCAN)
    frames = np.concatenate([item.data for item in phantom.items() if hasattr(item, "data")])
    half = len(frames) // 2
    simulator = DectrisSimulator(source="phantom_stem", parameters=SCAN, trigger_mode="ints", auto=0)
    with simulated(simulator) as told:
        control = Simplon(told["api"])
        control.put("nimages", half)
        control.put("ntrigger", 2)
        job = {
            "name": "scan",
            "source": {"use": "dectris", "data": told["data"], "scan_y": LINES, "scan_x": POINTS, "idle": 100},
            "calibration": {"step_y": "0.1 nm", "step_x": "0.1 nm", "detector_angle": "2 mrad"},
            "steps": [
                {"use": "live_patterns", "name": "patterns", "inputs": ["source.data"], "outer": 4.0},
                {"use": "virtual_detector", "name": "bright", "inputs": ["source.data"], "outer": 3.0},
            ],
            "views": [{"of": "patterns", "every": "0.05 s"}, {"of": "bright", "every": "0.05 s"}],
            "runner": {"linger": "10 min"},
        }
        run, address = watched(job)
        control.arm()
        control.trigger()
        page.goto(address)
        done(page, half)

        half_seen = np.append(seen(run, frames[:half]), np.full(len(frames) - half, np.nan)).reshape(LINES, POINTS)
        eventually(lambda: np.array_equal(array(address, "patterns.image"), half_seen, equal_nan=True), "half an image")
        page.locator("article:has([data-testid=view-image]) [data-testid=coverage]:has-text('50 %')").wait_for()

        click_point(page, 1, 2)
        page.locator("[data-testid=pattern-place]:has-text('y 1, x 2')").wait_for()
        eventually(lambda: np.array_equal(array(address, "patterns.pattern"), frames[12]), "the pattern of the point")
        click_point(page, 6, 3)
        page.locator("[data-testid=no-pattern]:has-text('not been scanned yet')").wait_for()

        edge = page.locator("[data-testid=view-mean] [data-testid=detector-patterns-outer]")
        drag(page, edge, 40)
        eventually(lambda: seen(run, frames[:half]).sum() > np.nansum(half_seen) * 1.05, "a larger detector")
        eventually(
            lambda: np.array_equal(array(address, "patterns.image").ravel()[:half], seen(run, frames[:half])), "image"
        )
        assert page.get_by_test_id("old-part").count() == 0
        page.locator("[data-testid=view-mean] [data-testid=detector-bright-outer]").press("ArrowRight")
        page.get_by_test_id("old-part").wait_for()
        screenshot(page, "scan-half.png")

        control.trigger()
        done(page, len(frames))
        page.locator("[data-testid=state]:has-text('Complete')").wait_for()
        whole = seen(run, frames).reshape(LINES, POINTS)
        eventually(lambda: np.array_equal(array(address, "patterns.image"), whole), "the whole image of one detector")
        eventually(
            lambda: np.array_equal(array(address, "patterns.pattern"), frames[63]), "the point that was asked for"
        )
        until(page, 20, "() => document.querySelector('[data-testid=no-pattern]') === null")
        old, new = (virtual_detector(frames, outer=outer) for outer in (3.0, 4.0))
        np.testing.assert_array_equal(array(address, "bright").ravel(), np.append(old[:half], new[half:]))
        screenshot(page, "scan.png")
        page.get_by_test_id("stop").click()
        page.locator("[data-testid=state]:has-text('Done')").wait_for()
    assert run.finished(100)
    assert run.report()["lost"] == run.report()["dropped"] == 0


def test_a_recorded_scan_too_large_for_memory_is_shown_binned_and_in_full_when_asked(page, watched, tmp_path):
    side, points = 64, 24
    frames = np.random.default_rng(0).poisson(6.0, (points, points, side, side)).astype(np.uint16)
    np.save(tmp_path / "scan.npy", frames)
    job = {
        "name": "recorded",
        "source": {"use": "npy", "path": str(tmp_path / "scan.npy")},
        "steps": [
            {
                "use": "live_patterns",
                "name": "patterns",
                "memory": "2 MiB",
                "shape": "annulus",
                "inner": 7.3,
                "outer": 13.1,
            }
        ],
        "views": [{"of": "patterns", "every": "0.05 s"}],
        "runner": {"linger": "10 min"},
    }
    run, address = watched(job)
    page.goto(address)
    done(page, points * points)
    tags = page.get_by_test_id("binned")
    tags.first.wait_for()
    assert tags.all_text_contents() == ["binned 4 × 4"] * 2, "the image and the pattern say so; the mean is in full"
    run.set({"patterns": {"scan_y": 5, "scan_x": 6, "outer": 15.1}})
    exact = seen(run, frames.reshape(-1, side, side)).reshape(points, points)
    eventually(lambda: 0 < np.abs(array(address, "patterns.image") - exact).max() < 0.1 * exact.mean(), "nearly")
    screenshot(page, "scan-binned.png")
    tags.first.click()
    eventually(lambda: np.array_equal(array(address, "patterns.image"), exact), "the image in full")
    eventually(lambda: np.array_equal(array(address, "patterns.pattern"), frames[5, 6]), "the pattern in full")
    page.locator("[data-testid=binned]:has-text('in full')").first.wait_for()
    screenshot(page, "scan-in-full.png")


def test_a_ptychographic_scan_is_seen_whole(page, watched):
    small = {"scan_y": 10, "scan_x": 10, "window": 48, "step": 5.0, "modes": 2}
    with simulated(HxnSimulator(parameters=small, rate=50)) as told:
        known = {name: f"{each['value']} {each['unit']}" for name, each in told["calibration"].items()}
        optics = {"energy": known["energy"], "distance": known["distance"], "detector_pixel": known["pixel"]}
        sources = {
            "data": {"use": "dectris", "data": told["data"]},
            "positions": {"use": "panda", "address": told["positions"], "unit": told["unit"]},
        }
        job = {
            "name": "ptychography",
            "source": {"use": "together", "sources": sources},
            "steps": [{"use": "ptychography", "iterations": 40, "modes": 2, **optics}],
            "views": [{"of": "ptychography", "every": "0.3 s"}],
        }
        run, address = watched(job)
        page.goto(address)
        for name in ("phase", "amplitude", "probe", "error", "positions"):
            page.wait_for_selector(f'[data-testid="view-{name}"][data-version]')
        page.get_by_test_id("phase-wheel").wait_for()
        eventually(lambda: run.entry().over, "the end")
        until(page, 40, "() => document.querySelectorAll('[data-testid=mode-labels] span').length === 2")
        shares = array(address, "ptychography.shares")
        label = page.locator("[data-testid=mode-labels] span").first
        eventually(lambda: f"{shares[0] * 100:.0f} %" in label.text_content(), "the share of the first mode")
        assert page.get_by_test_id("log-error").get_attribute("aria-pressed") == "true"
        page.get_by_test_id("places-phase").click()
        page.get_by_test_id("places-overlay").wait_for()
        page.get_by_test_id("view-probe").click()
        page.get_by_test_id("part-phase").click()
        page.wait_for_timeout(500)
        screenshot(page, "ptychography.png")
    assert array(address, "ptychography.error")[-1] < 0.05


def screenshot(page, name):
    if folder := os.environ.get("FIRSTLIGHT_SCREENSHOTS"):
        page.wait_for_timeout(800)
        page.screenshot(path=Path(folder) / name)
