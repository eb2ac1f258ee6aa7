"""The how-to about recording does what its text says, against the simulator."""

import re
from pathlib import Path

import h5py
import yaml
from detectors import simulated

import firstlight as fl

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "record-a-scan.md").read_text()


def test_the_jobs_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    live, sinks, again = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    with simulated() as (told, _):
        live["source"] |= {"data": told["data"], "scan_y": 3, "scan_x": 4}
        live["steps"][0] |= {"inner": 1, "outer": 4}
        run = fl.start(fl.load_job({**live, **sinks}))
        run.finished(60)
    assert (run.counts.expected, run.counts.done) == (12, 12)
    with h5py.File("scan_0412.hspy") as file:
        assert file.attrs["file_format"] == "HyperSpy"
    offline = fl.start(fl.load_job({**live, **again}))
    offline.finished(60)
    assert offline.counts.done == 12
