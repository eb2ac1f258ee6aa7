"""Reading holoptycho's flat config: strings in, checked values out."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firstlight.core.errors import FirstlightError, UnitError
from firstlight.core.units import parse_quantity
from firstlight.parser import literal

from .keys import ALGORITHMS, KEYS, SECRET, Key, key_of
from .orientation import reduced

HC_KEV_NM = 1.239841984
"""Planck's constant times the speed of light."""
LARGEST_VALUE = 10_000
"""Characters of a value."""
MOST_KEYS = 1000


class ConfigError(FirstlightError):
    """A config that can not be run."""


@dataclass(frozen=True, slots=True)
class Config:
    """A config as it was given, what it means, and what is passed over."""

    given: dict[str, str]
    values: dict[str, Any]
    """By key: numbers in the unit of the key, flags, texts."""
    warnings: tuple[str, ...]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a key."""
        return self.values.get(name, default)


def read_config(given: Mapping[str, Any]) -> Config:
    """Check a flat config. Values are strings, as holoptycho keeps them; JSON's own numbers and truth values will do.

    Raises:
        ConfigError: A key is missing, looks like a misspelt one or like a secret, or a value is not valid or contradicts
            another one; every mistake is named.
    """
    if len(given) > MOST_KEYS:
        raise ConfigError(
            "The config has too many keys.", field="config", value=len(given), expected=f"at most {MOST_KEYS}"
        )
    _refuse_secrets(given)
    texts = {name: _as_text(value) for name, value in given.items()}
    values: dict[str, Any] = {}
    mistakes, passed_over = _typing_errors(texts), list[str]()
    for name, text in texts.items():
        key = key_of(name)
        if text == "":
            continue  # holoptycho writes empty strings for what is not set
        if key is None or key.treatment == "ignored":
            passed_over += [] if key is not None and key.required else [name]
            continue
        try:
            values[name] = _value(key, text)
        except (ValueError, UnitError) as error:
            mistakes.append(f"{name} = {text[:80]!r}: {error}")
    missing = [name for name, key in KEYS.items() if key.required and not texts.get(name)]
    if missing:
        mistakes.append(f"missing: {', '.join(missing)}")
    mistakes += _contradictions(values)
    if mistakes:
        raise ConfigError("The config can not be run: " + "; ".join(mistakes) + ".")
    return Config(texts, values, _warnings(passed_over, values))


def _refuse_secrets(given: Mapping[str, Any]) -> None:
    for name in given:
        if any(part in str(name).lower() for part in SECRET):
            raise ConfigError(
                f"The config holds a secret under '{str(name)[:80]}'; it was not kept.",
                next_move="Put it into the environment of the service instead (CLIENT_SECRET_KEY, TILED_API_KEY).",
            )


def _as_text(value: Any) -> str:
    return "" if value is None else str(value).strip()[:LARGEST_VALUE]


def _typing_errors(texts: Mapping[str, str]) -> list[str]:
    """Keys that nobody knows and that look like one that matters."""
    known = [name for name, key in KEYS.items() if key.treatment != "ignored"]
    found: list[str] = []
    for name in texts:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.85) if key_of(name) is None else []
        if close:
            found.append(f"there is no key '{name}', did you mean '{close[0]}'")
    return found


def _value(key: Key, text: str) -> Any:
    """What a text means.

    Raises:
        ValueError: It is not what the key takes.
    """
    if key.kind in ("length", "number"):
        return _number(key, text)
    if key.kind in ("count", "whole"):
        number = _number(key, text)
        if number != int(number) or number < (key.kind == "count"):
            raise ValueError(f"expected a whole number of at least {int(key.kind == 'count')}")
        return int(number)
    if key.kind == "sign":
        if _number(key, text) not in (-1, 1):
            raise ValueError("expected 1 or -1")
        return int(float(text))
    if key.kind == "flag":
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError("expected True or False")
        return text.lower() in ("true", "1")
    if key.kind == "orientation":
        return text if text == "auto" and key.treatment == "mapped" else reduced(text)
    return text


def _number(key: Key, text: str) -> float:
    try:
        value = literal(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is None:
        if not key.unit:
            raise ValueError("expected a number")
        number = parse_quantity(text, key.unit)
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or abs(number) > 1e15:
        raise ValueError("expected a finite number")
    if key.positive and number <= 0:
        raise ValueError(f"expected more than 0{f' {key.unit}' if key.unit else ''}")
    return number


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    """What can not be true at the same time, or is not possible here."""
    found: list[str] = []
    energy, wavelength = values.get("xray_energy_kev"), values.get("lambda_nm")
    if energy and wavelength and not math.isclose(HC_KEV_NM / energy, wavelength, rel_tol=5e-3):
        found.append(
            f"lambda_nm = {wavelength:g} contradicts xray_energy_kev = {energy:g}, which is {HC_KEV_NM / energy:.6g} nm"
        )
    for ours, theirs in (("nx", "batch_width"), ("ny", "batch_height")):
        if theirs in values and ours in values and values[theirs] != values[ours]:
            found.append(f"{theirs} = {values[theirs]} contradicts {ours} = {values[ours]}")
    if "z_m" not in values:
        found.append("missing: z_m, the distance from the sample to the detector")
    if values.get("auto_center_dp") is False and not {"batch_x0", "batch_y0"} <= values.keys():
        found.append(
            "missing: batch_x0 and batch_y0, the first column and row of the pattern, as auto_center_dp is False"
        )
    if values.get("simulate_positions"):
        found.append("simulate_positions is not possible here: positions must be measured")
    if values.get("multislice_flag") and "slice_spacing_m" not in values:
        found.append("multislice_flag = True needs slice_spacing_m")
    found += [*_layers(values), *_network(values)]
    if values.get("init_prb_flag") is False and "prb_path" not in values:
        found.append("init_prb_flag = False needs prb_path")
    if not 0 <= values.get("alg_percentage", 0) <= 1:
        found.append(f"alg_percentage = {values['alg_percentage']:g}: expected 0 to 1")
    if not 0 <= values.get("amp_min", 0) < values.get("amp_max", math.inf):
        found.append(f"amp_min = {values.get('amp_min', 0):g}: expected at least 0, and less than amp_max")
    found += [
        f"{axis}_low = {values[f'{axis}_low']:g}: expected less than {axis}_high = {values[f'{axis}_high']:g}"
        for axis in "xy"
        if values.get(f"{axis}_low", -math.inf) >= values.get(f"{axis}_high", math.inf)
    ]
    if not values.get("pha_min", -math.inf) < values.get("pha_max", math.inf):
        found.append(f"pha_min = {values['pha_min']:g}: expected less than pha_max")
    return found + _choices(values)


def _layers(values: Mapping[str, Any]) -> list[str]:
    """States and slices of the object need an algorithm of the PIE kind, and not one another."""
    asked = [
        name for name in ("obj_mode_num", "multislice_flag") if int(values.get(name, 0)) > (name == "obj_mode_num")
    ]
    if len(asked) == 2:
        return ["obj_mode_num and multislice_flag are not possible together"]
    others = [
        f"{asked[0]} = {values[asked[0]]} is possible with ePIE and rPIE alone, not with {name} = {values[name]}"
        for name in ("alg_flag", "alg2_flag")
        if asked and ALGORITHMS.get(str(values.get(name, "")).lower(), "epie") not in ("epie", "rpie")
    ]
    if asked and values.get("position_correction_flag"):
        others.append(f"{asked[0]} = {values[asked[0]]} is not possible with position_correction_flag")
    return others


def _network(values: Mapping[str, Any]) -> list[str]:
    """The network sees windows of a known orientation."""
    if str(values.get("recon_mode", "")).lower() not in ("vit", "both"):
        return []
    return [
        f"{name} = auto is not possible for the network"
        for name in ("dp_orient", "patch_flip")
        if values.get(name) == "auto"
    ]


def _choices(values: Mapping[str, Any]) -> list[str]:
    allowed = {
        "recon_mode": ("iterative", "vit", "both"),
        "ml_mode": ("Poisson", "Gaussian"),
        "eiger_socket": ("sub", "pull"),
        "precision": ("single", "double"),
    }
    return [
        f"{name} = {values[name]!r}: expected {' or '.join(choices)}"
        for name, choices in allowed.items()
        if name in values and values[name].lower() not in [choice.lower() for choice in choices]
    ]


def _warnings(passed_over: list[str], values: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    if passed_over:
        found.append(f"These keys have no effect here: {', '.join(sorted(passed_over))}.")
    found += [
        f"{name} = {values[name]}: not known here; known are {', '.join(ALGORITHMS)}."
        for name in ("alg_flag", "alg2_flag")
        if name in values and values[name].lower() not in ALGORITHMS
    ]
    return tuple(found)
