"""Signatures: what is written is what is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.core.axes import Pattern, halo_of, output_axes, parse_signature
from firstlight.core.errors import AxesError

labels = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)


@st.composite
def inputs(draw: st.DrawFn) -> tuple[str, Pattern]:
    names = draw(st.lists(labels, max_size=4, unique=True))
    whole, pieces, halo, tokens = [], [], {}, []
    for name in names:
        how = draw(st.sampled_from(["whole", "piece", "halo", "named halo"]))
        if how == "piece":
            pieces.append(name)
            tokens.append(f"[{name}]")
            continue
        whole.append(name)
        if how == "whole":
            tokens.append(name)
        else:
            halo[name] = draw(st.integers(0, 99)) if how == "halo" else draw(labels)
            tokens.append(f"{name}~{halo[name]}")
    return " ".join(tokens), Pattern(tuple(whole), tuple(pieces), halo)


@given(
    st.lists(inputs(), min_size=1, max_size=3),
    st.dictionaries(labels, st.lists(labels, max_size=3, unique=True), min_size=1, max_size=3),
)
def test_what_is_written_is_what_is_read(left: list[tuple[str, Pattern]], right: dict[str, list[str]]) -> None:
    text = ", ".join(t for t, _ in left) + " -> " + ", ".join(f"{n}: {' '.join(axes)}" for n, axes in right.items())
    signature = parse_signature(text)
    assert signature.inputs == tuple(pattern for _, pattern in left)
    assert {n: list(p.whole) for n, p in signature.outputs.items()} == right
    assert signature.first == left[0][1]
    assert parse_signature(signature.text) == signature


@given(st.text(max_size=30))
def test_any_text_is_a_signature_or_a_clear_error(text: str) -> None:
    try:
        parse_signature(text)
    except AxesError as error:
        assert error.field == "signature"  # noqa: PT017


def test_renaming_and_elementwise() -> None:
    signature = parse_signature("angle col -> z=row y x")
    assert signature.outputs["data"].renamed == {"row": "z"}
    assert output_axes(signature.outputs["data"], ("row", "time")) == ("z", "time", "y", "x")
    plain = parse_signature("->")
    assert plain.first == Pattern()
    assert parse_signature("[*] row col -> row col").first.pieces == ("*",)


def test_a_halo_may_be_the_width_of_a_window() -> None:
    pattern = parse_signature("row~1 col~size -> row col").first
    assert halo_of(pattern, {"size": 7}) == {"row": 1, "col": 3}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("row col", "arrow"),
        ("Row -> x", "'Row'"),
        ("row~ -> x", "'row~'"),
        ("row row -> x", "twice"),
        ("row [row] -> x", "twice"),
        ("row -> [row]", "Brackets"),
        ("z=row -> z", "Brackets"),
        ("row -> a: x, a: y", "same name"),
        ("row ->x, y", "same name"),
    ],
)
def test_mistakes_are_named(text: str, word: str) -> None:
    with pytest.raises(AxesError, match=word) as caught:
        parse_signature(text)
    assert repr(text) in str(caught.value)
