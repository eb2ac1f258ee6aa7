"""Regrouping gives the same bits whole in memory, band by band, and through a scratch file."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from firstlight.connectors.memory.source import MemorySource
from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.arrays import Array
from firstlight.core.errors import JobError
from firstlight.core.job import Job, RunnerSettings
from firstlight.core.operator import operator
from firstlight.core.pipeline import Node, pipeline
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
from firstlight.runners.stores import MemoryBlocks, ScratchBlocks


@operator("row~2 col -> row col")
def lean(frames: Array) -> Array:
    """Add what lies two rows above, and half of what lies one below.

    Args:
        frames: shape (frame, row, col).
    """
    out = frames.astype(np.float32)
    out[:, 2:] += frames[:, :-2]
    out[:, :-1] += 0.5 * frames[:, 1:]
    return out


@operator("row~1 angle col -> row angle col")
def smear(sinograms: Array) -> Array:
    """Subtract the row above from each.

    Args:
        sinograms: shape (1, row, angle, col).
    """
    out = sinograms.astype(np.float32)
    out[:, 1:] -= sinograms[:, :-1]
    return out


@operator("angle col -> angle col")
def cumulate(sinograms: Array) -> Array:
    """Add up along the angles: needs all of them.

    Args:
        sinograms: shape (row, angle, col).
    """
    return np.cumsum(sinograms, axis=1, dtype=np.float32)


@operator("row col -> row col")
def whole(frames: Array) -> Array:
    """Subtract the mean of each frame, which no band of it knows.

    Args:
        frames: shape (frame, row, col).
    """
    return frames - frames.mean(axis=(1, 2), keepdims=True)


SOURCE = {"columns": 24, "rows": 23, "angles": 40, "sets": 2, "drift": 0.2, "chunk": 5000}


def run(steps: list[Any], regroup: str, source: Any = None, **settings: Any) -> tuple[Any, Any]:
    """The last result of some steps, in blocks of one row, and the run."""
    runner = RunnerSettings(**{"threads": 2, "memory": 1.0, "regroup": regroup, **settings})
    job = Job(source or PhantomSource(**SOURCE), pipeline(steps), collect=True, runner=runner)
    made = start(job)
    return made.finished(60), made


CHAINS = {
    "pixels": [{"use": "flat_field"}, {"use": "minus_log"}, cumulate()],
    "halo before": [{"use": "flat_field"}, lean(), Node(lean(), "again"), cumulate()],
    "halo behind": [{"use": "flat_field"}, cumulate(), smear()],
    "both": [lean(), cumulate(), smear(), Node(smear(), "again")],
    "nothing before": [cumulate()],
}


@pytest.mark.parametrize("name", CHAINS)
def test_every_way_gives_the_same(name: str) -> None:
    found = {way: run(CHAINS[name], way) for way in ("memory", "bands", "disk")}
    expected = next(iter(found["memory"][0].values())).data
    assert np.isfinite(expected).all()
    for way, (results, made) in found.items():
        assert [*made.report()["regroupings"].values()] == [way]
        np.testing.assert_array_equal(next(iter(results.values())).data, expected)
        assert made.counts.conserved
        assert (made.counts.done, made.counts.waiting) == (40, 0)


def test_unsorted_frames_are_the_same_in_bands() -> None:
    source = PhantomSource(**SOURCE)
    source.open()
    frames = source.read({})
    order = np.random.default_rng(3).permutation(40)

    def unsorted() -> MemorySource:
        return MemorySource.of(frames, "angle row col", ids=order)

    expected = next(iter(run([cumulate()], "memory", unsorted())[0].values())).data
    np.testing.assert_array_equal(expected, np.cumsum(np.swapaxes(frames, 0, 1), axis=1, dtype=np.float32))
    for way in ("bands", "disk"):
        got, how = run([cumulate()], way, unsorted())
        np.testing.assert_array_equal(next(iter(got.values())).data, expected)
        assert how.counts.conserved


def test_a_selected_part_of_a_file_is_read_in_bands(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    data = np.random.default_rng(5).integers(1, 999, (30, 11, 13), dtype=np.uint16)
    with h5py.File(path, "w") as file:
        file["data"], file["angles"] = data, np.arange(30) * 6.0
    values = {
        "source": {"use": "hdf5", "path": str(path), "dataset": "data", "axes": "angle row col", "angles": "angles"},
        "only": {"angle": "3:27:2", "row": "2:10"},
        "steps": [{"use": "minus_log"}, {"use": "fbp"}],
        "sinks": [{"use": "hdf5", "of": "fbp", "path": ""}],
    }
    found: dict[str, Any] = {}
    for way in ("memory", "bands", "disk"):
        values["sinks"][0]["path"] = str(tmp_path / f"{way}.h5")
        values["runner"] = {"memory": 1, "threads": 2, "regroup": way}
        made = start(load_job(values))
        made.finished(60)
        assert [*made.report()["regroupings"].values()] == [way]
        with h5py.File(tmp_path / f"{way}.h5") as file:
            found[way] = file["entry/data/data"][()]
    assert found["memory"].shape == (8, 13, 13)
    np.testing.assert_array_equal(found["bands"], found["memory"])
    np.testing.assert_array_equal(found["disk"], found["memory"])


def test_what_needs_a_whole_frame_is_not_read_in_bands() -> None:
    _, made = run([whole(), cumulate()], "auto")
    assert [*made.report()["regroupings"].values()] == ["disk"]
    _, made = run([{"use": "crop", "rows": (2, 20)}, cumulate()], "bands")
    assert [*made.report()["regroupings"].values()] == ["disk"]


def test_a_band_is_no_small_part_of_what_a_file_stores_together(tmp_path: Path) -> None:
    for chunks, expected in (((1, 64, 96), 64), ((4, 1, 96), 1), (None, 1)):
        path = tmp_path / f"{expected}-{chunks is None}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=np.ones((8, 64, 96), np.uint16), chunks=chunks)
        source = load_job(
            {
                "source": {"use": "hdf5", "path": str(path), "dataset": "data", "axes": "angle row col"},
                "steps": [{"use": "minus_log"}],
                "sinks": [{"use": "hdf5", "of": "minus_log", "path": str(tmp_path / "out.h5")}],
            }
        ).source
        source.open()
        assert source.stored_together("row") == expected  # pyright: ignore[reportAttributeAccessIssue]
        source.close()


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_stores_take_frames_in_any_order_and_in_parts(kind: str, tmp_path: Path) -> None:
    data = np.random.default_rng(0).random((11, 9, 4), np.float32)  # row, frame, col
    pieces = (slice(0, 4), slice(4, 8), slice(8, 11))
    store = (
        MemoryBlocks(pieces, 9, (4,), "float32")
        if kind == "memory"
        else ScratchBlocks(pieces, 9, (4,), "float32", tmp_path)
    )
    store.put(slice(5, 9), data[:, 5:], 0)
    store.put(slice(0, 5), data[:6, :5], 0)
    store.put(slice(0, 5), data[6:, :5], 6)
    np.testing.assert_array_equal(store.get(slice(3, 9)), data[3:9])
    for piece in pieces:
        np.testing.assert_array_equal(store.get(piece), data[piece])
    store.close()
    assert not list(tmp_path.iterdir())


def test_a_folder_for_scratch_that_is_not_there_is_named() -> None:
    with pytest.raises(JobError, match="scratch"):
        run([cumulate()], "disk", scratch="/nowhere/at/all")
