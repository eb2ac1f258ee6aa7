"""Steps that are sums over the same frames, as one pass over memory."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from firstlight.core.chunk import Chunk
from firstlight.core.fold import Fold
from firstlight.core.one_pass import Wanted
from firstlight.core.operator import Operator
from firstlight.core.plan import Planned, Port
from firstlight.kernels.mask_products import FrameSums, Masks, frame_sums
from firstlight.kernels.sparse_frames import SparseFrames, sparse_sums

from .context import Context
from .failing import step_failed
from .fold_station import FoldStation
from .stations import Consumer

FRAME = ("row", "col")


@dataclass(frozen=True, slots=True)
class _Request:
    """What several steps need together, and which part is whose."""

    steps: tuple[Any, ...]
    """The steps with the parameters that hold now: as long as they do, so does the request."""
    masks: Masks | None
    moments: Masks | None
    image: bool
    parts: Mapping[str, tuple[Wanted, slice]]

    def sums(self, chunk: Chunk) -> dict[str, FrameSums]:
        """One pass over a chunk; the share of each step."""
        data: Any = chunk.data
        if isinstance(data, SparseFrames):
            found = sparse_sums(data, self.masks, moments=self.moments, image=self.image)
        else:
            found = frame_sums(chunk.data, self.masks, moments=self.moments, image=self.image)
        return {
            name: FrameSums(
                None if wanted.masks is None or found.masks is None else found.masks[:, part],
                None if wanted.moments is None else found.moments,
                found.image if wanted.image else None,
            )
            for name, (wanted, part) in self.parts.items()
        }


class Sharing:
    """Which steps of a stage are sums over the same frames."""

    def __init__(self, maps: Sequence[Planned], consumers: Mapping[Port, Sequence[Consumer]], context: Context) -> None:
        """Find them; a step that shares with nobody is left alone, unless frames are sparse."""
        self._context = context
        self._lock = Lock()
        self._requests: dict[Port, _Request | None] = {}
        found: dict[Port, dict[str, Planned | FoldStation]] = defaultdict(dict)
        for planned in maps:
            hooks = planned.step.hooks if isinstance(planned.step, Operator) else {}
            if "wanted" in hooks and not planned.held and planned.cut is None:
                found[planned.main][planned.name] = planned
        for port, behind in consumers.items():
            for station in behind:
                if isinstance(station, FoldStation) and station.sums:
                    found[port][station.step_name] = station
        self._members = found

    def of(self, port: Port) -> Mapping[str, Any]:
        """The steps behind a port that share, by name."""
        return self._members.get(port, {})

    def sums(self, port: Port, chunk: Chunk) -> dict[str, FrameSums]:
        """What each of them gets of one chunk; nothing where they must be done one by one."""
        members = self._members.get(port)
        if not members or chunk.axes != FRAME or chunk.where or (len(members) == 1 and not chunk.sparse):
            return {}
        steps: list[Any] = []
        for member in members.values():
            if isinstance(member, FoldStation):
                steps.append(member.fold)
                continue
            pieces = [step for _, step in self._context.in_force(member, chunk)]
            if len(pieces) != 1:
                return {}
            steps.append(pieces[0])
        request = self._request(port, members, tuple(steps), chunk)
        if request is None:
            return {}
        started = time.perf_counter()
        found = request.sums(chunk)
        self._context.worked(" & ".join(request.parts), time.perf_counter() - started, chunk)
        return found

    def _request(self, port: Port, members: Mapping[str, Any], steps: tuple[Any, ...], chunk: Chunk) -> _Request | None:
        """What these steps need together; made anew when a parameter changes."""
        with self._lock:
            known = self._requests.get(port)
            if known is None or any(a is not b and a != b for a, b in zip(known.steps, steps, strict=True)):
                self._requests[port] = known = _together(dict(zip(members, steps, strict=True)), chunk)
            return known


def _together(steps: Mapping[str, Any], chunk: Chunk) -> _Request | None:
    size = (chunk.data.shape[1], chunk.data.shape[2])
    stacks: list[Any] = []
    parts: dict[str, tuple[Wanted, slice]] = {}
    moments: Any = None
    place, image = 0, False
    for name, wanted in _needs(steps, size, chunk):
        if wanted.moments is not None and moments is not None and not np.array_equal(moments, wanted.moments):
            continue  # moments inside another mask take a pass of their own
        moments = wanted.moments if wanted.moments is not None else moments
        count = 0 if wanted.masks is None else len(wanted.masks)
        parts[name] = (wanted, slice(place, place + count))
        stacks += [] if wanted.masks is None else [wanted.masks]
        place, image = place + count, image or wanted.image
    masks = Masks(np.concatenate(stacks)) if stacks else None
    return _Request(tuple(steps.values()), masks, None if moments is None else Masks(moments[None]), image, parts)


def _needs(steps: Mapping[str, Any], size: tuple[int, int], chunk: Chunk) -> Iterator[tuple[str, Wanted]]:
    for name, step in steps.items():
        try:
            wanted = step.wanted(size) if isinstance(step, Fold) else step.hooks["wanted"](step, size)
        except Exception as error:
            raise step_failed(name, error, step.model_dump(), chunk) from error
        if wanted is not None:
            yield name, wanted
