"""The things of a run as fields of messages, and back: status, pictures, events, errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from firstlight.core import errors
from firstlight.core.arrays import Array
from firstlight.core.chunk import Stream
from firstlight.core.errors import FirstlightError, JobError, StepFailed
from firstlight.core.run import Change, Counts, Event, Status, StepInfo, ViewInfo
from firstlight.core.units import Quantity
from firstlight.core.view import Shown

from .protocol import Message, ProtocolError, array_fields, array_of, plain


def status_fields(status: Status) -> dict[str, Any]:
    """A status as plain values."""
    return plain({item.name: _plain_part(getattr(status, item.name)) for item in fields(Status)})


def _plain_part(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain_part(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_plain_part(part) for part in value]
    return (
        {part.name: _plain_part(getattr(value, part.name)) for part in fields(value)}
        if hasattr(value, "__dataclass_fields__")
        else value
    )


def status_of(given: Mapping[str, Any]) -> Status:
    """The status that `status_fields` made plain.

    Raises:
        ProtocolError: A field is missing or has the wrong form.
    """
    try:
        parts = dict(given)
        parts["counts"] = Counts(**given["counts"])
        parts["consumers"] = {name: Counts(**counts) for name, counts in given["consumers"].items()}
        parts["views"] = tuple(view_info_of(view) for view in given["views"])
        parts["steps"] = tuple(StepInfo(**step) for step in given["steps"])
        parts["changes"] = tuple(Change(**change) for change in given["changes"])
        return Status(**{item.name: parts[item.name] for item in fields(Status)})
    except (KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(
            "A status has the wrong form.",
            field="status",
            expected="the fields of core.run.Status",
            next_move=str(error),
        ) from None


def view_info_of(given: Mapping[str, Any]) -> ViewInfo:
    """The description of a view that was made plain."""
    size = given.get("pixel_size")
    tuples = {
        "axes": tuple(given["axes"]),
        "shape": tuple(given["shape"]),
        "pixel_size": None if size is None else tuple(size),
    }
    return ViewInfo(**{**given, **tuples})


def shown_message(shown: Shown, **more: Any) -> Message:
    """A picture as a message, with further fields of its head."""
    described, payload = array_fields(shown.data)
    if shown.covered is not None:
        payload = memoryview(b"".join((payload, np.packbits(shown.covered).tobytes())))
    head = {
        "array": described,
        "covered": None if shown.covered is None else list(shown.covered.shape),
        "stream": asdict(shown.stream),
        "calibration": {name: [quantity.value, quantity.unit] for name, quantity in shown.calibration.items()},
        **{
            name: getattr(shown, name)
            for name in ("version", "epoch", "id", "received", "finished", "coverage", "coarse")
        },
    }
    return Message({**more, "shown": head}, payload)


def shown_of(message: Message) -> Shown:
    """The picture in a message; shares memory with its payload.

    Raises:
        ProtocolError: A field is missing or has the wrong form.
    """
    try:
        given = dict(message.head["shown"])
        array, shape = given.pop("array"), given.pop("covered", None)
        packed = 0 if shape is None else -(-math.prod(map(int, shape)) // 8)
        end = len(message.payload) - packed
        data = array_of(array, message.payload[:end] if packed else message.payload)
        covered = None if shape is None else _unpacked(message.payload[end:], tuple(map(int, shape)))
        stream = given.pop("stream")
        calibration = {name: Quantity(*pair) for name, pair in given.pop("calibration").items()}
        marks = {label: tuple(values) for label, values in (stream.get("marks") or {}).items()}
        described = Stream(**{**stream, "axes": tuple(stream["axes"]), "marks": marks})
        return Shown(data=data, stream=described, calibration=calibration, covered=covered, **given)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ProtocolError(
            "A picture has the wrong form.",
            field="shown",
            expected="the fields of core.view.Shown",
            next_move=str(error),
        ) from None


def _unpacked(packed: bytes | bytearray | memoryview, shape: tuple[int, ...]) -> Array:
    """A mask of which each byte holds eight values."""
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=math.prod(shape)).reshape(shape).astype(bool)


def event_fields(event: Event) -> dict[str, Any]:
    """An event as plain values."""
    return plain({item.name: getattr(event, item.name) for item in fields(Event)})


def event_of(given: Mapping[str, Any]) -> Event:
    """The event that `event_fields` made plain.

    Raises:
        ProtocolError: A field is missing or has the wrong form.
    """
    try:
        return Event(**{item.name: given[item.name] for item in fields(Event)})
    except (KeyError, TypeError) as error:
        raise ProtocolError(
            "An event has the wrong form.", field="event", expected="the fields of core.run.Event", next_move=str(error)
        ) from None


ERRORS: dict[str, type[FirstlightError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, FirstlightError)
}


def error_fields(error: BaseException) -> dict[str, Any]:
    """An error as plain values, by its parts where it has them."""
    if isinstance(error, JobError):
        return {"type": "JobError", "message": error.message, "problems": list(error.problems)}
    if isinstance(error, FirstlightError):
        parts = {name: plain(getattr(error, name)) for name in ("message", "field", "value", "expected", "next_move")}
        return {"type": type(error).__name__, **parts}
    return {
        "type": type(error).__name__,
        "message": f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
    }


def error_of(given: Mapping[str, Any]) -> Exception:
    """The error that `error_fields` made plain; errors of no known kind become FirstlightError."""
    name, message = given.get("type"), str(given.get("message", "The run process gave no reason."))
    if name == "JobError":
        return JobError([str(problem) for problem in given.get("problems", [message])])
    if name == "TimeoutError":
        return TimeoutError(message)
    kind = ERRORS.get(str(name), StepFailed)
    error = kind.__new__(kind)  # some kinds have constructors of their own; the parts are common to all
    named = {part: given.get(part) for part in ("field", "value", "expected", "next_move")}
    FirstlightError.__init__(error, message, **named)
    return error
