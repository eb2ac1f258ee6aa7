"""Bad input as a user meets it: one clear error that names the field, the value, what was expected, and the next move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.chunk import Chunk, End, Scan, Stream
from firstlight.core.errors import FirstlightError, JobError, SourceError, StepFailed
from firstlight.jobs.defaults import default_job
from firstlight.jobs.load import load_job
from firstlight.jobs.start import plan, start

ANGLES = np.arange(60) * 3.0


def dxfile(path: Path, change: Callable[[h5py.File], None] = lambda _: None) -> Path:
    """A small valid scan, then changed."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["exchange/data"] = rng.uniform(5000, 20000, (60, 4, 16)).astype(np.float32)
        file["exchange/data_white"] = np.full((3, 4, 16), 20000, np.float32)
        file["exchange/data_dark"] = np.full((3, 4, 16), 100, np.float32)
        file["exchange/theta"] = ANGLES
        change(file)
    return path


def reconstruct(path: Path, **overrides: Any) -> fl.Results:
    """What ``firstlight reconstruct`` does."""
    job = default_job(path, path.parent / "out.nxs")
    return start(load_job(job, overrides)).finished(60)


def test_a_valid_file_works(tmp_path: Path) -> None:
    reconstruct(dxfile(tmp_path / "good.h5"))
    assert (tmp_path / "out.nxs").exists()


def _without(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]

    return change


def _radians(file: h5py.File) -> None:
    file["exchange/theta"][...] = np.deg2rad(ANGLES)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_without("exchange/data"), ["exchange/data"]),
        (_without("exchange/data_white"), ["flat"]),
        (_without("exchange/data_dark"), ["dark"]),
        (_radians, ["radian", "angle_unit"]),
    ],
    ids=["no data", "no flats", "no darks", "angles in radian"],
)
def test_what_the_file_lacks_is_named_before_the_first_frame(
    change: Callable[[h5py.File], None], named: list[str], tmp_path: Path
) -> None:
    path = dxfile(tmp_path / "bad.h5", change)
    with pytest.raises((SourceError, JobError)) as caught:
        reconstruct_as_dxfile(path)
    for word in named:
        assert word in str(caught.value)
    assert not (tmp_path / "out.nxs").exists()


def reconstruct_as_dxfile(path: Path) -> fl.Results:
    """The default steps, with the source named (a file without data is recognised by nobody)."""
    job = default_job(dxfile(path.parent / "template.h5"), path.parent / "out.nxs")
    job["source"] = {"use": "dxfile", "path": str(path)}
    return start(load_job(job)).finished(60)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = dxfile(tmp_path / "cut.h5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"cut\.h5"):
        reconstruct_as_dxfile(path)


def test_an_invalid_image_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keys.nxs"
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["definition"] = "NXtomo"
        detector = entry.create_group("instrument/detector")
        detector["data"] = np.ones((5, 2, 8), np.uint16)
        detector["image_key"] = [7, 7, 7, 7, 7]
        entry["sample/rotation_angle"] = np.arange(5.0)
        entry["sample/rotation_angle"].attrs["units"] = "degree"
    with pytest.raises(SourceError, match="image_key"):
        start(load_job({"source": {"use": "nxtomo", "path": str(path)}, "steps": [{"use": "mean"}]})).finished(100)


@pytest.mark.parametrize("value", [0.0, np.nan], ids=["zero", "NaN"])
def test_dead_pixels_in_the_flats_give_finite_slices(value: float, tmp_path: Path) -> None:
    def spoil(file: h5py.File) -> None:
        file["exchange/data_white"][:, 1, 5] = value

    results = reconstruct(dxfile(tmp_path / "dead.h5", spoil))
    with h5py.File(tmp_path / "out.nxs") as file:
        assert np.isfinite(file["entry/data/data"][()]).all()
    assert np.isfinite(results["find_center"].data)


def test_a_job_with_three_mistakes_reports_all_three(tmp_path: Path) -> None:
    job = default_job(dxfile(tmp_path / "good.h5"), tmp_path / "out.nxs")
    job["steps"][0]["use"] = "flat_fiedl"
    job["steps"][1]["floor"] = -1
    job["steps"][3]["filtre"] = "hann"
    with pytest.raises(JobError) as caught:
        load_job(job)
    assert len(caught.value.problems) == 3
    first, second, third = caught.value.problems
    assert "flat_fiedl" in first
    assert "Did you mean flat_field" in first
    assert "floor = -1" in second
    assert "filtre" in third
    assert "'filter'" in third


def test_flats_that_come_after_the_projections_are_found_by_check() -> None:
    source = MemorySource.of(
        np.ones((50, 4, 8), np.float32),
        dark=np.zeros((2, 4, 8), np.float32),
        flat=np.ones((2, 4, 8), np.float32),
        angles=np.arange(50.0),
        order=("data", "dark", "flat"),
    )
    job = fl.Job(source, fl.pipeline([{"use": "flat_field"}]), collect=True, buffers={"default": _small()})
    with pytest.raises(JobError, match="wait for ever") as caught:
        plan(job)
    assert "before_first" in str(caught.value)


def _small() -> Any:
    from firstlight.core.buffer import BufferSettings

    return BufferSettings(policy="wait", memory=1000)


def test_flats_that_never_come_fail_the_run_by_name() -> None:
    frame = Stream(("angle", "row", "col"), {"angle": 5, "row": 4, "col": 8}, "float32")
    scan = Scan({"data": frame, "dark": frame, "flat": frame})
    frames = np.ones((5, 4, 8), np.float32)
    dark = Chunk(frames, ("row", "col"), np.arange(-5, 0), stream="dark")
    items = [dark, End("dark"), Chunk(frames, ("row", "col"), np.arange(5)), End("data"), End("flat")]
    source = MemorySource.playing(scan, items)
    with pytest.raises((StepFailed, JobError), match="flat"):
        fl.run(source, [{"use": "flat_field"}]).finished(100)


def test_a_channel_that_never_connects_is_named_with_its_time_out() -> None:
    pytest.importorskip("p4p", reason="the extra 'epics' is not installed")
    source = fl.source("pva", image="NOBODY:HERE:Image", timeout=0.5, server="127.0.0.1:1")
    with pytest.raises(FirstlightError, match=r"NOBODY:HERE:Image") as caught:
        source.open()
    assert "0.5 s" in str(caught.value)
