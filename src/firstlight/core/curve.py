"""Keys of CurveZMQ, as people write them down."""

from __future__ import annotations

import base64
import binascii

from .errors import FirstlightError

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


class BadKey(FirstlightError):
    """A text that is no key of CurveZMQ; the message does not repeat it."""


def z85_key(text: str, name: str) -> str:
    """A CurveZMQ key as Z85 (ZeroMQ RFC 32): it is given so (40 characters), or as base64 of its 32 bytes.

    Args:
        text: The key.
        name: What to call it in messages, such as the variable that holds it.

    Raises:
        BadKey: It is neither.
    """
    if len(text) == 40 and all(character in _Z85 for character in text):
        return text
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise BadKey(f"{name} is no CurveZMQ key.", expected="40 characters of Z85, or base64 of 32 bytes")
    # five characters for each four bytes
    numbers = (int.from_bytes(raw[i : i + 4], "big") for i in range(0, len(raw), 4))
    return "".join(_Z85[number // 85**power % 85] for number in numbers for power in (4, 3, 2, 1, 0))
