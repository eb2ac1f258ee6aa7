"""CXI files as they are exchanged: where the beam was, dead pixels, energies in joule, and a real near-field scan."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import firstlight as fl
from firstlight.connectors.cxi.source import CxiSource, beam_places
from firstlight.core.chunk import MAIN, Chunk, Gap
from firstlight.core.errors import SourceError

FRAMES = np.random.default_rng(0).integers(0, 900, (6, 4, 5)).astype(np.int32)
MOVES = np.random.default_rng(1).normal(size=(6, 3)) * 1e-6


def write(path, *, frames=FRAMES, moves=MOVES, **more):
    with h5py.File(path, "w") as file:
        file["entry_1/instrument_1/detector_1/data"] = frames
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        file["entry_1/sample_1/geometry_1/translation"] = moves
        file["entry_1/instrument_1/detector_1/distance"] = 2.0
        file["entry_1/instrument_1/detector_1/x_pixel_size"] = 75e-6
        for name, value in more.items():
            file[f"entry_1/instrument_1/{name.replace('__', '/')}"] = value
    return path


def played(source):
    source.open()
    items = list(source.items())
    source.close()
    return items


def frames_of(source, stream=MAIN):
    found = [item for item in played(source) if isinstance(item, Chunk) and item.stream == stream]
    return np.concatenate([chunk.data for chunk in found])


def test_frames_and_positions_are_two_streams(tmp_path):
    source = CxiSource(path=write(tmp_path / "a.cxi"))
    scan = source.open()
    assert scan.streams["positions"].unit == "m"
    np.testing.assert_array_equal(frames_of(source), FRAMES)
    # without basis vectors: rows point down (against y), columns against x, and the sample moves against the beam
    np.testing.assert_allclose(frames_of(source, "positions"), MOVES[:, [1, 0]])


def test_the_beam_moves_against_the_sample_along_the_axes_of_the_detector():
    basis = np.array([[0.0, 2.0], [-3.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(beam_places(np.array([[5.0, 7.0]]), basis), [[7.0, -5.0]])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("source_1__energy", 9000 * 1.602176634e-19, 9000),
        ("source_1__wavelength", 1.2398420e-10, 10000),
        ("beam_1__incident_beam_energy", 1.0, None),
        ("beam_1__energy", 8000 * 1.602176634e-19, 8000),
    ],
)
def test_energies_are_in_joule(tmp_path, name, value, expected):
    source = CxiSource(path=write(tmp_path / "a.cxi", **{name: value}))
    energy = source.open().calibration.get("energy")
    source.close()
    assert energy is None if expected is None else energy.to("eV") == pytest.approx(expected, rel=1e-5)


def test_the_energy_of_the_ring_is_not_that_of_a_photon(tmp_path):
    found = {"source_1__energy": 3e9 * 1.6e-19, "beam_1__energy": 9000 * 1.602176634e-19}
    source = CxiSource(path=write(tmp_path / "a.cxi", **found))
    assert source.open().calibration["energy"].to("eV") == pytest.approx(9000)
    source.close()


def test_pixels_of_the_mask_are_marked_and_a_signal_is_good(tmp_path):
    mask = np.zeros((4, 5), np.uint32)
    mask[1, 2], mask[3, 3] = 1, 0x1000
    source = CxiSource(path=write(tmp_path / "a.cxi", detector_1__mask=mask))
    data = frames_of(source)
    assert (data[:, 1, 2] == -1).all()
    np.testing.assert_array_equal(data[:, 3, 3], FRAMES[:, 3, 3])


def test_a_frame_without_a_position_is_excluded(tmp_path):
    moves = MOVES.copy()
    moves[2] = np.nan
    items = played(CxiSource(path=write(tmp_path / "a.cxi", moves=moves)))
    gaps = [item for item in items if isinstance(item, Gap) and item.stream == MAIN]
    assert [(gap.first, gap.last, gap.kind) for gap in gaps] == [(2, 2, "excluded")]


def test_positions_of_another_scan_are_refused(tmp_path):
    with pytest.raises(SourceError, match="do not fit"):
        CxiSource(path=write(tmp_path / "a.cxi", moves=MOVES[:4])).open()


def test_other_files_are_not_recognised(tmp_path):
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["exchange/data"] = FRAMES
    assert not CxiSource.recognises(tmp_path / "b.h5")
    assert CxiSource.recognises(write(tmp_path / "a.cxi"))


def test_a_reconstruction_is_one_file_that_readers_of_cxi_understand(tmp_path):
    """Object, probe and positions; the probe starts the next scan, and translations mean the same places as those of the data."""
    from firstlight.jobs.defaults import suggest

    given = {"use": "phantom_ptychography", "window": 32, "scan_y": 6, "scan_x": 6, "step": 4.0}
    write(scan := tmp_path / "scan.cxi", frames=np.ones((6, 8, 8), np.int32))
    sinks = suggest(scan, tmp_path / "out.cxi").job["sinks"]
    step = {"use": "ptychography", "iterations": 3}
    job = fl.load_job({"source": given, "steps": [step], "sinks": sinks})
    found = fl.start(replace(job, collect=True)).finished()
    with h5py.File(tmp_path / "out.cxi") as file:
        entry = file["entry_1"]
        assert (file["cxi_version"][()], entry["definition"].asstr()[()]) == (160, "NXcxi_ptycho")
        np.testing.assert_array_equal(entry["image_1/data"][()], found["ptychography.object"].data)
        np.testing.assert_array_equal(entry["instrument_1/source_1/illumination"][()], found["ptychography.probe"].data)
        moves = entry["sample_1/geometry_1/translation"][()]
        basis = np.array([[0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]])
        np.testing.assert_allclose(beam_places(moves, basis), found["ptychography.positions"].data * 1e-6, rtol=1e-9)
        assert entry["instrument_1/beam_1/energy"][()] == pytest.approx(9e3 * 1.602176634e-19, rel=1e-6)
        assert all(
            entry[place].attrs[f"{name}_complete"]
            for place, name in (
                ("image_1", "data"),
                ("instrument_1/source_1", "illumination"),
                ("sample_1/geometry_1", "positions"),
            )
        )
    warm = fl.step("ptychography", iterations=1, probe=tmp_path / "out.cxi")
    assert fl.run(fl.source(**given), [warm]).finished()["ptychography.probe"].data.shape == (1, 32, 32)


def test_a_probe_without_a_file_of_its_object_is_refused(tmp_path):
    from firstlight.connectors.cxi.sink import CxiSink
    from firstlight.core.chunk import Scan, Stream
    from firstlight.core.errors import SinkError

    scan = Scan({MAIN: Stream(("mode", "v", "u"), {"mode": 1, "v": 4, "u": 4}, "complex64", 0)}, "x")
    with pytest.raises(SinkError, match="Write the object first"):
        CxiSink(path=tmp_path / "a.cxi", role="probe").open(scan, {})


@given(st.binary(max_size=4096))
def test_damaged_bytes_are_told(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("bad") / "a.cxi"
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:1000] + noise + whole[1000 + len(noise) :])
    source = CxiSource(path=path)
    try:
        source.open()
        list(source.items())
    except SourceError:
        pass
    finally:
        source.close()


def test_a_near_field_scan_of_petra(data_folder):
    """An independent numpy ePIE with Fresnel scaling reaches 0.0073 in 60 passes."""
    path = data_folder / "ptychography" / "PETRAIII_P25_Near_Field_Ptycho.cxi"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} is not in {path.parent}")
    step = fl.step("ptychography", regime="near", source_distance="3.65 mm", iterations=30)
    found = fl.run(CxiSource(path=path), [step]).finished()
    assert found["ptychography.error"].data[-1] < 0.0073
