"""Runs of a made-up job in real processes."""

import importlib.util
import sys
import time
from pathlib import Path

import pytest

from firstlight.jobs.crash import reap
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor

FAKE = Path(__file__).with_name("fake_process.py")


@pytest.fixture
def supervisor(tmp_path):
    """Starts made-up runs; all are gone at the end."""
    made = Supervisor(Store(tmp_path / "state"), process=(sys.executable, str(FAKE)))
    yield made
    for entry in made.entries():
        made.run(entry.id).kill()
        while not made.run(entry.id).entry().over:
            time.sleep(0.01)
        reap(entry.id, 60)
    made.close()


@pytest.fixture(scope="session")
def fake():
    """The module of the made-up run, for runs in this process."""
    spec = importlib.util.spec_from_file_location("fake_process", FAKE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
