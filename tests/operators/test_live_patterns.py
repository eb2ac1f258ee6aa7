import numpy as np
import pytest

from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.core.errors import ChangeRefused, FirstlightError
from firstlight.operators.stem.live_patterns import LivePatterns
from firstlight.operators.stem.pattern_store import PatternStore, binned, kept_type
from firstlight.operators.stem.virtual_detector import virtual_detector

FRAMES = np.random.default_rng(3).integers(0, 65536, (4, 6, 22, 21), dtype=np.uint16)
FLAT = FRAMES.reshape(-1, 22, 21)
AXES = ("scan_y", "scan_x", "row", "col")


def scan_of(frames):
    sizes = dict(zip(AXES, frames.shape, strict=True))
    return Scan({"data": Stream(AXES, sizes, frames.dtype.name, arrival=2)})


def seen_of(step, ids=range(24), size=5, frames=FRAMES):
    scan, flat = scan_of(frames), frames.reshape(-1, 22, 21)
    step = step.calibrated(scan)
    state = step.empty(scan)
    order = np.array(ids)
    for start in range(0, len(order), size):
        part = order[start : start + size]
        step.add(state, step.digest(Chunk(flat[part], ("row", "col"), part)))
    return step, state


def moved(step, state, **values):
    other = step.model_copy(update=values)
    return other, other.adapt(state, step)


def test_the_image_is_that_of_a_virtual_detector_also_after_it_was_moved():
    step, state = seen_of(LivePatterns(outer=4.0), ids=np.random.default_rng(1).permutation(24))
    expected = virtual_detector(FLAT, outer=4.0).reshape(4, 6)
    np.testing.assert_array_equal(step.result(state)["image"], expected)
    ring = {"shape": "annulus", "center": (9.0, 12.5), "inner": 3.0, "outer": 8.0}
    step, state = moved(step, state, **ring)
    np.testing.assert_array_equal(step.result(state)["image"], virtual_detector(FLAT, **ring).reshape(4, 6))
    np.testing.assert_allclose(step.result(state)["mean"], FLAT.mean(axis=0))


def test_points_to_come_are_nan_and_get_the_detector_of_now():
    step, state = seen_of(LivePatterns(), ids=range(10))
    step, state = moved(step, state, outer=7.0)
    late = Chunk(FLAT[10:12], ("row", "col"), np.arange(10, 12))
    step.add(state, step.digest(late))
    image = step.result(state)["image"].ravel()
    np.testing.assert_array_equal(image[:12], virtual_detector(FLAT[:12], outer=7.0))
    assert np.isnan(image[12:]).all()
    assert step.coverage(state) == 0.5


def test_the_pattern_is_that_of_the_point_or_the_newest():
    step, state = seen_of(LivePatterns(), ids=range(20))
    np.testing.assert_array_equal(step.result(state)["pattern"], FLAT[19])
    step, state = moved(step, state, scan_y=1, scan_x=2)
    np.testing.assert_array_equal(step.result(state)["pattern"], FLAT[8])
    step, state = moved(step, state, scan_y=3, scan_x=5)
    assert np.isnan(step.result(state)["pattern"]).all()
    with pytest.raises(FirstlightError, match="outside the scan"):
        moved(step, state, scan_y=4)
    with pytest.raises(ChangeRefused, match="how patterns are kept"):
        moved(step, state, binning=4)


@pytest.mark.parametrize("binning", [2, 4])
def test_binned_patterns_keep_every_count_and_weigh_edges_by_area(binning):
    step, state = seen_of(LivePatterns(binning=binning, outer=100.0))
    totals = FLAT.sum(axis=(1, 2)).reshape(4, 6)
    np.testing.assert_allclose(step.result(state)["image"], totals, rtol=1e-12)
    step, state = moved(step, state, scan_y=2, scan_x=3)
    pattern = step.result(state)["pattern"]
    assert pattern.shape == (22, 21)
    np.testing.assert_allclose(pattern.sum(), FLAT[15].sum())
    np.testing.assert_allclose(pattern[:binning, :binning], FLAT[15][:binning, :binning].mean())
    step, state = moved(step, state, outer=6.0)
    exact = virtual_detector(FLAT, outer=6.0).reshape(4, 6)
    np.testing.assert_allclose(step.result(state)["image"], exact, rtol=0.1)


def test_what_does_not_fit_is_binned_and_then_the_newest_are_held():
    scan = scan_of(FRAMES)
    assert LivePatterns(memory=2**20).calibrated(scan).binning == 1
    wide = np.zeros((40, 40, 32, 32), np.uint16)
    assert LivePatterns(memory=2**20).calibrated(scan_of(wide)).binning == 4
    store = PatternStore.empty(24, (22, 21), "uint16", 1, memory=10 * 22 * 21 * 2)
    for ids in ([3, 1, 2], [9, 13], [11], [0, 23]):
        store.take(np.array(ids), FLAT[ids])
    points, patterns = store.held()
    assert sorted(points) == [0, 2, 9, 11, 23]
    np.testing.assert_array_equal(patterns[list(points).index(23)], FLAT[23])
    assert np.isnan(store.pattern(13)).all(), "13 had to make room for 23"


def test_a_detector_that_began_anew_begins_anew():
    step, state = seen_of(LivePatterns())
    step.add(state, step.digest(Chunk(FLAT[:2], ("row", "col"), np.arange(2), 1)))
    assert step.coverage(state) == pytest.approx(2 / 24)
    np.testing.assert_allclose(step.result(state)["mean"], FLAT[:2].mean(axis=0))
    assert np.isnan(step.result(state)["image"].ravel()[2:]).all()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint32", "float16", "float64"])
def test_sums_of_blocks_never_wrap(dtype):
    largest = True if dtype == "bool" else np.iinfo(dtype).max if dtype[0] in "ui" else 1000
    frames = np.full((1, 8, 8), largest, dtype)
    for binning in (1, 4):
        found = binned(frames, binning)
        assert found.dtype == kept_type(dtype, binning)
        np.testing.assert_array_equal(found.astype(float), float(largest) * binning**2)


def test_a_recorded_scan_is_read_again_for_what_binning_can_not_show():
    reads = []

    def read(where):
        reads.append(where)
        return FRAMES[tuple(where.get(label, slice(None)) for label in ("scan_y", "scan_x"))]

    step, state = seen_of(LivePatterns(binning=4, memory=2**20), ids=range(20))
    step.may_read(state, read)
    ring = {"shape": "annulus", "center": (9.0, 12.5), "inner": 3.3, "outer": 7.1}
    exact = virtual_detector(FLAT[:20], **ring)
    step, state = moved(step, state, scan_y=1, scan_x=2, **ring)
    assert not np.array_equal(step.result(state)["image"].ravel()[:20], exact), "blocks that the ring cuts"
    assert not step.refine(state), "nobody asked"
    step, state = moved(step, state, exact=True)
    while step.refine(state):
        pass
    assert reads, "frames were read again"
    image = step.result(state)["image"].ravel()
    np.testing.assert_array_equal(image[:20], exact)
    assert np.isnan(image[20:]).all(), "points that have not come are not looked up"
    np.testing.assert_array_equal(step.result(state)["pattern"], FLAT[8])
    late = step.digest(Chunk(FLAT[20:], ("row", "col"), np.arange(20, 24)))
    step.add(state, late)
    np.testing.assert_array_equal(step.result(state)["image"].ravel(), virtual_detector(FLAT, **ring))
    step, state = moved(step, state, exact=False)
    kept, whole = seen_of(LivePatterns(binning=4, memory=2**20, **ring))
    np.testing.assert_array_equal(step.result(state)["image"], kept.result(whole)["image"])


def test_what_can_not_be_read_again_is_refused():
    step, state = seen_of(LivePatterns(binning=2))
    with pytest.raises(ChangeRefused, match="can not be read again"):
        moved(step, state, exact=True)
    with pytest.raises(FirstlightError, match="can not be read again"):
        LivePatterns(binning=2, exact=True).may_read(state, None)
    LivePatterns(binning=1, exact=True).may_read(state, None)


@pytest.mark.parametrize(("dtype", "binning"), [("uint16", 1), ("uint16", 3), ("int32", 2), ("float32", 1)])
def test_a_detector_that_is_dragged_far_shows_what_one_that_began_there_shows(dtype, binning):
    frames = FRAMES.astype(dtype)
    step, state = seen_of(LivePatterns(binning=binning, outer=4.0), frames=frames)
    where = {}
    for k in range(1, 12):
        where = {"center": (7.0 + 0.7 * k, 13.0 - 0.6 * k), "outer": 3.0 + 0.4 * k}
        step, state = moved(step, state, **where)
    fresh, anew = seen_of(LivePatterns(binning=binning, **where), frames=frames)
    compare = np.testing.assert_array_equal if binning == 1 and dtype != "float32" else np.testing.assert_allclose
    compare(step.result(state)["image"], fresh.result(anew)["image"])
