"""What the service remembers: holoptycho's own SQLite table of settings."""

from __future__ import annotations

import configparser
import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from firstlight.core.errors import FirstlightError

_log = logging.getLogger(__name__)


def write_ini(folder: Path, config: Mapping[str, str]) -> None:
    """Write a config as ``config.txt`` with a section [GUI], for programs that read it there; a full disk is no reason not to run."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser["GUI"] = {name: value.replace("\n", " ") for name, value in config.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "config.txt").open("w") as file:
            parser.write(file)
    except OSError as error:
        _log.warning("The config was not written into HOLOPTYCHO_CONFIG_DIR: %s", error)


class Kept:
    """Settings by name, in the table ``settings(key, value)``; holoptycho's own file can be taken over. Thread-safe.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        """Make the table if it is not there.

        Raises:
            FirstlightError: It can not be made, or the file is no such database.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._open() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT)")
        except (OSError, sqlite3.Error) as error:
            raise FirstlightError(
                f"The service can not keep its settings: {error}.",
                field="HOLOPTYCHO_DB_PATH",
                value=str(path),
                expected="an SQLite file, or the place for one, that this user may write",
            ) from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=10.0)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def get(self, name: str) -> Any:
        """A setting, or None."""
        with self._open() as connection:
            found = connection.execute("SELECT value FROM settings WHERE key = ?", (name,)).fetchone()
        if found is None or found[0] is None:
            return None
        try:
            return json.loads(found[0])
        except (TypeError, ValueError):
            return found[0]

    def set(self, **settings: Any) -> None:
        """Keep some settings, all or none; None takes one away."""
        with self._open() as connection:
            for name, value in settings.items():
                connection.execute("DELETE FROM settings WHERE key = ?", (name,))
                if value is not None:
                    connection.execute("INSERT INTO settings (key, value) VALUES (?, ?)", (name, json.dumps(value)))
