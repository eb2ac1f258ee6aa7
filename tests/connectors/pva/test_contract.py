"""The PVA source keeps the contract of every source; the view's and the simulator's parameters are documented."""

import threading
import time

import numpy as np
import pytest
from beamlines import NAMES, Server

from firstlight.connectors.pva import wire
from firstlight.connectors.pva.sim import PvaSimulator
from firstlight.connectors.pva.view import PvaView
from firstlight.testing import SourceContract
from firstlight.testing.fields import demand_documented, demand_round_trips

UNLIMITED = frozenset({"angle_start", "angle_step", "center", "seed"})


class TestPvaSource(SourceContract):
    unlimited = UNLIMITED

    @pytest.fixture(autouse=True)
    def _servers(self):
        self.servers, self.threads, self.over = [], [], threading.Event()
        yield
        self.over.set()
        for thread in self.threads:
            thread.join()
        for server in self.servers:
            server.beamline.stop()

    def make(self, tmp_path):
        image = wire.write_image(np.ones((5, 7)))
        server = Server(dark=image, flat=image)
        self.servers.append(server)
        source = server.source(frames=12, dark=NAMES["dark"], flat=NAMES["flat"], theta=NAMES["theta"], idle=60.0)
        self.threads.append(threading.Thread(target=self._play, args=(server, source)))
        self.threads[-1].start()
        return source

    def _play(self, server, source):
        """Frames 1 to 12, one of them missing, each time that the source connects."""
        played = None
        while not self.over.is_set():
            receiver = source._receiver
            if receiver is not None and receiver is not played and "image" in receiver.connected:
                played = receiver
                time.sleep(0.1)
                server.beamline.post("image", wire.blank())
                server.post(*(number for number in range(1, 13) if number != 4), pause=0.02)
            time.sleep(0.02)

    def test_the_same_again_and_close_twice(self, tmp_path):
        # how many frames share a chunk depends on when they come, so frames are compared and not chunks
        source = self.make(tmp_path)
        source.close()
        seen = []
        for _ in range(2):
            source.open()
            chunks = [item for item in source.items() if getattr(item, "ids", None) is not None]
            seen.append([int(i) for chunk in chunks if chunk.stream == "data" for i in chunk.ids])
            source.stop()
            source.close()
            source.close()
        assert seen[0][-8:] == seen[1][-8:] == list(range(4, 12))

    def test_stop_ends_it_promptly(self, tmp_path):
        # what a detector has sent by then is delivered, so more may come after `stop` than from a file
        source = self.make(tmp_path)
        source.open()
        items = source.items()
        next(items)
        begin = time.monotonic()
        source.stop()
        source.stop()
        list(items)
        source.close()
        assert time.monotonic() - begin < 30  # not the 60 that it would wait


@pytest.mark.parametrize("kind", [PvaView, PvaSimulator])
def test_parameters_are_documented_and_limited(kind):
    demand_documented(kind, UNLIMITED)


def test_views_and_simulators_come_back_from_json_and_pickle():
    demand_round_trips(PvaView(name="test:Recon"))
    demand_round_trips(PvaSimulator(parameters={"columns": 32}))
