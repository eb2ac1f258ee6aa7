"""Detectors from Python: connect, arm or wait, hooks for the whole life, results on the way, plots."""

import asyncio
import threading

import numpy as np
import pytest
from played import dectris, merlin, truth

import firstlight as fl
from firstlight.compat.libertem.udf import UDF
from firstlight.core.errors import FirstlightError, SourceError, UnknownName
from firstlight.jobs.detectors import scan_shape

ACTIVE = ["on_configured", "on_armed", "on_ready_for_data", "on_started", "on_chunk", "on_done", "on_closed"]


class Told(fl.Hooks):
    """Notes what it is told, each once."""

    def __init__(self, shape=None):
        self.calls, self.shape = [], shape

    def __getattribute__(self, name):
        if name.startswith("on_") and name not in self.calls:
            self.calls.append(name)
        return super().__getattribute__(name)

    def on_nav_shape(self, frames, shape):
        self.asked = frames, shape
        return self.shape


def connected(told):
    return fl.connect("dectris", api=told["api"], data=told["data"])


def sums_of(run):
    return run.finished(60)["sum.data"].data


def test_an_armed_dectris_gives_named_results_and_tells_its_life():
    hooks = Told()
    with dectris() as told, connected(told) as detector:
        source = detector.arm(shape=(3, 4), trigger_mode="exte", frame_time=1e-3, hooks=hooks)
        run = fl.run(source, [fl.step("virtual_detector", shape="annulus"), fl.step("center_of_mass"), fl.step("sum")])
        results = run.finished(60)
        assert detector.api.get("ntrigger") == 12
        assert run.job.to_dict()["source"]["data"] == told["data"]
    frames = truth().astype(np.int64)
    assert np.array_equal(results["virtual_detector"].data, frames.sum((1, 2)).reshape(3, 4))
    assert np.array_equal(results["sum"].data, frames.sum(0))
    mass = frames.sum((1, 2))
    rows = (frames.sum(2) * np.arange(12)).sum(1) / mass - 5.5
    assert np.allclose(results["center_of_mass.row_shift"].data, rows.reshape(3, 4))
    assert hooks.calls == ACTIVE


def test_an_armed_merlin():
    hooks = Told()
    hooks.on_ready_for_data = lambda detector: detector.api.command("SOFTTRIGGER")
    with merlin() as told:
        where = {"host": told["host"], "port": told["port"], "control_port": told["control_port"]}
        with fl.connect("merlin", **where) as detector:
            source = detector.arm(shape=(3, 4), settings={"ACQUISITIONTIME": 1.0}, hooks=hooks)
            assert np.array_equal(sums_of(fl.run(source, [fl.step("sum")])), truth().sum(0))
            assert detector.wait(timeout=0.05) is None
    assert hooks.calls == ACTIVE


@pytest.mark.parametrize(
    ("shape", "decided", "sizes"),
    [((3, -1), None, (3, 4)), ((None, 6), None, (2, 6)), (None, (6, 2), (6, 2)), (None, None, None)],
)
def test_a_series_that_somebody_else_arms_has_the_shape_that_is_given_or_decided(shape, decided, sizes):
    hooks = Told(decided)
    with dectris() as told, connected(told) as detector:
        assert detector.wait(timeout=0.05) is None
        detector.api.arm()
        source = detector.wait(timeout=20, shape=shape, hooks=hooks)
        scan = source.open()
        assert sum(len(item) for item in source.items() if isinstance(item, fl.Chunk)) == 12
        source.close()
    assert hooks.asked == (12, shape)
    arrival = dict(list(scan.main.sizes.items())[:-2])
    assert arrival == ({"position": 12} if sizes is None else dict(zip(("scan_y", "scan_x"), sizes, strict=True)))
    assert hooks.calls == ["on_nav_shape", *ACTIVE[3:]]


def test_a_wrong_shape_is_told_before_data_are_lost():
    with dectris() as told, connected(told) as detector:
        detector.api.arm()
        with pytest.raises(SourceError, match="12 frames"):
            detector.wait(timeout=20, shape=(5, 5))
        source = detector.wait(timeout=20, shape=(4, 3))
        assert np.array_equal(sums_of(fl.run(source, [fl.step("sum")])), truth().sum(0))


def test_an_error_is_told():
    hooks = Told()
    with dectris() as told, connected(told) as detector:
        with pytest.raises(ValueError, match="bslz4"):
            detector.arm(shape=(3, 4), trigger_mode="exte", compression="nonsense", hooks=hooks)
        with pytest.raises(FirstlightError, match="how many frames"):
            detector.arm(shape=(3, -1), trigger_mode="exte")
    assert hooks.calls == ["on_error"]
    with pytest.raises(UnknownName, match="dectris, merlin, tpx3"):
        fl.connect("nothing")


@fl.operator("row col -> ")
def failing(frames):
    """Raise an error at the first frame."""
    raise ValueError("no such sample")


def test_a_step_that_fails_is_told_to_the_hooks_and_the_next_scan_works():
    hooks = Told()
    with dectris(rate=20.0) as told, connected(told) as detector:
        run = fl.run(detector.arm(shape=(3, 4), trigger_mode="exte", hooks=hooks), [failing()])
        with pytest.raises(FirstlightError, match="no such sample"):
            run.finished(60)
        again = fl.run(detector.arm(shape=(3, 4), trigger_mode="exte"), [fl.step("sum")])
        assert np.array_equal(sums_of(again), truth().sum(0))
    assert hooks.calls[-2:] == ["on_error", "on_closed"]
    assert "on_done" not in hooks.calls


def test_a_hook_that_raises_ends_the_run_with_its_error():
    hooks = Told()

    def fail(chunk):
        raise ValueError("the stage has hit its end")

    hooks.on_chunk = fail
    with dectris() as told, connected(told) as detector:
        run = fl.run(detector.arm(shape=(3, 4), trigger_mode="exte", hooks=hooks), [fl.step("sum")])
        with pytest.raises(FirstlightError, match="hit its end"):
            run.finished(60)
    assert hooks.calls[-2:] == ["on_error", "on_closed"]


@pytest.mark.parametrize(
    ("shape", "frames", "found"),
    [
        (None, 12, None),
        ((12,), 12, None),
        ((-1, -1), 16, (4, 4)),
        ((2, -1), 12, (2, 6)),
        ((3, 4), None, (3, 4)),
    ],
)
def test_shapes_that_fit(shape, frames, found):
    assert scan_shape(shape, frames) == found


@pytest.mark.parametrize(
    ("shape", "frames"), [((5, -1), 12), ((-1, -1), 12), ((0, 4), 12), ((2, 2, 3), 12), ((3, -1), None), ((11,), 12)]
)
def test_shapes_that_do_not_fit(shape, frames):
    with pytest.raises(SourceError, match="no shape of a scan"):
        scan_shape(shape, frames)


# ---- results on the way -------------------------------------------------------------------------------------------------


class Slow(fl.Source):
    """Gives one frame each time that the test allows it."""

    use = "slow"
    pausable = True
    frames: int = 6

    def model_post_init(self, context):
        self._next, self._stop = threading.Semaphore(0), threading.Event()

    def open(self):
        sizes = {"scan_y": 2, "scan_x": self.frames // 2, "row": 4, "col": 5}
        return fl.Scan({"data": fl.Stream(tuple(sizes), sizes, "uint16", 2)})

    def items(self):
        for number in range(self.frames):
            while not self._next.acquire(timeout=0.05):
                if self._stop.is_set():
                    return
            yield fl.Chunk(np.full((1, 4, 5), number, np.uint16), ("row", "col"), np.array([number]))

    def allow(self, frames):
        self._next.release(frames)

    def stop(self):
        self._stop.set()

    def close(self):
        pass


Slow._next = Slow._stop = None
STEPS = ({"use": "virtual_detector", "shape": "annulus"}, {"use": "sum"})


def began(source):
    run = fl.run(source, [dict(step) for step in STEPS])
    run.follow(0.01)
    return run


def test_results_on_the_way_say_what_they_cover():
    source = Slow()
    run = began(source)
    source.allow(2)
    seen = []
    for results in run.partial(0.01):
        covered = results.covered
        if covered is not None and covered.sum() == 2 and "sum.data" in results and results["sum"].data.sum() == 20:
            image = results["virtual_detector"].data
            assert image.shape == covered.shape == (2, 3)
            assert image[covered].tolist() == [0, 20]
            source.allow(4)
        seen.append(results)
    assert seen[-1].last
    assert seen[-1].covered is None
    assert seen[-1]["virtual_detector"].data.tolist() == [[0, 20, 40], [60, 80, 100]]
    assert len(seen) > 1


def test_asynchronous_iteration():
    source = Slow()
    run = began(source)

    async def watch():
        turns = 0

        async def clock():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.005)

        ticking = asyncio.create_task(clock())
        source.allow(6)
        async for results in run:
            last = results
        ticking.cancel()
        return turns, last

    turns, last = asyncio.run(watch())
    assert turns > 0
    assert last["sum"].data.sum() == 20 * 15


def test_what_came_before_a_cancel_is_kept_with_the_right_count():
    source = Slow()
    run = began(source)
    source.allow(4)
    for results in run.partial(0.01):
        if results.covered is not None and results.covered.sum() == 4:
            run.stop()
    assert results.covered.sum() == 4
    assert results["virtual_detector"].data[results.covered].tolist() == [0, 20, 40, 60]
    assert results["sum"].data.sum() == 120
    assert (run.counts.done, run.counts.excluded + run.counts.lost) == (4, 2)


class SlowCanvas:
    """Draws until it is let go."""

    def __init__(self):
        self.drawing, self.go, self.seen, self.closed = threading.Event(), threading.Event(), [], False

    def draw(self, results):
        self.drawing.set()
        assert self.go.wait(60)
        self.seen.append(results)

    def close(self):
        self.closed = True


def test_a_slow_plot_does_not_slow_the_data():
    source, canvas = Slow(frames=40), SlowCanvas()
    run = began(source)
    plot = run.plot("virtual_detector", every=0.01, canvas=canvas)
    source.allow(1)
    assert canvas.drawing.wait(60)
    source.allow(39)
    run.finished(60)  # while the plot still draws the first picture
    assert plot.drawn == 0
    canvas.go.set()
    assert plot.wait(60)
    # the pictures between the first and the newest were left out
    assert len(canvas.seen) == 2
    assert canvas.closed
    assert canvas.seen[-1]["virtual_detector.data"].data.max() == 39 * 20
    assert list(canvas.seen[-1]) == ["virtual_detector.data"]


def test_a_plot_that_fails_does_not_end_the_run(caplog):
    class Broken(SlowCanvas):
        def draw(self, results):
            raise RuntimeError("no display")

    source = Slow()
    run = began(source)
    plot = run.plot(canvas=Broken())
    source.allow(6)
    assert run.finished(60)["sum"].data.sum() == 20 * 15
    assert plot.wait(60)
    assert "no display" in str(plot.error)


def test_a_figure_of_matplotlib():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    source = Slow()
    run = began(source)
    plot = run.plot(every=0.01)
    source.allow(6)
    assert plot.wait(60)
    axes = plot.canvas.figure.axes
    assert [each.get_title() for each in axes] == ["virtual_detector.data", "sum.data"]
    assert np.array_equal(axes[0].images[0].get_array(), np.arange(6).reshape(2, 3) * 20)
    from matplotlib import pyplot

    pyplot.close(plot.canvas.figure)


def test_parameters_of_a_udf_change_for_the_frames_to_come():
    class Weighted(UDF):
        def get_result_buffers(self):
            return {"value": self.buffer("nav")}

        def process_frame(self, frame):
            self.results.value[:] = frame.max() * self.params.weight

    source = Slow()
    run = fl.run(source, [fl.from_libertem(Weighted(weight=1.0))])
    source.allow(2)
    for results in run.partial(0.01):
        if "libertem_udf.covered_points" in results and results["libertem_udf.covered_points"].data.sum() == 2:
            run.set({"libertem_udf": {"parameters": {"weight": 10.0}}})
            source.allow(4)
    assert run.finished(60)["libertem_udf.value"].data.tolist() == [[0, 1, 20], [30, 40, 50]]
