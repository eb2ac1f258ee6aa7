"""Scans of the beamline TOMCAT (Swiss Light Source): one series of TIFF files, and a text file that says which are what."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Any

_LARGEST = 2**20
_COUNTS = ("Number of darks", "Number of flats", "Number of projections")
"""The order in which they were taken; as many flats may follow."""


def series(folder: Path, files: list[Path]) -> tuple[dict[str, Any], list[str]]:
    """Which files of a folder are darks, flats and projections, by the log that lies beside them.

    Args:
        folder: The folder.
        files: Its images.

    Returns:
        Parameters of the source, and what was assumed, in words; empty where there is no such log, or where it does not fit.
    """
    for path in sorted(folder.glob("*.log")):
        told = _read(path)
        alike = f"{glob.escape(path.stem)}*[0-9].tif*"
        names = [file for file in files if file.match(alike)]
        counts = [_whole(told.get(name)) for name in _COUNTS]
        counted = all(re.fullmatch(re.escape(path.stem) + r"_?\d+", file.stem) for file in names)
        if not names or not counted or None in counts:
            continue
        darks, flats, projections = (int(count or 0) for count in counts)
        first = darks + flats
        if not projections or len(names) not in (first + projections, first + projections + flats):
            continue
        return _parameters(folder / alike, path, (darks, first, first + projections, len(names)), told)
    return {}, []


def _parameters(
    alike: Path, log: Path, ends: tuple[int, int, int, int], told: dict[str, str]
) -> tuple[dict[str, Any], list[str]]:
    darks, flats, projections, last = ends
    found: dict[str, Any] = {"pattern": f"{alike.name}[{flats}:{projections}]"}
    for name, begin, end in (("darks", 0, darks), ("flats", darks, flats), ("flats_after", projections, last)):
        if end > begin:
            found[name] = f"{alike}[{begin}:{end}]"
    start, step = _number(told.get("Rot Y min position")), _number(told.get("Angular step"))
    if start is not None and step:
        found["angles"] = f"{start:g}::{step:g}"
    for name, field, unit in (("pixel", "Actual pixel size", "um"), ("energy", "Beam energy", "keV")):
        number = _number(told.get(field))
        if number is not None and number > 0:
            found[name] = f"{number:g} {unit}"
    words = f"{darks} darks, {flats - darks} flats, {projections - flats} projections"
    after = f", {last - projections} flats" if last > projections else ""
    return found, [f"the files are {words}{after}, one after the other, by {log.name}"]


def _read(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        lines = [line.partition(":") for line in path.read_text(encoding="latin-1").splitlines()]
    except OSError:
        return {}
    return {name.partition("[")[0].strip(): value.strip() for name, _, value in lines}


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 8 else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if abs(number) < 1e6 else None
