"""A run's planes over PVA, packed as TomoStream packs them, read by an ordinary client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from firstlight.jobs.load import load_job
from firstlight.jobs.start import start

from .conftest import live_steps

pytestmark = pytest.mark.timeout(90)


def test_the_live_planes_are_served_in_tomostreams_layout(beamline: Callable[..., Any]) -> None:
    from p4p.client.thread import Context

    line = beamline(parameters={"columns": 64, "rows": 32, "angles": 90}, rate=60, frames=90)
    name = "firstlight:test:StreamRecon"
    views = [
        {"of": "slices", "every": "0.05 s", "to": ["web", {"use": "pva", "name": name, "layout": "tomostream"}]},
        {"of": "projection", "every": "0.05 s", "to": [{"use": "pva", "name": "firstlight:test:Projection"}]},
    ]
    run = start(load_job({"source": line.source, "steps": live_steps(), "views": views}))
    seen: dict[str, list[Any]] = {name: [], "firstlight:test:Projection": []}
    with Context("pva", nt=False) as client:
        watching = [client.monitor(each, pictures.append) for each, pictures in seen.items()]
        results = run.finished(60)
        for subscription in watching:
            subscription.close()
    # the first time that loops are compiled, which takes longer than the scan, the last picture alone may come so far
    packed = next(each for each in seen[name] if each["uniqueId"] >= 60)
    projection = seen["firstlight:test:Projection"][-1]
    sizes = [d["size"] for d in packed["dimension"]]
    assert sizes == [3 * 64, 64]
    picture = np.asarray(packed["value"]).reshape(64, 192)
    assert picture.dtype == np.float32
    assert packed["uniqueId"] >= 60
    assert packed["timeStamp"]["secondsPastEpoch"] > 0
    assert [d["size"] for d in projection["dimension"]] == [64, 32]
    # the planes were taken while the scan ran: alike, not equal, and Z stands left, then Y, then X
    for panel, plane, rows in ((0, "xy", 64), (1, "xz", 32), (2, "yz", 32)):
        part = picture[:rows, panel * 64 : (panel + 1) * 64]
        final = results[f"slices.{plane}"].data
        assert np.corrcoef(part.ravel(), final.ravel())[0, 1] > 0.8
        assert (picture[rows:, panel * 64 : (panel + 1) * 64] == 0).all()
