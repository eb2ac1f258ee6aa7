"""What every step is: a frozen model whose fields are its parameters, with a signature in axis labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationInfo, field_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .axes import DEFAULT_OUTPUT, Pattern, Signature, halo_of, output_axes, parse_signature, without_axis
from .chunk import Scan, Stream
from .errors import AxesError, FirstlightError
from .units import Quantity

_LIMITS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def _name_limits(schema: dict[str, Any]) -> None:
    """Rename what pydantic writes for limits on a validated number (``gt``) to what JSON schema calls it."""
    for short, standard in _LIMITS.items():
        if short in schema:
            schema[standard] = schema.pop(short)
    for inner in (*schema.get("anyOf", ()), *schema.get("prefixItems", ()), schema.get("items")):
        if isinstance(inner, dict):
            _name_limits(cast("dict[str, Any]", inner))


DESCRIBED: Mapping[str, Any] = {"use_attribute_docstrings": False}
"""For models that are made, not written: their fields have descriptions already, and to look for a class statement that is
not there costs pydantic a walk through every frame of the stack and, for each, through every module (30 ms a model)."""

_MISSING_ANGLES = "The source does not know the angles of its frames: give it where they are (of pva: theta, or angle_start and angle_step)."


class Configured(BaseModel):
    """A named plugin whose fields are its parameters; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)

    use: ClassVar[str] = ""
    """The name under which it is registered."""
    cites: ClassVar[tuple[str, ...]] = ()
    """DOIs of what it implements."""
    sentence: ClassVar[str] = ""
    """What it does, for a methods section: past tense, ``{parameter}`` where a value (with its unit) goes. Behind a noun that
    names the value, ``{parameter:noun}``: "at column 12", or "at the column found by find_center"."""

    runs_code: ClassVar[bool] = False
    """True if a parameter of it can make code of the user's choice run; jobs from the network may not use it then."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a sentence about a parameter that does not exist."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.check_sentence()

    @classmethod
    def check_sentence(cls) -> None:
        """Look whether each brace of the sentence names a parameter.

        Raises:
            FirstlightError: One does not, or a brace is not closed.
        """
        try:
            named = [name for _, name, _, _ in Formatter().parse(cls.sentence) if name is not None]
        except ValueError as error:
            raise FirstlightError(
                f"The sentence of '{cls.__name__}' can not be read: {error}.", field="sentence"
            ) from None
        for name in named:
            if name not in cls.model_fields:
                raise FirstlightError(
                    f"The sentence of '{cls.__name__}' names a parameter that does not exist.",
                    field="sentence",
                    value=name,
                    expected="one of " + (", ".join(cls.model_fields) or "none"),
                )

    @field_validator("*", mode="before")
    @classmethod
    def _files_have_no_address(cls, given: Any, info: ValidationInfo) -> Any:
        """Refuse ``s3://bucket/rec.h5`` where a file is meant: as a path it would name a folder ``s3:`` of this machine."""
        if isinstance(given, str) and "://" in given:
            kind = cls.model_fields[info.field_name or ""].annotation
            if Path in (kind, *get_args(kind)):
                raise ValueError(
                    f"'{cls.use}' takes a file of this machine, and this is an address (zarr takes s3://…)"
                )
        return given

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of the fields, with limits under their standard names also where a field has a unit."""
        found = handler.resolve_ref_schema(handler(schema))
        for each in found.get("properties", {}).values():
            _name_limits(each)
        return found

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    @classmethod
    def title(cls) -> str:
        """The name in words."""
        return cls.use.replace("_", " ").capitalize()


class Step(Configured):
    """A step of a pipeline: operator, fold, solver or arrangement."""

    signature: ClassVar[Signature]
    arguments: ClassVar[tuple[str, ...]] = ("frames",)
    """Names of the data arguments, in the order of the signature's inputs."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Let a class give its signature as text."""
        super().__pydantic_init_subclass__(**kwargs)
        declared: Any = cls.__dict__.get("signature")
        if isinstance(declared, str):
            cls.signature = parse_signature(declared)

    if not TYPE_CHECKING:

        @classmethod
        def __class_getitem__(cls, state: Any) -> type:
            """The step itself: of what type its state is concerns type checkers alone, and changes no field of the model.

            A class that leaves the type open says so in its base alone: ``class Mine(Fold[State])``.
            """
            return cls

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> Mapping[str, int | None]:
        """Lengths of the axes that this step makes or changes; the others keep theirs."""
        return {}

    def dtype(self, given: str) -> str:
        """Type of the values that come out, for a type that goes in."""
        return "float32"

    def unit(self, scan: Scan) -> str | None:
        """Unit of the values that come out."""
        return None

    def units(self, scan: Scan) -> Mapping[str, str | None]:
        """Units of those outputs that have another than `unit`, by output."""
        return {}

    def calibration(self, scan: Scan) -> Mapping[str, Quantity]:
        """The calibration of what comes out; a step that changes the pixel size says so here."""
        return scan.calibration

    def calibrated(self, scan: Scan) -> Self:
        """This step with the parameters that it takes from the scan (pixel size, energy) where the user gave none."""
        return self

    def after_scan(self, shown: Mapping[str, Any], folder: Path) -> Self:
        """This step for the scan that follows one of the same run.

        Args:
            shown: What is known of this step's outputs by then, by name.
            folder: Where it may leave files that it then names in its parameters.
        """
        return self

    def halo(self) -> dict[str, int]:
        """Neighbours needed on each side, per axis of the first argument."""
        return halo_of(self.signature.first, self.model_dump())

    def after(self, scan: Scan) -> dict[str, Stream]:
        """The streams that come out, by output name, when `scan.main` goes in.

        Raises:
            AxesError: The main stream lacks an axis that the step needs.
        """
        return self._after(scan, None)

    def after_blocks(self, scan: Scan, along: str) -> dict[str, Stream]:
        """The same where the arrival axis `along`, which the step needs with a halo, comes in overlapping blocks.

        It stays in front, as if it were free.

        Raises:
            AxesError: The main stream lacks an axis that the step needs.
        """
        return self._after(scan, along)

    def _after(self, scan: Scan, along: str | None) -> dict[str, Stream]:
        stream = scan.main
        free = self.free_axes(stream) if along is None else (along, *self.free_axes(stream))
        sizes, units = {**stream.sizes, **self.sizes(stream.sizes, scan)}, self.units(scan)
        return {
            name: replace(
                self._output(without_axis(pattern, along), stream, free, sizes), unit=units.get(name, self.unit(scan))
            )
            for name, pattern in self.signature.outputs.items()
        }

    def free_axes(self, stream: Stream) -> tuple[str, ...]:
        """The axes of a stream that this step does not need.

        Raises:
            AxesError: The stream lacks an axis that the step needs.
        """
        first = self.signature.first
        for label in (*first.whole, *(piece for piece in first.pieces if piece != "*")):
            if label not in stream.axes:
                raise AxesError(
                    f"'{self.use}' needs axis '{label}', but what reaches it has the axes {' '.join(stream.axes) or '(none)'}.",
                    field="signature",
                    value=self.signature.text,
                    next_move=_MISSING_ANGLES
                    if label == "angle" and "time" in stream.axes
                    else "Put the step before the one that takes this axis away, or give it other inputs.",
                )
        if "*" in first.pieces:
            return ()
        return tuple(label for label in stream.axes if label not in first.whole and label not in first.pieces)

    def _output(
        self, pattern: Pattern, stream: Stream, free: tuple[str, ...], sizes: Mapping[str, int | None]
    ) -> Stream:
        axes = output_axes(pattern, free)
        renamed = {pattern.renamed.get(old, old): sizes.get(old) for old in free}
        lengths = {label: renamed[label] if label in renamed else sizes.get(label) for label in axes}
        arriving = sum(label in free for label in stream.arrival_axes)
        return replace(stream, axes=axes, sizes=lengths, dtype=self.dtype(stream.dtype), arrival=arriving)

    def block(self) -> int:
        """How many blocks at once this step works fastest on."""
        return 1

    def workspace(self, scan: Scan, frames: int) -> int:
        """Extra memory in byte for a block of so many frames, beyond input and output."""
        return 0

    def shared(self, scan: Scan) -> int:
        """Memory in byte of what all threads use together, such as tables."""
        return 0

    @property
    def first_output(self) -> str:
        """The output that ``{from: step}`` and the next step mean."""
        return next(iter(self.signature.outputs), DEFAULT_OUTPUT)
