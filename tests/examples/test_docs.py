"""The code of the tutorial and of the how-tos does what the text says."""

import importlib
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstlight.jobs.load import load_job
from firstlight.jobs.start import start

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.timeout(120)


def blocks(page: str, language: str) -> list[str]:
    """The blocks of one language on a page."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a module of all Python blocks of a page, as a reader would type them into a file, and import it."""

    def write(page: str) -> Any:
        name = "page_" + re.sub(r"\W", "_", page)
        (tmp_path / f"{name}.py").write_text("\n\n".join(blocks(page, "python")))
        monkeypatch.syspath_prepend(str(tmp_path))
        return importlib.import_module(name)

    return write


def passes(contract: type, tmp_path: Path) -> int:
    """Run every test of a contract class; how many there were."""
    tests = [name for name in dir(contract) if name.startswith("test_")]
    for name in tests:
        test = getattr(contract(), name)
        test(tmp_path) if test.__code__.co_argcount > 1 else test()
    return len(tests)


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """my_scan.h5 in the current folder, with the axis where the tutorial says."""
    monkeypatch.chdir(tmp_path)
    source = {"use": "phantom", "columns": 600, "rows": 1, "angles": 40, "center": 296.0, "darks": 1, "flats": 1}
    start(
        load_job({"source": source, "sinks": [{"use": "dxfile", "of": "source.data", "path": "my_scan.h5"}]})
    ).finished(60)


@pytest.mark.usefixtures("recorded")
def test_the_tutorial(tmp_path: Path, written) -> None:
    import yaml

    (job,) = blocks("tutorials/first-light.md", "yaml")
    start(load_job(yaml.safe_load(job))).finished(60)
    assert (tmp_path / "my_scan_rec.nxs").exists()
    assert written("tutorials/first-light.md").volume.data.shape == (1, 600, 600)


def test_add_a_step(tmp_path: Path, written) -> None:
    page = written("how-to/add-a-step.md")
    page.run.finished(100)
    assert passes(page.TestClipCounts, tmp_path) >= 3


def test_add_a_source(tmp_path: Path, written) -> None:
    class Link:
        shape = (4, 6)

        def __iter__(self):
            for number in (0, 1, 2, 4, 5):
                yield number, 10.0 * number, np.full(self.shape, number, np.uint16)

        def close(self) -> None:
            pass

    page = written("how-to/add-a-source.md")
    page.connect = lambda address: Link()
    assert passes(page.TestCameraSource, tmp_path) >= 5


def test_connect_your_detector_is_a_valid_job() -> None:
    import yaml

    job, without_a_detector = map(yaml.safe_load, blocks("how-to/connect-your-detector.md", "yaml"))
    load_job(job)
    load_job(job | without_a_detector)
