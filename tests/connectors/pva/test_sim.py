"""The simulator, mostly in a process of its own, and the source behind it."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from beamlines import ROOM, Reader, Server
from pydantic import ValidationError

from firstlight.connectors.pva import play
from firstlight.connectors.pva.sim import PvaSimulator
from firstlight.connectors.pva.source import PvaSource
from firstlight.core.errors import SourceError

SMALL = {"columns": 32, "rows": 4, "angles": 40, "darks": 3, "flats": 3}


class Process:
    """``python -m firstlight.connectors.pva.sim`` with small data."""

    def __init__(self, folder, **parameters):
        self.folder = folder
        given = {"settle": 0.3, "linger": 1.0, "report": str(folder / "report.json"), **parameters}
        if "file" not in given:
            given["parameters"] = {**SMALL, **given.get("parameters", {})}
        command = [sys.executable, "-m", "firstlight.connectors.pva.sim"]
        command += [f"{name}={json.dumps(value)}" for name, value in given.items()]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.told = json.loads(self.process.stdout.readline() or "null")
        if self.told is None:
            raise RuntimeError(self.process.stderr.read())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def source(self, **parameters):
        names = {use: self.told[use] for use in ("image", "dark", "flat", "theta")}
        return PvaSource(**{"server": self.told["server"], "idle": 1.5, "queue": ROOM, **names, **parameters})

    def report(self):
        assert self.process.wait(60) == 0, self.process.stderr.read()
        return json.loads((self.folder / "report.json").read_text())


def played(sim, **parameters):
    """What a simulator plays until its process has ended, and its report."""
    reader = Reader(sim.source(**{"idle": 60.0, **parameters}))
    report = sim.report()
    reader.source.stop()
    return reader.finish(), report


def frames_of(reader):
    return np.concatenate([chunk.data for chunk in reader.chunks()])


def angles_of(reader):
    return np.concatenate([chunk.coords["angle"] for chunk in reader.chunks()])


@pytest.fixture
def dxfile(tmp_path):
    path = tmp_path / "scan.h5"
    rng = np.random.default_rng(2)
    with h5py.File(path, "w") as file:
        file["exchange/data"] = rng.integers(100, 1000, (30, 3, 16)).astype(np.uint16)
        file["exchange/data_dark"] = rng.integers(90, 110, (4, 3, 16)).astype(np.uint16)
        file["exchange/data_white"] = rng.integers(1900, 2100, (4, 3, 16)).astype(np.uint16)
        file["exchange/theta"] = np.arange(30) * 6.0
    return path


def test_a_file_plays_once_from_the_first_frame_to_the_last(tmp_path, dxfile):
    with Process(tmp_path, file=str(dxfile), rate=200) as sim:
        reader, report = played(sim)
    with h5py.File(dxfile) as file:
        assert np.array_equal(frames_of(reader), file["exchange/data"][:])
        assert np.allclose(reader.chunks("dark")[0].data[0], file["exchange/data_dark"][:].mean(axis=0), atol=1e-3)
        assert np.allclose(reader.chunks("flat")[0].data[0], file["exchange/data_white"][:].mean(axis=0), atol=1e-3)
    assert np.allclose(angles_of(reader), np.arange(30) * 6.0)
    assert reader.gaps() == []
    assert (report["posted"], report["withheld"], report["last_id"]) == (30, 0, 30)
    assert report["rate_asked"] == 200
    assert 0 < report["rate_offered"] <= 205


@pytest.mark.parametrize(
    "codec", [pytest.param("lz4", marks=pytest.mark.slow), "bslz4", pytest.param("blosc", marks=pytest.mark.slow)]
)
def test_compressed(tmp_path, dxfile, codec):
    with Process(tmp_path, file=str(dxfile), rate=0, codec=codec) as sim, h5py.File(dxfile) as file:
        reader, _ = played(sim, queue=64)
        assert np.array_equal(frames_of(reader), file["exchange/data"][:])


def test_withheld_frames_are_exactly_the_lost_ones(tmp_path):
    with Process(tmp_path, rate=400, loop=True, frames=600, lose=0.05, seed=4) as sim:
        reader, report = played(sim)
    assert report["withheld"] > 10
    assert sorted(place + 1 for _, place in reader.missing()) == report["withheld_ids"]
    assert len(reader.places()) == report["posted"]
    assert report["last_id"] == reader.places()[-1][1] + 1


def test_faster_than_the_path_carries_the_counts_stay_exact(tmp_path):
    with Process(tmp_path, rate=0, loop=True, frames=4000, parameters={"columns": 256, "rows": 128}) as sim:
        reader, report = played(sim, queue=32)
    assert report["posted"] == 4000
    assert len(reader.missing()) > 0
    assert sorted(reader.places() + reader.missing()) == [(0, place) for place in range(4000)]


def test_chosen_ids_are_withheld_in_a_scan_of_known_length(tmp_path):
    with Process(tmp_path, rate=200, lose_ids=[5, 6, 40]) as sim:
        reader, report = played(sim, frames=40)
    assert sorted(place + 1 for _, place in reader.missing()) == [5, 6, 40]
    assert report["withheld_ids"] == [5, 6]


def test_the_server_restarts_and_ids_start_over(tmp_path):
    with Process(tmp_path, rate=200, restart_after=25, down=0.3) as sim:
        reader, report = played(sim)
    assert reader.places() == [(0, place) for place in range(25)] + [(1, place) for place in range(40)]
    assert (report["epochs"], report["posted"]) == (2, 65)


@pytest.mark.slow
def test_a_simulator_that_is_killed_and_started_again_is_found(tmp_path):
    with Process(tmp_path, rate=50, loop=True) as first:
        reader = Reader(first.source(idle=8.0))
        reader.until(lambda r: len(r.places()) > 10)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        port = int(first.told["server"].partition(":")[2])
    with Process(tmp_path, rate=100, port=port) as second:
        reader.until(lambda r: (1, 39) in r.places())
        assert second.report()["posted"] == 40
    reader.source.stop()
    reader.finish()
    before = [place for epoch, place in reader.places() if epoch == 0]
    assert before == list(range(len(before)))
    assert [place for epoch, place in reader.places() if epoch == 1] == list(range(40))
    assert reader.gaps() == []


def test_sigterm_ends_it_with_a_report(tmp_path):
    with Process(tmp_path, rate=50, loop=True, linger=0.2) as sim:
        reader = Reader(sim.source(idle=60.0)).until(lambda r: r.places())
        sim.process.send_signal(signal.SIGTERM)
        report = sim.report()
        reader.source.stop()
        reader.finish()
    assert report["posted"] == len(reader.places())


def test_sixteen_bit_ids_wrap(tmp_path):
    with Process(tmp_path, rate=500, loop=True, frames=200, id_bits=16, first_id=65436) as sim:
        reader, _ = played(sim, id_bits=16, first_id=65436, theta=None, angle_step=1.0)
    assert reader.places() == [(0, place) for place in range(200)]


def test_it_waits_for_a_client_and_ends_by_itself(tmp_path):
    with Process(tmp_path, rate=100, loop=True, seconds=0.5, linger=0.2) as sim:
        time.sleep(1.0)
        assert sim.process.poll() is None
        reader, report = played(sim)
    assert 0 < report["posted"] < 55
    assert reader.places()[0] == (0, 0)


def test_it_posts_as_many_frames_as_its_time_has_room_for(monkeypatch):
    from firstlight.connectors.pva import player

    class Clock(threading.Event):
        """Goes on by what is waited for, however busy the machine is."""

        now = 0.0
        time_ns = staticmethod(time.time_ns)

        def perf_counter(self):
            return self.now

        def wait(self, timeout=None):
            self.now += timeout
            return False

    clock = Clock()
    monkeypatch.setattr(player, "time", clock)
    given = {"parameters": SMALL, "rate": 100, "loop": True, "wait_for_clients": False, "settle": 0, "linger": 0}
    assert PvaSimulator(**given, seconds=0.5).run(clock)["posted"] in (50, 51)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc/net/tcp")
def test_it_serves_on_loopback_alone(tmp_path):
    with Process(tmp_path, rate=10) as sim:
        host, port = sim.told["server"].split(":")
        assert host == "127.0.0.1"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        listening = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{int(port):04X}")]
        assert listening == [f"0100007F:{int(port):04X}"]


def test_a_name_that_answers_elsewhere_is_refused(monkeypatch):
    with Server(names={use: f"taken:{use}" for use in ("image", "dark", "flat", "theta")}) as server:
        simulator = PvaSimulator(parameters=SMALL, prefix="taken:", image="image")
        monkeypatch.setenv("EPICS_PVA_NAME_SERVERS", server.address)
        from firstlight.connectors.pva import serve

        monkeypatch.setattr(serve, "LOOPBACK", ())
        with pytest.raises(SourceError, match="served already"):
            serve.refuse_taken(["taken:image"], simulator.interface)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValidationError, match="is no file"):
        PvaSimulator(file=tmp_path / "nothing.h5")


def test_mistakes_end_the_process_with_a_sentence(tmp_path):
    command = [sys.executable, "-m", "firstlight.connectors.pva.sim", "rate=-1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "rate" in ended.stderr


# ---- turning on -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("center", "within"), [(30.0, 1e-4), (29.5, 1e-4), (29.75, 0.02)])
def test_odd_half_turns_are_the_mirror_image_about_the_axis(center, within):
    # on a whole or a half column the image is exact; between, edges are interpolated
    quiet = {
        **SMALL,
        "columns": 64,
        "noise": False,
        "readout": 0.0,
        "center": center,
        "counts": 50000.0,
        "structure": 0.0,
    }
    half = play.load("phantom", {**quiet, "angles": 60, "range": 180.0}, 1e9)
    whole = play.load("phantom", {**quiet, "angles": 120, "range": 360.0}, 1e9)
    dark, flat = half.images["dark"][0].pixels, half.images["flat"][0].pixels
    for place in (0, 17, 59):
        wanted = whole.frame(60 + place).astype(float)
        made = play.mirror(half.frame(place), dark, flat, center).astype(float)
        assert np.abs(made - wanted)[:, :60].mean() < within * wanted.mean()
        assert np.allclose(made[:, 62:], flat[:, 62:], atol=1.0)


def test_the_axis_is_found_or_known():
    given = {"columns": 96, "rows": 8, "angles": 60, "center": 43.2}
    recording = play.load("phantom", given, 1e9)
    assert play.find_axis(recording) == 43.2

    class Unknowing:
        def model_dump(self):
            return {}

    recording.source = Unknowing()
    assert abs(play.find_axis(recording) - 43.2) < 0.5
    recording.images.clear()
    assert play.find_axis(recording) == 47.5


def test_mirroring_twice_about_a_whole_column_gives_the_frame_again():
    frame = np.random.default_rng(1).integers(200, 900, (3, 21)).astype(np.uint16)
    dark, flat = np.full((3, 21), 100, np.float32), np.full((3, 21), 1000, np.float32)
    twice = play.mirror(play.mirror(frame, dark, flat, 10.0), dark, flat, 10.0)
    assert np.abs(twice.astype(int) - frame).max() <= 1


def test_counts_stay_in_the_range_of_their_type():
    for dtype in ("uint8", "uint16", "int32", "uint32", "float32"):
        frame = np.full((1, 8), 250).astype(dtype)
        flat = np.full((1, 8), 100, np.float32)
        flat[0, :4] = 1e12
        made = play.mirror(frame, np.zeros((1, 8), np.float32), flat, 3.5)
        assert made.dtype == dtype
        assert np.isfinite(made.astype(float)).all()
        assert (made.astype(float) >= 0).all()


@pytest.mark.parametrize(
    ("angles", "count", "mirrored"),
    [
        (np.arange(180) * 1.0, 180, True),
        (np.arange(181) * 1.0, 180, True),
        (np.arange(180) * -1.0, 180, True),
        (np.arange(720) * 0.5, 720, False),
        (np.linspace(0, 360, 721), 720, False),
        (37.0 + np.linspace(0, 180, 91), 90, True),
    ],
)
def test_what_repeats_is_found(angles, count, mirrored):
    turn = play.turn_of(angles)
    assert (turn.count, turn.mirrored) == (count, mirrored)
    grown = np.array([turn.angle(angles, place) for place in range(3 * count)])
    steps = np.diff(grown)
    assert np.allclose(steps, steps[0])
    assert turn.picture(count + 3) == (3, mirrored)
    assert turn.picture(2 * count + 3) == (3, False)


def test_a_scan_of_a_third_of_a_turn_is_not_turned_on():
    with pytest.raises(SourceError, match="180 or 360"):
        play.turn_of(np.arange(120) * 1.0)


def test_angles_grow_and_are_published_ahead(monkeypatch):
    from firstlight.connectors.pva import player

    monkeypatch.setattr(player, "_TURNS_AHEAD", 2)
    stop = threading.Event()
    told = {}
    ready = threading.Event()

    def announce(content):
        told.update(content)
        ready.set()

    simulator = PvaSimulator(parameters=SMALL, loop=True, rate=400, linger=0.2)
    thread = threading.Thread(target=simulator.run, args=(stop, announce))
    thread.start()
    assert ready.wait(100)
    names = {use: told[use] for use in ("image", "dark", "flat", "theta")}
    reader = Reader(PvaSource(server=told["server"], idle=1.0, queue=ROOM, **names))
    reader.until(lambda r: len(r.places()) > 200)
    stop.set()
    reader.finish()
    thread.join()
    angles = angles_of(reader)
    assert len(angles) > 200
    assert reader.gaps() == []
    assert np.allclose(np.diff(angles), 4.5, atol=1e-3)
