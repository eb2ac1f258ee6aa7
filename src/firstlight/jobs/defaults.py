"""A good default job for what a file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

from firstlight.connectors.recorded.recognised import recognising, source_class
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.job import parse_job
from firstlight.core.source import RandomAccess, Source

from .diffraction import STEP as DIFFRACTION
from .diffraction import diffraction_sinks, diffraction_steps, is_diffraction
from .infer import (
    DEAD_SIZE,
    ENOUGH,
    VALUES,
    Air,
    Values,
    air_of,
    background_of,
    covered_by,
    dark_hint,
    dead_points,
    level_of,
    needs_angles,
    never_written,
    readable,
    sample,
    side_widths,
    turn,
    values_of,
)
from .tilt_series import along_the_axis, demand_whole_images
from .unrecognised import read_at_all, unrecognised

SINKS = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".nxs": "hdf5",
    ".nx": "hdf5",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".zarr": "zarr",
    ".cxi": "cxi",
    ".ptychodus.h5": "ptychodus",
}
_WHOLE_TURNS = 0.02
"""How far, in half turns, angles may miss a whole number of them and still be taken as radians."""
FOLDER = "tiff"
"""The sink for a path without an ending."""

STEPS: Mapping[Values, tuple[str, ...]] = {
    "counts": ("normalize_bright", "minus_log"),
    "transmission": ("minus_log",),
    "attenuation": (),
}
"""What is done before the reconstruction of a scan without flat frames."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A job, and what had to be assumed for it."""

    job: dict[str, Any]
    assumptions: tuple[str, ...]
    """In words, one for each thing that the file does not say."""


def default_job(path: str | Path, out: str | Path) -> dict[str, Any]:
    """The job that reconstructs a recorded scan: the centre found by itself, filtered back-projection.

    Args:
        path: The recorded scan.
        out: Where the result goes; its ending chooses the format.

    Raises:
        SourceError: No source recognises the file, or it lacks what can not be inferred.
        FirstlightError: No sink writes such an ending.
    """
    return suggest(path, out).job


def suggest(
    path: str | Path,
    out: str | Path,
    *,
    source: Mapping[str, Any] | None = None,
    values: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Suggestion:
    """The job that reconstructs a recorded scan, with everything inferred that the file does not say.

    Args:
        path: The recorded scan: a file, or a folder of images.
        out: Where the result goes; its ending chooses the format.
        source: Parameters of the source that the user gives, such as ``angles``; ``use`` names the source itself.
        values: What the numbers are: counts, transmission or attenuation; None: found from the scan.
        overrides: What the user sets of the steps, such as ``{"ptychography.regime": "near"}``.

    Raises:
        SourceError: No source recognises the file, or it lacks what can not be inferred; the message names the option to give.
        FirstlightError: No sink writes such an ending, or there are no such values.
    """
    sink = {"use": sink_of(out), "of": "fbp", "path": str(out)}
    if values is not None and values not in VALUES:
        raise FirstlightError(
            "There are no such values.", field="--values", value=values, expected="one of " + ", ".join(VALUES)
        )
    given = dict(source or {})
    use = given.pop("use", None) or source_of(path)
    told: list[str] = []
    infer = getattr(source_class(use), "infer", None)
    if infer is not None:
        inferred, told = infer(Path(path), given)
        given = {**inferred, **given}
    described = {"use": use, "path": str(path), **given}
    told = [*told, *_assume_radians(described)]
    steps, more = _diffraction(described, overrides or {}) or _steps(described, cast("Values | None", values))
    demand_whole_images(steps, overrides or {})
    sinks = diffraction_sinks(sink, str(out)) if steps[0]["use"] == DIFFRACTION else [sink]
    job = {"name": Path(path).stem, "source": described, "steps": steps, "sinks": sinks}
    return Suggestion(job, (*told, *more))


def _diffraction(
    described: dict[str, Any], overrides: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[str]] | None:
    """The step for patterns with positions; None for any other scan."""
    source, scan = _opened(described)
    try:
        reader = readable(source)
        if reader is not None and is_diffraction(scan):
            return diffraction_steps(reader, scan, overrides)
        if {"angle", "row", "col"} <= {*scan.main.axes}:
            return None
        raise SourceError(
            "This is no scan that could be reconstructed.",
            field="path",
            value=described["path"],
            expected=f"projections (angle row col), or diffraction patterns with positions; it has the axes {' '.join(scan.main.axes)}",
            next_move="Name the raw scan, or write a job file with the steps that you want.",
        )
    finally:
        source.close()


def _steps(described: dict[str, Any], values: Values | None) -> tuple[list[dict[str, Any]], list[str]]:
    """The steps for a source; puts the angles into its description where they had to be inferred."""
    told: list[str] = []
    source, scan = _opened(described)
    try:
        source, scan = _written(described, source, scan, told)
        reader = readable(source)
        short = reader is not None and _short(described, reader, scan, told)
        if "flat" in scan.streams and values in (None, "counts"):
            _demand_darks(scan, reader)
            before = [
                {"use": "flat_field"},
                *_dead(scan, reader if values is None else None, told),
                *(_level(air_of(reader, scan), told) if values is None and reader is not None else ()),
                {"use": "minus_log"},
            ]
        elif values is None and reader is not None:
            seen = sample(reader, scan)
            values, why = values_of(seen, scan)
            told.append(f"{why} (--values {values})")
            dark = values == "counts" and "dark" in scan.streams
            before = [{"use": "subtract_dark"}] if dark else []
            before += _level(level_of(seen), told, "transmission") if values == "transmission" else []
            before += [{"use": name} for name in STEPS[values]]
            background = background_of(seen) if values == "attenuation" else None
            if background is not None:
                before.append(_sides(side_widths(scan.main.size("col"))[0], "subtract"))
                told.append(
                    f"the background is {background:.3g} at both sides, not 0: it is subtracted from each line"
                    " (--values attenuation leaves it)"
                )
        else:
            dark = values in (None, "counts") and "dark" in scan.streams
            before = [{"use": name} for name in (*(("subtract_dark",) if dark else ()), *STEPS[values or "counts"])]
    finally:
        source.close()
    if short and "tilt_axis" in scan.calibration:
        return along_the_axis(scan, before, told), told
    last = before[-1]["use"] if before else "source.data"
    return [*before, {"use": "find_center"}, {"use": "fbp", "inputs": [last], "center": {"from": "find_center"}}], told


def _written(described: dict[str, Any], source: Source, scan: Scan, told: list[str]) -> tuple[Source, Scan]:
    """The open source without frames at the end that were never written; those are named in its description."""
    reader = readable(source)
    empty = range(0) if reader is None or "ignore" in described else never_written(reader, scan)
    if not empty:
        return source, scan
    described["ignore"] = [*empty]
    told.append(
        f"frames {empty[0]} to {empty[-1]} are zeros, and were never written: the scan was ended early, they are left"
        " out (--set 'source.ignore=[]' keeps them)"
    )
    source.close()
    return _opened(described)


def _short(described: dict[str, Any], reader: RandomAccess, scan: Scan, told: list[str]) -> bool:
    """True where the projections cover less than slices need; puts the angles into the description where they have to be inferred."""
    if needs_angles(scan):
        found = turn(reader, scan)
        described["angles"] = f"0:{found}"
        told.append(
            f"the projections cover {found}° in even steps, the last one step before {found}°: the last fits the first"
            + (" mirrored" if found == 180 else "")
            + f" (--angles 0:{found})"
        )
        return False
    covered = covered_by(scan, described.get("ignore", ()))
    if covered < ENOUGH:
        told.append(
            f"slices are wanted although the projections cover {covered:.0f}° of 180°: edges along the others are lost"
        )
    return covered < ENOUGH


def _dead(scan: Scan, reader: RandomAccess | None, told: list[str]) -> list[dict[str, Any]]:
    """The step that fills pixels which saw nothing, where there are any."""
    share = 0.0 if reader is None else dead_points(reader, scan)
    if not share:
        return []
    told.append(
        f"{100 * share:.2g} % of the pixels saw no light (0 or below the darks) while their neighbours did: they get the"
        " median of those (--values counts leaves them)"
    )
    return [
        {"use": "calculate", "name": "without_dead", "expression": "where(v > 0, v, nan)"},
        # only what is no number is replaced: no value differs by so much
        {"use": "remove_outliers", "name": "fill_dead", "threshold": 1e6, "size": DEAD_SIZE, "kind": "dark"},
    ]


def _level(air: Air | None, told: list[str], leaves: Values = "counts") -> list[dict[str, Any]]:
    """The step that brings air to 1, where the beam of the projections is not that of the flats."""
    if air is None:
        return []
    told.append(
        f"the transmission of air is {air.level:.3g} at both sides, not 1 all the time: each line is divided by it"
        f" (--values {leaves} leaves it)"
    )
    return [_sides(air.width, "divide")]


def _sides(width: int, method: str) -> dict[str, Any]:
    return {"use": "normalize_by_sides", "left": width, "right": width, "method": method}


def _demand_darks(scan: Scan, reader: RandomAccess | None) -> None:
    """Flats can not be used without knowing what the detector counts in the dark.

    Raises:
        SourceError: Nothing says it.
    """
    if "dark" in scan.streams:
        return
    hint = "" if reader is None else f": {dark_hint(reader, scan)}"
    raise SourceError(
        "The scan has flat frames and no dark frames, and nothing says what the detector counts without light.",
        field="--set source.dark_level",
        value=None,
        expected=f"the counts of a dark pixel{hint}",
        next_move="Give it, such as --set source.dark_level=0, or a file of darks: --set source.darks=FILE.",
    )


def _opened(described: dict[str, Any]) -> tuple[Source, Scan]:
    """The open source. One that can not do without angles gets a guess, so that the frames may tell the real ones.

    Raises:
        SourceError: It can not be opened.
    """
    source = _source(described)
    try:
        return source, source.open()
    except SourceError as error:
        if error.field != "angles" or "angles" in described:
            raise
        guess = _source({**described, "angles": "0:180"})
        try:
            found = turn(guess, guess.open()) if readable(guess) else None  # pyright: ignore[reportArgumentType]
        except SourceError:
            raise error from None
        finally:
            guess.close()
        if found is None:
            raise
    return guess, _without_angles(guess.open())


def _assume_radians(described: dict[str, Any]) -> list[str]:
    """Takes angles without a unit as radians where they cover half a turn or whole turns in them; tells it."""
    if "angle_unit" in described:
        return []
    source = _source(described)
    try:
        source.open()
        return []
    except SourceError as error:
        if error.field != "angle_unit":
            return []  # told where it is opened to be looked at
    finally:
        source.close()
    guess = _source({**described, "angle_unit": "rad"})
    try:
        angles = np.sort(np.asarray(guess.open().coords["angle"]).ravel())
    except SourceError:
        return []
    finally:
        guess.close()
    covered = (angles[-1] - angles[0]) * len(angles) / (len(angles) - 1)
    if abs(covered / 180 - round(covered / 180)) > _WHOLE_TURNS or covered < 90:
        return []
    described["angle_unit"] = "rad"
    return [f"the angles are radians: they cover {covered:.4g}° then (--set source.angle_unit=deg if they are degrees)"]


def _without_angles(scan: Scan) -> Scan:
    from dataclasses import replace

    return replace(scan, coords={name: values for name, values in scan.coords.items() if name != "angle"})


def _source(described: Mapping[str, Any]) -> Source:
    return parse_job({"source": dict(described), "steps": [{"use": "mean"}]}).source


def source_values(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """What ``--set source.name=value`` says about the source, which can then be left out of what is inferred."""
    return {
        target.removeprefix("source."): yaml.safe_load(value) if isinstance(value, str) else value
        for target, value in overrides.items()
        if target.startswith("source.")
    }


def source_of(path: str | Path) -> str:
    """The name of the source that recognises a file.

    Raises:
        SourceError: The file does not exist, or no source knows its layout.
    """
    if not Path(path).exists():
        raise SourceError("There is no such file.", field="path", value=str(path), next_move="Check the path.")
    if not Path(path).is_dir():
        read_at_all(Path(path))
    found = recognising(Path(path))
    if found is not None:
        return found
    raise unrecognised(Path(path))


def sink_of(out: str | Path) -> str:
    """The name of the sink for a path: by its ending, and for a folder (no ending) TIFF, one file a slice.

    Raises:
        FirstlightError: None writes it.
    """
    ending = Path(out).suffix.lower()
    if not ending:
        return FOLDER
    double = Path(Path(out).stem).suffix.lower() + ending
    if double in SINKS:
        return SINKS[double]
    if ending not in SINKS:
        raise FirstlightError(
            "No sink writes this ending.",
            field="out",
            value=str(out),
            expected=f"one of {' '.join(sorted(SINKS))}, or no ending for a folder of TIFF files",
        )
    return SINKS[ending]
