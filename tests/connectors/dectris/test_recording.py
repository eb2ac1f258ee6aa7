"""What a series becomes on disk: each frame where the run places it, whatever comes, and messages byte for byte."""

import cbor2
import h5py
import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
import pytest
from detectors import Detector, Reader, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.dectris import stream1
from firstlight.connectors.dectris.messages import read_messages, split_messages
from firstlight.core.errors import SourceError
from firstlight.kernels.decompress import BrokenStream, encode_bslz4, encode_lz4
from firstlight.kernels.stored_chunk import bslz4_chunk, lz4_chunk


def covered(path):
    with h5py.File(path) as file:
        there = file["entry/data/covered"][()].ravel().astype(bool)
        data = file["entry/data/data"][()].reshape(len(there), 5, 7)
        for place in np.flatnonzero(there):
            assert (data[place] == picture(place)).all()
        assert not data[~there].any()
        return np.flatnonzero(there).tolist(), file["entry"].attrs["complete"]


@pytest.mark.parametrize("version", [1, 2])
def test_disorder_loss_repeats_and_frames_of_another_series(tmp_path, version):
    order = [0, 2, 1, 5, 3, 3, 4, 40, 6, 7, 9, 8, 11, 10, 39, 2]
    with Detector(version=version) as detector:
        reader = Reader(detector.source(scan_y=6, scan_x=8, window=16, record=tmp_path / "scan.h5"))
        detector.begin(48)
        detector.frames(*order)
        detector.frames(12, 13, series=7)
        detector.frames(47, 46)
        detector.end()
        reader.finish().right()
    places, complete = covered(tmp_path / "scan.h5")
    assert [(0, place) for place in places] == reader.places()
    assert 6 not in places  # it came later than the window allows
    assert complete
    with h5py.File(tmp_path / "scan.h5") as file:
        missing = file["entry/missing"][()]
        received = file["entry/instrument/detector/received"][()]
    assert sum(last - first + 1 for _, first, last in missing) == 48 - len(places)
    assert np.isfinite(received).nonzero()[0].tolist() == places


def test_a_series_that_is_armed_anew_leaves_the_first_one_whole(tmp_path):
    with Detector() as detector:
        reader = Reader(detector.source(record=tmp_path / "scan.h5"))
        detector.begin(10, series=1)
        detector.frames(0, 1, 2, series=1)
        detector.begin(10, series=2)
        detector.frames(0, 1, 5, series=2)
        reader.finish()
    places, _ = covered(tmp_path / "scan.h5")
    assert places == [0, 1, 2]


def test_a_series_without_a_known_end_grows(tmp_path):
    with Detector() as detector:
        reader = Reader(detector.source(record=tmp_path / "scan.h5", idle=0.5))
        detector.send(
            stream1.write_start(1, {"x_pixels_in_detector": 7, "y_pixels_in_detector": 5, "bit_depth_image": 16})
        )
        detector.frames(*range(1500))
        detector.end()
        reader.finish().right()
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file["entry/data/data"].shape == (1500, 5, 7)
        assert file["entry/instrument/detector/received"].shape == (1500,)
        assert file["entry/data"].attrs["axes"].tolist() == [b"position", b"row", b"col"]
    places, _ = covered_of_many(tmp_path / "scan.h5")
    assert places == 1500


def covered_of_many(path):
    with h5py.File(path) as file:
        data = file["entry/data/data"][()]
        assert np.array_equal(data[:, 0, 0], np.arange(len(data)) % 200)
        return int(file["entry/data/covered"][()].sum()), file["entry"].attrs["complete"]


def test_several_thresholds_are_an_axis(tmp_path):
    names = ("threshold_1", "threshold_2")
    with Detector(version=2) as detector:
        reader = Reader(detector.source(record=tmp_path / "scan.nxs"))
        detector.begin(4, channels=names)
        detector.frames(*range(4), channels=names)
        detector.end()
        reader.finish()
    with h5py.File(tmp_path / "scan.nxs") as file:
        data = file["entry/data/data"]
        assert (data.shape, data.chunks) == ((4, 2, 5, 7), (1, 1, 5, 7))
        np.testing.assert_array_equal(data[:, 1, 0, 0], np.arange(4) + 1000)


def test_the_head_of_a_recording_tells_what_the_detector_told(tmp_path):
    with Detector() as detector:
        reader = Reader(detector.source(record=tmp_path / "scan.h5"))
        detector.begin(2, detail="all", sensor_material="CdTe", photon_energy=8041.0, x_pixel_size=7.5e-5)
        detector.frames(0, 1)
        detector.end()
        reader.finish()
    with h5py.File(tmp_path / "scan.h5") as file:
        found = file["entry/instrument/detector"]
        assert found["sensor_material"][()] == b"CdTe"
        assert (found["x_pixel_size"][()], found["x_pixel_size"].attrs["units"]) == (7.5e-5, "m")
        assert found["detectorSpecific/ntrigger"][()] == 2
        assert found["detectorSpecific/tables/pixel_mask"].shape == (5, 7)
        assert file["entry/instrument/beam/incident_energy"][()] == 8041.0
        assert file["entry/calibration/energy"][()] == pytest.approx(8.041)


def test_recordings_of_a_real_detector_and_ours_are_laid_out_alike(data_folder, tmp_path):
    path = data_folder / "detector" / "eiger-small.cbors"
    messages = [[bytes(part) for part in message] for message in read_messages(path)]
    with path.open("rb") as file:
        assert messages == [cbor2.load(file) for _ in range(5)]
    assert [len(message) for message in messages] == [9, 5, 5, 5, 1]


@settings(max_examples=200)
@given(
    st.lists(st.lists(st.binary(max_size=300), max_size=20), max_size=5), st.integers(0, 400), st.binary(max_size=20)
)
def test_messages_whole_cut_or_followed_by_garbage(messages, cut, garbage):
    data = b"".join(map(cbor2.dumps, messages))
    assert [[bytes(part) for part in each] for each in split_messages(memoryview(data), "x")] == messages
    found = []
    try:
        for each in split_messages(memoryview(data[: max(0, len(data) - cut)] + garbage), "x"):
            found.append([bytes(part) for part in each])
    except SourceError as error:
        assert error.field == "replay"  # noqa: PT017
    whole = [
        each
        for each, end in zip(messages, np.cumsum([len(cbor2.dumps(m)) for m in messages]), strict=True)
        if end <= len(data) - cut
    ]
    assert found[: len(whole)] == whole


@settings(max_examples=150)
@given(st.sampled_from(["u1", "u2", "u4"]), st.booleans(), st.integers(0, 60), st.binary(max_size=30))
def test_chunks_that_are_cut_or_garbage_are_refused(dtype, framed, cut, garbage):
    pixels = np.arange(37 * 11, dtype=dtype).reshape(37, 11)
    for encode, chunk in (
        (encode_bslz4, lambda data: bslz4_chunk(data, pixels.nbytes, pixels.itemsize)),
        (encode_lz4, lambda data: lz4_chunk(data, pixels.nbytes)),
    ):
        whole = encode(pixels, framed=framed)
        assert bytes(chunk(memoryview(whole))).endswith(whole[12:])
        if cut:
            with pytest.raises(BrokenStream):
                chunk(memoryview(whole[:-cut]))
        if garbage:
            with pytest.raises(BrokenStream):
                chunk(memoryview(garbage))
