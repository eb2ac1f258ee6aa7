"""Functions of installed packages as steps, beside calling them by hand."""

import sys
import types
from typing import Any

import numpy as np
import pytest
import scipy.ndimage

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.errors import FirstlightError, JobError, StepFailed
from firstlight.core.job import parse_job
from firstlight.jobs.confine import confine
from firstlight.jobs.start import plan
from firstlight.operators.own.call import Call

FRAMES = np.random.default_rng(8).random((9, 6, 8)).astype(np.float32)
ANGLES = np.linspace(0, 180, 9, endpoint=False)


def results(step: dict[str, Any], frames: Any = FRAMES, **more: Any) -> Any:
    return fl.run(MemorySource.of(frames, angles=ANGLES), [{"name": "called", **step}], **more).finished(timeout=60)[
        "called"
    ]


GAUSS = {"use": "call", "function": "scipy.ndimage.gaussian_filter", "sigma": 2}


@pytest.mark.parametrize("runner", ["naive", "local"])
def test_axes_say_what_the_function_gets(runner: str) -> None:
    whole = results({**GAUSS, "axes": "angle row col -> angle row col"}, runner=runner)
    np.testing.assert_allclose(whole, scipy.ndimage.gaussian_filter(FRAMES, 2), rtol=1e-6)
    frame = results({**GAUSS, "axes": "row col -> row col"}, runner=runner)
    np.testing.assert_allclose(frame, [scipy.ndimage.gaussian_filter(f, 2) for f in FRAMES], rtol=1e-6)
    sinogram = results({**GAUSS, "axes": "angle col -> angle col"}, runner=runner)  # the free axis comes first
    wanted = np.stack([scipy.ndimage.gaussian_filter(FRAMES[:, row], 2) for row in range(6)])
    np.testing.assert_allclose(sinogram, wanted, rtol=1e-6)
    values = results({"use": "call", "function": "numpy.sqrt", "axes": "->"}, runner=runner)
    np.testing.assert_allclose(values, np.sqrt(FRAMES), rtol=1e-6)


def test_a_function_of_scikit_image() -> None:
    skimage = pytest.importorskip("skimage.restoration")
    found = results({"use": "call", "function": "skimage.restoration.denoise_tv_chambolle", "weight": 0.2})
    wanted = [skimage.denoise_tv_chambolle(frame, weight=0.2) for frame in FRAMES]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_halo_is_given_and_taken_off() -> None:
    step = {
        "use": "call",
        "function": "scipy.ndimage.median_filter",
        "size": 3,
        "axes": "row~1 col~1 -> row col",
        "mode": "nearest",
    }
    wanted = [scipy.ndimage.median_filter(frame, 3, mode="nearest") for frame in FRAMES]
    np.testing.assert_allclose(results(step), wanted)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A package whose functions have the shape of those of tomopy, without its copy-everything."""
    made = types.ModuleType("their_tomo")

    def remove_stripe(tomo: Any, level: int, sigma: float = 2.0, *, pad: bool = True) -> Any:
        """In place, as some do: what it is given must be its own."""
        tomo -= tomo.mean(axis=0, keepdims=True) * (level + sigma) * pad
        return tomo

    def recon(tomo: Any, theta: Any, center: float = 0.0, sinogram_order: bool = False) -> Any:
        turned = np.cos(theta)[:, None, None] * tomo
        size = tomo.shape[2]
        return np.stack([np.outer(np.full(size, s.sum()), np.full(size, center)) for s in np.moveaxis(turned, 1, 0)])

    def two(*, image: Any, factor: float = 1.0) -> Any:
        return image * factor, image.sum()

    made.remove_stripe, made.recon, made.two = remove_stripe, recon, two  # type: ignore[attr-defined]
    made.wrong_shape = lambda image: image[None]  # type: ignore[attr-defined]
    made.text = lambda image: "text"  # type: ignore[attr-defined]
    made.one_off = lambda values: values[:-1]  # type: ignore[attr-defined]
    made.turned = lambda image: image.T  # type: ignore[attr-defined]
    made.any_argument = lambda image, **more: image * more["by"]  # type: ignore[attr-defined]
    made.number = 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "their_tomo", made)
    return made


def test_a_function_may_work_in_place(package: types.ModuleType) -> None:
    frames = FRAMES.copy()
    axes = "angle row col -> angle row col"
    found = results({"use": "call", "function": "their_tomo.remove_stripe", "level": 1, "axes": axes}, frames)
    np.testing.assert_array_equal(frames, FRAMES)
    np.testing.assert_allclose(found, FRAMES - 3 * FRAMES.mean(axis=0, keepdims=True), rtol=1e-5, atol=1e-6)


def test_angles_and_lengths_of_new_axes(package: types.ModuleType) -> None:
    step = {"use": "call", "function": "their_tomo.recon", "axes": "angle row col -> z y x", "angles": "theta"}
    step |= {"lengths": {"z": "row", "y": "col", "x": 8}, "center": 2.0}
    wanted = package.recon(FRAMES, np.deg2rad(ANGLES), center=2.0)
    np.testing.assert_allclose(results(step), wanted, rtol=1e-4, atol=1e-5)


def test_a_center_that_another_step_finds(package: types.ModuleType) -> None:
    source = fl.source("phantom", columns=64, rows=2, angles=90, center=29.0)
    steps: list[Any] = [
        {"use": "flat_field"},
        {"use": "minus_log"},
        {"use": "find_center"},
        {
            "use": "call",
            "inputs": ["minus_log"],
            "function": "their_tomo.recon",
            "axes": "angle row col -> z y x",
            "angles": "theta",
            "lengths": {"z": "row", "y": "col", "x": "col"},
            "center": {"from": "find_center"},
        },
    ]
    found = fl.run(source, steps).finished(timeout=60)
    volume = np.asarray(found["call"])
    row_sums = np.asarray(fl.run(source, steps[:2]).finished(timeout=60)["minus_log"])
    theta = np.deg2rad(np.linspace(0, 180, 90, endpoint=False))
    wanted = package.recon(row_sums, theta, center=1.0)
    assert volume.max() / wanted.max() == pytest.approx(29.0, abs=0.5)


def test_data_by_name_and_several_outputs(package: types.ModuleType) -> None:
    step = {"use": "call", "function": "their_tomo.two", "data": "image", "axes": "row col -> big: row col, total: "}
    found = fl.run(MemorySource.of(FRAMES), [{**step, "factor": 3}]).finished(timeout=60)
    np.testing.assert_allclose(found["call.big"], 3 * FRAMES, rtol=1e-6)
    np.testing.assert_allclose(found["call.total"], FRAMES.sum(axis=(1, 2)), rtol=1e-5)


def test_arguments_stand_beside_the_parameters_or_under_their_own_name(package: types.ModuleType) -> None:
    plain = Call(function="scipy.ndimage.shift", shift=1, given={"order": 1})  # type: ignore[call-arg]
    assert plain.given == {"order": 1, "shift": 1}
    assert results({"use": "call", "function": "their_tomo.any_argument", "by": 2}) == pytest.approx(2 * FRAMES)
    job = parse_job({"source": "phantom", "steps": [{**GAUSS, "order": 0}]})
    assert parse_job(job.to_dict()).pipeline == job.pipeline


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"function": "scipy.ndimage.gauss_filter", "sigma": 2},
            "There is no 'scipy.ndimage.gauss_filter'.*Did you mean",
        ),
        ({"function": "no_such_package.filter"}, "no package 'no_such_package'.*pip install no_such_package"),
        ({"function": "scipy.no_such_module.filter"}, "no 'scipy.no_such_module'"),
        ({"function": "their_tomo.number"}, "is no function"),
        ({"function": "scipy.ndimage.gaussian_filter"}, "needs the argument sigma"),
        (
            {"function": "scipy.ndimage.gaussian_filter", "sigma": 2, "ordr": 1},
            "no argument 'ordr'.*Did you mean 'order'",
        ),
        ({"function": "scipy.ndimage.gaussian_filter", "sigma": 2, "input": 1}, "no argument 'input'"),
        ({"function": "their_tomo.two", "factor": 1}, "takes no data by position"),
        ({"function": "their_tomo.recon", "theta": 1, "axes": "angle row col -> z y x"}, "length of axis 'z'"),
    ],
)
def test_mistakes_are_told_before_the_first_frame(
    package: types.ModuleType, given: dict[str, Any], message: str
) -> None:
    job = parse_job(
        {"source": {"use": "phantom", "columns": 16, "rows": 2, "angles": 8}, "steps": [{"use": "call", **given}]}
    )
    with pytest.raises(JobError, match=message):
        plan(job)


@pytest.mark.parametrize("axes", ["row col, row col -> row col", "[angle] row col -> row col", "row~n col -> row col"])
def test_axes_that_a_function_can_not_have(axes: str) -> None:
    with pytest.raises(JobError, match="called with one array, whole"):
        parse_job({"source": "phantom", "steps": [{**GAUSS, "axes": axes}]})


@pytest.mark.parametrize(
    ("function", "axes", "message"),
    [
        ("wrong_shape", "row col -> row col", r"float32 of shape \(1, 6, 8\)"),
        ("text", "row col -> row col", "did not give what its axes announce"),
        ("one_off", "->", "did not give what its axes announce"),
        ("turned", "row col -> row col", r"along \(6 row, 8 col\) for 'data', not float32 of shape \(8, 6\).*lengths"),
    ],
)
def test_a_result_of_another_shape_fails_by_name(
    package: types.ModuleType, function: str, axes: str, message: str
) -> None:
    with pytest.raises(StepFailed, match=message):
        results({"use": "call", "function": f"their_tomo.{function}", "axes": axes})


def test_jobs_from_the_network_may_not_call() -> None:
    with pytest.raises(JobError, match="step 'call' runs code that the job names"):
        confine(parse_job({"source": "phantom", "steps": [GAUSS]}), [])


def test_parsing_a_job_does_not_import_what_it_names() -> None:
    parse_job({"source": "phantom", "steps": [{"use": "call", "function": "antigravity.fly"}]})
    assert "antigravity" not in sys.modules


def test_one_after_the_other(package: types.ModuleType) -> None:
    step = {**GAUSS, "alone": True}
    np.testing.assert_allclose(results(step), [scipy.ndimage.gaussian_filter(f, 2) for f in FRAMES], rtol=1e-6)


def test_a_name_without_package_is_no_function() -> None:
    with pytest.raises(JobError, match="function = 'eval'"):
        parse_job({"source": "phantom", "steps": [{"use": "call", "function": "eval"}]})
    with pytest.raises(FirstlightError, match="no package '__main'"):
        Call(function="__main.x").prepare(None)  # type: ignore[arg-type]
