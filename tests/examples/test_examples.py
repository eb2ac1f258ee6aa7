"""Every example runs as it stands, and again with buffers of one chunk."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from firstlight.core.buffer import BufferSettings
from firstlight.jobs.load import job_values, load_job
from firstlight.jobs.start import start

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
RECORDED = [path for path in EXAMPLES if job_values(path)["source"]["use"] != "pva"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_is_a_valid_job(path: Path) -> None:
    load_job(path)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
@pytest.mark.parametrize("memory", [None, 1], ids=["default buffers", "buffers of one chunk"])
def test_the_example_runs(path: Path, memory: int | None, tmp_path: Path) -> None:
    values = job_values({**_read(path), "variables": {"folder": str(tmp_path)}})
    if memory is not None:
        values["buffers"] = {"default": BufferSettings(memory=memory).model_dump()}
    run = start(load_job(values))
    run.finished(100)
    assert run.counts.conserved
    assert run.counts.done == run.counts.expected > 0
    (written,) = tmp_path.iterdir()
    with h5py.File(written) as file:
        entry = file[file.attrs["default"]]
        data = entry[entry.attrs["default"]]
        assert np.isfinite(data[data.attrs["signal"]][()]).all()
        assert entry.attrs["complete"]


def _read(path: Path) -> dict[str, object]:
    import yaml

    return yaml.safe_load(path.read_text())
