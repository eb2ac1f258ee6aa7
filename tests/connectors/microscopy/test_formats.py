"""Files of electron microscopes: real ones, and those that RosettaSciIO and others write; broken ones are refused in words."""

import contextlib
import struct
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.blo.source import BloSource, read_header
from firstlight.connectors.empad.source import EmpadSource
from firstlight.connectors.merlin.mib import MibSource
from firstlight.connectors.microscopy.source import MicroscopySource
from firstlight.core.chunk import Chunk, Gap
from firstlight.core.errors import FirstlightError, SourceError

rsciio = pytest.importorskip("rsciio")

FRAMES = np.random.default_rng(0).integers(0, 4000, (3, 4, 16, 24)).astype(np.uint16)


def played(source):
    """All frames in the order in which they are played, and the scan."""
    scan = source.open()
    chunks = [item for item in source.items() if isinstance(item, Chunk)]
    frames = np.concatenate([chunk.data for chunk in chunks])
    np.testing.assert_array_equal(frames, source.read({}).reshape(-1, *scan.main.frame_shape))
    source.close()
    return frames, scan


def test_a_real_block_file(data_folder):
    from rsciio.blockfile import file_reader

    path = data_folder / "stem" / "blockfile_test1.blo"
    assert BloSource.recognises(path)
    frames, scan = played(BloSource(path=path, chunk=50_000))
    assert scan.main.sizes == {"scan_y": 3, "scan_x": 2, "row": 144, "col": 144}
    # the format keeps 6 byte before each frame, behind a header whose length stands at byte 12
    raw = path.read_bytes()
    first = int.from_bytes(raw[12:16], "little")
    plain = np.frombuffer(raw, np.uint8, 6 * (144 * 144 + 6), first).reshape(6, -1)[:, 6:].reshape(6, 144, 144)
    np.testing.assert_array_equal(frames, plain)
    (theirs,) = file_reader(str(path))
    np.testing.assert_array_equal(frames.reshape(theirs["data"].shape), theirs["data"])
    assert scan.calibration["step_x"].to("nm") == pytest.approx(12.8)


def test_real_merlin_files_are_upside_down_there(data_folder, tmp_path):
    zipfile.ZipFile(data_folder / "stem" / "Merlin_navigation4x2_ROI.zip").extractall(tmp_path)
    for path in sorted(tmp_path.rglob("*.mib")):
        theirs, scan = played(MicroscopySource(path=path))
        assert (scan.main.sizes["scan_y"], scan.main.sizes["scan_x"]) == (2, 4)
        np.testing.assert_array_equal(theirs[:, ::-1], played(MibSource(path=path))[0])


def _signal(units):
    axes = [("y", units[0], 0.5, True, 3), ("x", units[0], 0.25, True, 4), ("ky", units[1], 2.0, False, 16)]
    axes.append(("kx", units[1], 2.0, False, 24))
    described = [
        {"name": name, "units": unit, "scale": scale, "offset": 0.0, "size": size, "navigate": navigate}
        | {"index_in_array": number, "is_binned": False, "_type": "UniformDataAxis"}
        for number, (name, unit, scale, navigate, size) in enumerate(axes)
    ]
    tem = {"TEM": {"beam_energy": 200.0, "camera_length": 80.0, "magnification": 1e5}}
    metadata = {"General": {"title": "scan"}, "Signal": {"signal_type": ""}, "Acquisition_instrument": tem}
    extra = {"original_metadata": {}, "learning_results": {}, "models": {}, "tmp_parameters": {}}
    about = {"package": "", "package_version": "", "attributes": {"_lazy": False, "ragged": False}, "package_info": {}}
    return {"data": FRAMES, "axes": described, "metadata": metadata, **extra, **about}


@pytest.mark.parametrize(
    ("units", "angle"), [(("nm", "mrad"), 2.0), (("µm", "1/nm"), 2.0 * 2.5079e-3 * 1e3), (("nm", "px"), None)]
)
def test_a_file_of_hyperspy_with_its_calibration(tmp_path, units, angle):
    from rsciio.hspy import file_writer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file_writer(tmp_path / "scan.hspy", _signal(units))
    frames, scan = played(MicroscopySource(path=tmp_path / "scan.hspy"))
    np.testing.assert_array_equal(frames, FRAMES.reshape(12, 16, 24))
    factor = 1000 if units[0] == "µm" else 1
    assert (scan.calibration["step_y"].to("nm"), scan.calibration["step_x"].to("nm")) == (0.5 * factor, 0.25 * factor)
    assert scan.calibration["energy"].to("keV") == 200
    assert scan.metadata["camera_length"] == "80.0"
    found = scan.calibration.get("detector_angle")
    assert (None if found is None else found.to("mrad")) == (None if angle is None else pytest.approx(angle, rel=1e-4))


def test_a_stack_in_mrc(tmp_path):
    import mrcfile

    with mrcfile.new(tmp_path / "scan.mrc") as file:
        file.set_data(FRAMES.reshape(12, 16, 24))
    frames, scan = played(MicroscopySource(path=tmp_path / "scan.mrc", scan_y=3))
    np.testing.assert_array_equal(frames, FRAMES.reshape(12, 16, 24))
    assert scan.main.sizes == {"scan_y": 3, "scan_x": 4, "row": 16, "col": 24}


@pytest.mark.slow
def test_tvips(tmp_path):
    from rsciio.tvips import file_writer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal = _signal(("nm", "1/nm"))
        signal["metadata"]["Acquisition_instrument"]["TEM"]["Detector"] = {"Camera": {"exposure": 1.0}}
        file_writer(str(tmp_path / "scan_000.tvips"), signal)
    frames, _ = played(MicroscopySource(path=tmp_path / "scan_000.tvips", scan_y=3, scan_x=4))
    np.testing.assert_array_equal(frames, FRAMES.reshape(12, 16, 24))


# ---- EMPAD ----------------------------------------------------------------------------------------------------------


def empad(folder, *, told=True, cut=0, name="scan_x4_y3.raw"):
    frames = np.zeros((12, 130, 128), "<f4")
    frames[:] = np.random.default_rng(1).random((12, 130, 128), np.float32)
    raw = folder / name
    raw.write_bytes(frames.tobytes()[: frames.nbytes - cut])
    pixels = "<pix_x>4</pix_x><pix_y>3</pix_y>" if told else ""
    view = "<iom_measurements><optics><get_full_scan_field_of_view>(6e-09, 4e-09)</get_full_scan_field_of_view></optics></iom_measurements>"
    xml = f'<?xml version="1.0"?><root><raw_file filename="{name}"/>{pixels}{view}<software>EMPAD</software></root>'
    (folder / "scan.xml").write_text(xml)
    return frames[:, :128]


@pytest.mark.parametrize("told", [True, False])
def test_empad_as_rosettasciio_reads_it(tmp_path, told):
    from rsciio.empad import file_reader

    truth = empad(tmp_path, told=told)
    (theirs,) = file_reader(str(tmp_path / "scan.xml"))
    assert EmpadSource.recognises(tmp_path / "scan.xml")
    frames, scan = played(EmpadSource(path=tmp_path / "scan.xml"))
    np.testing.assert_array_equal(frames, truth)
    np.testing.assert_array_equal(frames.reshape(theirs["data"].shape), theirs["data"])
    assert scan.main.sizes == {"scan_y": 3, "scan_x": 4, "row": 128, "col": 128}
    assert (scan.calibration["step_y"].to("nm"), scan.calibration["step_x"].to("nm")) == (2.0, 1.0)
    assert [axis["scale"] for axis in theirs["axes"][:2]] == pytest.approx([2.0, 1.0])


def test_empad_without_description_or_without_its_end(tmp_path):
    truth = empad(tmp_path, name="other.raw", cut=1000)
    (tmp_path / "scan.xml").unlink()
    source = EmpadSource(path=tmp_path / "other.raw", scan_y=3, scan_x=4)
    source.open()
    items = list(source.items())
    assert [(gap.first, gap.last) for gap in items if isinstance(gap, Gap)] == [(11, 11)]
    np.testing.assert_array_equal(np.concatenate([c.data for c in items if isinstance(c, Chunk)]), truth[:11])
    with pytest.raises(SourceError, match=r"scan_x = 5.*divides 11"):
        EmpadSource(path=tmp_path / "other.raw", scan_x=5).open()


@settings(max_examples=60)
@given(st.text(max_size=300))
def test_no_description_of_an_empad_breaks_it(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("empad")
    empad(folder)
    (folder / "scan.xml").write_text(text + "<pix_x>4</pix_x>", errors="replace")
    with contextlib.suppress(FirstlightError):
        assert len(played(EmpadSource(path=folder / "scan.xml"))[0]) == 12


# ---- what is no scan ------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(st.binary(max_size=80), st.integers(0, 74))
def test_no_header_of_a_block_file_breaks_it(tmp_path_factory, content, keep):
    whole = struct.pack("<6sHIIIHHHHHddI", b"IMGBLO", 258, 4096, 58, 0, 5, 0, 2, 3, 0, 1.0, 1.0, 0)
    path = tmp_path_factory.mktemp("blo") / "scan.blo"
    path.write_bytes((whole[:keep] + content).ljust(58, b"\0") + bytes(6 * 31))
    with contextlib.suppress(FirstlightError):
        source = BloSource(path=path)
        source.open()
        source.read(
            {"scan_y": slice(0, 1)} if "scan_y" in source.opened().scan.main.axes else {"position": slice(0, 1)}
        )
        source.close()


def test_a_block_file_that_is_cut_off_lacks_frames(data_folder, tmp_path):
    whole = (data_folder / "stem" / "blockfile_test1.blo").read_bytes()
    assert read_header(whole[:60]).side == 144
    (tmp_path / "scan.blo").write_bytes(whole[:-30000])
    source = BloSource(path=tmp_path / "scan.blo")
    assert source.open().main.sizes["scan_y"] == 3
    assert [(gap.first, gap.last) for gap in source.items() if isinstance(gap, Gap)] == [(4, 5)]
    source.close()


@pytest.mark.parametrize("ending", ["dm4", "emd", "hspy", "mrc", "tvips", "ser", "prz"])
def test_broken_files_are_refused_in_words(tmp_path, ending):
    for content in (b"", b"\x00" * 100, np.random.default_rng(3).bytes(5000)):
        (tmp_path / f"scan.{ending}").write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(SourceError, match="path"):
                MicroscopySource(path=tmp_path / f"scan.{ending}").open()


def test_what_is_asked_for_must_be_there(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        MicroscopySource(path=tmp_path / "scan.blo").open()
    (tmp_path / "scan.xyz").write_bytes(b"1")
    with pytest.raises(SourceError, match="Give 'format'"):
        MicroscopySource(path=tmp_path / "scan.xyz").open()
    with pytest.raises(SourceError, match=r"format = 'Blockfiles'.*TVIPS"):
        MicroscopySource(path=tmp_path / "scan.xyz", format="Blockfiles").open()
