"""The axes of a scan: as the user says, as the detector says, or half and half."""

from __future__ import annotations

from firstlight.core.errors import SourceError

from .wire import SeriesStart


def scan_sizes(
    start: SeriesStart, scan_y: int | None, scan_x: int | None, arrival: str = "position"
) -> dict[str, int | None]:
    """Length per arrival axis.

    Args:
        start: Header of the series.
        scan_y: Lines of the scan, if the user says.
        scan_x: Points of a line, if the user says.
        arrival: Name of the one axis where the scan has no lines.

    Returns:
        ``{scan_y, scan_x}``, or the one axis `arrival`, of unknown length (None) if nobody knows it.

    Raises:
        SourceError: The detector will send another number of frames.
    """
    total = start.frames
    if scan_y is None and scan_x is None:
        return _from_detector(start, total, arrival)
    if scan_y is not None and scan_x is not None:
        if total is not None and scan_y * scan_x != total:
            raise _wrong(start, total, f"{scan_y} x {scan_x} = {scan_y * scan_x} frames")
        return {"scan_y": scan_y, "scan_x": scan_x}
    known, name = (scan_y, "scan_y") if scan_y is not None else (scan_x, "scan_x")
    if total is None:
        raise SourceError(
            "The detector does not say how many frames it will send, so both sizes of the scan are needed.",
            field=name,
            value=known,
            expected="scan_y and scan_x",
            next_move="Give both, or set the stream's header_detail to basic.",
        )
    other, rest = divmod(total, known or 1)
    if rest:
        raise _wrong(start, total, f"a multiple of {known} frames")
    return {"scan_y": known, "scan_x": other} if name == "scan_y" else {"scan_y": other, "scan_x": known}


def _from_detector(start: SeriesStart, total: int | None, arrival: str) -> dict[str, int | None]:
    triggers, images = start.ntrigger, start.nimages
    by_line = start.config.get("trigger_mode") in ("ints", "exts") and (triggers or 1) > 1 and (images or 1) > 1
    if by_line and total is not None:
        # one trigger for each line of the scan
        return {"scan_y": triggers, "scan_x": images}
    return {arrival: total}


def _wrong(start: SeriesStart, total: int, expected: str) -> SourceError:
    config = start.config
    told = ", ".join(f"{n} = {config[n]}" for n in ("trigger_mode", "nimages", "ntrigger") if n in config)
    return SourceError(
        f"Series {start.series} has another number of frames than the scan ({told or 'by its header'}).",
        field="scan_y x scan_x",
        value=total,
        expected=expected,
        next_move="Correct the size of the scan, or nimages and ntrigger of the detector; nothing was read yet.",
    )
