"""NTNDArray and the structures of TomoScanStream: p4p values to arrays and back. No network here.

The original type of a compressed frame is told by ``codec.parameters`` in one of two numberings that producers in the
field use: pvData's ScalarType (areaDetector's own converter) or NDDataType_t (converters built on PVXS). Where both are
possible, ``uncompressedSize`` decides, and ScalarType is preferred.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError

from . import codecs

FIELDS = {
    "bool": "booleanValue",
    "int8": "byteValue",
    "int16": "shortValue",
    "int32": "intValue",
    "int64": "longValue",
    "uint8": "ubyteValue",
    "uint16": "ushortValue",
    "uint32": "uintValue",
    "uint64": "ulongValue",
    "float32": "floatValue",
    "float64": "doubleValue",
}
"""Type of the pixels to member of the union ``value``."""

SCALAR_TYPES = tuple(FIELDS)
"""Numbering of pvData's ScalarType."""
ND_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
"""Numbering of areaDetector's NDDataType_t."""

LARGEST_FRAME = 2**32
"""Bytes; a frame that claims more is refused before memory is taken."""


class BadFrame(FirstlightError, ValueError):
    """A structure that is no 2-D frame that we can read."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One NTNDArray, its pixels not decoded yet."""

    id: int
    """``uniqueId`` as an unsigned 32-bit number."""
    stamp: float
    """``timeStamp`` in second since 1970; 0 if the producer set none."""
    shape: tuple[int, int]
    """(rows, columns)."""
    dtype: str
    codec: str
    """Empty: not compressed."""
    payload: Array
    """The pixels, or the compressed bytes; one dimension."""

    @property
    def nbytes(self) -> int:
        """Size of the decoded frame in byte."""
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize


def is_empty(value: Any) -> bool:
    """True for a channel that serves a structure without a frame in it yet."""
    pixels = value.get("value")
    return pixels is None or (isinstance(pixels, np.ndarray) and pixels.size == 0)


def read_frame(value: Any) -> Frame:
    """Read an NTNDArray without decoding or copying its pixels.

    Args:
        value: The p4p value; x is its fastest dimension.

    Raises:
        BadFrame: Not a 2-D frame, sizes that contradict one another, or a codec that can not be used.
    """
    try:
        payload, sizes = value.value, [part.size for part in value.dimension]
        codec, stamp = value.codec, value.timeStamp
        number = value.uniqueId & 0xFFFFFFFF
        seconds = stamp.secondsPastEpoch + 1e-9 * stamp.nanoseconds
        name = codec.name
    except (AttributeError, KeyError, TypeError) as error:
        raise BadFrame(
            "The structure is no NTNDArray.",
            field="structure",
            value=str(error),
            expected="epics:nt/NTNDArray:1.0, as areaDetector's PVA plugin serves it (…:Pva1:Image)",
        ) from error
    if not isinstance(payload, np.ndarray) or payload.ndim != 1:
        raise BadFrame("The frame has no pixels.", field="value", value=type(payload).__name__, expected="an array")
    shape = _shape(sizes)
    dtype = _check_compressed(value, name, payload, shape) if name else payload.dtype.name
    if name:
        payload = payload[: value.compressedSize]
    elif payload.size != shape[0] * shape[1]:
        raise BadFrame(
            "The number of pixels does not fit the dimensions.",
            field="dimension",
            value=sizes,
            expected=f"{payload.size} pixels in all",
        )
    return Frame(number, seconds, shape, dtype, name, payload)


def _shape(sizes: list[int]) -> tuple[int, int]:
    if len(sizes) != 2:
        raise BadFrame(
            f"The frame has {len(sizes)} dimensions; colour images and stacks can not be used.",
            field="dimension",
            value=sizes,
            expected="2 dimensions, x first",
            next_move="Set the camera's ColorMode to Mono, or put a NDPluginColorConvert before the PVA plugin.",
        )
    cols, rows = sizes
    if rows < 1 or cols < 1:
        raise BadFrame("The frame is empty.", field="dimension", value=sizes, expected="sizes above 0")
    return rows, cols


def _check_compressed(value: Any, codec: str, payload: Array, shape: tuple[int, int]) -> str:
    """Type of the pixels of a compressed frame, after its sizes were found to agree."""
    if codec not in codecs.CODECS:
        raise codecs.unknown(codec)
    try:
        compressed, size, number = value.compressedSize, value.uncompressedSize, value.codec.parameters
    except (AttributeError, KeyError) as error:
        raise BadFrame("A compressed frame lacks a size.", field=str(error)) from error
    if payload.itemsize != 1 or not 0 < compressed <= payload.nbytes:
        raise BadFrame(
            "The compressed size does not fit the bytes that came.",
            field="compressedSize",
            value=compressed,
            expected=f"1 to {payload.nbytes}",
        )
    pixels = shape[0] * shape[1]
    if size > LARGEST_FRAME or size < pixels or size % pixels:
        raise BadFrame(
            "The uncompressed size does not fit the dimensions.",
            field="uncompressedSize",
            value=size,
            expected=f"a multiple of {pixels} pixels, at most {LARGEST_FRAME} byte",
        )
    codecs.check_ratio(codec, compressed, size)
    return original_type(number, size // pixels)


def original_type(number: Any, itemsize: int) -> str:
    """Type of the pixels of a compressed frame.

    Args:
        number: ``codec.parameters``.
        itemsize: Size of one pixel in byte, from the sizes of the frame.

    Raises:
        BadFrame: The number is missing, unknown, or means a type of another size.
    """
    value = getattr(number, "value", number)
    known = isinstance(value, int | np.integer) and not isinstance(value, bool)
    for names in (SCALAR_TYPES, ND_TYPES) if known else ():
        if 0 <= value < len(names) and np.dtype(names[value]).itemsize == itemsize:
            return names[value]
    raise BadFrame(
        "The type of a compressed frame is not known.",
        field="codec.parameters",
        value=value,
        expected=f"the number of a type of {itemsize} byte",
    )


def pixels_of(frame: Frame) -> Array:
    """The pixels of a frame, shape (rows, columns): a view where it is not compressed, else a new array.

    Raises:
        BadPayload: The compressed bytes do not decode.
    """
    if not frame.codec:
        return frame.payload.reshape(frame.shape)
    out = np.empty(frame.shape, frame.dtype)
    decode_into(frame, out)
    return out


def decode_into(frame: Frame, out: Array) -> None:
    """Write the pixels of a frame into a given array.

    Args:
        frame: The frame.
        out: Shape (rows, columns), C-contiguous, of the frame's own type.

    Raises:
        BadPayload: The compressed bytes do not decode.
    """
    if frame.codec:
        room = out.reshape(-1).view(np.uint8)
        codecs.decode(frame.codec, frame.payload.data.cast("B"), room, out.itemsize)
    else:
        out[:] = frame.payload.reshape(frame.shape)


def read_attributes(value: Any) -> dict[str, float]:
    """The numbers among the attributes of a frame, by name.

    Raises:
        BadFrame: ``ColorMode`` says that the pixels are no grey values.
    """
    found: dict[str, float] = {}
    for attribute in value.get("attribute") or ():
        content = attribute.value
        content = getattr(content, "value", content)
        if isinstance(content, int | float | np.number):
            found[attribute.name] = float(content)
    if found.pop("ColorMode", 0.0) != 0.0:
        raise BadFrame(
            "The frame is in colour.",
            field="ColorMode",
            expected="0 (Mono)",
            next_move="Set the camera's ColorMode to Mono, or put a NDPluginColorConvert before the PVA plugin.",
        )
    return found


def read_image(value: Any, shape: tuple[int, int]) -> Array | None:
    """A dark or flat image: NTNDArray, NTScalarArray or ``{float[] value, int sizex, int sizey}``.

    Args:
        value: The p4p value.
        shape: (rows, columns) that it must have.

    Returns:
        Shape (rows, columns), float32, a new array; None if the channel holds no image yet.

    Raises:
        BadFrame: It does not fit the frames. Sizes beside `value` are not trusted: producers that set one field after
            the other publish new pixels with old sizes for a moment.
    """
    if is_empty(value):
        return None
    if value.get("dimension") is not None:
        frame = read_frame(value)
        found, pixels = frame.shape, pixels_of(frame)
    else:
        pixels = np.asarray(value.get("value"))
        found = shape if pixels.size == shape[0] * shape[1] else (value.get("sizey", 0), value.get("sizex", 0))
    if found != shape or pixels.size != shape[0] * shape[1]:
        raise BadFrame(
            "The image does not fit the frames.",
            field="size",
            value=f"{pixels.size} pixels {found}",
            expected=f"{shape[0]} rows and {shape[1]} columns",
            next_move="Take it again with the binning and region that the frames have now.",
        )
    return np.array(pixels, np.float32).reshape(shape)


def read_theta(value: Any) -> Array | None:
    """Angles in degree from ``{float[] value, int sizex}`` or an NTScalarArray; None if there are none yet.

    Raises:
        BadFrame: Not a list of finite numbers.
    """
    if is_empty(value):
        return None
    theta = np.asarray(value.get("value"))
    if theta.ndim != 1 or theta.dtype.kind not in "fiu" or not math.isfinite(float(theta.sum(dtype=np.float64))):
        raise BadFrame("The angles are no finite numbers.", field="theta", value=theta.dtype.name, expected="degrees")
    return theta


# ---- the other way: for the view, the simulator and tests -----------------------------------------------------------


@cache
def _types() -> tuple[Any, Any, Any, Any]:
    """Types of an NTNDArray, an averaged image and a list of angles; and p4p's Value."""
    from p4p import Type, Value
    from p4p.nt import NTNDArray

    image = Type([("value", "af"), ("sizex", "i"), ("sizey", "i")])
    theta = Type([("value", "af"), ("sizex", "i")])
    return NTNDArray().type, image, theta, Value


def blank() -> Any:
    """An NTNDArray without a frame in it: what a channel serves before the first."""
    kind, _, _, value = _types()
    return value(kind, {})


def write_frame(
    pixels: Array,
    number: int,
    stamp: float,
    attributes: Mapping[str, float | str] | None = None,
    codec: str = "",
    taken: float | None = None,
) -> Any:
    """An NTNDArray as areaDetector's PVA plugin would serve it.

    Args:
        pixels: Shape (rows, columns), any type of `FIELDS`.
        number: ``uniqueId``.
        stamp: Time in second since 1970.
        attributes: NDAttributes to carry along.
        codec: Empty, or one of `codecs.CODECS`.
        taken: When the data were taken (``dataTimeStamp``); default: `stamp`.
    """
    kind, _, _, value = _types()
    rows, cols = pixels.shape
    flat = np.ascontiguousarray(pixels).reshape(-1)
    payload = codecs.encode(codec, flat) if codec else flat
    return value(
        kind,
        {
            "value": (FIELDS[payload.dtype.name], payload),
            "codec": {"name": codec, "parameters": SCALAR_TYPES.index(pixels.dtype.name)},
            "compressedSize": payload.nbytes,
            "uncompressedSize": flat.nbytes,
            "uniqueId": as_signed(number),
            "dataTimeStamp": _time(stamp if taken is None else taken),
            "timeStamp": _time(stamp),
            "dimension": [
                {"size": n, "offset": 0, "fullSize": n, "binning": 1, "reverse": False} for n in (cols, rows)
            ],
            "attribute": [
                {"name": name, "value": content, "descriptor": "", "sourceType": 0, "source": ""}
                for name, content in {"ColorMode": 0, **(attributes or {})}.items()
            ],
        },
    )


def _time(seconds: float) -> dict[str, int]:
    whole = int(seconds)
    return {"secondsPastEpoch": whole, "nanoseconds": int((seconds - whole) * 1e9)}


def as_signed(number: int) -> int:
    """A running number as the signed 32-bit integer that ``uniqueId`` is."""
    return (number + 2**31) % 2**32 - 2**31


def write_image(pixels: Array | None) -> Any:
    """An averaged dark or flat image as TomoScanStream serves it; None: not taken yet."""
    _, kind, _, value = _types()
    if pixels is None:
        return value(kind, {})
    return value(kind, {"value": pixels.astype(np.float32).ravel(), "sizex": pixels.shape[1], "sizey": pixels.shape[0]})


def write_theta(degrees: Array) -> Any:
    """Angles in degree as TomoScanStream serves them."""
    _, _, kind, value = _types()
    return value(kind, {"value": degrees.astype(np.float32), "sizex": len(degrees)})
