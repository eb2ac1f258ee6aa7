"""Series after series on one connection: none mixes with another, and whoever reads late finds the right one."""

import time

import pytest
from detectors import Detector, Reader, at, picture

from firstlight.connectors.dectris import stream1
from firstlight.core.errors import SourceError

pytestmark = pytest.mark.usefixtures("together_from_the_second_frame_on")


def test_frames_of_another_series_never_mix(detector):
    reader = Reader(detector.source())
    detector.frames(0, 1, series=1)
    detector.begin(6, series=2)
    detector.frames(0, 1, 2, series=2)
    detector.frames(3, 4, series=1)
    detector.frames(4, 5, series=2)
    detector.end(2)
    reader.finish().right()
    assert reader.places() == at(0, 1, 2, 4, 5)
    assert reader.missing() == at(3)


def test_an_aborted_series_keeps_what_came_and_the_next_one_works(any_version):
    source = any_version.source()
    connection = source.connect()
    reader = Reader(source.over(connection))
    any_version.begin(10, series=1)
    any_version.frames(0, 1, 2, series=1)
    any_version.end(1)
    reader.finish().right()
    assert reader.places() == at(0, 1, 2)
    assert reader.missing() == at(*range(3, 10))
    assert "ended it before its last frame" in reader.gaps()[-1].reason
    any_version.frames(3, 4, series=1)
    any_version.series(6, series=2)
    reader = Reader(any_version.source().over(connection)).finish().right()
    assert (reader.scan.name, reader.places(), reader.gaps()) == ("series 2", at(*range(6)), [])
    connection.close()


def test_a_detector_that_restarts_mid_series(any_version):
    source = any_version.source()
    connection = source.connect()
    reader = Reader(source.over(connection))
    any_version.begin(10, series=1)
    any_version.frames(0, 1, 2, series=1)
    any_version.series(10, series=2)
    reader.finish().right()
    assert reader.places() == at(0, 1, 2)
    assert reader.missing() == at(*range(3, 10))
    assert reader.gaps()[-1].reason == "series 2 began"
    reader = Reader(any_version.source().over(connection)).finish().right()
    assert (reader.scan.name, reader.places()) == ("series 2", at(*range(10)))
    connection.close()


def test_the_series_that_was_armed_is_waited_for(detector):
    reader = Reader(detector.source(series=7)).connected()
    detector.series(4, series=6)
    time.sleep(0.1)
    detector.series(4, series=7)
    assert reader.finish().scan.name == "series 7"


def test_series_that_nobody_reads_are_let_go_and_the_newest_is_kept(detector):
    connection = detector.source().connect()
    for number in range(1, 30):
        detector.series(5, series=number)
    end = time.monotonic() + 60
    while connection._current is None or not (connection._current.start.series == 29 and connection._current.over):
        assert time.monotonic() < end
        time.sleep(0.01)
    reader = Reader(detector.source().over(connection)).finish().right()
    assert (reader.scan.name, reader.places()) == ("series 29", at(*range(5)))
    connection.close()


def test_a_pause_ends_a_series(detector):
    reader = Reader(detector.source(idle=0.3))
    detector.begin(5)
    detector.frames(0, 1)
    reader.finish()
    assert (reader.places(), reader.missing()) == (at(0, 1), at(2, 3, 4))


@pytest.mark.parametrize("split", [True, False])
def test_a_stream_that_is_joined_and_starts_over(split):
    """Behind holoptycho's proxy: no headers, every part by itself; the numbers fall back when a scan begins, its own series here."""
    with Detector("pub") as detector:
        source = detector.source(join=True, idle=0.5)
        following = source.follower()
        reader = Reader(source)
        detector.subscribed()
        for number in (*range(100, 300), *range(50)):
            parts = stream1.write_frame(1, number, picture(number))[:3]
            for part in parts if split else ():
                detector.socket.send(part)
            if not split:
                detector.socket.send_multipart(parts)
        reader.finish().right()
        assert reader.places() == at(*range(100, 300))
        assert reader.scan.main.sizes == {"position": None, "row": 5, "col": 7}
        assert following.begun(10.0)
        last = following.follower()
        assert Reader(following).finish().right().places() == at(*range(50))
        assert not last.begun(0.0)
        last.close()


def test_the_next_series_wait_for_their_readers(detector):
    """They begin while the first one is read, and are complete before anybody asks for them."""
    source = detector.source()
    following = source.follower()
    reader = Reader(source)
    for frames in (9, 5, 4):
        detector.series(frames)
    reader.finish().right()
    assert reader.places() == at(*range(9))
    assert following.begun(10.0)
    last = following.follower()
    assert Reader(following).finish().right().places() == at(*range(5))
    assert Reader(last).finish().right().places() == at(*range(4))


def test_without_joining_a_missed_start_is_told(detector):
    reader = Reader(detector.source(timeout=2.0))
    detector.frames(0, 1)
    with pytest.raises(SourceError, match=r"2 frames came.*join: true"):
        reader.opened()
