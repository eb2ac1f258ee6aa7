"""A run that stays open after its last frame, for somebody who looks."""

import time

import numpy as np
import pytest

from firstlight.connectors.phantom.source_stem import PhantomStemSource
from firstlight.core.errors import ChangeRefused
from firstlight.jobs.load import load_job
from firstlight.operators.stem.virtual_detector import virtual_detector
from firstlight.runners.local import LocalRunner

SMALL = {"scan_y": 6, "scan_x": 7, "pixels": 16, "field": 0.5, "aperture": 12.0}


def opened(linger, **given):
    steps = [{"use": "live_patterns", "name": "patterns", **given}, {"use": "sum", "inputs": ["source.data"]}]
    job = {"source": {"use": "phantom_stem", **SMALL}, "steps": steps}
    views = [{"of": "patterns", "every": "0.05 s"}, {"of": "sum", "every": "0.05 s"}]
    return LocalRunner().start(load_job({**job, "views": views, "runner": {"linger": linger}}))


def until(condition):
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_a_complete_scan_can_be_looked_into_until_it_is_enough():
    run = opened("5 min")
    until(lambda: run.status().state == "draining" and run.counts.waiting == 0)
    ring = {"shape": "annulus", "inner": 2.0, "outer": 6.0}
    until(lambda: run.view("patterns.image"))
    version, mean = run.view("patterns.image").version, run.view("patterns.mean").version
    run.set({"patterns": {**ring, "scan_y": 2, "scan_x": 3}})
    image = run.view("patterns.image", after=version, timeout=30).data
    frames = np.concatenate([item.data for item in PhantomStemSource(**SMALL).items() if hasattr(item, "data")])
    np.testing.assert_array_equal(image, virtual_detector(frames, **ring).reshape(6, 7))
    until(lambda: np.array_equal(run.view("patterns.pattern").data, frames[17]))
    assert run.view("patterns.mean").version == mean, "what a change leaves alone is not sent again"
    run.stop()
    results = run.finished(100)
    assert run.status().state == "done"
    np.testing.assert_array_equal(results["patterns.image"].data, image)
    with pytest.raises(ChangeRefused):
        run.set({"patterns": {"outer": 3.0}})


def test_a_recorded_scan_is_read_again_for_exact_images_while_it_stays_open():
    run = opened("5 min", binning=3, outer=5.0)
    until(lambda: run.status().state == "draining" and run.counts.waiting == 0)
    frames = np.concatenate([item.data for item in PhantomStemSource(**SMALL).items() if hasattr(item, "data")])
    exact = virtual_detector(frames, outer=5.3).reshape(6, 7)
    run.set({"patterns": {"outer": 5.3, "scan_y": 4, "scan_x": 1}})
    until(lambda: 0 < np.abs(run.view("patterns.image").data - exact).max() < 0.1 * exact.mean())
    run.set({"patterns": {"exact": True}})
    until(lambda: np.array_equal(run.view("patterns.image").data, exact))
    until(lambda: np.array_equal(run.view("patterns.pattern").data, frames[29]))
    until(lambda: not run.view("patterns.image").coarse)
    run.stop()
    np.testing.assert_array_equal(run.finished(100)["patterns.image"].data, exact)


def test_without_being_told_a_run_ends_with_its_last_frame():
    run = opened(0)
    run.finished(100)
    assert run.status().state == "done"
