"""The plan of a scan that is larger than memory: what fits, what is refused with which number, and that it is true."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firstlight.core.errors import JobError
from firstlight.core.sizes import Sizes
from firstlight.jobs.load import load_job
from firstlight.jobs.start import plan
from firstlight.runners.room import SHARE, free_memory

GIB = 2**30
BIG = {"use": "phantom", "columns": 2048, "rows": 2800, "angles": 3600, "noise": False}
STEPS = [
    {"use": "flat_field"},
    {"use": "minus_log"},
    {"use": "find_center"},
    {"use": "fbp", "inputs": ["minus_log"], "center": {"from": "find_center"}},
]


def job(out: Path, memory: str, source: dict[str, Any] | None = None, **runner: Any) -> dict[str, Any]:
    return {
        "name": "big",
        "source": source or BIG,
        "steps": STEPS,
        "sinks": [{"use": "hdf5", "of": "fbp", "path": str(out)}],
        "runner": {"use": "local", "memory": memory, "threads": 2, **runner},
    }


def sizes(values: dict[str, Any]) -> Sizes:
    found = plan(load_job(values)).sizes
    assert found is not None
    return found


def test_41_gb_are_planned_in_full_under_4_gib(tmp_path: Path) -> None:
    found = sizes(job(tmp_path / "out.h5", "4G"))
    assert 0.8 * 4 * GIB < found.peak <= 4 * GIB
    assert found.disk == 0
    source, behind = found.stages
    assert [step.name for step in source.steps if step.kind == "map"] == ["flat_field", "minus_log"]
    assert [step.name for step in behind.steps] == ["fbp"]
    assert behind.block == (8, 3600, 2048)
    assert behind.bound == "compute"
    (regrouping,) = found.regroupings
    assert regrouping.cut.bytes == 3600 * 2800 * 2048 * 4
    assert regrouping.way == "bands"
    assert regrouping.rows % 8 == 0
    assert regrouping.memory == 2 * regrouping.rows * 3600 * 2048 * 4
    told = "\n".join(plan(load_job(job(tmp_path / "out.h5", "4G"))).describe())
    assert "of 4.00 GiB" in told
    assert "bands of" in told
    assert "expected bound: compute" in told


def test_more_memory_means_fewer_bands_and_enough_means_none(tmp_path: Path) -> None:
    rows = [sizes(job(tmp_path / "o.h5", memory)).regroupings[0].rows for memory in ("3G", "4G", "8G", "32G")]
    assert rows == sorted(rows)
    assert rows[0] < rows[-1]
    assert sizes(job(tmp_path / "o.h5", "120G")).regroupings[0].way == "memory"


@pytest.mark.parametrize("memory", ["600M", "1G"])
def test_what_can_not_fit_is_refused_with_the_number_and_the_next_move(tmp_path: Path, memory: str) -> None:
    wide = {**BIG, "columns": 4096}
    with pytest.raises(JobError, match=r"GiB are needed with the smallest blocks.*fbp.*--memory") as caught:
        sizes(job(tmp_path / "out.h5", memory, wide))
    needed = float(str(caught.value).split("--memory ")[1].split("G")[0])
    assert sizes(job(tmp_path / "out.h5", f"{needed}G", wide, regroup="bands")).peak <= needed * GIB


def test_a_ring_of_projections_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    values = job(tmp_path / "out.h5", "1G")
    values["steps"] = [*STEPS[:2], {"use": "live_slices", "memory": "8 GiB"}]
    values["sinks"] = [{"use": "hdf5", "of": "live_slices.xy", "path": str(tmp_path / "out.h5")}]
    with pytest.raises(JobError, match=r"'live_slices': it must hold 8.00 GiB.*1.00 GiB.*--memory"):
        sizes(values)


def test_a_scratch_disk_without_room_is_refused(tmp_path: Path) -> None:
    vast = {**BIG, "rows": 16384, "angles": 1_000_000}
    with pytest.raises(JobError, match=r"scratch disk.*free.*runner.scratch"):
        sizes(job(tmp_path / "out.h5", "8T", vast, regroup="disk", scratch=str(tmp_path)))


def test_by_default_most_of_what_is_free_is_taken(tmp_path: Path) -> None:
    values = job(tmp_path / "out.h5", "1G", {**BIG, "columns": 64, "rows": 8, "angles": 20})
    del values["runner"]["memory"]
    assert sizes(values).budget == pytest.approx(SHARE * free_memory(), rel=0.3)


def measured(out: Path, memory: str, rows: str) -> dict[str, Any]:
    """The report of a run of part of the 41 GB in a process of its own."""
    report = out.with_suffix(".json")
    values = {**job(out, memory), "only": {"row": rows}} if rows else job(out, memory)
    command = [sys.executable, "-m", "firstlight.cli.main", "run", "--report", str(report)]
    path = out.with_suffix(".yaml")
    path.write_text(json.dumps(values))
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(report.read_text())


def within_a_tenth(report: dict[str, Any]) -> None:
    """Peak memory as planned: what a scan takes depends on the plan, not on who else is at work."""
    assert report["planned_memory_bytes"] <= report["memory_budget_bytes"]
    assert report["peak_memory_bytes"] == pytest.approx(report["planned_memory_bytes"], rel=0.1)


@pytest.mark.timeout(240)
def test_a_row_range_of_the_41_gb_takes_the_memory_that_was_planned(tmp_path: Path) -> None:
    report = measured(tmp_path / "out.h5", "4G", "mid-4:mid+4")
    assert report["regroupings"] == {"minus_log.data": "memory"}
    assert report["values"]["find_center.center"] == pytest.approx(1023.5, abs=0.5)
    within_a_tenth(report)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_bands_of_the_41_gb_take_the_memory_that_was_planned(tmp_path: Path) -> None:
    report = measured(tmp_path / "out.h5", "2300M", "mid-40:mid+40")
    assert report["regroupings"] == {"minus_log.data": "bands"}
    within_a_tenth(report)


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
def test_all_of_the_41_gb(tmp_path: Path) -> None:
    report = measured(tmp_path / "out.h5", "4G", "")
    assert report["done"] == 3600
    within_a_tenth(report)
