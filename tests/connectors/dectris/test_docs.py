"""The how-to for electron detectors does what its text says, against the simulator."""

import re
from pathlib import Path

import yaml
from detectors import simulated

import firstlight as fl

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "connect-an-electron-detector.md").read_text()


def block(kind):
    return re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[1]


def test_the_job_runs():
    job = yaml.safe_load(block("yaml"))
    with simulated() as (told, _):
        job["source"] |= {"data": told["data"], "scan_y": 3, "scan_x": 4}
        run = fl.start(fl.load_job(job))
        run.finished(60)
    assert (run.counts.expected, run.counts.done) == (12, 12)


def test_the_python_runs():
    started = []
    code = block("python").replace("(256, 256)", "(3, 4)").replace("timeout=10", "timeout=0.1")
    with simulated(auto=0) as (told, _):
        code = code.replace("tcp://dcu:9999", told["data"]).replace("http://dcu", told["api"])
        names = {"start_my_scan": started.append, "print": started.append}
        exec(code, names)
    assert names["results"]["center_of_mass.row_shift"].data.shape == (3, 4)
    assert names["source"] is None
    assert started[1] == "idle"
