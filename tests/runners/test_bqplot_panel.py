"""Live plots drawn by bqplot: what the browser is sent. (How it draws is bqplot's own affair.)"""

import numpy as np
import pytest

import firstlight as fl
from firstlight.core.run import Result, Results

pytest.importorskip("bqplot", reason="the package 'bqplot' is not installed")


def test_a_run_is_drawn_and_ends_with_its_results():
    source = fl.source("phantom4d", scan_y=3, scan_x=4, rows=12, columns=16)
    run = fl.run(source, [fl.step("sum")])
    plot = run.plot(backend="bqplot")
    assert plot.wait(30)
    assert plot.error is None
    [figure] = plot.canvas.box.children
    sent = figure.marks[0].color
    np.testing.assert_array_equal(sent, run.finished(100)["sum"].data)
    assert figure.marks[0].scales["y"].reverse, "rows count downwards"
    assert (len(figure.marks[0].x), len(figure.marks[0].y)) == (16, 12)


def test_what_has_not_come_is_dark_and_large_pictures_are_thinned():
    from firstlight.runners.bqplot_panel import MOST, Panel

    values = np.arange(2 * MOST * 8.0).reshape(2 * MOST, 8) + 5
    covered = np.ones(values.shape, bool)
    covered[0, 0] = False
    panel = Panel()
    panel.draw(Results({"image": Result(values, ("row", "col"), covered=covered)}))
    mark = panel.box.children[0].marks[0]
    assert mark.color.shape == (MOST, 8)
    assert mark.color[0, 0] == pytest.approx(mark.scales["color"].min)
    np.testing.assert_array_equal(mark.color[1], values[2])
