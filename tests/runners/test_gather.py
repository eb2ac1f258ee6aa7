"""Regrouping: the same in memory and on disk, measured data alone, places kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstlight.core.chunk import MAIN, Chunk, Gap, Stream
from firstlight.core.plan import Cut
from firstlight.runners.assemble import Assembled
from firstlight.runners.gather import Gathered, surplus_of
from firstlight.runners.placed import PlacedLog
from firstlight.runners.positions import expanded, position_name
from firstlight.testing.play import cut, recut

FRAMES = np.random.default_rng(0).random((12, 5, 7), np.float32)
ANGLES = np.arange(12) * 15.0
STREAM = Stream(("angle", "row", "col"), {"angle": 12, "row": 5, "col": 7}, "float32", first=100)


def gathered(along: str | None, memory: float, keep: list[int] | None = None, stream: Stream = STREAM) -> list[Any]:
    kept = np.arange(12) if keep is None else np.array(keep)
    held = Gathered(Cut(("a", "b"), stream, along), memory)
    assert held.on_disk == (memory == 0)
    for chunk in recut(cut(FRAMES[kept], ids=kept + 100, coords={"angle": ANGLES[kept]}), 5, seed=1):
        assert held.place(chunk) == len(chunk)
    for place in sorted(set(range(12)) - set(kept.tolist())):
        held.miss(Gap(0, place + 100, place + 100, "never came"))
    blocks = list(held.blocks())
    held.close()
    return blocks


def joined(blocks: list[Any]) -> tuple[Any, Any]:
    chunks = [block for block in blocks if isinstance(block, Chunk)]
    return np.concatenate([c.data for c in chunks]), np.concatenate([c.ids for c in chunks])


@pytest.mark.parametrize("memory", [0, 1e9])
def test_sinograms(memory: float) -> None:
    keep = [0, 1, 3, 4, 5, 6, 7, 9, 10, 11]
    blocks = gathered("row", memory, keep)
    data, ids = joined(blocks)
    np.testing.assert_array_equal(data, FRAMES[keep].transpose(1, 0, 2))
    assert ids.tolist() == list(range(5))
    first = blocks[0]
    np.testing.assert_array_equal(first.coords["angle"][0], ANGLES[keep])
    assert first.coords["row"].tolist() == first.ids.tolist()
    assert first.coords[position_name("angle")][0].tolist() == keep
    whole = expanded(first, Stream(("row", "angle", "col"), {"row": 5, "angle": 12, "col": 7}, "float32"))
    assert whole.data.shape[1] == 12
    assert np.isnan(whole.data[:, [2, 8]]).all()
    np.testing.assert_array_equal(whole.data[:, keep], first.data)


@pytest.mark.parametrize("memory", [0, 1e9])
def test_there_and_back_with_lost_frames(memory: float) -> None:
    keep = [0, 2, 3, 5, 6, 7, 8, 9, 10]
    back = Gathered(
        Cut(("a", "b"), Stream(("row", "angle", "col"), {"row": 5, "angle": 12, "col": 7}, "float32"), "angle"), memory
    )
    for block in gathered("row", memory, keep):
        back.place(block)
    blocks = list(back.blocks())
    back.close()
    data, ids = joined(blocks)
    np.testing.assert_array_equal(data, FRAMES[keep])
    assert ids.tolist() == keep
    assert [gap.first for gap in blocks if isinstance(gap, Gap)] == [1, 4, 11]
    angles = np.concatenate([block.coords["angle"] for block in blocks if isinstance(block, Chunk)])
    np.testing.assert_array_equal(angles, ANGLES[keep])


@pytest.mark.parametrize("memory", [0, 1e9])
def test_the_same_frames_again_in_order_with_their_gaps(memory: float) -> None:
    blocks = gathered("angle", memory, [0, 1, 2, 7, 8])
    data, ids = joined(blocks)
    np.testing.assert_array_equal(data, FRAMES[[0, 1, 2, 7, 8]])
    assert ids.tolist() == [100, 101, 102, 107, 108]
    assert sum(len(gap) for gap in blocks if isinstance(gap, Gap)) == 7


def test_one_block() -> None:
    (block,) = gathered(None, 1e9)
    np.testing.assert_array_equal(block.data[0], FRAMES)
    assert block.axes == ("angle", "row", "col")


@pytest.mark.parametrize("along", ["row", "scan_y", None])
def test_grids_keep_places(along: str | None) -> None:
    stream = Stream(
        ("scan_y", "scan_x", "row", "col"),
        {"scan_y": 3, "scan_x": 4, "row": 5, "col": 7},
        "float32",
        arrival=2,
        first=100,
    )
    keep = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11] if along != "row" else None
    blocks = gathered(along, 1e9, keep, stream)
    grid = FRAMES.reshape(3, 4, 5, 7).copy()
    if keep:
        grid[0, 3] = 0
    if along is None:
        np.testing.assert_array_equal(blocks[0].data[0], grid)
    else:
        data, _ = joined(blocks)
        np.testing.assert_array_equal(data, np.moveaxis(grid, stream.axes.index(along), 0))


def test_nothing_came_is_a_gap() -> None:
    held = Gathered(Cut(("a", "b"), STREAM, "row"), 1e9)
    (gap,) = held.blocks()
    assert (gap.first, gap.last) == (0, 4)


def test_there_is_no_room_for_more_than_was_announced() -> None:
    held = Gathered(Cut(("a", "b"), STREAM, "row"), 1e9)
    first = cut(FRAMES, size=12)[0]
    assert held.place(first) == 12
    second = cut(FRAMES[:2], size=2, epoch=1)[0]
    assert held.place(second) == 0
    assert [(gap.epoch, gap.kind) for gap in surplus_of(second)] == [(1, "rejected")]


def test_epochs_come_one_after_the_other() -> None:
    held = Gathered(Cut(("a", "b"), STREAM, "angle"), 1e9)
    for chunk in (*cut(FRAMES[6:], epoch=1), *cut(FRAMES[:6])):
        held.place(chunk)
    blocks = [block for block in held.blocks() if isinstance(block, Chunk)]
    assert [block.epoch for block in blocks] == [0, 1]
    np.testing.assert_array_equal(joined(blocks)[0], FRAMES)


def test_assembled_places_by_id_and_grows() -> None:
    endless = Stream(("angle", "row", "col"), {"angle": None, "row": 5, "col": 7}, "float32", first=3)
    assembled = Assembled(endless)
    for chunk in (*cut(FRAMES[4:8], ids=np.arange(7, 11)), *cut(FRAMES[:2], ids=[3, 4]), *cut(FRAMES[:1], ids=[0])):
        assembled.place(chunk)
    assembled.place(cut(FRAMES[:4], size=4)[0].take(slice(0, 0)))
    result = assembled.result()
    assert result.covered is not None
    assert result.covered.tolist() == [True, True, False, False, True, True, True, True]
    np.testing.assert_array_equal(result.data[4:], FRAMES[4:8])
    assembled.place(cut(FRAMES[:3], epoch=1, size=3)[0])
    np.testing.assert_array_equal(assembled.result().data[8:], FRAMES[:3])
    assert assembled.newest == (1, 2)
    assert 0 < assembled.coverage <= 1
    assert Assembled(endless).coverage == 0.0


def test_one_array_is_no_stream() -> None:
    image = Assembled(Stream(("row", "col"), {"row": 5, "col": 7}, "float32", arrival=0))
    image.place(Chunk(FRAMES[:1], ("row", "col"), np.array([17]), stream=MAIN))
    np.testing.assert_array_equal(image.result().data, FRAMES[0])


def test_a_chunk_that_lies_in_two_holes_of_a_scratch_file_is_noted_whole_or_not_at_all(tmp_path: Path) -> None:
    """Noted in parts, and cut off between them, it would be placed a second time, and its frames counted twice."""
    where = tmp_path / "placed"

    def opened() -> Gathered:
        log = PlacedLog(where, tmp_path / "scratch", fresh=False)
        made = Gathered(Cut(("a", "b"), STREAM, "row"), 0.0, log.scratch)
        made.restore(log)
        return made

    def frames(*places: int) -> Chunk:
        ids = np.array(places)
        return Chunk(FRAMES[ids], ("row", "col"), ids + 100, coords={"angle": ANGLES[ids]})

    begun, outer = opened(), frames(0, 1, 2, 3, 8, 9, 10, 11)
    for first in (0, 4, 8):
        begun.place(frames(*range(first, first + 4)))
    begun.close()
    where.write_bytes(where.read_bytes().splitlines(keepends=True)[1])  # threads note in any order
    known = where.stat().st_size
    begun = opened()
    begun.place(outer)
    begun.close()
    noted = where.read_bytes()
    for end in (known, *range(known + 1, len(noted), 9), len(noted) - 1, len(noted)):
        where.write_bytes(noted[:end])  # killed while it was noted
        again = opened()
        if again.log is not None and not again.log.has(0, outer.ids):
            assert again.place(outer) == 8
        np.testing.assert_array_equal(joined(list(again.blocks()))[0], FRAMES.transpose(1, 0, 2))
        again.close()
        assert where.read_bytes() == noted
