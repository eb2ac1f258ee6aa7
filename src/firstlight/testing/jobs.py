"""Jobs that every runner must do right: one for each way in which data can flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Scan, Stream
from firstlight.core.pipeline import Node, Pipeline, Reference

from .play import cut, projections
from .steps import Adding, level, linger, median_of_angles, median_of_rows, row_steps, scale, subtract, total

LOST = (5, 6, 11)


@dataclass(frozen=True, slots=True)
class Example:
    """A scan, what its source gives, and what is done with it."""

    scan: Scan
    main: list[Chunk]
    """Chunks of the main stream, in the order of their ids: a test may cut and shuffle them."""
    before: list[Item] = field(default_factory=list[Item])
    """Items of other streams, which come first."""
    gaps: list[Item] = field(default_factory=list[Item])
    pipeline: Pipeline = field(default_factory=lambda: Pipeline(()))


def node(step: object, name: str, after: str | None = None, **held: str) -> Node:
    """A step in its place; `held` names where parameters come from."""
    inputs = {} if after is None else {step.arguments[0]: Reference.parse(after)}  # type: ignore[attr-defined]
    return Node(step, name, inputs, {key: Reference.parse(text) for key, text in held.items()})  # type: ignore[arg-type]


def _projections(*, lost: tuple[int, ...] = (), known: bool = True) -> tuple[Scan, list[Chunk], list[Item]]:
    scan, frames = projections(known=known)
    kept = np.array([i for i in range(len(frames)) if i not in lost])
    chunks = cut(frames[kept], ids=kept, coords={"angle": scan.coords["angle"][kept]})
    return scan, chunks, [Gap(0, i, i, "never came") for i in lost]


def flats() -> list[Item]:
    """Two sets of flat frames, before frame 0 and before frame 12."""
    first, second = np.full((2, 3, 8), 2, np.float32), np.full((3, 3, 8), 5, np.float32)
    return [
        *cut(first, ids=[-2, -1], stream="flat"),
        End("flat", 0),
        *cut(second, ids=[12, 12, 12], stream="flat", number=1),
        End("flat", 1),
        End("flat"),
    ]


def per_frame() -> Example:
    """Frames through two steps, with lost frames."""
    scan, main, gaps = _projections(lost=LOST)
    steps = (node(linger(), "linger"), node(scale(factor=3.0), "scale"))
    return Example(scan, main, gaps=gaps, pipeline=Pipeline(steps))


def two_sets() -> Example:
    """Flats of two sets, each for the frames from its id on."""
    scan, main, _ = _projections()
    held = {"background": Reference("source", "flat")}
    steps = (Node(subtract(), "subtract", held), node(scale(factor=2.0), "scale"))
    return Example(scan, main, flats(), pipeline=Pipeline(steps))


def fused() -> Example:
    """Steps that work pixel by pixel, which a runner may do in one pass; flats of two sets, and one set of darks."""
    scan, main, gaps = _projections(lost=LOST)
    scan = replace(scan, streams={**scan.streams, "dark": scan.streams["flat"]}, order=("dark", "flat", MAIN))
    light = [replace(c, data=c.data + 100) if isinstance(c, Chunk) else c for c in flats()]
    darks: list[Item] = [*cut(np.ones((2, 3, 8), np.float32), ids=[-4, -3], stream="dark"), End("dark", 0), End("dark")]
    names = ("flat_field", "normalize_by_region", "normalize_by_monitor", "minus_log")
    flat_field, by_region, by_monitor, minus_log = (registry.get("operators", name) for name in names)
    beam = [replace(chunk, coords={**chunk.coords, "monitor": 50.0 + chunk.ids}) for chunk in main]
    steps = (
        node(flat_field(), "flat_field"),
        node(by_region(columns=(0, 3)), "by_region", "flat_field"),
        node(by_monitor(reference=60.0), "by_monitor", "by_region"),
        node(minus_log(), "minus_log", "by_monitor"),
        node(Adding(), "adding", "minus_log"),
    )
    return Example(scan, beam, [*darks, *light], gaps, Pipeline(steps))


def folds_of_one_stream() -> Example:
    """A diamond: one step feeds two folds and a result."""
    scan, main, gaps = _projections(lost=LOST)
    steps = (
        node(scale(factor=2.0), "scale"),
        node(Adding(), "adding", "scale"),
        node(Adding(factor=2.0), "twice", "scale"),
        node(total(), "total", "scale"),
    )
    return Example(scan, main, gaps=gaps, pipeline=Pipeline(steps))


def whole_axis() -> Example:
    """A step that needs every angle, between steps that need a frame; frames are lost."""
    scan, main, gaps = _projections(lost=LOST)
    steps = (node(scale(factor=2.0), "scale"), node(level(), "level"), node(scale(factor=0.5), "half", "level"))
    return Example(scan, main, gaps=gaps, pipeline=Pipeline(steps))


def neighbours() -> Example:
    """Steps with halos along the axis of the blocks, with takers in between; frames are lost."""
    scan, frames = projections(rows=12)
    kept = np.array([i for i in range(len(frames)) if i not in LOST])
    main = cut(frames[kept], ids=kept, coords={"angle": scan.coords["angle"][kept]})
    steps = (
        node(level(), "level"),
        node(median_of_rows(size=5), "median"),
        node(scale(factor=0.5), "half", "median"),
        node(row_steps(), "steps", "median"),
        node(median_of_rows(size=3), "again", "steps"),
        node(median_of_angles(size=3), "angles", "source.data"),
    )
    return Example(scan, main, gaps=[Gap(0, i, i, "never came") for i in LOST], pipeline=Pipeline(steps))


def value_of_a_fold() -> Example:
    """A parameter that is known only at the end of the same frames, and a fold that takes it while it goes on."""
    scan, main, gaps = _projections(lost=LOST)
    steps = (
        node(Adding(), "adding", "source.data"),
        node(scale(), "scale", "source.data", factor="adding.count"),
        node(Adding(), "again", "source.data", factor="adding.count"),
    )
    return Example(scan, main, gaps=gaps, pipeline=Pipeline(steps))


def image_of_a_fold() -> Example:
    """The sum of all frames, worked on, then subtracted from each of them."""
    scan, main, gaps = _projections(lost=LOST)
    held = {"frames": Reference("source", "data"), "background": Reference("half")}
    steps = (
        node(Adding(), "adding", "source.data"),
        node(scale(factor=0.5), "half", "adding.image"),
        Node(subtract(), "subtract", held),
    )
    return Example(scan, main, gaps=gaps, pipeline=Pipeline(steps))


def grid() -> Example:
    """Frames on a grid of scan points: a number for each, and a sum."""
    frames = np.random.default_rng(1).integers(0, 9, (30, 4, 4)).astype(np.uint16)
    sizes = {"scan_y": 5, "scan_x": 6, "row": 4, "col": 4}
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "uint16", arrival=2)})
    steps = (node(total(), "total"), node(Adding(), "adding", "source.data"))
    return Example(scan, cut(frames), pipeline=Pipeline(steps))


def joined() -> Example:
    """Frames joined with positions by id, with gaps in both, into a fold."""
    scan, main, gaps = _projections(lost=LOST, known=False)
    places = np.random.default_rng(2).random((24, 2)).astype(np.float32)
    stream = Stream(("position", "xy"), {"position": None, "xy": 2}, "float32")
    scan = Scan({**scan.streams, "positions": stream}, coords=scan.coords)
    before: list[Item] = [*cut(places[:20], ("xy",), size=7, stream="positions")]
    before += [Gap(0, 20, 23, "no encoder", stream="positions"), End("positions")]
    join = registry.get("operators", "join")(coordinate="xy")
    wired = Node(
        join,
        "join",
        {join.arguments[0]: Reference("source", "data"), join.arguments[1]: Reference("source", "positions")},
    )
    return Example(scan, main, before, gaps, Pipeline((wired, node(Adding(), "adding", "join"))))


def restarted() -> Example:
    """The detector starts again: ids come twice, in two epochs."""
    scan, frames = projections(known=False)
    main = [*cut(frames[:10]), *cut(frames[10:], ids=np.arange(14), epoch=1)]
    steps = (node(scale(factor=2.0), "scale"), node(Adding(), "adding", "scale"))
    return Example(scan, main, pipeline=Pipeline(steps))


EXAMPLES: tuple[Callable[[], Example], ...] = (
    per_frame,
    two_sets,
    fused,
    folds_of_one_stream,
    whole_axis,
    neighbours,
    value_of_a_fold,
    image_of_a_fold,
    grid,
    joined,
    restarted,
)
