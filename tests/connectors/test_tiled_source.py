"""Scans that lie on a real Tiled server: found by name and number, read a few frames at a time, replayed and reconstructed."""

import threading

import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.hxn.sim import HxnSimulator
from firstlight.connectors.together.source import TogetherSource
from firstlight.core.errors import SourceError

from .ptycho_files import KEV, METRES, scene

MADE = scene()
FACTOR = 1.0309
"""Scale of the encoders: micrometre = counts · FACTOR / 10000, both axes run backwards."""
THETA = float(np.degrees(np.arcsin(12.39842 / (2 * 3.1355893 * KEV))))


def put_run(catalogue, uid, *, scan_id, time, frames, layout=("primary",), upsample=1, brightness=1):
    """A run as HXN's servers have it: encoders in counts, several for each frame."""
    start = {"uid": uid, "scan_id": scan_id, "time": time, "x_scale_factor": FACTOR, "z_scale_factor": FACTOR}
    run = catalogue.create_container(uid, metadata={"start": {**start, "scan": {"detector_distance": METRES}}})
    node = run
    for part in layout:
        node = node.create_container(part)
    node.write_array(np.ascontiguousarray(frames * brightness), key="eiger2_image")
    counts = np.repeat(MADE.places * 1e6 / FACTOR * 1e4, upsample, axis=0)
    counts = counts + np.tile(np.linspace(-5, 5, upsample) if upsample > 1 else [0.0], len(MADE.places))[:, None]
    node.write_array(np.ascontiguousarray(counts[:, 1]), key="inenc2_val")
    node.write_array(np.ascontiguousarray(counts[:, 0]), key="inenc3_val")
    run.create_container("baseline").write_array(np.array([THETA]), key="dcm_th")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    simple = pytest.importorskip("tiled.server.simple", reason="the extra 'tiled' is not installed")
    from tiled.client import from_uri

    with simple.SimpleTiledServer(directory=str(tmp_path_factory.mktemp("tiled"))) as running:
        client = from_uri(running.uri)
        raw = client.create_container("hxn").create_container("raw")
        frames = MADE.frames.astype(np.uint32)
        put_run(raw, "old", scan_id=411, time=1.0, frames=frames, brightness=2)
        put_run(raw, "new", scan_id=411, time=2.0, frames=frames[None], upsample=4)
        put_run(raw, "deep", scan_id=412, time=3.0, frames=frames[:, None], layout=("streams", "primary"))
        yield running
        client.context.http_client.close()


@pytest.fixture
def url(server, monkeypatch):
    found, _, key = server.uri.partition("?api_key=")
    monkeypatch.setenv("TILED_API_KEY", key)
    return found.rstrip("/")


def opened(**given):
    source = fl.source("tiled", **given)
    return source, source.open()


@pytest.mark.heavy
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_a_scan_is_found_by_name_and_by_number_from_any_address(url):
    catalogue = f"{url}/metadata/hxn/raw"
    for given, brightness in (
        ({"url": url, "uid": "old"}, 2),
        ({"url": catalogue, "uid": "deep"}, 1),
        ({"url": catalogue, "scan_id": 411}, 1),
        ({"url": url, "scan_id": 412}, 1),
        ({"url": f"{catalogue}/new"}, 1),
    ):
        source, scan = opened(**given)
        np.testing.assert_array_equal(source.read({"position": slice(5, 9)}), MADE.frames[5:9] * brightness)
        places = source.read({}, "positions")
        np.testing.assert_allclose(places * 1e-6, MADE.places, atol=1e-12)
        assert scan.calibration["energy"].to("keV") == pytest.approx(KEV)
        assert (scan.calibration["distance"].to("m"), scan.calibration["pixel"].to("um")) == (METRES, 75)
        source.close()
    for given in ({"uid": "none"}, {"scan_id": 9}, {}):
        with pytest.raises(SourceError, match="no such scan"):
            opened(url=url, **given)


@pytest.mark.heavy
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_a_scan_of_the_server_is_replayed_and_reconstructed(url):
    """The whole way: Tiled, both streams over ZeroMQ, joined, reconstructed; of two runs with one number the newest."""
    told, stop, ready = {}, threading.Event(), threading.Event()
    simulator = HxnSimulator(tiled_url=url, scan_id="411", chunk_size=16, linger=0.5, rate=400)
    thread = threading.Thread(target=simulator.run, args=(stop, lambda content: (told.update(content), ready.set())))
    thread.start()
    try:
        assert ready.wait(60)
        source = TogetherSource(
            sources={
                "data": {"use": "dectris", "data": told["data"], "idle": 5},
                "positions": {"use": "panda", "address": told["positions"], "unit": told["unit"], "idle": 5},
            }
        )
        optics = {"energy": f"{KEV} keV", "distance": f"{METRES} m", "detector_pixel": "75 um"}
        found = fl.run(source, [fl.step("ptychography", iterations=60, **optics)]).finished()
    finally:
        stop.set()
        thread.join(100)
    assert found["ptychography.error"].data[-1] < 4 * MADE.noise


@pytest.mark.slow
def test_a_server_that_is_not_there_is_told():
    """Slow: Tiled's client tries again for half a minute."""
    pytest.importorskip("tiled.client", reason="the extra 'tiled' is not installed")
    with pytest.raises(SourceError, match="does not give the scan"):
        opened(url="http://127.0.0.1:9", uid="x")


def test_a_key_in_an_address_is_refused_and_not_repeated():
    pytest.importorskip("tiled.client", reason="the extra 'tiled' is not installed")
    with pytest.raises(SourceError, match="more than an address") as refused:
        opened(url="http://127.0.0.1:9?api_key=secret", uid="x")
    assert "secret" not in str(refused.value)


@pytest.mark.heavy
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_the_config_for_scans_like_it(url):
    """Read by what runs it: positions come out as they were measured."""
    from firstlight.compat.holoptycho.config import read_config
    from firstlight.connectors.hxn.from_scan import config_from_tiled

    config = read_config(config_from_tiled(url, scan_id=411))
    assert (config.get("scan_num"), config.get("raw_uid"), config.get("panda_upsample")) == ("411", "new", 4)
    assert config.get("x_ratio") * config.get("x_direction") == pytest.approx(FACTOR / 1e4)
    assert (config.get("nx"), config.get("z_m")) == (32, METRES)
    assert config.get("xray_energy_kev") == pytest.approx(KEV)
    assert config.get("x_range") == pytest.approx(np.ptp(MADE.places[:, 1]) * 1e6, rel=1e-6)
