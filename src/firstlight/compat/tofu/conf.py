"""tofu's configuration files (``reco.conf``): sections of options, of which ``tofu reco`` and ``tofu tomo`` make a chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..imported import Imported, JobBuilder, stepped
from ..settings import Settings, has_section, read_settings
from ..tables import row

_SECTIONS = ("flat-correction", "general-reconstruction", "tomographic-reconstruction", "retrieve-phase", "fbp")
_FILTERS = {"ramp": "ram-lak", "ramp-fromreal": "ram-lak", "butterworth": "butterworth", "hamming": "hamming"}
_HARMLESS = frozenset(
    "verbose log config gpus burst dry-run enable-tracing slice-memory-coeff slices-per-device data-splitting-policy "
    "num-gpu-threads pass-size retries retry-timeout output-bytes-per-file output-append disable-projection-crop projection-margin "
    "projection-crop-after compute-type result-type fix-nan-and-inf".split()
)
_DEFAULTS = {
    "x-region": "0,-1,1",
    "y-region": "0,-1,1",
    "region": "0,1,1",
    "z-parameter": "z",
    "overall-angle": "360",
    "output-bitdepth": "32",
    "bitdepth": "32",
    "reduction-mode": "average",
    "store-type": "float",
    "slice-gray-map": "0,0",
    "projection-padding-mode": "clamp_to_edge",
    "retrieval-padding-mode": "clamp_to_edge",
    "genreco-padding-mode": "clamp",
    "projection-filter-cutoff": "0.5",
    "projection-filter-scale": "1.0",
    "dark-scale": "1.0",
    "flat-scale": "1.0",
    "thresholding-rate": "0.01",
    "frequency-cutoff": "1e+30",
    "pixel-size": "1e-06",
    "tie-approximate-point": "0.75",
    "num-iterations": "10",
    "relaxation-factor": "0.25",
    "lambda": "0.1",
    "mu": "0.5",
}
_GEOMETRY = (
    "axis-angle-x",
    "axis-angle-y",
    "source-position-y",
    "detector-angle-x",
    "detector-angle-y",
    "detector-angle-z",
    "volume-angle-x",
    "volume-angle-y",
    "volume-angle-z",
)


def recognises(path: Path) -> bool:
    """True if a file has sections of tofu."""
    return has_section(path, _SECTIONS)


def read(path: Path) -> Imported:
    """The job of a configuration.

    Raises:
        SourceError: It is no file of settings, or a value in it is no number.
    """
    given = read_settings(path)
    builder = JobBuilder("tofu", "tofu")
    _source(builder, given)
    if given.text("flats") or given.text("darks"):
        builder.add("flat-field-correct", {})
        builder.remarks.remove("flat-field-correct: absorption-correct: add minus_log.")
    phase = _phase(builder, given)
    if given.flag("absorptivity") and not phase:
        builder.append({"use": "minus_log"})
    _reconstruct(builder, given)
    _save(builder, given)
    given.remark_on_rest(builder, _HARMLESS, _DEFAULTS)
    return builder.finish(path.stem)


def _source(builder: JobBuilder, given: Settings) -> None:
    sinograms = given.text("sinograms")
    builder.source = {"use": "tiff", "path": sinograms or given.text("projections") or "projections"}
    if sinograms:
        builder.source["order"] = "sinogram"
    for theirs, ours in (("darks", "darks"), ("flats", "flats"), ("flats2", "flats_after")):
        named = given.text(theirs)
        if named:
            builder.source[ours] = named
    overall = given.number("overall-angle")
    builder.source["angles"] = f"0:{360.0 if overall is None else overall:g}"
    if given.number("energy") and given.text("propagation-distance"):  # else it is what nobody changed
        pixel = given.number("pixel-size")
        builder.source["pixel"] = f"{1e-6 if pixel is None else pixel:g} m"
    _cut(builder, given, "row", "y", "height", "y-step")
    _cut(builder, given, "angle", "start", "number", "step")


def _cut(builder: JobBuilder, given: Settings, label: str, first: str, count: str, step: str) -> None:
    start, length, stride = (given.number(name) for name in (first, count, step))
    if not start and not length and (stride or 1) == 1:
        return
    begin = int(start or 0)
    stop = f"{begin + int(length)}" if length else ""
    builder.only[label] = f"{begin}:{stop}" + (f":{int(stride)}" if stride and stride != 1 else "")


def _phase(builder: JobBuilder, given: Settings) -> bool:
    energy, distance = given.number("energy"), given.text("propagation-distance")
    method, rate = given.text("retrieval-method") or "tie", given.number("regularization-rate")
    if energy is None or distance is None:
        return False  # as tofu has it: without both there is no phase retrieval, whatever else is set
    known = row("tofu", f"retrieve-phase:{method}")
    if known is None:
        builder.add(f"retrieve-phase:{method}", {})
        return False
    step: dict[str, Any] = {"use": known.ours, **known.set, "energy": f"{energy:g} keV"}
    distances = [f"{float(part):g} m" for part in distance.split(",")]
    step["distances" if known.ours == "ctf_multidistance" else "distance"] = (
        distances if len(distances) > 1 else distances[0]
    )
    step["delta_beta"] = 10 ** (2.5 if rate is None else rate)
    threshold = given.number("thresholding-rate") if "thresholding-rate" in known.parameters else None
    if threshold is not None:
        step[known.parameters["thresholding-rate"]] = threshold
    builder.append(step)
    return True


def _reconstruct(builder: JobBuilder, given: Settings) -> None:
    for name in _GEOMETRY:
        if given.number(name):
            builder.remarks.append(
                f"{name} = {given.text(name)}: cone beam, laminography and tilts are not carried over; see the step general_backproject."
            )
    center = given.number("center-position-x")
    axis = given.number("axis")
    step: dict[str, Any] = {"use": "fbp"}
    tried = _tried(given)
    if tried:
        step["center"] = {"sweep": [value - 0.5 for value in tried]}
    elif center is not None:
        step["center"] = center - 0.5  # a whole number is the edge of a pixel there, its middle here
    elif axis is not None:
        step["center"] = axis
        builder.remarks.append("axis: a whole number may mean the edge of a pixel in tofu; here it is its middle.")
    else:
        builder.append({"use": "find_center"})
        step["center"] = {"from": "find_center"}
    kind = given.text("projection-filter")
    if kind in _FILTERS:
        step["filter"] = _FILTERS[kind]
    elif kind is not None:
        builder.remarks.append(f"projection-filter = {kind} has no counterpart.")
    method = given.text("method") or "fbp"
    if method in ("sirt", "sart", "sbtv"):
        step = {**_iterative(builder, given, method), "center": step["center"]}
    elif method not in ("fbp", "dfi"):
        builder.remarks.append(f"method = {method} has no counterpart; fbp stands there instead.")
    builder.append(step)


def _iterative(builder: JobBuilder, given: Settings, method: str) -> dict[str, Any]:
    """Our step for one of their iterative methods, with what it is told or has of itself."""
    known = row("tofu", method)
    if known is None:
        return {"use": "sirt"}
    usual = {theirs: float(_DEFAULTS[theirs]) for theirs in known.parameters}
    told = {theirs: number for theirs in usual if (number := given.number(theirs)) is not None}
    values = {theirs: int(number) if number.is_integer() else number for theirs, number in (usual | told).items()}
    step, remarks = known.step(values)
    builder.remarks += remarks
    return step


def _save(builder: JobBuilder, given: Settings) -> None:
    """TIFF, as there: one file, or a folder where the name counts the slices."""
    path = given.text("output")
    if path is not None:
        folder, _, name = path.rpartition("/")
        builder.save("tiff", path if "%" not in name else folder or "slices")


def _tried(given: Settings) -> list[float]:
    """The positions of the axis that `reco` is told to try, in its own pixels."""
    if given.sections.get("general-reconstruction", {}).get("z-parameter", "").strip() != "center-position-x":
        return []
    given.asked |= {"z-parameter", "region"}
    try:
        first, last, step = (float(part) for part in (given.text("region") or "").split(","))
    except ValueError:
        return []
    return [float(value) for value in stepped(first, last, step)]
