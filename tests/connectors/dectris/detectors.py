"""A detector whose every message is chosen by the test, on loopback; and how to read a source to its end."""

import contextlib
import threading
import time

import numpy as np
import zmq

from firstlight.connectors.dectris import stream1, stream2
from firstlight.connectors.dectris.sim import DectrisSimulator
from firstlight.connectors.dectris.source import DectrisSource
from firstlight.core.chunk import MAIN, Chunk, End, Gap

SMALL = {"scan_y": 3, "scan_x": 4, "rows": 12, "columns": 16}


def config(frames, shape=(5, 7), dtype="uint16", mode="exte", **more):
    triggers = {"ntrigger": frames, "nimages": 1} if mode.endswith("e") else {"ntrigger": 1, "nimages": frames}
    rows, cols = shape
    sizes = {
        "x_pixels_in_detector": cols,
        "y_pixels_in_detector": rows,
        "bit_depth_image": 8 * np.dtype(dtype).itemsize,
    }
    return {"trigger_mode": mode, **triggers, **sizes, **more}


def picture(number, shape=(5, 7), dtype=np.uint16):
    return np.full(shape, number % 200, dtype)


class Detector:
    """Sends whatever it is told to send."""

    def __init__(self, kind="push", version=1, keys=None):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PUSH if kind == "push" else zmq.XPUB)
        self.socket.set_hwm(100_000)
        self.socket.setsockopt(zmq.SNDTIMEO, 10_000)
        if keys:
            self.socket.curve_server = True
            self.socket.curve_publickey, self.socket.curve_secretkey = keys
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.address, self.kind, self.version = f"tcp://127.0.0.1:{port}", kind, version

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.destroy(linger=0)

    def subscribed(self):
        """Wait until somebody hears what is published: that follows the connection."""
        assert self.socket.poll(60_000)
        assert self.socket.recv().startswith(b"\x01")

    def source(self, **parameters):
        socket = "pull" if self.kind == "push" else "sub"
        return DectrisSource(**{"data": self.address, "socket": socket, "timeout": 10.0, "idle": 2.0, **parameters})

    def send(self, parts):
        self.socket.send_multipart([parts] if isinstance(parts, bytes) else parts)

    def begin(self, frames=None, series=1, *, detail="basic", channels=("threshold_1",), **how):
        if self.version == 1:
            tables = {
                "flatfield": np.ones((5, 7)),
                "pixel_mask": np.zeros((5, 7), np.uint32),
                "countrate_table": np.ones((4, 2)),
            }
            self.send(stream1.write_start(series, config(frames, **how), detail=detail, tables=tables))
        else:
            told = {"image_size_x": 7, "image_size_y": 5, "image_dtype": "uint16", "number_of_images": frames}
            self.send(stream2.write_start(series, told, channels=channels))

    def frames(self, *numbers, series=1, channels=("threshold_1",), shape=(5, 7), dtype=np.uint16, pause=0.0, **how):
        for number in numbers:
            pixels = picture(number, shape, dtype)
            if self.version == 1:
                self.send(stream1.write_frame(series, number, pixels, **how))
            else:
                planes = {name: pixels + 1000 * at for at, name in enumerate(channels)}
                self.send(stream2.write_frame(series, number, planes, **how))
            time.sleep(pause)

    def end(self, series=1):
        self.send(stream1.write_end(series) if self.version == 1 else stream2.write_end(series))

    def series(self, frames, series=1, **how):
        self.begin(frames, series)
        self.frames(*range(frames), series=series, **how)
        self.end(series)


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
        """Wait until the source talks to the detector."""
        return self.until(lambda r: r.source._connection is not None and r.source._connection.connected, timeout)

    def opened(self, timeout=60.0):
        assert self._opened.wait(timeout)
        if self.error:
            raise self.error
        return self

    def until(self, condition, timeout=60.0):
        end = time.monotonic() + timeout
        while not condition(self):
            assert time.monotonic() < end, f"{self.places()} {self.gaps()} {self.error}"
            time.sleep(0.005)
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

    def places(self):
        return sorted((chunk.epoch, int(i)) for chunk in self.chunks() for i in chunk.ids)

    def gaps(self, kind=None):
        return [item for item in self.items if isinstance(item, Gap) and kind in (None, item.kind)]

    def missing(self, kind="lost"):
        return sorted((gap.epoch, i) for gap in self.gaps(kind) for i in range(gap.first, gap.last + 1))

    def ends(self):
        return [item.stream for item in self.items if isinstance(item, End)]

    def right(self, times=1):
        """Every frame holds its own number."""
        for chunk in self.chunks():
            first = chunk.data.reshape(len(chunk), -1)[:, 0]
            assert np.array_equal(first, chunk.ids * times % 200)
        return self


def at(*numbers, epoch=0):
    return [(epoch, number) for number in numbers]


@contextlib.contextmanager
def simulated(**parameters):
    """A simulator in a thread: its addresses, and its report once it is over."""
    given = {"parameters": SMALL, "settle": 0.05, "linger": 0.3, "source": "phantom4d", **parameters}
    if "file" in given:
        del given["source"], given["parameters"]
    told, report, stop, ready = {}, {}, threading.Event(), threading.Event()

    def run():
        report.update(DectrisSimulator(**given).run(stop, lambda content: (told.update(content), ready.set())))

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(100)
    try:
        yield told, report
    finally:
        stop.set()
        thread.join(100)
        assert not thread.is_alive()
