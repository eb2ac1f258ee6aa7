"""What the user knows of a scan, as a part of the job."""

import pytest

from firstlight.core.check import check
from firstlight.core.chunk import Scan, Stream
from firstlight.core.errors import JobError
from firstlight.core.job import parse_job
from firstlight.core.units import Quantity
from firstlight.runners.describe import view_infos

JOB = {
    "source": {"use": "phantom4d"},
    "steps": [{"use": "live_patterns", "name": "patterns"}],
    "views": [{"of": "patterns", "every": "1 s"}],
}
SIZES = {"scan_y": 4, "scan_x": 5, "row": 8, "col": 6}


def scan(**calibration):
    return Scan({"data": Stream(tuple(SIZES), SIZES, "uint16", arrival=2)}, calibration=calibration)


def test_what_the_user_knows_goes_before_what_the_source_tells():
    job = parse_job({**JOB, "calibration": {"step_y": "500 pm", "step_x": 0.25, "detector_angle": "0.3 mrad"}})
    plan = check(job, scan(step_x=Quantity(9.0, "nm"), energy=Quantity(80, "keV")))
    assert plan.scan.calibration["energy"] == Quantity(80, "keV")
    views = {info.output: (info.pixel_size, info.pixel_unit) for info in view_infos(plan)}
    assert views["image"] == ((0.5, 0.25), "nm")
    assert views["pattern"] == views["mean"] == ((0.3, 0.3), "mrad")
    assert parse_job(job.to_dict()).calibration == job.calibration


def test_without_calibration_pixels_count():
    assert all(info.pixel_size is None for info in view_infos(check(parse_job(JOB), scan())))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"step": 1}, "no 'step'"),
        ({"step_x": "3 keV"}, "energy, not a length"),
        ({"step_x": 0}, "more than zero"),
        ({"step_x": True}, "more than zero"),
        ({"step_x": [1]}, "step_x"),
        ([1], "a mapping"),
    ],
)
def test_mistakes_are_named(given, words):
    with pytest.raises(JobError, match=words):
        parse_job({**JOB, "calibration": given})
