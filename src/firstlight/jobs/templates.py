"""Jobs to begin with: every option of every step at its default, with what it means beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic_core import PydanticUndefined

from firstlight.core import registry
from firstlight.core.errors import UnknownName
from firstlight.core.job import RunnerSettings
from firstlight.core.operator import OperatorFunction
from firstlight.core.pipeline import RESERVED
from firstlight.core.sizes import MIB
from firstlight.core.step import Configured

from .load import job_values

OFFERED = "offered"
"""Says of a step of a template what it is against: it is written as a comment, for the user to take in."""
_WIDTH = 118

_TOMOGRAPHY: list[dict[str, Any]] = [
    {"use": "flat_field"},
    {"use": "remove_outliers", "threshold": 0.2, OFFERED: "zingers and hot pixels"},
    {"use": "remove_all_stripes", OFFERED: "rings in the slices"},
    {"use": "paganin", "energy": "25 keV", "distance": "50 mm", OFFERED: "phase contrast; leave out minus_log then"},
    {"use": "minus_log"},
]
TEMPLATES: Mapping[str, dict[str, Any]] = {
    "tomo": {
        "name": "tomo",
        "source": {"use": "nxtomo", "path": "scan.nxs"},
        "steps": [
            *_TOMOGRAPHY,
            {"use": "find_center"},
            {"use": "fbp", "inputs": ["minus_log"], "center": {"from": "find_center"}},
        ],
        "sinks": [{"use": "hdf5", "of": "fbp", "path": "reconstruction.nxs"}],
    },
    "tomo_live": {
        "name": "tomo_live",
        "source": {"use": "phantom"},
        "steps": [
            {"use": "flat_field"},
            {"use": "minus_log"},
            {"use": "find_center"},
            {"use": "live_slices", "name": "slices", "inputs": ["minus_log"], "center": {"from": "find_center"}},
        ],
        "views": [{"of": "slices", "every": "0.1 s", "to": ["web"]}],
    },
    "stem": {
        "name": "stem",
        "source": {"use": "phantom4d"},
        "steps": [
            {"use": "virtual_detector"},
            {"use": "center_of_mass", "inputs": ["source"]},
        ],
        "sinks": [
            {"use": "hdf5", "of": "virtual_detector", "path": "bright_field.nxs"},
            {"use": "hdf5", "of": "center_of_mass.row_shift", "path": "row_shift.nxs"},
            {"use": "hdf5", "of": "center_of_mass.col_shift", "path": "col_shift.nxs"},
        ],
    },
}


_SAYS = {
    "tomo": "tomography, recorded",
    "tomo_live": "tomography while it is scanned",
    "stem": "4D-STEM",
}


def names() -> list[str]:
    """Techniques, and the profiles that come with firstlight."""
    return list(described())


def described() -> dict[str, str]:
    """What each template is for, by name; a profile says it in its first line."""
    profiles = {
        path.stem: path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        for path in sorted(_profiles().glob("*.yaml"))
    }
    return {**_SAYS, **profiles}


def _profiles() -> Path:
    return Path(str(files("firstlight") / "profiles"))


def template(
    name: str, source: Mapping[str, Any] | None = None, steps: Sequence[Mapping[str, Any]] | None = None
) -> str:
    """The text of a commented job file.

    Args:
        name: A technique, or a profile: then the steps are those of live tomography, unless it has its own.
        source: What stands there instead of the template's source.
        steps: What a recorded scan needs instead of the template's steps; what the template offers stays.

    Raises:
        UnknownName: There is neither.
    """
    if name in TEMPLATES:
        job = dict(TEMPLATES[name])
    elif (_profiles() / f"{name}.yaml").is_file():
        job = {**TEMPLATES["tomo_live"], **job_values({"profile": name}), "name": name}
    else:
        raise UnknownName(
            f"There is no template '{name}'.", field="template", value=name, expected="one of " + ", ".join(names())
        )
    if source is not None:
        job["source"] = dict(source)
    if steps is not None:
        job["steps"] = _with_offers(steps, [step for step in job["steps"] if OFFERED in step])
    return "\n".join(_job(name, job)) + "\n"


def _with_offers(steps: Sequence[Mapping[str, Any]], offers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps with what is offered before the last one that the reconstruction builds on: there it has an effect."""
    names = [str(step["use"]) for step in steps]
    place = names.index("find_center") - 1 if "find_center" in names else -1
    if place < 0:
        return [dict(step) for step in steps]
    fit = [offer for offer in offers if offer["use"] != "paganin" or names[place] == "minus_log"]
    return [*(dict(step) for step in steps[:place]), *fit, *(dict(step) for step in steps[place:])]


def _job(name: str, job: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Made by 'firstlight init {name}'. Every option is here with its default; what is not set stands behind a #."
    yield "#   firstlight check JOB                        names every mistake, and prints the plan"
    yield "#   firstlight run JOB                          carries it out"
    yield "#   firstlight run JOB --set step.option=value  changes an option, such as fbp.center=234.5"
    yield f"name: {job['name']}"
    yield ""
    yield "source:"
    yield from _plugin("sources", job["source"], "  ", first="  ")
    yield ""
    yield "steps:"
    for step in job["steps"]:
        mark = "# " if OFFERED in step else ""
        given = {key: value for key, value in step.items() if key != OFFERED}
        if mark:
            yield f"  # To be taken in: {step[OFFERED]}."
        for line in _plugin("operators", given, "    ", first="  - "):
            yield f"  {mark}{line[2:]}" if mark else line
    for part, kind in (("sinks", "sinks"), ("views", "views")):
        entries = cast("list[dict[str, Any]]", job.get(part) or [])
        if entries:
            yield ""
            yield f"{part}:"
        for entry in entries:
            if "use" in entry:
                yield from _plugin(kind, entry, "    ", first="  - ")
            else:
                yield f"  - {_value(entry)}"
    if job.get("buffers"):
        yield ""
        yield f"buffers: {_value(job['buffers'])}"
    yield ""
    yield "runner:"
    yield from _options(RunnerSettings, {"use": "local"}, "  ")


def _plugin(kind: str, given: Mapping[str, Any], margin: str, *, first: str) -> Iterator[str]:
    """A plugin with all its options, behind what it does."""
    found = registry.get(kind, str(given["use"]))
    model: type[Configured] = found.step if isinstance(found, OperatorFunction) else found
    yield from _comment(model.summary(), first.replace("-", " "))
    yield f"{first}use: {given['use']}"
    for key in (*RESERVED[1:], "of"):
        if key in given and key not in model.model_fields:
            yield f"{margin}{key}: {_value(given[key])}"
    yield from _options(model, given, margin)


def _options(model: Any, given: Mapping[str, Any], margin: str) -> Iterator[str]:
    schema = model.model_json_schema().get("properties", {})
    for name, field in model.model_fields.items():
        described = schema.get(name, {})
        yield from _comment(f"{described.get('description', '')} {_limits(described)}".strip(), margin)
        default = None if field.default is PydanticUndefined else field.default
        if field.default_factory is not None:
            default = field.default_factory()
        value = given.get(name, default)
        if value is None:
            yield f"{margin}# {name}:"
        elif described.get("unit") == "B" and isinstance(value, float) and value and not value % MIB:
            yield f"{margin}{name}: {value / MIB:g} MiB"
        else:
            yield f"{margin}{name}: {_value(value)}"


def _comment(text: str, margin: str) -> Iterator[str]:
    lead = margin + "# "
    yield from textwrap.wrap(" ".join(text.split()), _WIDTH, initial_indent=lead, subsequent_indent=lead)


_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _limits(described: Mapping[str, Any]) -> str:
    """Unit, limits and choices in brackets."""
    told: list[str] = []
    for option in (described, *described.get("anyOf", ())):
        told += [str(option["unit"])] if "unit" in option else []
        told += [f"{sign} {option[key]:g}" for key, sign in _SIGNS.items() if key in option]
        told += [" | ".join(map(str, option["enum"]))] if "enum" in option else []
    return f"[{', '.join(dict.fromkeys(told))}]" if told else ""


def _value(value: Any) -> str:
    """A value as YAML, on one line."""
    plain = yaml.safe_load(yaml.safe_dump(_plain(value)))
    return (
        yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True).strip().removesuffix("\n...")
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
