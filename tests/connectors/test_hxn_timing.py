"""Frames and positions as holoptycho's replay and HXN's live proxy send them, with every delay and disorder: the same image."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

import firstlight as fl
from firstlight.connectors.phantom.ptychography import PhantomPtychographySource
from firstlight.connectors.together.source import TogetherSource

pytestmark = [pytest.mark.slow, pytest.mark.alone]
FRAMES, SAMPLES = 81, 7


class Beamline:
    """Both streams, message by message."""

    def __init__(self):
        phantom = PhantomPtychographySource(window=32, scan_y=9, scan_x=9, step=4.0)
        self.known = phantom.open().calibration
        self.frames = phantom.read({"position": slice(0, FRAMES)}).astype(np.uint16)
        self.places = phantom.read({"position": slice(0, FRAMES)}, "positions")
        self.context = zmq.Context()
        self.eiger, self.panda = (self.context.socket(zmq.PUB) for _ in range(2))
        self.monitors = [each.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED) for each in (self.eiger, self.panda)]
        self.at = [
            f"tcp://127.0.0.1:{each.bind_to_random_port('tcp://127.0.0.1')}" for each in (self.eiger, self.panda)
        ]

    def wait(self):
        """Until somebody listens to both."""
        for monitor in self.monitors:
            assert monitor.poll(30_000)
            recv_monitor_message(monitor)
        time.sleep(0.5)  # subscriptions follow the handshake

    def frame(self, number, *, split):
        """The replay's three parts as one message; the proxy's each on its own, between others that say nothing."""
        rows, cols = self.frames.shape[1:]
        told = {"htype": "dimage_d-1.0", "shape": [cols, rows], "type": "uint16", "encoding": "raw", "size": 0}
        first = {"frame": number, "series": 1} if not split else {"htype": "dimage-1.0", "frame": number, "series": 1}
        parts = [json.dumps(first).encode(), json.dumps(told).encode(), self.frames[number].tobytes()]
        if not split:
            self.eiger.send_multipart(parts)
            return
        for part in [*parts, b'{"htype": "dconfig-1.0", "start_time": 1, "stop_time": 2, "real_time": 1}']:
            self.eiger.send(part)

    def positions(self, number):
        first = number * SAMPLES
        data = self.places[first : first + SAMPLES]
        told = {"dtype": "float64", "size": len(data), "starting_sample_number": first}
        channels = {"/INENC2.VAL.Value": data[:, 1], "/INENC3.VAL.Value": data[:, 0]}
        datasets = {name: {**told, "data": values.tolist()} for name, values in channels.items()}
        self.panda.send_json({"msg_type": "data", "frame_number": number, "datasets": datasets})

    def play(self, dice, *, split):
        """All of it once somebody listens, neighbours exchanged and pauses between, the streams one before the other as it happens."""
        self.wait()
        messages = -(-FRAMES // SAMPLES)
        streams = [
            [lambda k=k: self.frame(k, split=split) for k in disordered(FRAMES, dice)],
            [lambda k=k: self.positions(k) for k in disordered(messages, dice)],
        ]
        self.panda.send_json({"msg_type": "start", "arm_time": "", "start_time": "", "hw_time_offset_ns": None})
        while any(streams):
            dice.choice([each for each in streams if each]).pop(0)()
            if dice.random() < 0.3:
                time.sleep(0.03 * dice.random())
        self.panda.send_json({"msg_type": "stop", "emitted_frames": messages})


def disordered(count, dice):
    """Numbers of which neighbours are exchanged here and there: the first two always."""
    order = [*range(count)]
    for at in [0, *(n for n in range(2, count - 1) if dice.random() < 0.2)]:
        order[at], order[at + 1] = order[at + 1], order[at]
    return order


@pytest.fixture
def beamline():
    made = Beamline()
    yield made
    made.context.destroy(linger=0)


@pytest.mark.parametrize("split", [False, True])
def test_the_image_does_not_show_when_anything_came(beamline, split):
    step = fl.step(
        "ptychography",
        iterations=15,
        repeatable=True,
        energy=beamline.known["energy"].to("keV"),
        distance=beamline.known["distance"].to("m"),
        detector_pixel=beamline.known["pixel"].to("um"),
    )
    images = []
    for seed in range(3):
        eiger = {"use": "dectris", "data": beamline.at[0], "socket": "sub", "join": True, "idle": 3, "timeout": 60}
        panda = {"use": "panda", "address": beamline.at[1], "unit": "um", "idle": 3, "timeout": 60}
        source = TogetherSource(sources={"data": eiger, "positions": panda})
        with ThreadPoolExecutor(1) as pool:
            played = pool.submit(beamline.play, random.Random(seed), split=split)
            run = fl.run(source, [step])  # returns when the scan has begun
            images.append(run.finished(60)["ptychography.object"].data)
            played.result()
        counts = run.status().consumers["ptychography"]
        assert (counts.expected, counts.done) == (FRAMES, FRAMES)
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])
