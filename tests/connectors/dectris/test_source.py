"""The DECTRIS source against real ZeroMQ sockets on loopback: every frame is placed by its number, or counted."""

import contextlib
import json
import threading
import time

import numpy as np
import pytest
import zmq
from detectors import Detector, Reader, at, config, picture

import firstlight as fl
from firstlight.connectors.dectris import stream1
from firstlight.core.errors import JobError, SourceError, Stopped
from firstlight.testing import SourceContract

pytestmark = pytest.mark.usefixtures("together_from_the_second_frame_on")


def test_a_series_arrives(any_version):
    reader = Reader(any_version.source(scan_y=3))
    any_version.series(12)
    reader.finish().right()
    assert reader.places() == at(*range(12))
    assert reader.scan.main.sizes == {"scan_y": 3, "scan_x": 4, "row": 5, "col": 7}
    assert (reader.scan.main.dtype, reader.scan.main.order, reader.ends()) == ("uint16", "any", ["data"])
    assert reader.gaps() == []


@pytest.mark.parametrize("detail", ["none", "basic", "all"])
@pytest.mark.parametrize("split", [False, True])
def test_every_header_and_parts_that_come_one_by_one(detector, detail, split):
    if split:
        send = detector.socket.send
        detector.send = lambda parts: [send(part) for part in parts]
    reader = Reader(detector.source(scan_y=2, scan_x=3))
    detector.begin(6, detail=detail)
    detector.frames(*range(6))
    detector.end()
    reader.finish().right()
    assert reader.places() == at(*range(6))
    assert reader.scan.main.sizes == {"scan_y": 2, "scan_x": 3, "row": 5, "col": 7}


@pytest.mark.parametrize("encoding", ["bs8-lz4<", "bs16-lz4<", "bs32-lz4<", "lz4<", "<", ">", "raw"])
def test_every_encoding(detector, encoding):
    reader = Reader(detector.source())
    detector.begin(5, shape=(4, 6))
    detector.frames(*range(5), shape=(4, 6), encoding=encoding)
    assert reader.finish().right().places() == at(*range(5))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_every_type(detector, dtype):
    reader = Reader(detector.source())
    detector.begin(3, dtype=dtype)
    detector.frames(0, 1, 2, dtype=dtype)
    assert reader.finish().right().scan.main.dtype == dtype


def test_several_thresholds_are_an_axis_and_one_can_be_chosen():
    names = ("threshold_1", "threshold_2", "difference")
    with Detector(version=2) as detector:
        reader = Reader(detector.source())
        detector.begin(4, channels=names)
        detector.frames(*range(4), channels=names)
        reader.finish()
        assert reader.scan.main.sizes == {"position": 4, "threshold": 3, "row": 5, "col": 7}
        assert reader.scan.metadata["thresholds"] == " ".join(names)
        for chunk in reader.chunks():
            assert np.array_equal(chunk.data[:, :, 0, 0], chunk.ids[:, None] + [0, 1000, 2000])
        reader = Reader(detector.source(channel="difference"))
        detector.begin(4, channels=names)
        detector.frames(*range(4), channels=names)
        reader.finish()
        assert reader.scan.main.sizes == {"position": 4, "row": 5, "col": 7}
        for chunk in reader.chunks():
            assert np.array_equal(chunk.data[:, 0, 0], chunk.ids + 2000)


@pytest.mark.parametrize(
    ("mode", "triggers", "images", "sizes"),
    [
        ("ints", 1, 6, {"position": 6}),
        ("exts", 2, 3, {"scan_y": 2, "scan_x": 3}),
        ("inte", 6, 1, {"position": 6}),
        ("exte", 6, 5, {"position": 6}),
    ],
)
def test_the_scan_as_the_detector_tells_it(detector, mode, triggers, images, sizes):
    reader = Reader(detector.source())
    detector.send(stream1.write_start(1, {**config(6), "trigger_mode": mode, "ntrigger": triggers, "nimages": images}))
    detector.frames(*range(6))
    reader.finish()
    assert dict(list(reader.scan.main.sizes.items())[:-2]) == sizes
    assert reader.places() == at(*range(6))


@pytest.mark.parametrize(
    ("given", "expected"), [({"scan_y": 3, "scan_x": 5}, "15 frames"), ({"scan_y": 5}, "multiple of 5")]
)
def test_a_wrong_scan_is_told_before_data_are_lost_and_the_next_series_is_whole(detector, given, expected):
    reader = Reader(detector.source(**given))
    detector.begin(12)
    with pytest.raises(SourceError, match=f"{expected}.*nothing was read"):
        reader.opened()
    reader = Reader(detector.source(scan_y=4)).connected()
    detector.frames(*range(12))
    detector.series(12, series=2)
    reader.finish()
    assert reader.places() == at(*range(12))
    assert reader.scan.name == "series 2"


def test_lost_frames_are_the_lost_ones_and_no_other_moves(any_version):
    missing = {0, 7, 8, 20, 90, 199}
    reader = Reader(any_version.source(scan_y=10))
    any_version.begin(200)
    any_version.frames(*(i for i in range(200) if i not in missing))
    any_version.end()
    reader.finish().right()
    assert reader.missing() == at(*sorted(missing))
    assert reader.places() == at(*(i for i in range(200) if i not in missing))


def test_duplicates_and_late_frames_are_counted(detector):
    reader = Reader(detector.source(window=10))
    detector.begin(100)
    detector.frames(0, 1, 3, 2, 2, *range(4, 8), *range(9, 40), 8, *range(40, 90), 5, *range(90, 99))
    reader.until(lambda r: len(r.places()) == 98)
    places = reader.source._series.places
    detector.frames(99)
    reader.finish().right()
    assert reader.missing() == at(8)
    assert reader.places() == at(*(i for i in range(100) if i != 8))
    assert (places.duplicates, places.late) == (3, 2)


def test_truncated_and_wrong_frames_are_rejected(detector):
    reader = Reader(detector.source())
    detector.begin(8)
    detector.frames(0, 1)
    for number, spoil in (
        (2, lambda m: m[:2]),
        (3, lambda m: [*m[:2], m[2][:-3]]),
        (4, lambda m: [*m[:2], b"\0" * 50]),
    ):
        detector.send(spoil(stream1.write_frame(1, number, picture(number))))
    detector.frames(5, shape=(7, 5))
    detector.frames(6, dtype=np.uint8)
    detector.frames(7)
    reader.finish().right()
    assert reader.places() == at(0, 1, 7)
    assert reader.missing("rejected") == at(2, 3, 4, 5, 6)


def test_garbage_is_passed_over(detector):
    reader = Reader(detector.source())
    detector.send([b"\0garbage", b"{}"])
    detector.begin(4)
    detector.frames(0, 1)
    detector.send([b"\xd9\xd9\xf7\xa1broken"])
    detector.send([b'{"htype": "dimage-1.0", "frame": -3, "series": 1}', b"x", b"y"])
    detector.frames(2, 3)
    assert reader.finish().right().places() == at(0, 1, 2, 3)


def test_a_frame_beyond_the_end_has_no_place(detector):
    reader = Reader(detector.source())
    detector.begin(4)
    detector.frames(0, 1, 2, 4, 2**31, 3)
    assert reader.finish().places() == at(0, 1, 2, 3)
    assert reader.missing() == []


def test_published_streams_arrive():
    with Detector("pub") as detector:
        reader = Reader(detector.source())
        detector.subscribed()
        detector.series(9)
        assert reader.finish().right().places() == at(*range(9))


def test_curve(monkeypatch):
    keys = zmq.curve_keypair()
    public = keys[0].decode()
    with Detector(keys=keys) as detector:
        monkeypatch.setenv("TEST_SECRET", zmq.curve_keypair()[1].decode())
        for parameters in ({}, {"secret_key": "TEST_SECRET"}):
            reader = Reader(detector.source(server_key=public, **parameters))
            detector.series(3)
            assert reader.finish().places() == at(0, 1, 2)
        for wrong in ({}, {"server_key": zmq.curve_keypair()[0].decode()}):
            with pytest.raises(SourceError, match="waited"):
                detector.source(timeout=0.4, **wrong).open()
        with pytest.raises(SourceError, match="no such variable"):
            detector.source(server_key=public, secret_key="NOT_THERE").open()


def test_nobody_there(detector):
    with pytest.raises(SourceError, match="Nobody answers"):
        detector.source(data="tcp://127.0.0.1:1", timeout=0.3).open()
    with pytest.raises(SourceError, match="no series began"):
        detector.source(timeout=1.5).open()
    with pytest.raises(SourceError, match="can not be used"):
        detector.source(data="tcp://no address").open()


def test_stop_while_waiting(detector):
    source = detector.source(timeout=60.0)
    threading.Timer(0.2, source.stop).start()
    with pytest.raises(Stopped):
        source.open()


def test_small_frames_share_chunks_and_memory_is_used_again(detector):
    """A chunk is handed on when frames pause: they are made beforehand, so that a busy machine makes no pauses between them."""
    messages = [stream1.write_frame(1, number, picture(number)) for number in range(600)]
    reader = Reader(detector.source(memory=64 * 2**20))
    detector.begin(600)
    reader.opened()
    for parts in messages:
        detector.send(parts)
    reader.finish().right()
    assert reader.places() == at(*range(600))
    assert len(reader.chunks()) < 300


def test_large_plain_frames_are_handed_on_without_a_copy(detector):
    reader = Reader(detector.source())
    detector.begin(2, shape=(1024, 600))
    detector.frames(0, 1, shape=(1024, 600), encoding="<")
    reader.finish().right()
    assert [len(chunk) for chunk in reader.chunks()] == [1, 1]


def test_a_slow_reader_loses_nothing(detector):
    """The source stops receiving, and the detector's own buffer takes over."""
    source = detector.source(memory=200_000, queue=4)
    sender = threading.Thread(target=lambda: detector.series(400, encoding="<", shape=(100, 100)))
    detector.begin = lambda frames, series: detector.send(stream1.write_start(series, config(frames, shape=(100, 100))))
    sender.start()
    source.open()
    time.sleep(0.5)
    assert source._series.handover.nbytes < 6e6
    ids = [int(i) for item in source.items() if hasattr(item, "ids") for i in item.ids]
    sender.join()
    source.close()
    assert sorted(ids) == list(range(400))


def test_a_job_may_make_a_detector_wait_that_pushes_but_not_a_proxy_that_publishes(detector):
    job = {"steps": [{"use": "sum"}], "buffers": {"default": {"policy": "wait"}}}
    source = {"use": "dectris", "data": detector.address, "timeout": "10 s"}
    sender = threading.Thread(target=detector.series, args=(30,))
    sender.start()
    run = fl.start(fl.load_job({**job, "source": source}))
    run.finished(60)
    sender.join()
    assert run.counts.done == 30
    with Detector("pub") as proxy:
        reader = threading.Thread(target=lambda: (proxy.subscribed(), proxy.begin(30)))
        reader.start()
        with pytest.raises(JobError, match="can not be paused"):
            fl.start(fl.load_job({**job, "source": {**source, "data": proxy.address, "socket": "sub"}}))
        reader.join()


def test_the_recorded_eiger_is_rejected_frame_by_frame(detector, data_folder):
    """Its payloads are cut, so that no frame decodes: headers are read, frames are counted."""
    import io

    import cbor2

    raw = io.BytesIO((data_folder / "detector" / "eiger-small.cbors").read_bytes())
    messages = [cbor2.load(raw) for _ in range(5)]
    reader = Reader(detector.source())
    for message in messages:
        detector.send(message)
    reader.finish()
    assert reader.scan.main.sizes["row"] == 3262
    assert reader.missing("rejected")[:3] == at(0, 1, 2)
    total = json.loads(messages[0][1])
    assert len(reader.missing()) == total["nimages"] * total["ntrigger"] - 3


class TestDectrisSource(SourceContract):
    @pytest.fixture(autouse=True)
    def _detectors(self):
        self.detectors, self.threads, self.over = [], [], threading.Event()
        yield
        self.over.set()
        for thread in self.threads:
            thread.join()
        for detector in self.detectors:
            detector.__exit__()

    def make(self, tmp_path):
        detector = Detector()
        self.detectors.append(detector)
        source = detector.source(scan_y=3, dark_level=0.0, idle=60.0)
        self.threads.append(threading.Thread(target=self._play, args=(detector, source)))
        self.threads[-1].start()
        return source

    def _play(self, detector, source):
        """Twelve frames, one of them missing, each time that the source connects."""
        played = None
        detector.socket.setsockopt(zmq.SNDTIMEO, 100)
        while not self.over.is_set():
            connection = source._connection
            if connection is not None and connection is not played and connection.connected:
                played = connection
                with contextlib.suppress(zmq.Again):  # it was closed meanwhile
                    detector.begin(12)
                    detector.frames(*(i for i in range(12) if i != 4))
                    detector.end()
            time.sleep(0.02)

    def test_stop_ends_it_promptly(self, tmp_path):
        # what a detector has sent by then is delivered, so more may come after `stop` than from a file
        for items_first in (0, 1):
            source = self.make(tmp_path)
            source.open()
            items = source.items()
            for _ in range(items_first):
                next(items)
            begin = time.monotonic()
            source.stop()
            source.stop()
            list(items)
            source.close()
            assert time.monotonic() - begin < 30  # not the 60 that it would wait

    def test_the_same_again_and_close_twice(self, tmp_path):
        # how many frames share a chunk depends on when they come, so frames are compared and not chunks
        source = self.make(tmp_path)
        source.close()
        for _ in range(2):
            source.open()
            found = [item for item in source.items() if getattr(item, "ids", None) is not None]
            assert sorted(int(i) for chunk in found for i in chunk.ids if chunk.stream == "data") == [
                i for i in range(12) if i != 4
            ]
            source.close()
            source.close()
