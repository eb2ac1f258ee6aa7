"""Starting jobs from Python, and planning them without a frame."""

from pathlib import Path

import numpy as np
import pytest

from firstlight.connectors.memory.source import MemorySource
from firstlight.core import registry
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import AxesError, FirstlightError, JobError, UnknownName
from firstlight.core.job import Job, RunnerSettings, SinkSpec
from firstlight.core.pipeline import Reference, pipeline
from firstlight.jobs.defaults import sink_of, source_of
from firstlight.jobs.start import plan, run, start
from firstlight.operators.correct.minus_log import minus_log
from firstlight.testing.play import cut, played, projections
from firstlight.testing.steps import Collecting

FRAMES = np.random.default_rng(0).random((6, 3, 4), np.float32) + 0.1


@pytest.mark.parametrize("runner", ["naive", "local"])
def test_run_keeps_what_nothing_takes(runner: str) -> None:
    sink = Collecting()
    source = MemorySource.of(FRAMES)
    made = run(source, [minus_log], sinks=[SinkSpec(sink, Reference("minus_log"))], runner=runner, threads=2)
    made.finished(20)
    np.testing.assert_allclose(np.concatenate([c.data for c in sink.chunks]), -np.log(FRAMES), rtol=1e-5)
    again = run(source, [{"use": "minus_log"}, {"use": "sum", "inputs": ["minus_log"]}], runner=runner).finished(20)
    np.testing.assert_allclose(again["sum"].data, -np.log(FRAMES).sum(0), rtol=1e-5)


def test_a_runner_that_does_not_exist_is_named() -> None:
    job = Job(MemorySource.of(FRAMES), pipeline([minus_log]), runner=RunnerSettings(use="locl"))
    with pytest.raises(UnknownName, match="Did you mean local"):
        start(job)


def test_plan_opens_and_closes_the_source() -> None:
    scan, frames = projections()
    source = played(scan, cut(frames))
    found = plan(Job(source, pipeline([minus_log]), collect=True))
    assert found["minus_log"].outputs["data"].main.axes == ("angle", "row", "col")
    assert source.closed == 1
    with pytest.raises(JobError, match="nothing uses"):
        plan(Job(source, pipeline([minus_log])))
    assert source.closed == 2


def test_the_default_job_for_a_file(tmp_path: Path) -> None:
    assert sink_of("out.NXS") == "hdf5"
    with pytest.raises(FirstlightError, match="No sink writes this ending"):
        sink_of("out.xyz")
    with pytest.raises(FirstlightError, match="no such file"):
        source_of(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no hdf5")
    with pytest.raises(FirstlightError, match="No source recognises"):
        source_of(tmp_path / "text.h5")


def test_frames_without_angles_are_told_so() -> None:
    sizes = {"time": 5, "row": 4, "col": 6}
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "uint16")})
    with pytest.raises(AxesError, match=r"does not know the angles.*theta"):
        registry.get("operators", "fbp").step().after(scan)
