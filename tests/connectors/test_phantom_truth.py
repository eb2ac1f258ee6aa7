"""The phantom's truth as a stream: a job can say by itself how good its reconstruction is."""

from typing import Any

import numpy as np
import pytest

from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.chunk import Chunk
from firstlight.core.job import Job, RunnerSettings
from firstlight.core.pipeline import pipeline
from firstlight.jobs.start import start
from firstlight.runners.naive import NaiveRunner

SOURCE: dict[str, Any] = {"columns": 32, "rows": 5, "angles": 60, "pixel": 5.0, "chunk": 9000}
STEPS: list[Any] = [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "fbp"}, {"use": "compare_with_truth"}]


@pytest.mark.parametrize("naive", [False, True])
def test_a_job_compares_with_the_truth(naive: bool) -> None:
    source = PhantomSource(**SOURCE, with_truth=True)
    job = Job(source, pipeline(STEPS), collect=True, runner=RunnerSettings(threads=2))
    run = NaiveRunner().start(job) if naive else start(job)
    found = run.finished(60)
    plain = Job(PhantomSource(**SOURCE), pipeline(STEPS[:-1]), collect=True)
    volume, truth = start(plain).finished(60)["fbp.data"].data, PhantomSource(**SOURCE).truth()
    y, x = np.mgrid[:32, :32] - 15.5
    inside = np.hypot(y, x) <= 0.95 * 16
    rms = np.sqrt(np.mean(np.where(inside, volume - truth, 0.0) ** 2))
    assert found["compare_with_truth.rms"].data == pytest.approx(rms, rel=0.05)
    assert run.counts.conserved


def test_what_is_played_is_what_is_read() -> None:
    source = PhantomSource(**SOURCE, with_truth=True)
    scan = source.open()
    assert scan.order == ("dark", "flat", "truth", "data")
    assert (scan.streams["truth"].axes, scan.streams["truth"].unit) == (("z", "y", "x"), "1/cm")
    chunks = [item for item in source.items() if isinstance(item, Chunk) and item.stream == "truth"]
    played = np.concatenate([chunk.data for chunk in chunks])
    assert len(chunks) > 1
    assert np.array_equal(played, source.truth())
    assert np.array_equal(source.read({"z": slice(1, 3), "x": slice(4, 9)}, "truth"), played[1:3, :, 4:9])
    source.close()
    assert "truth" not in PhantomSource(**SOURCE).scan().streams
