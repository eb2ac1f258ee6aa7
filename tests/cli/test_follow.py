"""The lines on how a run gets on."""

import pytest

from firstlight.cli.follow import starting_line, status_line
from firstlight.core.counts import Counts
from firstlight.core.run import Status
from firstlight.jobs.store import RunFolder


def status(state, counts, **more):
    given = {
        "consumers": {}, "frames_per_second": 20.0, "bytes_per_second": 8e6, "latency_ms": None, "queue_bytes": 0,
        "queue_capacity": 0, "queue_frames": 0, "skipped": {}, "views": (), "steps": (), "values": {}, "changes": (),
    }  # fmt: skip
    return Status(state=state, counts=counts, **given | more)


STAGES = {
    "minus_log": {"done": 9, "expected": 9, "rate": 0.0, "left": 0.0},
    "sink fbp.data": {"done": 3, "expected": 12, "rate": 0.5, "left": 1800.0},
}


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (status("starting", Counts()), "starting …"),
        (
            status("running", Counts(expected=9, done=4, waiting=5), latency_ms={"p95": 41.2}, progress=0.4),
            "running: 4 of 9 frames, 40 %, 20 frames/s, 8 MB/s, 41 ms late (p95)",
        ),
        (
            status("draining", Counts(expected=9, done=9), stages=STAGES, progress=0.6, bound="computing fbp"),
            "working: fbp.data written 3 of 12, 60 %, bound by computing fbp, about 30 min left",
        ),
        (status("done", Counts(expected=9, done=9), latency_ms={"p95": 30_000.0}), "done: 9 of 9 frames"),
    ],
)
def test_a_line_says_what_goes_on_now(seen, line):
    assert status_line(seen) == line


def test_a_run_that_has_not_begun_says_what_it_waits_for(tmp_path):
    folder = RunFolder(tmp_path)
    assert starting_line(folder) == "starting …"
    folder.write("job.json", {"source": {"use": "dectris", "data": "tcp://dcu:9999", "window": 8, "ids": [3]}})
    assert starting_line(folder) == "starting: dectris (data: tcp://dcu:9999, window: 8) is being opened, or waited for"
    folder.write("listening.json", {"at": 0.0})
    assert (
        starting_line(folder)
        == "starting: dectris (data: tcp://dcu:9999, window: 8) listens, and waits for a scan to begin"
    )
