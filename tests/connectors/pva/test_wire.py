"""NTNDArray and TomoScanStream's structures, without a network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("p4p")

from p4p import Type, Value
from p4p.nt import NTNDArray, NTScalar

from firstlight.connectors.pva import codecs, wire
from firstlight.core.errors import FirstlightError

NUMBERS = [name for name in wire.FIELDS if name != "bool"]


def image(dtype, shape=(33, 47)):
    return (np.random.default_rng(5).random(shape) * 100).astype(dtype)


@pytest.mark.parametrize("dtype", list(wire.FIELDS))
def test_every_type_comes_back(dtype):
    pixels = image(dtype)
    frame = wire.read_frame(wire.write_frame(pixels, 7, 12.5))
    assert (frame.id, frame.stamp, frame.shape, frame.dtype) == (7, 12.5, (33, 47), dtype)
    assert np.array_equal(wire.pixels_of(frame), pixels)


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("codec", codecs.CODECS)
def test_every_type_comes_back_through_every_codec(codec, dtype):
    pixels = image(dtype)
    frame = wire.read_frame(wire.write_frame(pixels, 7, 12.5, codec=codec))
    assert frame.dtype == dtype
    assert np.array_equal(wire.pixels_of(frame), pixels)


@pytest.mark.parametrize("codec", codecs.CODECS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 64), (257, 129), (1000, 700)])
def test_codecs_with_awkward_sizes(codec, shape):
    pixels = np.random.default_rng(1).poisson(30, shape).astype(np.uint16)
    out = np.empty(shape, np.uint16)
    wire.decode_into(wire.read_frame(wire.write_frame(pixels, 1, 0.0, codec=codec)), out)
    assert np.array_equal(out, pixels)


def test_streams_copied_from_hdf5_files_keep_their_header():
    pixels = np.random.default_rng(1).poisson(30, (60, 90)).astype(np.uint16)
    bare = codecs.encode("bslz4", pixels).tobytes()
    header = pixels.nbytes.to_bytes(8, "big") + (8192).to_bytes(4, "big")
    for codec, stream in (("bslz4", header + bare), ("lz4", codecs.encode("lz4hdf5", pixels).tobytes())):
        out = np.empty(pixels.nbytes, np.uint8)
        codecs.decode(codec, memoryview(stream), out, 2)
        assert np.array_equal(out.view(np.uint16), pixels.ravel())
    for block in (0, 12, 2**32 - 1):
        with pytest.raises(codecs.BadPayload):
            codecs.decode("bslz4", memoryview(header[:8] + block.to_bytes(4, "big") + bare), out, 2)


def test_x_is_the_fastest_dimension_as_p4p_sees_it():
    pixels = image("uint16", (3, 8))
    assert np.array_equal(NTNDArray.unwrap(wire.write_frame(pixels, 1, 0.0)), pixels)
    assert wire.read_frame(NTNDArray().wrap(pixels)).shape == (3, 8)


def test_reading_does_not_copy():
    value = wire.write_frame(image("uint16"), 1, 0.0)
    first, second = wire.pixels_of(wire.read_frame(value)), wire.pixels_of(wire.read_frame(value))
    assert first.ctypes.data == second.ctypes.data


def test_ids_beyond_the_signed_range_are_unsigned():
    assert wire.read_frame(wire.write_frame(image("uint8"), 2**32 - 1, 0.0)).id == 2**32 - 1


def test_the_type_of_a_compressed_frame_is_found_in_both_numberings():
    for number, dtype in enumerate(wire.SCALAR_TYPES):
        assert wire.original_type(number, np.dtype(dtype).itemsize) == dtype
    # NDDataType_t, as converters built on PVXS write it; where sizes agree (0, 1) the first numbering wins
    for number, dtype in list(enumerate(wire.ND_TYPES))[2:]:
        assert np.dtype(wire.original_type(number, np.dtype(dtype).itemsize)) == np.dtype(dtype)


def test_the_type_may_be_a_structure_that_holds_the_number():
    assert wire.original_type(NTScalar("i").wrap(6).raw if hasattr(NTScalar("i").wrap(6), "raw") else 6, 2) == "uint16"


def test_attributes_are_the_numbers_among_them():
    value = wire.write_frame(image("uint8"), 1, 0.0, {"RingCurrent": 199.5, "Operator": "me", "Shutter": 1})
    assert wire.read_attributes(value) == {"RingCurrent": 199.5, "Shutter": 1.0}


def test_colour_is_refused_with_the_setting_to_change():
    with pytest.raises(wire.BadFrame, match="Mono"):
        wire.read_attributes(wire.write_frame(image("uint8"), 1, 0.0, {"ColorMode": 1}))
    with pytest.raises(wire.BadFrame, match=r"3 dimensions.*Mono"):
        wire.read_frame(NTNDArray().wrap(np.zeros((4, 5, 3), np.uint8)))


def test_jpeg_is_refused_with_the_setting_to_change():
    value = wire.write_frame(image("uint8"), 1, 0.0)
    value.codec.name = "jpeg"
    with pytest.raises(codecs.BadPayload, match="Compressor"):
        wire.read_frame(value)


def frame_with(codec="", **fields):
    value = wire.write_frame(image("uint16", (16, 16)), 1, 0.0, codec=codec)
    for name, content in fields.items():
        value[name] = content
    return value


DIMENSION = {"offset": 0, "fullSize": 1, "binning": 1, "reverse": False}

ZOO = {
    "no pixels": wire.blank(),
    "not an NTNDArray": Value(Type([("value", "ai")]), {"value": [1, 2]}),
    "too few pixels": frame_with(dimension=[{"size": 16, **DIMENSION}, {"size": 17, **DIMENSION}]),
    "one dimension": frame_with(dimension=[{"size": 256, **DIMENSION}]),
    "no dimension": frame_with(dimension=[]),
    "negative sizes": frame_with(dimension=[{"size": -16, **DIMENSION}, {"size": -16, **DIMENSION}]),
    "huge sizes": frame_with(dimension=[{"size": 2**31 - 1, **DIMENSION}, {"size": 2**31 - 1, **DIMENSION}]),
    "unknown codec": frame_with(**{"codec.name": "mystery"}),
    "compressed more than there is": frame_with("lz4", compressedSize=2**40),
    "compressed nothing": frame_with("lz4", compressedSize=0),
    "compressed negative": frame_with("zlib", compressedSize=-1),
    "uncompressed absurd": frame_with("lz4", uncompressedSize=2**62),
    "uncompressed negative": frame_with("lz4", uncompressedSize=-512),
    "uncompressed not a multiple": frame_with("lz4", uncompressedSize=513),
    "no type": frame_with("blosc", **{"codec.parameters": None}),
    "type of another size": frame_with("blosc", **{"codec.parameters": 10}),
    "type is a word": frame_with("blosc", **{"codec.parameters": "uint16"}),
    "more than can be": frame_with(
        "lz4",
        uncompressedSize=2 * 2**30,
        dimension=[{"size": 2**15, **DIMENSION}, {"size": 2**15, **DIMENSION}],
    ),
    "compressed but not bytes": frame_with(**{"codec.name": "lz4"}),
}


@pytest.mark.parametrize("name", ZOO)
def test_bad_frames_are_refused_with_a_reason(name):
    with pytest.raises(FirstlightError) as caught:
        wire.read_frame(ZOO[name])
    assert caught.value.field


@pytest.mark.parametrize("codec", codecs.CODECS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_broken_payloads_never_do_more_than_raise(codec, data):
    pixels = np.random.default_rng(3).poisson(9, (24, 41)).astype(np.uint16)
    whole = codecs.encode(codec, pixels).tobytes()
    kind = data.draw(st.sampled_from(["cut", "random", "flipped", "longer"]))
    if kind == "cut":
        broken = whole[: data.draw(st.integers(1, len(whole) - 1))]
    elif kind == "random":
        broken = data.draw(st.binary(min_size=1, max_size=4000))
    elif kind == "longer":
        broken = whole + data.draw(st.binary(min_size=1, max_size=64))
    else:
        broken = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 5))):
            broken[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    guard = np.full(pixels.nbytes + 64, 0xA5, np.uint8)
    try:
        codecs.decode(codec, memoryview(bytes(broken)), guard[: pixels.nbytes], 2)
    except codecs.BadPayload:
        pass
    assert (guard[pixels.nbytes :] == 0xA5).all()


@given(st.binary(max_size=300), st.sampled_from(codecs.CODECS), st.integers(-5, 400), st.integers(-5, 2**40))
@settings(max_examples=200, deadline=None)
def test_random_compressed_frames_never_do_more_than_raise(payload, codec, compressed, size):
    value = frame_with("lz4", compressedSize=compressed, uncompressedSize=size)
    value["codec.name"] = codec
    value.value = ("ubyteValue", np.frombuffer(payload, np.uint8))
    try:
        wire.pixels_of(wire.read_frame(value))
    except FirstlightError:
        pass


# ---- dark, flat, theta ----------------------------------------------------------------------------------------------


def test_images_come_in_three_structures():
    pixels = image("float32", (4, 6))
    flat = Value(Type([("value", "ad")], "epics:nt/NTScalarArray:1.0"), {"value": pixels.ravel().astype(np.float64)})
    for value in (wire.write_image(pixels), wire.write_frame(pixels, 1, 0.0), wire.write_frame(pixels, 1, 0.0), flat):
        assert np.array_equal(wire.read_image(value, (4, 6)), pixels)


def test_an_image_with_stale_sizes_is_taken_if_its_pixels_fit():
    value = wire.write_image(image("float32", (4, 6)))
    value.sizex = value.sizey = 2
    assert wire.read_image(value, (4, 6)).shape == (4, 6)


def test_an_image_of_another_size_is_refused():
    for value in (wire.write_image(image("float32", (4, 5))), wire.write_frame(image("uint16", (6, 4)), 1, 0.0)):
        with pytest.raises(wire.BadFrame, match=r"4 rows and 6 columns"):
            wire.read_image(value, (4, 6))


def test_an_image_that_is_not_taken_yet_is_none():
    assert wire.read_image(wire.write_image(None), (4, 6)) is None


def test_theta_comes_in_two_structures_and_must_be_numbers():
    angles = np.arange(9, dtype=np.float32)
    assert np.array_equal(wire.read_theta(wire.write_theta(angles)), angles)
    assert wire.read_theta(wire.write_theta(np.zeros(0))) is None
    words = Value(Type([("value", "as")]), {"value": ["a"]})
    for value in (wire.write_theta(np.array([1.0, np.nan])), words):
        with pytest.raises(wire.BadFrame, match="theta"):
            wire.read_theta(value)
