"""The bounded queue between the receiving thread and the reader, and memory that is used again."""

import gc

import numpy as np

from firstlight.connectors.pva.chunks import CHUNK_BYTES, Gatherer
from firstlight.connectors.pva.wire import Frame
from firstlight.core.chunk import Chunk, End, Gap
from firstlight.core.handover import HandOver, Pool, lend


def chunk(*ids, stream="data", epoch=0):
    return Chunk(np.zeros((len(ids), 10, 10), np.uint8), ("row", "col"), np.array(ids), epoch=epoch, stream=stream)


def drain(queue):
    found = []
    while (item := queue.get(0.0)) is not None:
        found.append(item)
    return found


def test_what_does_not_fit_becomes_one_growing_gap():
    queue = HandOver(500)
    for start in range(0, 40, 2):
        queue.put(chunk(start, start + 1))
    items = drain(queue)
    assert [len(item) for item in items] == [2, 2, 36]
    assert items[2] == Gap(0, 4, 39, "the reader was slower than the detector", "dropped")
    assert queue.dropped == 36


def test_a_dark_image_always_fits_and_so_do_gaps_and_ends():
    queue = HandOver(100)
    for item in (chunk(0), chunk(-1, stream="dark"), Gap(0, 5, 6, "x"), End("data")):
        queue.put(item)
    assert len(drain(queue)) == 4
    assert queue.dropped == 0


def test_a_chunk_larger_than_the_queue_passes_when_it_is_empty():
    queue = HandOver(1)
    queue.put(chunk(0, 1, 2))
    assert len(drain(queue)) == 1


def test_closed_and_empty_is_finished():
    queue = HandOver(100)
    queue.put(End("data"))
    queue.close()
    assert not queue.finished
    assert drain(queue) == [End("data")]
    assert queue.finished


def test_memory_goes_back_when_the_last_array_over_it_is_gone():
    pool = Pool(4096)
    first = pool.take()
    place = first.ctypes.data
    view = first.view(np.uint16)[10:20].reshape(2, 5)
    del first
    gc.collect()
    assert pool.take().ctypes.data != place
    del view
    gc.collect()
    again = [pool.take() for _ in range(2)]
    assert place in [one.ctypes.data for one in again]


def test_lent_memory_is_writable_in_type_and_kept():
    source = np.arange(6.0)
    source.setflags(write=False)
    lent = lend(source)
    del source
    gc.collect()
    assert lent.flags.writeable
    assert lent.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def frame(number, shape=(8, 8)):
    pixels = np.full(shape, number, np.uint16).ravel()
    return Frame(number, 0.0, shape, "uint16", "", pixels)


def test_chunks_of_one_slab_do_not_overlap():
    gatherer = Gatherer((8, 8), "uint16", ())
    chunks = []
    for number in range(700):
        chunks += gatherer.add(frame(number), 0, number, {})
        if number % 50 == 49:
            chunks += gatherer.flush()
    chunks += gatherer.flush()
    assert sum(map(len, chunks)) == 700
    for one in chunks:
        assert np.array_equal(one.data[:, 0, 0], one.ids)
    assert sum(one.data.nbytes for one in chunks) < CHUNK_BYTES


def test_an_epoch_ends_its_chunk():
    gatherer = Gatherer((8, 8), "uint16", ("angle",))
    assert gatherer.add(frame(1), 0, 1, {"angle": 0.5}) == []
    (first,) = gatherer.add(frame(0), 1, 0, {})
    (second,) = gatherer.flush()
    assert (first.epoch, second.epoch) == (0, 1)
    assert first.coords["angle"].tolist() == [0.5]
    assert np.isnan(second.coords["angle"]).all()
    assert gatherer.due is None
