"""What LiberTEM-live's usage page shows, with one changed import, against simulated detectors."""

import asyncio
import threading

import numpy as np
import pytest
from played import dectris, merlin, timepix, truth

from firstlight.compat.libertem.api import CorrectionSet, Hooks, LiveContext
from firstlight.compat.libertem.shipped import (
    ApplyMasksUDF,
    CoMUDF,
    RecordUDF,
    SignalMonitorUDF,
    StdDevUDF,
    SumSigUDF,
    SumUDF,
)
from firstlight.core.errors import FirstlightError, SourceError


class Triggered(Hooks):
    """Notes the shape of the scan that it shall start."""

    def __init__(self, decided=None):
        self.decided, self.scans, self.asked = decided, [], []

    def on_ready_for_data(self, env):
        self.scans.append((tuple(env.aq.shape.nav), tuple(env.aq.shape.sig)))
        if env.aq.connection.kind == "merlin":
            with env.aq.connection.control() as control:
                control.set("NUMFRAMESTOACQUIRE", env.aq.shape.nav.size)
                control.cmd("STARTACQUISITION")
                control.cmd("SOFTTRIGGER")

    def on_determine_nav_shape(self, env):
        self.asked.append(env)
        return self.decided


@pytest.fixture
def context():
    with LiveContext() as one:
        yield one


def open_dectris(context, told):
    api, data = (told[name].rpartition(":")[2] for name in ("api", "data"))
    connection = context.make_connection("dectris")
    return connection.open(api_host="127.0.0.1", api_port=int(api), data_host="127.0.0.1", data_port=int(data))


def open_merlin(context, told, **given):
    where = {"api_host": told["host"], "api_port": told["control_port"]}
    return context.make_connection("merlin").open(**where, data_host=told["host"], data_port=told["port"], **given)


def test_connection(context):
    with dectris() as told:
        connection = open_dectris(context, told)
        assert connection.get_api_client().state() == "idle"
        assert connection.wait_for_acquisition(timeout=0.05) is None
        connection.close()
        with pytest.raises(FirstlightError, match="closed"):
            connection.wait_for_acquisition(timeout=0.05)
        with connection:
            assert connection.read_sig_shape() == (12, 16)
    with pytest.raises(NotImplementedError):
        context.make_connection("camera")


def test_passive_mode(context):
    with dectris() as told, open_dectris(context, told) as connection:
        for _ in range(2):
            connection.get_api_client().arm()  # somebody else
            pending = connection.wait_for_acquisition(timeout=20)
            assert (pending.nimages, pending.detector_config["ntrigger"]) == (12, 12)
            acquisition = context.make_acquisition(conn=connection, nav_shape=(3, 4), pending_aq=pending)
            result = context.run_udf(dataset=acquisition, udf=SumUDF())
            assert np.array_equal(result["intensity"].data, truth().sum(0))


def test_a_script_with_nothing_but_its_imports_changed(tmp_path):
    pytest.importorskip("bqplot", reason="the package 'bqplot' is not installed")
    from firstlight.compat.libertem.udf.monitor import SignalMonitorUDF
    from firstlight.compat.libertem.udf.record import RecordUDF
    from firstlight.compat.libertem.udf.sum import SumUDF
    from firstlight.compat.libertem.viz.bqp import BQLive2DPlot

    ctx = LiveContext(plot_class=BQLive2DPlot)
    with dectris() as told:
        api, data = (told[name].rpartition(":")[2] for name in ("api", "data"))
        conn = ctx.make_connection("dectris").open(
            api_host="127.0.0.1",
            api_port=api,
            data_host="127.0.0.1",
            data_port=data,
            buffer_size=2048,
            bytes_per_frame=64 * 512,
        )
        ec = conn.get_api_client()
        ec.setDetectorConfigMultiple("nimages", 1, "ntrigger", 12)
        assert ec.detectorConfig("ntrigger")["value"] == 12
        assert ec.detectorStatus("state")["value"] == "idle"
        assert ec.sendDetectorCommand("arm")["sequence id"] >= 1
        pending_aq = conn.wait_for_acquisition(timeout=20.0)
        aq = ctx.make_acquisition(conn=conn, nav_shape=(3, 4), frames_per_partition=512, pending_aq=pending_aq)
        udfs = [SumUDF(), SignalMonitorUDF(), RecordUDF(tmp_path / "scan.npy")]
        found = ctx.run_udf(dataset=aq, udf=udfs, plots=True)
        conn.close()
    assert np.array_equal(found[0]["intensity"].data, truth().sum(0))
    assert np.array_equal(np.load(tmp_path / "scan.npy").reshape(-1, 12, 16), truth())
    [plot] = ctx.plots
    assert plot.error is None
    assert {figure.title.partition(":")[0] for figure in plot.canvas.box.children} >= {
        "udf0.intensity",
        "udf1.intensity",
    }


def test_passive_mode_of_a_merlin(context):
    with merlin(auto=1, tell_scan=True) as told, open_merlin(context, told) as connection:
        pending = connection.wait_for_acquisition(timeout=20)
        assert pending.nav_shape == (3, 4)
        acquisition = context.make_acquisition(conn=connection, pending_aq=pending)
        assert np.array_equal(context.run_udf(acquisition, SumUDF())["intensity"].data, truth().sum(0))


def test_passive_mode_of_a_timepix(context):
    with (
        timepix() as told,
        context.make_connection("asi_tpx3").open(
            data_host=told["host"], data_port=told["port"], chunks_per_stack=24
        ) as connection,
    ):
        pending = connection.wait_for_acquisition(timeout=20)
        assert (pending.nimages, pending.nav_shape) == (12, (3, 4))
        acquisition = context.make_acquisition(conn=connection, pending_aq=pending, frames_per_partition=4)
        assert tuple(acquisition.shape) == (3, 4, 12, 16)
        result = context.run_udf(dataset=acquisition, udf=[SumUDF(), SumSigUDF()])
    assert np.array_equal(result[0]["intensity"].data, truth().sum(0))
    assert np.array_equal(result[1]["intensity"].data, truth().sum((1, 2)).reshape(3, 4))


def test_an_array_as_detector(context):
    hooks, scans = Hooks(), []
    hooks.on_ready_for_data = lambda env: scans.append(tuple(env.aq.shape.nav))
    with context.make_connection("memory").open(data=truth(), extra_kwargs={}) as connection:
        acquisition = context.make_acquisition(conn=connection, nav_shape=(3, 4), hooks=hooks)
        result = context.run_udf(dataset=acquisition, udf=SumSigUDF())
        with pytest.raises(FirstlightError, match="another number"):
            context.make_acquisition(conn=connection, nav_shape=(5, 4))
    assert result["intensity"].data.tolist() == truth().sum((1, 2)).reshape(3, 4).tolist()
    assert scans == [(3, 4)]
    with pytest.raises(NotImplementedError, match="asi_tpx3"):
        context.make_connection("eels")


def test_active_mode_and_hooks(context):
    hooks = Triggered()
    with dectris() as told, open_dectris(context, told) as connection:
        acquisition = context.make_acquisition(
            conn=connection,
            nav_shape=(3, 4),
            frames_per_partition=4,
            controller=connection.get_active_controller(trigger_mode="exte", frame_time=1e-3),
            hooks=hooks,
        )
        assert hooks.scans == []
        udfs = [SumUDF(), SumSigUDF(), StdDevUDF(), ApplyMasksUDF([lambda: np.ones((12, 16))]), CoMUDF()]
        total, each, spread, masks, com = context.run_udf(dataset=acquisition, udf=udfs)
    frames = truth().astype(np.int64)
    assert hooks.scans == [((3, 4), (12, 16))]
    assert np.array_equal(total["intensity"].data, frames.sum(0))
    assert np.array_equal(each["intensity"].data, frames.sum((1, 2)).reshape(3, 4))
    assert each["intensity"].valid_mask.all()
    assert np.allclose(spread["std"].data, frames.std(0))
    assert np.allclose(masks["intensity"].data[..., 0], each["intensity"].data)
    rows = (frames.sum(2) * np.arange(12)).sum(1) / frames.sum((1, 2))
    assert np.allclose(com["raw_com"].data[..., 0].reshape(-1), rows)


def test_active_mode_of_a_merlin(context):
    hooks = Triggered()
    with merlin() as told, open_merlin(context, told) as connection:
        acquisition = context.make_acquisition(conn=connection, nav_shape=(3, 4), hooks=hooks)
        result = context.run_udf(dataset=acquisition, udf=SumUDF())
    assert np.array_equal(result["intensity"].data, truth().sum(0))
    assert hooks.scans == [((3, 4), (12, 16))]


def test_the_shape_is_determined_by_hook_hint_or_square(context):
    hooks = Triggered(decided=(6, 2))
    with dectris(frames=16) as told, open_dectris(context, told) as connection:
        connection.get_api_client().arm()
        pending = connection.wait_for_acquisition(timeout=20)

        def shape(**given):
            return context.make_acquisition(conn=connection, pending_aq=pending, **given).nav_shape

        assert shape() == (4, 4)
        assert shape(nav_shape=(-1, 8)) == (2, 8)
        with pytest.raises(SourceError, match="16 frames"):
            shape(hooks=hooks, nav_shape=(4, 4))
        assert (hooks.asked[0].nimages, hooks.asked[0].shape_hint) == (16, (4, 4))
        with pytest.raises(FirstlightError, match="must be known"):
            context.make_acquisition(conn=connection, nav_shape=(-1, 4))
        with pytest.raises(ValueError, match="exclude"):
            shape(controller=connection.get_active_controller())


class Canvas:
    """Keeps what is drawn."""

    drawn: list = []  # noqa: RUF012 (LiberTEM's plot classes are given as classes)

    def draw(self, results):
        self.drawn.append({name: result.data.copy() for name, result in results.items()})

    def close(self):
        pass


def test_live_plot():
    Canvas.drawn.clear()
    context = LiveContext(plot_class=Canvas)
    with dectris() as told, open_dectris(context, told) as connection:
        connection.get_api_client().arm()
        pending = connection.wait_for_acquisition(timeout=20)
        acquisition = context.make_acquisition(conn=connection, nav_shape=(3, 4), pending_aq=pending)
        context.run_udf(dataset=acquisition, udf=[SumUDF(), SignalMonitorUDF()], plots=[["intensity"], ["intensity"]])
    assert set(Canvas.drawn[-1]) == {"udf0.intensity", "udf1.intensity"}
    assert np.array_equal(Canvas.drawn[-1]["udf0.intensity"], truth().sum(0))
    assert np.array_equal(Canvas.drawn[-1]["udf1.intensity"], truth()[-1])


def test_live_plot_with_matplotlib(context):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    data = truth().reshape(3, 4, 12, 16)
    context.run_udf(context.load("memory", data=data), SumUDF(), plots=True)
    [plot] = context.plots
    assert plot.error is None
    shown = {axes.get_title(): axes.images[0].get_array() for axes in plot.canvas.figure.axes}
    assert np.array_equal(shown["udf0.intensity"], data.sum((0, 1)))
    pyplot.close(plot.canvas.figure)


def test_recording(context, tmp_path):
    with dectris() as told, open_dectris(context, told) as connection:
        acquisition = context.make_acquisition(
            conn=connection, nav_shape=(3, 4), controller=connection.get_active_controller(trigger_mode="exte")
        )
        _, total = context.run_udf(dataset=acquisition, udf=[RecordUDF(tmp_path / "scan.npy"), SumUDF()])
    assert np.array_equal(np.load(tmp_path / "scan.npy"), truth().reshape(3, 4, 12, 16))
    assert np.array_equal(total["intensity"].data, truth().sum(0))


def test_corrections_hold_live_as_well(context):
    dark = np.full((12, 16), 3.0)
    with dectris() as told, open_dectris(context, told) as connection:
        acquisition = context.make_acquisition(conn=connection, nav_shape=(3, 4))
        live = context.run_udf(acquisition, SumUDF(), corrections=CorrectionSet(dark=dark))["intensity"].data
    offline = context.load("memory", data=truth().reshape(3, 4, 12, 16))
    recorded = context.run_udf(offline, SumUDF(), corrections=CorrectionSet(dark=dark))["intensity"].data
    assert np.allclose(live, truth().sum(0) - 36.0)
    assert np.array_equal(live, recorded)


def test_lost_frames_are_marked(context):
    with dectris(lose_ids=(5,)) as told, open_dectris(context, told) as connection:
        acquisition = context.make_acquisition(conn=connection, nav_shape=(3, 4))
        each = context.run_udf(acquisition, SumSigUDF())["intensity"]
    assert np.flatnonzero(~each.valid_mask).tolist() == [5]
    sums = truth().sum((1, 2))
    assert np.array_equal(each.masked_data.compressed(), np.delete(sums, 5))


def test_partial_results_and_async(context):
    data = context.load("memory", data=truth().reshape(3, 4, 12, 16))
    seen = list(context.run_udf_iter(data, [SumSigUDF(), SumUDF()]))
    assert seen[-1].damage.data.all()
    assert np.array_equal(seen[-1].buffers[1]["intensity"].data, truth().sum(0))

    async def watch():
        awaited = await context.run_udf(data, SumUDF(), sync=False)
        async for results in context.run_udf_iter(data, SumUDF(), sync=False):
            last = results
        return awaited, last

    awaited, last = asyncio.run(watch())
    assert np.array_equal(awaited["intensity"].data, last.buffers[0]["intensity"].data)


def test_cancel_keeps_what_came(context):
    with dectris(rate=40.0) as told, open_dectris(context, told) as connection:
        acquisition = context.make_acquisition(conn=connection, nav_shape=(3, 4))
        results = context.run_udf_iter(acquisition, SumSigUDF())
        first = next(results)
        results.close()
    covered = first.damage.data
    assert covered.any()
    sums = truth().sum((1, 2)).reshape(3, 4)
    assert np.array_equal(first.buffers[0]["intensity"].data[covered], sums[covered])
    assert threading.active_count() < 100


def test_a_region_and_map(context):
    data = context.load("memory", data=truth().reshape(3, 4, 12, 16))
    roi = np.zeros((3, 4), bool)
    roi[1, 2] = roi[2, 0] = True
    found = context.map(data, lambda frame: frame.max(), roi=roi)
    assert found.raw_data.tolist() == truth().reshape(3, 4, 12, 16)[roi].max((1, 2)).tolist()
