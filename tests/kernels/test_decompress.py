"""LZ4 and bitshuffled LZ4 against the libraries' own functions, and streams that lie."""

import struct
from functools import cache

import bitshuffle
import lz4.block
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels import decompress
from firstlight.kernels.bit_planes import join_planes

SIZES = (1, 7, 8, 9, 4095, 4096, 4097, 70_001)


def frame(items, dtype):
    return np.random.default_rng(items).poisson(3, items).astype(dtype)


@pytest.fixture(params=["C functions", "libraries"])
def way(request, monkeypatch):
    if request.param == "libraries":
        monkeypatch.setattr(decompress, "_library", lambda: None)


def decoded(decoder, stream, pixels, *more):
    out = np.full(pixels.nbytes + 16, 0xAA, np.uint8)
    decoder(stream, out[: pixels.nbytes], *more)
    assert (out[pixels.nbytes :] == 0xAA).all()
    return out[: pixels.nbytes].view(pixels.dtype)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("items", SIZES)
def test_bslz4_as_bitshuffle_wrote_it(items, dtype, way):
    pixels = frame(items, dtype)
    bare = bitshuffle.compress_lz4(pixels, 0).tobytes()
    size = pixels.itemsize
    header = struct.pack(">QI", pixels.nbytes, decompress.default_block(size) * size)
    for stream in (bare, header + bare, bytes(12) + bare, memoryview(header + bare)):
        assert np.array_equal(decoded(decompress.decode_bslz4, stream, pixels, size), pixels)


@given(width=st.sampled_from([1, 2, 4, 8]), eights=st.integers(1, 40), most=st.integers(0, 63), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_bits_are_put_together_as_bitshuffle_took_them_apart(width, eights, most, seed):
    items = np.random.default_rng(seed).integers(0, 2**most, 8 * eights, np.uint64, endpoint=True).astype(f"u{width}")
    planes, out, scratch = bitshuffle.bitshuffle(items).view(np.uint8), *np.empty((2, items.nbytes), np.uint8)
    join_planes(planes, out, width, scratch)
    assert np.array_equal(out.view(items.dtype), items)


def test_bslz4_with_one_block_as_holoptycho_replays_it(way):
    pixels = frame(10_003, "u2")
    block = 10_000
    stream = struct.pack(">QI", pixels.nbytes, block * 2) + bitshuffle.compress_lz4(pixels, block).tobytes()
    assert np.array_equal(decoded(decompress.decode_bslz4, stream, pixels, 2), pixels)


@pytest.mark.parametrize("items", SIZES)
def test_lz4_with_and_without_framing(items, way):
    pixels = frame(items, "u2")
    block = lz4.block.compress(pixels.tobytes(), store_size=False)
    assert np.array_equal(decoded(decompress.decode_lz4, block, pixels), pixels)
    framed = decompress.encode_lz4(pixels, framed=True)
    assert np.array_equal(decoded(decompress.decode_lz4, framed, pixels), pixels)
    assert np.array_equal(decoded(decompress.decode_lz4_framed, framed, pixels), pixels)


@pytest.mark.parametrize("framed", [False, True])
def test_what_is_encoded_is_decoded(framed):
    pixels = frame(5000, "u4")
    packed = decompress.encode_bslz4(pixels, framed=framed)
    assert np.array_equal(decoded(decompress.decode_bslz4, packed, pixels, 4), pixels)


@cache
def whole_stream(kind):
    """Of one frame: bitshuffled, with a header of its own, or LZ4 alone."""
    pixels = frame(1000, "u2")
    return decompress.encode_lz4(pixels) if kind == "l" else decompress.encode_bslz4(pixels, framed=kind == "f")


@given(cut=st.integers(0, 400), flip=st.integers(0, 400), to=st.integers(0, 255), kind=st.sampled_from("bfl"))
@settings(max_examples=300, deadline=None)
def test_a_broken_stream_is_told_or_gives_some_pixels_but_never_writes_outside(cut, flip, to, kind):
    pixels = frame(1000, "u2")
    stream = bytearray(whole_stream(kind))
    stream[flip % len(stream)] = to
    stream = bytes(stream[: len(stream) - cut])
    try:
        if kind == "l":
            decoded(decompress.decode_lz4, stream, pixels)
        else:
            decoded(decompress.decode_bslz4, stream, pixels, 2)
    except decompress.BrokenStream:
        pass


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes(stream):
    out = np.zeros(1024, np.uint8)
    for decoder, more in (
        (decompress.decode_lz4, ()),
        (decompress.decode_lz4_framed, ()),
        (decompress.decode_bslz4, (2,)),
    ):
        try:
            decoder(stream, out, *more)
        except decompress.BrokenStream:
            pass


def test_many_at_once_are_the_same_as_one_by_one(way):
    frames = [frame(1003, "u2") + at for at in range(9)]
    streams = [decompress.encode_bslz4(pixels, framed=at % 2 == 0) for at, pixels in enumerate(frames)]
    streams[3], streams[5], streams[8] = streams[3][:-1], b"", bytes(len(streams[8]))
    out = np.zeros((9, frames[0].nbytes), np.uint8)
    good = decompress.decode_bslz4_many(streams, out, 2)
    assert np.flatnonzero(~good).tolist() == [3, 5, 8]
    assert all(np.array_equal(out[at].view("u2"), frames[at]) for at in np.flatnonzero(good))


def test_what_can_not_be_is_refused_before_memory_is_touched():
    out = np.zeros(2**20, np.uint8)
    for stream, expected in (
        (b"", "can not hold"),
        (b"abc", "can not hold"),
        (struct.pack(">QI", out.nbytes, 7) + bytes(5000), "impossible block"),
    ):
        with pytest.raises(decompress.BrokenStream, match=expected):
            decompress.decode_bslz4(stream, out, 2)
    with pytest.raises(decompress.BrokenStream, match="whole number"):
        decompress.decode_bslz4(bytes(100), out[:7], 2)
    framed = bytearray(decompress.encode_lz4(frame(50, "u2"), framed=True))
    framed[8:12] = bytes(4)
    with pytest.raises(decompress.BrokenStream, match="blocks of 0"):
        decompress.decode_lz4_framed(bytes(framed), out[:100])
