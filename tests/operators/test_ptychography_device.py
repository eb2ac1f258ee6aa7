"""Engines on a device: the same code through a stand-in for CuPy, which refuses what CuPy refuses, against the processor's."""

import sys
from types import ModuleType

import numpy as np
import pytest

import firstlight as fl
from firstlight.core.devices import Device, DeviceChoice
from firstlight.core.errors import StepFailed
from firstlight.core.placing import placed
from firstlight.kernels.ptycho.library import Library
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.operators.ptychography.ptychography import Ptychography

from .test_ptychography_layers import WAVES, solved


class There(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that no numpy array may be mixed with, and that does not become one unless it is asked to (`get`)."""

    def __init__(self, kept):
        self.kept = kept

    def get(self):
        return self.kept.copy()

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **more):
        found = getattr(ufunc, method)(*map(kept, inputs), **{name: kept(value) for name, value in more.items()})
        if not out:
            return wrapped(found)
        out[0].kept[...] = found
        return out[0]

    def __array_function__(self, function, types, args, given):
        return wrapped(function(*kept(args), **{name: kept(value) for name, value in given.items()}))

    def __getattr__(self, name):
        found = getattr(self.kept, name)
        return called(found) if callable(found) else wrapped(found)

    def __getitem__(self, place):
        return wrapped(self.kept[kept(place)])

    def __setitem__(self, place, value):
        self.kept[kept(place)] = kept(value)

    def __len__(self):
        return len(self.kept)

    def __iter__(self):
        return map(wrapped, self.kept)

    def __float__(self):
        return float(self.kept)

    def __bool__(self):
        return bool(self.kept)


def kept(value):
    if isinstance(value, There):
        return value.kept
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    return type(value)(map(kept, value)) if isinstance(value, tuple | list) else value


def wrapped(value):
    if isinstance(value, tuple):
        return tuple(map(wrapped, value))
    return There(np.asarray(value)) if isinstance(value, np.ndarray | np.generic) else value


def called(function):
    return lambda *args, **given: wrapped(function(*kept(args), **{name: kept(value) for name, value in given.items()}))


class Used:
    """The device that is at work."""

    now = None

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        Used.now = self.number

    def __exit__(self, *_):
        Used.now = None


@pytest.fixture
def cupy(monkeypatch):
    """As far as the engines use it; device 1 of two."""

    def moved(array, dtype=None):
        assert Used.now == 1, "nothing is moved to a device that is not the one that was asked for"
        return There(np.array(array.kept if isinstance(array, There) else array, dtype))

    found = ModuleType("cupy")
    found.asarray = moved
    found.__getattr__ = lambda name: called(getattr(np, name))
    found.fft, found.linalg, found.cuda = ModuleType("fft"), ModuleType("linalg"), ModuleType("cuda")
    found.fft.__getattr__ = lambda name: called(getattr(np.fft, name))
    found.linalg.__getattr__ = lambda name: called(getattr(np.linalg, name))
    found.cuda.Device, found.cuda.runtime = Used, ModuleType("runtime")
    found.cuda.runtime.getDeviceCount, found.cuda.runtime.CUDARuntimeError = lambda: 2, RuntimeError
    monkeypatch.setitem(sys.modules, "cupy", found)
    return found


TRUTH = simulate(window=24, scan=(5, 5), step=3, photons=1e6)
COUNTS = TRUTH.counts.astype(np.uint16)
CASES = [
    *({"algorithm": name} for name in ("epie", "rpie", "dm", "raar", "lsq", "ml")),
    {"algorithm": "rpie", "modes": 2, "momentum": 0.5, "refine_positions": "gradient", "refine_after": 1},
    {"algorithm": "epie", "refine_positions": "annealing", "refine_after": 2, "object_after": 1},
    {"algorithm": "lsq", "slices": 2, "slice_gap": 30.0, "variations": 1, **WAVES},
    {"algorithm": "ml", "object_modes": 2, "modes": 2, "half_sets": True},
    {"algorithm": "epie", "upsampling": 2, "background": 0.5},
    {"algorithm": "dm", "refine_positions": "gradient", "refine_after": 1},
    {"algorithm": "raar", "object_modes": 2, "modes": 2},
    {"algorithm": "epie", "regime": "near", "energy": 12.39841984, "distance": 1e-6, "pixel": 10.0},
]


@pytest.mark.parametrize("given", CASES, ids=lambda given: "-".join(str(value) for value in given.values()))
def test_a_device_gives_what_the_processor_gives(given, cupy):
    """In double precision, so that nothing but the code can make a difference; a few rounds of everything."""
    step = Ptychography(**{"iterations": 3, "probe_after": 1, "precision": "double", "probe_defocus": 0.0, **given})
    here, _ = solved(step, COUNTS, TRUTH.corners)
    there, state = solved(step.model_copy(update={"device": "cuda:1"}), COUNTS, TRUTH.corners)
    assert Used.now is None
    assert isinstance(state.canvas.stack, np.ndarray)
    assert isinstance(state.probe, np.ndarray)
    for name in ("object", "probe", "positions", "error", "r_factor", "agreement"):
        scale = np.nanmax(np.abs(here[name]), initial=0) + 1e-9
        np.testing.assert_allclose(there[name] / scale, here[name] / scale, atol=2e-6, err_msg=name)


def test_single_precision_agrees_within_its_own(cupy):
    step = Ptychography(iterations=4, probe_defocus=0.0)
    here, _ = solved(step, COUNTS, TRUTH.corners)
    there, _ = solved(step.model_copy(update={"device": "cuda:1"}), COUNTS, TRUTH.corners)
    np.testing.assert_allclose(there["error"], here["error"], rtol=1e-3)
    np.testing.assert_allclose(there["object"], here["object"], atol=2e-2)


def test_a_device_that_is_not_there_is_told_before_the_first_frame(cupy, monkeypatch):
    with pytest.raises(StepFailed, match="CuPy finds 2 of them"):
        solved(Ptychography(device="cuda:2"), COUNTS, TRUTH.corners)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(StepFailed, match=r"CuPy is not installed.*firstlight\[gpu\]"):
        solved(Ptychography(device="cuda"), COUNTS, TRUTH.corners)
    assert not Library.of("cpu").on_device


@pytest.mark.parametrize(
    ("asked", "own", "expected"), [("cuda", "auto", "cuda:1"), ("auto", "auto", "auto"), ("cuda", "cpu", "cpu")]
)
def test_the_device_of_the_run_reaches_the_engines(asked, own, expected):
    run = fl.run(fl.source("phantom_ptychography"), [fl.step("ptychography", iterations=1, device=own)])
    run.stop()
    plan = placed(run.plan, DeviceChoice.parse(asked), [Device("cuda", 1, "pretended", 1e9)])
    assert [planned.step.device for planned in plan.steps if planned.name == "ptychography"] == [expected]
    assert not plan.devices, "it takes no lane of the operators"
