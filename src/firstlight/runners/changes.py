"""Changing parameters while a run goes on: all of a set, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from firstlight.core.errors import ChangeRefused, FirstlightError, UnknownName
from firstlight.core.held import Place
from firstlight.core.plan import Planned
from firstlight.core.run import Change, Event
from firstlight.core.step import Step

from .context import Context, Setting
from .describe import changeable
from .fold_station import FoldStation
from .held_inputs import with_parameters


def apply_changes(
    context: Context, stations: Mapping[str, FoldStation], changes: Mapping[str, Mapping[str, Any]]
) -> Place:
    """Validate a set of changes, then put it in force from the next frame on.

    Raises:
        UnknownName: No such step or parameter.
        ChangeRefused: A value is not valid, or a step can not change while it runs; nothing has changed then.
    """
    with context.changing:
        before = {name: _now(context, stations, name) for name in changes}
        for name in before:
            _not_begun(context, name)
        wanted = {name: _validated(context, name, before[name], values) for name, values in changes.items()}
        taken_over = dict(context.overridden)
        _take_over(context, changes, context.intake.next_place)
        try:
            _change_folds(stations, before, wanted)
        except FirstlightError:
            context.overridden = taken_over
            raise
        # no frame may come in between the place that is answered and the parameters that hold from there
        with context.intake.held_back() as place, context.lock:
            for name in wanted:
                _not_begun(context, name)
            _take_over(context, changes, place)
            for name, step in wanted.items():
                _put_in_force(context, name, before[name], step, place, changes[name])
    return place


def _now(context: Context, stations: Mapping[str, FoldStation], name: str) -> Step:
    """A step as it is now; a fold with what other steps have found for it."""
    if name not in context.settings:
        raise UnknownName(
            f"There is no step '{name}'.", field="step", value=name, expected="one of " + ", ".join(context.settings)
        )
    return stations[name].fold if name in stations else context.current(name)


def _take_over(context: Context, changes: Mapping[str, Mapping[str, Any]], place: Place) -> None:
    """From here on the user's values hold, whatever other steps find."""
    for name, values in changes.items():
        context.overridden.update({(name, parameter): place for parameter in values})


def _not_begun(context: Context, name: str) -> None:
    """Refuse to change a step behind a regrouping once it has begun: half of its result would be of another kind."""
    if name in context.begun:
        raise ChangeRefused(
            f"'{name}' works on the complete scan already.",
            field="step",
            value=name,
            expected="a change before the scan is complete",
            next_move="Run the job again on the recorded scan, with the new value.",
        )


def _change_folds(stations: Mapping[str, FoldStation], before: Mapping[str, Step], wanted: Mapping[str, Step]) -> None:
    """Convert the state of each fold; if one refuses, those before it are converted back."""
    applied: list[str] = []
    try:
        for name in (name for name in wanted if name in stations):
            stations[name].change(wanted[name])
            applied.append(name)
    except FirstlightError:
        for name in applied:
            stations[name].change(before[name])
        raise


def _validated(context: Context, name: str, step: Step, values: Mapping[str, Any]) -> Step:
    for parameter in values:
        if parameter not in type(step).model_fields:
            raise UnknownName(
                f"Step '{name}' has no parameter '{parameter}'.",
                field=parameter,
                value=values[parameter],
                expected="one of " + ", ".join(type(step).model_fields),
            )
    if not changeable(step):
        raise ChangeRefused(f"Step '{name}' can not be changed while it runs.", field="step", value=name)
    planned = context.plan[name]
    _same_shapes(planned, step, changed := _build(step, values))
    _same_halo(planned, changed)
    return changed


def _build(step: Step, values: Mapping[str, Any]) -> Step:
    try:
        return with_parameters(step, values)
    except ValidationError as error:
        mistake = error.errors()[0]
        field = ".".join(str(part) for part in mistake["loc"])
        raise ChangeRefused(f"{mistake['msg']}.", field=field, value=mistake["input"]) from error


def _same_shapes(planned: Planned, old: Step, new: Step) -> None:
    before, after = (
        step.after(planned.scan) if planned.along is None else step.after_blocks(planned.scan, planned.along)
        for step in (old, new)
    )
    for output in before:
        if dict(before[output].sizes) != dict(after[output].sizes) or before[output].dtype != after[output].dtype:
            raise ChangeRefused(
                f"The change would give '{planned.name}.{output}' another size.",
                field="sizes",
                value=dict(after[output].sizes),
                expected=str(dict(before[output].sizes)),
                next_move="Stop the run and start it with the new value.",
            )


def _same_halo(planned: Planned, new: Step) -> None:
    """Blocks bring along the neighbours that were planned, and no more."""
    needed = 0 if planned.along is None else new.halo().get(planned.along, 0)
    if needed > planned.halo:
        raise ChangeRefused(
            f"With the change '{planned.name}' would need more neighbours along '{planned.along}' than the blocks have.",
            field="halo",
            value=needed,
            expected=f"at most {planned.halo}",
            next_move="Stop the run and start it with the new value.",
        )


def _put_in_force(context: Context, name: str, old: Step, step: Step, place: Place, values: Mapping[str, Any]) -> None:
    settings = [setting for setting in context.settings[name] if setting.since < place]
    context.settings[name] = (*settings, Setting(place, step))
    for parameter in values:
        was, is_now = getattr(old, parameter), getattr(step, parameter)
        context.changes.append(Change(name, parameter, was, is_now, place[0], place[1]))
        text = f"{name}.{parameter}: {was!r} → {is_now!r} from frame {place[1]} (epoch {place[0]})"
        context.tell(Event("change", text, data={"step": name, "parameter": parameter, "new": is_now}))
