"""A network of an ONNX file, ready to run: what it takes and gives is checked once, and its first run warms it up."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError, MissingExtra, StepFailed

Device = Annotated[str, Field(pattern=r"^(cpu|(cuda|tensorrt)(:\d{1,3})?)$")]
"""What runs a network; of several GPUs one by its number, such as ``cuda:1``."""
_PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_BATCH = 16
"""Frames at once, for a network that takes any number."""
_LARGEST = 4096
"""Rows and columns."""
_MOST = 2**28
"""Pixels in a batch."""
_GIVEN = ("given_probe_real", "given_probe_imag")
"""Constants of a file that a caller may replace: the probe with which the network computes."""
_lock = threading.Lock()


@dataclass(frozen=True)
class Network:
    """Amplitudes in; amplitude and phase out. Safe to run from several threads at once."""

    path: Path
    window: tuple[int, int]
    """Rows and columns that it takes, and gives."""
    batch: int
    about: dict[str, str]
    """What the file says of itself."""
    probe: Array | None
    """The probe that it was trained with, where the file holds one: shape (v, u), complex64."""
    _session: Any
    _input: str
    _output: str
    takes_probe: bool = False
    """True if it can be told another probe."""
    _given: dict[str, Array] = field(default_factory=dict[str, Array])

    def knowing(self, probe: Array) -> Network:
        """The network with another probe than that of its file.

        Args:
            probe: Shape (v, u), complex, of any strength.

        Raises:
            StepFailed: It computes without one, or the probe has another shape or no light.
        """
        if not self.takes_probe:
            raise StepFailed(
                f"The network '{self.path.stem}' knows one probe, and can not be told another.",
                field="probe",
                value=str(self.path),
                next_move="Leave probe out, or choose a network whose status says takes_probe.",
            )
        light = np.abs(probe)
        if probe.shape != self.window or not np.isfinite(light).all() or not light.any():
            raise StepFailed(
                "The probe does not fit the network.",
                field="probe",
                value=f"{probe.dtype} {probe.shape}",
                expected=f"complex, with light, shape {self.window}",
            )
        # single precision has no room for photons of a whole scan squared
        known = (probe / light.max()).astype(np.complex64)
        given = dict(zip(_GIVEN, (np.ascontiguousarray(known.real), np.ascontiguousarray(known.imag)), strict=True))
        return replace(self, probe=known, _given=given)

    def predict(self, amplitudes: Array) -> Array:
        """Patches of the object for frames, shape (frame, v, u), complex64.

        Args:
            amplitudes: Shape (frame, v, u), float32, zero frequency in the middle.

        Raises:
            StepFailed: The network fails, or gives what is no picture.
        """
        found = np.empty(amplitudes.shape, np.complex64)
        for start in range(0, len(amplitudes), self.batch):
            some = amplitudes[start : start + self.batch]
            # what does not fill a batch is filled up: the network's shape is fixed
            whole = np.zeros((self.batch, 1, *self.window), np.float32)
            whole[: len(some), 0] = some
            found[start : start + len(some)] = _complex(self._run(whole))[: len(some)]
        if not np.isfinite(found).all():
            raise StepFailed("The network gives values that are no numbers.", field="model", value=str(self.path))
        return found

    def _run(self, whole: Array) -> Array:
        try:
            return np.asarray(self._session.run([self._output], {self._input: whole, **self._given})[0], np.float32)
        except Exception as error:  # onnxruntime raises classes of its own, without a common one
            raise StepFailed(f"The network fails: {_first_line(error)}", field="model", value=str(self.path)) from error


def load_network(path: Path, device: Device = "cpu") -> Network:
    """Read a network, and run it once; the same file is read once in a process.

    Raises:
        StepFailed: It can not be read, or does not take and give what it should.
        MissingExtra: onnxruntime is not installed.
        FirstlightError: There is no such device.
    """
    try:
        seen = path.stat()
    except OSError as error:
        raise StepFailed(f"The network can not be read: {error}", field="model", value=str(path)) from error
    with _lock:
        return _load(path, device, seen.st_mtime_ns, seen.st_size)


@lru_cache(maxsize=8)
def _load(path: Path, device: Device, changed: int, size: int) -> Network:
    session = _session(path, device)
    try:
        network = _checked(session, path)
    except UnicodeDecodeError as error:  # of names that the file gives
        raise _broken(path, error) from error
    network.predict(np.zeros((1, *network.window), np.float32))
    return network


def _checked(session: Any, path: Path) -> Network:
    """What the file says that it takes and gives."""
    window, batch, given = _input_of(session, path)
    output = _output_of(session, path, window)
    replaceable = [(one.name, list(one.shape), one.type) for one in session.get_overridable_initializers()]
    return Network(
        path,
        window,
        batch,
        {str(name): str(value) for name, value in session.get_modelmeta().custom_metadata_map.items()},
        _probe(session, given, batch, window),
        session,
        given,
        output,
        all((name, list(window), "tensor(float)") in replaceable for name in _GIVEN),
    )


def _runtime() -> Any:
    try:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
    except ModuleNotFoundError as missing:
        raise MissingExtra("onnxruntime", "learn", "A network") from missing
    return onnxruntime


def _session(path: Path, device: Device) -> Any:
    runtime, (kind, _, number) = _runtime(), device.partition(":")
    if _PROVIDERS.get(kind) not in runtime.get_available_providers():
        raise FirstlightError(
            f"onnxruntime can not use {device} here.",
            field="device",
            value=device,
            expected="one of "
            + ", ".join(name for name, provider in _PROVIDERS.items() if provider in runtime.get_available_providers()),
            next_move="Install firstlight[learn-gpu] in place of firstlight[learn], or leave device out.",
        )
    options = runtime.SessionOptions()
    # threads multiply chunks: the runner starts them, not the network
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    where = {"device_id": int(number or 0)}
    kept: dict[str, Any] = {
        **where,
        "trt_engine_cache_enable": True,  # engines take minutes to build
        "trt_engine_cache_path": str(path.parent / "engines"),
        "trt_fp16_enable": True,
    }
    options_of: dict[str, dict[str, Any]] = {"cpu": {}, "cuda": where, "tensorrt": kept}
    providers = [(_PROVIDERS[kind], options_of[kind])]
    # what a device does not know runs on the processor; a device that fails altogether is an error, not a slow run
    wanted = [*providers, *([] if device == "cpu" else [_PROVIDERS["cpu"]])]
    try:
        return runtime.InferenceSession(str(path), options, providers=wanted, enable_fallback=0)
    except Exception as error:  # onnxruntime raises classes of its own, without a common one
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> StepFailed:
    return StepFailed(
        f"This is no whole ONNX file that can be run: {_first_line(error)}",
        field="model",
        value=str(path),
        expected="a network in ONNX form",
        next_move="Copy the file again, or choose another network.",
    )


def _input_of(session: Any, path: Path) -> tuple[tuple[int, int], int, str]:
    """Window, batch and name of the only input."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if inputs else []
    good = len(inputs) == 1 and len(shape) == 4 and shape[1] == 1 and inputs[0].type == "tensor(float)"
    sides = shape[2:] if good else []
    if not good or not all(isinstance(n, int) and 0 < n <= _LARGEST for n in sides):
        raise _unfit(path, f"inputs {[(one.name, one.type, one.shape) for one in inputs]}")
    batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else _BATCH
    if batch * sides[0] * sides[1] > _MOST:
        raise _unfit(path, f"a batch of {batch} frames of {sides[0]} × {sides[1]} pixels, which is too much")
    return (sides[0], sides[1]), batch, inputs[0].name


def _output_of(session: Any, path: Path, window: tuple[int, int]) -> str:
    """The name of the output with the patches: ``output``, or the first that has their shape."""
    fitting = [
        one.name
        for one in session.get_outputs()
        if len(one.shape) in (3, 4)
        and list(one.shape[-2:]) == list(window)
        and (len(one.shape) == 3 or one.shape[1] == 2)
    ]
    if not fitting:
        raise _unfit(path, f"outputs {[(one.name, one.type, one.shape) for one in session.get_outputs()]}")
    return "output" if "output" in fitting else fitting[0]


def _unfit(path: Path, found: str) -> StepFailed:
    return StepFailed(
        f"This network does not take amplitudes and give amplitude and phase: it has {found[:300]}.",
        field="model",
        value=str(path),
        expected="one float32 input (batch, 1, rows, columns) and an output (batch, 2, rows, columns), or "
        "(batch, rows, columns) with the phase alone",
    )


def _probe(session: Any, given: str, batch: int, window: tuple[int, int]) -> Array | None:
    """The outputs ``probe_real`` and ``probe_imag``, which are constants."""
    names = ["probe_real", "probe_imag"]
    if not set(names) <= {one.name for one in session.get_outputs()}:
        return None
    parts = session.run(names, {given: np.zeros((batch, 1, *window), np.float32)})
    real, imaginary = (np.squeeze(np.asarray(part, np.float32)) for part in parts)
    found = real + 1j * imaginary
    return found.astype(np.complex64) if found.shape == window and np.isfinite(found).all() else None


def _complex(output: Array) -> Array:
    """Amplitude and phase, or the phase alone, as complex numbers."""
    if output.ndim == 3:
        return np.exp(1j * output)
    return output[:, 0] * np.exp(1j * output[:, 1])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
