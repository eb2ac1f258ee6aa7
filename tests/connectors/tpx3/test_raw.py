"""Raw Timepix3 packets: words bit by bit as the manual says, both ways, any bytes; hits to electrons and to frames; file and TCP."""

import contextlib
import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import firstlight as fl
from firstlight.connectors.tpx3.packets import (
    Packets,
    Place,
    global_words,
    hit_words,
    section,
    trigger_words,
)
from firstlight.connectors.tpx3.raw import Tpx3FileSource, Tpx3RawSource
from firstlight.connectors.tpx3.raw_sim import Tpx3RawSimulator
from firstlight.core import registry
from firstlight.core.chunk import End
from firstlight.core.errors import SourceError, Stopped
from firstlight.kernels.timepix import PERIOD, TICK, cluster
from firstlight.testing import SourceContract
from firstlight.testing.fields import demand_documented, demand_round_trips

SMALL = {"scan_y": 3, "scan_x": 4, "rows": 12, "columns": 16}
SCAN = {"scan_y": 3, "scan_x": 4, "dwell": 1e-5, "disorder": 1e-3}
ONE = [Place()]


def truth():
    found = registry.get("sources", "phantom4d")(**SMALL).read({}).reshape(-1, 12, 16)
    return np.pad(found, ((0, 0), (0, 244), (0, 240)))


def read(source):
    source.open()
    try:
        items = list(source.items())
    finally:
        source.close()
    frames = {
        int(n): f for item in items if isinstance(item, fl.Chunk) for n, f in zip(item.ids, item.data, strict=True)
    }
    return frames, [(gap.first, gap.last) for gap in items if isinstance(gap, fl.Gap)], items


def recorded(tmp_path, **given):
    """A file that the simulator wrote, and what it holds."""
    path = tmp_path / "scan.tpx3"
    data = registry.get("sources", "phantom4d")(**SMALL).read({})
    path.write_bytes(b"".join(Tpx3RawSimulator(**given).sections(data)))
    return path


# ---- the wire -----------------------------------------------------------------------------------------------------------


def test_words_bit_by_bit():
    """A hit and a trigger put together by the table of SERVAL's manual, and not by our encoder."""
    col, row, toa, width, fine, clock = 131, 22, 9000, 77, 5, 40000
    address = (col // 2) << 9 | (row // 4) << 3 | (col % 2) << 2 | row % 4
    hit = 0xB << 60 | address << 44 | toa << 30 | width << 20 | fine << 16 | clock
    trigger = 0x6 << 60 | 0xE << 56 | 3000 << 44 | 123456789 << 9 | 8 << 5
    head = int.from_bytes(b"TPX3", "little") | 2 << 32 | 16 << 48
    data = b"".join(word.to_bytes(8, "little") for word in (head, hit, trigger))
    found = Packets([Place(), Place(), Place(300, 400)], 1000).feed(data)
    assert found.pixels.tolist() == [(row + 300) * 1000 + col + 400]
    assert found.widths.tolist() == [width]
    # 25 ns of the pixel, less 25/16 ns for each fine step
    nanoseconds = (clock * 2**14 + toa) * 25 - fine * 1.5625
    assert found.times[0] * TICK * 1e9 == pytest.approx(nanoseconds, abs=1e-3)
    kind, count, time = found.triggers[0].tolist()
    assert (kind, count) == (0xE, 3000)
    # 3.125 ns and seven twelfths of that, to a tick; and on the same turn of the clock as the hit
    told = 123456789 * 3.125 + 7 / 12 * 3.125
    turns = round((nanoseconds - told) / (PERIOD * TICK * 1e9))
    assert time * TICK * 1e9 - told - turns * PERIOD * TICK * 1e9 == pytest.approx(0, abs=1.6)


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 1023)), min_size=1, max_size=40),
    st.integers(0, 2**40),
    st.integers(1, 50),
)
def test_hits_come_back_in_pieces_of_any_size(hits, begin, piece):
    rows, cols, widths = np.array(hits).T
    times = begin + np.cumsum(np.arange(len(hits)) * 977)
    data = section(hit_words(times, rows, cols, widths)) + section(trigger_words(times[-1:] + 40, np.array([5])))
    packets = Packets(ONE, 256)
    found = [packets.feed(data[at : at + piece]) for at in range(0, len(data), piece)]
    assert np.concatenate([each.pixels for each in found]).tolist() == (rows * 256 + cols).tolist()
    assert np.concatenate([each.widths for each in found]).tolist() == widths.tolist()
    back = np.concatenate([each.times for each in found])
    assert np.array_equal(back - back[0], times - times[0])
    assert np.concatenate([each.triggers for each in found])[0].tolist() == [0xF, 5, back[-1] + 40]


def test_the_clock_starts_over_and_long_pauses_are_bridged():
    second = round(1 / TICK)
    times = np.arange(0, 100 * second, 10 * second)
    packets = Packets(ONE, 256)
    found = packets.feed(section(hit_words(times, times * 0, times * 0, times * 0))).times
    assert np.array_equal(found - found[0], times)
    # a pause of 70 s, which the global time tells of
    begin, after = 5 * second, 75 * second
    words = [
        global_words(begin),
        hit_words(np.array([begin]), *np.zeros((3, 1), int)),
        global_words(begin + 10),
        global_words(after - 10),
        hit_words(np.array([after]), *np.zeros((3, 1), int)),
    ]
    found = Packets(ONE, 256).feed(section(np.concatenate(words))).times
    assert found[1] - found[0] == after - begin


@given(st.binary(max_size=300), st.integers(1, 60))
def test_any_bytes_are_passed_over_and_what_follows_is_read(junk, piece):
    packets = Packets(ONE, 256)
    data = junk.replace(b"TPX3", b"tpx3") + section(
        hit_words(np.array([70]), np.array([3]), np.array([4]), np.array([5]))
    )
    found = [packets.feed(data[at : at + piece]).pixels for at in range(0, len(data), piece)]
    assert np.concatenate(found).tolist() == [3 * 256 + 4]
    assert packets.skipped == len(junk)


@given(st.data())
def test_damaged_streams_give_no_place_outside(data):
    whole = bytearray(section(hit_words(np.arange(40) * 99, np.arange(40), np.arange(40), np.arange(40))) * 2)
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    packets = Packets(ONE, 256)
    found = packets.feed(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    assert not len(found.pixels) or found.pixels.max() < 256 * 256
    assert len(found.pixels) == len(found.times) == len(found.widths) <= len(whole) // 8


# ---- electrons ----------------------------------------------------------------------------------------------------------


def test_hits_of_an_electron_are_put_together():
    rng = np.random.default_rng(0)
    rows, cols = np.divmod(rng.permutation(60 * 60)[:300], 60)
    rows, cols, times = rows * 4 + 2, cols * 4 + 2, np.sort(rng.integers(0, 10**6, 300))
    # each hits its own pixel, the next one, and the one below, a little later; and one pixel hits again much later
    hits = np.concatenate([times, times + 3, times + 9, [times[-1] + 10**5]])
    place = rows * 256 + cols
    pixels = np.concatenate([place, place + 1, place + 256, place[-1:]]).astype(np.uint32)
    widths = np.concatenate([np.full(300, 50), np.full(600, 10), [50]]).astype(np.uint16)
    order = np.argsort(hits, kind="stable")
    starts, places, counts = cluster(hits[order], pixels[order], widths[order], 256, 64)
    assert counts.tolist() == [3] * 300 + [1]
    assert np.array_equal(starts[:-1], times)
    assert np.array_equal(places[:-1], place)
    single = cluster(hits[order], pixels[order], widths[order], 256, 0)
    assert len(single[0]) == 901


# ---- frames -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"start": 0.0}, {"flyback": 0.0}])
def test_a_recorded_scan_gives_its_frames(tmp_path, given):
    frames, gaps, items = read(Tpx3FileSource(path=recorded(tmp_path, **given), **SCAN))
    assert sorted(frames) == list(range(12))
    assert gaps == []
    assert isinstance(items[-1], End)
    assert all(np.array_equal(frame, truth()[number]) for number, frame in frames.items())


def test_every_electron_of_a_sparse_scan_counts_once(tmp_path):
    rng, electrons = np.random.default_rng(2), np.zeros((3, 4, 256, 256), np.uint16)
    for point in electrons.reshape(12, 256, 256):
        point[tuple(rng.integers(1, 60, (2, 20)) * 4)] = 1
    path = tmp_path / "scan.tpx3"
    path.write_bytes(b"".join(Tpx3RawSimulator(spread=4).sections(electrons)))
    hits, _, _ = read(Tpx3FileSource(path=path, **SCAN))
    found, _, _ = read(Tpx3FileSource(path=path, **SCAN, electron=2e-8))
    for number, expected in enumerate(electrons.reshape(12, 256, 256)):
        assert hits[number].sum() == 4 * expected.sum()
        # by width, the middle of the four pixels lies nearest to the first
        assert np.array_equal(found[number], expected)


def test_a_lost_trigger_is_a_gap_and_nothing_moves(tmp_path):
    frames, gaps, _ = read(Tpx3FileSource(path=recorded(tmp_path, lose_triggers=(1,)), **SCAN))
    assert gaps == [(4, 7)]
    assert sorted(frames) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert all(np.array_equal(frame, truth()[n]) for n, frame in frames.items())


def test_triggers_for_each_point(tmp_path):
    dwell = round(1e-5 / TICK)
    begins = 10**6 + np.arange(6) * dwell + np.array([0, 40, 10, 90, 20, 30])
    counts = np.array([4094, 4095, 0, 2, 3, 4])  # number 1 was lost, and the count starts over
    hits = np.concatenate([begins + 5, begins + 7, [begins[0] - 5]])
    rows = np.concatenate([np.arange(6), np.arange(6), [200]])
    words = [hit_words(hits, rows, rows, rows), trigger_words(begins, counts)]
    (tmp_path / "points.tpx3").write_bytes(section(np.concatenate(words)))
    source = Tpx3FileSource(path=tmp_path / "points.tpx3", **{**SCAN, "scan_y": 2}, trigger="point")
    frames, gaps, _ = read(source)
    assert gaps == [(3, 3), (7, 7)]
    assert {n: (int(f.sum()), int(f.argmax()) // 257) for n, f in frames.items()} == {
        0: (2, 0), 1: (2, 1), 2: (2, 2), 4: (2, 3), 5: (2, 4), 6: (2, 5)
    }  # fmt: skip


def test_a_file_that_is_cut_off_keeps_its_lines(tmp_path):
    path = recorded(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.6)])
    frames, gaps, _ = read(Tpx3FileSource(path=path, **SCAN))
    assert np.array_equal(frames[3], truth()[3])
    assert len(frames) + sum(last - first + 1 for first, last in gaps) == 12


def test_what_is_no_such_scan_is_told(tmp_path):
    path = recorded(tmp_path)
    with pytest.raises(SourceError, match="No trigger came"):
        read(Tpx3FileSource(path=path, **SCAN, edge="2 rising"))
    path.write_bytes(section(np.full(20, 0xA << 60, np.uint64)))
    with pytest.raises(SourceError, match="without their time"):
        read(Tpx3FileSource(path=path, **SCAN))
    path.write_bytes(b"something else")
    with pytest.raises(SourceError, match="no file of raw"):
        Tpx3FileSource(path=path, **SCAN).open()
    with pytest.raises(SourceError, match="can not be read"):
        Tpx3FileSource(path=tmp_path / "none.tpx3", **SCAN).open()


def test_four_chips_lie_where_they_are_said_to(tmp_path):
    chips = ((0, 256, False), (256, 256, True), (256, 0, True), (0, 0, False))
    begin, dwell = 10**6, round(1e-5 / TICK)
    parts = [section(trigger_words(np.array([begin]), np.array([0])))]
    for chip in range(4):
        parts.append(section(hit_words(np.array([begin + 9]), np.array([2]), np.array([5]), np.array([1])), chip))
    parts.append(section(trigger_words(np.array([begin + 50 * dwell]), np.array([1]))))
    (tmp_path / "quad.tpx3").write_bytes(b"".join(parts))
    given = {**SCAN, "scan_y": 1, "scan_x": 1}
    frames, _, _ = read(Tpx3FileSource(path=tmp_path / "quad.tpx3", **given, chips=chips))
    found = sorted(zip(*(each.tolist() for each in np.nonzero(frames[0])), strict=True))
    assert found == [(2, 5), (2, 261), (509, 250), (509, 506)]


# ---- live ---------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def simulated(**parameters):
    told, stop, ready = {}, threading.Event(), threading.Event()
    sim = Tpx3RawSimulator(**{"parameters": SMALL, **parameters})
    thread = threading.Thread(target=sim.run, args=(stop, lambda content: (told.update(content), ready.set())))
    thread.start()
    assert ready.wait(100)
    try:
        yield {"host": told["host"], "port": told["port"], "timeout": 20.0, "idle": 5.0, **SCAN}
    finally:
        stop.set()
        thread.join(100)
        assert not thread.is_alive()


def test_a_live_run_gives_what_the_recorded_file_gives(tmp_path):
    steps = [fl.step("virtual_detector", shape="annulus"), fl.step("center_of_mass"), fl.step("sum")]
    with simulated() as where:
        live = fl.run(Tpx3RawSource(**where), steps).finished(60)
    offline = fl.run(Tpx3FileSource(path=recorded(tmp_path), **SCAN), steps).finished(60)
    assert {name: result.data.tolist() for name, result in live.items()} == {
        name: result.data.tolist() for name, result in offline.items()
    }
    assert np.array_equal(live["virtual_detector"].data, truth().sum((1, 2)).reshape(3, 4))


def test_serval_may_connect_itself(tmp_path):
    data = recorded(tmp_path).read_bytes()
    source = Tpx3RawSource(serve=True, port=0, timeout=20.0, idle=5.0, **SCAN)
    source.open()
    with socket.create_connection(source.address) as link:
        link.sendall(data)
    items = list(source.items())
    source.close()
    assert sum(len(item) for item in items if isinstance(item, fl.Chunk)) == 12


def test_stop_ends_the_wait():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    source = Tpx3RawSource(port=port, **SCAN)
    threading.Timer(0.1, source.stop).start()
    with pytest.raises(Stopped):
        source.open()
    with pytest.raises(SourceError, match="Nobody answers"):
        Tpx3RawSource(port=port, timeout=0.1, **SCAN).open()


def test_parameters(tmp_path):
    for kind in (Tpx3RawSource, Tpx3FileSource, Tpx3RawSimulator):
        demand_documented(kind)
    demand_round_trips(Tpx3RawSource(**SCAN, electron=1e-7))


class TestTpx3RawSource(SourceContract):
    @pytest.fixture(autouse=True)
    def _simulators(self):
        self.open = contextlib.ExitStack()
        with self.open:
            yield

    def make(self, tmp_path):
        return Tpx3RawSource(**self.open.enter_context(simulated(clients=0)))
