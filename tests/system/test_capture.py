"""Capturing a whole scan, as it comes, into a DXfile."""

import numpy as np
import pytest

from firstlight.connectors.dxfile.source import DXfileSource
from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.chunk import MAIN
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start


@pytest.mark.parametrize("runner", ["local", "naive"])
def test_a_job_without_steps_captures_projections_darks_and_flats(tmp_path, runner):
    scan = {"columns": 32, "rows": 4, "angles": 20, "sets": 2, "darks": 3, "flats": 2}
    sink = {"use": "dxfile", "of": "source.data", "path": str(tmp_path / "scan.h5")}
    run = start(load_job({"source": {"use": "phantom", **scan}, "sinks": [sink], "runner": runner}))
    run.finished(60)
    assert run.counts.done == run.counts.expected == 20

    original, captured = PhantomSource(**scan), DXfileSource(path=tmp_path / "scan.h5")
    assert set(original.open().streams) == set(captured.open().streams) == {MAIN, "dark", "flat"}
    made = {
        name: np.concatenate(
            [c.data for c in original.items() if getattr(c, "data", None) is not None and c.stream == name]
        )
        for name in (MAIN, "dark", "flat")
    }
    for name, frames in made.items():
        np.testing.assert_array_equal(captured.read({}, stream=name), frames)
    captured.close()


def test_a_job_needs_steps_or_a_sink():
    from firstlight.core.errors import JobError

    with pytest.raises(JobError, match="no steps"):
        load_job({"source": {"use": "phantom"}})
