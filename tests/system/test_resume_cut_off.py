"""Wherever a kill falls, from the first file that a run makes to the last one that it removes: what is left can be gone on with."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.core.errors import JobError, SinkError
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
from firstlight.runners.local import LocalRun

from ..killed import Moments, every_moment
from .resuming import finish, volume

pytestmark = pytest.mark.timeout(240)


def job(folder: Path, **runner: Any) -> dict[str, Any]:
    return {
        "name": "cut off",
        "source": {"use": "phantom", "columns": 64, "rows": 6, "angles": 60, "chunk": 16000},
        "steps": [
            {"use": "flat_field"},
            {"use": "minus_log"},
            {"use": "find_center"},
            {"use": "fbp", "inputs": ["minus_log"], "center": {"from": "find_center"}},
        ],
        "sinks": [
            {"use": "hdf5", "of": "fbp", "path": str(folder / "rec.h5")},
            {"use": "hdf5", "of": "find_center.center", "path": str(folder / "center.h5")},
        ],
        "runner": {"use": "local", "threads": 1, "memory": 1, "regroup": "disk", **runner},
    }


def names(cut: Path) -> list[Path]:
    return sorted(each.relative_to(cut) for each in cut.rglob("*"))


def different(moments: Moments) -> list[Path]:
    """Of moments at which the same files were there, the last."""
    taken = moments.taken
    return [one for one, after in pairwise(taken) if names(one) != names(after)] + taken[-1:]


def resumed(moments: Moments, cut: Path, values: dict[str, Any]) -> bool:
    """Put a folder back to a moment and resume; False if it is said that there is nothing to go on with."""
    shutil.rmtree(moments.folder)
    shutil.copytree(cut, moments.folder)
    again = {**values, "runner": {**values["runner"], "resume": True}}
    if not (cut / "rec.h5.resume" / "run.json").exists():
        with pytest.raises(JobError, match="nothing to go on with"):
            start(load_job(again))
        return False
    finish(again)
    assert [each.name for each in moments.folder.glob("*.resume")] == []
    return True


def results(folder: Path) -> list[Any]:
    """Pixels, mask, and whether the run came to its end, of both files."""
    return [(data.tolist(), mask.tolist(), ended) for data, mask, ended in map(volume, sorted(folder.glob("*.h5")))]


@pytest.mark.parametrize(
    ("regroup", "chosen"),
    [
        ("disk", different),
        *(
            pytest.param(way, lambda moments: moments.taken, marks=pytest.mark.slow)
            for way in ("disk", "bands", "memory")
        ),
    ],
)
def test_a_run_goes_on_from_every_moment(tmp_path: Path, regroup: str, chosen: Any) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    values = job(folder, regroup=regroup)
    with every_moment(folder, tmp_path / "cut") as moments:
        finish(values)
    whole, went_on = results(folder), 0
    for cut in chosen(moments):
        if resumed(moments, cut, values):
            assert results(folder) == whole
            went_on += 1
        elif len(names(cut)) > 1 and any("value-find_center.npz" == each.name for each in names(cut)):
            assert results(folder) == whole  # it had ended
    assert went_on >= 5


def test_a_run_that_replaces_a_result_does_not_go_on_from_what_the_old_one_noted(tmp_path: Path) -> None:
    """Killed before it noted anything itself: the frames that count as written lie in a file that is gone."""
    folder = tmp_path / "out"
    folder.mkdir()
    values = job(folder)
    for sink in values["sinks"]:
        sink["overwrite"] = True
    with every_moment(folder, tmp_path / "first") as first:
        finish(values)
    whole = results(folder)
    half = max((cut for cut in first.taken if (cut / "rec.h5.resume" / "run.json").exists()), key=lambda cut: cut.name)
    shutil.rmtree(folder)
    shutil.copytree(half, folder)
    with every_moment(folder, tmp_path / "again") as again:
        finish(values)
    begun = next(n for n, cut in enumerate(again.taken) if n > 1 and (cut / "rec.h5.resume" / "run.json").exists())
    for cut in again.taken[: begun + 1]:
        if resumed(again, cut, values):
            assert results(folder) == whole


def test_a_file_that_a_kill_may_tear_is_marked_as_open_before_a_resumed_run_writes_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    values = job(folder)
    values["sinks"] = [{**values["sinks"][0], "compression": "gzip"}]
    left = folder / "rec.h5.resume"
    run = start(load_job(values))
    with monkeypatch.context() as patched:
        patched.setattr(LocalRun, "_left_undone", True)
        run.finished(60)
    assert (left / "closed").exists()
    seen: list[bool] = []
    reopened = Hdf5Sink.reopened

    def watched(self: Any, *given: Any) -> Any:
        seen.append((left / "closed").exists())
        return reopened(self, *given)

    monkeypatch.setattr(Hdf5Sink, "reopened", watched)
    values["runner"]["resume"] = True
    finish(values)
    assert seen == [False]


def test_what_was_noted_holds_again_where_the_file_is_not_to_be_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    values = job(folder)
    with every_moment(folder, tmp_path / "cut") as moments:
        finish(values)
    whole = results(folder)
    half = next(cut for cut in moments.taken if (cut / "rec.h5.resume" / "value-find_center.npz").exists())
    shutil.rmtree(folder)
    shutil.copytree(half, folder)
    with pytest.raises(SinkError, match=r"exists already.*--resume goes on with it"):
        start(load_job(values))
    values["runner"]["resume"] = True
    finish(values)
    assert results(folder) == whole
