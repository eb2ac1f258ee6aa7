"""The pages against the Web Content Accessibility Guidelines (2.2, levels A and AA), as far as axe-core can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .test_browser import page, run_page, until
from .test_browser_offline import SETTLED, offline, visit

__all__ = ["offline", "page", "run_page", "visit"]

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: make check-web"),
    pytest.mark.parametrize("page", [False], ids=["no WebGL"], indirect=True),
]


def violations(page: Any) -> list[str]:
    """What axe finds on the page as it is: the rule, and where."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES)
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def test_recorded_scans(page: Any, offline: str, visit: Path) -> None:
    page.goto(offline.removesuffix("/offline"))
    until(page, 20, "() => !!document.querySelector('[data-testid=no-runs]')")
    assert violations(page) == []
    page.goto(f"{offline}?file={visit}/scan_0001.h5")
    until(page, 120, SETTLED)
    page.get_by_test_id("open-fbp").click()
    page.get_by_text("Correct or complete this").click()
    assert violations(page) == []
    page.get_by_test_id("sweep").click()
    until(page, 120, "() => document.querySelector('[data-testid=sweep-state]')?.dataset.done === 'true'")
    assert violations(page) == []


def test_a_live_run(page: Any, run_page: str) -> None:
    page.goto(run_page)
    until(page, 60, "() => document.querySelectorAll('[data-testid^=view-] canvas').length >= 4")
    assert violations(page) == []
    for tab in ("log", "details"):
        page.get_by_test_id(f"tab-{tab}").click()
        assert violations(page) == []
    page.keyboard.press("?")
    assert violations(page) == []
