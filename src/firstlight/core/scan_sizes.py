"""The axes of a scan as a detector sends it: as the user says, as the detector says, or half and half."""

from __future__ import annotations

from .errors import SourceError


def scan_sizes(
    total: int | None,
    scan_y: int | None,
    scan_x: int | None,
    *,
    arrival: str = "position",
    told: tuple[int, int] | None = None,
    says: str = "",
) -> dict[str, int | None]:
    """Length per arrival axis.

    Args:
        total: Frames that the detector will send, if it says.
        scan_y: Lines of the scan, if the user says.
        scan_x: Points of a line, if the user says.
        arrival: Name of the one axis where the scan has no lines.
        told: (scan_y, scan_x) as the detector says.
        says: What the detector says, for messages, such as ``series 7: nimages = 4``.

    Returns:
        ``{scan_y, scan_x}``, or the one axis `arrival`, of unknown length (None) if nobody knows it.

    Raises:
        SourceError: The detector will send another number of frames, or both sizes are needed.
    """
    if scan_y is None and scan_x is None:
        return {arrival: total} if told is None else {"scan_y": told[0], "scan_x": told[1]}
    if scan_y is not None and scan_x is not None:
        if total is not None and scan_y * scan_x != total:
            raise _wrong(total, f"{scan_y} x {scan_x} = {scan_y * scan_x} frames", says)
        return {"scan_y": scan_y, "scan_x": scan_x}
    known, name = (scan_y, "scan_y") if scan_y is not None else (scan_x or 1, "scan_x")
    if total is None:
        raise SourceError(
            "The detector does not say how many frames it will send, so both sizes of the scan are needed.",
            field=name,
            value=known,
            expected="scan_y and scan_x",
        )
    other, rest = divmod(total, known)
    if rest:
        raise _wrong(total, f"a multiple of {known} frames", says)
    return {"scan_y": known, "scan_x": other} if name == "scan_y" else {"scan_y": other, "scan_x": known}


def _wrong(total: int, expected: str, says: str) -> SourceError:
    return SourceError(
        f"The detector will send another number of frames than the scan has{f' ({says})' if says else ''}.",
        field="scan_y x scan_x",
        value=total,
        expected=expected,
        next_move="Correct the size of the scan, or what the detector is set to; nothing was read yet.",
    )
