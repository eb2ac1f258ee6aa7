"""Scans that ptychodus and cdtools simulated and wrote themselves; and our product, read and judged by ptychodus."""

import json
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.ptychodus.sink import PtychodusSink
from firstlight.connectors.ptychodus.source import PtychodusSource
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SinkError, SourceError
from firstlight.core.units import Quantity
from firstlight.jobs.defaults import sink_of, suggest

HERE = Path(__file__).parent / "recordings"
PTYCHODUS = HERE / "ptychodus"
NOISE = 0.0032
"""Σ(√expected − √counts)² / Σ counts of both scans: what a perfect reconstruction leaves."""
RIM = 8


def reconstructed(path, iterations, **source):
    job = suggest(path, "out.h5", source=source).job
    (step,) = job["steps"]
    return fl.run(fl.source(**job["source"]), [fl.step(**{**step, "iterations": iterations})]).finished()


def likeness(image, truth, offset=(0, 0)):
    """Correlation of phases inside the rim, where `image` begins at a pixel of `truth`."""
    rows, cols = (slice(RIM, n - RIM) for n in image.shape)
    inner = image[rows, cols]
    same = truth[offset[0] + RIM : offset[0] + rows.stop, offset[1] + RIM : offset[1] + cols.stop]
    level = np.angle(np.vdot(same, inner))
    return np.corrcoef(np.angle(inner * np.exp(-1j * level)).ravel(), np.angle(same).ravel())[0, 1]


def test_a_scan_that_ptychodus_wrote():
    """Energy by its new name, the detector's pixel, the bad pixel; error and image against its own truth."""
    source = PtychodusSource(path=PTYCHODUS / "diffraction.h5")
    scan = source.open()
    assert {name: round(value.to(value.unit), 6) for name, value in scan.calibration.items()} == {
        "energy": 9000, "distance": 2, "pixel": 75e-6,
    }  # fmt: skip
    assert (source.read({})[:, 5, 9] == 65535).all()
    source.close()
    found = reconstructed(PTYCHODUS / "diffraction.h5", 60)
    assert found["ptychography.error"].data[-1] < 2 * NOISE
    with h5py.File(PTYCHODUS / "product.h5") as file:
        truth, attributes = file["object"][0], dict(file["object"].attrs)
        pixel = attributes["pixel_height_m"]
        first = [np.rint(file[f"probe_position_{axis}_m"][()] / pixel).min() * pixel for axis in "yx"]
    # its windows begin where it says: (position − middle) / pixel + (size − 1) / 2, less half a window
    begin = [
        round((low - attributes[f"center_{axis}_m"]) / pixel + (size - 1) / 2 - 15.5)
        for low, axis, size in zip(first, "yx", truth.shape, strict=True)
    ]
    image = found["ptychography.object"].data
    assert likeness(image, truth, begin) > 0.95
    assert likeness(np.conj(image[::-1, ::-1]), truth, begin) < 0.85  # a star resembles its twin


def test_a_scan_that_cdtools_wrote():
    """CXI: sample motion, basis vectors, mask and wavelength; the image has the shape and place of its own."""
    found = reconstructed(HERE / "cdtools" / "star.cxi", 120)
    truth = np.load(HERE / "cdtools" / "truth.npz")["object"]
    image = found["ptychography.object"].data
    assert found["ptychography.error"].data[-1] < 2.5 * NOISE
    assert image.shape == truth.shape
    assert likeness(image, truth) > 0.85
    assert likeness(np.conj(image[::-1, ::-1]), truth) < 0.5


def test_patterns_are_named_by_their_numbers(tmp_path):
    """Some patterns were left out, in another order; positions that name none of them are left out, one that comes twice is averaged."""
    order = np.array([40, 3, 71, 5])
    with h5py.File(PTYCHODUS / "diffraction.h5") as whole, h5py.File(tmp_path / "some.h5", "w") as file:
        file["patterns"], file["indexes"] = whole["patterns"][()][order], order
    with h5py.File(PTYCHODUS / "product.h5") as whole, h5py.File(tmp_path / "product.h5", "w") as file:
        places = np.stack([whole[f"probe_position_{axis}_m"][()] for axis in "yx"], 1)
        file["probe_position_indexes"] = np.append(np.arange(72), 5)
        for axis, values in zip("yx", np.append(places, places[5:6] + 2e-6, axis=0).T, strict=True):
            file[f"probe_position_{axis}_m"] = values
    source = PtychodusSource(path=tmp_path / "some.h5")
    source.open()
    found = source.read({}, "positions")
    source.close()
    wanted = places[order]
    wanted[3] += 1e-6
    np.testing.assert_allclose(found, wanted)
    with h5py.File(tmp_path / "some.h5", "r+") as file:
        file["indexes"][1] = 40
    with pytest.raises(SourceError, match="different whole numbers"):
        source.open()


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """A product that we made of ptychodus' scan."""
    path = tmp_path_factory.mktemp("product") / "star.ptychodus.h5"
    job = suggest(PTYCHODUS / "diffraction.h5", path).job
    assert [each["use"] for each in job["sinks"]] == ["ptychodus"] * 4
    job["steps"][0]["iterations"] = 40
    fl.start(fl.load_job(job)).finished()
    return path


def test_our_product_reads_back(product):
    source = PtychodusSource(path=PTYCHODUS / "diffraction.h5", product=product)
    scan = source.open()
    places = source.read({}, "positions")
    source.close()
    assert scan.calibration["energy"].to("eV") == pytest.approx(9000)
    assert source.first_probe() == product
    with h5py.File(PTYCHODUS / "product.h5") as theirs, h5py.File(product) as ours:
        for number, axis in enumerate("yx"):
            np.testing.assert_allclose(places[:, number], theirs[f"probe_position_{axis}_m"], atol=1e-15)
        assert set(theirs) - set(ours) == set()
        assert set(theirs.attrs) - set(ours.attrs) == {
            "exposure_time_s", "far_field", "focus_object_distance_m", "mass_attenuation_m2_per_kg", "probe_photon_count",
            "tilt_angle_deg", "tomography_angle_deg",
        }  # fmt: skip
        assert (ours["object"].ndim, ours["probe"].ndim) == (3, 4)
        assert ours["loss_values"].shape == (40,)
        assert all(ours["firstlight"].attrs[f"{role}_complete"] for role in ("object", "probe", "positions", "error"))


def test_ptychodus_makes_the_measured_patterns_of_our_product(product):
    """Its reader, its geometry, its forward model: the error is that of a good reconstruction."""
    python = Path(os.environ.get("PEERS", "/nowhere")) / "ptychodus" / "bin" / "python"
    if not python.exists():
        pytest.skip("no ptychodus: PEERS names no folder with ptychodus")
    script = """
import sys, numpy as np
from pathlib import Path
from ptychodus.api.io import load_diffraction_data, load_product
from ptychodus.api.simulate.diffraction import generate_diffraction_data
measured = load_diffraction_data(Path(sys.argv[2]))
good = ~measured.get_bad_pixels()
counts = measured.get_patterns()[:, good].astype(float)
made = generate_diffraction_data(load_product(Path(sys.argv[1]))).get_patterns()[:, good]
made = made * (counts.sum() / made.sum())
print(((np.sqrt(made) - np.sqrt(counts)) ** 2).sum() / counts.sum())
"""
    told = subprocess.run(
        [python, "-c", script, product, PTYCHODUS / "diffraction.h5"], capture_output=True, text=True, timeout=120
    )
    assert not told.returncode, told.stderr
    assert float(told.stdout) < 2 * NOISE


@pytest.mark.slow
def test_pty_chi_begins_where_we_ended(product):
    """With our product its loss is far below that of an empty object, and of any other geometry."""
    python = Path(os.environ.get("PEERS", "/nowhere")) / "ptychi" / "bin" / "python"
    if not python.exists():
        pytest.skip("no pty-chi: PEERS names no folder with ptychi")
    command = [python, HERE.parent / "ptychi_peer.py", product, PTYCHODUS / "diffraction.h5"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert not told.returncode, told.stderr
    losses = json.loads(told.stdout)
    given, off = losses.pop("given"), losses.pop("a pixel off")
    assert off > 1.5 * given
    assert min(losses.values()) > 5 * given


def test_what_a_product_needs_is_demanded(tmp_path):
    axes = {"y": 4, "x": 5}
    scan = Scan({MAIN: Stream(tuple(axes), axes, "complex64", 0)}, "x")
    with pytest.raises(SinkError, match="how large a pixel of the object is"):
        PtychodusSink(path=tmp_path / "a.ptychodus.h5").open(scan, {})
    known = Scan(scan.streams, "x", {"pixel": Quantity(12.0, "nm")})
    with pytest.raises(SinkError, match="Write the object first"):
        PtychodusSink(path=tmp_path / "a.ptychodus.h5", role="probe").open(known, {})
    assert not list(tmp_path.iterdir())
    assert (sink_of("a.ptychodus.h5"), sink_of("ptychodus.h5"), sink_of("a.h5")) == ("ptychodus", "hdf5", "hdf5")
