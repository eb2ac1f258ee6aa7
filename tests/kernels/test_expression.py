"""Expressions over pixels, against numpy evaluating the same text."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.kernels.elementwise import fuse
from firstlight.kernels.expression import DEEPEST, LONGEST, compile_expression, parse_expression
from firstlight.kernels.expression_functions import FUNCTIONS

NUMPY = {name: getattr(np, name) for name in FUNCTIONS} | {"pi": math.pi, "e": math.e, "nan": math.nan, "inf": math.inf}
VALUES = np.concatenate([np.linspace(-4, 4, 65), [0.1, 1e-3, 30.0, 65535.0, 1e-40, np.nan, np.inf, -np.inf]])


def ours(text, values=VALUES):
    return fuse([compile_expression(text)])(values.astype(np.float32))


def numpys(text, values=VALUES):
    """The same text by numpy in float32; only for texts that a test made."""
    with np.errstate(all="ignore"):
        found = eval(text, {"__builtins__": {}}, NUMPY | {"v": values.astype(np.float32)})
        return np.broadcast_to(np.asarray(found, np.float32), values.shape)


@pytest.mark.parametrize(
    "text",
    [
        "-log(v)",
        "where(v > 0, v, 0)",
        "where((v > -1) & (v < 2) | isnan(v), 1, v ** 2)",
        "v * (v > 1) + 3",
        "~(v > 1) * 1.0",
        "exp(-v * v / 2) / sqrt(2 * pi)",
        "where(isfinite(v), clip(v, -1, 1.5), -7)",
        "minimum(v, 1) - maximum(v, -1)",
        "round(v) + floor(v) - ceil(v)",
        "sign(v) * abs(v)",
        "arctan2(v, 2) + hypot(v, 1)",
        "sin(v) + cos(v) * tanh(v) - arctan(v)",
        "log10(abs(v)) + log2(abs(v) + 1)",
        "log1p(abs(v)) - expm1(-abs(v))",
        "abs(v) ** 0.5 + v ** 3 - 2 ** -2",
        "(v == 0) + (v != 1) * 2 - (v >= 2) - (v <= -2)",
        "tan(v / 4)",
        "+v - -e + inf * 0",
        "12345678901234567890 * v",
        "1",
    ],
)
def test_each_means_what_numpy_makes_of_it(text):
    finite = (
        np.concatenate([VALUES[:-3], [0.0]]) if "sin(" in text else VALUES
    )  # sin(inf) is NaN in both, with a warning
    np.testing.assert_allclose(ours(text, finite), numpys(text, finite), rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("1 < v < 3", "(1 < v) & (v < 3)"),
        ("v > 1 and v < 2 or not v > -3", "(v > 1) & (v < 2) | ~(v > -3)"),
        ("where(True, v, 2)", "v * 1"),
        ("not v", "v == 0"),
    ],
)
def test_python_words_and_chains_mean_what_they_say(text, same):
    np.testing.assert_array_equal(ours(text), numpys(same))


numbers = st.integers(-8, 8).map(lambda n: f"({n / 4})")
exact_leaf = st.one_of(st.just("v"), numbers)


def exact(inner):
    """Pieces whose float32 arithmetic is exact on quarters, so that comparisons can not flip."""
    compare = st.builds("({} {} {})".format, inner, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner)
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-"), inner),
        st.builds("({} * 0.5)".format, inner),
        st.builds("(-{})".format, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["minimum", "maximum"]), inner, inner),
        st.builds("{}({})".format, st.sampled_from(["abs", "floor", "ceil", "round", "sign"]), inner),
        st.builds("clip({}, -2, 3)".format, inner),
        st.builds("where({} & ~{}, {}, {})".format, compare, compare, inner, inner),
        st.builds("({} * {})".format, compare, inner),
    )


# few and large: each is compiled
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.recursive(exact_leaf, exact, max_leaves=12))
def test_made_up_expressions_agree_exactly(text):
    values = np.concatenate([np.arange(-20, 21) / 4, [np.nan, np.inf, -np.inf]])
    np.testing.assert_array_equal(ours(text, values), numpys(text, values))


smooth_leaf = st.one_of(st.just("v"), st.floats(0.125, 8, width=16).map(str))


def smooth(inner):
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+*"), inner),
        st.builds("({} / (1 + {}))".format, inner, inner),
        st.builds("log(1 + {})".format, inner),
        st.builds("exp(-{})".format, inner),
        st.builds("({} ** {})".format, inner, st.sampled_from(["2", "0.5", "1.5"])),
        st.builds("{}({})".format, st.sampled_from(["sqrt", "log1p", "arctan", "tanh"]), inner),
    )


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.recursive(smooth_leaf, smooth, max_leaves=8))
def test_made_up_functions_agree_to_float32(text):
    values = np.linspace(0.01, 5, 40)  # everything stays positive: no cancellation
    np.testing.assert_allclose(ours(text, values), numpys(text, values), rtol=2e-5, atol=1e-30)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os')", "there is no function '__import__'"),
        ("v.__class__", "can not stand in an expression"),
        ("(lambda: 1)()", "can not stand in an expression"),
        ("[v for v in v]", "can not stand"),
        ("v if v else 1", "can not stand"),
        ("v[0]", "can not stand"),
        ("'text'", "can not stand"),
        ("1j * v", "can not stand"),
        ("v in v", "can not stand"),
        ("v // 2", "can not stand"),
        ("~v", "can not stand"),
        ("v & 3", "can not stand"),
        ("log(v, base=2)", "can not stand"),
        ("lg(v)", "did you mean 'log'"),
        ("frobnicate(v)", "expected one of abs"),
        ("where(v, 1)", "takes 3 values, not 2"),
        ("w + 1", "the value of a pixel is 'v'"),
        ("v +", "is no expression"),
        ("", "is no expression"),
        ("v\0", "is no expression"),
        ("v; v", "is no expression"),
        ("v = 3", "is no expression"),
        ("v" * (LONGEST + 1), "expected at most 1000"),
        ("-" * (DEEPEST + 5) + "v", "nested more than 50"),
        ("(" * 400 + "v" + ")" * 400, "is no expression"),
        ("1" * 900, "too large"),
    ],
)
def test_everything_else_is_refused_by_name(text, message):
    with pytest.raises(ValueError, match=message):
        parse_expression(text)
    with pytest.raises(ValueError, match=message):
        compile_expression(text)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text("v()+-*/<>=&|~.,'\"[]{}:\\ 0123456789eElogxpabs_\n", max_size=60)))
def test_any_text_is_an_expression_or_a_value_error(text):
    try:
        normal = parse_expression(text)
    except ValueError:
        return
    assert parse_expression(normal) == normal


def test_the_same_expression_is_the_same_loop():
    assert fuse([compile_expression("v + 1")]) is fuse([compile_expression("v + 1")])
    assert compile_expression("v + 1") != compile_expression("v + 2")
