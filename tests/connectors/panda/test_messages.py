"""Both streams of a PandABox, without sockets: a real recording, our own writers, and bytes that nobody should send."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.connectors.panda import data_port, json_stream
from firstlight.connectors.panda.messages import Samples, Start, Stop, Stray
from firstlight.connectors.panda.places import FURTHEST, Averages

FIELDS = [
    data_port.Field("PCAP.GATE_DURATION", "Value", "uint32"),
    data_port.Field("INENC1.VAL", "Mean", "int64", 0.5, 10.0, "um"),
    data_port.Field("COUNTER1.OUT", "Value", "int32"),
]


def fed(data, size):
    decoder = data_port.Decoder()
    return [message for start in range(0, len(data), size) for message in decoder.feed(data[start : start + size])]


def samples_of(messages, channel):
    return np.concatenate([message.values[channel] for message in messages if isinstance(message, Samples)])


@pytest.mark.parametrize("size", [17, 4096, 10**6])
def test_a_recorded_box_in_pieces_of_any_size(data_folder, size):
    path = data_folder / "detector" / "panda_raw_dump.bin"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} is not in {path.parent}")
    messages = fed(path.read_bytes(), size)
    assert isinstance(messages[0], Start)
    assert messages[-1] == Stop(10000, "Disarmed")
    assert not [message for message in messages if isinstance(message, Stray)]
    np.testing.assert_array_equal(samples_of(messages, "COUNTER3.OUT.Value"), np.arange(1, 10001) * 3)
    times = samples_of(messages, "PCAP.TS_START.Value")
    assert (np.diff(times) > 0).all()
    gate = samples_of(messages, "PCAP.GATE_DURATION.Value")
    assert gate.min() > 0
    low, high = (samples_of(messages, f"COUNTER1.OUT.{kind}") for kind in ("Min", "Max"))
    mean = samples_of(messages, "COUNTER1.OUT.Mean")
    assert ((mean >= low) & (mean <= high)).all()


def test_sums_are_divided_by_the_gate_and_scaled():
    columns = [np.array([4, 5, 0]), np.array([40, 100, 7]), np.array([1, 2, 3])]
    data = b"OK\n" + data_port.write_header(FIELDS) + data_port.write_block(FIELDS, columns) + data_port.write_end(3)
    start, samples, stop = fed(data, 5)
    assert (start, stop) == (Start(), Stop(3, "Ok"))
    np.testing.assert_array_equal(samples.values["INENC1.VAL.Mean"], [15.0, 20.0, np.nan])
    np.testing.assert_array_equal(samples.values["COUNTER1.OUT.Value"], [1, 2, 3])


@given(st.binary(max_size=400), st.integers(0, 300))
def test_damage_never_raises_and_never_waits_for_ever(noise, place):
    columns = [np.arange(5)] * 3
    good = data_port.write_header(FIELDS) + data_port.write_block(FIELDS, columns) + data_port.write_end(5)
    decoder = data_port.Decoder()
    decoder.feed(good[:place] + noise + good[place + len(noise) :])
    assert len(decoder._rest) <= data_port.LONGEST_HEADER


def test_a_block_of_absurd_length_is_not_waited_for():
    decoder = data_port.Decoder()
    (found,) = decoder.feed(b"BIN " + (2**31).to_bytes(4, "little"))
    assert isinstance(found, Stray)


def test_json_there_and_back():
    values = {"INENC2.VAL.Value": np.array([1.5, 2.0]), "INENC3.VAL.Value": np.array([0.0, -1.0])}
    found = json_stream.read(json_stream.write_samples(values, 41, 1))
    assert (found.first, found.message, len(found)) == (41, 1, 2)
    np.testing.assert_array_equal(found.values["INENC3.VAL.Value"], [0.0, -1.0])
    assert json_stream.read(json_stream.write_start()) == Start()
    assert json_stream.read(json_stream.write_stop(2)) == Stop(None)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()),
    )
)
def test_any_bytes_are_a_message_or_a_stray(part):
    assert isinstance(json_stream.read(part), Start | Samples | Stop | Stray)


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.fixed_dictionaries({"data": st.lists(st.one_of(st.floats(), st.text(max_size=2)), max_size=4)}),
        max_size=3,
    ),
    st.one_of(st.integers(), st.text(max_size=3)),
)
def test_any_datasets_are_samples_or_a_stray(datasets, number):
    part = json.dumps({"msg_type": "data", "frame_number": number, "datasets": datasets}).encode()
    assert isinstance(json_stream.read(part), Samples | Stray)


# ---- placing ---------------------------------------------------------------------------------------------------------


def samples(first, *x, message=None):
    return Samples({"x": np.array(x, float), "y": np.array(x, float) + 100}, first, message)


def placed(averages, *messages):
    found, gaps = {}, []
    for message in messages:
        done, lost = averages.take(message)
        gaps += lost
        if done is not None:
            found |= {(0, int(key)): tuple(value) for key, value in zip(done.ids, done.values, strict=True)}
    return found, gaps


def test_positions_are_means_over_their_samples_wherever_messages_are_cut():
    values = np.arange(12.0)
    for cut in (1, 2, 5, 7, 12):
        averages = Averages(("x", "y"), upsample=3)
        found, gaps = placed(averages, *(samples(s, *values[s : s + cut]) for s in range(0, 12, cut)))
        assert found == {(0, k): (3 * k + 1.0, 3 * k + 101.0) for k in range(4)}
        assert gaps == averages.finish() == []


def test_disorder_does_not_shift_positions():
    averages = Averages(("x", "y"), upsample=2)
    found, _ = placed(averages, samples(4, 4, 5), samples(0, 0, 1), samples(2, 2, 3))
    assert found == {(0, k): (2 * k + 0.5, 2 * k + 100.5) for k in range(3)}


def test_a_lost_message_is_a_gap_and_shifts_nothing():
    averages = Averages(("x", "y"), upsample=2)
    found, _ = placed(averages, samples(0, 0, 1, 2), samples(8, 8, 9))
    assert found == {(0, 0): (0.5, 100.5), (0, 4): (8.5, 108.5)}
    gaps = averages.finish(Stop(14))
    assert [(gap.first, gap.last) for gap in gaps] == [(1, 1), (2, 3), (5, 6)]


def test_missing_ones_are_given_up_after_the_window():
    averages = Averages(("x",), window=3)
    _, gaps = placed(averages, samples(0, 0), samples(2, 2, 3, 4))
    assert [(gap.first, gap.last) for gap in gaps] == [(1, 1)]
    found, _ = placed(averages, samples(1, 1))
    assert found == {}


def test_without_sample_numbers_an_unbroken_row_of_messages_is_needed():
    averages = Averages(("x",))
    found, _ = placed(
        averages, samples(None, 7, 8, message=0), samples(None, 9, message=1), samples(None, 1, message=3)
    )
    assert found == {(0, 0): (7.0,), (0, 1): (8.0,), (0, 2): (9.0,)}
    assert averages.strays == 1


def test_numbers_that_start_over_are_told_from_disorder():
    averages = Averages(("x",), window=4)
    assert not averages.starts_over(samples(0, 1), over=False)
    placed(averages, samples(0, *range(10)))
    assert not averages.starts_over(samples(6, 6.5), over=False)
    assert averages.starts_over(samples(0, 1, 2), over=False)
    assert not averages.starts_over(samples(8, 8, 9), over=True)
    assert averages.starts_over(samples(0, *range(20)), over=True)


def test_an_absurd_sample_number_is_refused():
    averages = Averages(("x",))
    found, gaps = placed(averages, samples(0, 1), samples(FURTHEST * 4, 2))
    assert list(found) == [(0, 0)]
    assert gaps == []
    assert averages.strays == 1


@given(st.permutations(range(8)), st.integers(1, 4))
def test_every_order_gives_the_same_positions(order, upsample):
    averages = Averages(("x",), upsample=upsample)
    found, gaps = placed(averages, *(samples(3 * k, 3 * k, 3 * k + 1, 3 * k + 2) for k in order))
    assert {key[1] for key in found} == set(range(24 // upsample))
    assert all(value[0] == pytest.approx(upsample * key[1] + (upsample - 1) / 2) for key, value in found.items())
    assert not gaps
