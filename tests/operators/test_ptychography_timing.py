"""The same input gives the same image whatever the timing: delays, disorder, loss, a late start, a join, a second scan."""

import time

import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Scan, Stream
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.operators.ptychography.ptychography import Ptychography

TRUTH = simulate(window=32, scan=(9, 9), step=4, photons=1e6)
FRAMES = np.fft.fftshift(TRUTH.counts, axes=(1, 2)).astype(np.uint16)
PLACES = TRUTH.corners + 0.25
STEP = Ptychography(iterations=6, repeatable=True, probe_defocus=0.0)
SHOWN = ("object", "probe", "error", "positions", "coverage")


class Slow(tuple):
    """Items that come when they like."""

    def __iter__(self):
        random = np.random.default_rng()
        for item in super().__iter__():
            time.sleep(random.uniform(0, 0.02))
            yield item


def frames_of(ids, epoch=0):
    return Chunk(FRAMES[ids], ("row", "col"), ids, epoch=epoch)


def places_of(ids, epoch=0):
    return Chunk(PLACES[ids], ("yx",), ids, epoch=epoch, stream="positions")


def pieces(ids, make, seed):
    """Chunks of random size that come out of order by up to a few."""
    random = np.random.default_rng(seed)
    cuts = np.sort(random.choice(np.arange(1, len(ids)), 8, replace=False))
    found = [make(part) for part in np.split(ids, cuts)]
    late = random.integers(0, 3, len(found)) + np.arange(len(found))
    return [found[number] for number in np.argsort(late, kind="stable")]


def shuffled_together(*queues, seed):
    """Several streams, each in its own order, come by turns that chance decides."""
    random, queues, found = np.random.default_rng(seed), [list(queue) for queue in queues], []
    while any(queues):
        queue = queues[random.choice([number for number, queue in enumerate(queues) if queue])]
        found.append(queue.pop(0))
    return found


def played(items, step=STEP):
    sizes = {"position": len(FRAMES), "row": 32, "col": 32}
    positions = Stream(("position", "yx"), {"position": len(FRAMES), "yx": 2}, "float64", unit="px")
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "uint16"), "positions": positions})
    source = MemorySource.playing(scan, [], pausable=False)
    source._items = Slow([*items, End("positions"), End()])
    found = fl.run(source, [step]).finished()
    return {name: np.asarray(found[f"ptychography.{name}"].data) for name in SHOWN}


def scenes(seed):
    """By name: what comes of one scan, whose chunks and turns chance decides."""
    every, half = np.arange(81), np.arange(40, 81)

    def mixed(frames, places, *more):
        return shuffled_together(
            [*pieces(frames, frames_of, seed), *more], pieces(places, places_of, seed + 100), seed=seed
        )

    lost = np.setdiff1d(every, [7, 8, 30, 55, 56, 57])
    gaps = [Gap(0, 7, 8, "lost"), Gap(0, 30, 30, "lost"), Gap(0, 55, 57, "lost")]
    return {
        "delays": mixed(every, every),
        "loss": mixed(lost, every, *gaps),
        "late start of the positions": mixed(every, np.arange(20, 81)),
        "joined in the middle": mixed(half, half),
    }


@pytest.mark.parametrize(
    "name", [name if name == "loss" else pytest.param(name, marks=pytest.mark.slow) for name in scenes(0)]
)
def test_the_image_is_that_of_the_recorded_scan_to_the_last_bit(name):
    first, second = (played(scenes(seed)[name]) for seed in (1, 2))
    kept = {"delays": range(81), "loss": sorted(set(range(81)) - {7, 8, 30, 55, 56, 57})}
    ids = np.array(kept.get(name, range(20, 81) if "late" in name else range(40, 81)))
    recorded = alone(ids)
    for output in SHOWN:
        np.testing.assert_array_equal(first[output], second[output], err_msg=output)
        np.testing.assert_array_equal(first[output], recorded[output], err_msg=output)
    assert len(first["error"]) == STEP.iterations
    assert len(first["positions"]) == len(ids)


def alone(ids, epoch=0):
    """The same frames all at once, as from a file."""
    sizes = {"position": len(FRAMES), "row": 32, "col": 32}
    positions = Stream(("position", "yx"), {"position": len(FRAMES), "yx": 2}, "float64", unit="px")
    state = STEP.empty(Scan({MAIN: Stream(tuple(sizes), sizes, "uint16"), "positions": positions}))
    chunk = Chunk(FRAMES[ids], ("row", "col"), ids, epoch=epoch, coords={"positions": PLACES[ids]})
    STEP.add(state, STEP.digest(chunk))
    STEP.complete(state)
    STEP.advance(state, STEP.rounds)
    return STEP.result(state)


@pytest.mark.slow
def test_a_second_scan_gives_its_own_image():
    """The detector began again: the first scan leaves no trace in a repeatable result."""
    every, later = np.arange(81), np.arange(60)

    def two(seed):
        first = shuffled_together(pieces(every, frames_of, seed), pieces(every, places_of, seed + 1), seed=seed)
        second = shuffled_together(
            pieces(later, lambda ids: frames_of(ids, 1), seed),
            pieces(later, lambda ids: places_of(ids, 1), seed + 1),
            seed=seed,
        )
        return [*first, *second]

    found, again, recorded = played(two(1)), played(two(2)), alone(later)
    for output in SHOWN:
        np.testing.assert_array_equal(found[output], again[output], err_msg=output)
        np.testing.assert_array_equal(found[output], recorded[output], err_msg=output)
