"""Networks in a folder, with versions: files ``NAME_vVERSION.onnx``, and those that come with firstlight."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from firstlight.core.errors import FirstlightError, UnknownName

SHIPPED = Path(__file__).parent / "networks"
DEFAULT = "phantom"
"""The network that is used where nobody has chosen one."""
_FILE = re.compile(r"(?P<name>.+)_v(?P<version>\d{1,9})\.onnx")
NAME = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,99}?)(?:_v(?P<version>\d{1,9}))?")
"""Of a network, as it is asked for: with its version or without."""
_CHOSEN = "chosen.json"


@dataclass(frozen=True, slots=True)
class Model:
    """A network on disk."""

    name: str
    version: int
    path: Path

    @property
    def full_name(self) -> str:
        """With its version, as it is asked for."""
        return f"{self.name}_v{self.version}"


def models_folder() -> Path:
    """Where networks of the user lie: FIRSTLIGHT_MODELS, or the folder for data of the user's programs."""
    given = os.environ.get("FIRSTLIGHT_MODELS")
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return Path(given) if given else data / "firstlight" / "models"


def models(folder: Path | None = None) -> list[Model]:
    """The networks of a folder and those that come with firstlight, by name and version; of two alike, the folder's."""
    found: dict[tuple[str, int], Model] = {}
    for place in (SHIPPED, models_folder() if folder is None else folder):
        for path in place.glob("*.onnx") if place.is_dir() else ():
            if (match := _FILE.fullmatch(path.name)) and NAME.fullmatch(match["name"]):
                found[match["name"], int(match["version"])] = Model(match["name"], int(match["version"]), path)
    return [found[key] for key in sorted(found)]


def find_model(wanted: str, folder: Path | None = None) -> Model:
    """A network by its name, the newest version, or by its name and version (``NAME_v3``).

    Raises:
        UnknownName: There is none; known ones are named.
    """
    known = models(folder)
    match = NAME.fullmatch(wanted)
    fitting = [
        each for each in known if match and each.name == match["name"] and match["version"] in (None, str(each.version))
    ]
    if not fitting:
        raise UnknownName(
            f"There is no network '{wanted[:120]}'.",
            field="model",
            value=wanted[:120],
            expected="one of " + (", ".join(each.full_name for each in known) or "none, as the folder is empty"),
            next_move=f"Put NAME_v1.onnx into {models_folder() if folder is None else folder}.",
        )
    return fitting[-1]


def choose_model(wanted: str, folder: Path | None = None) -> Model:
    """Make a network the one that is used where none is named.

    Raises:
        UnknownName: There is none of that name and version.
        FirstlightError: The choice can not be kept.
    """
    found, place = find_model(wanted, folder), models_folder() if folder is None else folder
    try:
        place.mkdir(parents=True, exist_ok=True)
        fresh = place / f".{_CHOSEN}.{os.getpid()}"
        fresh.write_text(json.dumps({name: value for name, value in asdict(found).items() if name != "path"}) + "\n")
        fresh.replace(place / _CHOSEN)
    except OSError as error:
        raise FirstlightError(f"The choice can not be kept: {error}", field="folder", value=str(place)) from error
    return found


def chosen_model(folder: Path | None = None) -> Model:
    """The network that was chosen last, or the one that comes with firstlight.

    Raises:
        UnknownName: What was chosen is there no longer.
        FirstlightError: What was kept can not be read.
    """
    kept = (models_folder() if folder is None else folder) / _CHOSEN
    if not kept.is_file():
        return find_model(DEFAULT, folder)
    try:
        said = json.loads(kept.read_text())
        wanted = f"{said['name']}_v{int(said['version'])}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FirstlightError(
            f"The choice of a network can not be read: {error}",
            field="chosen",
            value=str(kept),
            next_move="Choose again: firstlight model set NAME",
        ) from None
    return find_model(wanted, folder)
