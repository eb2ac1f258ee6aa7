"""Operators: a function and its signature are the step."""

import pickle
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from pydantic import Field, ValidationError

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan, Stream
from firstlight.core.errors import AxesError, FirstlightError
from firstlight.core.held import Held
from firstlight.core.operator import Coordinate, Operator, argument_descriptions, operator
from firstlight.core.step import Step
from firstlight.core.units import KeV, Quantity

calls: list[str] = []


@operator("row~size col, row col -> row col", cites=["10.1/x"])
def smooth(
    frames: Array, flat: Held, *, size: Annotated[int, Field(ge=1)] = 3, energy: KeV = 25.0, angle: Coordinate = None
) -> Array:
    """Smooth a little.

    More about it.

    Args:
        frames: shape (frame, row, col).
        size (int): Width of the window,
            odd.
        energy: Photon energy.

    Returns:
        The same.
    """
    return frames * size


@smooth.device("cuda")
def _cuda(frames: Array, flat: Held, *, size: int, energy: float, angle: Array | None = None) -> Array:
    return frames * size


@smooth.hook("prepare")
def _prepare(step: Operator, scan: Scan) -> None:
    calls.append("prepare")


@smooth.hook("close")
def _close(step: Operator) -> None:
    calls.append("close")


@smooth.hook("sizes")
def _sizes(step: Operator, known: Any) -> dict[str, int]:
    return {"row": 2}


@smooth.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@smooth.hook("unit")
def _unit(step: Operator, scan: Scan) -> str:
    return "1/cm"


@smooth.hook("workspace")
def _workspace(step: Operator, scan: Scan, frames: int) -> int:
    return frames * 8


@smooth.hook("calibrate")
def _calibrate(step: Operator, scan: Scan) -> Operator:
    return step.model_copy(update={"energy": 30.0})


@smooth.hook("calibration")
def _calibration(step: Operator, scan: Scan) -> dict[str, Quantity]:
    return {"pixel": Quantity(2, "um")}


@operator("->")
def plain(values: Array) -> Array:
    """Do nothing."""
    return values


SCAN = Scan({"data": Stream(("angle", "row", "col"), {"angle": 5, "row": 4, "col": 3}, "uint16")})


def test_the_name_stays_the_function() -> None:
    frames = np.ones((2, 3, 4))
    assert (smooth(frames, frames[0], size=5) == 5).all()
    step = smooth(size=5, energy="25000 eV")
    assert isinstance(step, Operator)
    assert step.parameters() == {"size": 5, "energy": 25.0}
    assert (step.run(frames, frames[0]) == 5).all()
    assert (step.run(frames, frames[0], device="cuda") == 5).all()
    assert smooth.__name__ == "smooth"


def test_the_model_is_made_of_the_signature() -> None:
    kind = smooth.step
    assert (kind.use, kind.cites, kind.arguments) == ("smooth", ("10.1/x",), ("frames", "flat"))
    assert kind.wants_held == {"flat"}
    assert kind.coordinates == ("angle",)
    assert kind.title() == "Smooth"
    assert kind.summary() == "Smooth a little."
    fields = kind.model_json_schema()["properties"]
    assert set(fields) == {"size", "energy"}
    assert fields["size"]["description"] == "Width of the window, odd."
    assert fields["size"]["title"] == "Size"
    assert fields["energy"]["unit"] == "keV"
    with pytest.raises(ValidationError):
        smooth(wrong=1)


def test_hooks_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.clear()
    step = smooth(size=7)
    step.prepare(SCAN)
    step.close()
    assert calls == ["prepare", "close"]
    stream = step.after(SCAN)["data"]
    assert (stream.size("row"), stream.dtype, stream.unit) == (2, "uint16", "1/cm")
    assert step.workspace(SCAN, 3) == 24
    assert step.calibrated(SCAN).parameters()["energy"] == 30.0
    assert step.calibration(SCAN)["pixel"].value == 2
    assert step.halo() == {"row": 3}
    smooth.hook("halo")(lambda step: {"row": 9})
    assert step.halo() == {"row": 9}
    monkeypatch.setattr(smooth.step, "hooks", {k: v for k, v in smooth.step.hooks.items() if k != "halo"})


def test_without_hooks_the_defaults_hold() -> None:
    step = plain()
    step.prepare(SCAN)
    step.close()
    stream = step.after(SCAN)["data"]
    assert (stream.axes, stream.dtype, stream.unit, stream.arrival) == (("angle", "row", "col"), "float32", None, 1)
    assert (step.halo(), step.workspace(SCAN, 3)) == ({}, 0)
    assert step.calibrated(SCAN) is step
    assert step.calibration(SCAN) == {}
    assert step.first_output == "data"


def test_steps_pickle_by_reference_and_value() -> None:
    step = smooth(size=9)
    assert pickle.loads(pickle.dumps(step)) == step


def test_a_pixelwise_body_is_kept() -> None:
    plain.pixelwise("body")
    assert plain.step.scalar == "body"
    plain.pixelwise(None)


def bad() -> Iterator[tuple[Any, str]]:
    def no_line(frames: Array, *, size: int = 1) -> Array:
        """Summary."""
        return frames

    def no_annotation(frames: Array, *, size=1) -> Array:
        """Summary.

        Args:
            size: Width.
        """
        return frames

    yield no_line, "'size' of step 'no_line' lacks a line in the docstring"
    yield no_annotation, "'size' of step 'no_annotation' lacks an annotation"


@pytest.mark.parametrize(("body", "text"), list(bad()))
def test_parameters_without_words_are_refused(body: Any, text: str) -> None:
    with pytest.raises(FirstlightError, match=text):
        operator("row col -> row col")(body)


def test_a_field_may_be_given_whole() -> None:
    @operator("->")
    def with_field(values: Array, *, size: int = Field(default=4, ge=2)) -> Array:
        """Summary.

        Arguments:
            size: Width.
        """
        return values

    assert with_field().parameters() == {"size": 4}


def test_a_missing_axis_is_named_with_the_next_move() -> None:
    line = Scan({"data": Stream(("angle", "col"), {"angle": 5, "col": 3}, "uint16")})
    with pytest.raises(AxesError, match="'smooth' needs axis 'row', but what reaches it has the axes angle col"):
        smooth().after(line)


def test_descriptions_end_with_their_section() -> None:
    text = (
        "One.\n\nArgs:\n    a: First\n        goes on: here.\n    b (int, optional): Second.\n\nRaises:\n    c: No.\n"
    )
    assert argument_descriptions(text) == {"a": "First goes on: here.", "b": "Second."}


def test_a_sentence_for_the_methods_section_names_parameters_that_exist() -> None:
    assert smooth.step.sentence == ""
    made = operator("->", sentence="Values were scaled by {factor}.")(scaled)
    assert made.step.sentence == "Values were scaled by {factor}."
    with pytest.raises(FirstlightError, match="does not exist") as caught:
        operator("->", sentence="Values were scaled by {fctor}.")(scaled)
    assert (caught.value.value, caught.value.expected) == ("fctor", "one of factor")
    with pytest.raises(FirstlightError, match="can not be read"):
        operator("->", sentence="Values were scaled by {factor.")(scaled)
    with pytest.raises(FirstlightError, match="names a parameter that does not exist"):

        class Wrong(Step):
            sentence: ClassVar[str] = "It took {time}."


def scaled(values: Array, *, factor: float = 2.0) -> Array:
    """Scale.

    Args:
        factor: The factor.
    """
    return values * factor


Rounds = Annotated[int, Field(ge=1, description="Rounds at most.")]


def test_a_type_that_describes_itself_needs_no_line_and_a_line_says_more() -> None:
    @operator("->")
    def short(frames: Array, *, rounds: Rounds = 3) -> Array:
        """Do it."""
        return frames

    @operator("->")
    def long(frames: Array, *, rounds: Rounds = 3) -> Array:
        """Do it.

        Args:
            rounds: Rounds; few suffice.
        """
        return frames

    told = [each.step.model_json_schema()["properties"]["rounds"] for each in (short, long)]
    assert [each["description"] for each in told] == ["Rounds at most.", "Rounds; few suffice."]
    assert [(each["minimum"], each["default"]) for each in told] == [(1, 3), (1, 3)]
