"""Frames are cut around the light, wherever it is."""

import numpy as np
import pytest

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan, Stream
from firstlight.core.errors import StepFailed
from firstlight.core.job import parse_job
from firstlight.runners.local import LocalRunner

SHAPE = (60, 80)


def disks(row, col, count, radius=5.0, strength=200.0):
    """Frames with an even disk of light, and some noise."""
    rows, cols = np.ogrid[: SHAPE[0], : SHAPE[1]]
    light = strength * (np.hypot(rows - row, cols - col) <= radius)
    return np.random.default_rng(1).poisson(light + 0.1, (count, *SHAPE)).astype(np.uint16)


def cropped(frames, order=None, pieces=(7,), **options):
    """All that comes out, by id, and the step."""
    step = registry.get("operators", "crop_bright")(**{"size": (20, 24), **options})
    sizes = {"position": len(frames), "row": SHAPE[0], "col": SHAPE[1]}
    state = step.open(Scan({MAIN: Stream(tuple(sizes), sizes, "uint16")}))
    order = np.arange(len(frames)) if order is None else order
    out = []
    for part in np.array_split(order, max(1, len(order) // pieces[0])):
        out += step.push(state, "frames", Chunk(frames[part], ("row", "col"), part))
        assert step.held_frames(state) < step.frames
    out += step.flush(state)
    return {int(n): (frame, chunk) for chunk in out for n, frame in zip(chunk.ids, chunk.data, strict=True)}


def boxes(found):
    return {(name, str(chunk.coords[name].tolist()[0])) for _, chunk in found.values() for name in chunk.coords}


@pytest.mark.parametrize(("row", "col", "corner"), [(30, 40, (20, 28)), (22, 55, (12, 43)), (4, 78, (0, 56))])
def test_the_window_lies_around_the_light_and_inside_the_frame(row, col, corner):
    frames = disks(row, col, 80)
    frames[:, 50, 10] = 65535  # a dead pixel is no light
    found = cropped(frames)
    assert sorted(found) == list(range(80)), "those that waited, too"
    top, left = corner
    for number, (frame, _) in found.items():
        np.testing.assert_array_equal(frame, frames[number, top : top + 20, left : left + 24])
    low = [max(0, row - 5), max(0, col - 5)]
    high = [min(SHAPE[0], row + 6), min(SHAPE[1], col + 6)]
    assert boxes(found) == {
        ("crop_box", str([[top, left], [top + 20, left + 24]])),
        ("spot_box", str([low, high])),
    }


def test_neither_order_nor_pieces_show():
    frames = disks(22, 55, 80)
    frames[64:] = disks(40, 20, 16, strength=5e4)  # what comes later has no say
    wanted = boxes(cropped(frames))
    order = np.concatenate([np.random.default_rng(2).permutation(64), np.arange(64, 80)])
    assert boxes(cropped(frames, order, pieces=(16,))) == wanted
    assert boxes(cropped(frames[:64], pieces=(64,))) == wanted


def test_light_elsewhere_and_none_at_all():
    frames = disks(15, 20, 70) + disks(45, 60, 70, radius=9)
    near = cropped(frames, rows=(-5, 30), columns=(0, 40))
    assert ("spot_box", "[[10, 15], [21, 26]]") in boxes(near)
    assert ("spot_box", "[[36, 51], [55, 70]]") in boxes(cropped(frames))
    dark = cropped(np.zeros((5, *SHAPE), np.uint16))
    assert boxes(dark) == {("crop_box", "[[20, 28], [40, 52]]")}, "the middle"


def test_gaps_pass_and_large_windows_are_refused():
    step = registry.get("operators", "crop_bright")(size=(20, 24))
    gap = Gap(0, 3, 4, "lost", "lost", MAIN)
    assert step.push(step.open(Scan({})), "frames", gap) == [gap]
    sizes = {"position": 1, "row": 10, "col": 80}
    with pytest.raises(StepFailed, match="larger than the frames"):
        step.after(Scan({MAIN: Stream(tuple(sizes), sizes, "uint16")}))


@pytest.mark.slow
def test_a_scan_whose_light_is_off_the_middle_is_reconstructed_as_if_it_were_not():
    """The phantom, and the same in larger frames, off their middle."""
    centred, moved = (solved(*front) for front in ((), ({"use": "pad", "rows": [20, 6], "columns": [3, 11], **DARK},)))
    np.testing.assert_array_equal(moved, centred)


DARK = {"method": "constant", "value": 0}


def solved(*front):
    """The object, from the middle 24 x 24 pixels of the light."""
    cut = {"use": "crop_bright", "size": [24, 24], "frames": 9}
    solve = {
        "use": "ptychography",
        "iterations": 3,
        "probe_defocus": 0.0,
        "inputs": ["crop_bright", "source.positions"],
    }
    source = {"use": "phantom_ptychography", "window": 32, "scan_y": 5, "scan_x": 5, "step": 4.0}
    job = parse_job({"source": source, "steps": [*front, cut, solve]})
    return LocalRunner().start(job).finished(60)["ptychography.object"].data
