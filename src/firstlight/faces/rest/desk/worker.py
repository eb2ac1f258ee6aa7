"""A process of its own that answers questions about files, one after the other: ``python -m firstlight.faces.rest.desk.worker``.

Reading files and reconstructing slices keeps the interpreter busy, and a broken file can end a process: neither may
happen to the service. Questions come on the standard input and answers leave on the standard output, as messages of
`firstlight.jobs.protocol`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from firstlight.core.errors import FirstlightError
from firstlight.jobs.messages import error_fields
from firstlight.jobs.protocol import Decoder, Message, encode, plain

Answer = Callable[[dict[str, Any], Sequence[Path]], tuple[dict[str, Any], bytes]]


def answers() -> Mapping[str, Answer]:
    """What may be asked, by name."""
    from .look import look
    from .structure import structure
    from .trial import Trials, describe

    return {"structure": structure, "look": look, "describe": describe, "slice": Trials().slice}


def serve(questions: BinaryIO, out: BinaryIO) -> None:
    """Answer until the questions end."""
    known, decoder = answers(), Decoder()
    while piece := os.read(questions.fileno(), 1 << 16):
        for message in decoder.feed(piece):
            for part in encode(_answered(known, message)):
                out.write(part)
            out.flush()


def _answered(known: Mapping[str, Answer], message: Message) -> Message:
    asked = dict(message.head)
    try:
        roots = [Path(root) for root in asked["roots"]]
        head, payload = known[asked["ask"]](asked["question"], roots)
        return Message({"answer": plain(head, nan=False)}, payload)
    except FirstlightError as error:
        return Message({"error": error_fields(error)})
    except Exception as error:
        return Message({"error": {"type": "StepFailed", **error_fields(error), "field": asked.get("ask")}})


def main() -> None:
    """Serve on the standard streams; what else prints goes to the standard error."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, out)


if __name__ == "__main__":
    main()
