"""Steps that wait for a parameter without a default, which another step finds while the job runs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar, Optional, cast

from pydantic import Field, create_model

from . import registry
from .errors import FirstlightError
from .operator import Operator, OperatorFunction
from .step import DESCRIBED, Step


class Waiting(Step):
    """A step whose parameters are not all known yet; those that come stand as None until then.

    It is never run as it is: the runner puts the value in, which the parameter's own type checks, before the first frame.
    """

    waits_for: ClassVar[tuple[str, ...]] = ()
    """The parameters without a value."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the name of the step, plus values."""
        return (_restored, (self.use, self.waits_for, self.model_dump()))


def waiting(kind: type[Step], held: Iterable[str]) -> type[Step]:
    """The model of a step, of which some parameters come from other steps: those may be absent.

    Args:
        kind: The model.
        held: Parameters that come while the job runs; one that does not exist is passed over.
    """
    fields = kind.model_fields
    absent = tuple(name for name in held if name in fields and fields[name].is_required())
    return _made(kind, absent) if absent else kind


@cache
def _made(kind: type[Step], absent: tuple[str, ...]) -> type[Step]:
    fields: dict[str, Any] = {
        name: (
            Optional[kind.model_fields[name].rebuild_annotation()],  # noqa: UP045  (a run-time type)
            Field(None, title=kind.model_fields[name].title, description=kind.model_fields[name].description),
        )
        for name in absent
    }
    bases: Any = (Waiting, kind)
    made = cast(
        "type[Waiting]",
        create_model(
            kind.__name__,
            __base__=bases,
            __module__=kind.__module__,
            __doc__=kind.__doc__,
            __cls_kwargs__=dict(DESCRIBED),
            **fields,
        ),
    )
    made.waits_for = absent
    return made


def check_waiting(step: Step, kind: str, before_first: str) -> None:
    """See that a step which can not work without a value gets it before its first frame.

    Args:
        step: Any step.
        kind: map, fold or arrange.
        before_first: What it does with frames that come before the value.

    Raises:
        FirstlightError: It begins without.
    """
    if not isinstance(step, Waiting):
        return
    prepares = isinstance(step, Operator) and (type(step).prepare is not Operator.prepare or "prepare" in step.hooks)
    if kind != "map" or before_first != "hold" or prepares:
        raise FirstlightError(
            f"'{step.use}' can not begin without {', '.join(step.waits_for)}, which another step finds while the job runs.",
            field="before_first",
            value=before_first,
            expected="a value from the start, or a step that holds its frames until it is known",
            next_move=f"Give {step.waits_for[0]} a value"
            + (", or the step 'before_first: hold'." if kind == "map" and not prepares else "."),
        )


def unplannable(step: Waiting, error: TypeError) -> str:
    """What to say of a step whose sizes can not be known before its values are."""
    return (
        f"what '{step.use}' gives can not be planned without {', '.join(step.waits_for)}, which another step finds while"
        f" the job runs ({error}). Give it a value."
    )


def _restored(use: str, absent: tuple[str, ...], values: dict[str, Any]) -> Step:
    found = registry.get("operators", use)
    return waiting(found.step if isinstance(found, OperatorFunction) else found, absent)(**values)
