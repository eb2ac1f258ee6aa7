"""The demos of cone beam and laminography give the sample that was simulated."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from firstlight.connectors.phantom.source import PhantomSource
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start

from .scenes import relative_rms

EXAMPLES = Path(__file__).parents[2] / "examples"


def written(name, folder):
    values = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text()) | {"variables": {"folder": str(folder)}}
    run = start(load_job(values))
    run.finished(100)
    (path,) = folder.iterdir()
    with h5py.File(path) as file:
        entry = file[file.attrs["default"]]
        data = entry[entry.attrs["default"]]
        volume = data[data.attrs["signal"]]
        return (
            volume[()],
            volume.attrs["units"],
            PhantomSource(**{k: v for k, v in values["source"].items() if k != "use"}),
        )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "error", "level"), [("cone_beam", 0.4, 0.04), ("laminography", 0.5, 0.1)])
def test_the_demo_shows_the_sample(name, error, level, tmp_path):
    volume, unit, source = written(name, tmp_path)
    truth = source.truth()
    assert unit == "1/cm"
    assert volume.shape == truth.shape
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in truth.shape], indexing="ij")
    seen = np.sqrt(x**2 + y**2 + z**2) < 0.42 * source.columns
    assert relative_rms(volume, truth, seen) < error
    inside = np.sqrt(x**2 + y**2 + z**2) < 0.2 * source.columns
    assert abs(volume[inside].mean() / truth[inside].mean() - 1) < level


@pytest.mark.parametrize("page", ["reconstruct-iteratively", "reconstruct-cone-beam-and-laminography"])
def test_the_jobs_of_the_how_to_run(page, tmp_path, monkeypatch):
    text = (EXAMPLES.parent / "docs" / "how-to" / f"{page}.md").read_text()
    jobs = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert jobs
    for number, job in enumerate(jobs):
        (folder := tmp_path / str(number)).mkdir()
        monkeypatch.chdir(folder)
        values = yaml.safe_load(job)
        start(load_job(values)).finished(100)
        assert {path.name for path in folder.iterdir()} == {sink["path"] for sink in values["sinks"]}
