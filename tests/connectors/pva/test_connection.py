"""How a scan is joined, lost and found again, and what is told when nobody is there."""

import time

import pytest
from beamlines import NAMES, Reader, Server, picture

from firstlight.core.errors import SourceError, Stopped


def test_frames_unlike_the_channels_old_value_end_the_run_with_a_reason():
    with Server(image=picture(900, shape=(4, 4), stamp=time.time() - 3600)) as server:
        reader = Reader(server.source()).opened()
        server.post(1, 2)
        with pytest.raises(SourceError, match="differ from what the channel held"):
            reader.finish()


def test_an_old_frame_on_the_channel_is_not_part_of_the_scan():
    with Server(image=picture(900, stamp=time.time() - 3600)) as server:
        reader = Reader(server.source()).opened()
        time.sleep(1.0)
        assert reader._thread.is_alive()
        server.post(1, 2, 3)
        reader.finish()
    assert reader.places() == [(0, 0), (0, 1), (0, 2)]
    assert reader.gaps() == []


def test_a_scan_that_has_begun_is_joined():
    with Server(image=picture(41)) as server:
        reader = Reader(server.source()).opened()
        server.post(42, 43)
        reader.finish()
    assert reader.places() == [(0, 40), (0, 41), (0, 42)]


def lost(reader):
    return reader.source._receiver._lost_since is not None


def found_again(reader):
    return reader.source._receiver._lost_since is None


def test_a_detector_that_restarts_opens_an_epoch():
    with Server() as first:
        reader = Reader(first.source(idle=30.0)).connected()
        time.sleep(0.2)
        first.post(1, 2, 3, 5, 6)
        port = int(first.address.partition(":")[2])
        reader.until(lambda r: len(r.places()) == 5)
    reader.until(lost)
    with Server(port=port) as second:
        reader.until(found_again)
        second.post(1, 2, 3, 4)
        reader.until(lambda r: len(r.places()) == 9)
        reader.source.stop()
        reader.finish()
    assert reader.places() == [(0, 0), (0, 1), (0, 2), (0, 4), (0, 5), (1, 0), (1, 1), (1, 2), (1, 3)]
    assert reader.missing() == [(0, 3)]


def test_a_connection_that_is_lost_for_a_moment_costs_only_what_was_missed():
    with Server() as first:
        reader = Reader(first.source(idle=30.0)).connected()
        time.sleep(0.2)
        first.post(1, 2, 3)
        port = int(first.address.partition(":")[2])
        reader.until(lambda r: len(r.places()) == 3)
    reader.until(lost)
    with Server(port=port, image=picture(5)) as second:
        reader.until(found_again)
        second.post(6, 7)
        reader.until(lambda r: len(r.places()) == 6)
        reader.source.stop()
        reader.finish()
    assert reader.places() == [(0, 0), (0, 1), (0, 2), (0, 4), (0, 5), (0, 6)]
    assert reader.missing() == [(0, 3)]


def test_stop_while_it_waits_for_the_first_frame(server):
    reader = Reader(server.source()).connected()
    reader.source.stop()
    with pytest.raises(Stopped):
        reader.finish()


@pytest.mark.parametrize("missing", ["image", "dark", "flat", "theta"])
def test_a_pv_that_never_connects_is_named_with_the_time_out(server, missing):
    source = server.source(**{missing: "test:Nobody", "timeout": 1.5})
    with pytest.raises(SourceError, match=r"'test:Nobody' did not connect within 1.5 s") as caught:
        source.open()
    assert caught.value.field == missing
    assert "IOC" in str(caught.value)
    source.close()


def test_a_channel_without_frames_is_named():
    with Server() as server, pytest.raises(SourceError, match=r"no frame came within 0.3 s.*EnableCallbacks"):
        server.source(first_frame=0.3).open()


def test_a_channel_that_is_no_image_is_refused(server):
    with pytest.raises(SourceError, match="NTNDArray"):
        server.source(image=NAMES["theta"]).open()
