"""The page of recorded scans in a real browser: pick a file, see a slice, move the centre, run, open the result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np
import pytest

from firstlight.faces.rest.serve import ServiceThread
from firstlight.faces.rest.settings import Settings
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor

from .test_browser import page, until

__all__ = ["page"]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SHAPE = {"columns": 160, "rows": 24, "angles": 180}
SETTLED = '() => document.querySelector("[data-testid=slice-state]")?.dataset.busy === "false"'


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the phantom's scan as a Data Exchange file, and a folder beside it."""
    root = tmp_path_factory.mktemp("visit_412")
    (root / "older").mkdir()
    recorded = {"use": "dxfile", "of": "source", "path": str(root / "scan_0001.h5")}
    job = {"source": {"use": "phantom", **SHAPE, "noise": 0}, "steps": [{"use": "latest"}], "sinks": [recorded]}
    start(load_job(job)).finished(60)
    return root


@pytest.fixture
def offline(visit: Path, tmp_path: Path) -> Iterator[str]:
    """Address of the page of recorded scans."""
    supervisor = Supervisor(Store(tmp_path / "state"))
    service = ServiceThread(Settings(port=0, roots=(visit,)), supervisor)
    yield f"http://127.0.0.1:{service.port}/offline"
    service.stop()
    supervisor.close()


READ_SMALL = """name => {
  const canvas = document.querySelector(`[data-testid="view-${name}"] canvas`);
  const small = Object.assign(document.createElement("canvas"), {width: 64, height: 64});
  const context = small.getContext("2d");
  context.drawImage(canvas, 0, 0, 64, 64);
  return Array.from(context.getImageData(0, 0, 64, 64).data).filter((_, i) => i % 4 === 0);
}"""
"""The image on 64 × 64 pixels, whatever its size on the page."""


def picture(page: Any, name: str) -> Any:
    """The image on the screen, once there is one."""
    until(page, 20, f"() => new Set(({READ_SMALL})('{name}')).size > 20")
    return np.array(page.evaluate(READ_SMALL, name), float)


def another_version(page: Any, name: str, old: str | None) -> str:
    """Wait for another image, and return its version."""
    seen = f"document.querySelector('[data-testid=\"view-{name}\"]')?.dataset.version"
    until(page, 120, f"() => {seen} !== undefined && {seen} !== {old!r}" if old else f"() => {seen} !== undefined")
    return page.evaluate(f"() => {seen}")


def snapshot(page: Any, name: str) -> None:
    if folder := os.environ.get("FIRSTLIGHT_SCREENSHOTS"):
        page.wait_for_timeout(1200)
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.parametrize("page", [False], ids=["no WebGL"], indirect=True)
def test_from_a_file_to_its_result(page: Any, offline: str, visit: Path, tmp_path: Path) -> None:
    page.goto(offline)
    page.get_by_test_id("entry-scan_0001.h5").click()
    first = another_version(page, "slice", None)
    until(page, 60, SETTLED)
    before = picture(page, "slice")
    assert np.std(before) > 5, "the slice is empty"
    assert "flat field" in page.get_by_test_id("steps").inner_text()
    centre = float(page.get_by_test_id("center-value").inner_text())
    assert abs(centre - (SHAPE["columns"] - 1) / 2) < 3
    snapshot(page, "offline")

    page.get_by_test_id("center").focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    assert float(page.get_by_test_id("center-value").inner_text()) == pytest.approx(centre + 2, abs=0.26)
    second = another_version(page, "slice", first)
    until(page, 60, SETTLED)
    assert np.abs(picture(page, "slice") - before).mean() > 1, "another centre shows the same picture"

    page.get_by_test_id("show-minus_log").click()
    another_version(page, "slice", second)
    page.get_by_test_id("show-fbp").click()

    result = visit / f"{tmp_path.name}.nxs"
    page.get_by_test_id("out").fill(str(result))
    page.get_by_test_id("run-all").click()
    until(page, 120, "() => document.querySelector('[data-testid=run-state]')?.textContent === 'Done'")
    page.reload()  # nothing is lost: neither the run nor what was set
    assert float(page.get_by_test_id("center-value").inner_text(timeout=60_000)) == pytest.approx(centre + 2, abs=0.26)
    assert page.get_by_test_id("out").input_value() == str(result)
    page.get_by_test_id("open-result").click(timeout=60_000)
    shown = another_version(page, "result", None)
    assert np.std(picture(page, "result")) > 5, "the result is empty"
    page.get_by_test_id("result-at").fill("3")
    another_version(page, "result", shown)
    snapshot(page, "offline-result")
    with h5py.File(result) as file:
        assert file["entry/data/data"].shape == (SHAPE["rows"], SHAPE["columns"], SHAPE["columns"])


@pytest.mark.parametrize("page", [False], ids=["no WebGL"], indirect=True)
def test_the_centre_by_a_sheet_and_convergence_as_a_curve(page: Any, offline: str, visit: Path) -> None:
    page.goto(f"{offline}?file={visit}/scan_0001.h5")
    first = another_version(page, "slice", None)
    until(page, 60, SETTLED)
    true = (SHAPE["columns"] - 1) / 2
    page.get_by_test_id("sweep").click()
    until(page, 120, "() => document.querySelector('[data-testid=sweep-state]')?.dataset.done === 'true'")
    marked = page.locator("[data-testid=sweep-sheet] button.best")
    assert abs(float(marked.inner_text().split()[0]) - true) <= 0.5
    assert page.locator("[data-testid=sweep-sheet] canvas").count() == 13
    snapshot(page, "offline-sweep")
    marked.click()
    assert page.get_by_test_id("sweep-sheet").count() == 0
    assert abs(float(page.get_by_test_id("center-value").inner_text()) - true) <= 0.5
    another_version(page, "slice", first)
    page.get_by_test_id("add-which").select_option(
        "sirt", timeout=120_000
    )  # the list of steps is made when first asked for
    page.get_by_test_id("add-step").click()
    page.get_by_test_id("remove-fbp").click()
    page.get_by_test_id("which-output").select_option("sirt.residual", timeout=60_000)
    until(page, 60, "() => Number(document.querySelector('[data-testid=curve]')?.dataset.length) > 10")
    snapshot(page, "offline-curve")
    page.get_by_test_id("which-output").select_option("sirt.volume")
    page.get_by_test_id("view-slice").wait_for()
    assert np.std(picture(page, "slice")) > 5, "no picture comes back after the curve"
    assert "sirt" in unquote(page.get_by_text("Save the job").get_attribute("href")).partition("sinks:")[2]


@pytest.mark.parametrize("page", [False], ids=["no WebGL"], indirect=True)
def test_what_can_not_be_reconstructed(page: Any, offline: str, visit: Path) -> None:
    (visit / "cut.h5").write_bytes((visit / "scan_0001.h5").read_bytes()[:5000])
    page.goto(f"{offline}?file={visit}/cut.h5")
    page.get_by_test_id("scan-mistake").wait_for()
    said = page.get_by_test_id("scan-mistake").inner_text()
    assert "cut.h5 can not be opened" in said
    assert "Copy it again" in said
    page.goto(f"{offline}?file=/etc/passwd")  # the files that may be chosen are listed all the same
    page.get_by_test_id("entry-scan_0001.h5").click()
    page.get_by_test_id("only-row-to").fill("99")
    page.get_by_text("There are 24").wait_for()


@pytest.mark.parametrize("page", [True], ids=["WebGL"], indirect=True)
def test_the_structure_of_a_file(page: Any, offline: str, visit: Path) -> None:
    page.goto(f"{offline}?file={visit}/scan_0001.h5")
    page.get_by_test_id("tab-structure").click()
    viewer = page.get_by_test_id("structure")
    viewer.get_by_role("treeitem", name="exchange").first.click(timeout=60_000)
    viewer.get_by_role("treeitem", name="theta").first.wait_for(timeout=60_000)
    snapshot(page, "offline-structure")
