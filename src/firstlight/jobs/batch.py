"""One job over many recorded scans: what is there, what is done already, and how each of them ended."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from firstlight.connectors.hdf5.files import open_file
from firstlight.core import registry
from firstlight.core.errors import FirstlightError, JobError, SourceError
from firstlight.core.job import parse_job
from firstlight.core.pipeline import SOURCE
from firstlight.runners.checkpoint import interrupted

from .load import job_values, override
from .remarks import remarks_of
from .results import read_record
from .steps_used import mappings

State = Literal["done", "skipped", "failed", "stopped"]
Carry = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Carries a job out; gives its report (``state``, ``error``, ``values``, counts)."""
SUMMARY = "batch"
"""Name of the summary's files."""
_SHARED = re.compile(r"dark|flat|white|background", re.IGNORECASE)
"""Names of folders and files that hold no scan of their own."""
_APART = frozenset({"edf", "mrc", "npy", "tiff", "txrm"})
"""Sources whose dark and flat frames are files or folders of their own, which are no scans."""
_SHARING = _APART | {"dxfile", "hdf5", "nxtomo"}
"""Sources that can take dark and flat frames from elsewhere; of HDF5 it may be another scan."""
_HDF5 = frozenset({"als832", "dxfile", "hdf5", "nxstxm", "nxtomo", "savu"})
"""Sources whose scans are HDF5 files: a damaged one is a scan that fails, and is not passed over."""
_ENDINGS = (".h5", ".hdf5", ".nxs", ".nx")
_DEEPEST = 20


@dataclass(slots=True)
class Row:
    """How one scan ended."""

    scan: str
    """Its path below the folder."""
    state: State
    frames: int = 0
    lost: int = 0
    seconds: float = 0.0
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What steps found, such as ``find_center.center``."""
    result: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()
    """Frames that can not be right, and what steps noticed."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A job, and the scans below a folder."""

    folder: Path
    out: Path
    job: dict[str, Any]
    """Plain values, with profile, variables and overrides filled in."""

    @classmethod
    def of(
        cls,
        folder: Path,
        out: Path,
        job: Path | Mapping[str, Any],
        *,
        overrides: Mapping[str, Any] | None = None,
        darks: str | Path | None = None,
        flats: str | Path | None = None,
    ) -> Batch:
        """Read the job, and give it shared darks and flats.

        Args:
            folder: Where the scans are.
            out: Where the results go, in the same tree.
            job: The job; the path of its source stands for each scan in turn.
            overrides: ``step.parameter`` to value.
            darks: Dark frames for all scans: a file or folder, with ``:`` and a dataset behind it where an HDF5 file has several.
            flats: The same for flat frames.

        Raises:
            JobError: The job has mistakes, no source with a path or no sink with one, or its source takes no darks.
            SourceError: There is no such folder.
        """
        if not folder.is_dir():
            raise SourceError(
                "There is no such folder.", field="folder", value=str(folder), next_move="Check the path."
            )
        values = job_values(job)
        problems = override(values, overrides or {})
        if problems:
            raise JobError(problems)
        source = _mapping(values.get("source"))
        for name, shared in (("darks", darks), ("flats", flats)):
            if shared is not None:
                source[name] = _shared(str(shared), name, source)
        use = str(source.get("use"))
        if use in registry.names("sources") and "path" in registry.get("sources", use).model_fields:
            source.setdefault("path", str(folder))
        values["source"] = source
        parsed = parse_job(values)
        if "path" not in type(parsed.source).model_fields:
            raise JobError([f"source '{parsed.source.use}': it reads no files, so there is nothing to go through."])
        if not parsed.sinks or any("path" not in type(spec.sink).model_fields for spec in parsed.sinks):
            raise JobError(
                ["A batch needs sinks that write files, such as 'sinks: [{use: hdf5, of: fbp, path: rec.h5}]'."]
            )
        return cls(folder.absolute(), out.absolute(), values)

    def scans(self, pattern: str | None = None) -> list[Path]:
        """The scans below the folder, in the order of their names: what the job's source recognises, or a pattern matches.

        What was made of a scan by an earlier run, and lies beside it, is none unless a pattern says so.

        Args:
            pattern: Names of files or folders that count, such as ``scan_*.h5``.
        """
        kind = registry.get("sources", str(self.job["source"]["use"]))
        recognises = getattr(kind, "recognises", None)

        def counts(path: Path) -> bool:
            if pattern is not None:
                return path.match(pattern)
            if recognises is None or _SHARED.search(path.stem):
                return False
            return (bool(recognises(path)) and not _made_here(path)) or (kind.use in _HDF5 and _is_damaged(path))

        return [*_walk(self.folder, counts, (self.out, *self._frames_alone()), _DEEPEST)]

    def _frames_alone(self) -> list[Path]:
        """Shared files and folders that hold dark or flat frames, and no scan."""
        source = _mapping(self.job["source"])
        given = [source.get(name) for name in ("darks", "flats")] if source["use"] in _APART else []
        return [Path(str(each)) for each in given if each is not None]

    def job_for(self, scan: Path) -> dict[str, Any]:
        """The job of one scan, with results in the same place of the other tree."""
        place = self.out / scan.relative_to(self.folder).parent
        sinks = [dict(sink) for sink in cast("list[dict[str, Any]]", self.job["sinks"])]
        for sink in sinks:
            own = Path(str(sink["path"]))
            more = "" if len(sinks) == 1 else "_" + str(sink["of"]).replace(".", "_")
            sink["path"] = str(place / f"{scan.stem}{more}_rec{own.suffix}")
        return {**self.job, "name": scan.stem, "source": {**self.job["source"], "path": str(scan)}, "sinks": sinks}

    def run(self, carry: Carry, scans: Sequence[Path], tell: Callable[[Row], None] = lambda row: None) -> list[Row]:
        """Carry the job out on each scan that is not done yet; the summary is written after each.

        A scan that fails does not stop the others. What is done is known by the record of the result: a complete run of
        the same job on the same scan. An interrupted run of the same job goes on where it stopped; what another job left
        is written anew.

        Args:
            carry: How one job is carried out.
            scans: Which ones.
            tell: Called after each.

        Raises:
            KeyboardInterrupt: The user stopped it; the summary is written.
        """
        rows: list[Row] = []
        try:
            for scan in scans:
                rows.append(self._one(scan, carry))
                tell(rows[-1])
                write_summary(rows, self.out)
        finally:
            write_summary(rows, self.out)
        return rows

    def _one(self, scan: Path, carry: Carry) -> Row:
        name = str(scan.relative_to(self.folder))
        job = self.job_for(scan)
        results = [Path(str(sink["path"])) for sink in job["sinks"]]
        row = Row(name, "failed", result=str(results[0]))
        began = time.monotonic()
        try:
            wanted = parse_job(job).to_dict()
            found = [_record_of(path) for path in results]
            if all(_is_done(record, wanted) for record in found):
                return _skipped(row, found[0] or {})
            for path in results:
                path.parent.mkdir(parents=True, exist_ok=True)
            report = carry(_going_on(job, results))
            row = _filled(row, "done" if report.get("state") == "done" else "failed", report)
            if report.get("state") == "stopped":
                row.state = "stopped"
        except (FirstlightError, OSError) as error:
            row.error = str(error)
        row.seconds = time.monotonic() - began
        return row


def _shared(text: str, name: str, source: Mapping[str, Any]) -> str:
    """Dark or flat frames as the source names those that lie elsewhere.

    Raises:
        JobError: It takes none from elsewhere, or they do not exist.
    """
    if source.get("use") not in _SHARING:
        known = ", ".join(sorted(_SHARING))
        raise JobError(
            [
                f"--{name}: the source '{source.get('use')}' takes them from the scan's own file. Sources that share: {known}."
            ]
        )
    file, colon, dataset = text.partition(":")
    if not Path(file).exists():
        raise JobError([f"--{name}: there is no '{file}'. Check the path."])
    return f"{Path(file).absolute()}{colon}{dataset}"


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"use": value}
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}


def _walk(folder: Path, counts: Callable[[Path], bool], without: Sequence[Path], depth: int) -> Iterator[Path]:
    """What counts, deepest folders too; a folder that counts is one scan, and what lies in it is not looked at."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and path.is_dir():
            continue  # links may go round in circles
        if path in without or path.name.startswith("."):
            continue
        if counts(path):
            yield path
        elif path.is_dir() and depth > 0:
            yield from _walk(path, counts, without, depth - 1)


def _is_damaged(path: Path) -> bool:
    """True for a file that should be HDF5, by its ending, and can not be opened."""
    if path.suffix.lower() not in _ENDINGS or not path.is_file():
        return False
    try:
        open_file(path).close()
    except SourceError:
        return True
    return False


def _record_of(path: Path) -> dict[str, Any] | None:
    try:
        return read_record(path) if path.exists() else None
    except FirstlightError:
        return None


def _is_done(record: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """True for a complete run of the same job; how it was run (threads, memory, overwriting) does not count."""
    if record is None or not record.get("complete"):
        return False
    return _essence(record["job"]) == _essence(wanted)


def _made_here(path: Path) -> bool:
    """True for what a step of a job gave; frames that were recorded as they came are a scan."""
    try:
        job = _mapping(read_record(path).get("job"))
    except FirstlightError:
        return False
    own = [sink for sink in mappings(job.get("sinks")) if Path(str(sink.get("path"))).name == path.name]
    return any(str(sink.get("of")).partition(".")[0] != SOURCE for sink in own)


def _essence(job: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in job.items() if name not in ("runner", "buffers", "views")}
    sinks = [{k: v for k, v in sink.items() if k != "overwrite"} for sink in kept.get("sinks", ())]
    return {**kept, "sinks": sinks}


def _going_on(job: dict[str, Any], results: Sequence[Path]) -> dict[str, Any]:
    """The job, to be taken up where a run of it was interrupted; or from the beginning."""
    anew = _anew(job, results)
    for left in (job, anew):
        if interrupted(parse_job(left), results[0]):
            return {**left, "runner": {**_mapping(left.get("runner")), "resume": True}}
    return anew


def _anew(job: dict[str, Any], results: Sequence[Path]) -> dict[str, Any]:
    """The job, allowed to replace what an earlier run left that was not complete, or of another job."""
    if not any(path.exists() for path in results):
        return job
    kinds = [registry.get("sinks", str(sink["use"])) for sink in job["sinks"]]
    sinks = [
        {**sink, "overwrite": True} if "overwrite" in kind.model_fields else sink
        for sink, kind in zip(job["sinks"], kinds, strict=True)
    ]
    return {**job, "sinks": sinks}


def _filled(row: Row, state: State, report: Mapping[str, Any]) -> Row:
    counts = _mapping(report.get("counts")) or report
    values = {
        name: value for name, value in _mapping(report.get("values")).items() if isinstance(value, int | float | str)
    }
    lost = sum(int(counts.get(name) or 0) for name in ("lost", "dropped", "rejected"))
    error = "" if state in ("done", "skipped") else str(report.get("error") or "it did not come to its end")
    said = tuple(remarks_of(report))
    return Row(row.scan, state, int(counts.get("done") or 0), lost, 0.0, values, row.result, error, said)


def _skipped(row: Row, record: Mapping[str, Any]) -> Row:
    """What an earlier run found, and how long it took."""
    made, started, ended = _filled(row, "skipped", record), record.get("started"), record.get("ended")
    if isinstance(started, int | float) and isinstance(ended, int | float):
        made.seconds = max(ended - started, 0.0)
    return made


COLUMNS = ("scan", "state", "frames", "lost", "seconds")


def table(rows: Sequence[Row]) -> list[list[str]]:
    """The summary, with its head: one column for each number that steps found, and what they warn of behind the result."""
    found = list(dict.fromkeys(name for row in rows for name in row.values))
    lines = [[*COLUMNS, *found, "result", "warnings", "error"]]
    for row in rows:
        numbers = [_text(row.values.get(name)) for name in found]
        start = [row.scan, row.state, str(row.frames), str(row.lost), f"{row.seconds:.1f}"]
        lines.append([*start, *numbers, row.result, "; ".join(row.warnings), " ".join(row.error.split())])
    return lines


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def as_text(rows: Sequence[Row]) -> str:
    """The summary in columns, without the paths of results, and with the number of warnings alone."""
    lines = table(rows)
    place = lines[0].index("result")
    counts = ["warnings", *(str(len(row.warnings) or "") for row in rows)]
    lines = [[*line[:place], count, *line[place + 2 :]] for line, count in zip(lines, counts, strict=True)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )


def write_summary(rows: Sequence[Row], out: Path) -> None:
    """Write ``batch.csv`` and ``batch.txt``, whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    stream = io.StringIO()
    csv.writer(stream).writerows(table(rows))
    for suffix, content in ((".csv", stream.getvalue()), (".txt", as_text(rows) + "\n")):
        draft = out / f".{SUMMARY}{suffix}.part"
        draft.write_text(content, encoding="utf-8")
        draft.replace(out / f"{SUMMARY}{suffix}")
