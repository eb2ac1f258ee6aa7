"""The mark of a killed writer: found, taken away, and never in a file that is none of ours."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.connectors.hdf5.superblock import clear_writer_mark, lookup3


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)],
)
def test_the_checksum_gives_what_its_author_states(text: bytes, expected: int) -> None:
    assert lookup3(text) == expected


def test_the_checksum_is_that_of_the_library(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver="latest"):
        pass
    head = (tmp_path / "a.h5").read_bytes()[:48]
    assert struct.unpack_from("<I", head, 44)[0] == lookup3(head[:44])


def test_a_file_without_the_mark_is_left_alone(tmp_path: Path) -> None:
    for version in ("earliest", "latest"):
        path = tmp_path / f"{version}.h5"
        with h5py.File(path, "w", libver=version) as file:
            file["x"] = 1
        before = path.read_bytes()
        assert not clear_writer_mark(path)
        assert path.read_bytes() == before


@given(st.binary(max_size=80), st.booleans())
def test_other_bytes_are_left_alone(tmp_path_factory: pytest.TempPathFactory, text: bytes, like: bool) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes((b"\x89HDF\r\n\x1a\n\x03" if like else b"") + text)
    before = path.read_bytes()
    assert not clear_writer_mark(path)  # no checksum of these would fit by chance
    assert path.read_bytes() == before
