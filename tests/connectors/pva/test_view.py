"""The PVA view, seen by a p4p client as any viewer would see it."""

import time

import numpy as np
import pytest
from p4p.client.thread import Context

from firstlight.connectors.pva.source import client_conf
from firstlight.connectors.pva.view import PvaView, pack
from firstlight.core.chunk import Stream
from firstlight.core.errors import SinkError, SourceError
from firstlight.core.view import Shown

N, NZ = 6, 4
XY = Stream(("y", "x"), {"y": N, "x": N}, "float32", arrival=0)
XZ = Stream(("z", "x"), {"z": NZ, "x": N}, "float32", arrival=0)
YZ = Stream(("z", "y"), {"z": NZ, "y": N}, "float32", arrival=0)


def shown(stream, value, version=1, number=41):
    shape = tuple(stream.sizes[label] for label in stream.axes)
    return Shown(np.full(shape, value, np.float32), stream, version, id=number, received=1000.25, finished=1001.5)


@pytest.fixture
def client():
    clients = []

    def connect(view):
        clients.append(Context("pva", conf=client_conf(view.address), useenv=False))
        return clients[-1]

    yield connect
    for one in clients:
        one.close()


@pytest.fixture
def view():
    made = PvaView(name="test:Recon", interface="127.0.0.1")
    yield made
    made.close()


@pytest.fixture
def planes():
    made = PvaView(name="test:Recon", interface="127.0.0.1", layout="tomostream")
    for name, stream in (("xy", XY), ("xz", XZ), ("yz", YZ)):
        made.open(f"slices.{name}", stream)
    yield made
    for _ in range(3):
        made.close()


def test_a_picture_arrives_with_id_times_and_dimensions(view, client):
    view.open("fbp", XY)
    data = np.arange(N * (N + 1), dtype=np.float32).reshape(N, N + 1)
    view.show(Shown(data, XY, 3, epoch=1, id=41, received=1000.25, finished=1001.5))
    got = client(view).get("test:Recon")
    assert np.array_equal(got, data)
    raw = got.raw
    assert raw.getID() == "epics:nt/NTNDArray:1.0"
    assert raw.uniqueId == 41
    assert [part.size for part in raw.dimension] == [N + 1, N]
    assert (raw.timeStamp.secondsPastEpoch, raw.timeStamp.nanoseconds) == (1001, 500_000_000)
    assert (raw.dataTimeStamp.secondsPastEpoch, raw.dataTimeStamp.nanoseconds) == (1000, 250_000_000)
    assert got.attrib["Version"] == 3
    assert got.attrib["Epoch"] == 1


def test_what_is_published_does_not_alias_the_result(view, client):
    view.open("fbp", XY)
    one = shown(XY, 1.0)
    view.show(one)
    one.data[:] = 9.0
    assert (client(view).get("test:Recon") == 1.0).all()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint16", "int64", "float64"])
def test_every_type_is_shown_as_it_is(view, client, dtype):
    view.open("mask", XY)
    view.show(Shown(np.ones((3, 4), dtype), XY, 1))
    assert client(view).get("test:Recon").dtype == dtype


def test_half_precision_is_shown_in_single(view, client):
    view.open("fbp", XY)
    view.show(Shown(np.ones((3, 4), np.float16), XY, 1))
    assert client(view).get("test:Recon").dtype == np.float32


def test_what_is_no_picture_is_refused(view):
    with pytest.raises(SinkError, match="two axes"):
        view.open("volume", Stream(("z", "y", "x"), {"z": 3, "y": 3, "x": 3}, "float32", arrival=0))
    view.open("fbp", XY)
    for data in (np.ones(3), np.ones((3, 3), complex)):
        with pytest.raises(SinkError, match="real numbers"):
            view.show(Shown(data, XY, 1))


def test_the_last_picture_comes_to_those_who_watch(client):
    stream = Stream(("y", "x"), {"y": 512, "x": 512}, "float32", arrival=0)
    for number in range(5):
        view = PvaView(name=f"test:Last{number}", interface="127.0.0.1")
        view.open("picture", stream)
        seen = []
        subscription = client(view).monitor(view.name, lambda value, seen=seen: seen.append(value.raw.uniqueId))
        while not seen:
            time.sleep(0.01)
        view.show(shown(stream, 1.0, number=41))
        view.show(shown(stream, 2.0, version=2, number=42))
        view.close()
        subscription.close()
        assert seen[-1] == 42


def test_nobody_waits_for_a_view_that_nobody_watches(monkeypatch):
    monkeypatch.setattr("firstlight.connectors.pva.serve.time.sleep", lambda seconds: pytest.fail("it waited"))
    view = PvaView(name="test:Alone", interface="127.0.0.1")
    view.open("picture", XY)
    view.show(shown(XY, 1.0))
    view.close()


def test_the_picture_of_tomostream():
    picture = pack({0: np.full((N, N), 1.0), 1: np.full((NZ, N), 2.0), 2: np.full((NZ, N), 3.0)})
    assert picture.shape == (N, 3 * N)
    assert picture.dtype == np.float32
    assert (picture[:, :N] == 1).all()
    assert (picture[:NZ, N : 2 * N] == 2).all()
    assert (picture[:NZ, 2 * N :] == 3).all()
    assert (picture[NZ:, N:] == 0).all()


def test_three_planes_make_one_picture_once_all_are_there(planes, client):
    seen = []
    context = client(planes)
    subscription = context.monitor("test:Recon", lambda value: seen.append((value.raw.uniqueId, value.shape)))
    planes.show(shown(XZ, 2.0))
    planes.show(shown(XY, 1.0))
    time.sleep(0.3)
    assert not [one for one in seen if one[1] != (0,)]
    planes.show(shown(YZ, 3.0))
    while not any(number == 41 for number, _ in seen):
        time.sleep(0.01)
    planes.show(shown(XY, 4.0, version=2, number=50))
    planes.show(shown(XZ, 5.0, version=2, number=50))
    planes.show(shown(YZ, 6.0, version=2, number=50))
    while not any(number == 50 for number, _ in seen):
        time.sleep(0.01)
    subscription.close()
    assert [one for one in seen if one[1] != (0,)] == [(41, (N, 3 * N)), (50, (N, 3 * N))]
    got = context.get("test:Recon")
    assert [float(got[0, at * N]) for at in range(3)] == [4.0, 5.0, 6.0]


def test_a_plane_that_was_skipped_does_not_stop_the_others(planes, client):
    for stream in (XY, XZ, YZ):
        planes.show(shown(stream, 1.0))
    for version in (2, 3, 4):
        planes.show(shown(XY, float(version), version=version, number=40 + version))
    got = client(planes).get("test:Recon")
    assert float(got[0, 0]) == 3.0
    assert got.raw.uniqueId == 43


def test_three_views_of_one_name_share_a_channel(client):
    views = [PvaView(name="test:Shared", interface="127.0.0.1", layout="tomostream") for _ in range(3)]
    for one, stream in zip(views, (XY, XZ, YZ), strict=True):
        one.open("slices", stream)
    assert len({one.address for one in views}) == 1
    for one, stream in zip(views, (XY, XZ, YZ), strict=True):
        one.show(shown(stream, 7.0))
    assert client(views[0]).get("test:Shared").shape == (N, 3 * N)
    for one in views:
        one.close()
        one.close()
    views[0].show(shown(XY, 1.0))


def test_the_layout_refuses_other_results_and_tall_samples():
    view = PvaView(name="test:Recon", interface="127.0.0.1", layout="tomostream")
    with pytest.raises(SinkError, match="live_slices"):
        view.open("flat_field", Stream(("row", "col"), {"row": 3, "col": 3}, "float32", arrival=0))
    with pytest.raises(SinkError, match="no more rows"):
        view.open("slices.xz", Stream(("z", "x"), {"z": 9, "x": 8}, "float32", arrival=0))


def test_a_name_that_is_taken_is_refused(monkeypatch):
    first = PvaView(name="test:Taken", interface="127.0.0.1")
    first.open("fbp", XY)
    monkeypatch.setenv("EPICS_PVA_NAME_SERVERS", first.address)
    from firstlight.connectors.pva import serve

    try:
        with pytest.raises(SourceError, match="served already"):
            serve.refuse_taken(["test:Taken"], None)
    finally:
        first.close()


def test_nobody_can_write_to_it(view, client):
    view.open("fbp", XY)
    with pytest.raises(Exception, match=r"[Pp]ut"):
        client(view).put("test:Recon", np.ones((2, 2)))
