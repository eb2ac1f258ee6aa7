"""The PVA source against real p4p servers on loopback."""

import threading
import time

import numpy as np
import pytest
from beamlines import NAMES, Reader, Server, picture
from pydantic import ValidationError

from firstlight.connectors.pva import codecs, wire
from firstlight.connectors.pva.source import PvaSource
from firstlight.core.errors import SourceError


def play(server, *numbers, settle=0.2, parameters=None, **how):
    """Connect, post frames, and read to the end."""
    reader = Reader(server.source(**(parameters or {}))).connected()
    time.sleep(settle)
    server.post(*numbers, **how)
    return reader.finish()


@pytest.mark.parametrize("dtype", list(wire.FIELDS))
def test_every_type_arrives(server, dtype):
    reader = play(server, 1, 2, 3, dtype=dtype, parameters={"frames": 3})
    assert reader.scan.main.dtype == dtype
    assert reader.scan.main.sizes == {"angle": 3, "row": 5, "col": 7}
    data = np.concatenate([chunk.data for chunk in reader.chunks()])
    assert data.dtype == dtype
    assert np.array_equal(data, np.stack([np.full((5, 7), i).astype(dtype) for i in (1, 2, 3)]))


@pytest.mark.parametrize("codec", codecs.CODECS)
def test_every_codec_arrives(server, codec):
    reader = play(server, 1, 2, 3, codec=codec, parameters={"frames": 3})
    assert [int(frame[0, 0]) for chunk in reader.chunks() for frame in chunk.data] == [1, 2, 3]


def test_large_frames_are_handed_on_without_a_copy(server):
    reader = play(server, 1, 2, shape=(1024, 1024), parameters={"frames": 2})
    assert [len(chunk) for chunk in reader.chunks()] == [1, 1]
    for chunk in reader.chunks():
        assert type(chunk.data.base.base).__name__ == "Lease" or type(chunk.data.base).__name__ == "Lease"
        assert type(getattr(chunk.data.base, "base", chunk.data.base)._memory.base).__name__ == "SharedArray"


def test_small_frames_share_chunks_and_their_memory_is_kept_while_it_is_used(server):
    frames = [picture(number) for number in range(1, 2001)]  # beforehand: a chunk is handed on when frames pause
    reader = Reader(server.source(frames=2000, queue=4096)).connected()
    for frame in frames:
        server.beamline.post("image", frame)
    reader.finish()
    assert reader.places() == [(0, place) for place in range(2000)]
    assert len(reader.chunks()) < 500
    for chunk in reader.chunks():
        assert np.array_equal(chunk.data[:, 0, 0], (chunk.ids + 1) % 100)


def test_missing_ids_are_exactly_the_lost_ones(server):
    missing = {7, 8, 20, 90, 199}
    posted = [number for number in range(1, 201) if number not in missing]
    reader = play(server, *posted)
    assert sorted(reader.missing()) == [(0, number - 1) for number in sorted(missing)]
    assert reader.places() == [(0, number - 1) for number in posted]


def test_a_known_length_counts_head_and_tail(server):
    reader = play(server, *range(4, 18), parameters={"frames": 20})
    assert sorted(place for _, place in reader.missing()) == [0, 1, 2, 17, 18, 19]


def test_a_known_length_ends_at_once(server):
    begin = time.monotonic()
    play(server, *range(1, 11), parameters={"frames": 10, "idle": 60.0})
    assert time.monotonic() - begin < 30


def test_updates_that_the_server_skips_become_gaps(server):
    burst = [picture(number, shape=(400, 400)) for number in range(2, 300)]
    reader = Reader(server.source(queue=4)).connected()
    time.sleep(0.2)
    server.post(1, pause=0.05, shape=(400, 400))
    for value in burst:
        server.beamline.post("image", value)
    server.post(300, 301, 302, pause=0.05, shape=(400, 400))
    reader.finish()
    assert len(reader.missing()) > 0
    assert sorted(reader.places() + reader.missing()) == [(0, place) for place in range(302)]


def test_a_reader_that_is_too_slow_gives_dropped_gaps(server):
    source = server.source(memory=300_000, frames=60, queue=128)

    def post():
        while source._receiver is None or "image" not in source._receiver.connected:
            time.sleep(0.01)
        server.post(*range(1, 61), shape=(100, 100))

    poster = threading.Thread(target=post)
    poster.start()
    source.open()
    poster.join()
    source._receiver.join()  # until all have come
    items = list(source.items())
    source.close()
    reader = Reader.__new__(Reader)
    reader.items = items
    assert len(reader.missing("dropped")) > 0
    assert sorted(reader.places() + reader.missing("dropped")) == [(0, place) for place in range(60)]


def test_the_angle_follows_the_id(server):
    theta = np.array([0.0, 0.1, 0.3, 0.7, 1.5, 3.1])
    server.beamline.post("theta", wire.write_theta(theta))
    parameters = {"theta": NAMES["theta"], "first_id": 1, "first_proj_id": 10}
    reader = play(server, 10, 11, 12, 14, 16, parameters=parameters)
    angles = np.concatenate([chunk.coords["angle"] for chunk in reader.chunks()])
    assert reader.places() == [(0, 0), (0, 1), (0, 3), (0, 5)]
    assert np.allclose(angles, theta[[0, 1, 3, 5]])
    assert np.allclose(reader.scan.coords["angle"], theta)


def test_a_frame_without_an_angle_is_rejected_until_new_angles_come(server):
    server.beamline.post("theta", wire.write_theta(np.arange(3.0)))
    reader = Reader(server.source(theta=NAMES["theta"])).connected()
    time.sleep(0.2)
    server.post(1, 2, 3, 4)
    reader.until(lambda r: r.gaps("rejected"))
    server.beamline.post("theta", wire.write_theta(np.arange(6.0)))
    reader.until(lambda r: len(r.source._angles.theta) == 6)
    server.post(5, 6)
    reader.finish()
    assert reader.missing("rejected") == [(0, 3)]
    assert reader.places() == [(0, 0), (0, 1), (0, 2), (0, 4), (0, 5)]


def test_angles_from_start_and_step(server):
    reader = play(server, 1, 2, 3, parameters={"angle_start": 10.0, "angle_step": 0.25, "frames": 3})
    assert np.allclose(reader.scan.coords["angle"], [10.0, 10.25, 10.5])
    assert np.allclose(np.concatenate([chunk.coords["angle"] for chunk in reader.chunks()]), [10.0, 10.25, 10.5])


def test_attributes_are_carried_along(server):
    reader = Reader(server.source(frames=3)).connected()
    time.sleep(0.2)
    for number, current in ((1, 200.0), (2, 199.5), (3, 199.0)):
        server.post(number, attributes={"RingCurrent": current})
    reader.finish()
    assert np.concatenate([chunk.coords["RingCurrent"] for chunk in reader.chunks()]).tolist() == [200.0, 199.5, 199.0]


def test_attributes_of_a_frame_that_waited_are_its_own():
    with Server(image=picture(1, attributes={"RingCurrent": 7.0})) as server:
        reader = Reader(server.source(frames=2, attributes=["RingCurrent"])).opened()
        server.post(2, attributes={"RingCurrent": 8.0})
        reader.finish()
    assert np.concatenate([chunk.coords["RingCurrent"] for chunk in reader.chunks()]).tolist() == [7.0, 8.0]


@pytest.mark.parametrize("structure", ["TomoScanStream", "NTNDArray"])
def test_dark_and_flat_come_before_the_frames_and_again_later(server, structure):
    image = np.arange(35, dtype=np.float32).reshape(5, 7)

    def value(pixels):
        return wire.write_image(pixels) if structure == "TomoScanStream" else wire.write_frame(pixels, 1, 0.0)

    with Server(dark=value(image), flat=value(image + 1)) as server:
        reader = Reader(server.source(dark=NAMES["dark"], flat=NAMES["flat"])).connected()
        time.sleep(0.2)
        server.post(1, 2, 3)
        reader.until(lambda r: r.chunks("flat") and len(r.places()) == 3)
        server.beamline.post("flat", value(image + 2))
        reader.until(lambda r: len(r.chunks("flat")) == 2)
        server.post(4)
        reader.finish()
    assert reader.scan.streams["flat"].axes == ("frame", "row", "col")
    (dark,), flats = reader.chunks("dark"), reader.chunks("flat")
    assert np.array_equal(dark.data[0], image)
    assert dark.ids.tolist() == [-1]
    assert [(chunk.set, int(chunk.ids[0]), float(chunk.data[0, 0, 0])) for chunk in flats] == [
        (0, -1, 1.0),
        (1, 2, 2.0),
    ]
    assert reader.ends()[-3:] == [("dark", None), ("flat", None), ("data", None)]
    assert ("flat", 1) in reader.ends()


def test_an_image_of_another_size_is_rejected_and_logged(server, caplog):
    reader = Reader(server.source(flat=NAMES["flat"])).connected()
    time.sleep(0.2)
    server.post(1, 2)
    server.beamline.post("flat", wire.write_image(np.ones((5, 6))))
    reader.until(lambda r: "7 columns" in caplog.text)
    server.post(3)
    reader.finish()
    assert reader.chunks("flat") == []
    assert "5 rows and 7 columns" in caplog.text


def test_frames_of_another_kind_are_rejected(server):
    reader = Reader(server.source()).connected()
    time.sleep(0.2)
    server.post(1, 2)
    server.post(3, shape=(5, 8))
    server.post(4, dtype=np.uint8)
    server.post(5)
    reader.finish()
    assert reader.missing("rejected") == [(0, 2), (0, 3)]
    assert reader.places() == [(0, 0), (0, 1), (0, 4)]
    assert "uint8" in reader.gaps("rejected")[1].reason


def test_a_broken_frame_is_rejected(server):
    reader = Reader(server.source()).connected()
    time.sleep(0.2)
    server.post(1, 2, codec="lz4")
    broken = picture(3, codec="lz4")
    broken.value = ("ubyteValue", np.zeros(9, np.uint8))
    broken.compressedSize = 9
    server.beamline.post("image", broken)
    time.sleep(0.05)
    server.post(4, codec="lz4")
    reader.finish()
    assert reader.missing("rejected") == [(0, 2)]


def test_sixteen_bit_ids_wrap(server):
    reader = Reader(server.source(id_bits=16)).connected()
    time.sleep(0.2)
    server.post(65533, 65534, 65535, 0, 1, 3)
    reader.finish()
    assert reader.places() == [(0, place) for place in (65532, 65533, 65534, 65535, 65536, 65538)]
    assert reader.missing() == [(0, 65537)]


def test_frames_out_of_order_are_not_lost(server):
    reader = play(server, 1, 2, 5, 3, 4, 6, 6)
    assert sorted(reader.places()) == [(0, place) for place in range(6)]
    assert reader.gaps() == []


def test_idle_ends_the_scan_but_only_after_a_frame(server):
    reader = Reader(server.source(idle=0.4)).connected()
    time.sleep(1.2)
    assert reader._thread.is_alive()
    begin = time.monotonic()
    server.post(1, 2)
    reader.finish()
    assert 0.4 < time.monotonic() - begin < 30
    assert reader.places() == [(0, 0), (0, 1)]


def test_stop_delivers_what_has_arrived_and_is_prompt(server):
    reader = Reader(server.source(idle=60.0)).connected()
    time.sleep(0.2)
    server.post(*range(1, 51), pause=0.0)
    reader.until(lambda r: r.places())
    begin = time.monotonic()
    reader.source.stop()
    reader.source.stop()
    reader.finish()
    assert time.monotonic() - begin < 30  # not the 60 that it would wait
    assert reader.ends() == [("data", None)]


def test_jpeg_is_refused_at_once():
    value = picture(1)
    value.codec.name = "jpeg"
    with Server(image=value) as server, pytest.raises(SourceError, match="Compressor"):
        server.source().open()


def test_empty_angles_are_refused():
    with (
        Server(theta=wire.write_theta(np.zeros(0))) as server,
        pytest.raises(SourceError, match="holds no angles"),
    ):
        server.source(theta=NAMES["theta"], timeout=1.5).open()


def test_angles_that_look_like_radians_are_pointed_out(server, caplog):
    server.beamline.post("theta", wire.write_theta(np.linspace(0, np.pi, 181)))
    play(server, 1, 2, parameters={"theta": NAMES["theta"]})
    assert "radians" in caplog.text


def test_two_kinds_of_angles_are_refused():
    with pytest.raises(ValidationError, match="not both"):
        PvaSource(image="a", theta="b", angle_step=1.0)


def test_calibration_reaches_the_scan(server):
    reader = play(server, 1, parameters={"pixel": "0.65 um", "energy": "25 keV", "frames": 1})
    assert reader.scan.pixel("um") == 0.65
    assert reader.scan.calibration["energy"].to("keV") == 25


def test_a_level_stands_for_a_dark_channel_that_is_not_there(server):
    reader = play(server, 1, 2, parameters={"dark_level": 3})
    assert reader.scan.streams["dark"].frames == 1
    (dark,) = reader.chunks("dark")
    assert (dark.data == 3).all()
    assert reader.ends()[:2] == [("dark", 0), ("dark", None)]


def test_closing_is_harmless_before_opening_and_twice(server):
    source = server.source()
    source.close()
    source.close()
    with pytest.raises(SourceError, match="not open"):
        next(source.items())
