"""The record of a run."""

import json

from firstlight.core.chunk import Gap, Scan, Stream
from firstlight.core.record import describe_scan, end_record, start_record, versions
from firstlight.core.run import Change, Counts
from firstlight.core.units import Quantity


def test_a_record_is_plain_and_complete() -> None:
    scan = Scan(
        {"data": Stream(("angle",), {"angle": None}, "uint16")},
        calibration={"pixel": Quantity(0.65, "um")},
        metadata={"sample": "tooth"},
    )
    begun = start_record({"name": "x"}, scan, ["b", "a", "a"], 5.0)
    assert (begun["complete"], begun["cites"], begun["started"]) == (False, ["a", "b"], 5.0)
    ended = end_record(
        begun,
        counts=Counts(expected=3, done=2, lost=1),
        gaps=[Gap(0, 2, 2, "never came")],
        changes=[Change("fbp", "center", 1.0, 2.0, 0, 5)],
        chosen={},
        values={"find_center.center": 3.0},
        ended=9.0,
        complete=True,
    )
    again = json.loads(json.dumps(ended))
    assert again["counts"]["lost"] == 1
    assert again["gaps"][0]["kind"] == "lost"
    assert again["changes"][0]["new"] == 2.0
    assert again["job"] == {"name": "x"}
    assert again["complete"]
    assert describe_scan(scan)["calibration"] == {"pixel": {"value": 0.65, "unit": "um"}}
    assert {"python", "numpy", "firstlight"} <= versions().keys()
