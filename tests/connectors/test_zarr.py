"""Zarr: what zarr itself reads and writes, OME-NGFF as viewers want it, and a local S3 server."""

import json
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.connectors.zarr.ngff import halved, levels
from firstlight.connectors.zarr.sink import ZarrSink
from firstlight.connectors.zarr.source import ZarrSource
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import SinkError, SourceError
from firstlight.core.units import Quantity

RNG = np.random.default_rng(0)
SIZES = {"z": 5, "y": 300, "x": 520}
VOLUME = RNG.random((5, 300, 520)).astype(np.float32)


def scan(sizes=SIZES, arrival=1, dtype="float32", first=0):
    stream = Stream(tuple(sizes), sizes, dtype, arrival, unit="1/cm", first=first)
    return Scan({MAIN: stream}, "volume", {"pixel": Quantity(0.65, "um")})


def written(sink, order=range(5), seen=None):
    sink.open(seen or scan(), {"job": {}})
    for place in order:
        sink.write(Chunk(VOLUME[place : place + 1], ("y", "x"), np.array([place])))
    sink.close({"job": {}}, complete=True)


@pytest.mark.parametrize("compression", ["none", "blosc", "zstd"])
def test_a_volume_with_its_pyramid(tmp_path, compression):
    path = str(tmp_path / "out.zarr")
    written(ZarrSink(path=path, compression=compression), order=[3, 0, 4, 1, 2])
    root = zarr.open_group(path, mode="r")
    assert root.metadata.zarr_format == 3
    np.testing.assert_array_equal(root["0"][...], VOLUME)
    assert [root[name].shape for name in ("0", "1", "2")] == [(5, 300, 520), (3, 150, 260), (2, 75, 130)]
    means = VOLUME[:4].reshape(2, 2, 150, 2, 260, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(root["1"][:2], means, rtol=1e-5)
    np.testing.assert_allclose(root["1"][2], VOLUME[4].reshape(150, 2, 260, 2).mean(axis=(1, 3)), rtol=1e-5)
    ome = root.attrs["ome"]
    assert ome["version"] == "0.5"
    scales = ome["multiscales"][0]
    assert [axis["name"] for axis in scales["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in scales["axes"]} == {"micrometer"}
    for number, dataset in enumerate(scales["datasets"]):
        scale, shift = dataset["coordinateTransformations"]
        assert scale["scale"] == pytest.approx([0.65 * 2**number] * 3)
        assert shift["translation"] == pytest.approx([0.65 * (2**number - 1) / 2] * 3)
    assert root["0"].metadata.dimension_names == ("z", "y", "x")
    assert root.attrs["firstlight"]["complete"]


def test_the_source_plays_what_the_sink_wrote(tmp_path):
    path = str(tmp_path / "out.zarr")
    seen = scan({"angle": 5, "row": 300, "col": 520}, first=2)
    sink = ZarrSink(path=path, pyramid=False)
    sink.open(seen, {})
    for place in (0, 1, 4):
        coords = {"angle": np.array([10.0 * place])}
        sink.write(Chunk(VOLUME[place : place + 1], ("row", "col"), np.array([place + 2]), coords=coords))
    sink.close({}, complete=False)
    source = ZarrSource(path=path)
    found = source.open()
    assert (found.main.axes, found.main.first, found.main.unit) == (("angle", "row", "col"), 2, "1/cm")
    assert found.pixel("um") == pytest.approx(0.65)
    chunks = [item for item in source.items() if isinstance(item, Chunk)]
    assert np.concatenate([chunk.ids for chunk in chunks]).tolist() == [2, 3, 6]
    np.testing.assert_array_equal(np.concatenate([chunk.data for chunk in chunks]), VOLUME[[0, 1, 4]])
    assert np.concatenate([chunk.coords["angle"] for chunk in chunks]).tolist() == [0, 10, 40]
    source.close()


@pytest.mark.parametrize("version", [2, 3])
def test_arrays_of_other_programs(tmp_path, version):
    frames = RNG.integers(0, 9, (7, 4, 6)).astype(">u2" if version == 2 else "u2")
    root = zarr.create_group(tmp_path / "a.zarr", zarr_format=version)
    made = root.create_array("raw", shape=frames.shape, dtype=frames.dtype, chunks=(3, 4, 6))
    made[...] = frames
    root.create_array("theta", data=np.arange(7.0) * 20)
    source = ZarrSource(path=str(tmp_path / "a.zarr"), angles="theta")
    assert source.open().coords["angle"].tolist() == (np.arange(7.0) * 20).tolist()
    np.testing.assert_array_equal(source.read({"angle": slice(2, 5), "col": slice(1, 3)}), frames[2:5, :, 1:3])
    source.close()
    assert ZarrSource.recognises(tmp_path / "a.zarr")


def test_growing_and_resumed(tmp_path):
    path = str(tmp_path / "out.zarr")
    seen = scan({"z": None, "y": 300, "x": 520})
    sink = ZarrSink(path=path)
    written(sink, [0, 1, 3], seen)
    assert zarr.open_group(path)["covered"][...].tolist() == [1, 1, 0, 1]
    path = str(tmp_path / "again.zarr")
    sink = ZarrSink(path=path)
    written(sink, [0, 1, 2])
    sink.resume(scan(), {}, np.array([0, 2]))
    for place in (1, 3, 4):
        sink.write(Chunk(VOLUME[place : place + 1], ("y", "x"), np.array([place])))
    sink.close({}, complete=True)
    np.testing.assert_array_equal(zarr.open_group(path)["0"][...], VOLUME)
    assert zarr.open_group(path)["covered"][...].all()


def test_parts_of_frames_and_arrays_without_arrival(tmp_path):
    sink = ZarrSink(path=str(tmp_path / "a.zarr"), pyramid=False)
    sink.open(scan(), {})
    for cols in (slice(0, 300), slice(0, 300), slice(300, 520)):
        assert not zarr.open_group(sink.path)["covered"][1]
        sink.write(Chunk(VOLUME[1:2, :, cols], ("y", "x"), np.array([1]), where={"x": cols}))
    assert zarr.open_group(sink.path)["covered"][...].tolist() == [0, 1, 0, 0, 0]
    sink.close({}, complete=False)
    sink = ZarrSink(path=str(tmp_path / "b.zarr"), pyramid=False)
    sink.open(scan(arrival=0), {})
    for part in (slice(3, 5), slice(0, 3)):
        sink.write(Chunk(VOLUME[None, part], ("z", "y", "x"), np.zeros(1, np.int64), where={"z": part}))
    sink.close({}, complete=True)
    np.testing.assert_array_equal(zarr.open_group(sink.path)["0"][...], VOLUME)
    assert zarr.open_group(sink.path)["covered"][...].all()


def test_what_is_there_is_not_lost_by_accident(tmp_path):
    path = str(tmp_path / "out.zarr")
    written(ZarrSink(path=path, pyramid=False))
    with pytest.raises(SinkError, match="overwrite"):
        ZarrSink(path=path).open(scan(), {})
    written(ZarrSink(path=path, overwrite=True, pyramid=False))
    zarr.create_group(tmp_path / "theirs.zarr")
    with pytest.raises(SinkError, match="another program"):
        ZarrSink(path=str(tmp_path / "theirs.zarr"), overwrite=True).open(scan(), {})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(SinkError, match="no Zarr group"):
        ZarrSink(path=str(tmp_path / "mine"), overwrite=True).open(scan(), {})


@given(
    shape=st.lists(st.integers(1, 9), min_size=3, max_size=3).map(tuple),
    dtype=st.sampled_from(["uint8", "int16", "float32"]),
)
def test_halving_keeps_the_mean_of_even_lengths_and_the_range(shape, dtype):
    block = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    small = halved(block, ("time", "y", "x"))
    assert small.shape == (shape[0], -(-shape[1] // 2), -(-shape[2] // 2))
    assert small.dtype == block.dtype
    assert small.min() >= block.min()
    assert small.max() <= block.max()
    if dtype == "float32" and shape[1] % 2 == shape[2] % 2 == 0:
        assert small.mean() == pytest.approx(block.mean(), rel=1e-5)


def test_another_reader_of_ome_ngff_finds_nothing_wrong(tmp_path):
    """The models of ome-zarr-models, which are made from the specification."""
    models = pytest.importorskip("ome_zarr_models.v05", reason="ome-zarr-models is not installed")
    shape = {"z": 3, "y": 600, "x": 700}
    seen = Scan({MAIN: Stream(tuple(shape), shape, "float32", unit="1/cm")}, "s", {"pixel": Quantity(1.3, "um")})
    sink = ZarrSink(path=str(tmp_path / "a.zarr"))
    sink.open(seen, {})
    sink.write(Chunk(np.ones((3, 600, 700), np.float32), ("y", "x"), np.arange(3)))
    sink.close({}, complete=True)
    image = models.Image.from_zarr(zarr.open_group(tmp_path / "a.zarr", mode="r"))
    found = image.attributes.ome.multiscales[0]
    assert [axis.name for axis in found.axes] == ["z", "y", "x"]
    assert found.datasets[0].coordinateTransformations[0].scale == [1.3, 1.3, 1.3]
    assert len(found.datasets) > 1


def test_levels_end():
    assert levels((10, 200, 200), ("z", "y", "x")) == [(10, 200, 200)]
    assert len(levels((10, 10**6, 10**6), ("z", "y", "x"))) == 8


def test_mistakes_are_named(tmp_path):
    with pytest.raises(SourceError, match="no such folder"):
        ZarrSource(path=str(tmp_path / "nothing")).open()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="can not be read as Zarr"):
        ZarrSource(path=str(tmp_path / "empty")).open()
    root = zarr.create_group(tmp_path / "a.zarr")
    root.create_array("x", data=np.zeros((2, 3, 4)))
    root.create_array("y", data=np.zeros((2, 3, 4)))
    with pytest.raises(SourceError, match="which array"):
        ZarrSource(path=str(tmp_path / "a.zarr")).open()
    with pytest.raises(SourceError, match="no such array"):
        ZarrSource(path=str(tmp_path / "a.zarr"), array="w").open()
    with pytest.raises(SourceError, match="different labels"):
        ZarrSource(path=str(tmp_path / "a.zarr"), array="x", axes="row col").open()
    with pytest.raises(SourceError, match="address is not known"):
        ZarrSource(path="ftp://there/a.zarr").open()
    with pytest.raises(SinkError, match="first axis may be open"):
        ZarrSink(path=str(tmp_path / "b.zarr")).open(scan({"z": 3, "y": None, "x": 4}), {})


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "a.zarr"
    root = zarr.create_group(folder, attributes={"ome": {"multiscales": [{"axes": [], "datasets": []}]}})
    root.create_array("0", data=np.zeros((3, 4, 5), np.uint16), chunks=(2, 4, 5), compressors=None)
    return folder


JUNK = st.one_of(st.none(), st.integers(-3, 10**14), st.text(max_size=6), st.lists(st.integers(-3, 10**14), max_size=3))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from(["shape", "data_type", "chunk_grid", "codecs", "fill_value", "dimension_names", "node_type"]),
    value=JUNK,
    cut=st.integers(0, 200),
)
def test_damaged_metadata_end_in_a_clear_error_or_in_frames(valid, tmp_path, field, value, cut):
    folder = tmp_path / "a.zarr"
    shutil.copytree(valid, folder, dirs_exist_ok=True)
    told = json.loads((folder / "0" / "zarr.json").read_text())
    text = json.dumps({**told, field: value})
    (folder / "0" / "zarr.json").write_text(text if cut > 100 else text[: len(text) * cut // 100])
    source = ZarrSource(path=str(folder), array="0")
    try:
        scan_ = source.open()
        if np.prod([n or 0 for n in scan_.main.sizes.values()], dtype=float) < 1e6:
            list(source.items())
    except SourceError:
        pass
    finally:
        source.close()


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of an S3 server on loopback."""
    server_of = pytest.importorskip("moto.server", reason="moto[server] is not installed").ThreadedMotoServer
    pytest.importorskip("obstore", reason="the extra 's3' is not installed")
    import boto3

    server = server_of(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket="scans")
        yield endpoint
        client.close()
    finally:
        server.stop()


def test_a_bucket_of_an_s3_server(bucket):
    given_ = {"path": "s3://scans/visit/out.zarr", "endpoint": bucket}
    written(ZarrSink(**given_))
    with pytest.raises(SinkError, match="overwrite"):
        ZarrSink(**given_).open(scan(), {})
    source = ZarrSource(**given_)
    assert source.open().main.axes == ("z", "y", "x")
    np.testing.assert_array_equal(source.read({}), VOLUME)
    source.close()
    with pytest.raises(SinkError, match="s3://nowhere") as failed:
        ZarrSink(path="s3://nowhere/out.zarr", endpoint=bucket).open(scan(), {})
    assert "The specified bucket does not exist" in str(failed.value)
    assert "\n" not in str(failed.value), "nothing of what the store adds for debugging"
    with pytest.raises(SourceError, match="can not be read as Zarr"):
        ZarrSource(path="s3://scans/other.zarr", endpoint=bucket).open()


@pytest.mark.slow
def test_a_run_into_a_bucket_goes_on_after_an_error(bucket, tmp_path, monkeypatch):
    from firstlight.core.errors import FirstlightError
    from firstlight.jobs.load import load_job
    from firstlight.jobs.start import start

    def job(name, **runner):
        source = {"use": "phantom", "columns": 32, "rows": 12, "angles": 24}
        steps = [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "fbp", "center": 15.5}]
        sink = {"use": "zarr", "of": "fbp", "path": f"s3://scans/{name}.zarr", "endpoint": bucket}
        runner = {"use": "local", "threads": 2, "memory": 1, **runner}
        return load_job({"name": "x", "source": source, "steps": steps, "sinks": [sink], "runner": runner})

    monkeypatch.setenv("FIRSTLIGHT_STATE", str(tmp_path))
    start(job("whole")).finished(60)
    plain, written_ = ZarrSink.write, []

    def failing(self, chunk):
        if len(written_) == 2:
            raise OSError("the network is gone")
        written_.append(chunk)
        plain(self, chunk)

    with monkeypatch.context() as patched:
        patched.setattr(ZarrSink, "write", failing)
        with pytest.raises(FirstlightError, match="network is gone"):
            start(job("cut")).finished(60)
    assert [each.name for each in (tmp_path / "interrupted").iterdir()]
    run = start(job("cut", resume=True))
    run.finished(60)
    assert run.report()["stages"]["fbp"]["frames"] < 12
    found = {}
    for name in ("whole", "cut"):
        source = ZarrSource(path=f"s3://scans/{name}.zarr", endpoint=bucket)
        source.open()
        found[name] = source.read({})
        source.close()
    np.testing.assert_array_equal(found["whole"], found["cut"])
    assert not list((tmp_path / "interrupted").iterdir())
