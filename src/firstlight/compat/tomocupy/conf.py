"""tomocupy's configuration files: sections of options, the defaults included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..imported import Imported, JobBuilder, stepped
from ..settings import Settings, has_section, read_settings
from ..tables import row

_SECTIONS = ("file-reading", "remove-stripe", "reconstruction-types", "reconstruction-type")
_HARMLESS = frozenset(
    "config logs-home verbose config-update out-path-name center-search-width center-search-step nsino "
    "nsino-per-chunk nproj-per-chunk max-write-threads max-read-threads rotation-axis-sift-threshold "
    "find-center-start-row find-center-end-row flat-linear zarr-compression zarr-chunk "
    "ldchunk clear-folder rotation-axis-auto rotation-axis-method fw-pad ti-beta ti-mask vo-all-dim retrieve-phase-w "
    "retrieve-phase-pad ffratio ffdim fflog ffpad rotate-proj-order lamino-search-width lamino-search-step lamino-start-row "
    "lamino-end-row pre-processing rotation-axis-pairs read-pixel-size read-scintillator e-storage-ring b-storage-ring min-e "
    "max-e step-e maximum-psi-urad fw-sigma fw-filter fw-level vo-all-snr vo-all-la-size vo-all-sm-size dezinger-threshold "
    "energy propagation-distance retrieve-phase-delta-beta retrieve-phase-alpha end-row end-column end-proj ngpus".split()
)
_DEFAULTS = {
    "bright-ratio": "1",
    "dtype": "float32",
    "reconstruction-type": "full",
    "file-type": "standard",
}


def recognises(path: Path) -> bool:
    """True if a file has sections of tomocupy."""
    return has_section(path, _SECTIONS)


def read(path: Path) -> Imported:
    """The job of a configuration.

    Raises:
        SourceError: It is no file of settings, or a value in it is no number.
    """
    given = read_settings(path)
    builder = JobBuilder("tomocupy", "tomocupy")
    builder.source = {"use": "dxfile", "path": given.text("file-name") or builder.source["path"]}
    for theirs, ours in (("flat-file-name", "flats"), ("dark-file-name", "darks")):
        named = given.text(theirs)
        if named:
            builder.source[ours] = f"{named}:exchange/data_{'white' if ours == 'flats' else 'dark'}"
    pixel = given.number("pixel-size")
    if pixel:
        builder.source["pixel"] = f"{pixel:g} um"
    for label, name in (("row", "row"), ("col", "column"), ("angle", "proj")):
        _cut(builder, given, label, name)
    if given.number("dezinger"):
        _option(builder, given, "dezinger", {"kind": "both"})
    builder.append({"use": "flat_field"})
    phase = _chosen(given, "retrieve-phase-method")
    if phase:
        _option(builder, given, phase)
    if given.text("minus-log") is None or given.flag("minus-log"):
        if phase and builder.steps[-1]["use"].startswith("paganin"):
            builder.remarks.append("minus-log: the phase step gives attenuation already.")
        else:
            builder.append({"use": "minus_log"})
    stripes = _chosen(given, "remove-stripe-method")
    if stripes:
        _option(builder, given, stripes)
    if given.text("file-type") == "double_fov":
        axis = given.number("rotation-axis")
        told = {} if axis is None or axis < 0 or given.text("rotation-axis-auto") == "auto" else {"center": axis}
        if not told:
            builder.append({"use": "find_center_360"})
        builder.append({"use": "stitch_half_acquisition", **told})
        builder.remarks.append("double_fov: after the halves are joined the axis is in the middle.")
    _reconstruct(builder, given)
    _save(builder, given, path.stem)
    given.remark_on_rest(builder, _HARMLESS, _DEFAULTS)
    return builder.finish(path.stem)


def _cut(builder: JobBuilder, given: Settings, label: str, name: str) -> None:
    first, last = int(given.number(f"start-{name}") or 0), int(given.number(f"end-{name}") or -1)
    if first or last > 0:
        builder.only[label] = f"{first}:{last if last > 0 else ''}"


def _chosen(given: Settings, option: str) -> str | None:
    value = given.text(option)
    return None if value is None else f"{option}:{value}"


def _option(builder: JobBuilder, given: Settings, name: str, more: dict[str, Any] | None = None) -> None:
    """Our step for a value of an option, with the further options that belong to it."""
    known = row("tomocupy", name)
    if known is None:
        builder.add(name, {})
        return
    values: dict[str, Any] = {}
    for theirs in known.parameters:
        text = given.text(theirs)
        if text is not None:
            number = given.number(theirs) if theirs not in known.values else None
            whole = number is not None and number.is_integer() and theirs not in known.units
            values[theirs] = text if number is None else int(number) if whole else number
    builder.add_row(known, values)
    builder.steps[-1].update(more or {})


def _reconstruct(builder: JobBuilder, given: Settings) -> None:
    joined = builder.joined
    axis = given.number("rotation-axis")
    auto = (given.text("rotation-axis-auto") or "manual") == "auto"
    if auto and not joined:
        _option(builder, given, _chosen(given, "rotation-axis-method") or "rotation-axis-method:sift")
    _option(builder, given, _chosen(given, "reconstruction-algorithm") or "reconstruction-algorithm:fourierrec")
    step = builder.steps[-1]
    if joined or axis is None or axis < 0 or auto:
        step.pop("center", None)  # their -1 is the middle, which is our default
    if auto and builder.center is not None:
        step["center"] = {"from": builder.center}
    elif (given.text("reconstruction-type") or "").startswith("try"):
        _try(builder, given, step)
    if given.number("lamino-angle"):
        builder.remarks.append(
            f"lamino-angle = {given.text('lamino-angle')}: laminography is not carried over; see the step general_backproject."
        )


def _try(builder: JobBuilder, given: Settings, step: dict[str, Any]) -> None:
    """One slice, with the axis at many places about the one that is told."""
    axis, row = given.number("rotation-axis"), given.number("nsino")
    width, each = given.number("center-search-width") or 50.0, given.number("center-search-step") or 0.5
    if given.text("reconstruction-type") != "try" or axis is None or axis < 0 or row not in (None, 0.5):
        kind = given.text("reconstruction-type")
        builder.remarks.append(
            f"reconstruction-type = {kind}: what it tries is not carried over; see 'firstlight sweep', and 'only' for the rows."
        )
        return
    step["center"] = {"sweep": stepped(axis - width, axis + width, each)}
    builder.only["row"] = "mid:mid+1"


_SINKS = {"tiff": "tiff", "zarr": "zarr"}


def _save(builder: JobBuilder, given: Settings, stem: str) -> None:
    use = _SINKS.get(given.text("save-format") or "tiff", "hdf5")
    folder = given.text("out-path-name") or f"{stem}_rec"
    if use != "hdf5":
        builder.save(use, folder if use == "tiff" else f"{folder}.zarr")
