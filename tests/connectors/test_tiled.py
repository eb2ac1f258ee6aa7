"""Results in a real Tiled server; and the writer's own promises without one."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from firstlight.connectors.tiled.batches import Batches
from firstlight.connectors.tiled.layout import laid_out
from firstlight.connectors.tiled.shared import _open
from firstlight.connectors.tiled.sink import TiledSink
from firstlight.connectors.tiled.tree import Rows, Tree
from firstlight.connectors.tiled.view import TiledView
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.view import Shown

FRAMES = np.random.default_rng(3).integers(0, 90000, (300, 4, 6)).astype(np.uint32)
BOX = np.array([[1, 2], [5, 8]])
SCAN = Scan({MAIN: Stream(("position", "row", "col"), {"position": None, "row": 4, "col": 6}, "uint32")}, "scan 7")
IMAGE = Scan({MAIN: Stream(("y", "x"), {"y": None, "x": None}, "complex64", 0)}, "scan 7")


class Remembered:
    """Nodes that keep what is written, and fail when told to."""

    def __init__(self):
        self.rows, self.arrays, self.metadata, self.calls, self.told = {}, {}, {}, [], {}
        self.gone = threading.Event()
        self.slow = 0.0
        self.permits, self.rows_before = None, {}

    def _answer(self):
        time.sleep(self.slow)
        if self.permits is not None:
            self.permits.acquire(timeout=60)
        if self.gone.is_set():
            raise ConnectionError("nobody there")

    def place(self, node, first, values, room):
        self._answer()
        self.calls.append(len(values))
        for number, row in enumerate(values, first):
            self.rows[node, number] = row

    def replace(self, node, values, metadata):
        self._answer()
        self.rows_before.setdefault(node, len(self.rows))
        self.arrays.setdefault(node, []).append(values)
        self.told[node] = metadata

    def close(self):
        pass

    def describe(self, metadata):
        self._answer()
        self.metadata = metadata


def test_rows_are_all_written_and_neighbours_together():
    nodes = Remembered()
    nodes.slow = 0.02
    tree = Tree(lambda: nodes, 1e9)
    for first in range(0, 300, 10):
        tree.place(Rows("dp", first, FRAMES[first : first + 10]))
    assert tree.release({"complete": True}, 20) == []
    np.testing.assert_array_equal(np.stack([nodes.rows["dp", i] for i in range(300)]), FRAMES)
    assert len(nodes.calls) < 30
    assert nodes.metadata == {"complete": True, "lacking": []}


def test_the_newest_of_a_node_wins_and_nobody_waits():
    nodes = Remembered()
    nodes.permits = threading.Semaphore(0)
    tree = Tree(lambda: nodes, 1e9)
    for number in range(100):
        tree.replace("live/object", np.full(3, number), {})
    assert nodes.arrays == {}
    nodes.permits.release(100)
    assert tree.release({"complete": True}, 20) == []
    assert nodes.arrays["live/object"][-1][0] == 99
    assert len(nodes.arrays["live/object"]) <= 2


def test_a_server_that_comes_back_gets_everything(monkeypatch):
    monkeypatch.setattr("firstlight.connectors.tiled.tree._PAUSE", 0.05)
    nodes = Remembered()
    nodes.gone.set()
    tree = Tree(lambda: nodes, 1e9)
    tree.place(Rows("dp", 0, FRAMES[:5]))
    tree.replace("final/object", np.ones(3), {})
    time.sleep(0.3)
    nodes.gone.clear()
    assert tree.release({"complete": True}, 20) == []
    assert len(nodes.rows) == 5
    assert len(nodes.arrays["final/object"]) == 1


def test_what_does_not_fit_and_what_never_came_is_told():
    nodes = Remembered()
    nodes.gone.set()
    tree = Tree(lambda: nodes, 10 * FRAMES[0].nbytes)
    for first in range(0, 30, 5):
        tree.place(Rows("dp", first, FRAMES[first : first + 5]))
    tree.replace("final/object", np.ones(3), {})
    lacking = tree.release({"complete": True}, 0.2)
    assert lacking == ["30 rows of dp", "final/object", "the final metadata", "nobody there"]


def test_rows_that_never_end_do_not_keep_images_away():
    nodes = Remembered()
    nodes.permits = threading.Semaphore(0)
    tree = Tree(lambda: nodes, 1e9)
    for place in range(0, 100, 2):  # never neighbours: each is written alone
        tree.place(Rows("dp", place, FRAMES[:1]))
        tree.replace("live/object", np.full(3, place), {})
    nodes.permits.release(4)
    while not nodes.arrays.get("live/object"):
        time.sleep(0.001)
    assert nodes.rows_before["live/object"] <= 2
    assert tree.release({"complete": True}, 0.01) != [], "what is left is told"
    nodes.permits.release(100)


def test_a_slow_server_is_waited_for_longer_than_one_that_fails():
    nodes = Remembered()
    nodes.slow = 0.1
    tree = Tree(lambda: nodes, 1e9)
    for place in range(0, 12, 2):
        tree.place(Rows("dp", place, FRAMES[:1]))
    assert tree.release({"complete": True}, 0.5) == []
    assert len(nodes.rows) == 6


def test_a_server_that_hangs_before_it_fails_has_its_time_to_come_back(monkeypatch):
    monkeypatch.setattr("firstlight.connectors.tiled.tree._PAUSE", 0.05)
    nodes = Remembered()
    nodes.slow = 2.0
    nodes.gone.set()
    tree = Tree(lambda: nodes, 1e9)
    tree.place(Rows("dp", 0, FRAMES[:6]))
    threading.Timer(3.0, nodes.gone.clear).start()
    assert tree.release({"complete": True}, 3.0) == []
    assert len(nodes.rows) == 6


def test_two_results_become_one_node_and_others_tell_of_it():
    nodes = Remembered()
    tree = Tree(lambda: nodes, 1e9)
    tree.tell("live/object", {"iteration": 7})
    tree.half("live/object", 0, np.ones((2, 3), np.float32), {"version": 1})
    tree.half("live/object", 1, np.full((3, 3), 2, np.float32), {"version": 1})  # the image has grown meanwhile
    tree.half("live/object", 0, np.ones((3, 3), np.float32), {"version": 2})
    tree.place(Rows("dp", 0, FRAMES[:5]))
    assert tree.release({"complete": True}, 20, {"dp_frames_written": "dp", "none": "final/dp"}) == []
    (found,) = nodes.arrays["live/object"]
    np.testing.assert_array_equal(found[:, 0, 0], [1, 2])
    assert nodes.told["live/object"] == {"version": 2, "iteration": 7}
    assert (nodes.metadata["dp_frames_written"], nodes.metadata["none"]) == (5, 0)


def test_batches_are_written_as_they_fill_with_the_numbers_of_their_frames():
    nodes = Remembered()
    tree, batches = Tree(lambda: nodes, 1e9), Batches("vit/pred", 64)
    order = np.random.default_rng(1).permutation(150)
    for part in np.array_split(order, 4):
        batches.add(tree, FRAMES[part].astype(np.float32), part)
    batches.end(tree)
    assert tree.release({"complete": True}, 20) == []
    for number, count in enumerate((64, 64, 22)):
        wanted = order[64 * number :][:count]
        place = f"vit/batches/{number:06d}"
        found, ids = ([nodes.rows[f"{place}/{name}", row] for row in range(count)] for name in ("pred", "indices"))
        np.testing.assert_array_equal(ids, wanted)
        np.testing.assert_array_equal(found, FRAMES[wanted])
    assert len(nodes.rows) == 2 * 150
    assert nodes.arrays["vit/indices_latest"][-1].dtype == np.int32
    np.testing.assert_array_equal(nodes.arrays["vit/pred_latest"][-1], FRAMES[order[128:]])


def test_what_becomes_known_in_the_run_is_noted_at_once_and_never_lost():
    nodes = Remembered()
    nodes.gone.set()
    tree = Tree(lambda: nodes, 1e9)
    tree.note({"patch_crop_box": [[1, 2], [3, 4]]})
    tree.note({"segmentation_box": [[5, 6], [7, 8]]})
    assert tree.release({"complete": True}, 0.2)[-1] == "nobody there"
    nodes.gone.clear()
    tree = Tree(lambda: nodes, 1e9)
    tree.note({"patch_crop_box": [[1, 2], [3, 4]]})
    deadline = time.monotonic() + 20
    while not nodes.metadata:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert nodes.metadata == {"patch_crop_box": [[1, 2], [3, 4]]}
    assert tree.release({"complete": True}, 20) == []
    assert nodes.metadata == {"patch_crop_box": [[1, 2], [3, 4]], "complete": True, "lacking": []}


def test_layouts():
    probe = np.array([[[1 + 1j, -2], [0, 3j]], [[9, 9], [9, 9]]], np.complex64)
    found = laid_out(probe, "amplitude_phase", transposed=True)
    np.testing.assert_allclose(found[0], np.abs(probe[0]).T)
    np.testing.assert_allclose(found[1], np.angle(probe[0]).T)
    assert (found.dtype, found.shape) == (np.float32, (2, 2, 2))
    counts = np.array([[[0, 8], [9, 70000]]], np.uint32)
    np.testing.assert_array_equal(laid_out(counts, "root8", transposed=False), [[[0, 2], [3, 255]]])


def chunk(data, ids, axes=("row", "col")):
    return Chunk(data, axes, np.asarray(ids))


def test_a_server_that_is_not_there_stops_nothing(caplog):
    pytest.importorskip("tiled.client", reason="the extra 'tiled' is not installed")
    sink = TiledSink(url="http://127.0.0.1:9", container="a/b", node="dp", patience=0.5)
    sink.open(SCAN, {})
    sink.write(chunk(FRAMES[:5], range(5)))
    sink.close({}, complete=True)
    assert "lacks: 5 rows of dp" in caplog.text
    assert not _open


# ---- a real server ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    simple = pytest.importorskip("tiled.server.simple", reason="the extra 'tiled' is not installed")
    with simple.SimpleTiledServer(directory=str(tmp_path_factory.mktemp("tiled"))) as running:
        yield running


@pytest.fixture
def tree(server, monkeypatch):
    url, _, key = server.uri.partition("?api_key=")
    monkeypatch.setenv("TILED_API_KEY", key)
    return url


@pytest.fixture
def client(tree, server):
    from tiled.client import from_uri

    made = from_uri(server.uri)
    yield made
    made.context.http_client.close()


@pytest.mark.heavy
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_a_run_in_a_real_server(tree, client):
    given = {
        "url": tree,
        "container": "hxn/processed/one",
        "specs": ("synaps_project",),
        "access_tags": ("hxn",),
        "patience": 150,
    }
    frames = TiledSink(node="diffraction/dp", layout="root8", metadata={"scan_num": "7"}, **given)
    places = TiledSink(node="positions_um", **given)
    image = TiledSink(node="final/object", layout="amplitude_phase", **given)
    live = TiledView(node="live/object", layout="amplitude_phase", **given)
    batched = TiledSink(node="vit/pred", batch=64, coordinates={"crop_box": "patch_crop_box"}, **given)
    batched.open(SCAN, {})
    where = Scan({MAIN: Stream(("position", "yx"), {"position": None, "yx": 2}, "float64")}, "scan 7")
    frames.open(SCAN, {}), places.open(where, {}), image.open(IMAGE, {}), live.open("object", IMAGE.main)

    order = np.random.default_rng(1).permutation(np.arange(300).reshape(10, 30)).ravel()
    order = order[order != 7]
    for ids in np.array_split(order, 9):
        frames.write(chunk(FRAMES[ids], ids))
        batched.write(replace(chunk(FRAMES[ids], ids), coords={"crop_box": np.tile(BOX, (len(ids), 1, 1))}))
        places.write(chunk(np.stack([ids, -ids], 1).astype(float), ids, ("yx",)))
    for size in (3, 3, 5):  # the image grows
        picture = np.full((size, size), size * 1j, np.complex64)
        live.show(Shown(picture, IMAGE.main, size))
    image.write(chunk(np.full((1, 4, 6), -2, np.complex64), [0], ("y", "x")))
    for one in (frames, places, image, batched):
        one.close({"counts": {"done": 299}}, complete=True)
    live.close()

    run = client["hxn"]["processed"]["one"]
    assert run.metadata["scan_num"] == "7"
    assert (run.metadata["complete"], list(run.metadata["lacking"])) == (True, [])
    wanted = np.minimum(np.sqrt(FRAMES), 255).astype(np.uint8)
    wanted[7] = 0
    np.testing.assert_array_equal(run["diffraction"]["dp"].read(), wanted)
    found = run["positions_um"].read()
    assert np.isnan(found[7]).all()
    np.testing.assert_array_equal(np.delete(found[:, 1], 7), -np.delete(np.arange(300.0), 7))
    np.testing.assert_allclose(run["final"]["object"].read()[:, 0, 0], [2, np.pi], rtol=1e-6)
    assert sorted(run["vit"]["batches"]) == [f"{number:06d}" for number in range(5)]
    last = run["vit"]["batches"]["000004"]
    np.testing.assert_array_equal(last["indices"].read(), order[256:])
    np.testing.assert_array_equal(last["pred"].read(), FRAMES[order[256:]])
    np.testing.assert_array_equal(run["vit"]["indices_latest"].read(), order[256:])
    assert (run["vit"]["pred_latest"].shape, np.array_equal(run.metadata["patch_crop_box"], BOX)) == ((43, 4, 6), True)
    assert run["live"]["object"].shape == (2, 5, 5)
    assert run["live"]["object"].metadata["version"] == 5
    assert [spec.name for spec in run["diffraction"].specs] == ["synaps_project"]
