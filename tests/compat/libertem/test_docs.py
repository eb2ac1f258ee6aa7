"""The how-to does what its text says, against the simulator."""

import re
from pathlib import Path

import pytest
from played import dectris

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "run-libertem-scripts.md").read_text()


def test_the_python_runs():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    code = code.replace("(256, 256)", "(3, 4)").replace("timeout=10", "timeout=0.1")
    started, told_of = [], []
    with dectris() as told:
        code = code.replace("tcp://dcu:9999", told["data"]).replace("http://dcu", told["api"])
        names = {"start_my_scan": lambda: started.append(1), "print": lambda *text: told_of.append(text)}
        exec(code, names)
    assert names["images"]["virtual_detector"].data.shape == (3, 4)
    assert names["source"] is None
    assert started == [1]
    assert told_of[-1][-1] == "all"
    assert names["plot"].wait(20)
    pyplot.close("all")


def test_the_imports_exist():
    found = re.findall(r"`(from firstlight\.\S+ import [\w, ]+?)`", PAGE)
    assert len(found) == 5
    for line in found:
        if "viz.bqp" in line:
            pytest.importorskip("bqplot")
        exec(line.rstrip(", "), {})
