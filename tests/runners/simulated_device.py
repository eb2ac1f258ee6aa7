"""Whole runs on a CUDA device, in numba's simulator: collected by `test_on_device` alone, in a process of its own.

The simulator has one device, which is the host's memory. Where two are wanted here, it pretends that there are two
(`arrays.simulated_devices`): that shows how blocks are shared, not that two real devices work at once.
"""

from dataclasses import replace

import numpy as np
import pytest

from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.check import check
from firstlight.core.errors import JobError, StepFailed
from firstlight.core.job import Job, RunnerSettings
from firstlight.core.operator import operator
from firstlight.core.pipeline import pipeline
from firstlight.jobs.start import plan, start
from firstlight.kernels.cuda import arrays
from firstlight.operators.correct.minus_log import minus_log
from firstlight.runners.describe import devices_of
from firstlight.runners.local import LocalRunner
from firstlight.runners.on_device import DeviceWork
from firstlight.runners.room import with_sizes

SCAN = PhantomSource(columns=8, rows=4, angles=6, darks=2, flats=2, chunk=128)
STEPS = [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "backproject", "filter": "none"}]
MIB = 2**20


def job(steps=STEPS, source=SCAN, **runner):
    return Job(source, pipeline(steps), collect=True, runner=RunnerSettings(**{"threads": 2, **runner}))


def outputs(chosen):
    run = LocalRunner().start(chosen)
    return run, {name: result.data for name, result in run.finished(200).items()}


@pytest.fixture
def two_devices(monkeypatch):
    monkeypatch.setattr(arrays, "simulated_devices", 2)


def test_a_run_on_a_device_is_the_run_on_the_processor_and_data_go_there_once():
    before = arrays.transfers()
    run, found = outputs(job(device="cuda"))
    after = arrays.transfers()
    _, wanted = outputs(job(device="cpu"))
    assert arrays.transfers() == after  # the processor moved nothing
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, atol=2e-5 * np.abs(array).max(), err_msg=name)
    frames, volume = 6 * 4 * 8 * 4, next(iter(wanted.values()))
    assert after.to_host_bytes - before.to_host_bytes == frames + volume.nbytes  # what leaves a stage, nothing between
    counts = 6 * 4 * 8 * 2  # uint16, as the detector gave them
    small = after.to_device_bytes - before.to_device_bytes - counts - frames
    assert (
        0 < small < 2 * 4 * 8 * 4 + 4 * 600
    )  # the dark and the flat once, and a few numbers of geometry for each block
    there = run.report()["devices"]
    assert {name for name, where in there.items() if where == "cuda:0 numba's simulator"} == {s["use"] for s in STEPS}


def test_two_devices_share_the_blocks(two_devices):
    run, found = outputs(job(device="cuda", threads=3, memory=1.0))
    _, wanted = outputs(job(device="cpu"))
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, atol=2e-5 * np.abs(array).max(), err_msg=name)
    blocks = run.report()["device_blocks"]
    assert set(blocks) == {"cuda:0", "cuda:1"}
    assert min(blocks.values()) > 0
    assert run.plan.sizes.stages[-1].block[0] == 1  # 4 rows, two in flight on each of two devices


@operator("->")
def only_here(values):
    """A step without a body for devices."""
    return values


def test_what_has_no_body_there_runs_here_and_the_plan_says_so():
    chosen = job(
        [{"use": "flat_field"}, {"use": "minus_log"}, only_here(), {"use": "minus_log", "name": "again"}],
        device="cuda",
    )
    found = plan(chosen)
    places = {step.name: step.device for step in found.steps if step.kind == "map"}
    assert places == {"flat_field": "cuda", "minus_log": "cuda", "only_here": "cpu", "again": "cuda"}
    said = "\n".join(found.describe())
    assert "device cuda:0 (numba's simulator)" in said
    assert "on cuda:0: flat_field, minus_log, again" in said
    assert "on the processor: mean_of_dark, mean_of_flat, only_here" in said
    wanted = outputs(replace(chosen, runner=RunnerSettings(device="cpu")))[1]
    for name, array in outputs(chosen)[1].items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-5, atol=1e-5)


def test_blocks_fit_the_memory_of_the_smallest_device(monkeypatch, two_devices):
    source = PhantomSource(columns=512, rows=256, angles=300)

    def sized(free):
        monkeypatch.setattr(arrays, "memory", lambda number: arrays.Memory(free[number], 80e9))
        return with_sizes(check(job(source=source, device="cuda"), source.open()), 8e9, 4)

    large, small = sized([80e9, 80e9]), sized([80e9, 60 * MIB])
    block = [found.sizes.stages[-1].block[0] for found in (large, small)]
    assert block[1] < block[0] <= 256 // 4
    for found, free in ((large, 80e9), (small, 60 * MIB)):
        assert found.sizes.devices.in_flight >= 2
        assert found.sizes.devices.bytes <= 0.8 * free
    with pytest.raises(
        JobError, match=r"runner.device: the smallest block of flat_field, minus_log takes .* cuda:1 has 0.1 MiB free"
    ):
        sized([80e9, 0.1 * MIB])


def test_a_device_is_not_chosen_by_itself_before_its_body_was_tried_on_a_real_one(monkeypatch):
    assert set(devices_of(plan(job(device="auto"))).values()) == {"cpu"}
    monkeypatch.setattr(minus_log.step, "proven", frozenset({"cuda"}))
    assert devices_of(plan(job(device="auto")))["minus_log"] == "cuda:0 numba's simulator"
    monkeypatch.setattr(arrays, "memory", lambda number: arrays.Memory(10.0, 10.0))
    assert set(devices_of(plan(job(device="auto"))).values()) == {"cpu"}  # it has no room there


def test_a_device_that_is_not_there_is_named(two_devices):
    with pytest.raises(JobError, match=r"runner.device = 'cuda:0,5': there is no device 5; there are: 0, 1. Set it"):
        start(job(device="cuda:0,5"))
    with pytest.raises(JobError, match="the runner 'naive' works on the processor alone"):
        start(job(device="cuda", use="naive"))


def test_an_error_of_the_device_names_step_frames_and_next_move(monkeypatch):
    def refuse(*_):
        raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setattr(DeviceWork, "_through", refuse)
    with pytest.raises(StepFailed, match=r"The device failed in 'flat_field \+ minus_log'.*frames .*'cpu'"):
        outputs(job(STEPS[:2], device="cuda"))


def test_each_frame_gets_the_version_that_applies_to_it():
    source = SCAN.model_copy(update={"sets": 2, "drift": 0.3})
    steps = [{"use": "subtract_dark"}, {"use": "flat_field", "name": "flat"}]
    found, wanted = (outputs(job(steps, source=source, device=device))[1] for device in ("cuda", "cpu"))
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [
        [
            *STEPS[:2],
            {"use": "remove_outliers_3d", "threshold": 0.2, "size": 3},
            {"use": "remove_small_stripes", "size": 3},
        ],
        [STEPS[1], {"use": "remove_small_stripes", "size": 3}, {"use": "remove_outliers", "threshold": 0.2, "size": 3}],
    ],
    ids=["a halo along the angle", "a halo along the rows"],
)
def test_blocks_with_neighbours_and_axes_in_another_order(steps):
    source = SCAN.model_copy(update={"chunk": 400.0, "zingers": 0.01})
    found, wanted = (outputs(job(steps, source=source, device=device))[1] for device in ("cuda", "cpu"))
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5, err_msg=name)
