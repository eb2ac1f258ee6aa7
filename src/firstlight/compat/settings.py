"""Files of settings in sections (INI), as tofu and tomocupy write them."""

from __future__ import annotations

import configparser
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from firstlight.core.errors import SourceError

from .imported import JobBuilder, read_text

_UNSET = ("", "none", "nan")
_TRUE = ("true", "yes", "on", "1")


@dataclass(slots=True)
class Settings:
    """Options by name, whatever their section; those that were asked for are noted."""

    sections: Mapping[str, Mapping[str, str]]
    asked: set[str] = field(default_factory=set[str])

    def text(self, name: str) -> str | None:
        """An option, or None if it is missing or not set."""
        self.asked.add(name)
        found = next((options[name] for options in self.sections.values() if name in options), None)
        return None if found is None or found.strip().lower() in _UNSET else found.strip()

    def number(self, name: str) -> float | None:
        """An option that is a number, or None; of a list the first.

        Raises:
            SourceError: It is none.
        """
        told = self.text(name)
        if told is None:
            return None
        try:
            number = float(told.split(",")[0])
        except ValueError:
            raise SourceError(f"'{name}' is no number.", field=name, value=told, expected="a number") from None
        return number if math.isfinite(number) else None

    def flag(self, name: str) -> bool:
        """True if an option is switched on."""
        return (self.text(name) or "").lower() in _TRUE

    def remark_on_rest(self, builder: JobBuilder, harmless: frozenset[str], defaults: Mapping[str, str]) -> None:
        """Name every option that is set, was not asked for, and may matter.

        Args:
            builder: Takes the remarks.
            harmless: Options that change how the program works and not what comes out, or that belong to others that are off.
            defaults: Values by which an option changes nothing.
        """
        for section, options in self.sections.items():
            for name, value in options.items():
                plain = value.strip().lower()
                idle = plain in (*_UNSET, "false", "0", "0.0") or _same(plain, defaults.get(name))
                if name not in self.asked and name not in harmless and not idle:
                    builder.remarks.append(f"[{section}] {name} = {value.strip()} is not carried over.")


def _same(value: str, default: str | None) -> bool:
    """True for the same text, or the same number."""
    try:
        return default is not None and (value == default or float(value) == float(default))
    except ValueError:
        return False


def read_settings(path: Path) -> Settings:
    """Read a file of settings.

    Raises:
        SourceError: It is none.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(read_text(path))
    except configparser.Error as error:
        raise SourceError(
            f"This is no file of settings: {str(error).splitlines()[0]}", field="path", value=str(path)
        ) from None
    return Settings(
        {name: {key.replace("_", "-"): value for key, value in parser[name].items()} for name in parser.sections()}
    )


def has_section(path: Path, names: tuple[str, ...]) -> bool:
    """True if a file is a file of settings with one of some sections."""
    if path.suffix.lower() not in (".conf", ".cfg", ".ini", ".config"):
        return False
    try:
        return any(name in read_settings(path).sections for name in names)
    except (OSError, SourceError):
        return False
