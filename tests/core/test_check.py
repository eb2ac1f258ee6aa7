"""Checking: every mistake before the first frame, each with the next move."""

from typing import Any

import pytest

from firstlight.core.buffer import BufferSettings
from firstlight.core.check import check
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import JobError
from firstlight.core.job import Job, SinkSpec, ViewSpec
from firstlight.core.pipeline import Reference, pipeline
from firstlight.core.plan import Plan, block_length
from firstlight.testing.play import played
from firstlight.testing.steps import Adding, Collecting

SIZES = {"angle": 100, "row": 64, "col": 64}
FLAT = Stream(("frame", "row", "col"), {"frame": None, "row": 64, "col": 64}, "uint16")


def tomography(
    *, frames: int | None = 100, order: tuple[str, ...] = ("dark", "flat", "data"), flats: bool = True
) -> Scan:
    main = Stream(("angle", "row", "col"), {**SIZES, "angle": frames}, "uint16")
    streams = {MAIN: main, "dark": FLAT, "flat": FLAT} if flats else {MAIN: main, "dark": FLAT}
    return Scan(streams, order=order)


def plan(steps: list[Any], scan: Scan | None = None, **job: Any) -> Plan:
    live = job.pop("live", False)
    seen = scan or tomography()
    made = Job(played(seen, [], live=live), pipeline(steps), **{"collect": True, **job})
    return check(made, seen)


def problems(*args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(JobError) as caught:
        plan(*args, **kwargs)
    return caught.value.problems


FBP = [
    {"use": "flat_field"},
    {"use": "minus_log"},
    {"use": "find_center"},
    {"use": "fbp", "inputs": ["minus_log"], "center": {"from": "find_center"}},
]


def test_blocks_are_as_long_as_the_step_that_is_fastest_on_several_likes_them() -> None:
    """Wherever it stands in its stage: a step that removes stripes first made fbp reconstruct slices one by one."""
    wide = Scan({MAIN: Stream(("angle", "row", "col"), {"angle": 1500, "row": 64, "col": 2048}, "float32")})
    stripes, last = {"use": "remove_small_stripes", "size": 21}, {"use": "fbp", "center": 1023.5}
    lengths = [block_length(plan(steps, wide).cuts[0]) for steps in ([last], [stripes, last], [stripes])]
    assert lengths == [8, 8, 1]


def test_the_main_job() -> None:
    found = plan(FBP)
    assert [p.name for p in found.steps] == [
        "mean_of_dark",
        "mean_of_flat",
        "flat_field",
        "minus_log",
        "find_center",
        "fbp",
    ]
    volume = found["fbp"]
    assert volume.cut is not None
    assert volume.cut.along == "row"
    assert found.cuts == (volume.cut,)
    assert volume.outputs["data"].main.axes == ("z", "y", "x")
    assert volume.held_parameters == {"center": ("find_center", "center")}
    assert found["mean_of_flat"].by_set
    assert volume.cut.bytes == 100 * 64 * 64 * 4
    assert block_length(volume.cut) >= 1
    assert found.counts_source_frames("find_center")
    assert found.counts_source_frames("fbp")
    assert not found.counts_source_frames("result fbp.data")
    assert not found.counts_source_frames("mean_of_flat")
    assert found.counts_source_frames("sink source.data")
    text = "\n".join(found.describe())
    assert "gather minus_log.data" in text
    with pytest.raises(KeyError):
        found["ghost"]


def test_describe_names_sinks_and_views() -> None:
    sink = Collecting()
    found = plan(FBP, sinks=(SinkSpec(sink, Reference("fbp")),), views=(ViewSpec(Reference("minus_log")),))
    text = "\n".join(found.describe())
    assert "sink collecting: fbp.data" in text
    assert "view: minus_log.data" in text


def test_missing_flats_are_named() -> None:
    (text,) = problems(FBP, tomography(flats=False))
    assert "it needs 'flat'" in text
    assert "it has: data, dark" in text


def test_a_whole_axis_of_an_endless_scan_needs_a_window() -> None:
    (text,) = problems([{"use": "minus_log"}, {"use": "fbp"}], tomography(frames=None))
    assert "'angle' whole" in text
    assert "'window'" in text


def test_flats_that_come_after_the_projections_are_found() -> None:
    late = tomography(order=("dark", "data", "flat"))
    small = {"default": BufferSettings(memory=2**16)}
    (text,) = problems([{"use": "flat_field"}], late, buffers=small)
    assert "holds its frames until 'flat' comes" in text
    assert "before_first: pass" in text
    plan([{"use": "flat_field"}], late)
    plan([{"use": "flat_field", "before_first": "pass"}], late, buffers=small)
    (text,) = problems([{"use": "flat_field"}], tomography(frames=None, order=("dark", "data", "flat")), buffers=small)
    assert "an unknown number of bytes" in text


def test_unused_outputs_are_found() -> None:
    (text,) = problems([{"use": "minus_log"}], collect=False)
    assert "nothing uses what it gives" in text


def test_mistakes_that_follow_from_others_are_not_told_twice() -> None:
    found = problems(
        [
            {"use": "minus_log", "inputs": ["source.ghost"]},
            {"use": "crop", "inputs": ["minus_log"]},
            {"use": "bin", "inputs": ["later"]},
            {"use": "minus_log", "name": "later", "inputs": ["source.data"]},
            {"use": "fbp", "inputs": ["later.picture"]},
            {"use": "sum", "inputs": ["nowhere"]},
        ]
    )
    assert len(found) == 4
    assert "no stream 'ghost'" in found[0]
    assert "'later' is no step before it (it comes later; move it up)" in found[1]
    assert "no output 'picture'. It has: data" in found[2]
    assert "there are: later" in found[3]


def test_axes_that_are_gone_are_named() -> None:
    (text,) = problems([{"use": "sum"}, {"use": "fbp"}])
    assert "'fbp' needs axis 'angle'" in text


def test_folds_that_leave_axes_over_are_refused() -> None:
    sizes = {"time": 3, "angle": 10, "row": 4, "col": 4}
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    (text,) = problems([{"use": "find_center"}], scan)
    assert "the axes time would be left over" in text
    assert "Fold those axes before" in text


def test_a_fold_behind_a_sweep_is_refused_with_the_way_out() -> None:
    (text,) = problems([FBP[0], {"use": "minus_log", "floor": {"sweep": [1e-6, 1e-3]}}, {"use": "find_center"}])
    assert "minus_log takes several values: let 'find_center' work on a step before it" in text


def test_values_of_every_frame_can_not_be_a_parameter() -> None:
    (text,) = problems(
        [
            {"use": "virtual_detector"},
            {"use": "minus_log", "inputs": ["source.data"], "floor": {"from": "virtual_detector"}},
        ]
    )
    assert "gives something for every frame" in text


def test_a_value_for_each_row_fits_the_rows_at_hand() -> None:
    steps = [
        {"use": "minus_log"},
        {"use": "find_center_rows"},
        {"use": "crop", "inputs": ["minus_log"], "rows": [10, 30]},
        {"use": "fbp", "center": {"from": "find_center_rows"}},
    ]
    (text,) = problems(steps)
    assert "64 values along row, and the data have 20 here" in text
    plan([steps[0], steps[2] | {"inputs": ["minus_log"]}, steps[1], {**steps[3], "inputs": ["crop"]}])


def test_folds_that_can_not_adapt_take_no_value_from_others() -> None:
    (text,) = problems(
        [{"use": "find_center"}, {"use": "median", "inputs": ["source.data"], "frames": {"from": "find_center"}}]
    )
    assert "can not change its parameters" in text


def test_what_is_known_only_at_the_end_cuts_or_is_refused() -> None:
    steps = [{"use": "find_center"}, {"use": "minus_log", "inputs": ["source.data"], "floor": {"from": "find_center"}}]
    cut = plan(steps)["minus_log"].cut
    assert cut is not None
    assert cut.same_frames
    (text,) = problems(steps, tomography(frames=None))
    assert "emit: 1 s" in text
    emitting = [{**steps[0], "emit": "1 s"}, steps[1]]
    assert plan(emitting)["minus_log"].cut is not None
    live = plan(emitting, tomography(frames=None), live=True)
    assert live["minus_log"].cut is None
    assert live.waits_for_a_fold(live["minus_log"])
    assert not live.waits_for_a_fold(live["find_center"])
    (text,) = problems(
        [
            steps[0],
            {
                "use": "live_slices",
                "inputs": ["source.data"],
                "center": {"from": "find_center"},
                "before_first": "hold",
            },
        ]
    )
    assert "it folds while it waits" in text


def test_a_detector_must_not_be_made_to_wait() -> None:
    (text,) = problems([{"use": "minus_log"}], live=True, buffers={"default": BufferSettings(policy="wait")})
    assert "can not be paused" in text


def test_frames_can_not_pass_a_step_that_changes_their_shape() -> None:
    from firstlight.core import registry
    from firstlight.core.arrays import Array
    from firstlight.core.operator import operator

    @operator("row col, row col -> row")
    def project(frames: Array, flat: Array) -> Array:
        """Project."""
        return frames.sum(2)

    registry.add("operators", "project", project)
    try:
        (text,) = problems([{"use": "project", "before_first": "pass"}])
    finally:
        registry.remove("operators", "project")
    assert "can not pass without flat" in text


def test_held_images_must_be_images() -> None:
    scan = tomography()
    line = Stream(("frame", "col"), {"frame": None, "col": 64}, "uint16")
    (text,) = problems([{"use": "flat_field"}], Scan({**scan.streams, "flat": line}, order=scan.order))
    assert "'source.flat' has the axes frame col. Expected frames of row col" in text


def test_folds_with_several_arguments_are_joined() -> None:
    from firstlight.core import registry

    class Two(Adding):
        """Fold of frames and positions."""

        use = "two"  # type: ignore[misc]
        signature = "[angle] row col, [angle] xy -> image: row col, count: "  # type: ignore[assignment]
        arguments = ("frames", "positions")  # type: ignore[misc]

    registry.add("operators", "two", Two)
    try:
        scan = tomography()
        positions = Stream(("angle", "xy"), {"angle": 100, "xy": 2}, "float32")
        found = plan([{"use": "two"}], Scan({**scan.streams, "positions": positions}))
    finally:
        registry.remove("operators", "two")
    assert [p.name for p in found.steps] == ["join_positions_to_two", "two"]
    assert found.counts_source_frames("two")


def test_views_of_a_step_show_every_output() -> None:
    found = plan([{"use": "live_slices"}], views=(ViewSpec(Reference("live_slices")), ViewSpec(Reference("source"))))
    assert [o.port for o in found.views] == [("live_slices", n) for n in ("xy", "xz", "yz")] + [("source", "data")]
    (text,) = problems([{"use": "live_slices"}], views=(ViewSpec(Reference("ghost")),))
    assert text.startswith("view of 'ghost'")


def test_the_plan_names_the_workspace_of_a_step() -> None:
    lines = plan([{"use": "flat_field"}, {"use": "minus_log"}, {"use": "fbp"}]).describe()
    (volume,) = [line for line in lines if line.startswith("  fbp ")]
    (log,) = [line for line in lines if line.startswith("  minus_log ")]
    assert "workspace" in volume
    assert "workspace" not in log
