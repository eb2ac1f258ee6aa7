"""Detectors that are not there, in threads of their own, and what they play."""

import contextlib
import threading

from firstlight.connectors.dectris.sim import DectrisSimulator
from firstlight.connectors.merlin.sim import MerlinSimulator
from firstlight.connectors.tpx3.sim import Tpx3Simulator
from firstlight.core import registry

SMALL = {"scan_y": 3, "scan_x": 4, "rows": 12, "columns": 16}


def truth():
    return registry.get("sources", "phantom4d")(**SMALL).read({}).reshape(-1, 12, 16)


@contextlib.contextmanager
def running(simulator):
    """A simulator in a thread: what it tells when it is ready."""
    told, stop, ready = {}, threading.Event(), threading.Event()
    thread = threading.Thread(target=simulator.run, args=(stop, lambda content: (told.update(content), ready.set())))
    thread.start()
    assert ready.wait(100)
    try:
        yield told
    finally:
        stop.set()
        thread.join(100)
        assert not thread.is_alive()


def dectris(**given):
    given = {"source": "phantom4d", "parameters": SMALL, "settle": 0.05, "linger": 0.3, "auto": 0, **given}
    return running(DectrisSimulator(**given))


def timepix(**given):
    return running(Tpx3Simulator(**{"parameters": SMALL, "frames": 5, **given}))


def merlin(**given):
    return running(MerlinSimulator(**{"parameters": SMALL, "linger": 0.3, "auto": 0, **given}))
