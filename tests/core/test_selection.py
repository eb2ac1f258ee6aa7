"""Selections: what they mean, and that a source of which a part is played gives just that part of the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.connectors.memory.source import MemorySource
from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan, Stream
from firstlight.core.errors import FirstlightError, JobError
from firstlight.core.job import Job, parse_job
from firstlight.core.pipeline import Pipeline
from firstlight.core.selected import Selected
from firstlight.core.selection import Picked, narrowed, resolve
from firstlight.core.units import Quantity


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("3:7", 10, range(3, 7)),
        ("::2", 9, range(0, 9, 2)),
        ("mid-2:mid+3", 11, range(3, 8)),
        ("mid", 11, range(5, 6)),
        ("mid", 2, range(0, 1)),
        ("start+1:end-1", 10, range(1, 9)),
        ("-3:", 10, range(7, 10)),
        ("-1", 10, range(9, 10)),
        (" 2 : end - 2 : 3 ", 10, range(2, 8, 3)),
        (7, 10, range(7, 8)),
        ("4:6", None, range(4, 6)),
    ],
)
def test_what_it_means(text, length, expected):
    assert Picked.parse(text).positions(length) == expected


@pytest.mark.parametrize("text", ["", "a:b", "1:2:3:4", "1:2:0", "1:2:-1", "1.5", "mid*2", "1::x", None, [1], 2.5])
def test_what_is_not_understood(text):
    with pytest.raises(FirstlightError, match="START:STOP"):
        Picked.parse(text)


@pytest.mark.parametrize(
    ("text", "length"), [("5:11", 10), ("5:5", 10), ("7:3", 10), ("10", 10), ("-11", 10), ("mid", None)]
)
def test_positions_that_are_not_there(text, length):
    with pytest.raises(FirstlightError):
        Picked.parse(text).positions(length)


@given(st.text(alphabet="0123456789midenstar:+- ", max_size=20), st.integers(1, 50))
def test_any_text_is_read_or_refused(text, length):
    try:
        found = Picked.parse(text).positions(length)
    except FirstlightError:
        return
    assert len(found)
    assert 0 <= found[0] <= found[-1] < length


def test_every_mistake_is_named():
    scan = Scan({MAIN: Stream(("angle", "row", "col"), {"angle": 5, "row": 4, "col": 3}, "uint8")})
    only = {"row": Picked.parse("4"), "height": Picked.parse("1"), "col": Picked.parse("0:9")}
    with pytest.raises(JobError) as caught:
        resolve(only, scan)
    assert len(caught.value.problems) == 3
    assert "no axis 'height'. Expected one of: angle, row, col" in str(caught.value)
    assert "row = 4" in str(caught.value)


def test_a_step_along_columns_widens_the_pixel():
    scan = Scan(
        {MAIN: Stream(("angle", "row", "col"), {"angle": 5, "row": 4, "col": 6}, "uint8")},
        calibration={"pixel": Quantity(2.0, "um")},
    )
    assert narrowed(scan, {"col": range(0, 6, 2), "row": range(0, 4, 2)}).calibration["pixel"].value == 4.0


RNG = np.random.default_rng(3)


def arrays():
    return MemorySource.of(
        RNG.integers(0, 999, (12, 6, 8), dtype=np.uint16),
        angles=np.arange(12) * 15.0,
        dark=RNG.integers(0, 9, (3, 6, 8), dtype=np.uint16),
        flat=[RNG.integers(900, 999, (2, 6, 8), dtype=np.uint16) for _ in range(2)],
        set_ids={"flat": [[-2, -1], [12, 13]]},
        ids=[i for i in range(12) if i not in (5, 6)],
        frames=4,
    )


def grid():
    return MemorySource.of(RNG.integers(0, 9, (4, 5, 3, 2), dtype=np.uint8), "scan_y scan_x row col", frames=7)


def phantom():
    return PhantomSource(columns=16, rows=6, angles=12, darks=2, flats=2, sets=2, zingers=3)


def replayed():
    """The arrays as a source that can not select by itself."""
    source = arrays()
    return MemorySource.playing(source.open(), list(source.items()))


def played(source):
    scan = source.open()
    items = list(source.items())
    source.close()
    return scan, items


def assembled(scan, items, stream=MAIN):
    """Frames by id, coordinates by id."""
    frames = {}
    for item in items:
        if isinstance(item, Chunk) and item.stream == stream:
            assert item.data.shape[1:] == scan.stream(stream).frame_shape
            for number, place in enumerate(item.ids.tolist()):
                frames[item.set, place] = (item.data[number], item.coords.get("angle", np.zeros(len(item)))[number])
    return frames


def missing(items):
    return sorted(n for i in items if isinstance(i, Gap) and i.stream == MAIN for n in range(i.first, i.last + 1))


SELECTIONS = [
    {"row": "1:3"},
    {"col": "2:7:2", "row": "mid"},
    {"angle": "3:9"},
    {"angle": "1:11:3", "row": "::2"},
    {"angle": "4"},
]


@pytest.mark.parametrize("make", [arrays, phantom, replayed])
@pytest.mark.parametrize("only", SELECTIONS, ids=str)
def test_the_part_of_a_source_is_that_part_of_the_whole(make, only):
    source = make()
    whole_scan, whole_items = played(source)
    whole = assembled(whole_scan, whole_items)
    picked = {label: Picked.parse(text) for label, text in only.items()}
    scan, items = played(Selected.of(source, picked))
    chosen = {label: each.positions(whole_scan.main.size(label)) for label, each in picked.items()}
    angles = chosen.get("angle", range(12))
    cut = tuple(np.asarray(chosen.get(label, range(whole_scan.main.size(label)))) for label in ("row", "col"))
    keeps = angles.step == 1
    expected = {(0, a if keeps else n): whole[0, a] for n, a in enumerate(angles) if (0, a) in whole}
    found = assembled(scan, items)
    assert found.keys() == expected.keys()
    for place, (frame, angle) in found.items():
        assert np.array_equal(frame, expected[place][0][np.ix_(*cut)])
        assert angle == expected[place][1]
        assert scan.coords["angle"][place[1]] == angle
    assert missing(items) == [a if keeps else n for n, a in enumerate(angles) if (0, a) not in whole]
    assert scan.main.frames == len(angles)
    assert scan.selected == chosen
    for stream in ("dark", "flat"):
        left, right = assembled(scan, items, stream), assembled(whole_scan, whole_items, stream)
        assert len(left) == len(right)
        for (_, one), (_, other) in zip(sorted(left.items()), sorted(right.items()), strict=True):
            assert np.array_equal(one[0], other[0][np.ix_(*cut)])


def test_sets_of_flats_stay_around_projections_that_are_numbered_anew():
    scan, items = played(Selected.of(arrays(), {"angle": Picked.parse("::3")}))
    ids = {s: [place for set_, place in assembled(scan, items, "flat") if set_ == s] for s in (0, 1)}
    assert np.mean(ids[0]) == pytest.approx(-1.5 / 3, abs=0.5)
    assert np.mean(ids[1]) == pytest.approx(12.5 / 3, abs=0.5)
    assert max(ids[0]) < min(ids[1])


def test_a_block_of_a_grid():
    source = grid()
    data = source.read({})
    only = {"scan_y": Picked.parse("1:3"), "scan_x": Picked.parse("::2"), "col": Picked.parse("1")}
    part = Selected.of(source, only)
    scan, items = played(part)
    expected = data[1:3, ::2, :, 1:2]
    assert tuple(scan.main.sizes.values()) == expected.shape
    frames = assembled(scan, items)
    assert np.array_equal(np.array([frames[0, n][0] for n in range(6)]).reshape(expected.shape), expected)
    other = Selected.of(MemorySource.playing(source.open(), list(source.items())), only)
    again = assembled(*played(other))
    assert all(np.array_equal(again[place][0], frames[place][0]) for place in frames)


@pytest.mark.parametrize("make", [arrays, phantom])
def test_blocks_of_the_part(make):
    source = make()
    whole = source.open(), np.asarray(source.read({}))
    part = Selected.of(source, {"row": Picked.parse("1:5"), "angle": Picked.parse("2:8"), "col": Picked.parse("1:8:2")})
    part.open()
    block = part.read({"row": slice(1, 3), "angle": slice(0, 4, 2)})
    assert np.array_equal(block, whole[1][2:6:2, 2:4, 1:8:2])
    assert part.read({}, "flat").shape[1:] == (4, 4)


def test_the_phantom_makes_only_what_is_asked_for(monkeypatch):
    from firstlight.connectors.phantom.scene import Scene

    made = []
    true = Scene.frame
    monkeypatch.setattr(Scene, "frame", lambda self, *a: (made.append((a[0], a[3] - a[2])), true(self, *a))[1])
    played(Selected.of(phantom(), {"row": Picked.parse("2:4"), "angle": Picked.parse("::4")}))
    assert {rows for _, rows in made} == {2}
    assert sum(stream == MAIN for stream, _ in made) == 3


JOB = {
    "source": {"use": "phantom", "columns": 32, "rows": 8, "angles": 40},
    "only": {"row": "mid-1:mid+2", "angle": "::2"},
    "steps": [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "fbp"}],
}


@pytest.mark.parametrize("runner", ["local", "naive"])
def test_a_job_runs_on_the_part_alone_and_counts_what_was_selected(runner):
    from dataclasses import replace

    from firstlight.jobs.start import start

    values = {**JOB, "runner": {"use": runner}, "views": [{"of": "fbp", "to": ["web"]}]}
    job = parse_job(values)
    run = start(replace(job, collect=True))
    run.finished(60)
    counts = run.status().counts
    assert (counts.expected, counts.done, counts.lost, counts.excluded) == (20, 20, 0, 0)
    shown = run.view("fbp")
    whole = start(replace(parse_job({**values, "only": {"angle": "::2"}}), collect=True))
    whole.finished(60)
    assert shown.data.shape == (3, 32, 32)
    np.testing.assert_allclose(shown.data, whole.view("fbp").data[2:5], atol=2e-4)  # the accuracy of the transform


def test_a_job_keeps_its_selection_as_plain_values():
    job = parse_job(JOB)
    assert job.to_dict()["only"] == JOB["only"]
    assert parse_job(job.to_dict()).only == job.only
    assert Job(PhantomSource(), Pipeline(())).played.use == "phantom"


@pytest.mark.parametrize(
    ("only", "words"), [(5, "Expected a mapping"), ({"row": "x"}, "only: row"), ({"row": 1.5}, "START:STOP")]
)
def test_mistakes_in_a_job(only, words):
    with pytest.raises(JobError, match=words):
        parse_job({**JOB, "only": only})
