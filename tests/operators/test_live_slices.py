from dataclasses import replace

import numpy as np
import pytest

from firstlight.core.chunk import Chunk
from firstlight.core.errors import AxesError, ChangeRefused, FirstlightError
from firstlight.kernels.angles import angular_weights
from firstlight.operators.tomography.fbp import fbp
from firstlight.operators.tomography.live_slices import LiveSlices

from .scenes import chunks_of, circle, fold_all, projections, read_tooth, relative_rms, scan_of
from .turning import CENTER, PLANES, ROWS, SIZE, assert_equals_direct, endless, finish, head, live

__all__ = ["head"]


@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("window", ["hann", "ram-lak", "parzen"])
def test_equals_the_direct_back_projector(head, precision, window):
    data, theta = head
    fold = live(precision=precision, filter=window)
    state = fold_all(fold, scan_of(data), chunks_of(data, theta, size=7))
    assert_equals_direct(fold.result(state), data, theta, fold)
    assert fold.coverage(state) == 1


def test_equals_filtered_back_projection():
    size, theta = 256, np.arange(360) * 0.5
    data, _ = projections(size, 2, theta, 126.1)
    fold = LiveSlices(center=126.1, filter="hann", z=1.0)
    picture = fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta)))["xy"]
    expected = fbp(data[:, 1][None], angle=theta, center=126.1, filter="hann")[0]
    inside = circle(size)
    assert relative_rms(picture, expected, inside) < 0.03
    assert np.corrcoef(picture[inside], expected[inside])[0, 1] > 0.999


def test_pixel_size_gives_attenuation_per_centimetre(head):
    data, theta = head
    plain, fold = live(), live().calibrated(scan_of(data, pixel=2.0))
    assert (plain.unit(scan_of(data)), fold.unit(scan_of(data))) == ("1/px", "1/cm")
    one, other = (each.result(fold_all(each, scan_of(data), chunks_of(data, theta))) for each in (plain, fold))
    np.testing.assert_allclose(other["xz"], one["xz"] / 2e-4, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_order_and_split_do_not_matter(head, seed):
    data, theta = head
    fold, rng = live(), np.random.default_rng(seed)
    there = fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta, size=240)))
    order = rng.permutation(240)
    again = fold.result(
        fold_all(fold, scan_of(data), chunks_of(data, theta, keep=order, size=int(rng.integers(1, 30))))
    )
    for name in PLANES:
        assert relative_rms(again[name], there[name]) < 1e-5


@pytest.mark.parametrize("wrap", [None, 360.0])
@pytest.mark.parametrize(("start", "step"), [(0.0, 0.75), (133.0, 0.75), (300.0, -0.75), (10.0, 0.7)])
def test_only_the_last_half_turn_counts_however_long_it_turns(start, step, wrap):
    theta = start + step * np.arange(800)
    data, _ = projections(SIZE, ROWS, theta, CENTER)
    shown = theta if wrap is None else theta % wrap
    # the first part shows another sample, of which nothing may be left
    data[:400] = data[:400, ::-1] * 3
    fold = live()
    state = fold_all(fold, endless(), chunks_of(data, shown, size=9))
    last = int(np.ceil(180 / abs(step) - 1e-3))
    assert_equals_direct(fold.result(state), data[-last:], theta[-last:], fold)


def test_the_plane_follows_while_it_turns():
    theta = np.arange(480) * 0.75
    data, _ = projections(SIZE, ROWS, theta, CENTER)
    data[240:] *= 2
    fold = live()
    state = fold_all(fold, endless(), chunks_of(data, theta, keep=range(240)))
    for stop in (300, 360, 420, 480):
        fold_all(fold, endless(), chunks_of(data, theta, keep=range(stop - 60, stop)), state)
        window = slice(stop - 240, stop)
        assert_equals_direct(fold.result(state), data[window], theta[window], fold)
        assert fold.coverage(state) == 1


def test_a_full_turn_sees_a_sample_wider_than_the_detector():
    theta = np.arange(300) * 1.2
    data, _ = projections(SIZE, ROWS, theta, CENTER)
    fold = live(span=360)
    state = fold_all(fold, endless(), chunks_of(data, theta))
    assert state.ring.length == 300
    assert_equals_direct(fold.result(state), data, theta, fold)


def test_angles_that_are_not_equally_spaced():
    rng = np.random.default_rng(1)
    theta = np.sort(np.arange(240) * 0.75 + rng.uniform(-0.3, 0.3, 240))
    data, _ = projections(SIZE, ROWS, theta, CENTER)
    fold = live(projections=240)
    assert_equals_direct(fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta))), data, theta, fold)


def test_golden_angle():
    theta = np.mod(np.arange(233) * 111.246117975, 360.0)
    data, _ = projections(SIZE, ROWS, theta, CENTER)
    fold = live(projections=233)
    assert_equals_direct(fold.result(fold_all(fold, endless(), chunks_of(data, theta))), data, theta, fold)
    with pytest.raises(FirstlightError, match="projections"):
        fold_all(live(), endless(), chunks_of(data, theta))
    known = replace(scan_of(data), coords={"angle": theta})
    assert_equals_direct(live().result(fold_all(live(), known, chunks_of(data, theta))), data, theta, fold)


def test_angles_known_beforehand(head):
    data, theta = head
    known = replace(endless(), coords={"angle": np.arange(1000) * 0.75})
    fold = live()
    state = fold_all(fold, known, chunks_of(data, theta, size=1))
    assert state.ring.length == 240
    assert_equals_direct(fold.result(state), data, theta, fold)
    with pytest.raises(FirstlightError, match="radian"):
        fold.empty(replace(scan_of(data), coords={"angle": np.deg2rad(theta)}))


def test_lost_frames_leave_no_artefact(head):
    data, theta = head
    rng = np.random.default_rng(2)
    keep = np.delete(np.arange(240), rng.choice(240, 3, replace=False))
    fold = live()
    whole = fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta)))
    state = fold_all(fold, scan_of(data), chunks_of(data, theta, keep=keep))
    lost = fold.result(state)
    assert abs(fold.coverage(state) - 237 / 240) < 0.01
    np.testing.assert_allclose(state.ring.weight.sum(), np.pi)
    for name in PLANES:
        assert relative_rms(lost[name], whole[name]) < 0.03
    assert_equals_direct(lost, data[keep], theta[keep], fold)


def test_a_lost_frame_of_the_next_turn_leaves_nothing_stale():
    theta = np.arange(480) * 0.75
    data, _ = projections(SIZE, ROWS, theta, CENTER)
    data[:240] *= 5
    keep = np.delete(np.arange(480), [300, 301, 410])
    fold = live()
    state = fold_all(fold, endless(), chunks_of(data, theta, keep=keep))
    mine = keep[keep >= 240]
    assert_equals_direct(fold.result(state), data[mine], theta[mine], fold)


def test_a_turn_that_has_only_begun_has_the_right_grey_values(head):
    data, theta = head
    fold = live()
    state = fold_all(fold, scan_of(data), chunks_of(data, theta, keep=range(200)))
    whole = fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta)))["xy"]
    begun = fold.result(state)["xy"]
    middle = circle(SIZE, 0.2)
    assert abs(begun[middle].mean() / whole[middle].mean() - 1) < 0.2
    share = angular_weights(theta[:200])
    assert_equals_direct(
        {n: p * (share.sum() / np.pi) for n, p in fold.result(state).items()}, data[:200], theta[:200], fold
    )


def test_a_restarted_detector_begins_anew(head):
    data, theta = head
    fold = live()
    state = fold_all(fold, scan_of(data), chunks_of(3 * data, theta))
    fold_all(fold, scan_of(data), chunks_of(data, theta, epoch=1, size=11), state)
    fold_all(fold, scan_of(data), chunks_of(7 * data, theta, epoch=0), state)  # stragglers of the old epoch
    assert_equals_direct(fold.result(state), data, theta, fold)


def test_frames_that_come_twice_count_once(head):
    data, theta = head
    fold = live()
    keep = np.concatenate([np.arange(240), np.arange(50, 90)])
    state = fold_all(fold, scan_of(data), chunks_of(data, theta, keep=keep))
    assert_equals_direct(fold.result(state), data, theta, fold)


def test_a_first_chunk_of_one_frame(head):
    data, theta = head
    fold = live()
    state = fold.empty(endless())
    assert not fold.ready(state)
    fold_all(fold, endless(), chunks_of(data, theta, size=1), state)
    assert_equals_direct(fold.result(state), data, theta, fold)


def test_pixels_that_are_no_numbers_stay_where_they_are(head):
    data, theta = head[0].copy(), head[1]
    data[5, 3, 40], data[6, 4, 41] = np.nan, np.inf
    fold = live()
    found = fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta)))
    assert all(np.isfinite(picture).all() for picture in found.values())
    clean = np.nan_to_num(data, posinf=0.0)
    assert_equals_direct(found, clean, theta, fold)


def test_result_never_aliases_state(head):
    data, theta = head
    fold = live()
    state = fold_all(fold, scan_of(data), chunks_of(data, theta))
    first = fold.result(state)
    kept = {name: picture.copy() for name, picture in first.items()}
    for picture in first.values():
        picture[:] = np.nan
    for name, picture in fold.result(state).items():
        np.testing.assert_array_equal(picture, kept[name])
    moved = live(z=2.0)
    state = moved.adapt(state, fold)
    coarse = moved.result(state)
    coarse["xy"][:] = np.nan
    assert np.isfinite(moved.result(state)["xy"]).all()


def test_rounding_never_shows(head, monkeypatch):
    data, theta = head
    monkeypatch.setattr("firstlight.operators.tomography.live_slices.REFRESH", 2)
    fold = live(precision="float32")
    scan = endless()
    state = fold.empty(scan)
    offset = 10_000 * np.ones_like(data)  # large values come and go: what they leave behind is rounding
    for turn in range(8):
        part = data + (offset if turn == 3 else 0)
        chunks = chunks_of(part, theta + 180.0 * turn, ids=np.arange(240) + 240 * turn)
        if turn % 2:
            mirrored, _ = projections(SIZE, ROWS, theta + 180.0, CENTER)
            chunks = chunks_of(
                mirrored + (offset if turn == 3 else 0), theta + 180.0 * turn, ids=np.arange(240) + 240 * turn
            )
        fold_all(fold, scan, chunks, state)
    mirrored, _ = projections(SIZE, ROWS, theta + 180.0, CENTER)
    assert_equals_direct(finish(fold, state), mirrored, theta + 180.0, fold)


def test_with_little_memory_every_third_projection_is_used(head):
    data, theta = head
    wide = np.repeat(data, 10, axis=1)
    fold = live(memory=float(2**20 * 4), z=40.0)
    state = fold_all(fold, scan_of(wide), chunks_of(wide, theta))
    thin = state.ring.thin
    assert thin > 1
    assert state.ring.cache.nbytes <= 2**20 * 4
    assert_equals_direct(fold.result(state), wide[::thin], theta[::thin], fold)
    assert fold.coverage(state) == 1


def test_saved_state_goes_on(head):
    data, theta = head
    fold = live()
    scan = scan_of(data)
    saved = fold.save(fold_all(fold, scan, chunks_of(data, theta, keep=range(150))))
    state = fold_all(fold, scan, chunks_of(data, theta, keep=range(150, 240)), fold.load(saved, scan))
    assert_equals_direct(fold.result(state), data, theta, fold)
    other = live(filter="ram-lak")
    state = fold_all(other, scan, chunks_of(data, theta, keep=range(150, 240)), other.load(saved, scan))
    assert_equals_direct(other.result(state), data, theta, other)
    with pytest.raises(ChangeRefused, match="filter"):
        other.load({name: value for name, value in saved.items() if name != "raw"}, scan)
    empty = fold.load(fold.save(fold.empty(scan)), scan)
    assert not fold.ready(empty)
    assert not fold.result(empty)["xy"].any()


def test_adjacent_parts_merge(head):
    data, theta = head
    fold, scan = live(), scan_of(data)
    parts = [fold_all(fold, scan, chunks_of(data, theta, keep=range(*ends))) for ends in ((0, 99), (99, 240))]
    assert_equals_direct(fold.result(fold.merge(*parts)), data, theta, fold)


def test_the_step_tells_its_outputs(head):
    data, _ = head
    streams = live().after(scan_of(data))
    shapes = {name: tuple(stream.sizes[label] for label in stream.axes) for name, stream in streams.items()}
    assert shapes == {"xy": (SIZE, SIZE), "xz": (ROWS, SIZE), "yz": (ROWS, SIZE)}
    assert {stream.arrival for stream in streams.values()} == {0}
    assert live().workspace(scan_of(data), 10) <= live().memory


def test_center_unknown_yet_is_the_middle(head):
    data, theta = head
    one, other = live(center=float("nan")), live(center=(SIZE - 1) / 2)
    found = [fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta)))["xy"] for fold in (one, other)]
    np.testing.assert_array_equal(*found)


def test_mistakes_are_named(head):
    data, theta = head
    with pytest.raises(AxesError, match="z = 99"):
        live(z=99.0).empty(scan_of(data))
    fold = live()
    state = fold_all(fold, scan_of(data), chunks_of(data, theta))
    with pytest.raises(AxesError, match="x = 4000"):
        live(x=4000.0).adapt(state, fold)
    with pytest.raises(ChangeRefused, match="precision"):
        live(precision="float32").adapt(state, fold)
    with pytest.raises(FirstlightError, match="angle"):
        fold_all(live(), endless(), chunks_of(data))
    still = [Chunk(data[:5], ("row", "col"), np.arange(5), coords={"angle": np.zeros(5)})]
    with pytest.raises(FirstlightError, match="does not change"):
        fold_all(live(), endless(), still)


def test_tooth_live_is_the_tooth_offline(tooth):
    attenuation, theta = read_tooth(tooth)
    fold = LiveSlices(center=296.0, filter="hann", z=0.0)
    picture = fold.result(fold_all(fold, scan_of(attenuation), chunks_of(attenuation, theta)))["xy"]
    expected = fbp(attenuation[:, :1].transpose(1, 0, 2), angle=theta, center=296.0, filter="hann")[0]
    inside = circle(640)
    assert relative_rms(picture, expected, inside) < 0.03
    assert np.corrcoef(picture[inside], expected[inside])[0, 1] > 0.999
