"""Results as layers of napari: its own viewer without a window, and one whose changes belong to the thread of a window."""

import sys
import threading
import warnings

import numpy as np
import pytest

import firstlight as fl
from firstlight.core.coordinates import Coordinate
from firstlight.core.errors import MissingExtra
from firstlight.core.run import Result, Results
from firstlight.runners.napari_layers import Layers

STEP = Coordinate(np.array([3.0, 3.5, 4.0]), "nm")


def image(values, **more):
    return Results({"phase": Result(np.asarray(values), ("scan_y", "scan_x"), **more)})


@pytest.fixture
def viewer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        components = pytest.importorskip("napari.components")
        return components.ViewerModel()


def test_layers_hold_what_came_with_calibrated_axes(viewer):
    layers = Layers(viewer)
    covered = np.array([[True, True, False], [False, False, False]])
    layers.draw(image(np.arange(6).reshape(2, 3), covered=covered, coordinates={"scan_x": STEP}))
    (layer,) = viewer.layers
    assert layer.name == "phase"
    np.testing.assert_array_equal(layer.data, [[0, 1, np.nan], [np.nan] * 3])
    assert (list(layer.scale), list(layer.translate)) == ([1.0, 0.5], [0.0, 3.0])
    assert [str(unit) for unit in layer.units] == ["pixel", "nanometer"]
    assert layer.axis_labels == ("scan_y", "scan_x")
    layers.draw(image(np.arange(6).reshape(2, 3)))
    assert layer is viewer.layers[0]
    np.testing.assert_array_equal(layer.data, np.arange(6).reshape(2, 3))
    assert 4.9 < layer.contrast_limits[1] <= 5.0
    layers.draw(image(np.ones((4, 4), np.complex64)))
    assert [each.data.shape for each in viewer.layers] == [(4, 4)]


def test_a_run_ends_up_in_the_layers(viewer):
    source = fl.source("phantom4d", scan_y=3, scan_x=4, rows=12, columns=16)
    run = fl.run(source, [fl.step("virtual_detector", shape="annulus"), fl.step("sum")])
    plot = run.plot("virtual_detector", every=0.01, canvas=Layers(viewer))
    found = run.finished(60)
    assert plot.wait(60)
    assert plot.error is None
    np.testing.assert_allclose(viewer.layers["virtual_detector.data"].data, found["virtual_detector"].data, rtol=1e-6)


def test_a_viewer_with_a_window_is_changed_on_its_thread_and_the_newest_wins(viewer, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    try:
        from qtpy.QtCore import QCoreApplication
    except ImportError:
        pytest.skip("no Qt")
    application = QCoreApplication.instance() or QCoreApplication([])
    viewer.__dict__["window"] = object()
    threads = []
    viewer.layers.events.inserted.connect(lambda event: threads.append(threading.current_thread()))
    layers = Layers(viewer)

    def draw():
        for number in range(50):
            layers.draw(image(np.full((2, 3), number)))

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join(100)
    assert not thread.is_alive()
    assert len(viewer.layers) == 0  # nobody waited for the window
    drawn = []
    viewer.layers.events.inserted.connect(lambda event: event.value.events.data.connect(drawn.append))
    application.processEvents()
    assert threads == [threading.main_thread()]
    assert drawn == []
    assert viewer.layers[0].data.max() == 49


def test_without_napari_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "napari", None)
    run = fl.run(fl.source("phantom4d", scan_y=3, scan_x=4, rows=12, columns=16), [fl.step("sum")])
    with pytest.raises(MissingExtra, match=r"firstlight\[napari\]"):
        run.plot(backend="napari")
    with pytest.raises(ValueError, match="matplotlib, napari"):
        run.plot(backend="crayon")
    run.finished(60)
