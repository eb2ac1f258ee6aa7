"""The output of a job goes where it is told: a file, a folder, an address."""

from pathlib import Path

import pytest

from firstlight.core.errors import JobError
from firstlight.jobs.outputs import moved, written_to

JOB = {"steps": [{"use": "minus_log"}, {"use": "fbp", "name": "volume"}]}


def test_the_same_ending_keeps_the_options_and_another_is_another_sink():
    sink = {"use": "hdf5", "of": "volume", "path": "a.nxs", "compression": "bslz4"}
    assert moved(sink, Path("/b/c.nxs")) == {**sink, "path": "/b/c.nxs"}
    assert moved(sink, Path("/b/c")) == {"use": "tiff", "of": "volume", "path": "/b/c"}


def test_an_address_stays_an_address():
    found = written_to(JOB, "s3://bucket/rec.zarr")
    assert found["sinks"] == [{"use": "zarr", "of": "volume", "path": "s3://bucket/rec.zarr"}]


def test_a_job_with_several_outputs_or_none_to_write_is_refused():
    with pytest.raises(JobError, match="one output"):
        written_to({**JOB, "sinks": [{"of": "volume"}, {"of": "minus_log"}]}, "a.h5")
    with pytest.raises(JobError, match="a step whose result"):
        written_to({}, "a.h5")
    assert moved({"use": "hdf5"}, "a.tif")["of"] is None  # what is missing is named when the job is parsed
