"""The simulated detector, its REST interface, and the detector object that uses both: passive and active."""

import json
import urllib.request

import numpy as np
import pytest
from detectors import SMALL, Reader, at, simulated

from firstlight.connectors.dectris.control import Acquisition, ControlError, Simplon
from firstlight.connectors.dectris.detector import Detector
from firstlight.connectors.dectris.sim import DectrisSimulator
from firstlight.connectors.dectris.source import DectrisSource
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.testing.fields import demand_documented, demand_round_trips


def truth():
    from firstlight.core import registry

    return registry.get("sources", "phantom4d")(**SMALL).read({}).reshape(-1, 12, 16)


def frames_of(reader, count=12):
    out = np.zeros((count, *reader.scan.main.frame_shape), reader.scan.main.dtype)
    for chunk in reader.chunks():
        out[chunk.ids] = chunk.data
    return out


@pytest.mark.parametrize("stream", [1, 2])
@pytest.mark.parametrize("encoding", ["bs16-lz4<", "lz4<", "<"])
def test_what_is_played_arrives(stream, encoding):
    with simulated(stream=stream, encoding=encoding) as (told, _):
        reader = Reader(DectrisSource(data=told["data"], scan_y=3, timeout=20.0)).finish()
    assert np.array_equal(frames_of(reader), truth())
    assert reader.scan.main.sizes == {"scan_y": 3, "scan_x": 4, "row": 12, "col": 16}


@pytest.mark.parametrize("mode", ["ints", "inte", "exts", "exte"])
def test_every_trigger_mode_by_itself_and_split_parts(mode):
    with simulated(trigger_mode=mode, split=True, header_detail="all", socket="pub") as (told, _):
        reader = Reader(DectrisSource(data=told["data"], socket="sub", timeout=20.0)).finish()
    assert np.array_equal(frames_of(reader), truth())


@pytest.mark.parametrize("stream", [1, 2])
def test_a_live_run_gives_what_the_recorded_data_give(stream):
    import firstlight as fl

    steps = [
        {"use": "center_of_mass"},
        {"use": "virtual_detector", "name": "bright", "inputs": ["source.data"]},
        {"use": "sum", "name": "total", "inputs": ["source.data"]},
    ]
    offline = fl.run(fl.source("phantom4d", **SMALL), steps).finished(60)
    with simulated(stream=stream) as (told, _):
        run = fl.run(DectrisSource(data=told["data"], scan_y=3, timeout=20.0), steps)
        live = run.finished(60)
    assert (run.counts.expected, run.counts.done) == (12, 12)
    assert sorted(live) == sorted(offline)
    for name in offline:
        assert np.array_equal(live[name].data, offline[name].data), name


def test_faults_are_found_out_and_counted():
    with simulated(lose_ids=(2, 7), repeat_ids=(3,), truncate_ids=(5,), garbage_ids=(8,)) as (told, report):
        source = DectrisSource(data=told["data"], timeout=20.0)
        reader = Reader(source).finish()
    assert reader.missing() == at(2, 7)
    assert reader.missing("rejected") == at(5)
    assert reader.places() == at(0, 1, 3, 4, 6, 8, 9, 10, 11)
    kept = [i for _, i in reader.places()]
    assert np.array_equal(frames_of(reader)[kept], truth()[kept])
    assert (report["sent"], report["withheld"]) == (10, 2)


def test_losses_are_drawn_and_repeatable():
    seen = []
    for _ in range(2):
        with simulated(lose=0.3, seed=5) as (told, _):
            seen.append(Reader(DectrisSource(data=told["data"], timeout=20.0)).finish().missing())
    assert seen[0] == seen[1]
    assert 0 < len(seen[0]) < 9


def test_a_restart_mid_series_and_the_series_after_it():
    with simulated(restart_after=5) as (told, _), Detector(told["data"]) as detector:
        first = Reader(detector.wait(20.0)).finish()
        second = Reader(detector.wait(20.0)).finish()
        assert detector.wait(0.2) is None
    assert (first.places(), first.missing()) == (at(*range(5)), at(*range(5, 12)))
    assert np.array_equal(frames_of(second), truth())


def test_an_array_is_played_round_and_round(tmp_path):
    pixels = np.random.default_rng(1).poisson(4, (5, 6, 8)).astype(np.uint16)
    np.save(tmp_path / "frames.npy", pixels)
    with simulated(file=tmp_path / "frames.npy", frames=12, auto=2, rate=2000.0, dwell=0.001) as (told, report):
        with Detector(told["data"]) as detector:
            readers = [Reader(detector.wait(20.0)).finish() for _ in range(2)]
    for reader in readers:
        assert np.array_equal(frames_of(reader), pixels[np.arange(12) % 5])
    assert report["sent"] == 24


def test_a_curved_stream(monkeypatch):
    import zmq

    public, secret = zmq.curve_keypair()
    monkeypatch.setenv("SERVER_SECRET", secret.decode())
    with simulated(secret_key="SERVER_SECRET") as (told, _):
        source = DectrisSource(data=told["data"], server_key=public.decode(), timeout=20.0)
        assert Reader(source).finish().places() == at(*range(12))


# ---- REST -----------------------------------------------------------------------------------------------------------


def test_active_mode_configures_arms_calls_and_reads():
    called = []
    with simulated(auto=0, trigger_mode="ints") as (told, _), Detector(told["data"], api=told["api"]) as detector:
        assert detector.api.state() == "idle"
        source = detector.arm(
            shape=(2, 5), trigger_mode="exts", lines=2, frame_time=2e-3, ready=lambda s: called.append(s)
        )
        assert called == [source]
        reader = Reader(source).finish()
        assert reader.scan.main.sizes == {"scan_y": 2, "scan_x": 5, "row": 12, "col": 16}
        assert reader.places() == at(*range(10))
        assert (detector.api.get("nimages"), detector.api.get("ntrigger")) == (5, 2)
        assert detector.api.get("frame_time") == 2e-3
        # a second one on the same connection, triggered by command, frame by frame
        reader = Reader(detector.arm(shape=(2, 3), trigger_mode="inte"))
        for _ in range(6):
            assert detector.api.state() in ("ready", "acquire")
            detector.trigger()
        reader.finish()
        assert (reader.scan.name, reader.places()) == ("series 2", at(*range(6)))
        assert detector.api.state() == "idle"


def test_an_abort_keeps_what_came_and_the_next_series_is_whole():
    with simulated(auto=0) as (told, _), Detector(told["data"], api=told["api"]) as detector:
        reader = Reader(detector.arm(shape=(2, 3), trigger_mode="inte")).opened()
        detector.trigger()
        detector.trigger()
        detector.api.abort()
        reader.finish()
        assert (reader.places(), reader.missing()) == (at(0, 1), at(2, 3, 4, 5))
        reader = Reader(detector.arm(shape=(3, 4), trigger_mode="exte")).finish()
        assert np.array_equal(frames_of(reader), truth())


def test_a_hook_that_fails_disarms():
    def fail(_):
        raise RuntimeError("the scan does not start")

    with simulated(auto=0) as (told, _), Detector(told["data"], api=told["api"]) as detector:
        with pytest.raises(RuntimeError, match="does not start"):
            detector.arm(shape=(2, 3), trigger_mode="inte", ready=fail)
        assert detector.api.state() == "idle"


def test_parameters_are_set_in_the_order_that_the_control_unit_wants():
    wanted = Acquisition(
        trigger_mode="exts", frames=12, lines=3, roi_mode="lines", count_time=1e-3, frame_time=2e-3, file_writing=False
    )
    assert [(module, name, value) for module, name, value in wanted.settings()] == [
        ("stream", "mode", "enabled"),
        ("stream", "header_detail", "basic"),
        ("filewriter", "mode", "disabled"),
        ("detector", "roi_mode", "lines"),
        ("detector", "trigger_mode", "exts"),
        ("detector", "nimages", 1),
        ("detector", "ntrigger", 1),
        ("detector", "nimages", 4),
        ("detector", "ntrigger", 3),
        ("detector", "count_time", 1e-3),
        ("detector", "frame_time", 2e-3),
    ]
    with pytest.raises(ControlError, match="multiple of 5"):
        Acquisition(trigger_mode="ints", frames=12, lines=5).settings()
    with pytest.raises(ControlError, match="trigger_mode"):
        Acquisition(frames=12).settings()


def test_errors_name_the_parameter_and_the_reason():
    with simulated(auto=0) as (told, _):
        api = Simplon(told["api"])
        with pytest.raises(ControlError, match=r"knows no .*HTTP 404.*field_of_dreams"):
            api.get("field_of_dreams")
        with pytest.raises(ControlError, match=r"refuses .*must be one of ints.*trigger_mode = 'now'"):
            api.put("trigger_mode", "now")
        with pytest.raises(ControlError, match="nimages = -1"):
            api.put("nimages", -1)
        with pytest.raises(ControlError, match="can be changed"):
            api.put("bit_depth_image", 8)
        with pytest.raises(ControlError, match="not possible"):
            api.trigger()
        with pytest.raises(ControlError, match="no command"):
            api.command("dance")
        api.disarm()
    with pytest.raises(ControlError, match="does not answer"):
        Simplon(told["api"], timeout=2.0).state()
    with pytest.raises(ControlError, match="none of the web"):
        Simplon("file:///etc").state()
    with pytest.raises(SourceError, match="REST"):
        _ = Detector("tcp://127.0.0.1:1").api


def test_a_closed_detector_says_so():
    with Detector("tcp://127.0.0.1:1") as detector:
        pass
    with pytest.raises(FirstlightError, match="closed"):
        detector.wait(0.1)


def test_the_interface_answers_as_the_manual_describes():
    with simulated(auto=0) as (told, _):

        def ask(path, method="GET", body=None):
            request = urllib.request.Request(f"{told['api']}/{path}", body, method=method)
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.loads(response.read())

        assert ask("detector/api/version/")["value"] == "1.8.0"
        answer = ask("detector/api/1.8.0/config/nimages")
        assert answer == {"value": 1, "value_type": "uint", "access_mode": "rw"}
        assert ask("stream/api/1.8.0/config/mode", "PUT", b'{"value": "enabled"}') == ["mode"]
        assert ask("detector/api/1.8.0/command/initialize", "PUT") is None


def test_parameters_are_documented_and_limited():
    demand_documented(DectrisSimulator, frozenset({"seed"}))
    demand_round_trips(DectrisSimulator(parameters={"rows": 32}))
    demand_documented(Acquisition, frozenset())
    with pytest.raises(ValueError, match="no file"):
        DectrisSimulator(file="/nowhere.npy")


def test_what_can_not_be_played_is_told(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    with pytest.raises(SourceError, match="can not be played"):
        DectrisSimulator(file=tmp_path / "a.npy").run()
