"""The Merlin source, its control client and its simulator, over TCP on loopback."""

import contextlib
import socket
import threading
import time

import numpy as np
import pytest

from firstlight.connectors.merlin.control import ControlError, MerlinControl
from firstlight.connectors.merlin.detector import Detector
from firstlight.connectors.merlin.sim import MerlinSimulator
from firstlight.connectors.merlin.source import MerlinSource
from firstlight.connectors.merlin.wire import FRAMES, message, write_frame, write_start
from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, End, Gap
from firstlight.core.errors import FirstlightError, SourceError, Stopped
from firstlight.testing import SourceContract
from firstlight.testing.fields import demand_documented, demand_round_trips

SMALL = {"scan_y": 3, "scan_x": 4, "rows": 12, "columns": 16}


def truth():
    return registry.get("sources", "phantom4d")(**SMALL).read({}).reshape(-1, 12, 16)


@contextlib.contextmanager
def simulated(**parameters):
    """A simulator in a thread: where it is, and its report once it is over."""
    given = {"parameters": {} if "file" in parameters else SMALL, "linger": 0.3, **parameters}
    told, report, stop, ready = {}, {}, threading.Event(), threading.Event()

    def run():
        report.update(MerlinSimulator(**given).run(stop, lambda content: (told.update(content), ready.set())))

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(100)
    try:
        yield told, report
    finally:
        stop.set()
        thread.join(100)
        assert not thread.is_alive()


class Read:
    """A source read to its end."""

    def __init__(self, source):
        self.scan = source.open()
        self.items = list(source.items())
        source.close()

    @property
    def chunks(self):
        return [item for item in self.items if isinstance(item, Chunk) and item.stream == MAIN]

    @property
    def places(self):
        return sorted(int(i) for chunk in self.chunks for i in chunk.ids)

    def missing(self, kind="lost"):
        gaps = [item for item in self.items if isinstance(item, Gap) and item.kind == kind]
        return sorted(i for gap in gaps for i in range(gap.first, gap.last + 1))

    def equal(self, frames):
        for chunk in self.chunks:
            assert np.array_equal(chunk.data, frames[chunk.ids])
        return self


def source_of(told, **parameters):
    return MerlinSource(**{"host": told["host"], "port": told["port"], "timeout": 20.0, "idle": 3.0, **parameters})


@pytest.mark.parametrize("tell_scan", [False, True])
def test_what_is_played_arrives(tell_scan):
    with simulated(tell_scan=tell_scan, rate=5000.0, dwell=0.001) as (told, report):
        found = Read(source_of(told, **({} if tell_scan else {"scan_y": 3}))).equal(truth())
    assert found.places == list(range(12))
    assert found.scan.main.sizes == {"scan_y": 3, "scan_x": 4, "row": 12, "col": 16}
    assert [type(item) for item in found.items if not isinstance(item, Chunk)] == [End]
    assert (report["sent"], report["acquisitions"]) == (12, 1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_every_type_and_frames_larger_than_a_piece_of_memory(tmp_path, dtype):
    frames = np.random.default_rng(1).integers(0, 200, (5, 900, 800)).astype(dtype)
    np.save(tmp_path / "a.npy", frames)
    with simulated(file=tmp_path / "a.npy") as (told, _):
        found = Read(source_of(told)).equal(frames)
    assert (found.places, found.scan.main.dtype) == (list(range(5)), dtype)


def test_a_recorded_file_is_played_and_the_live_result_equals_the_file(recordings):
    file = recordings / "001_4x2_6bit.mib"
    recorded = registry.get("sources", "mib")(path=file)
    recorded.open()
    with simulated(file=file) as (told, _):
        assert Read(source_of(told, scan_x=4)).equal(recorded.read({})).places == list(range(8))


def test_faults_are_found_out_and_counted():
    with simulated(lose_ids=(2, 7), repeat_ids=(3,), truncate_ids=(5,), leftovers=5000) as (told, _):
        found = Read(source_of(told)).equal(truth())
    assert (found.missing(), found.missing("rejected")) == ([2, 7], [5])
    assert found.places == [0, 1, 3, 4, 6, 8, 9, 10, 11]


def test_leftovers_can_be_drained():
    with simulated(leftovers=100_000, auto=0) as (told, _):
        with Detector(
            told["host"], told["port"], control_port=told["control_port"], drain=True, timeout=20.0
        ) as detector:
            source = detector.arm(ready=lambda s: (time.sleep(0.3), detector.api.command("SOFTTRIGGER")))
            assert Read(source).equal(truth()).places == list(range(12))


def test_a_restart_keeps_what_came_and_the_next_one_is_whole():
    with simulated(restart_after=5) as (told, _), Detector(told["host"], told["port"]) as detector:
        first, second = Read(detector.wait(20.0)), Read(detector.wait(20.0))
        assert detector.wait(0.1) is None
    assert (first.places, first.missing()) == (list(range(5)), list(range(5, 12)))
    assert second.equal(truth()).places == list(range(12))


def test_an_acquisition_that_goes_on_and_on_is_cut_into_scans():
    with simulated(continuous=True, rate=2000.0) as (told, _):
        with Detector(told["host"], told["port"], scan_y=3, scan_x=4) as detector:
            for _ in range(3):
                found = Read(detector.wait(20.0)).equal(truth())
                assert found.places + found.missing() == list(range(12))
                assert found.scan.main.sizes["scan_y"] == 3


def test_a_wrong_scan_is_told_before_data_are_lost():
    with simulated() as (told, _), pytest.raises(SourceError, match=r"15 frames.*nothing was read"):
        source_of(told, scan_y=3, scan_x=5).open()


def test_active_mode_sets_starts_and_triggers():
    with simulated(auto=0) as (told, _):
        with Detector(told["host"], told["port"], control_port=told["control_port"], timeout=20.0) as detector:
            for shape in ((2, 3), (3, 4)):
                called = []
                source = detector.arm(
                    shape=shape,
                    settings={"ACQUISITIONTIME": 2.5},
                    ready=lambda s, called=called: (called.append(s), detector.api.command("SOFTTRIGGER")),
                )
                assert called == [source]
                assert Read(source).equal(truth()).places == list(range(shape[0] * shape[1]))
            assert detector.api.get("ACQUISITIONTIME") == "2.5"


def test_an_acquisition_that_is_stopped_and_the_next_one():
    with simulated(auto=0, rate=20.0) as (told, _):
        with Detector(
            told["host"], told["port"], control_port=told["control_port"], idle=0.5, timeout=20.0
        ) as detector:
            source = detector.arm(ready=lambda s: detector.api.command("SOFTTRIGGER"))
            source.open()
            detector.api.command("STOPACQUISITION")
            ids = sorted(int(i) for item in source.items() if isinstance(item, Chunk) for i in item.ids)
            source.close()
            assert ids == list(range(len(ids)))
            assert len(ids) < 12
            source = detector.arm(shape=(2, 2), ready=lambda s: detector.api.command("SOFTTRIGGER"))
            assert Read(source).places == [0, 1, 2, 3]
        with pytest.raises(FirstlightError, match="closed"):
            detector.wait(0.1)


def test_error_codes_of_the_control_port():
    with simulated(auto=0) as (told, _), MerlinControl(told["host"], told["control_port"]) as merlin:
        assert merlin.get("IMAGEX") == "16"
        merlin.set("NUMFRAMESTOACQUIRE", 5)
        assert merlin.get("NUMFRAMESTOACQUIRE") == "5"
        for call, code, text in (
            (lambda: merlin.get("NOTHING"), 2, "does not know this: GET NOTHING"),
            (lambda: merlin.set("COUNTERDEPTH", 99), 3, "out of range: SET COUNTERDEPTH.*99"),
            (lambda: merlin.command("DANCE"), 2, "CMD DANCE"),
        ):
            with pytest.raises(ControlError, match=text) as error:
                call()
            assert error.value.code == code
        merlin.command("STARTACQUISITION")
        with pytest.raises(ControlError, match="busy") as error:
            merlin.set("ACQUISITIONTIME", 1)
        assert error.value.code == 1
        with pytest.raises(ControlError, match="can not be sent"):
            merlin.set("A,B", 1)


@contextlib.contextmanager
def answering(*answers):
    """A control port that answers one request after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            client, _ = server.accept()
            with client:
                for answer in answers:
                    client.recv(4096)
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with MerlinControl("127.0.0.1", server.getsockname()[1], timeout=2.0) as merlin:
            yield merlin
        thread.join()


def test_both_ways_of_counting_the_length():
    first = b"GET,IMAGEX,256,0"
    with answering(message(first), b"MPX,%010d," % len(first) + first, message(b"CMD,ABORT,0")) as merlin:
        assert (merlin.get("IMAGEX"), merlin.get("IMAGEX")) == ("256", "256")
        merlin.command("ABORT")


@pytest.mark.parametrize(
    "answer",
    [b"garbage garbage garbage", b"MPX,9999999999,", message(b"GET,OTHER,1,0"), message(b"GET,IMAGEX,1,x"), b""],
)
def test_answers_that_make_no_sense(answer):
    with answering(answer) as merlin, pytest.raises(ControlError):
        merlin.get("IMAGEX")


def test_nobody_there():
    with pytest.raises(ControlError, match="does not answer"):
        MerlinControl("127.0.0.1", 1)
    with pytest.raises(SourceError, match="Nobody answers"):
        MerlinSource(port=1, timeout=0.3).open()
    with simulated(auto=0) as (told, _), pytest.raises(SourceError, match="no acquisition began"):
        source_of(told, timeout=2.0).open()


def test_stop_while_waiting():
    source = MerlinSource(port=1, timeout=60.0)
    threading.Timer(0.2, source.stop).start()
    with pytest.raises(Stopped):
        source.open()


def test_a_connection_that_breaks_and_comes_back():
    """What came is kept; the source connects again by itself, and the next acquisition is whole."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def frame(n):
            return message(write_frame(n, np.full((4, 6), n, np.uint16)))

        with Detector("127.0.0.1", server.getsockname()[1], timeout=20.0) as detector:
            client, _ = server.accept()
            client.sendall(frame(7) + message(write_start({FRAMES: 6})) + frame(0) + frame(1) + frame(2)[:50])
            client.close()
            first = Read(detector.wait(20.0))
            assert (first.places, first.missing()) == ([0, 1], [2, 3, 4, 5])
            client, _ = server.accept()
            client.sendall(message(write_start({FRAMES: 6})) + b"".join(map(frame, range(6))))
            assert Read(detector.wait(20.0)).places == list(range(6))
            client.close()


class TestMerlinSource(SourceContract):
    @pytest.fixture(autouse=True)
    def _simulators(self):
        self.open = contextlib.ExitStack()
        with self.open:
            yield

    def make(self, tmp_path):
        told, _ = self.open.enter_context(simulated(auto=9, lose_ids=(4,)))
        return source_of(told, scan_y=3, dark_level=0.0)

    def test_stop_ends_it_promptly(self, tmp_path):
        # what a detector has sent by then is delivered, so more may come after `stop` than from a file
        source = self.make(tmp_path)
        source.open()
        begin = time.monotonic()
        source.stop()
        source.stop()
        list(source.items())
        source.close()
        assert time.monotonic() - begin < 5

    def test_the_same_again_and_close_twice(self, tmp_path):
        # how many frames share a chunk depends on when they come, so frames are compared and not chunks
        for _ in range(2):
            source = self.make(tmp_path)
            source.close()
            assert Read(source).places == [i for i in range(12) if i != 4]
            source.close()


def test_parameters_are_documented_and_limited():
    demand_documented(MerlinSimulator, frozenset())
    demand_round_trips(MerlinSimulator(parameters={"rows": 32}))
    with pytest.raises(ValueError, match="no file"):
        MerlinSimulator(file="/nowhere.npy")
