"""Detectors to work with from Python: connected once, then armed or waited for, acquisition after acquisition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firstlight.core.errors import FirstlightError, MissingExtra, SourceError, UnknownName
from firstlight.core.registry import EXTRAS
from firstlight.core.source import Source

from .hooks import HookedSource, Hooks, Shape

_KINDS = ("dectris", "merlin", "tpx3")


def connect(kind: str, **where: Any) -> Connected:
    """Connect to a detector; frames of every acquisition that begins from now on are caught.

    Args:
        kind: dectris, merlin or tpx3.
        where: Its addresses: ``api="http://dcu", data="tcp://dcu:9999"`` of a DECTRIS detector, ``host="merlin-pc"`` of a
            Merlin (`port` and `control_port` if they are not the usual ones), or of Accos with a Timepix3; further
            parameters of the source.

    Raises:
        UnknownName: There is no such kind of detector.
        MissingExtra: What it needs is not installed.
        SourceError: An address is malformed.
    """
    if kind not in _KINDS:
        raise UnknownName(
            f"There is no detector '{kind}'.", field="kind", value=kind, expected="one of " + ", ".join(_KINDS)
        )
    try:
        module = import_module(f"firstlight.connectors.{kind}.detector")
    except ModuleNotFoundError as missing:
        extra = EXTRAS.get((missing.name or "").partition(".")[0])
        if extra is None:
            raise
        raise MissingExtra(missing.name or "", extra, f"The detector '{kind}'") from missing
    return Connected(module.Detector(**where))


class Connected:
    """A detector that frames can come from.

    Example::

        with fl.connect("dectris", api="http://dcu", data="tcp://dcu:9999") as detector:
            source = detector.arm(shape=(256, 256), trigger_mode="exte", frame_time=1e-3, hooks=MyHooks())
            run = fl.run(source, [fl.step("center_of_mass")])
            source = detector.wait(timeout=10)  # or the next acquisition that somebody else arms
    """

    def __init__(self, detector: Any) -> None:
        """Keep the connection."""
        self._detector = detector
        self._pending: Source | None = None
        """An acquisition that has begun, but whose shape was refused: to be asked for again."""

    @property
    def api(self) -> Any:
        """The SIMPLON REST interface, or Merlin's command socket.

        Raises:
            FirstlightError: Its address was not given, or nobody answers there.
        """
        return self._detector.api

    def arm(
        self,
        *,
        shape: Shape | None = None,
        hooks: Hooks | None = None,
        record: str | Path | None = None,
        **settings: Any,
    ) -> Source:
        """Configure the detector, arm it, and give the source of its frames.

        Args:
            shape: (scan_y, scan_x). Default: as many frames as the detector is set to, without lines.
            hooks: What is told of what happens; `on_ready_for_data` is the place to start the scan.
            record: Record what comes in this file, as it comes (see the source's parameter `record`).
            settings: Of a DECTRIS detector: trigger_mode, frame_time, count_time, …; of a Merlin: settings={"NAME": value}.

        Raises:
            FirstlightError: The shape is not complete; the detector refuses, or does not answer.
        """
        if shape is not None and (len(shape) != 2 or any(size is None or size < 1 for size in shape)):
            raise FirstlightError(
                "An armed detector must know how many frames to take.",
                field="shape",
                value=shape,
                expected="(scan_y, scan_x), both given",
            )
        told = Hooks() if hooks is None else hooks

        def ready(_: Source) -> None:
            told.on_armed(self)
            told.on_ready_for_data(self)

        self._pending = None
        try:
            source = self._detector.arm(
                shape=shape,
                configured=lambda: told.on_configured(self),
                ready=ready,
                **({} if record is None else {"record": Path(record)}),
                **settings,
            )
        except Exception as error:
            told.on_error(error)
            raise
        return source if hooks is None else HookedSource(source, hooks)

    def wait(
        self,
        timeout: float | None = None,
        *,
        shape: Shape | None = None,
        hooks: Hooks | None = None,
        record: str | Path | None = None,
    ) -> Source | None:
        """The next acquisition that somebody else starts; None at the time-out.

        Args:
            timeout: Seconds to wait at most; None: for ever.
            shape: (scan_y, scan_x), where None or -1 stands for what follows from the number of frames, both for a square.
                Default: what the hook `on_nav_shape` says, or else the detector.
            hooks: What is told of what happens.
            record: Record what comes from now on in this file, as it comes.

        Raises:
            SourceError: The shape does not fit the frames that the detector announces. None is lost: call `wait` again.
        """
        pending, self._pending = self._pending, None
        kept = {} if record is None else {"record": Path(record)}
        source: Any = pending or self._detector.wait(timeout, **kept)
        if source is None:
            return None
        self._pending = source
        frames = source.header.frames
        decided = None if hooks is None else hooks.on_nav_shape(frames, shape)
        sizes = scan_shape(shape if decided is None else decided, frames)
        self._pending = None
        if sizes is not None:
            source = source.model_copy(update={"scan_y": sizes[0], "scan_x": sizes[1]})
        return source if hooks is None else HookedSource(source, hooks)

    def listen(self, parameters: Mapping[str, Any]) -> Source:
        """A source of the next acquisition, whoever starts it; opening it waits for that one.

        Args:
            parameters: Of the source, such as scan_y and scan_x.
        """
        self._pending = None
        return self._detector.listen(parameters)

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        self._detector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def scan_shape(shape: Shape | None, frames: int | None) -> tuple[int, int] | None:
    """The shape of a scan, with what was left open filled in.

    Args:
        shape: (scan_y, scan_x) with None or -1 for what is open; (frames,) for a scan without lines.
        frames: Frames that the detector announces; None if it does not.

    Returns:
        (scan_y, scan_x), or None for a scan without lines, or of the shape that the detector tells.

    Raises:
        SourceError: It does not fit the frames, or stays open.
    """
    if shape is None:
        return None
    sizes = tuple(None if size is None or size == -1 else size for size in shape)
    if len(sizes) not in (1, 2) or any(size is not None and size < 1 for size in sizes):
        raise _wrong(shape, frames, "one or two sizes of 1 or more; -1 for one that is open")
    if frames is None:
        if len(sizes) == 2 and sizes[0] is not None and sizes[1] is not None:
            return sizes[0], sizes[1]
        raise _wrong(shape, frames, "both sizes, because the detector does not say how many frames it will send")
    filled = _filled(sizes, frames)
    if math.prod(filled) != frames:
        raise _wrong(shape, frames, f"a shape of {frames} frames")
    return (filled[0], filled[1]) if len(filled) == 2 else None


def _filled(sizes: tuple[int | None, ...], frames: int) -> tuple[int, ...]:
    """Open sizes such that the product comes near `frames`: a square if both are open."""
    if sizes == (None, None):
        return math.isqrt(frames), math.isqrt(frames)
    known = math.prod(size for size in sizes if size is not None)
    return tuple(frames // known if size is None else size for size in sizes)


def _wrong(shape: Shape, frames: int | None, expected: str) -> SourceError:
    announced = "an unknown number of" if frames is None else str(frames)
    return SourceError(
        f"This is no shape of a scan of {announced} frames.",
        field="shape",
        value=shape,
        expected=expected,
        next_move="Correct the shape and ask again; nothing was read yet.",
    )
