"""What `firstlight reconstruct` infers, from scans of known content and from the real ones."""

import h5py
import numpy as np
import pytest
import tifffile

from firstlight.connectors.memory.source import MemorySource
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.jobs.defaults import default_job, suggest
from firstlight.jobs.infer import level_of, sample, turn, values_of
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start


def disks(turned=180.0, count=120, columns=96, rows=2, center=46.0, scale=1.0):
    """Line integrals of disks off the axis."""
    angles = np.deg2rad(np.arange(count) * turned / count)
    s = np.arange(columns) - center
    frames = np.zeros((count, rows, columns))
    for x, y, radius, weight in ((12, 5, 8, 0.06), (-10, 12, 6, 0.1), (0, 0, 28, 0.02)):
        at = scale * (x * np.cos(angles) + y * np.sin(angles))
        frames += 2 * weight * np.sqrt(np.clip((scale * radius) ** 2 - (s - at[:, None]) ** 2, 0, None))[:, None]
    return frames + np.random.default_rng(0).normal(0, 0.005, frames.shape)


def seen(frames):
    source = MemorySource.of(frames.astype(np.float32))
    return sample(source, source.open()), source.open()


def test_what_the_values_are():
    attenuation = disks()
    assert values_of(*seen(attenuation))[0] == "attenuation"
    assert values_of(*seen(np.exp(-attenuation)))[0] == "transmission"
    assert values_of(*seen(4.6 * np.exp(-attenuation)))[0] == "counts"
    with pytest.raises(SourceError, match="--values"):
        values_of(*seen(np.random.default_rng(0).uniform(5, 6, (20, 2, 40))))


@pytest.mark.parametrize("turned", [180, 360])
def test_how_far_it_was_turned(turned):
    frames = disks(turned)
    source = MemorySource.of(frames.astype(np.float32))
    assert turn(source, source.open()) == turned


def reconstructed(path, out, **given):
    found = suggest(path, out, **given)
    return found, start(load_job(found.job)).finished(60)


def test_a_folder_of_projections_with_darks_and_flats(tmp_path):
    counts = (100 + 20000 * np.exp(-disks())).astype(np.uint16)
    for number, frame in enumerate(counts):
        tifffile.imwrite(tmp_path / f"scan_{number}.tif", frame)
    for number in range(3):
        tifffile.imwrite(tmp_path / f"dark_{number}.tif", np.full((2, 96), 100, np.uint16))
        tifffile.imwrite(tmp_path / f"flat_{number}.tif", np.full((2, 96), 20100, np.uint16))
    found, results = reconstructed(tmp_path, tmp_path / "out.nxs")
    assert [step["use"] for step in found.job["steps"]] == ["flat_field", "minus_log", "find_center", "fbp"]
    assert found.job["source"]["angles"] == "0:180"
    assert any("180°" in text for text in found.assumptions)
    assert float(results["find_center"].data) == pytest.approx(46.0, abs=0.5)


def test_a_file_without_angles_gets_those_of_its_frames(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["exchange/data"] = (100 + 20000 * np.exp(-disks(360))).astype(">u2")
        file["exchange/data_dark"] = np.full((2, 2, 96), 100, np.uint16)
        file["exchange/data_white"] = np.full((2, 2, 96), 20100, np.uint16)
    found, results = reconstructed(tmp_path / "scan.h5", tmp_path / "out.nxs")
    assert found.job["source"]["angles"] == "0:360"
    assert float(results["find_center"].data) == pytest.approx(46.0, abs=0.5)


def test_what_can_not_be_inferred_names_the_option(tmp_path):
    noise = np.random.default_rng(0).uniform(5, 6, (40, 32)).astype(np.float32)
    tifffile.imwrite(tmp_path / "sinogram.tif", noise)
    with pytest.raises(SourceError, match="--angles"):
        suggest(tmp_path / "sinogram.tif", tmp_path / "out.nxs")
    with pytest.raises(SourceError, match="--values"):
        suggest(tmp_path / "sinogram.tif", tmp_path / "out.nxs", source={"angles": "0:180"})
    given = {"source": {"angles": "0:180"}, "values": "attenuation"}
    found = suggest(tmp_path / "sinogram.tif", tmp_path / "out.nxs", **given)
    assert [step["use"] for step in found.job["steps"]] == ["find_center", "fbp"]
    with pytest.raises(FirstlightError, match="--values"):
        suggest(tmp_path / "sinogram.tif", tmp_path / "out.nxs", values="numbers")
    with pytest.raises(SourceError, match="No source recognises this folder"):
        default_job(tmp_path / "empty", tmp_path / "out.nxs") if (tmp_path / "empty").mkdir() is None else None


def test_both_ends_turns_beyond_360_and_zeros_before_the_log(tmp_path):
    """An odd but real list of angles: one and a half turns, with both ends of the first."""
    frames = disks(540, count=271)
    counts = (20000 * np.exp(-frames)).astype(np.uint16)
    counts[np.random.default_rng(3).random(counts.shape) < 0.002] = 0
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["exchange/data"] = counts
        file["exchange/data_dark"] = np.zeros((2, 2, 96), np.uint16)
        file["exchange/data_white"] = np.full((2, 2, 96), 20000, np.uint16)
        file["exchange/theta"] = np.arange(300) * 540 / 271
    _, results = reconstructed(tmp_path / "scan.h5", tmp_path / "out.nxs")
    assert float(results["find_center"].data) == pytest.approx(46.0, abs=0.5)
    with h5py.File(tmp_path / "scan.h5", "r+") as file:
        file["exchange/data"][...] = (20000 * np.exp(-frames)).astype(np.uint16)
    told, _ = reconstructed(tmp_path / "scan.h5", tmp_path / "whole.nxs")
    assert not any("saw no light" in text for text in told.assumptions)
    with h5py.File(tmp_path / "out.nxs") as file, h5py.File(tmp_path / "whole.nxs") as whole:
        found, clean = file["entry/data/data"][()], whole["entry/data/data"][()]
    assert np.abs(found - clean).max() < 0.2 * clean.max()  # spikes would be hundreds of times as large


@pytest.mark.parametrize(("beam", "brought"), [(1.0, False), (0.8, True), (1.3, True)])
def test_air_that_is_not_1_is_brought_there(tmp_path, beam, brought):
    """Also where the beam changes on the way: the slices do not."""
    current = beam * np.linspace(1, 1.02, 120)[:, None, None]
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["exchange/data"] = (100 + 20000 * current * np.exp(-disks())).astype("<f4")
        file["exchange/data_dark"] = np.full((2, 2, 96), 100, np.uint16)
        file["exchange/data_white"] = np.full((2, 2, 96), 20100, np.uint16)
        file["exchange/theta"] = np.arange(120) * 1.5
    found, _ = reconstructed(tmp_path / "scan.h5", tmp_path / "out.nxs")
    assert ("normalize_by_sides" in [step["use"] for step in found.job["steps"]]) is brought
    assert len(found.assumptions) == brought
    with h5py.File(tmp_path / "out.nxs") as file:
        inside = file["entry/data/data"][0, 42:53, 42:53]
    assert np.median(inside) == pytest.approx(0.02, abs=0.005)
    assert suggest(tmp_path / "scan.h5", tmp_path / "x.nxs", values="counts").assumptions == ()


EVEN = np.arange(120) * 1.5


def scan_file(path, counts, theta=EVEN, **images):
    with h5py.File(path, "w") as file:
        file["exchange/data"] = counts.astype("<f4")
        if theta is not None:
            file["exchange/theta"] = theta
        for name, image in images.items():
            file[f"exchange/data_{name}"] = image
    return path


@pytest.mark.parametrize(("dead", "levelled"), [(slice(40, 42), True), (slice(0, 12), False), (slice(None), False)])
def test_columns_that_see_no_light_are_no_air(tmp_path, dead, levelled):
    """In darks, flats and projections alike: there is no transmission, and nothing is said about it in numpy's words."""
    counts, white = 100 + 19000 * np.exp(-disks()), np.full((2, 2, 96), 20100.0)
    counts[..., dead], white[..., dead] = 100, 100
    path = scan_file(tmp_path / "scan.h5", counts, white=white, dark=np.full((2, 2, 96), 100.0))
    told = suggest(path, tmp_path / "out.nxs").assumptions
    assert any("the transmission of air is 0.95" in each for each in told) is levelled


def test_a_beam_that_fades_on_the_way(tmp_path):
    counts = 100 + 20000 * np.linspace(1, 0.7, 120)[:, None, None] * np.exp(-disks())
    images = {"dark": np.full((2, 2, 96), 100.0), "white": np.full((2, 2, 96), 20100.0)}
    found = suggest(scan_file(tmp_path / "scan.h5", counts, **images), tmp_path / "out.nxs")
    assert found.job["steps"][1]["use"] == "normalize_by_sides"


def test_a_sample_that_nearly_fills_the_detector_leaves_narrow_sides():
    wide = disks(columns=160, center=79.5, scale=2.8) * 8  # the largest disk ends two columns before the edges
    found = level_of(seen(0.8 * np.exp(-wide))[0])
    assert found is not None
    assert found.width == 2
    assert found.level == pytest.approx(0.8, abs=0.01)


def test_the_level_without_light_is_asked_for_and_bounded(tmp_path):
    """Flats and no darks: the level can not be known; the one that makes every projection weigh the same is named."""
    beam = np.random.default_rng(4).uniform(0.6, 1.4, 96)
    flat = np.full((2, 2, 96), 3000.0) + 20000 * beam
    path = scan_file(tmp_path / "scan.h5", 3000 + 20000 * beam * np.exp(-disks()), white=flat)
    with pytest.raises(SourceError, match=r"--set source.dark_level") as caught:
        suggest(path, tmp_path / "out.nxs")
    named = float(str(caught.value).partition("; with ")[2].partition(" all projections")[0])
    assert named == pytest.approx(3000, rel=0.1)
    found = suggest(path, tmp_path / "out.nxs", source={"dark_level": 3000.0})
    assert [step["use"] for step in found.job["steps"]] == ["flat_field", "minus_log", "find_center", "fbp"]


def test_darks_are_used_without_flats_and_a_half_turn_is_seen_through_an_uneven_beam(tmp_path):
    beam = np.random.default_rng(4).uniform(0.6, 1.4, 96)
    dark = np.full((2, 2, 96), 3000.0)
    counts = 3000 + 20000 * np.exp(-disks())
    found = suggest(scan_file(tmp_path / "dark.h5", counts, dark=dark), tmp_path / "out.nxs")
    assert [step["use"] for step in found.job["steps"]][:3] == ["subtract_dark", "normalize_bright", "minus_log"]
    counts = 3000 + 20000 * beam * np.exp(-disks())
    path = scan_file(tmp_path / "uneven.h5", counts, theta=None, dark=dark, white=dark + 20000 * beam)
    assert suggest(path, tmp_path / "out.nxs").job["source"]["angles"] == "0:180"


def test_angles_that_can_only_be_radians_are(tmp_path):
    images = {"dark": np.zeros((2, 2, 96)), "white": np.full((2, 2, 96), 20000.0)}
    counts = 20000 * np.exp(-disks())
    path = scan_file(tmp_path / "rad.h5", counts, theta=np.radians(np.arange(120) * 1.5), **images)
    found = suggest(path, tmp_path / "out.nxs")
    assert found.job["source"]["angle_unit"] == "rad"
    assert any("radians" in text for text in found.assumptions)
    path = scan_file(tmp_path / "few.h5", counts, theta=np.arange(120) * 0.02, **images)
    with pytest.raises(SourceError, match="angle_unit"):
        suggest(path, tmp_path / "out.nxs")


def test_background_that_is_not_0_is_subtracted(tmp_path):
    tifffile.imwrite(tmp_path / "sinogram.tif", (disks(360, 240)[:, 0] + 0.2).astype(np.float32))
    found, results = reconstructed(tmp_path / "sinogram.tif", tmp_path / "out.nxs")
    assert found.job["steps"][0] == {"use": "normalize_by_sides", "left": 3, "right": 3, "method": "subtract"}
    assert any("background is 0.2" in text for text in found.assumptions)
    assert float(results["find_center"].data) == pytest.approx(46.0, abs=0.5)


def test_a_volume_is_no_scan(tmp_path):
    with h5py.File(tmp_path / "volume.nxs", "w") as file:
        file["entry/definition"] = "NXtomoproc"
        file["entry/data/data"] = np.zeros((3, 8, 8))
    with pytest.raises(SourceError, match="axes z y x"):
        suggest(tmp_path / "volume.nxs", tmp_path / "out.nxs")


REAL = [
    ("tomography/tooth.h5", 296.0, 0.5, "dxfile", 0),
    ("tomography/neutompy_sinogram.tiff", 459.75, 0.75, "tiff", 3),
    # the mean square difference of half-turn pairs is smallest at 44.0 to 44.5 in every row of this file
    ("multimodal/mm.nxs", 44.25, 1.0, "nxstxm", 1),
]


@pytest.mark.parametrize(("name", "center", "tolerance", "use", "assumed"), REAL)
def test_the_real_scans(data_folder, tmp_path, name, center, tolerance, use, assumed):
    found, results = reconstructed(data_folder / name, tmp_path / "out.nxs")
    assert found.job["source"]["use"] == use
    assert len(found.assumptions) == assumed
    assert float(results["find_center"].data) == pytest.approx(center, abs=tolerance)
