"""The SIMPLON REST interface: read and change the detector's configuration, and command it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from firstlight.core.errors import FirstlightError
from firstlight.core.step import Configured
from firstlight.core.units import Second

MOST_BYTES = 256 * 2**20
"""The longest answer that is read; the pixel mask of the largest detector has some 100 MB."""
Command = Literal["initialize", "arm", "disarm", "trigger", "cancel", "abort", "status_update", "hv_reset"]


class ControlError(FirstlightError, OSError):
    """The control unit does not answer, or refuses."""


class Acquisition(Configured):
    """What to change before a series; what is None stays as it is."""

    use: ClassVar[str] = "acquisition"

    trigger_mode: Literal["ints", "inte", "exts", "exte"] | None = None
    """Who triggers (int: a command, ext: a signal), and what: a series of images (s), or each one (e)."""
    frames: Annotated[int, Field(gt=0)] | None = None
    """How many frames: becomes ntrigger for inte and exte, nimages for ints and exts."""
    lines: Annotated[int, Field(gt=0)] | None = None
    """With ints and exts: how many triggers, one for each line; `frames` must be a multiple."""
    roi_mode: str | None = None
    """Region of the sensor that is read, such as ``disabled`` or ``lines``; set first, for it resets other values."""
    roi_y_size: Annotated[int, Field(gt=0)] | None = None
    """Rows of that region."""
    roi_bit_depth: Literal[8, 16] | None = None
    """Bits of a pixel in that region."""
    count_time: Annotated[Second, Field(gt=0)] | None = None
    """Exposure time of a frame."""
    frame_time: Annotated[Second, Field(gt=0)] | None = None
    """From the start of one frame to the start of the next."""
    compression: Literal["lz4", "bslz4", "none"] | None = None
    """How frames are compressed."""
    mask_to_zero: bool | None = None
    """Send 0 for masked pixels instead of the largest value."""
    stream_format: Literal["legacy", "cbor"] | None = None
    """Stream v1 (legacy) or v2 (cbor)."""
    header_detail: Literal["basic", "all"] = "basic"
    """How much the header of stream v1 tells: basic is enough."""
    file_writing: bool | None = None
    """Whether the detector writes files, too."""
    name_pattern: str | None = None
    """Name of these files, such as ``series_$id``."""

    def settings(self) -> list[tuple[str, str, Any]]:
        """(module, parameter, value), in the order in which the control unit wants them."""
        found: list[tuple[str, str, Any]] = [("stream", "mode", "enabled")]
        found += [("stream", "format", self.stream_format), ("stream", "header_detail", self.header_detail)]
        writing = None if self.file_writing is None else "enabled" if self.file_writing else "disabled"
        found += [("filewriter", "mode", writing), ("filewriter", "name_pattern", self.name_pattern)]
        found += [("detector", name, getattr(self, name)) for name in ("roi_mode", "roi_y_size", "roi_bit_depth")]
        found += self._counts()
        found += [("detector", name, getattr(self, name)) for name in ("count_time", "frame_time", "compression")]
        found += [("detector", "mask_to_zero", self.mask_to_zero)]
        return [one for one in found if one[2] is not None]

    def _counts(self) -> list[tuple[str, str, Any]]:
        found: list[tuple[str, str, Any]] = []
        if self.trigger_mode is not None:
            found.append(("detector", "trigger_mode", self.trigger_mode))
        if self.frames is None:
            return found
        if self.trigger_mode is None:
            raise ControlError(
                "Without a trigger mode it is open what a number of frames means.",
                field="frames",
                value=self.frames,
                expected="trigger_mode out of ints, inte, exts, exte",
            )
        lines = self.lines or 1
        if self.frames % lines:
            raise ControlError(
                "The frames do not fill the lines.",
                field="frames",
                value=self.frames,
                expected=f"a multiple of {lines}",
            )
        single = self.trigger_mode in ("inte", "exte")
        images, triggers = (1, self.frames) if single else (self.frames // lines, lines)
        # what one of them was before may make the other too large, so both go through 1
        found += [("detector", "nimages", 1), ("detector", "ntrigger", 1)]
        return [*found, ("detector", "nimages", images), ("detector", "ntrigger", triggers)]


class Simplon:
    """A client of the REST interface.

    Args:
        address: Such as ``http://dcu`` or ``http://127.0.0.1:8910``.
        version: Of the interface.
        timeout: Seconds to wait for an answer; arming a large detector takes some.
    """

    def __init__(self, address: str, *, version: str = "1.8.0", timeout: float = 30.0) -> None:
        """Nothing is asked yet."""
        self.address, self.version, self.timeout = address.rstrip("/"), version, timeout

    def get(self, parameter: str, *, module: str = "detector", kind: str = "config") -> Any:
        """The value of one parameter.

        Args:
            parameter: Such as ``nimages`` or ``board_000/th0_temp``.
            module: detector, stream, filewriter, monitor or system.
            kind: config or status.

        Raises:
            ControlError: The control unit does not answer, or knows no such parameter.
        """
        answer = self._ask("GET", f"{module}/api/{self.version}/{kind}/{parameter}")
        if not isinstance(answer, Mapping) or "value" not in answer:
            raise self._strange(parameter, answer)
        return answer["value"]

    def put(self, parameter: str, value: Any, *, module: str = "detector") -> list[str]:
        """Change one parameter; the names of all that changed with it.

        Raises:
            ControlError: The control unit does not answer, or refuses the value.
        """
        answer = self._ask("PUT", f"{module}/api/{self.version}/config/{parameter}", {"value": value})
        return [str(name) for name in answer] if isinstance(answer, list) else []

    def command(self, name: Command, *, module: str = "detector", timeout: float | None = None) -> Any:
        """Give a command, and wait until it is done.

        Raises:
            ControlError: The control unit does not answer, or refuses.
        """
        return self._ask("PUT", f"{module}/api/{self.version}/command/{name}", timeout=timeout)

    def state(self) -> str:
        """What the detector does: na, idle, ready, acquire, configure, initialize, test or error."""
        return str(self.get("state", kind="status"))

    def configure(self, acquisition: Acquisition) -> None:
        """Change the configuration, each parameter in its turn.

        Raises:
            ControlError: The control unit does not answer, or refuses a value; the message names it.
        """
        for module, parameter, value in acquisition.settings():
            self.put(parameter, value, module=module)

    def arm(self) -> int:
        """Prepare for triggers; the number of the series.

        Raises:
            ControlError: The control unit does not answer, or refuses.
        """
        answer = self.command("arm")
        found = answer.get("sequence id") if isinstance(answer, Mapping) else None
        if not isinstance(found, int):
            raise self._strange("arm", answer)
        return found

    def trigger(self, *, timeout: float | None = None) -> None:
        """Begin exposures (ints, inte); returns when they are done, so `timeout` must cover them."""
        self.command("trigger", timeout=timeout)

    def disarm(self) -> None:
        """End the series after the frames that were triggered."""
        self.command("disarm")

    def abort(self) -> None:
        """End the series at once."""
        self.command("abort")

    # ---- within -----------------------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, body: Any = None, timeout: float | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        url = f"{self.address}/{path}"
        if not url.startswith(("http://", "https://")):
            raise ControlError(
                "The address is none of the web.", field="api", value=self.address, expected="http://dcu"
            )
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 (checked above)
        try:
            with _OPENER.open(request, timeout=timeout or self.timeout) as response:
                return self._read(path, response.read(MOST_BYTES + 1))
        except urllib.error.HTTPError as error:
            raise self._refused(method, path, body, error) from error
        except (OSError, ValueError) as error:
            raise ControlError(
                f"The control unit does not answer: {error}.",
                field="api",
                value=url,
                next_move="Check the address, and that the control unit is on.",
            ) from error

    def _read(self, path: str, text: bytes) -> Any:
        if len(text) > MOST_BYTES:
            raise ControlError("An answer is too long.", field="api", value=path, expected=f"{MOST_BYTES} byte at most")
        try:
            return json.loads(text) if text.strip() else None
        except (ValueError, RecursionError) as error:
            raise self._strange(path, text[:80]) from error

    def _refused(self, method: str, path: str, body: Any, error: urllib.error.HTTPError) -> ControlError:
        told = error.read(2000).decode("utf-8", "replace").strip()
        name = path.rpartition("/")[2]
        what = {"GET": "knows no", "PUT": "refuses"}[method]
        return ControlError(
            f"The control unit {what} '{path}' (HTTP {error.code}){': ' + told if told else ''}.",
            field=name,
            value=None if body is None else body["value"],
            next_move="See that the detector is initialized and idle (state), and that the value is allowed.",
        )

    def _strange(self, name: str, answer: Any) -> ControlError:
        return ControlError(f"The control unit answered '{name}' with something else.", field=name, value=answer)


# a proxy of the environment knows nothing of a control unit in the same rack
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
