"""Fixtures of the DECTRIS tests."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("zmq")

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def together_from_the_second_frame_on(monkeypatch):
    """So few frames would all be read one by one, as they are while a series begins."""
    from firstlight.connectors.dectris import connection

    monkeypatch.setattr(connection, "_AT_ONCE", 1)


@pytest.fixture
def detector():
    from detectors import Detector

    with Detector() as one:
        yield one


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def any_version(request):
    from detectors import Detector

    with Detector(version=request.param) as one:
        yield one
