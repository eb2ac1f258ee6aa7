"""Patches one by one are those of which the whole image is made."""

import numpy as np
import pytest

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import FirstlightError, StepFailed
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.operators.learn.network_patches import network_patches

pytest.importorskip("onnxruntime", reason="the extra 'learn' is not installed")
TRUTH = simulate(window=64, scan=(2, 2), photons=1e5)
FRAMES = np.fft.fftshift(TRUTH.counts, axes=(1, 2))


def test_one_patch_alone_is_the_image():
    """A scan of one frame: the image is its patch, with a mean phase of zero and a mean intensity of one."""
    sizes = {"position": 1, "row": 64, "col": 64}
    streams = {MAIN: Stream(tuple(sizes), sizes, "float32", unit="counts")}
    streams["positions"] = Stream(("position", "yx"), {"position": 1, "yx": 2}, "float64", unit="px")
    whole = registry.get("operators", "ptychography_network")(model="phantom_v2", window="flat")
    state = whole.empty(Scan(streams))
    chunk = Chunk(FRAMES[:1], ("row", "col"), np.arange(1), coords={"positions": np.zeros((1, 2))})
    whole.add(state, whole.digest(chunk))
    image = whole.result(state)["object"]
    (amplitude, phase) = network_patches(FRAMES[:1], model="phantom_v2")[0]
    patch = amplitude * np.exp(1j * phase)
    scale = np.vdot(patch, image) / np.vdot(patch, patch)
    np.testing.assert_allclose(image, scale * patch, atol=1e-4)


def test_patches_are_turned_as_they_are_asked_for():
    upright = network_patches(FRAMES, model="phantom_v2")
    assert (upright.shape, upright.dtype) == ((4, 2, 64, 64), np.float32)
    assert not np.allclose(upright[0], upright[1])
    turned = network_patches(FRAMES, model="phantom_v2", patch_orientation="rot90_cw")
    np.testing.assert_array_equal(turned, np.rot90(upright, -1, axes=(2, 3)))
    lying = network_patches(FRAMES.swapaxes(1, 2).copy(), model="phantom_v2", orientation="transpose")
    np.testing.assert_allclose(lying, upright, atol=1e-5)


def test_frames_of_another_size_are_refused():
    with pytest.raises(StepFailed, match="64 × 64"):
        network_patches(FRAMES[:, :32], model="phantom_v2")


def test_patches_put_together_are_the_image_of_the_whole_step():
    """So that a job which wants the patches as well need not run the network twice."""
    sizes = {"position": 4, "row": 64, "col": 64}
    streams = {MAIN: Stream(tuple(sizes), sizes, "float32", unit="counts")}
    streams["positions"] = Stream(("position", "yx"), {"position": 4, "yx": 2}, "float64", unit="px")
    scan, coords = Scan(streams), {"positions": TRUTH.corners + 0.25}
    options = {"model": "phantom_v2", "patch_orientation": "transpose", "signs": (1, -1)}
    whole, mosaic = (registry.get("operators", name)(**options) for name in ("ptychography_network", "patch_mosaic"))
    given = Chunk(FRAMES, ("row", "col"), np.arange(4), coords=coords)
    patches = network_patches(FRAMES, model="phantom_v2")
    first, second = (
        _image(step, seen, chunk)
        for step, seen, chunk in (
            (whole, scan, given),
            (mosaic, _of_patches(scan), given.with_data(patches, ("part", "v", "u"))),
        )
    )
    for name, image in first.items():
        # float32; the spread is a root of what is left of two large sums
        np.testing.assert_allclose(second[name], image, atol=1e-3, err_msg=name)


def _of_patches(scan):
    sizes = {"position": 4, "part": 2, "v": 64, "u": 64}
    return Scan({**scan.streams, MAIN: Stream(tuple(sizes), sizes, "float32")})


def _image(step, scan, chunk):
    state = step.empty(scan)
    step.add(state, step.digest(chunk))
    step.refine(state)
    return step.result(state)


def test_patches_of_another_network_are_refused():
    sizes = {"position": 1, "part": 2, "v": 32, "u": 32}
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    with pytest.raises(StepFailed, match="64 × 64"):
        registry.get("operators", "patch_mosaic")(model="phantom_v2").empty(scan)


def test_a_probe_is_told_once_and_turned(tmp_path):
    """What a network makes of the probe of a file, in the axes of another program, is what it makes of the probe itself."""
    probe = TRUTH.probe[0] * np.linspace(0.5, 1, 64)[:, None]
    for name, array in (("here.npy", probe), ("there.npy", probe.T)):
        np.save(tmp_path / name, array)
    plain = network_patches(FRAMES, model="phantom_v2")
    told = network_patches(FRAMES, model="phantom_v2", probe=tmp_path / "here.npy")
    turned = network_patches(FRAMES, model="phantom_v2", probe=tmp_path / "there.npy", probe_orientation="transpose")
    assert np.abs(told - plain).max() > 0.01
    np.testing.assert_array_equal(turned, told)
    (tmp_path / "gone.npy").write_bytes(b"no")
    with pytest.raises(StepFailed, match="probe can not be read"):
        network_patches(FRAMES, model="phantom_v2", probe=tmp_path / "gone.npy")


def test_a_device_that_is_not_there_is_told():
    step = registry.get("operators", "network_patches")
    if "CUDAExecutionProvider" not in pytest.importorskip("onnxruntime").get_available_providers():
        with pytest.raises(FirstlightError, match=r"can not use cuda:1 here.*one of cpu.*learn-gpu"):
            network_patches(FRAMES, model="phantom_v2", device="cuda:1")
    for wrong in ("gpu", "cpu:1", "cuda:"):
        with pytest.raises(ValueError, match="device"):
            step.step(device=wrong)
