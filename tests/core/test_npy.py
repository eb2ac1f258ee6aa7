"""Arrays of numpy's own format: mapped, refused in words, and opened by several threads."""

import ast
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from firstlight.connectors.npy.header import read_header
from firstlight.core.npy import open_npy


def test_an_array_is_mapped(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6).reshape(2, 3))
    found = open_npy(path)
    np.testing.assert_array_equal(found, np.arange(6).reshape(2, 3))
    assert isinstance(found, np.memmap)
    assert not found.flags.writeable


@pytest.mark.parametrize("text", [b"", b"\x93NUMPY\x01\x00v\x00{'descr'", b"PK\x03\x04"])
def test_what_is_no_array_is_refused(tmp_path, text):
    path = tmp_path / "a.npy"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"\S"):
        open_npy(path)


def test_objects_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="objects"):
        open_npy(path)


def test_no_two_threads_parse_a_header_at_once(tmp_path, monkeypatch):
    """CPython 3.11 would raise a SystemError in one of them, now and then."""
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(3))
    inside, most = threading.Semaphore(1), []
    parse = ast.literal_eval

    def watched(text):
        most.append(inside.acquire(blocking=False))
        time.sleep(0.01)
        try:
            return parse(text)
        finally:
            if most[-1]:
                inside.release()

    monkeypatch.setattr(ast, "literal_eval", watched)

    def header():
        with path.open("rb") as file:
            return read_header(file, "a.npy").shape

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(call) for call in (header, lambda: open_npy(path).shape) for _ in range(4)]
        assert {each.result() for each in done} == {(3,)}
    assert most == [True] * 8
