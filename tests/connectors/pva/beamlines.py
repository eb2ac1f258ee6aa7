"""A real p4p server on loopback for the tests of the PVA connector, and how to read a source to its end."""

import threading
import time

import numpy as np

from firstlight.connectors.pva import wire
from firstlight.connectors.pva.serve import Beamline
from firstlight.connectors.pva.source import PvaSource
from firstlight.core.chunk import MAIN, Chunk, End, Gap

ROOM = 1024
"""Frames that may wait in the network layer: what a busy machine leaves there for a while must not push out others."""
NAMES = {"image": "test:Image", "dark": "test:Dark", "flat": "test:Flat", "theta": "test:Theta"}


def picture(number, shape=(5, 7), dtype=np.uint16, stamp=None, codec="", attributes=None):
    pixels = np.full(shape, number % 100, dtype)
    return wire.write_frame(pixels, number, time.time() if stamp is None else stamp, attributes, codec)


class Server:
    """A detector whose every update is chosen by the test."""

    def __init__(self, *, image=None, dark=None, flat=None, theta=None, port=0, names=NAMES):
        self.beamline = Beamline(names, "127.0.0.1", port)
        for use, value in {
            "image": image or wire.blank(),
            "dark": dark or wire.write_image(None),
            "flat": flat or wire.write_image(None),
            "theta": theta or wire.write_theta(np.arange(1000) * 0.5),
        }.items():
            self.beamline.set(use, value)
        self.beamline.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.beamline.stop()

    @property
    def address(self):
        return self.beamline.address

    def post(self, *numbers, pause=0.002, **how):
        for number in numbers:
            self.beamline.post("image", picture(number, **how))
            time.sleep(pause)

    def source(self, **parameters):
        given = {
            "image": NAMES["image"], "angle_step": 0.5, "idle": 0.5, "server": self.address, "queue": ROOM, **parameters
        }  # fmt: skip
        if given.get("theta"):
            del given["angle_step"]
        return PvaSource(**given)


class Reader:
    """Opens a source and reads it in a thread, as a run does."""

    def __init__(self, source):
        self.source, self.items, self.scan, self.error = source, [], None, None
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self.scan = self.source.open()
            self._opened.set()
            for item in self.source.items():
                self.items.append(item)
        except Exception as error:
            self.error = error
        finally:
            self._opened.set()

    def connected(self, timeout=60.0):
        """Wait until the source has subscribed, which is before it knows what the frames look like."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            receiver = self.source._receiver
            if receiver is not None and "image" in receiver.connected:
                return self
            time.sleep(0.01)
        raise TimeoutError

    def opened(self, timeout=60.0):
        assert self._opened.wait(timeout)
        if self.error:
            raise self.error
        return self

    def until(self, condition, timeout=60.0):
        end = time.monotonic() + timeout
        while not condition(self):
            assert time.monotonic() < end, f"{self.places()} {self.gaps()}"
            time.sleep(0.01)
        return self

    def finish(self, timeout=60.0):
        self._thread.join(timeout)
        assert not self._thread.is_alive()
        self.source.close()
        if self.error:
            raise self.error
        return self

    def chunks(self, stream=MAIN):
        return [item for item in self.items if isinstance(item, Chunk) and item.stream == stream]

    def places(self, stream=MAIN):
        return [(chunk.epoch, int(i)) for chunk in self.chunks(stream) for i in chunk.ids]

    def gaps(self, kind=None):
        return [item for item in self.items if isinstance(item, Gap) and kind in (None, item.kind)]

    def missing(self, kind="lost"):
        return [(gap.epoch, i) for gap in self.gaps(kind) for i in range(gap.first, gap.last + 1)]

    def ends(self):
        return [(item.stream, item.set) for item in self.items if isinstance(item, End)]
