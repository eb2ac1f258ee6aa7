"""What the header of a series tells, as NeXus has it: detector, beam, tables."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ..hdf5.nexus import nx_group
from .wire import BadMessage, SeriesStart, table

_DETECTOR = {
    "description": None,
    "detector_number": None,
    "serial_number": None,
    "sensor_material": None,
    "sensor_thickness": "m",
    "bit_depth_image": None,
    "bit_depth_readout": None,
    "count_time": "s",
    "frame_time": "s",
    "threshold_energy": "eV",
    "x_pixel_size": "m",
    "y_pixel_size": "m",
    "pixel_size_x": "m",
    "pixel_size_y": "m",
    "beam_center_x": "pixel",
    "beam_center_y": "pixel",
    "saturation_value": None,
}
"""Fields of NXdetector (and those that SIMPLON calls alike), with their units."""
_ENERGIES = ("incident_energy", "photon_energy")


def describe(entry: Any, start: SeriesStart) -> Any:
    """Write instrument, detector and beam into an entry; the group of the detector.

    Args:
        entry: Group of the file.
        start: Header of the series; all that it tells goes into ``detectorSpecific``, as in files of DECTRIS.
    """
    instrument = nx_group(entry, "instrument", "NXinstrument")
    detector = nx_group(instrument, "detector", "NXdetector")
    specific = nx_group(detector, "detectorSpecific", "NXcollection")
    config: Mapping[str, Any] = start.config
    for name, value in config.items():
        _put(specific, str(name), value)
    for name, unit in _DETECTOR.items():
        if name in config and _put(detector, name, config[name]) and unit:
            detector[name].attrs["units"] = unit
    energy = next((config[name] for name in _ENERGIES if isinstance(config.get(name), int | float)), None)
    if energy is not None:
        beam = nx_group(instrument, "beam", "NXbeam")
        beam["incident_energy"] = float(energy)
        beam["incident_energy"].attrs["units"] = "eV"
    if start.appendix is not None:
        _put(specific, "appendix", str(start.appendix))
    specific["series"] = start.series
    for name, payload in start.tables.items():
        with contextlib.suppress(BadMessage):  # a table that can not be read is no reason not to record frames
            specific[f"tables/{name}"] = table(payload)
    return detector


def _put(group: Any, name: str, value: Any) -> bool:
    """Write one value, if it is one that a file can hold under that name."""
    simple = isinstance(value, str | int | float | bool)
    if not simple or not name or "/" in name or name in group or (isinstance(value, str) and "\0" in value):
        return False
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return False
    group[name] = value
    return True
