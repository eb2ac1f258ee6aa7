import time

import numpy as np
import pytest

from firstlight.core.chunk import Stream
from firstlight.core.errors import ChangeRefused, FirstlightError, JobError, MissingExtra, StepFailed, UnknownName
from firstlight.core.run import Event
from firstlight.core.units import Quantity
from firstlight.core.view import Shown
from firstlight.jobs.messages import (
    error_fields,
    error_of,
    event_fields,
    event_of,
    shown_message,
    shown_of,
    status_fields,
    status_of,
)
from firstlight.jobs.protocol import Decoder, Message, ProtocolError, encode


def through_the_wire(message):
    return Decoder().feed(b"".join(bytes(part) for part in encode(message)))[0]


@pytest.fixture
def run(fake):
    made = fake.FakeRun(frames=3)
    made.finished(5)
    return made


def test_a_status_comes_back_whole(run):
    sent = run.status()
    back = status_of(through_the_wire(Message({"status": status_fields(sent)})).head["status"])
    assert back.views == sent.views
    assert back.steps == sent.steps
    assert back.counts == sent.counts
    assert back.consumers == sent.consumers
    assert back.values["find_center.center"] == 234.5
    assert np.isnan(back.values["odd.value"])


@pytest.mark.parametrize("part", ["counts", "views", "steps", "changes", "state"])
def test_a_broken_status_is_refused(run, part):
    broken = status_fields(run.status())
    del broken[part]
    with pytest.raises(ProtocolError):
        status_of(broken)
    with pytest.raises(ProtocolError):
        status_of({**broken, part: 3, "counts": {"no": 1}})


@pytest.mark.parametrize("shape", [(5, 7), (4, 8), (3,)])
def test_a_picture_brings_what_has_come(shape):
    data = np.arange(float(np.prod(shape))).reshape(shape)
    axes = ("scan_y", "scan_x")[: len(shape)]
    sent = Shown(data, Stream(axes, {}, "float64"), 3, covered=data % 3 > 0)
    back = shown_of(through_the_wire(shown_message(sent)))
    np.testing.assert_array_equal(back.data, data)
    np.testing.assert_array_equal(back.covered, sent.covered)
    broken = shown_message(sent)
    broken.head["shown"]["covered"] = [1_000_000]
    with pytest.raises(ProtocolError):
        shown_of(broken)


def test_a_picture_comes_back_whole(run):
    sent = run.view("slices.xy")
    object.__setattr__(sent, "calibration", {"pixel": Quantity(0.65, "um")})
    back = shown_of(through_the_wire(shown_message(sent)))
    np.testing.assert_array_equal(back.data, sent.data)
    assert back.stream == sent.stream
    assert (back.version, back.id, back.received, back.coverage) == (
        sent.version,
        sent.id,
        sent.received,
        sent.coverage,
    )
    assert back.calibration == {"pixel": Quantity(0.65, "um")}


@pytest.mark.parametrize(
    "head", [{}, {"shown": 3}, {"shown": {}}, {"shown": {"array": {}, "stream": {}, "calibration": {}}}]
)
def test_a_broken_picture_is_refused(head):
    with pytest.raises(ProtocolError):
        shown_of(Message(head, b""))


def test_events_come_back_whole():
    sent = Event("loss", "3 frames", level="warning", data={"frames": 3})
    assert event_of(event_fields(sent)) == sent
    with pytest.raises(ProtocolError):
        event_of({"kind": "log"})


@pytest.mark.parametrize(
    "error",
    [
        UnknownName(
            "There is no step 'x'.", field="step", value="x", expected="one of a, b", next_move="Did you mean a?"
        ),
        ChangeRefused("No.", field="z", value=-1, expected="≥ 0"),
        MissingExtra("p4p", "epics", "The source 'pva'"),
        JobError(["first", "second"]),
        StepFailed("step 'fbp' failed"),
    ],
)
def test_errors_keep_their_kind_and_their_parts(error):
    back = error_of(error_fields(error))
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_foreign_errors_become_ours():
    back = error_of(error_fields(ValueError("what")))
    assert isinstance(back, FirstlightError)
    assert str(back) == "ValueError: what"
    assert isinstance(error_of({"type": "SystemExit", "message": "x"}), FirstlightError)
    assert isinstance(error_of(error_fields(TimeoutError("late"))), TimeoutError)


def test_the_fake_satisfies_the_protocol(fake):
    from firstlight.core.run import Run

    run = fake.FakeRun(frames=1)
    assert isinstance(run, Run)
    time.sleep(0)
