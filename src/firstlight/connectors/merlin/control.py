"""Merlin's control port: text commands behind ``MPX,``, and error codes."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Any, Self

from firstlight.core.errors import FirstlightError

from .wire import PREFIX, message

LONGEST_ANSWER = 65536
ERRORS = {
    1: ("is busy", "Wait until the acquisition is over, or command STOPACQUISITION."),
    2: ("does not know this", "Check the name against the manual of your Merlin software."),
    3: ("finds the value out of range", "Check the value against the manual of your Merlin software."),
}
"""What the number at the end of an answer means, and what to do about it."""


class ControlError(FirstlightError, OSError):
    """Merlin does not answer, or refuses; `code` is its number (0: it did not answer)."""

    code: int = 0


class MerlinControl:
    """A client of the control port.

    Args:
        host: The computer that Merlin runs on.
        port: Its control port.
        timeout: Seconds to wait for an answer.

    Example::

        with MerlinControl("merlin-pc") as merlin:
            merlin.set("ACQUISITIONTIME", 1.0)
            merlin.command("STARTACQUISITION")
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 6341, *, timeout: float = 5.0) -> None:
        """Connect.

        Raises:
            ControlError: Nobody answers there.
        """
        self.address = f"{host}:{port}"
        self._one = threading.Lock()
        try:
            self._link: socket.socket | None = socket.create_connection((host, port), timeout)
        except OSError as error:
            raise self._silent(error) from error

    def get(self, name: str) -> str:
        """The value of a parameter, as text.

        Raises:
            ControlError: Merlin does not answer, or does not know it.
        """
        fields = self._ask("GET", name)
        return ",".join(fields[2:-1])

    def set(self, name: str, value: Any) -> None:
        """Change a parameter.

        Raises:
            ControlError: Merlin does not answer, or refuses.
        """
        self._ask("SET", name, str(value))

    def command(self, name: str) -> None:
        """Give a command, such as STARTACQUISITION, SOFTTRIGGER or STOPACQUISITION.

        Raises:
            ControlError: Merlin does not answer, or refuses.
        """
        self._ask("CMD", name)

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- within -----------------------------------------------------------------------------------------------------

    def _ask(self, verb: str, name: str, value: str = "0") -> list[str]:
        """Send a request and read its answer."""
        if not name.isascii() or any(sign in name + value for sign in ",\r\n"):
            raise ControlError("A name or value holds a sign that can not be sent.", field=name, value=value)
        with self._one:
            link = self._link
            if link is None:
                raise ControlError("The control connection is closed.", field="host", value=self.address)
            try:
                link.sendall(message(f"{verb},{name},{value}".encode("ascii")))
                fields = self._answer(link)
            except (OSError, UnicodeError) as error:
                # what is left of an answer would be taken for that of the next request
                self.close()
                raise error if isinstance(error, ControlError) else self._silent(error) from error
        return self._checked(fields, verb, name, value)

    def _answer(self, link: socket.socket) -> list[str]:
        head = _receive(link, PREFIX)
        length = int(head[4:14]) if head[4:14].isdigit() else 0
        if head[:4] != b"MPX," or not 1 < length <= LONGEST_ANSWER:
            raise ControlError("The answer is none of Merlin.", field="answer", value=head, expected="MPX and a length")
        text = _receive(link, length - 1)
        if text.endswith(b","):
            # LiberTEM's simulator does not count the comma behind the length, so that one sign is left: the error code
            text += _receive(link, 1)
        return str(text, "latin-1").split(",")

    def _checked(self, fields: list[str], verb: str, name: str, value: str) -> list[str]:
        if fields[:2] != [verb, name] or not fields[-1].strip().isdigit():
            raise ControlError(
                f"The answer does not belong to {verb} {name}.", field=name, value=",".join(fields), expected="its name"
            )
        code = int(fields[-1])
        if code:
            what, move = ERRORS.get(
                code, (f"answers with error {code}", "Look into the manual of your Merlin software.")
            )
            error = ControlError(
                f"Merlin {what}: {verb} {name}.", field=name, value=value if verb == "SET" else None, next_move=move
            )
            error.code = code
            raise error
        return fields

    def _silent(self, error: Exception) -> ControlError:
        return ControlError(
            f"Merlin does not answer: {error}.",
            field="host",
            value=self.address,
            next_move="Check host and port, and that no other program holds the control connection.",
        )


def _receive(link: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        more = link.recv(length - len(found))
        if not more:
            raise ConnectionResetError("it closed the connection")
        found += more
    return found
