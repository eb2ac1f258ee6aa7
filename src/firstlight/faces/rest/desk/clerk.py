"""The service's side of the processes that answer questions about files."""

from __future__ import annotations

import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from firstlight.core.errors import FirstlightError
from firstlight.jobs.messages import error_of
from firstlight.jobs.protocol import Decoder, Message, Payload, encode

COMMAND = (sys.executable, "-m", "firstlight.faces.rest.desk.worker")
PATIENCE = 120.0
"""Seconds that one answer may take, the start of the process included; then it is ended."""


class Clerk:
    """One process that answers, started when the first question comes. Callable from any thread; one question at a time.

    Args:
        roots: Folders that it may read.
        command: What is started.
        patience: Seconds that an answer may take.
    """

    def __init__(self, roots: Sequence[Path], command: Sequence[str] = COMMAND, patience: float = PATIENCE) -> None:
        """Start nothing yet."""
        self._roots = [str(root.expanduser().resolve()) for root in roots]
        self._command, self._patience = tuple(command), patience
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def ask(self, ask: str, question: dict[str, Any]) -> tuple[dict[str, Any], Payload]:
        """The answer to a question: a head, and bytes.

        Raises:
            FirstlightError: The question was refused, or there was no answer in time.
        """
        if not self._lock.acquire(timeout=self._patience):
            raise _late(ask, self._patience)
        try:
            message = self._talk({"ask": ask, "question": question, "roots": self._roots})
        finally:
            self._lock.release()
        if "error" in message.head:
            raise error_of(message.head["error"])
        return dict(message.head["answer"]), message.payload

    def _talk(self, head: dict[str, Any]) -> Message:
        process = self._ready()
        stdin, deadline = process.stdin, time.monotonic() + self._patience
        try:
            if stdin is not None:
                stdin.write(b"".join(bytes(part) for part in encode(Message(head))))
                stdin.flush()
            return self._read(process, deadline)
        except TimeoutError as error:
            self._end()
            raise _late(str(head["ask"]), self._patience) from error
        except (OSError, EOFError) as error:
            self._end()
            raise FirstlightError(
                "The process that reads files ended without an answer: the file may be damaged.",
                field=str(head["ask"]),
                next_move="Try another file or setting; the service goes on.",
            ) from error

    def _read(self, process: subprocess.Popen[bytes], deadline: float) -> Message:
        decoder, out = Decoder(), process.stdout
        if out is None:
            raise EOFError
        with selectors.DefaultSelector() as ready:
            ready.register(out, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if not ready.select(left):
                    continue
                piece = out.read1(1 << 18)  # pyright: ignore[reportAttributeAccessIssue]
                if not piece:
                    raise EOFError
                for message in decoder.feed(piece):
                    return message
        raise TimeoutError

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise FirstlightError("The service is ending.", next_move="Ask again when it has been started again.")
        if self._process is not None and self._process.poll() is not None:
            self._end()  # it died between two questions
        if self._process is None:
            # a session of its own: Ctrl-C in the terminal ends the service, which then ends this
            self._process = subprocess.Popen(  # noqa: S603
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not written any more
                    continue

    def close(self) -> None:
        """End the process; a question that is being answered is given up."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._end()


def _late(ask: str, patience: float) -> FirstlightError:
    return FirstlightError(
        f"There was no answer within {patience:.0f} s.",
        field=ask,
        next_move="Try again, with less work in one slice: fewer iterations, binned frames, or an earlier step.",
    )
