"""The methods paragraph, and the tables of papers behind it."""

import json
import re
from pathlib import Path
from string import Formatter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import firstlight as fl
from firstlight.core import registry
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.jobs.cite import citation, cite
from firstlight.jobs.load import load_job
from firstlight.jobs.references import Paper, bibtex, paper, papers, ris
from firstlight.jobs.results import read_record

JOB = {
    "source": {"use": "phantom", "columns": 32, "rows": 4, "angles": 24},
    "steps": [
        {"use": "flat_field"},
        {"use": "minus_log", "floor": 0.001},
        {"use": "find_center"},
        {"use": "paganin", "inputs": ["flat_field"], "energy": "25000 eV", "distance": "5 cm", "pixel": 1.0},
        {"use": "fbp", "inputs": ["minus_log"], "center": {"from": "find_center"}, "filter": "hann"},
    ],
}


def everything():
    for kind in ("operators", "sources", "sinks", "views"):
        for name in registry.names(kind):
            found = registry.get(kind, name)
            yield getattr(found, "step", found)


def test_every_paper_that_is_cited_is_known_with_authors_title_and_year():
    missing = {doi: kind.use for kind in everything() for doi in kind.cites if not paper(doi).known}
    assert not missing, f"give each an entry in src/firstlight/references/<family>.toml: {missing}"


def test_the_tables_are_well_formed():
    folder = Path(fl.__file__).parent / "references"
    seen = [line for table in folder.glob("*.toml") for line in re.findall(r'^\["(.+)"\]$', table.read_text(), re.M)]
    assert len({doi.lower() for doi in seen}) == len(seen) == len(papers()), "a DOI stands in two tables"
    for work in papers().values():
        assert re.fullmatch(r"10\.\d{4,9}/\S+", work.doi), work
        assert work.authors, work
        assert all(isinstance(name, str) and name for name in work.authors), work
        assert 1900 < work.year < 2100, work
        assert work.journal or work.booktitle or work.publisher, work
        assert all(isinstance(value, str) for value in (work.volume, work.number, work.pages, work.title)), work


def test_the_paragraph_of_a_job_has_values_with_units_and_marks():
    found = citation(load_job(JOB), {})
    assert "raised to at least 0.001" in found.paragraph
    assert "25 keV" in found.paragraph
    assert "50 mm" in found.paragraph
    assert "the rotation axis at the column found by find_center [" in found.paragraph
    marks = [int(n) for group in re.findall(r"\[([\d, ]+)\]", found.paragraph) for n in group.split(",")]
    assert list(dict.fromkeys(marks)) == list(range(1, len(found.papers) + 1)), "marks count up as they appear"
    dois = {work.doi for work in found.papers}
    assert {"10.1046/j.1365-2818.2002.01010.x", "10.1137/1.9780898719277", "10.1109/TNS.1974.6499235"} <= dois


def test_what_another_step_finds_reads_well_in_every_sentence():
    before_a_value = {"about", "at", "beyond", "by", "from", "least", "of", "over", "than", "to", "with", "within"}
    before_a_value |= {"above", "and", "below", "every"}
    clumsy = {}
    for kind in everything():
        for text, name, noun, _ in Formatter().parse(kind.sentence):
            told = name and re.search(r"([^\W\d]+)( =)? $", text)
            field = str(kind.model_fields[name].annotation) if name else ""
            if told and not noun and ("float" in field or "int" in field) and told[1].lower() not in before_a_value:
                clumsy[kind.use] = f"{told[1]} {{{name}}}"
    assert not clumsy, f"write {{parameter:noun}}, such as {{center:column}}: {clumsy}"


def test_a_parameter_is_told_as_known_found_or_default():
    def text(center, values=None):
        steps = [
            {"use": "minus_log"},
            {"use": "find_center"},
            {"use": "fbp", "inputs": ["minus_log"], "center": center},
        ]
        return citation(load_job({"source": "phantom", "steps": steps}), {"values": values or {}}).paragraph

    assert "the rotation axis at column 12.5 [" in text(12.5)
    assert "the rotation axis at the default column [" in text(None)
    assert "the rotation axis at the column found by find_center [" in text({"from": "find_center"})
    assert "the rotation axis at column 10 to 14 (5 values) [" in text({"sweep": "10:14:1"})
    assert "the rotation axis at column 10, 12.5 [" in text({"sweep": [10, 12.5]})
    assert "the rotation axis at column 31.25 [" in text({"from": "find_center"}, {"find_center.center": 31.25})


def test_the_paragraph_of_a_result_has_the_values_that_were_found(tmp_path):
    out = tmp_path / "out.h5"
    job = {
        "source": {"use": "phantom", "columns": 96, "rows": 4, "angles": 120, "pixel": "2 um"},
        "steps": [step for step in JOB["steps"] if step["use"] != "paganin"],
        "sinks": [{"use": "hdf5", "of": "fbp", "path": str(out)}],
    }
    fl.start(load_job(job)).finished(timeout=100)
    found = cite(out)
    center = read_record(out)["values"]["find_center.center"]
    assert np.isfinite(center)
    assert f"{center:.6g}" in found.paragraph
    assert "The rotation axis was found with the method 'correlation" in found.paragraph  # which it was, not 'auto'
    assert "All 120 frames were used." in found.paragraph
    assert "numpy" in found.paragraph


def test_what_the_scan_told_and_what_was_changed_are_in_it():
    job = {**JOB, "steps": [{"use": "flat_field"}, {"use": "paganin", "energy": 20.0}]}
    record = {
        "scan": {
            "streams": {"data": {"axes": ["angle", "row", "col"], "sizes": {}, "dtype": "uint16", "arrival": 1}},
            "calibration": {"distance": {"value": 0.3, "unit": "m"}, "pixel": {"value": 1, "unit": "um"}},
        },
        "changes": [{"step": "paganin", "parameter": "energy", "old": 20.0, "new": 22.5, "epoch": 0, "id": 7}],
        "counts": {"expected": 10, "done": 8, "lost": 1, "rejected": 1},
    }
    text = citation(load_job(job), record).paragraph
    assert "300 mm" in text
    assert "22.5 keV" in text
    assert "Of 10 frames 8 were used (1 lost, 1 rejected)." in text


def test_a_step_without_sentence_is_described_by_its_docstring_and_what_was_given():
    job = {"source": "phantom", "steps": [{"use": "window", "name": "turns", "frames": 12}]}
    kind = registry.get("operators", "window")
    assert kind.sentence == ""
    text = citation(load_job(job), {}).paragraph
    assert "The step 'turns' (" in text
    assert "frames = 12" in text


BOOK = Paper("10.1/b", ("Ö'Neill & Co, A.",), "Costs & 100 % of_it", 1999, publisher="P & Q", kind="book")


def test_bibtex_is_balanced_escaped_and_has_distinct_keys():
    text = bibtex([*papers().values(), BOOK, Paper("10.1/x"), Paper("10.1/y")])
    keys = re.findall(r"^@\w+\{([^,]+),$", text, re.M)
    assert len(keys) == len(set(keys)) == len(papers()) + 3
    assert all(re.fullmatch(r"[a-z0-9-]+", key) for key in keys)
    depth = 0
    for character in re.sub(r"\\.", "", text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert r"Costs \& 100 \% of\_it" in text
    assert "@misc{101x,\n  doi = {10.1/x},\n}" in text


def test_ris_entries_begin_and_end():
    text = ris([*papers().values(), BOOK, Paper("10.1/x")])
    for entry in text.strip().split("ER  - ")[:-1]:
        lines = entry.strip().splitlines()
        assert lines[0].startswith("TY  - ")
        assert all(re.match(r"^[A-Z][A-Z0-9]  - \S", line) for line in lines)
    assert text.count("TY  - ") == text.count("ER  - ") == len(papers()) + 2
    assert "TY  - BOOK" in text
    assert "PB  - P & Q" in text


def test_records_are_found_beside_results_of_every_kind(tmp_path):
    record = {"job": JOB, "counts": {}}
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "record.json").write_text(json.dumps(record))
    (tmp_path / "volume.zarr").mkdir()
    (tmp_path / "volume.zarr" / "zarr.json").write_text(json.dumps({"attributes": {"firstlight": {"record": record}}}))
    (tmp_path / "report.json").write_text(json.dumps({"record": record}))
    (tmp_path / "image.tif").write_bytes(b"II*\0")
    (tmp_path / "image.tif.json").write_text(json.dumps(record))
    for name in ("stack", "volume.zarr", "report.json", "image.tif"):
        assert read_record(tmp_path / name) == record, name


@pytest.mark.parametrize("name", ["rec.h5", "rec.tif", "rec", "rec.zarr"])
def test_every_sink_that_writes_files_leaves_a_record_that_is_found(tmp_path, name):
    if name.endswith("zarr"):
        pytest.importorskip("zarr")
    use = {".h5": "hdf5", ".zarr": "zarr"}.get(Path(name).suffix, "tiff")
    job = {
        "source": {"use": "phantom", "columns": 16, "rows": 2, "angles": 12},
        "steps": [{"use": "flat_field"}],
        "sinks": [{"use": use, "of": "flat_field", "path": str(tmp_path / name)}],
    }
    fl.start(load_job(job)).finished(timeout=60)
    assert read_record(tmp_path / name)["complete"]
    assert "All 12 frames were used." in cite(tmp_path / name).paragraph


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"job": 3}', "[" * 100_000, "{", '{"record": null}'])
def test_what_holds_no_record_is_told(tmp_path, text):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(SourceError):
        cite(path)
    with pytest.raises(SourceError, match="no such result"):
        cite(tmp_path / "gone.h5")
    with pytest.raises(SourceError, match="no record"):
        cite(tmp_path)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "scan": plain,
            "values": st.dictionaries(st.sampled_from(["find_center", "find_center.center"]), plain),
            "chosen": st.one_of(plain, st.dictionaries(st.just("find_center"), plain)),
            "versions": st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
        },
    )
)
def test_any_record_gives_a_paragraph_or_an_error(record):
    try:
        found = citation(load_job(JOB), record)
    except FirstlightError:
        return
    assert found.paragraph.startswith("Data were processed with firstlight")
