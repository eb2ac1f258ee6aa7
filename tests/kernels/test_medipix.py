"""Raw counters of Medipix3 against an encoder that follows the description pixel by pixel."""

import numpy as np
import pytest

from firstlight.kernels import medipix

RNG = np.random.default_rng(7)


def pack(image, depth):
    """Bytes of one readout, written from the description: groups of 8 bytes, reversed."""
    if depth == 24:
        return pack(image >> 12, 12) + pack(image & 0xFFF, 12)
    flat = image.reshape(-1).tolist()
    out = b""
    if depth == 1:
        for at in range(0, len(flat), 64):
            out += sum(bit << k for k, bit in enumerate(flat[at : at + 64])).to_bytes(8, "big")
    elif depth == 6:
        for at in range(0, len(flat), 8):
            out += bytes(reversed(flat[at : at + 8]))
    else:
        for at in range(0, len(flat), 4):
            out += b"".join(value.to_bytes(2, "big") for value in reversed(flat[at : at + 4]))
    return out


def side_by_side(image, gap=0):
    """Four chips as they are read out: [4 | 3 | 2 | 1], the lower two turned by 180°."""
    half = image.shape[0] // 2 if not gap else (image.shape[0] - gap) // 2
    one, two = image[:half, :256], image[:half, 256 + gap :]
    three, four = image[half + gap :, :256], image[half + gap :, 256 + gap :]
    return np.hstack([four[::-1, ::-1], three[::-1, ::-1], two, one])


def unpacked(streams, depth, chips, out):
    """Frames somewhere in one piece of memory, with other bytes between them, the last one first."""
    memory = np.frombuffer(b"???".join([b"", *streams, b""]), np.uint8)
    begins = 3 + np.arange(len(streams))[::-1] * (len(streams[0]) + 3)
    medipix.unpack(memory, begins, len(streams[0]), depth, chips, out)
    return out


def image(shape, depth):
    return RNG.integers(0, 2**depth, shape).astype({1: "u1", 6: "u1", 12: "u2", 24: "u4"}[depth])


@pytest.mark.parametrize("depth", [1, 6, 12, 24])
@pytest.mark.parametrize("rows", [256, 32])
def test_one_chip(depth, rows):
    truth = image((rows, 256), depth)
    other = image((rows, 256), depth)
    out = unpacked([pack(truth, depth), pack(other, depth)], depth, 1, np.zeros((2, rows, 256), truth.dtype))
    assert np.array_equal(out, [other, truth])


@pytest.mark.parametrize("depth", [1, 12])
@pytest.mark.parametrize("gap", [0, 2])
def test_four_chips_with_and_without_a_gap(depth, gap):
    truth = image((512 + gap, 512 + gap), depth)
    truth[256 : 256 + gap] = 0
    truth[:, 256 : 256 + gap] = 0
    out = np.ones((2, *truth.shape), truth.dtype)
    unpacked([pack(side_by_side(truth, gap), depth)] * 2, depth, 4, out)
    assert np.array_equal(out, [truth, truth])


@pytest.mark.parametrize(
    ("size", "depth", "chips"), [(8191, 1, 1), (8193, 1, 1), (8192, 6, 1), (8192, 1, 4), (9, 5, 1), (9, 1, 3)]
)
def test_what_does_not_fit_is_refused(size, depth, chips):
    with pytest.raises(ValueError, match="raw frame"):
        unpacked([bytes(size)], depth, chips, np.zeros((1, 256, 256), np.uint8))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8"])
def test_processed_frames_are_big_endian(dtype):
    frames = RNG.integers(0, np.iinfo(dtype).max, (3, 5, 7), dtype)
    stream = b"".join(b"x" * 11 + frame.astype(f">{dtype}").tobytes() for frame in frames)
    out = np.zeros_like(frames)
    begins = 11 + np.arange(3) * (11 + frames[0].nbytes)
    medipix.read_pixels(np.frombuffer(stream, np.uint8), begins, out)
    assert np.array_equal(out, frames)
    for wrong in (begins + 1, begins - 12):
        with pytest.raises(ValueError, match="do not lie"):
            medipix.read_pixels(np.frombuffer(stream, np.uint8), wrong, out)
