"""Chunks, gaps, streams and scans."""

import numpy as np
import pytest

from firstlight.core.arrays import as_ids, bring_last
from firstlight.core.chunk import Chunk, Gap, Scan, Stream
from firstlight.core.errors import AxesError, UnknownName
from firstlight.core.units import Quantity


def chunk(n: int = 4) -> Chunk:
    data = np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3)
    return Chunk(data, ("row", "col"), np.arange(n), coords={"angle": np.arange(n) * 10.0}, where={"row": slice(0, 2)})


def test_frames_can_be_taken_and_replaced() -> None:
    whole = chunk()
    part = whole.take([1, 3])
    assert (len(part), part.ids.tolist(), part.coords["angle"].tolist()) == (2, [1, 3], [10.0, 30.0])
    assert np.shares_memory(whole.take(slice(1, 3)).data, whole.data)
    line = whole.with_data(whole.data.sum(1), ("col",))
    assert line.where == {}
    assert whole.nbytes == 4 * 6 * 4


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"axes": ("row",)}, "one label per frame axis"),
        ({"ids": np.arange(3)}, "one id per frame"),
        ({"coords": {"angle": np.zeros(3)}}, "one value per frame"),
    ],
)
def test_what_does_not_fit_is_refused(parts: dict[str, object], word: str) -> None:
    given = {"data": np.zeros((4, 2, 3)), "axes": ("row", "col"), "ids": np.arange(4)} | parts
    with pytest.raises(AxesError, match=word):
        Chunk(**given)  # type: ignore[arg-type]


def test_gaps_count_both_ends() -> None:
    assert len(Gap(0, 3, 5, "never came")) == 3


def test_a_stream_knows_its_sizes() -> None:
    stream = Stream(("scan_y", "scan_x", "row"), {"scan_y": 3, "scan_x": 4, "row": 5}, "uint16", arrival=2)
    assert (stream.frames, stream.frame_shape, stream.frame_bytes, stream.frame_axes) == (12, (5,), 10, ("row",))
    endless = Stream(("angle", "row"), {"angle": None, "row": None}, "uint16")
    assert endless.frames is None
    with pytest.raises(AxesError, match="'row' is not known"):
        endless.frame_shape  # noqa: B018


def test_a_scan_knows_its_streams() -> None:
    scan = Scan({"data": Stream(("angle",), {"angle": 3}, "float32")}, calibration={"pixel": Quantity(650, "nm")})
    assert scan.bounded
    assert scan.arrival == ("angle",)
    assert scan.pixel("um") == pytest.approx(0.65)
    assert Scan({}).pixel("um") is None
    with pytest.raises(UnknownName, match="one of data"):
        scan.stream("flat")


def test_axes_are_brought_last() -> None:
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    moved, free = bring_last(data, ("angle", "row", "col"), ("angle", "col"))
    assert free == ("row",)
    assert moved.shape == (8, 3, 5)
    np.testing.assert_array_equal(moved.reshape(2, 4, 3, 5), data.transpose(0, 2, 1, 3))
    same, free = bring_last(data, ("angle", "row", "col"), ("angle", "row", "col"))
    assert same is data
    assert free == ()
    assert as_ids(3).tolist() == [3]
