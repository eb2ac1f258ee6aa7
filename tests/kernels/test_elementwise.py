"""Bodies of one pixel, and the loops that are generated from chains of them."""

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels import elementwise
from firstlight.kernels.elementwise import SCALAR_BODY, ScalarBody, fuse, vector_exp, vector_log
from firstlight.kernels.flat_field import MINUS_LOG, TRANSMISSION


@numba.njit(**SCALAR_BODY)
def log_of_all(values, out):
    for i in range(values.size):
        out[i] = vector_log(values[i])


@numba.njit(**SCALAR_BODY)
def exp_of_all(values, out):
    for i in range(values.size):
        out[i] = vector_exp(values[i])


@numba.njit(**SCALAR_BODY)
def library_log_of_all(values, out):
    for i in range(values.size):
        out[i] = math.log(values[i])


@numba.njit(**SCALAR_BODY)
def add_image(value, image, factor):
    return value + factor * image


@numba.njit(**SCALAR_BODY)
def square(value):
    return value * value


ADD = ScalarBody("add", add_image, images=1, parameters=("factor",))
SQUARE = ScalarBody("square", square)


def test_log_is_accurate_to_one_in_a_million_everywhere():
    rng = np.random.default_rng(1)
    values = np.concatenate([np.exp(rng.uniform(-87, 88, 200_000)), 1 + rng.uniform(-0.3, 0.4, 200_000)])
    values = values.astype(np.float32)
    values = values[values != 1]
    out = np.empty_like(values)
    log_of_all(values, out)
    expected = np.log(values.astype(np.float64))
    assert np.max(np.abs(out - expected) / np.abs(expected)) < 1e-6


def test_exp_is_accurate_to_one_in_a_million_everywhere():
    values = np.random.default_rng(2).uniform(-87.3, 88.3, 300_000).astype(np.float32)
    out = np.empty_like(values)
    exp_of_all(values, out)
    expected = np.exp(values.astype(np.float64))
    assert np.max(np.abs(out - expected) / expected) < 1e-6


def test_special_numbers_keep_their_meaning():
    values = np.array([np.nan, np.inf, 1.0], np.float32)
    out = np.empty_like(values)
    log_of_all(values, out)
    np.testing.assert_array_equal(out, [np.nan, np.inf, 0.0])
    values = np.array([np.nan, np.inf, -np.inf, 1000, -1000, 0], np.float32)
    out = np.empty_like(values)
    exp_of_all(values, out)
    np.testing.assert_array_equal(out, [np.nan, np.inf, 0, np.inf, 0, 1])


def test_log_uses_vector_instructions():
    values = np.random.default_rng(0).uniform(0.1, 1, 1 << 14).astype(np.float32)
    out = np.empty_like(values)

    def seconds(function):
        function(values, out)
        times = []
        for _ in range(30):
            start = time.perf_counter()
            function(values, out)
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(log_of_all) < 0.5 * seconds(library_log_of_all)


@given(
    shape=st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(1, 40)),
    dtype=st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "u8", "f4", "f8", ">u2", "f2", "?"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_chain_equals_its_steps_for_every_number_type(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 100, shape).astype(dtype)
    image = rng.random(shape[1:]).astype(np.float32)
    factors = rng.random(shape[0]).astype(np.float32)
    result = fuse([ADD, SQUARE])(frames, [image], [factors])
    expected = (frames.astype(np.float32) + factors[:, None, None] * image) ** 2
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_a_chain_is_made_once_and_works_in_place_on_any_shape():
    chain = fuse([SQUARE, SQUARE])
    assert fuse([SQUARE, SQUARE]) is chain
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    expected = values**4
    assert chain(values, out=values) is values
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(chain(np.array([3], np.uint8)), [81])


def test_strided_frames_are_read_in_place():
    block = np.random.default_rng(0).integers(0, 9, (3, 8, 10)).astype(np.uint16)
    view = block[:, 1:7:2, ::3]
    result = fuse([ADD])(view, [np.ones(view.shape[1:])], [2.0])
    np.testing.assert_array_equal(result, view + 2.0)


@pytest.mark.parametrize(
    ("images", "scalars", "out", "word"),
    [
        ([], [1.0], None, "images"),
        ([np.zeros((3, 3))], [1.0], None, "images"),
        ([np.zeros((3, 4))], [], None, r"add\.factor"),
        ([np.zeros((3, 4))], [[1.0, 2.0, 3.0]], None, r"add\.factor"),
        ([np.zeros((3, 4))], [1.0], np.empty((2, 3, 5), np.float32), "out"),
        ([np.zeros((3, 4))], [1.0], np.empty((2, 3, 4)), "out"),
    ],
)
def test_what_does_not_fit_is_refused(images, scalars, out, word):
    with pytest.raises(ValueError, match=word):
        fuse([ADD])(np.zeros((2, 3, 4), np.uint16), images, scalars, out)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="empty"):
        fuse([])
    with pytest.raises(ValueError, match="a-b"):
        ScalarBody("a-b", square)
    with pytest.raises(ValueError, match="complex"):
        fuse([SQUARE])(np.zeros(3, complex))
    with pytest.raises(ValueError, match=r"\(frame, row, col\)"):
        fuse([ADD])(np.zeros((3, 4)), [np.zeros((3, 4))], [1.0])


def test_a_body_made_in_a_function_works_without_a_file_of_its_own():
    shift = np.float32(5)

    @numba.njit(**SCALAR_BODY)
    def add_shift(value):
        return value + shift

    np.testing.assert_array_equal(fuse([ScalarBody("shift", add_shift)])(np.arange(4)), np.arange(4) + 5)


PROGRAM = """
import time, numpy as np
from firstlight.kernels.flat_field import TRANSMISSION, MINUS_LOG
from firstlight.kernels.elementwise import fuse
frames = np.full((2, 4, 64), 600, np.uint16)
chain = fuse([TRANSMISSION, MINUS_LOG])
result = chain(frames, [np.full((4, 64), 100), np.full((4, 64), 1100)], [1e-6])
print(float(result.mean()), sum(chain.loop.stats.cache_hits.values()))
"""


def run_program(folder):
    source = str(Path(elementwise.__file__).parents[2])
    environment = {**os.environ, "FIRSTLIGHT_CACHE": str(folder), "PYTHONPATH": source}
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True)


def test_compiled_loops_are_shared_between_processes(tmp_path):
    together = [run_program(tmp_path), run_program(tmp_path)]
    answers = [p.communicate(timeout=100)[0].split() for p in together]
    answers.append(run_program(tmp_path).communicate(timeout=100)[0].split())
    assert [float(a[0]) for a in answers] == pytest.approx([math.log(2)] * 3, rel=1e-6)
    assert answers[2][1] == "1"  # the last one found the loop compiled
    assert len(list((tmp_path / "elementwise").glob("fused_*.py"))) == 1


def test_a_damaged_or_shared_cache_does_no_harm(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_CACHE", str(tmp_path))
    path = elementwise._store(tmp_path, "a.py", "one = 1\n")
    path.write_text("")
    assert elementwise._store(tmp_path, "a.py", "one = 1\n").read_text() == "one = 1\n"
    assert elementwise._usable_folder() == tmp_path / "elementwise"
    (tmp_path / "elementwise").chmod(0o777)
    assert elementwise._usable_folder() != tmp_path / "elementwise"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.py"]


def test_fingerprint_depends_on_the_chain():
    prints = {elementwise._fingerprint(c) for c in [(TRANSMISSION,), (MINUS_LOG,), (TRANSMISSION, MINUS_LOG)]}
    assert len(prints) == 3
    assert None not in prints
